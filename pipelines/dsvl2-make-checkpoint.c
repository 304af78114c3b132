/* dsvl2-make-checkpoint: a random checkpoint with the sizes of a published one
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Speed and memory do not ask what the weights are, only how many: this writes them in the hub's layout,
 * the same bytes for a variant and seed on every machine, as fast as the disk takes them. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define BOS "<｜begin▁of▁sentence｜>"
#define EOS "<｜end▁of▁sentence｜>"
#define PAD "<｜▁pad▁｜>"

/* --- the variants ------------------------------------------------------------------------------- */

typedef struct {
  const char *name, *about;
  int S, patch, vision_width, vision_layers, vision_heads,
      tiles; /* local tiles of a candidate, at most */
  double mlp_ratio;
  int hidden, layers, heads, dense, vocabulary, positions;
  int kv_rank, nope, rope, v; /* kv_rank 0: MHA */
  int experts, shared, top_k, expert_width;
  gboolean noaux; /* sigmoid scores, noaux_tc, normalised × 2; else softmax, greedy */
  int bos, image; /* ids of the first of bos, eos, pad and of the processor's eight tokens */
  int shards;
} Variant;

#define SO400M 384, 14, 1152, 27, 16, 9, 3.7362
#define SMALL_VIT 56, 14, 48, 2, 4, 4, 3.7362
#define MLA 512, 128, 64, 128

static const Variant variants[] = {
  { "tiny", "DeepSeek-VL2-Tiny, 6.7 GB", SO400M, 1280, 12, 10, 6848, 129280, 4096, 0, 0, 0, 0, 64, 2, 6,
      896, FALSE, 0, 128815, 1 },
  { "small", "DeepSeek-VL2-Small, 32 GB", SO400M, 2048, 27, 16, 10944, 102400, 4096, MLA, 64, 2, 6,
      1408, FALSE, 100000, 100003, 4 },
  { "vl2", "DeepSeek-VL2, 55 GB", SO400M, 2560, 30, 32, 12288, 129280, 4096, MLA, 72, 2, 6, 1536, TRUE,
      0, 128815, 8 },
  { "mini", "Tiny's choices, 2 MB", SMALL_VIT, 128, 3, 4, 256, 1024, 4096, 0, 0, 0, 0, 8, 2, 3, 64,
      FALSE, 0, 1000, 1 },
  { "mini-mla", "VL2's choices, 2 MB", SMALL_VIT, 128, 3, 4, 256, 1024, 4096, 64, 32, 16, 32, 12, 2, 3,
      64, TRUE, 0, 1000, 2 },
};

/* --- tensors ------------------------------------------------------------------------------------ */

typedef struct {
  char *name;
  int dims;
  gint64 dim[4];
  gboolean
      ones; /* a norm's weight; others are random, of a deviation that keeps activations in bounds */
} Entry;

static void
entry_clear (gpointer entry)
{
  g_free (((Entry *) entry)->name);
}

static gint64
entry_elements (const Entry *e)
{
  return e->dim[0] * e->dim[1] * e->dim[2] * e->dim[3];
}

/* What a row of the matrix sums up: the deviation of a weight is 1/√ of it. */
static gint64
entry_fan_in (const Entry *e)
{
  return e->dims > 1 ? entry_elements (e) / e->dim[0] : 2500;
}

static G_GNUC_PRINTF (4, 5) void add (GArray *entries, int rows, int columns, const char *format, ...)
{
  Entry e = { .dims = columns > 0 ? 2 : 1, .dim = { rows, MAX (columns, 1), 1, 1 } };
  va_list args;

  va_start (args, format);
  e.name = g_strdup_vprintf (format, args);
  va_end (args);
  e.ones = strstr (e.name, "norm") != NULL && g_str_has_suffix (e.name, ".weight");
  g_array_append_val (entries, e);
}

/* A layer's weight and bias; columns 0: a LayerNorm's. */
static void
add_linear (GArray *entries, const char *name, int rows, int columns)
{
  add (entries, rows, columns, "%s.weight", name);
  add (entries, rows, 0, "%s.bias", name);
}

