/* dsvl2: the worker that serves all requests of an engine
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_SCHEDULER_H
#define DSVL2_SCHEDULER_H

#include "model.h"
#include "request.h"

typedef struct _Scheduler Scheduler;

/* scheduler_new: starts the worker. prefill_chunk: prompt rows in one step; max_sequences: requests in
 * one step; kv_bytes: memory of the KV cache. Errors: MEMORY. */
Scheduler *scheduler_new (Dsvl2Model *model, const Network *network, Ops *ops, int prefill_chunk,
    int max_sequences, guint64 kv_bytes, GError **error);
/* Cancels what is left and joins the worker. */
void scheduler_free (Scheduler *scheduler);

/* Takes a reference. */
void scheduler_submit (Scheduler *scheduler, Dsvl2Request *request);

int scheduler_kv_capacity (const Scheduler *scheduler);

#endif
