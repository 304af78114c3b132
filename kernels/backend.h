/* dsvl2: the op table, the one contract between the engine and a back end
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A back end is an Ops: one function for each step of the model, plus memory. The engine never asks
 * which back end it talks to. This header says what each op computes; kernels/cpu/<family>_ref.c says
 * it again in plain C, and every faster version is compared with that in tests/kernels.
 *
 * Rules that hold for every op:
 *  - Every data pointer is memory of the back end (alloc, upload); structures and sizes are the host's.
 *  - Arrays are dense, row-major float32 unless a comment says otherwise. Nothing is allocated.
 *  - An output never overlaps an input unless the op's comment allows it.
 *  - Weights may be of any dense type; linear and moe_experts may take quantised ones too (weight.h).
 *  - Row t of a result depends on row t of the inputs alone, bit for bit: not on T, not on the other
 *    rows, not on the number of threads. So a prompt gives the same tokens whether it is prefilled whole
 *    or in chunks, alone or beside other requests.
 *  - An op returns nothing. What can fail while running (a device that is lost) is kept and given by
 *    failure(); the engine asks once a step.
 *
 * Letters:  T rows (tokens, patches)   D hidden width   I, O a matrix's input and output width
 *           H heads   d width of a head   E routed experts   K experts of a token   F an expert's width
 *           V vocabulary   N tiles   S a tile's side   P patches of a tile
 */
#ifndef DSVL2_BACKEND_H
#define DSVL2_BACKEND_H

#include "kernels/weight.h"

typedef struct _Ops Ops;

/* What linear does to its sum before storing it. */
enum {
  EPI_GELU_TANH = 1 << 0, /* 0.5 v (1 + tanh (√(2/π) (v + 0.044715 v³))), after the bias */
  EPI_GELU_ERF = 1 << 1,  /* 0.5 v (1 + erf (v / √2)), after the bias */
  EPI_ADD = 1 << 2,       /* last: add to what y holds (the residual stream) */
};

/* Beside these: the rows are those of whole tiles of a picture, so many each, and the call is of LANE_PICTURES. What
 * becomes of a row may then depend on its place in its tile as well, but never on the other tiles. */
#define LINEAR_TILES(rows) ((unsigned) (rows) << 8)

static inline int
linear_tile_rows (unsigned epilogue)
{
  return epilogue >> 8;
}

/* One colour component of a frame: its first sample, bytes from one row (sample) to the next, log2 of its
 * subsampling. */
typedef struct {
  const uint8_t *data;
  ptrdiff_t row, step;
  int shift_x, shift_y;
} FrameChannel;

/* A frame as video has it. R, G, B are channel 0, 1, 2; of a YCbCr frame they are Y, Cb, Cr, and
 *   rgb[i] = clamp ((Σ_j matrix[i][j] · (sample[j] − offset[j]) + 2¹⁵) >> 16, 0, 255)
 * with chroma taken from the nearest sample; of a grey frame channel 0 is all three. `bits` is 8, or 16
 * for little-endian samples whose high byte is what counts (P010). |matrix| < 2²⁰, offset 0 … 255.
 * The samples are in host memory, or, where `context` is not NULL, in device memory of that CUcontext. */
typedef enum { FRAME_RGB, FRAME_YCBCR, FRAME_GREY } FrameColor;

typedef struct {
  int width, height;
  FrameColor color;
  int bits;
  FrameChannel channel[3];
  int32_t matrix[3][3], offset[3];
  void *context;
} Frame;

/* The canvas that a frame is fitted into: across × down tiles of S × S. The frame is scaled with its
 * aspect kept to inner_width × inner_height, at least 1 × 1, at (left, top) inside it; the rest is `grey`;
 * then (v / 255 − mean[c]) / std[c]. */
typedef struct {
  int across, down, S;
  int left, top, inner_width, inner_height;
  uint8_t grey[3];
  float mean[3], std[3];
} Canvas;

/* Bytes of scratch that frame_tiles needs: the frame as RGB, scaled across but not yet down, and the
 * filter's taps. */
size_t frame_tiles_scratch (const Frame *frame, const Canvas *canvas);

