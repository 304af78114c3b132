/* dsvl2: what ours is measured against: matrix products of other libraries, plain reading
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peers.h"

#include "tests/bench/bandwidth.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The matrices hold about 1 everywhere, in f32 as well as in bf16. */
static void *
filled (size_t bytes)
{
  uint16_t *data = aligned_alloc (64, (bytes + 63) / 64 * 64);

  for (size_t i = 0; data && i < bytes / 2; i++)
    data[i] = 0x3f80;
  return data;
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* --- OpenBLAS ------------------------------------------------------------------------------------ */

typedef void (*Sgemm) (int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
    const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef struct {
  Sgemm sgemm;
  int T, I, O;
  float *x, *w, *y;
} BlasProduct;

static double
blas_run (void *data)
{
  const BlasProduct *p = data;
  const double begun = now ();

  p->sgemm (ROW_MAJOR, NO_TRANS, TRANS, p->T, p->O, p->I, 1, p->x, p->I, p->w, p->I, 0, p->y, p->O);
  return now () - begun;
}

static void
blas_free (void *data)
{
  BlasProduct *p = data;

  free (p->x);
  free (p->w);
  free (p->y);
  free (p);
}

/* False where it is not installed. The library itself stays loaded: it has threads. */
static bool
blas_open (Peer *peer, int T, int I, int O, int threads)
{
  void *library = dlopen ("libopenblas.so.0", RTLD_NOW);
  const Sgemm sgemm = library ? (Sgemm) dlsym (library, "cblas_sgemm") : NULL;
  void (*set_threads) (int) =
      library ? (void (*) (int)) dlsym (library, "openblas_set_num_threads") : NULL;
  BlasProduct *p;

  if (!sgemm || !set_threads)
    return false;
  if (threads > 0)
    set_threads (threads);
  p = malloc (sizeof *p);
  *p =
      (BlasProduct){ sgemm, T, I, O, filled (4ul * T * I), filled (4ul * O * I), filled (4ul * T * O) };
  *peer = (Peer){ "OpenBLAS", blas_run, blas_free, p };
  return true;
}

/* --- oneDNN -------------------------------------------------------------------------------------- */

#if defined HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#endif

#if defined HAVE_DNNL && DNNL_VERSION_MAJOR == 2

/* Its functions, found at run time. */
#define DNNL_FUNCTIONS(F)                                                                              \
  F (dnnl_engine_create)                                                                               \
  F (dnnl_engine_destroy)                                                                              \
  F (dnnl_stream_create)                                                                               \
  F (dnnl_stream_destroy)                                                                              \
  F (dnnl_stream_wait)                                                                                 \
  F (dnnl_memory_desc_init_by_tag)                                                                     \
  F (dnnl_memory_desc_get_size)                                                                        \
  F (dnnl_memory_create)                                                                               \
  F (dnnl_memory_destroy)                                                                              \
  F (dnnl_matmul_desc_init)                                                                            \
  F (dnnl_primitive_desc_create)                                                                       \
  F (dnnl_primitive_desc_destroy)                                                                      \
  F (dnnl_primitive_desc_query_md)                                                                     \
  F (dnnl_primitive_create)                                                                            \
  F (dnnl_primitive_destroy)                                                                           \
  F (dnnl_primitive_execute)

#define DECLARE(f) __typeof__ (f) *f##_;
typedef struct {
  DNNL_FUNCTIONS (DECLARE)
} Dnnl;

typedef struct {
  Dnnl f;
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t args[3];
  void *data[3];
} DnnlProduct;

static double
dnnl_run (void *data)
{
  DnnlProduct *p = data;
  const double begun = now ();

  p->f.dnnl_primitive_execute_ (p->primitive, p->stream, 3, p->args);
  p->f.dnnl_stream_wait_ (p->stream);
  return now () - begun;
}

static void
dnnl_free (void *data)
{
  DnnlProduct *p = data;

  for (int i = 0; i < 3; i++) {
    if (p->args[i].memory)
      p->f.dnnl_memory_destroy_ (p->args[i].memory);
    free (p->data[i]);
  }
  if (p->primitive)
    p->f.dnnl_primitive_destroy_ (p->primitive);
  if (p->stream)
    p->f.dnnl_stream_destroy_ (p->stream);
  if (p->engine)
    p->f.dnnl_engine_destroy_ (p->engine);
  free (p);
}

static bool
dnnl_find (Dnnl *f, void *library)
{
#define FIND(name)                                                                                     \
  if (!(f->name##_ = (__typeof__ (name) *) dlsym (library, #name)))                                    \
    return false;
  DNNL_FUNCTIONS (FIND)
  return true;
}

/* Matrix i of the product in the layout that the primitive wants. */
static bool
dnnl_add_matrix (DnnlProduct *p, int i, int which, const dnnl_memory_desc_t *layout)
{
  p->data[i] = filled (p->f.dnnl_memory_desc_get_size_ (layout));
  p->args[i].arg = which;
  return p->data[i] &&
         p->f.dnnl_memory_create_ (&p->args[i].memory, layout, p->engine, p->data[i]) == dnnl_success;
}

/* The weights in any layout: it may pack them beforehand. */
static bool
dnnl_prepare (DnnlProduct *p, int T, int I, int O, bool bf16)
{
  const dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
  dnnl_memory_desc_t x, w, y;
  dnnl_matmul_desc_t matmul;
  dnnl_primitive_desc_t desc;
  bool done;

  if (p->f.dnnl_engine_create_ (&p->engine, dnnl_cpu, 0) != dnnl_success ||
      p->f.dnnl_stream_create_ (&p->stream, p->engine, dnnl_stream_default_flags) != dnnl_success)
    return false;
  p->f.dnnl_memory_desc_init_by_tag_ (&x, 2, (dnnl_dims_t){ T, I }, type, dnnl_ab);
  p->f.dnnl_memory_desc_init_by_tag_ (&w, 2, (dnnl_dims_t){ I, O }, type, dnnl_format_tag_any);
  p->f.dnnl_memory_desc_init_by_tag_ (&y, 2, (dnnl_dims_t){ T, O }, dnnl_f32, dnnl_ab);
  if (p->f.dnnl_matmul_desc_init_ (&matmul, &x, &w, NULL, &y) != dnnl_success ||
      p->f.dnnl_primitive_desc_create_ (&desc, &matmul, NULL, p->engine, NULL) != dnnl_success)
    return false;
  done = p->f.dnnl_primitive_create_ (&p->primitive, desc) == dnnl_success &&
         dnnl_add_matrix (p, 0, DNNL_ARG_SRC, &x) &&
         dnnl_add_matrix (p, 1, DNNL_ARG_WEIGHTS,
             p->f.dnnl_primitive_desc_query_md_ (desc, dnnl_query_weights_md, 0)) &&
         dnnl_add_matrix (p, 2, DNNL_ARG_DST, &y);
  p->f.dnnl_primitive_desc_destroy_ (desc);
  return done;
}

static bool
dnnl_open (Peer *peer, int T, int I, int O, bool bf16)
{
  void *library = dlopen ("libdnnl.so.2", RTLD_NOW);
  DnnlProduct *p = calloc (1, sizeof *p);

  if (!library || !dnnl_find (&p->f, library)) {
    free (p);
    return false;
  }
  *peer = (Peer){ bf16 ? "oneDNN bf16" : "oneDNN", dnnl_run, dnnl_free, p };
  if (dnnl_prepare (p, T, I, O, bf16))
    return true;
  dnnl_free (p);
  return false;
}

#else

static bool
dnnl_open (Peer *peer, int T, int I, int O, bool bf16)
{
  return false;
}

#endif

/* --- reading ------------------------------------------------------------------------------------- */

static double
read_once (void *data)
{
  return reader_pass (data);
}

static void
close_reader (void *data)
{
  reader_free (data);
}

bool
peer_open_reader (Peer *peer, size_t bytes, int threads)
{
  Reader *r = reader_new (threads, bytes);

  *peer = (Peer){ "reading", read_once, close_reader, r };
  return r != NULL;
}

int
peers_open (Peer peers[MAX_PEERS], int T, int I, int O, bool bf16, int threads)
{
  char text[16];
  int n = 0;

  /* Read when they are loaded. Their threads are not to wait busily while it is our turn. */
  setenv ("OMP_WAIT_POLICY", "passive", 1);
  setenv ("OPENBLAS_THREAD_TIMEOUT", "4", 1);
  if (threads > 0) {
    snprintf (text, sizeof text, "%d", threads);
    setenv ("OMP_NUM_THREADS", text, 1);
  }
  n += blas_open (&peers[n], T, I, O, threads);
  n += dnnl_open (&peers[n], T, I, O, bf16);
  return n;
}
