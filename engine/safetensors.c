/* dsvl2: the tensors of a checkpoint, memory-mapped
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A safetensors file is the length of its header (8 bytes, little-endian), the header (a JSON object from
 * a tensor's name to its dtype, shape and data_offsets) and the data, where offsets count from 0. */
#include "safetensors.h"

#include "jsonfile.h"
#include <string.h>

#define INDEX "model.safetensors.index.json"

enum { MAX_HEADER = 100 << 20, MAX_SHARDS = 1 << 10 };

struct _Safetensors {
  GPtrArray *files;    /* GMappedFile */
  GHashTable *tensors; /* name → Tensor */
  GStringChunk *names; /* of tensors and files */
  guint64 bytes, elements;
};

static const struct {
  const char *name;
  TensorType type;
  int size;
} types[] = {
  { "F32", TENSOR_F32, 4 },
  { "F16", TENSOR_F16, 2 },
  { "BF16", TENSOR_BF16, 2 },
  { "I64", TENSOR_I64, 8 },
  { "F64", TENSOR_OTHER, 8 },
  { "U64", TENSOR_OTHER, 8 },
  { "I32", TENSOR_OTHER, 4 },
  { "U32", TENSOR_OTHER, 4 },
  { "I16", TENSOR_OTHER, 2 },
  { "U16", TENSOR_OTHER, 2 },
  { "I8", TENSOR_OTHER, 1 },
  { "U8", TENSOR_OTHER, 1 },
  { "BOOL", TENSOR_OTHER, 1 },
  { "F8_E4M3", TENSOR_OTHER, 1 },
  { "F8_E5M2", TENSOR_OTHER, 1 },
};

static int
element_size (const Tensor *t)
{
  guint i = 0;

  while (types[i].name != t->type_name)
    i++;
  return types[i].size;
}

/* --- one tensor --------------------------------------------------------------------------------- */

static G_GNUC_PRINTF (4, 5) bool tensor_fail (const char *file, const char *name, GError **error,
    const char *format, ...)
{
  g_autofree char *shown = jsonfile_shorten (name), *rest = NULL;
  va_list args;

  va_start (args, format);
  rest = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s: %s %s", file, shown, rest);
  return false;
}

/* A list of at most `max` whole numbers that are not negative; how many, or −1. */
static int
read_numbers (JsonObject *object, const char *key, gint64 *numbers, int max)
{
  JsonNode *node = json_object_get_member (object, key);
  JsonArray *list = node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = list != NULL ? json_array_get_length (list) : 0;

  if (list == NULL || n > (guint) max)
    return -1;
  for (guint i = 0; i < n; i++) {
    JsonNode *value = json_array_get_element (list, i);

    if (!JSON_NODE_HOLDS_VALUE (value) || json_node_get_value_type (value) != G_TYPE_INT64)
      return -1;
    numbers[i] = json_node_get_int (value);
    if (numbers[i] < 0)
      return -1;
  }
  return n;
}

/* Fills in all but name and file; `data` is what follows the header. */
static bool
read_tensor (Tensor *t, JsonNode *entry, const char *data, gsize length, GError **error)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (entry) ? json_node_get_object (entry) : NULL;
  JsonNode *dtype = object != NULL ? json_object_get_member (object, "dtype") : NULL;
  const char *type_name =
      dtype != NULL && JSON_NODE_HOLDS_VALUE (dtype) ? json_node_get_string (dtype) : NULL;
  gint64 offset[2], elements = 1;
  guint type = 0;

  if (type_name == NULL)
    return tensor_fail (t->file, t->name, error, "has no dtype");
  while (type < G_N_ELEMENTS (types) && strcmp (types[type].name, type_name) != 0)
    type++;
  if (type == G_N_ELEMENTS (types)) {
    g_autofree char *shown = jsonfile_show (dtype);

    return tensor_fail (t->file, t->name, error, "has the unknown dtype %s", shown);
  }
  t->type = types[type].type;
  t->type_name = types[type].name;

  t->n_dims = read_numbers (object, "shape", t->dim, TENSOR_MAX_DIMS);
  if (t->n_dims < 0)
    return tensor_fail (t->file, t->name, error, "has no shape of at most %d whole numbers",
        TENSOR_MAX_DIMS);
  for (int i = 0; i < t->n_dims; i++) {
    if (t->dim[i] > 0 && elements > G_MAXINT64 / types[type].size / t->dim[i])
      return tensor_fail (t->file, t->name, error, "has an impossibly large shape");
    elements *= t->dim[i];
  }

  if (read_numbers (object, "data_offsets", offset, 2) != 2 || offset[0] > offset[1])
    return tensor_fail (t->file, t->name, error, "has no data_offsets of a begin and an end");
  if ((guint64) offset[1] > length)
    return tensor_fail (t->file, t->name, error,
        "ends at byte %" G_GINT64_FORMAT " of the data, of which the file has %" G_GSIZE_FORMAT,
        offset[1], length);
  t->data = data + offset[0];
  t->bytes = offset[1] - offset[0];
  if (t->bytes != (gsize) elements * types[type].size) {
    g_autofree char *shape = tensor_describe (t);

    return tensor_fail (t->file, t->name, error, "is %s, but has %" G_GSIZE_FORMAT " bytes", shape,
        t->bytes);
  }
  /* What ops read in place must be aligned; others copy. */
  if (t->type <= TENSOR_BF16 && (guintptr) t->data % types[type].size != 0)
    return tensor_fail (t->file, t->name, error,
        "begins at byte %" G_GINT64_FORMAT " of the data, which is not aligned to its %d-byte elements",
        offset[0], types[type].size);
  return true;
}

