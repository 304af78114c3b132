/* dsvl2: from a checkpoint's tensors to weights on a device
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "weights.h"
#include <string.h>

WeightStore *
weight_store_new (Ops *ops)
{
  WeightStore *store = g_new0 (WeightStore, 1);

  store->ops = ops;
  store->memory = g_ptr_array_new ();
  store->host = g_ptr_array_new_with_free_func (g_free);
  store->placed = g_ptr_array_new ();
  return store;
}

void
weight_store_free (WeightStore *store)
{
  for (guint i = 0; i < store->placed->len; i++)
    store->ops->unplace (store->ops, g_ptr_array_index (store->placed, i));
  for (guint i = 0; i < store->memory->len; i++)
    store->ops->free (store->ops, g_ptr_array_index (store->memory, i));
  g_ptr_array_unref (store->placed);
  g_ptr_array_unref (store->memory);
  g_ptr_array_unref (store->host);
  g_free (store);
}

/* The tensor, if it has n elements in dimensions that `expected` describes; else the error is set. */
static const Tensor *
find_tensor (Binder *b, const char *name, gint64 n, const char *expected)
{
  const Tensor *tensor = safetensors_find (b->tensors, name);
  gint64 elements = 1;

  if (tensor == NULL) {
    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "The checkpoint has no tensor %s; the configuration asks for one of %s", name, expected);
    return NULL;
  }
  for (int i = 0; i < tensor->n_dims; i++)
    elements *= tensor->dim[i];
  if (elements != n || tensor->type > TENSOR_BF16) {
    g_autofree char *is = tensor_describe (tensor);

    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s: %s is %s; the configuration asks for %s in F32, F16 or BF16", tensor->file, name, is,
        expected);
    return NULL;
  }
  return tensor;
}

static void
place (Binder *b, Weight *w)
{
  if (b->ops->place (b->ops, w))
    g_ptr_array_add (b->store->placed, w);
  else
    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "The model's weights (%s) do not fit into the memory of device %s", b->choice->name,
        b->ops->name);
}

/* Places what is in the host memory that bind_host () gave last, and frees that if the device has a copy. */
static void
place_host (Binder *b, Weight *w)
{
  const void *memory = w->data;

  place (b, w);
  if (w->data != memory)
    g_ptr_array_remove_fast (b->store->host, (gpointer) memory);
}

WeightType
tensor_weight_type (const Tensor *tensor)
{
  static const WeightType types[] = {
    [TENSOR_F32] = WEIGHT_F32, [TENSOR_F16] = WEIGHT_F16, [TENSOR_BF16] = WEIGHT_BF16
  };

  return types[tensor->type];
}

static Weight
tensor_weight (const Tensor *tensor, int O, int I)
{
  return (Weight){ .data = tensor->data, .type = tensor_weight_type (tensor), .O = O, .I = I };
}

static const Tensor *
bind_tensor_named (Binder *b, int O, int I, const char *name)
{
  g_autofree char *expected = g_strdup_printf ("[%d, %d]", O, I);
  const Tensor *tensor = b->error ? NULL : find_tensor (b, name, (gint64) O * I, expected);

  if (tensor && (tensor->n_dims < 2 || tensor->dim[0] != O)) {
    g_autofree char *is = tensor_describe (tensor);

    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "%s: %s is %s; the configuration asks for %s", tensor->file, name, is, expected);
    return NULL;
  }
  return tensor;
}

const Tensor *
bind_tensor (Binder *b, int O, int I, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  return bind_tensor_named (b, O, I, name);
}

void
bind_matrix (Binder *b, Weight *w, int O, int I, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  const Tensor *tensor = bind_tensor_named (b, O, I, name);
  if (tensor == NULL)
    return;
  *w = tensor_weight (tensor, O, I);
  place (b, w);
}

void
bind_quantised (Binder *b, Weight *w, const WeightType *type, int O, int I, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  if (!b->choice->quantised) {
    bind_matrix (b, w, O, I, "%s", name);
    return;
  }
  const Tensor *tensor = bind_tensor_named (b, O, I, name);
  void *memory = tensor ? bind_host (b, w, *type, O, I) : NULL;
  if (memory == NULL)
    return;
  const Weight stored = tensor_weight (tensor, O, I);
  quantiser_run (b->quantiser, memory, &stored, *type);
  place_host (b, w);
}

void *
bind_host (Binder *b, Weight *w, WeightType type, int O, int I)
{
  if (b->error)
    return NULL;

  *w = (Weight){ .type = type, .O = O, .I = I };
  void *memory = g_try_malloc (weight_bytes (w));
  if (memory)
    g_ptr_array_add (b->store->host, memory);
  else
    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "%" G_GSIZE_FORMAT " KiB for weights are not free", weight_bytes (w) >> 10);
  w->data = memory;
  return memory;
}

void *
bind_memory (Binder *b, gsize bytes)
{
  if (b->error)
    return NULL;

  void *memory = b->ops->alloc (b->ops, bytes);
  if (memory)
    g_ptr_array_add (b->store->memory, memory);
  else
    g_set_error (&b->error, DSVL2_ERROR, DSVL2_ERROR_MEMORY,
        "%" G_GSIZE_FORMAT " KiB for weights are not free on device %s", bytes >> 10, b->ops->name);
  return memory;
}

static void
bind_vector_named (Binder *b, const float **v, int n, const char *name)
{
  g_autofree char *expected = g_strdup_printf ("[%d]", n);
  const Tensor *tensor = b->error ? NULL : find_tensor (b, name, n, expected);
  float *memory = tensor ? bind_memory (b, n * sizeof (float)) : NULL;

  if (memory == NULL)
    return;
  const Weight elements = tensor_weight (tensor, 1, n);
  g_autofree float *host = g_new (float, n);
  for (int i = 0; i < n; i++)
    host[i] = weight_at (&elements, 0, i);
  b->ops->upload (b->ops, memory, host, n * sizeof (float));
  *v = memory;
}

void
bind_vector (Binder *b, const float **v, int n, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  bind_vector_named (b, v, n, name);
}

void
bind_optional_vector (Binder *b, const float **v, int n, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  *v = NULL;
  if (safetensors_find (b->tensors, name))
    bind_vector_named (b, v, n, name);
}

void
bind_computed (Binder *b, Weight *w)
{
  if (b->error == NULL)
    place_host (b, w);
}