/* The rows of one step of the decoder: tokens of several sequences, each at its position. Sequence s
 * keeps position p in slot p % page_tokens of page pages[s · pages_per_sequence + p / page_tokens].
 * The host does not see what the arrays hold; two numbers tell it what a launch may look like, and change no
 * bit of a result. */
typedef struct {
  int T;
  int singles; /* so many rows come first that are each the only one of their sequence (decoding) */
  int reach;   /* more than every position of those rows; 0: as many as the pages hold */
  const int32_t *position; /* [T] */
  const int32_t *sequence; /* [T] */
  const int32_t *pages;    /* [sequences, pages_per_sequence] */
  int pages_per_sequence, page_tokens;
} StepRows;

/* Attention over pages. Query head h reads key head h / (H / kv_heads). A key row (one token's slot in
 * k_pool) is k_width floats and head j's key starts at j · dk in it; values likewise with v_width and dv.
 * MHA: two pools. MLA: one pool of latents serves as both, kv_heads = 1, dk = latent + rope,
 * dv = latent (a prefix of the key). */
typedef struct {
  int H, kv_heads, dk, dv, k_width, v_width;
  float scale;
} AttentionShape;

/* Bytes of scratch that attend needs where up to n rows, at least one, are singles with a `reach` of up to
 * so many positions: what each run of ATTEND_SPLIT positions adds to a head. */
enum { ATTEND_SPLIT = 64 };
size_t attend_scratch (const AttentionShape *shape, int n, int positions);

/* How a token's experts are chosen; official code: modeling_deepseek.py, MoEGate. */
typedef enum { ROUTE_SOFTMAX, ROUTE_SIGMOID } RouteScore;
typedef enum { ROUTE_GREEDY, ROUTE_GROUP_LIMITED, ROUTE_NOAUX_TC } RouteMethod;

typedef struct {
  int E, K;
  RouteScore score;
  RouteMethod method;
  int groups, top_groups; /* of ROUTE_GROUP_LIMITED and ROUTE_NOAUX_TC; E % groups == 0 */
  bool normalize;         /* weights ÷ (their sum + 1e-20), where K > 1 */
  float scale;            /* … × scale */
} Route;

/* Routed experts of one layer: all matrices of one type. */
typedef struct {
  int E, D, F;
  const Weight *gate, *up, *down; /* [E] of F × D, F × D, D × F */
} Experts;

/* Bytes of scratch that moe_experts needs for T rows of K experts. */
size_t moe_experts_scratch (int T, int K, int D, int F);

/* What an op may have to keep aside for one row is bounded: experts to choose from, floats of a head that
 * rope de-interleaves. */
enum { OPS_MAX_EXPERTS = 4096, OPS_MAX_ROPE = 4096 };

enum { OPS_MESSAGE = 256, OPS_NOTE = 2 * OPS_MESSAGE };

/* Steps of the decoder, and pictures that are encoded meanwhile. */
typedef enum { LANE_STEPS, LANE_PICTURES } OpsLane;

struct _Ops {
  const char *name; /* "cpu", "cuda" */
  /* What the table was filled with: "c", "avx2", "avx512", "avx512bf16", "sm_90", "sm_90+bf16", "sm_90+bf16+cublaslt+cudnn" … */
  const char *isa;
  /* Why `auto` did not take a faster device, or no faster library was taken; "" where there is nothing to say. */
  char note[OPS_NOTE];
  /* Of a back end that reads frames in device memory: the CUcontext that it computes in, and the number of
   * that device; NULL otherwise. */
  void *context;
  int device;
  bool quantised; /* linear and moe_experts take quantised weights */

  void (*close) (Ops *k);

  /* --- memory ---------------------------------------------------------------------------------- */

  /* 64-byte aligned, zeroed and committed only as it is touched (mmap, calloc); NULL where there is not
   * that much. */
  void *(*alloc) (Ops *k, size_t bytes);
  void (*free) (Ops *k, void *memory);
  void (*upload) (Ops *k, void *to, const void *host, size_t bytes);
  void (*download) (Ops *k, void *host, const void *from, size_t bytes); /* waits for what writes it */
  /* Makes host weights usable by ops: w->data may change, else the host's memory must stay. False where
   * memory ran out. unplace undoes it. */
  bool (*place) (Ops *k, Weight *w);
  void (*unplace) (Ops *k, Weight *w);
  /* One sentence for the user about the first thing that failed since the back end was opened; NULL
   * while all is well. */
  const char *(*failure) (Ops *k);

