/* dsvl2-make-checkpoint: what it writes is a checkpoint, the same one for the same seed
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: test_checkpoint PATH-OF-THE-TOOL */
#include "engine/config.h"
#include "engine/safetensors.h"
#include "folder.h"

static const char *tool;

/* Runs the tool; whether it succeeded. */
static bool
make (const char *dir, const char *variant, const char *seed)
{
  const char *const argv[] = { tool, "--variant", variant, "--seed", seed, dir, NULL };
  const GSpawnFlags quiet = G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL;
  GError *error = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, NULL, quiet, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  return g_spawn_check_wait_status (status, NULL);
}

static void
expect_shape (const Safetensors *st, const char *name, const char *shape)
{
  const Tensor *t = safetensors_find (st, name);
  g_autofree char *described = t != NULL ? tensor_describe (t) : NULL;

  g_test_message ("%s is %s", name, described);
  g_assert_cmpstr (described, ==, shape);
}

static void
test_variant (gconstpointer data)
{
  const char *variant = data;
  bool mla = strcmp (variant, "mini-mla") == 0;
  char *dir = folder_new (), *again = folder_new (), *other = folder_new ();
  g_autoptr (Safetensors) a = NULL, b = NULL, c = NULL;
  const Tensor *ta, *tb, *tc;
  GError *error = NULL;
  Config config;

  g_assert_true (make (dir, variant, "7"));
  g_assert_true (make (again, variant, "7"));
  g_assert_true (make (other, variant, "8"));
  config_load (&config, dir, &error);
  g_assert_no_error (error);
  g_assert_true (config.language.use_mla == mla);
  g_assert_cmpint (config.n_candidates, ==, 8);
  a = safetensors_open (dir, &error);
  g_assert_no_error (error);
  b = safetensors_open (again, &error);
  g_assert_no_error (error);
  c = safetensors_open (other, &error);
  g_assert_no_error (error);

  expect_shape (a, "vision.pos_embed", "[1, 16, 48] BF16");
  expect_shape (a, "vision.patch_embed.proj.weight", "[48, 3, 14, 14] BF16");
  expect_shape (a, "vision.blocks.1.mlp.fc1.weight", "[179, 48] BF16");
  expect_shape (a, "projector.layers.0.weight", "[128, 192] BF16");
  expect_shape (a, "view_seperator", "[128] BF16");
  expect_shape (a, "language.lm_head.weight", "[1024, 128] BF16");
  expect_shape (a, "language.model.layers.0.mlp.gate_proj.weight", "[256, 128] BF16");
  expect_shape (a, "language.model.layers.2.mlp.experts.7.down_proj.weight", "[128, 64] BF16");
  expect_shape (a, "language.model.layers.2.mlp.shared_experts.up_proj.weight", "[128, 128] BF16");
  expect_shape (a, "language.model.layers.1.self_attn.kv_b_proj.weight", mla ? "[256, 64] BF16" : NULL);
  expect_shape (a, "language.model.layers.1.mlp.gate.e_score_correction_bias",
      mla ? "[12] BF16" : NULL);

  ta = safetensors_find (a, "language.lm_head.weight");
  tb = safetensors_find (b, "language.lm_head.weight");
  tc = safetensors_find (c, "language.lm_head.weight");
  g_assert_cmpmem (ta->data, ta->bytes, tb->data, tb->bytes);
  g_assert_cmpint (memcmp (ta->data, tc->data, ta->bytes), !=, 0);
  ta = safetensors_find (a, "language.model.norm.weight");
  g_assert_cmphex (*(const guint16 *) ta->data, ==, GUINT16_TO_LE (0x3f80)); /* 1 */

  folder_free (dir);
  folder_free (again);
  folder_free (other);
}

/* The same bytes on every machine: a sum of the words of one tensor. */
static void
test_bytes (void)
{
  char *dir = folder_new ();
  g_autoptr (Safetensors) st = NULL;
  const Tensor *t;
  guint64 sum = 0;

  g_assert_true (make (dir, "mini", "1"));
  st = safetensors_open (dir, NULL);
  t = safetensors_find (st, "language.lm_head.weight");
  for (gsize i = 0; i < t->bytes / 2; i++)
    sum = sum * 31 + GUINT16_FROM_LE (((const guint16 *) t->data)[i]);
  g_test_message ("%" G_GINT64_MODIFIER "x", sum);
  g_assert_cmphex (sum, ==, G_GUINT64_CONSTANT (0x53f59b7aa7e04a15));
  folder_free (dir);
}

static void
test_refused (void)
{
  char *dir = folder_new (), *empty = folder_new ();
  g_autofree char *path = g_build_filename (empty, "none", NULL);

  folder_write (dir, "config.json", "{}", -1);
  g_assert_false (make (dir, "mini", "1")); /* nobody's files are overwritten */
  g_assert_false (make (empty, "huge", "1"));
  g_assert_false (make ("/proc/nowhere", "mini", "1"));
  folder_free (dir);
  folder_free (empty);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc != 2) {
    g_printerr ("The path of dsvl2-make-checkpoint was expected.\n");
    return 2;
  }
  tool = argv[1];
  g_test_add_data_func ("/checkpoint/mini", "mini", test_variant);
  g_test_add_data_func ("/checkpoint/mini-mla", "mini-mla", test_variant);
  g_test_add_func ("/checkpoint/bytes", test_bytes);
  g_test_add_func ("/checkpoint/refused", test_refused);
  return g_test_run ();
}