static void
add_mlp (GArray *entries, const char *prefix, int hidden, int width)
{
  add (entries, width, hidden, "%s.gate_proj.weight", prefix);
  add (entries, width, hidden, "%s.up_proj.weight", prefix);
  add (entries, hidden, width, "%s.down_proj.weight", prefix);
}

static void
add_vision (GArray *entries, const Variant *v)
{
  const int C = v->vision_width, P = (v->S / v->patch) * (v->S / v->patch),
            F = (int) (C * v->mlp_ratio);
  Entry pos_embed = { g_strdup ("vision.pos_embed"), 3, { 1, P, C, 1 } };
  Entry patches = { g_strdup ("vision.patch_embed.proj.weight"), 4, { C, 3, v->patch, v->patch } };
  Entry latent = { g_strdup ("vision.attn_pool.latent"), 3, { 1, 1, C, 1 } };

  g_array_append_val (entries, pos_embed);
  g_array_append_val (entries, patches);
  add (entries, C, 0, "vision.patch_embed.proj.bias");
  for (int l = 0; l < v->vision_layers; l++) {
    static const char *const part[] = { "norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1",
      "mlp.fc2" };
    const int rows[] = { C, 3 * C, C, C, F, C }, columns[] = { 0, C, C, 0, C, F };

    for (guint i = 0; i < G_N_ELEMENTS (part); i++) {
      g_autofree char *name = g_strdup_printf ("vision.blocks.%d.%s", l, part[i]);

      add_linear (entries, name, rows[i], columns[i]);
    }
  }
  add_linear (entries, "vision.norm", C, 0);
  /* the pooling head, which published checkpoints carry and nothing reads */
  g_array_append_val (entries, latent);
  add_linear (entries, "vision.attn_pool.q", C, C);
  add_linear (entries, "vision.attn_pool.kv", 2 * C, C);
  add_linear (entries, "vision.attn_pool.proj", C, C);
  add_linear (entries, "vision.attn_pool.norm", C, 0);
  add_linear (entries, "vision.attn_pool.mlp.fc1", F, C);
  add_linear (entries, "vision.attn_pool.mlp.fc2", C, F);
}

static void
add_attention (GArray *entries, const Variant *v, int l)
{
  const int D = v->hidden, H = v->heads;
  g_autofree char *p = g_strdup_printf ("language.model.layers.%d.self_attn", l);

  if (v->kv_rank == 0) {
    add (entries, D, D, "%s.q_proj.weight", p);
    add (entries, D, D, "%s.k_proj.weight", p);
    add (entries, D, D, "%s.v_proj.weight", p);
    add (entries, D, D, "%s.o_proj.weight", p);
    return;
  }
  add (entries, H * (v->nope + v->rope), D, "%s.q_proj.weight", p);
  add (entries, v->kv_rank + v->rope, D, "%s.kv_a_proj_with_mqa.weight", p);
  add (entries, v->kv_rank, 0, "%s.kv_a_layernorm.weight", p);
  add (entries, H * (v->nope + v->v), v->kv_rank, "%s.kv_b_proj.weight", p);
  add (entries, D, H * v->v, "%s.o_proj.weight", p);
}

static void
add_layer (GArray *entries, const Variant *v, int l)
{
  const int D = v->hidden;
  g_autofree char *p = g_strdup_printf ("language.model.layers.%d.mlp", l);
  g_autofree char *shared = g_strconcat (p, ".shared_experts", NULL);

  add (entries, D, 0, "language.model.layers.%d.input_layernorm.weight", l);
  add_attention (entries, v, l);
  add (entries, D, 0, "language.model.layers.%d.post_attention_layernorm.weight", l);
  if (l == 0) {
    add_mlp (entries, p, D, v->dense);
    return;
  }
  add (entries, v->experts, D, "%s.gate.weight", p);
  if (v->noaux)
    add (entries, v->experts, 0, "%s.gate.e_score_correction_bias", p);
  for (int e = 0; e < v->experts; e++) {
    g_autofree char *expert = g_strdup_printf ("%s.experts.%d", p, e);

    add_mlp (entries, expert, D, v->expert_width);
  }
  add_mlp (entries, shared, D, v->shared * v->expert_width);
}

