/* dsvl2: the comparison of op tables, as the checks of single ops see it
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A check has a table of cases and a function that runs one of them on any op table. check_kernels calls
 * it several times for each case: on plain C, on each table under test, there also with the rows given a
 * few at a time and with three threads. Input is random but the same each time. What the first two runs
 * leave in the outputs must agree within the case's tolerance, the others' must equal the second's bit
 * for bit. On the CPU every input ends where its memory ends, so that reading or writing past it crashes.
 */
#ifndef DSVL2_CHECK_H
#define DSVL2_CHECK_H

#include "kernels/backend.h"

/* What random numbers look like. */
typedef enum {
  NORMAL, /* about 1 */
  ZEROS,
  LARGE, /* about 1e12 */
  TINY,  /* about 1e-37: some are subnormal */
  SOME_NAN,
  BF16,       /* about 1, and exact in bf16 */
  LARGE_BF16, /* about 1e12, and exact in bf16 */
} Spread;

typedef struct _Run Run;

/* A run of one case. The check calls run_case(), then run_*() for its data, then the op between
 * run_again()s, giving it at most run_step() rows at a time if it works on rows:
 *
 *   while (run_again (r))
 *     for (int t = 0, n; (n = run_rows (r, t, T)) > 0; t += n)
 *       k->op (k, y + t * O, x + t * I, n);
 */

/* The table to run on. */
Ops *run_ops (const Run *r);

/* Does it multiply what it has rounded to bf16? */
bool run_in_bf16 (const Run *r);

/* Does it round x for a product with weights of this type? The CPU's quantised products do not. */
bool run_rounds (const Run *r, WeightType type);

/* Names the case. `rtol` bounds the difference to plain C in parts of the row's largest value; 0 asks
 * for the same bits. */
void run_case (Run *r, double rtol, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

/* What one execution costs, for --bench: multiplications and additions, bytes read; with COLD_BYTES or
 * more, which no cache keeps, it is compared with plain reading. */
enum { COLD_BYTES = 64 << 20 };
void run_cost (Run *r, double flops, double bytes);

/* For --bench: the op is a product of [T, I] and [I, O], for which other libraries have functions too. */
void run_product (Run *r, int T, int I, int O);

/* True while the op is to be executed (again). */
bool run_again (Run *r);

/* How many of T rows to give it next, t being done. */
int run_rows (const Run *r, int t, int T);

/* A random integer below n; a random float, about 1. */
int run_random (Run *r, int n);
float run_random_float (Run *r);

/* Input in the back end's memory: random floats, a random matrix whose numbers are about 1 / √I, a copy
 * of `bytes` bytes aligned to `align`. */
const float *run_floats (Run *r, size_t n, Spread spread);
Weight run_weight (Run *r, WeightType type, int O, int I, Spread spread);
const void *run_input (Run *r, const void *host, size_t bytes, size_t align);

/* The same in the host's own memory: frames. */
const void *run_host_input (Run *r, const void *host, size_t bytes);

/* Memory that the op may write, of no interest afterwards. */
void *run_scratch (Run *r, size_t bytes);

/* A result, rows × width, compared afterwards. It holds random numbers (zeros) to start with, so an op
 * may add to it or work in place. */
float *run_output (Run *r, int rows, int width, Spread spread);
int32_t *run_output_ints (Run *r, int rows, int width);

/* For checks without a Run: a copy in the back end's memory, which k->free() takes. */
void *copy_in (Ops *k, const void *host, size_t bytes);

/* What the check says of one op. */
typedef struct {
  const char *op;
  void (*run) (Run *r, int i); /* case i of n */
  int n;
  void (*run_bench) (Run *r, int i); /* case i of n_bench, for --bench; or NULL */
  int n_bench;
  /* Compares the op with something other than plain C; or NULL. Prints a line for each comparison, returns
   * how many there were and how many failed. */
  void (*extra) (Ops *k, int *n, int *failed);
} OpCheck;

/* NULL-terminated by .op, one for each file of checks. */
extern const OpCheck attention_checks[], experts_checks[], frames_checks[], linear_checks[],
    logits_checks[], norm_checks[], patches_checks[], rope_checks[], routing_checks[], rows_checks[];

#endif