  /* --- steps ----------------------------------------------------------------------------------- */

  /* Runs body (data), which calls ops and nothing else, or, where an equal step came before, what that one
   * called. Steps are equal whose `wanted` and whose members of `rows` are: for these body must call the same ops
   * with the same arguments. Only what memory holds may differ. */
  void (*step) (Ops *k, const StepRows *rows, int wanted, void (*body) (void *data), void *data);

  /* Says what the calls that follow are for, at first steps. A back end may do pictures beside steps: they begin
   * behind all steps so far, but a step may read what pictures wrote only when pictures_done () was true. Scratch is
   * not shared between the two. */
  void (*lane) (Ops *k, OpsLane lane);

  /* Has all been done that was called for pictures? With `wait` it waits for that, and is true. */
  bool (*pictures_done) (Ops *k, bool wait);

  /* --- pictures -------------------------------------------------------------------------------- */

  /* tiles [across · down, 3, S, S]: the frame letter-boxed onto the canvas with Pillow's bicubic filter
   * (a = −0.5, support widened by the shrink factor, each of the two passes rounded to 8 bits: width
   * first, as up to Pillow 12.2), normalised, cut row by row. A frame has been read when this returns; one
   * in device memory is for back ends that have a `context`: of that one it is read in place.
   * `scratch`: frame_tiles_scratch(). */
  void (*frame_tiles) (Ops *k, float *tiles, const Frame *frame, const Canvas *canvas, void *scratch);

  /* y [N · P, 3 · p · p] ← tiles [N, 3, S, S]: patch rows, channel-major (c, ky, kx), P = (S / p)². */
  void (*patchify) (Ops *k, float *y, const float *tiles, int N, int S, int p);

  /* y [N · ⌈h/f⌉ · ⌈w/f⌉, C · f · f] ← x [N, h · w, C]: f × f neighbours side by side, feature
   * c · f² + ky · f + kx; zeros right and below the grid. */
  void (*unfold) (Ops *k, float *y, const float *x, int N, int h, int w, int C, int f);

  /* out [N · P, H · d] ← softmax (q kᵀ · d^−½) v inside each tile; qkv [N · P, 3, H, d]. */
  void (*attend_tiles) (Ops *k, float *out, const float *qkv, int N, int P, int H, int d);

  /* --- rows ------------------------------------------------------------------------------------ */

  /* y[t] = table[ids[t]] where ids[t] ≥ 0; other rows of y [T, D] stay. table is R × D. */
  void (*gather_rows) (Ops *k, float *y, const Weight *table, const int32_t *ids, int T);

  /* x[t] += table[t % R]; x [T, D], table [R, D]. */
  void (*add_rows) (Ops *k, float *x, const float *table, int T, int R, int D);

  /* y[t] = (x[t] − mean) / √(variance + eps) · gamma + beta, population variance; y may be x. */
  void (*layer_norm) (Ops *k, float *y, const float *x, const float *gamma, const float *beta,
      float eps, int T, int D);

  /* y[t] = x[t] / √(mean (x[t]²) + eps) · gamma over the first D of the `row` floats that a row of x and of
   * y has; y may be x. */
  void (*rms_norm) (Ops *k, float *y, const float *x, const float *gamma, float eps, int T, int D,
      int row);

  /* y [T, F] = silu (gate) · up, silu (v) = v / (1 + e^−v); y may be gate or up. */
  void (*silu_mul) (Ops *k, float *y, const float *gate, const float *up, int T, int F);

  /* --- matrices -------------------------------------------------------------------------------- */