static GArray *
list_entries (const Variant *v)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (Entry));

  g_array_set_clear_func (entries, entry_clear);
  add_vision (entries, v);
  add_linear (entries, "projector.layers.0", v->hidden, 4 * v->vision_width);
  add_linear (entries, "projector.layers.2", v->hidden, v->hidden);
  add (entries, v->hidden, 0, "image_newline");
  add (entries, v->hidden, 0, "view_seperator");
  add (entries, v->vocabulary, v->hidden, "language.model.embed_tokens.weight");
  for (int l = 0; l < v->layers; l++)
    add_layer (entries, v, l);
  add (entries, v->hidden, 0, "language.model.norm.weight");
  add (entries, v->vocabulary, v->hidden, "language.lm_head.weight");
  return entries;
}

/* --- random numbers ----------------------------------------------------------------------------- */

/* SplitMix64's output function (Steele et al. 2014): word i of stream `key` is mix (key + i · GOLDEN), so
 * a tensor's bytes depend on seed and name alone. */
#define GOLDEN G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)

static inline guint64
mix (guint64 z)
{
  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static guint64
stream_key (guint64 seed, const char *name)
{
  guint64 key = mix (seed + GOLDEN);

  for (; *name != '\0'; name++)
    key = mix (key ^ (guint8) *name);
  return key;
}

static guint16
to_bf16 (float value)
{
  guint32 bits;

  memcpy (&bits, &value, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; /* to nearest even; never NaN here */
  return GUINT16_TO_LE ((guint16) bits);
}

/* 256 equally likely values of that deviation, bell-shaped: the first terms of the error function's
 * inverse. Only + · √, so that every machine has the same. */
static void
make_table (guint16 table[256], double deviation)
{
  double z[256], sum = 0;

  for (int i = 0; i < 256; i++) {
    double t = (2 * i - 255) / 256.0, q = G_PI * t * t;

    z[i] = t * (1 + q / 12 * (1 + q * 7 / 40 * (1 + q * 127 / 588)));
    sum += z[i] * z[i];
  }
  for (int i = 0; i < 256; i++)
    table[i] = to_bf16 ((float) (z[i] / sqrt (sum / 256) * deviation));
}

/* Elements 8 · word … of a tensor, n of them. */
static void
fill (guint16 *out, gsize n, guint64 key, guint64 word, const guint16 table[256])
{
  gsize i = 0;

  for (; i + 8 <= n; i += 8, word++) {
    guint64 r = mix (key + word * GOLDEN);

    for (int k = 0; k < 8; k++)
      out[i + k] = table[r >> 8 * k & 255];
  }
  for (guint64 r = mix (key + word * GOLDEN); i < n; i++, r >>= 8)
    out[i] = table[r & 255];
}

/* --- files -------------------------------------------------------------------------------------- */

static gboolean
write_all (int fd, const void *data, gsize bytes, const char *path, GError **error)
{
  const char *p = data;

  while (bytes > 0) {
    gssize n = write (fd, p, MIN (bytes, 1 << 30));

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s cannot be written: %s",
          path, g_strerror (errno));
      return FALSE;
    }
    p += n;
    bytes -= n;
  }
  return TRUE;
}

static gboolean
write_entry (int fd, const Entry *e, guint64 seed, const char *path, GError **error)
{
  enum { CHUNK = 1 << 19 };
  g_autofree guint16 *chunk = g_new (guint16, CHUNK);
  const guint64 key = stream_key (seed, e->name);
  const gint64 elements = entry_elements (e);
  guint16 table[256];

  make_table (table, 1 / sqrt ((double) entry_fan_in (e)));
  for (int i = 0; e->ones && i < 256; i++)
    table[i] = to_bf16 (1);
  for (gint64 at = 0; at < elements; at += CHUNK) {
    gsize n = MIN (CHUNK, elements - at);

    fill (chunk, n, key, at / 8, table);
    if (!write_all (fd, chunk, 2 * n, path, error))
      return FALSE;
  }
  return TRUE;
}

