/* dsvl2: what the op families of the CUDA back end share on the host's side
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The back end is a module that ops_open () loads, so that the library itself needs no CUDA. Every op
 * enqueues its kernels on the stream of its lane and returns; download() waits. C and C++ include this header. */
#ifndef DSVL2_CUDA_H
#define DSVL2_CUDA_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/backend.h"

/* Pinned memory through which everything goes to the device: a slot is written again when the copy out
 * of it has been done. */
enum { STAGING_SLOTS = 16, STAGING_BYTES = 1 << 20 };

typedef struct {
  char *base;
  cudaEvent_t copied[STAGING_SLOTS];
  unsigned next;
} Staging;

/* A large piece of device memory that weights are packed into; freed with the last of them. */
typedef struct _Slab Slab;

/* Small tables of the host's, kept on the device from their first use on. */
typedef struct _Table Table;

/* A step that came before, and the graph that replays it. */
typedef struct _Recording Recording;

/* Memory that grows to the largest that was asked for. */
typedef struct {
  void *data;
  size_t bytes;
} Buffer;

/* Attention inside tiles by cuDNN. */
typedef struct _TilesDnn TilesDnn;

/* Products of tiles' rows by cuBLASLt. */
typedef struct _Lt Lt;

/* Of each lane its own (lanes.c). */
typedef struct {
  cudaStream_t stream;
  Staging staging;
  Buffer rounded; /* an op's input in bf16 */
} Lane;

/* Kernels that were allowed more shared memory than a block has without asking; a device has few of them. */
enum { MOST_ROOMY = 64 };

/* The back end's state; the table comes first, so that an Ops * of CUDA is a Cuda *. */
typedef struct {
  Ops ops;
  int device;
  char isa[40]; /* "sm_90", "sm_90+bf16", "sm_90+bf16+cublaslt+cudnn" */
  bool bf16;    /* products may round their inputs, and this device's tensor cores multiply bf16 */
  size_t most_shared; /* bytes of shared memory that a block may have */
  const void *roomy[MOST_ROOMY];
  int n_roomy;
  OpsLane
      lane; /* whose `stream`, `staging` and `rounded` these are; of the other they are in `other` */
  cudaStream_t stream;
  Staging staging;
  Buffer rounded;
  Lane other;
  cudaEvent_t stepped, pictured; /* the ends of what the lanes were given last */
  Slab *slabs;
  Table *tables;
  Recording *recordings;   /* the latest used first */
  bool capturing;          /* what is enqueued becomes a graph: memory stays as it is */
  Buffer frame, host_taps; /* a frame's planes on the device; its filter's taps on the host */
  void *copy_peer;         /* cuMemcpyPeerAsync */
  TilesDnn *tiles_dnn;     /* NULL: our own kernel attends */
  Lt *lt;                  /* NULL: our own kernels multiply */
  char failure[OPS_MESSAGE];
} Cuda;

static inline Cuda *
cuda (Ops *k)
{
  return (Cuda *) k;
}

/* --- open.c -------------------------------------------------------------------------------------- */

/* Adds a sentence to ops.note. */
void cuda_note (Cuda *c, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* --- memory.c ------------------------------------------------------------------------------------ */

/* Keeps the first failure as a sentence: `what` could not be done. True if there is none. */
bool cuda_check (Cuda *c, cudaError_t error, const char *what);

bool staging_open (Cuda *c, Staging *s);
void staging_close (Staging *s);
void cuda_fill_memory (Ops *k);
void memory_close (Cuda *c);

/* Copies `rows` rows of `width` bytes to dense rows on the device; the host's rows are `stride` bytes
 * apart. */
void upload_rows (Cuda *c, void *to, const void *host, ptrdiff_t stride, size_t width, size_t rows);

/* The device's copy of a table of the host's, made when these bytes are first seen; NULL where memory
 * ran out. It stays until the back end is closed. */
const void *table_on_device (Cuda *c, const void *host, size_t bytes);

/* At least so many bytes on the device, of no defined content; NULL where memory ran out. */
void *buffer_on_device (Cuda *c, Buffer *buffer, size_t bytes);

/* --- launch.c ------------------------------------------------------------------------------------ */

/* Bytes of dynamic shared memory that any kernel may have: 48 KiB less what it may have beside them. */
enum { SHARED_UNASKED = 32 << 10 };

/* Lets a kernel have as much dynamic shared memory as the device has, when it is first asked for it. */
bool allow_shared (Cuda *c, const void *kernel, const char *what);

/* --- graphs.c ------------------------------------------------------------------------------------ */

/* Gives up all graphs: memory that they name goes, or the back end. */
void graphs_forget (Cuda *c);

/* --- lanes.c ------------------------------------------------------------------------------------- */

bool lanes_open (Cuda *c);
void lanes_close (Cuda *c);

/* Waits for both. */
void lanes_finish (Cuda *c);

/* --- context.c ----------------------------------------------------------------------------------- */

/* Finds the context that the runtime works in on c->device, which is the current one: ops.context. */
bool context_open (Cuda *c);

/* Copies device memory of another context, perhaps of another device, to our own. */
bool copy_from_context (Cuda *c, void *to, const void *from, void *context, size_t bytes);

/* --- rounding.cu --------------------------------------------------------------------------------- */

/* bf16 ← float32, nearest even, and back; n elements, those in bf16 16-byte aligned. */
void round_to_bf16 (Cuda *c, void *y, const float *x, size_t n);
void widen_bf16 (Cuda *c, float *y, const void *x, size_t n);

/* --- tilesdnn.c ---------------------------------------------------------------------------------- */

/* Lets cuDNN attend inside tiles where o->attention and c->bf16 allow it and it can, else leaves attend_tiles as
 * it is, with the reason in ops.note. False with a sentence where cuDNN was asked for by name and cannot. */
bool tiles_dnn_open (Cuda *c, const OpsOptions *o, char message[OPS_MESSAGE]);
void tiles_dnn_close (Cuda *c);

/* --- lt.c ---------------------------------------------------------------------------------------- */

/* Lets cuBLASLt multiply tiles' rows where c->bf16 allows it and it can, else leaves linear as it is, with the reason
 * in ops.note. */
void lt_open (Cuda *c);
void lt_close (Cuda *c);

/* --- families ------------------------------------------------------------------------------------ */

void cuda_fill_attention (Ops *k);
void cuda_fill_experts (Ops *k);
void cuda_fill_frames (Ops *k);
void cuda_fill_graphs (Ops *k);
void cuda_fill_lanes (Ops *k);
void cuda_fill_linear (Ops *k);
void cuda_fill_logits (Ops *k);
void cuda_fill_norm (Ops *k);
void cuda_fill_patches (Ops *k);
void cuda_fill_rope (Ops *k);
void cuda_fill_routing (Ops *k);
void cuda_fill_rows (Ops *k);

#ifdef __cplusplus
}
#endif

#endif