  /* y[t, o] = epilogue (Σ_i x[t, i] · w[o, i] + bias[o]); x [T, I], y [T, O], bias [O] or NULL.
   * T = 1 is a matrix-vector product and reads w once. `epilogue`: EPI_… | LINEAR_TILES(). */
  void (*linear) (Ops *k, float *y, const float *x, const Weight *w, const float *bias, int T,
      unsigned epilogue);

  /* A small matrix for each head: y[t, h, o] = Σ_i x[t, h, i] · w[h · O + o, i], O = w->O / H, I = w->I.
   * Row t of x (y) starts at t · x_row (y_row) floats, head h at h · x_head (y_head) more. */
  void (*linear_heads) (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head,
      const Weight *w, int H, int T);

  /* --- attention over pages -------------------------------------------------------------------- */

  /* y = the first d floats of each of n heads of x, rotated; y may be x. Head j of row t starts at
   * t · x_row + j · x_head (y_row, y_head). Position p's angles are cosine[p · d/2], sine[p · d/2]. Pairs are
   * (i, i + d/2); `interleaved` first brings (2i, 2i + 1) there (DeepSeek's MLA). */
  void (*rope) (Ops *k, float *y, int y_row, int y_head, const float *x, int x_row, int x_head, int n,
      int d, const float *cosine, const float *sine, bool interleaved, const StepRows *rows);

  /* Stores x[t · x_row …] (width floats) in row t's slot of pool [pages, page_tokens, width]. */
  void (*kv_write) (Ops *k, float *pool, const float *x, int x_row, int width, const StepRows *rows);

  /* out [T, H, dv]: q [T, H, dk] against positions 0 … position[t] of t's own sequence. `scratch`:
   * attend_scratch(). */
  void (*attend) (Ops *k, float *out, const float *q, const float *k_pool, const float *v_pool,
      const AttentionShape *shape, const StepRows *rows, void *scratch);

  /* --- experts --------------------------------------------------------------------------------- */

  /* ids [T, K], weights [T, K] ← logits [T, E]; bias [E] or NULL selects but does not weigh
   * (ROUTE_NOAUX_TC). Of equal scores the lower index wins. Slots in falling order of score. */
  void (*moe_route) (Ops *k, int32_t *ids, float *weights, const float *logits, const float *bias,
      const Route *route, int T);

  /* y[t] += Σ_k weights[t, k] · down_e (silu (gate_e (x[t])) · up_e (x[t])), e = ids[t, k], summed in
   * slot order; x, y [T, D]. `scratch`: moe_experts_scratch(). An expert's weights are read once. */
  void (*moe_experts) (Ops *k, float *y, const float *x, const int32_t *ids, const float *weights,
      const Experts *experts, int T, int K, void *scratch);

  /* --- logits ---------------------------------------------------------------------------------- */

  /* ids[t] = the largest of logits[t] (the lowest index of equals; 0 where all are −∞), logprobs[t] = its
   * log-softmax. NaN counts as −∞; where the largest is infinite, logprobs[t] is 0 or −∞. */
  void (*argmax) (Ops *k, int32_t *ids, float *logprobs, const float *logits, int T, int V);
};

/* What back end, and how. */
typedef struct {
  const char *device; /* "auto", "cpu", "cuda", "cuda:N" */
  int threads;        /* of the CPU's ops; 0: one for each processor that this process may use */
  const char *isa;    /* the newest instructions to use: "c", "avx2", "avx512", "avx512bf16"; NULL: the
                       * environment variable DSVL2_ISA, else what the processor has */
  bool bf16;          /* ops may round what they multiply to bf16, as the published models do */
  /* CUDA with bf16: what attends inside tiles: "own", "cudnn" (an error where cuDNN cannot), or "auto" (NULL):
   * cuDNN where it can, else our own kernel, and Ops.note says why. */
  const char *attention;
  struct {
    int P, H, d;
  } tile; /* what attend_tiles is going to be asked for; 0: not known */
} OpsOptions;

/* ops_open: a back end whose table is complete. NULL with one sentence in `message` where the device is
 * not there, the ISA is unknown or not this processor's, the attention is unknown or cuDNN cannot, an op is
 * missing, or memory or threads ran out. */
Ops *ops_open (const OpsOptions *options, char message[OPS_MESSAGE]);

#endif
