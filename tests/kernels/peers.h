/* dsvl2: what ours is measured against: matrix products of other libraries, plain reading
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Nothing of the product uses them. They are looked for when check_kernels --bench runs (OpenBLAS), and
 * when it is built as well (oneDNN, for its header). */
#ifndef DSVL2_PEERS_H
#define DSVL2_PEERS_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_PEERS = 2 };

typedef struct {
  const char *name;
  double (*run) (void *data); /* once; returns the seconds that it took */
  void (*free) (void *data);
  void *data;
} Peer;

/* The libraries that are there, ready to multiply [T, I] by [I, O] in bf16 or f32 with so many threads
 * (0: all). Returns how many, at most MAX_PEERS. */
int peers_open (Peer peers[MAX_PEERS], int T, int I, int O, bool bf16, int threads);

/* Reading so many bytes; false where there is no memory for it. */
bool peer_open_reader (Peer *peer, size_t bytes, int threads);

#endif