/* The first 8 + length bytes of a shard of `n` entries. */
static GString *
make_header (const Entry *entry, guint n)
{
  GString *text = g_string_new ("        {\"__metadata__\":{\"format\":\"pt\"}");
  gint64 offset = 0;
  guint64 length;

  for (guint i = 0; i < n; i++) {
    g_string_append_printf (text, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[", entry[i].name);
    for (int d = 0; d < entry[i].dims; d++)
      g_string_append_printf (text, "%s%" G_GINT64_FORMAT, d > 0 ? "," : "", entry[i].dim[d]);
    g_string_append_printf (text, "],\"data_offsets\":[%" G_GINT64_FORMAT ",", offset);
    offset += 2 * entry_elements (&entry[i]);
    g_string_append_printf (text, "%" G_GINT64_FORMAT "]}", offset);
  }
  g_string_append_c (text, '}');
  while (text->len % 8 != 0)
    g_string_append_c (text, ' ');
  length = GUINT64_TO_LE (text->len - 8);
  memcpy (text->str, &length, 8);
  return text;
}

static gboolean
write_shard (const char *path, const Entry *entry, guint n, guint64 seed, GError **error)
{
  g_autoptr (GString) header = make_header (entry, n);
  int fd = g_open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  gboolean ok;

  if (fd < 0) {
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s cannot be made: %s", path,
        g_strerror (errno));
    return FALSE;
  }
  ok = write_all (fd, header->str, header->len, path, error);
  for (guint i = 0; ok && i < n; i++)
    ok = write_entry (fd, &entry[i], seed, path, error);
  return g_close (fd, ok ? error : NULL) && ok;
}

/* The shards, equally large but for whole tensors, and the index. */
static gboolean
write_weights (const char *dir, const Variant *v, guint64 seed, GError **error)
{
  g_autoptr (GArray) entries = list_entries (v);
  g_autoptr (GString) map = g_string_new (NULL);
  g_autofree char *index = g_build_filename (dir, "model.safetensors.index.json", NULL);
  gint64 total = 0, done = 0;
  guint first = 0;

  for (guint i = 0; i < entries->len; i++)
    total += 2 * entry_elements (&g_array_index (entries, Entry, i));
  g_string_append_printf (map, "{\"metadata\":{\"total_size\":%" G_GINT64_FORMAT "},\"weight_map\":{",
      total);

  for (int shard = 1; shard <= v->shards; shard++) {
    g_autofree char *name = g_strdup_printf ("model-%05d-of-%06d.safetensors", shard, v->shards);
    g_autofree char *path = g_build_filename (dir, name, NULL);
    guint i = first;

    for (; i < entries->len && done < total / v->shards * shard; i++) {
      const Entry *e = &g_array_index (entries, Entry, i);

      done += 2 * entry_elements (e);
      g_string_append_printf (map, "%s\n\"%s\":\"%s\"", i > 0 ? "," : "", e->name, name);
    }
    g_print ("%s, %u tensors\n", path, i - first);
    if (!write_shard (path, &g_array_index (entries, Entry, first), i - first, seed, error))
      return FALSE;
    first = i;
  }
  g_string_append (map, "\n}}\n");
  return g_file_set_contents (index, map->str, map->len, error);
}

static void
append_candidates (GString *text, const Variant *v)
{
  const char *comma = "";

  g_string_append (text, "\"candidate_resolutions\": [");
  for (int tiles = 1; tiles <= v->tiles; tiles++) {
    for (int a = 1; a * a <= tiles; a++) {
      if (tiles % a != 0)
        continue;
      g_string_append_printf (text, "%s[%d, %d]", comma, a * v->S, tiles / a * v->S);
      comma = ", ";
      if (a != tiles / a)
        g_string_append_printf (text, ", [%d, %d]", tiles / a * v->S, a * v->S);
    }
  }
  g_string_append (text, "],\n");
}

/* The keys that published files have; the others are the classes' defaults. */
static gboolean
write_config (const char *dir, const Variant *v, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  g_autoptr (GString) t = g_string_new ("{\n");

  append_candidates (t, v);
  g_string_append_printf (t,
      "\"model_type\": \"deepseek_vl_v2\", \"tile_tag\": \"2D\", \"global_view_pos\": \"head\",\n"
      "\"torch_dtype\": \"bfloat16\",\n"
      "\"vision_config\": {\"model_type\": \"vision\", \"image_size\": %d, \"patch_size\": %d, "
      "\"width\": %d,\n"
      "  \"layers\": %d, \"heads\": %d, \"mlp_ratio\": %.4f},\n"
      "\"projector_config\": {\"model_type\": \"mlp_projector\", \"input_dim\": %d, \"n_embed\": "
      "%d},\n",
      v->S, v->patch, v->vision_width, v->vision_layers, v->vision_heads, v->mlp_ratio, v->vision_width,
      v->hidden);
  g_string_append_printf (t,
      "\"language_config\": {\"model_type\": \"deepseek_v2\", \"vocab_size\": %d,\n"
      "  \"bos_token_id\": %d, \"eos_token_id\": %d, \"max_position_embeddings\": %d,\n"
      "  \"hidden_size\": %d, \"num_hidden_layers\": %d, \"intermediate_size\": %d,\n"
      "  \"num_attention_heads\": %d, \"num_key_value_heads\": %d,\n",
      v->vocabulary, v->bos, v->bos + 1, v->positions, v->hidden, v->layers, v->dense, v->heads,
      v->heads);
  if (v->kv_rank == 0)
    g_string_append (t, "  \"use_mla\": false, \"kv_lora_rank\": null, \"qk_nope_head_dim\": 0,\n"
                        "  \"qk_rope_head_dim\": 0, \"v_head_dim\": 0,");
  else
    g_string_append_printf (t,
        "  \"kv_lora_rank\": %d, \"qk_nope_head_dim\": %d, \"qk_rope_head_dim\": %d, \"v_head_dim\": "
        "%d,",
        v->kv_rank, v->nope, v->rope, v->v);
  g_string_append_printf (t,
      " \"q_lora_rank\": null,\n"
      "  \"n_routed_experts\": %d, \"n_shared_experts\": %d, \"num_experts_per_tok\": %d,\n"
      "  \"moe_intermediate_size\": %d, \"first_k_dense_replace\": 1, \"n_group\": 1, \"topk_group\": "
      "1,\n  %s}\n}\n",
      v->experts, v->shared, v->top_k, v->expert_width,
      v->noaux
          ? "\"topk_method\": \"noaux_tc\", \"scoring_func\": \"sigmoid\", \"norm_topk_prob\": true, "
            "\"routed_scaling_factor\": 2.0"
          : "\"topk_method\": \"greedy\"");
  return g_file_set_contents (path, t->str, t->len, error);
}

static gboolean
write_processor (const char *dir, const Variant *v, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "processor_config.json", NULL);
  g_autoptr (GString) t = g_string_new ("{\n");

  append_candidates (t, v);
  g_string_append_printf (t,
      "\"processor_class\": \"DeepseekVLV2Processor\", \"patch_size\": %d, \"downsample_ratio\": 2,\n"
      "\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5], \"normalize\": true,\n"
      "\"image_token\": \"<image>\", \"pad_token\": \"" PAD "\", \"sft_format\": \"deepseek\",\n"
      "\"add_special_token\": false, \"mask_prompt\": false, \"ignore_id\": -100\n}\n",
      v->patch);
  return g_file_set_contents (path, t->str, t->len, error);
}

