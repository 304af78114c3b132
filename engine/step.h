/* dsvl2: one step of the decoder over rows of several requests
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_STEP_H
#define DSVL2_STEP_H

#include "model.h"
#include "request.h"

typedef struct _Step Step;

/* step_new: scratch for steps of up to `max_rows` rows of up to `max_sequences` requests, of at most
 * `max_pages` pages each. Errors: MEMORY. */
Step *step_new (const Network *network, Ops *ops, KvCache *cache, int max_rows, int max_sequences,
    int max_pages, GError **error);
void step_free (Step *step);

/* step_begin, step_add: collects rows. step_add takes the request's next rows, as many as fit into
 * `budget`: its tokens that are not in the cache yet. The number of rows taken. */
void step_begin (Step *step);
int step_add (Step *step, Dsvl2Request *request, int budget);

/* step_run: the decoder over the rows; each request whose last token was among them gets its next one:
 * next (request, id, logprob, data). Advances n_written. Where the device failed nobody gets one: ops->failure () says
 * so from then on. */
typedef void (*StepNextFunc) (Dsvl2Request *request, int id, float logprob, gpointer data);
void step_run (Step *step, StepNextFunc next, gpointer data);

#endif
