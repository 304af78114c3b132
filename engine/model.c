/* dsvl2: a checkpoint: configuration, tokenizer and mapped weights
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"

/* The models that this process has open, by canonical path: one copy however many elements ask. */
static struct {
  GMutex lock;
  GHashTable *models;
} registry;

static void
model_free (Dsvl2Model *model)
{
  g_clear_pointer (&model->tensors, safetensors_free);
  g_clear_pointer (&model->tokenizer, tokenizer_free);
  g_free (model->description);
  g_free (model->path);
  g_free (model);
}

static char *
describe (const Dsvl2Model *model)
{
  const LanguageConfig *c = &model->config.language;
  const double millions = safetensors_elements (model->tensors) / 1e6;
  g_autofree char *experts = c->n_routed_experts > 0
                                 ? g_strdup_printf ("%d experts", c->n_routed_experts)
                                 : g_strdup ("no experts");

  return g_strdup_printf ("%d layers, %s, %s, %.*f %c parameters", c->num_hidden_layers,
      c->use_mla ? "latent attention" : "multi-head attention", experts, millions < 1000 ? 1 : 2,
      millions < 1000 ? millions : millions / 1000, millions < 1000 ? 'M' : 'B');
}

static bool
tokenizer_fits (const Dsvl2Model *model, GError **error)
{
  const int n = tokenizer_vocabulary (model->tokenizer), V = model->config.language.vocab_size;

  if (n > V)
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "tokenizer.json: its highest token is %d, but config.json's vocab_size is %d", n - 1, V);
  return n <= V;
}

static Dsvl2Model *
model_load (const char *dir, const char *path, GError **error)
{
  Dsvl2Model *model = g_new0 (Dsvl2Model, 1);

  model->refs = 1;
  model->path = g_strdup (path);
  if (!g_file_test (dir, G_FILE_TEST_IS_DIR))
    g_set_error (error, DSVL2_ERROR, DSVL2_ERROR_FILE,
        "There is no folder %s; a model is a folder with config.json, tokenizer.json and *.safetensors",
        dir);
  else if (config_load (&model->config, dir, error) &&
           (model->tokenizer = tokenizer_load (dir, model->config.language.vocab_size, error)) &&
           tokenizer_fits (model, error) && (model->tensors = safetensors_open (dir, error))) {
    model->description = describe (model);
    return model;
  }
  model_free (model);
  return NULL;
}

Dsvl2Model *
dsvl2_model_open (const char *dir, GError **error)
{
  g_autofree char *path = g_canonicalize_filename (dir, NULL);

  g_mutex_lock (&registry.lock);
  if (registry.models == NULL)
    registry.models = g_hash_table_new (g_str_hash, g_str_equal);
  Dsvl2Model *model = g_hash_table_lookup (registry.models, path);
  if (model)
    model->refs++;
  else if ((model = model_load (dir, path, error)))
    g_hash_table_insert (registry.models, model->path, model);
  g_mutex_unlock (&registry.lock);
  return model;
}

Dsvl2Model *
dsvl2_model_ref (Dsvl2Model *model)
{
  g_mutex_lock (&registry.lock);
  model->refs++;
  g_mutex_unlock (&registry.lock);
  return model;
}

void
dsvl2_model_unref (Dsvl2Model *model)
{
  g_mutex_lock (&registry.lock);
  const bool last = --model->refs == 0;
  if (last)
    g_hash_table_remove (registry.models, model->path);
  if (last && g_hash_table_size (registry.models) == 0)
    g_clear_pointer (&registry.models, g_hash_table_unref);
  g_mutex_unlock (&registry.lock);
  if (last)
    model_free (model);
}

const char *
dsvl2_model_get_path (Dsvl2Model *model)
{
  return model->path;
}

const char *
dsvl2_model_get_description (Dsvl2Model *model)
{
  return model->description;
}

guint64
dsvl2_model_get_weight_bytes (Dsvl2Model *model)
{
  return safetensors_bytes (model->tensors);
}

guint
dsvl2_model_get_context_length (Dsvl2Model *model)
{
  return model->config.language.max_position_embeddings;
}

bool
network_bind (Network *network, Dsvl2Model *model, Ops *ops, const WeightChoice *choice, int threads,
    GError **error)
{
  g_autoptr (Quantiser) quantiser = choice->quantised ? quantiser_new (threads) : NULL;
  const Config *c = &model->config;
  const int D = c->language.hidden_size;
  const float *newline = NULL, *separator = NULL;

  *network = (Network){ .store = weight_store_new (ops) };
  Binder b = { .tensors = model->tensors,
    .ops = ops,
    .store = network->store,
    .choice = choice,
    .quantiser = quantiser };
  vision_bind (&network->vision, &c->vision, &b);
  projector_bind (&network->projector, &c->projector, network->vision.side, &b);
  bind_vector (&b, &newline, D, "image_newline");
  bind_vector (&b, &separator, D, "view_seperator");
  network->newline = (Weight){ .data = newline, .type = WEIGHT_F32, .O = 1, .I = D };
  network->separator = (Weight){ .data = separator, .type = WEIGHT_F32, .O = 1, .I = D };
  decoder_bind (&network->decoder, &c->language, &b);
  if (b.error)
    g_propagate_error (error, b.error);
  return b.error == NULL;
}

void
network_clear (Network *network)
{
  g_clear_pointer (&network->store, weight_store_free);
  vision_clear (&network->vision);
  decoder_clear (&network->decoder);
}