char *
tensor_describe (const Tensor *tensor)
{
  GString *text = g_string_new ("[");

  for (int i = 0; i < tensor->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i > 0 ? ", " : "", tensor->dim[i]);
  g_string_append_printf (text, "] %s", tensor->type_name);
  return g_string_free (text, FALSE);
}

/* --- one file ----------------------------------------------------------------------------------- */

static int
by_address (gconstpointer a, gconstpointer b)
{
  const Tensor *const *ta = a, *const *tb = b;
  guintptr pa = (guintptr) (*ta)->data, pb = (guintptr) (*tb)->data;

  if (pa != pb)
    return pa < pb ? -1 : 1;
  return (*ta)->bytes < (*tb)->bytes ? -1 : (*ta)->bytes > (*tb)->bytes;
}

/* `tensors` are those of one file; sorts them. */
static bool
check_overlaps (GPtrArray *tensors, GError **error)
{
  g_ptr_array_sort (tensors, by_address);
  for (guint i = 1; i < tensors->len; i++) {
    const Tensor *before = tensors->pdata[i - 1], *t = tensors->pdata[i];

    if ((const char *) before->data + before->bytes > (const char *) t->data) {
      g_autofree char *shown = jsonfile_shorten (before->name);

      return tensor_fail (t->file, t->name, error, "overlaps %s", shown);
    }
  }
  return true;
}

/* Reads the header of a mapped file: its tensors join st->tensors. */
static bool
read_header (Safetensors *st, const char *map, gsize length, const char *file, GError **error)
{
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GPtrArray) tensors = g_ptr_array_new ();
  g_autofree char *twice = NULL;
  guint64 header = 0;
  JsonObjectIter iter;
  const char *name;
  JsonNode *entry;

  if (length >= 8) {
    memcpy (&header, map, 8);
    header = GUINT64_FROM_LE (header);
  }
  if (length < 8 || header > length - 8 || header > MAX_HEADER) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s: a header of %" G_GUINT64_FORMAT " bytes does not fit a file of %" G_GSIZE_FORMAT
        " bytes and the limit of %d: the file is truncated, or not safetensors",
        file, header, length, MAX_HEADER);
    return false;
  }
  root = jsonfile_parse (map + 8, header, file, error);
  if (root == NULL)
    return false;
  twice = jsonfile_duplicate (map + 8, header, root);
  if (twice != NULL)
    return tensor_fail (file, twice, error, "is there twice");

  json_object_iter_init (&iter, json_node_get_object (root));
  while (json_object_iter_next (&iter, &name, &entry)) {
    Tensor *t;

    if (strcmp (name, "__metadata__") == 0)
      continue;
    if (g_hash_table_contains (st->tensors, name))
      return tensor_fail (file, name, error, "is in %s too", safetensors_find (st, name)->file);
    t = g_new0 (Tensor, 1);
    t->name = g_string_chunk_insert (st->names, name);
    t->file = file;
    g_hash_table_insert (st->tensors, (char *) t->name, t);
    g_ptr_array_add (tensors, t);
    if (!read_tensor (t, entry, map + 8 + header, length - 8 - header, error))
      return false;
    st->bytes += t->bytes;
    st->elements += t->bytes / element_size (t);
  }
  return check_overlaps (tensors, error);
}

static bool
map_file (Safetensors *st, const char *path, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *base = g_path_get_basename (path);
  GMappedFile *map;
  guint64 size;

  if (!jsonfile_stat (path, &size, error))
    return false;
  map = g_mapped_file_new (path, FALSE, &local);
  if (map == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s", local->message);
    return false;
  }
  g_ptr_array_add (st->files, map);
  return read_header (st, g_mapped_file_get_contents (map), g_mapped_file_get_length (map),
      g_string_chunk_insert_const (st->names, base), error);
}

/* --- a checkpoint ------------------------------------------------------------------------------- */