/* --- the tokenizer ------------------------------------------------------------------------------ */

/* The letter that stands for a byte in byte-level BPE: itself where it prints, else one from U+0100 on. */
static gunichar
byte_letter (int byte)
{
  int n = 0;

  for (int b = 0; b <= byte; b++) {
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae) {
      if (b == byte)
        return byte;
    } else {
      n++;
    }
  }
  return 0x100 + n - 1;
}

/* Words of two, three, four letters, each a word before it and one letter more, until `size` ids are
 * taken: a vocabulary as large as the real one, whose text has more than a byte a token. */
static void
append_words (GString *vocab, GString *merges, int id, int size)
{
  static const char letters[] = "etaoinshrdlucmfwypvbgkqjxz";
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (words, g_strdup ("Ġ"));
  for (int i = 0; letters[i] != '\0'; i++)
    g_ptr_array_add (words, g_strdup_printf ("%c", letters[i]));
  for (guint w = 0; id < size; w++) {
    for (int i = 0; letters[i] != '\0' && id < size; i++, id++) {
      const char *word = words->pdata[w];

      g_string_append_printf (vocab, ",\"%s%c\":%d", word, letters[i], id);
      g_string_append_printf (merges, "%s\"%s %c\"", merges->len > 0 ? "," : "", word, letters[i]);
      g_ptr_array_add (words, g_strdup_printf ("%s%c", word, letters[i]));
    }
  }
}

