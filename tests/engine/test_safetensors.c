/* safetensors_open: what it maps, and what it refuses
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/safetensors.h"
#include "folder.h"

#include <sys/stat.h>

/* A file: the header's length, the header, `data` bytes that count up. */
static GByteArray *
make_file (const char *header, gsize data)
{
  GByteArray *file = g_byte_array_new ();
  guint64 length = GUINT64_TO_LE (strlen (header));

  g_byte_array_append (file, (const guint8 *) &length, 8);
  g_byte_array_append (file, (const guint8 *) header, strlen (header));
  for (gsize i = 0; i < data; i++)
    g_byte_array_append (file, &(guint8){ (guint8) i }, 1);
  return file;
}

static void
write_file (const char *dir, const char *name, const char *header, gsize data)
{
  g_autoptr (GByteArray) file = make_file (header, data);

  folder_write (dir, name, file->data, file->len);
}

/* A multiple of 8 bytes, as the tensors behind it want. */
#define GOOD                                                                                           \
  "{\"__metadata__\":{\"format\":\"pt\"},"                                                             \
  "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"                                \
  "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]},"                           \
  "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"                                   \
  "\"none\":{\"dtype\":\"U8\",\"shape\":[0,5],\"data_offsets\":[32,32]}}"

/* --- good files --------------------------------------------------------------------------------- */

static void
check_good (Safetensors *st, const char *file)
{
  const Tensor *a = safetensors_find (st, "a"), *b = safetensors_find (st, "b.weight");
  const Tensor *s = safetensors_find (st, "s"), *none = safetensors_find (st, "none");
  g_autofree char *ta = tensor_describe (a), *tb = tensor_describe (b), *ts = tensor_describe (s);

  g_assert_cmpstr (ta, ==, "[2, 3] BF16");
  g_assert_cmpstr (tb, ==, "[2] F32");
  g_assert_cmpstr (ts, ==, "[] I64");
  g_assert_cmpint (a->type, ==, TENSOR_BF16);
  g_assert_cmpint (b->type, ==, TENSOR_F32);
  g_assert_cmpint (s->type, ==, TENSOR_I64);
  g_assert_cmpint (none->type, ==, TENSOR_OTHER);
  g_assert_cmpstr (none->type_name, ==, "U8");
  g_assert_cmpstr (a->file, ==, file);
  g_assert_cmpuint (a->bytes, ==, 12);
  g_assert_cmpuint (none->bytes, ==, 0);
  g_assert_cmpint (((const guint8 *) a->data)[11], ==, 11);
  g_assert_cmpint (((const guint8 *) b->data)[0], ==, 12);
  g_assert_cmpint (((const guint8 *) s->data)[7], ==, 31);
  g_assert_null (safetensors_find (st, "__metadata__"));
  g_assert_null (safetensors_find (st, "c"));
  g_assert_cmpuint (safetensors_bytes (st), ==, 28);
  g_assert_cmpuint (safetensors_elements (st), ==, 9);
}

static void
test_good (void)
{
  static const char *const names[] = { "model.safetensors", "weights.safetensors" };

  g_assert_cmpuint (strlen (GOOD) % 8, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    char *dir = folder_new ();
    GError *error = NULL;
    Safetensors *st;

    write_file (dir, names[i], GOOD, 32);
    st = safetensors_open (dir, &error);
    g_assert_no_error (error);
    check_good (st, names[i]);
    safetensors_free (st);
    folder_free (dir);
  }
}

/* --- headers that are refused ------------------------------------------------------------------- */

#define ONE(dtype, shape, offsets)                                                                     \
  "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

typedef struct {
  const char *header; /* padded with spaces to a multiple of 8 */
  const char *words;
} Refusal;

