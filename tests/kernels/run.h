/* dsvl2: one run of a case, as check_kernels sees it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_RUN_H
#define DSVL2_RUN_H

#include "check.h"
#include "peers.h"

enum { MAX_BLOCKS = 512, MAX_OUTPUTS = 8, MAX_LAPS = 200 };

/* Memory of the back end. On the CPU it ends at an inaccessible page. */
typedef struct {
  void *base, *data;
  size_t mapped, bytes;
  bool writable;
} Block;

typedef struct {
  const void *data; /* the back end's */
  void *host;       /* what it held afterwards; owned */
  int rows, width;
  bool ints;
} Output;

struct _Run {
  Ops *k;
  bool bf16;
  int step;    /* rows at a time, 0: all */
  int threads; /* of k */

  char label[200];
  double rtol, flops, bytes;
  bool overrun; /* something was written outside of a block */

  uint64_t state; /* of the random numbers */
  int times;      /* executions so far */
  Block block[MAX_BLOCKS];
  int n_blocks;
  Weight placed[MAX_BLOCKS];
  int n_placed;
  Output output[MAX_OUTPUTS];
  int n_outputs;

  bool bench;
  double begun;                                        /* the lap at hand */
  double lap[MAX_LAPS], peer_lap[MAX_PEERS][MAX_LAPS]; /* seconds */
  Peer peer[MAX_PEERS];
  int n_peers;
  double seconds;               /* median */
  double peer_ratio[MAX_PEERS]; /* the peer's to ours: median of each lap's */
};

/* Runs case i. The outputs stay until run_clear(). */
void run_execute (Run *r, Ops *k, bool bf16, int step, const OpCheck *check, int i);

/* Measures bench case i, our laps and those of peers by turns. */
void run_bench (Run *r, Ops *k, bool bf16, int threads, const OpCheck *check, int i);
void run_clear (Run *r);

/* The largest difference between two runs' outputs in parts of the row's largest value; NAN where one has
 * a NaN or infinity that the other lacks; ints must be equal. Prints where it is worst if `says`. */
double run_difference (const Run *want, const Run *got, bool says);
bool run_equal (const Run *a, const Run *b, bool says);

double now (void);

#endif