static void
append_added (GString *text, int id, const char *content)
{
  g_string_append_printf (text,
      "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false,\"special\":true}",
      text->len > 0 ? "," : "", id, content);
}

static gboolean
write_tokenizer (const char *dir, const Variant *v, GError **error)
{
  static const char *const first[] = { BOS, EOS, PAD };
  static const char *const processor[] = { "<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>",
    "<|grounding|>", "<|User|>", "<|Assistant|>" };
  const int bytes = v->bos == 0 ? 3 : 0; /* behind or before the first three */
  g_autofree char *path = g_build_filename (dir, "tokenizer.json", NULL);
  g_autoptr (GString) vocab = g_string_new (NULL), merges = g_string_new (NULL),
                      added = g_string_new (NULL);
  g_autofree char *text = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (first); i++)
    append_added (added, v->bos + i, first[i]);
  for (guint i = 0; i < G_N_ELEMENTS (processor); i++)
    append_added (added, v->image + i, processor[i]);
  for (int b = 0; b < 256; b++) {
    g_string_append (vocab, b > 0 ? ",\"" : "\"");
    if (b == '"' || b == '\\')
      g_string_append_c (vocab, '\\');
    g_string_append_unichar (vocab, byte_letter (b));
    g_string_append_printf (vocab, "\":%d", bytes + b);
  }
  append_words (vocab, merges, bytes + 256, v->bos == 0 ? v->image : v->bos);
  text = g_strdup_printf (
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[%s],\n"
      "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[\n"
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}{1,3}\"},\"behavior\":\"Isolated\","
      "\"invert\":false},\n"
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\" ?\\\\p{L}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+\"},"
      "\"behavior\":\"Isolated\",\"invert\":false},\n"
      "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
      "\"use_regex\":false}]},\n"
      "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
      "\"trim_offsets\":true,\"use_regex\":true},\n"
      "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
      "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
      "\"byte_fallback\":false,\"vocab\":{%s},\n\"merges\":[%s]}}\n",
      added->str, vocab->str, merges->str);
  return g_file_set_contents (path, text, -1, error);
}

/* --- the program -------------------------------------------------------------------------------- */

/* Nobody's weights are overwritten. */
static gboolean
make_folder (const char *dir, GError **error)
{
  g_autoptr (GDir) entries = NULL;

  if (g_mkdir_with_parents (dir, 0777) != 0) {
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s cannot be made: %s", dir,
        g_strerror (errno));
    return FALSE;
  }
  entries = g_dir_open (dir, 0, error);
  if (entries == NULL)
    return FALSE;
  if (g_dir_read_name (entries) != NULL) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST, "%s is not empty, a new folder was expected",
        dir);
    return FALSE;
  }
  return TRUE;
}

static const Variant *
find_variant (const char *name, GError **error)
{
  g_autoptr (GString) known = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (variants); i++) {
    if (g_strcmp0 (variants[i].name, name) == 0)
      return &variants[i];
    g_string_append_printf (known, "\n  %-10s%s", variants[i].name, variants[i].about);
  }
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      "The variant is \"%s\", one of these was expected:%s", name, known->str);
  return NULL;
}

int
main (int argc, char **argv)
{
  g_autofree char *name = NULL;
  gint64 seed = 1;
  const GOptionEntry options[] = {
    { "variant", 0, 0, G_OPTION_ARG_STRING, &name, "tiny, small, vl2, mini (the default), mini-mla",
        "NAME" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "other weights (1)", "N" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("DIR");
  g_autoptr (GError) error = NULL;
  const Variant *v;

  g_option_context_set_summary (context,
      "Writes a random checkpoint with the sizes of a published one.");
  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      (v = find_variant (name != NULL ? name : "mini", &error)) == NULL) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  if (argc != 2) {
    g_printerr ("One folder to write to was expected.\n");
    return 2;
  }
  if (!make_folder (argv[1], &error) || !write_config (argv[1], v, &error) ||
      !write_processor (argv[1], v, &error) || !write_tokenizer (argv[1], v, &error) ||
      !write_weights (argv[1], v, seed, &error)) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  return 0;
}