/* In a file with 16 bytes of data. */
static const Refusal refusals[] = {
  { "", "model.safetensors: it is empty" },
  { "[]", "an object was expected, at byte 0" },
  { "{\"t\"", "model.safetensors" },
  { "{\"t\":3}", "t has no dtype" },
  { "{\"t\":{}}", "t has no dtype" },
  { ONE ("3", "[1]", "[0,4]"), "t has no dtype" },
  { ONE ("\"Q4_K\"", "[1]", "[0,4]"), "t has the unknown dtype \"Q4_K\"" },
  { ONE ("\"bf16\"", "[1]", "[0,2]"), "t has the unknown dtype \"bf16\"" },
  { ONE ("\"F32\"", "4", "[0,16]"), "t has no shape" },
  { ONE ("\"F32\"", "[-4]", "[0,16]"), "t has no shape" },
  { ONE ("\"F32\"", "[4.5]", "[0,16]"), "t has no shape" },
  { ONE ("\"F32\"", "[\"4\"]", "[0,16]"), "t has no shape" },
  { ONE ("\"F32\"", "[1,1,1,1,1,1,1,1,4]", "[0,16]"), "t has no shape of at most 8 whole numbers" },
  { ONE ("\"F32\"", "[4294967296,4294967296]", "[0,0]"), "t has an impossibly large shape" },
  { ONE ("\"F32\"", "[4611686018427387905]", "[0,4]"), "t has an impossibly large shape" },
  { ONE ("\"F32\"", "[4]", "[0]"), "t has no data_offsets" },
  { ONE ("\"F32\"", "[4]", "[0,16,32]"), "t has no data_offsets" },
  { ONE ("\"F32\"", "[4]", "[-16,0]"), "t has no data_offsets" },
  { ONE ("\"F32\"", "[4]", "[16,0]"), "t has no data_offsets" },
  { ONE ("\"F32\"", "[4]", "[8,24]"), "t ends at byte 24 of the data, of which the file has 16" },
  { ONE ("\"F32\"", "[4]", "[0,9223372036854775807]"),
      "t ends at byte 9223372036854775807 of the data" },
  { ONE ("\"F32\"", "[4]", "[0,99999999999999999999]"), "a number is too large, at byte 50" },
  { ONE ("\"F32\"", "[4]", "[0,8]"), "t is [4] F32, but has 8 bytes" },
  { ONE ("\"F32\"", "[]", "[0,8]"), "t is [] F32, but has 8 bytes" },
  { ONE ("\"F32\"", "[0]", "[0,4]"), "t is [0] F32, but has 4 bytes" },
  { ONE ("\"F32\"", "[2]", "[2,10]"),
      "t begins at byte 2 of the data, which is not aligned to its 4-byte" },
  { ONE ("\"F32\"", "[4]", "[0,16]") "{}", "there is more behind the object" },
  { "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"u\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
      "u overlaps t" },
  { "{\"u\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
    "\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "u overlaps t" },
  { "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
      "t is there twice" },
  { "{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"\\u0074\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
      "(a key spelt in two ways) is there twice" },
  { "{\"\xff\":{}}", "this is not UTF-8" },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *r = data;
  g_autofree char *header = g_strdup_printf ("%s%*s", r->header, (int) (-strlen (r->header) & 7), "");
  char *dir = folder_new ();
  GError *error = NULL;

  write_file (dir, "model.safetensors", header, 16);
  g_assert_null (safetensors_open (dir, &error));
  g_assert_nonnull (strstr (error->message, "model.safetensors"));
  expect_error (&error, DSVL2_ERROR_FILE, r->words);
  folder_free (dir);
}

/* Every prefix of a good file is a bad one, but for those that only lack the padding at its end. */
static void
test_truncated (void)
{
  g_autoptr (GByteArray) file = make_file (GOOD, 32);
  char *dir = folder_new ();

  for (gsize n = 0; n <= file->len; n++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (Safetensors) st = NULL;

    folder_write (dir, "model.safetensors", file->data, n);
    st = safetensors_open (dir, &error);
    g_assert_true ((st != NULL) == (n == file->len));
    if (st == NULL)
      g_assert_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE);
  }
  folder_free (dir);
}

static void
test_header_length (void)
{
  static const struct {
    guint64 length;
    const char *words;
  } cases[] = {
    { 0, "it is empty" },
    { 1, "model.safetensors" },
    { sizeof GOOD - 1 + 32, "there is more behind the object" },
    { sizeof GOOD + 32, "does not fit a file of" },
    { (100 << 20) + 1, "does not fit a file of" },
    { G_MAXINT64, "a header of 9223372036854775807 bytes does not fit" },
    { G_MAXUINT64 - 7, "does not fit" },
    { G_MAXUINT64, "a header of 18446744073709551615 bytes does not fit" },
  };
  g_autoptr (GByteArray) file = make_file (GOOD, 32);
  char *dir = folder_new ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    guint64 length = GUINT64_TO_LE (cases[i].length);
    GError *error = NULL;

    memcpy (file->data, &length, 8);
    for (gsize k = 0; k < 32; k++)
      file->data[8 + strlen (GOOD) + k] = ' ' + (cases[i].length > 100);
    folder_write (dir, "model.safetensors", file->data, file->len);
    g_assert_null (safetensors_open (dir, &error));
    expect_error (&error, DSVL2_ERROR_FILE, cases[i].words);
  }
  folder_free (dir);
}

/* --- folders ------------------------------------------------------------------------------------ */

#define A "{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}"
#define B "{\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}"
#define INDEX "model.safetensors.index.json"

typedef struct {
  const char *index, *words; /* words NULL: it opens */
} IndexCase;