static Safetensors *
safetensors_new (void)
{
  Safetensors *st = g_new0 (Safetensors, 1);

  st->files = g_ptr_array_new_with_free_func ((GDestroyNotify) g_mapped_file_unref);
  st->tensors = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  st->names = g_string_chunk_new (1 << 16);
  return st;
}

void
safetensors_free (Safetensors *st)
{
  if (st == NULL)
    return;
  g_hash_table_unref (st->tensors);
  g_string_chunk_free (st->names);
  g_ptr_array_unref (st->files);
  g_free (st);
}

/* A shard is a file of the same folder: an index must not lead elsewhere. */
static bool
is_plain_name (const char *name)
{
  return name[0] != '\0' && name[0] != '.' && strlen (name) < 256 && strpbrk (name, "/\\") == NULL;
}

/* The shards that the index names, each opened once, and whether they have what it says. */
static bool
open_index (Safetensors *st, const char *dir, GError **error)
{
  g_autoptr (JsonNode) root = jsonfile_load (dir, INDEX, MAX_HEADER, error);
  g_autoptr (GHashTable) shards = g_hash_table_new (g_str_hash, g_str_equal);
  JsonNode *map;
  JsonObjectIter iter;
  const char *name;
  JsonNode *entry;

  if (root == NULL)
    return false;
  map = json_object_get_member (json_node_get_object (root), "weight_map");
  if (map == NULL || !JSON_NODE_HOLDS_OBJECT (map))
    return tensor_fail (INDEX, "weight_map", error, "is missing, or is not an object");

  json_object_iter_init (&iter, json_node_get_object (map));
  while (json_object_iter_next (&iter, &name, &entry)) {
    const char *shard = JSON_NODE_HOLDS_VALUE (entry) ? json_node_get_string (entry) : NULL;
    g_autofree char *path = NULL;

    if (shard == NULL || !is_plain_name (shard)) {
      g_autofree char *shown = jsonfile_show (entry);

      return tensor_fail (INDEX, name, error, "is in %s, the plain name of a file was expected", shown);
    }
    if (!g_hash_table_add (shards, (char *) shard))
      continue;
    if (g_hash_table_size (shards) > MAX_SHARDS)
      return tensor_fail (INDEX, "weight_map", error, "names more than %d files", MAX_SHARDS);
    path = g_build_filename (dir, shard, NULL);
    if (!map_file (st, path, error))
      return false;
  }

  json_object_iter_init (&iter, json_node_get_object (map));
  while (json_object_iter_next (&iter, &name, &entry)) {
    const Tensor *t = safetensors_find (st, name);

    if (t == NULL || strcmp (t->file, json_node_get_string (entry)) != 0)
      return tensor_fail (INDEX, name, error, "is said to be in %s, which lacks it",
          json_node_get_string (entry));
  }
  return true;
}

/* The folder's only *.safetensors file. */
static char *
find_single (const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "model.safetensors", NULL);
  g_autofree char *only = NULL;
  g_autoptr (GDir) entries = NULL;
  g_autoptr (GError) local = NULL;
  const char *name;
  int n = 0;

  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  entries = g_dir_open (dir, 0, &local);
  if (entries == NULL) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE, "%s", local->message);
    return NULL;
  }
  while ((name = g_dir_read_name (entries)) != NULL) {
    if (g_str_has_suffix (name, ".safetensors") && n++ == 0)
      only = g_build_filename (dir, name, NULL);
  }
  if (n != 1) {
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s has neither " INDEX
        " nor model.safetensors, and %d other *.safetensors files: one was expected",
        dir, n);
    return NULL;
  }
  return g_steal_pointer (&only);
}

Safetensors *
safetensors_open (const char *dir, GError **error)
{
  g_autofree char *index = g_build_filename (dir, INDEX, NULL);
  g_autofree char *single = NULL;
  g_autoptr (Safetensors) st = NULL;

  if (!g_file_test (index, G_FILE_TEST_EXISTS)) {
    single = find_single (dir, error);
    return single != NULL ? safetensors_open_file (single, error) : NULL;
  }
  st = safetensors_new ();
  return open_index (st, dir, error) ? g_steal_pointer (&st) : NULL;
}

Safetensors *
safetensors_open_file (const char *path, GError **error)
{
  g_autoptr (Safetensors) st = safetensors_new ();

  return map_file (st, path, error) ? g_steal_pointer (&st) : NULL;
}

const Tensor *
safetensors_find (const Safetensors *st, const char *name)
{
  return g_hash_table_lookup (st->tensors, name);
}

guint64
safetensors_bytes (const Safetensors *st)
{
  return st->bytes;
}

guint64
safetensors_elements (const Safetensors *st)
{
  return st->elements;
}