/* Beside 1.safetensors (a), 2.safetensors (b), again.safetensors (a), broken.safetensors. */
static const IndexCase indexes[] = {
  { "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}", NULL },
  { "{\"weight_map\":{\"a\":\"1.safetensors\"}}", NULL },
  { "{\"metadata\":{}}", "weight_map is missing, or is not an object" },
  { "{\"weight_map\":[]}", "weight_map is missing, or is not an object" },
  { "{\"weight_map\":{\"a\":3}}", "a is in 3, the plain name of a file was expected" },
  { "{\"weight_map\":{\"a\":\"../1.safetensors\"}}", "a is in \"../1.safetensors\", the plain name" },
  { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "a is in \"/etc/passwd\", the plain name" },
  { "{\"weight_map\":{\"a\":\"..\"}}", "a is in \"..\", the plain name" },
  { "{\"weight_map\":{\"a\":\"\"}}", "a is in \"\", the plain name" },
  { "{\"weight_map\":{\"a\":\"3.safetensors\"}}", "3.safetensors cannot be read: No such file" },
  { "{\"weight_map\":{\"b\":\"1.safetensors\"}}", "b is said to be in 1.safetensors, which lacks it" },
  { "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}", "is said to be in" },
  { "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"again.safetensors\"}}", "safetensors too" },
  { "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"broken.safetensors\"}}",
      "broken.safetensors: a header of 8315167134974765167 bytes does not fit" },
  { "{\"weight_map\":{\"a\":\"folder.safetensors\"}}", "folder.safetensors is not a regular file" },
  { "{\"weight_map\":{\"a\":\"pipe.safetensors\"}}", "pipe.safetensors is not a regular file" },
  { "", INDEX ": it is empty" },
};

static void
test_index (gconstpointer data)
{
  const IndexCase *c = data;
  char *dir = folder_new ();
  g_autofree char *folder = g_build_filename (dir, "folder.safetensors", NULL);
  g_autofree char *pipe = g_build_filename (dir, "pipe.safetensors", NULL);
  g_autoptr (Safetensors) st = NULL;
  GError *error = NULL;

  write_file (dir, "1.safetensors", A, 8);
  write_file (dir, "2.safetensors", B, 8);
  write_file (dir, "again.safetensors", A, 8);
  folder_write (dir, "broken.safetensors", "oh, these are not tensors", -1);
  g_mkdir (folder, 0777);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  folder_write (dir, INDEX, c->index, -1);

  st = safetensors_open (dir, &error);
  if (c->words != NULL) {
    g_assert_null (st);
    expect_error (&error, DSVL2_ERROR_FILE, c->words);
  } else {
    g_assert_no_error (error);
    g_assert_cmpstr (safetensors_find (st, "a")->file, ==, "1.safetensors");
  }
  folder_free (dir);
}

static void
test_folders (void)
{
  char *dir = folder_new ();
  GError *error = NULL;

  g_assert_null (safetensors_open ("/nowhere", &error));
  expect_error (&error, DSVL2_ERROR_FILE, "/nowhere");
  g_assert_null (safetensors_open (dir, &error));
  expect_error (&error, DSVL2_ERROR_FILE, "and 0 other *.safetensors files: one was expected");
  write_file (dir, "1.safetensors", A, 8);
  write_file (dir, "2.safetensors", B, 8);
  g_assert_null (safetensors_open (dir, &error));
  expect_error (&error, DSVL2_ERROR_FILE, "and 2 other *.safetensors files: one was expected");
  g_assert_null (safetensors_open (dir, NULL));
  folder_free (dir);
}

/* As many tensors as the largest published checkpoint has: all found, each where it is. */
static void
test_many (void)
{
  enum { N = 20000 };
  GString *header = g_string_new ("{");
  char *dir = folder_new ();
  g_autoptr (Safetensors) st = NULL;
  GError *error = NULL;

  for (int i = 0; i < N; i++)
    g_string_append_printf (header,
        "%s\"layers.%d.w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%d,%d]}", i > 0 ? "," : "",
        i, 2 * i, 2 * i + 2);
  g_string_append_c (header, '}');
  write_file (dir, "model.safetensors", header->str, 2 * N);
  st = safetensors_open (dir, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (safetensors_bytes (st), ==, 2 * N);
  for (int i = 0; i < N; i++) {
    g_autofree char *name = g_strdup_printf ("layers.%d.w", i);

    g_assert_cmpint (*(const guint8 *) safetensors_find (st, name)->data, ==, (guint8) (2 * i));
  }
  g_string_free (header, TRUE);
  folder_free (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/safetensors/good", test_good);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autofree char *path = g_strdup_printf ("/safetensors/refused/%u", i);

    g_test_add_data_func (path, &refusals[i], test_refusal);
  }
  g_test_add_func ("/safetensors/truncated", test_truncated);
  g_test_add_func ("/safetensors/header-length", test_header_length);
  for (guint i = 0; i < G_N_ELEMENTS (indexes); i++) {
    g_autofree char *path = g_strdup_printf ("/safetensors/index/%u", i);

    g_test_add_data_func (path, &indexes[i], test_index);
  }
  g_test_add_func ("/safetensors/folders", test_folders);
  g_test_add_func ("/safetensors/many", test_many);
  return g_test_run ();
}
