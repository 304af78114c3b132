/* dsvl2: opening the CPU back end, the choice of its instructions
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#endif

/* --- what the processor has ---------------------------------------------------------------------- */

/* Oldest first. Each includes those before it. */
typedef enum { ISA_C, ISA_AVX2, ISA_AVX512, ISA_AVX512BF16, N_ISAS } Isa;

static const char *const isa_names[N_ISAS] = { "c", "avx2", "avx512", "avx512bf16" };

#if defined __x86_64__
static bool
has_f16c (void)
{
  unsigned eax, ebx, ecx, edx;

  return __get_cpuid (1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

/* The newest that processor and kernel both support: libgcc asks XGETBV too. */
static Isa
isa_here (void)
{
  __builtin_cpu_init ();
  if (!__builtin_cpu_supports ("avx2") || !__builtin_cpu_supports ("fma") || !has_f16c ())
    return ISA_C;
  if (!__builtin_cpu_supports ("avx512f") || !__builtin_cpu_supports ("avx512bw") ||
      !__builtin_cpu_supports ("avx512vl") || !__builtin_cpu_supports ("avx512dq"))
    return ISA_AVX2;
  return __builtin_cpu_supports ("avx512bf16") ? ISA_AVX512BF16 : ISA_AVX512;
}
#else
static Isa
isa_here (void)
{
  return ISA_C;
}
#endif

/* The ISA to use, or N_ISAS with a sentence in `message`. */
static Isa
choose_isa (const OpsOptions *options, char message[OPS_MESSAGE])
{
  const char *name = options->isa ? options->isa : getenv ("DSVL2_ISA");
  const Isa newest = isa_here ();
  Isa isa = newest;

  if (name && *name) {
    for (isa = 0; isa < N_ISAS; isa++)
      if (strcmp (name, isa_names[isa]) == 0)
        break;
    if (isa == N_ISAS) {
      snprintf (message, OPS_MESSAGE,
          "The instruction set \"%.40s\" is unknown, expected c, avx2, avx512 or avx512bf16", name);
      return N_ISAS;
    }
    if (isa > newest) {
      snprintf (message, OPS_MESSAGE, "This processor has no %s, the newest it has is %s",
          isa_names[isa], isa_names[newest]);
      return N_ISAS;
    }
  }
  if (isa == ISA_AVX512BF16 && !options->bf16) /* it rounds what it multiplies */
    isa = ISA_AVX512;
  return isa;
}

/* --- the table ----------------------------------------------------------------------------------- */

typedef void (*Fill) (Ops *k);

static const Fill fills[N_ISAS][16] = {
  [ISA_C] = { memory_fill, attention_fill_c, experts_fill_c, frames_fill_c, linear_fill_c,
      logits_fill_c, norm_fill_c, patches_fill_c, rope_fill_c, routing_fill_c, rows_fill_c },
#if defined __x86_64__
  [ISA_AVX2] = { attention_fill_avx2, frames_fill_avx2, linear_fill_avx2, logits_fill_avx2,
      norm_fill_avx2, patches_fill_avx2, rope_fill_avx2, rows_fill_avx2, tiles_fill_avx2 },
  [ISA_AVX512] = { attention_fill_avx512, frames_fill_avx512, linear_fill_avx512, logits_fill_avx512,
      norm_fill_avx512, patches_fill_avx512, rope_fill_avx512, rows_fill_avx512, tiles_fill_avx512 },
  [ISA_AVX512BF16] = { linear_fill_avx512bf16 },
#endif
};

static void
fill (Ops *k, Isa newest)
{
  for (int isa = 0; isa <= (int) newest; isa++)
    for (const Fill *f = fills[isa]; *f; f++)
      (*f) (k);
}

/* Calling ops costs nothing that a recording of them would save. */
static void
step (Ops *k, const StepRows *rows, int wanted, void (*body) (void *data), void *data)
{
  body (data);
}

/* An op is done when it returns. */
static void
lane (Ops *k, OpsLane which)
{
}

static bool
pictures_done (Ops *k, bool wait)
{
  return true;
}

static void
cpu_close (Ops *k)
{
  pool_free (cpu (k)->pool);
  free (k);
}

Ops *
cpu_open (const OpsOptions *options, char message[OPS_MESSAGE])
{
  const Isa isa = choose_isa (options, message);
  const int threads = options->threads > 0 ? options->threads : processors ();
  Ops *k;

  if (isa == N_ISAS)
    return NULL;
  k = calloc (1, sizeof (Cpu));
  if (!k) {
    snprintf (message, OPS_MESSAGE, "There is no memory for the CPU back end");
    return NULL;
  }
  k->name = "cpu";
  k->isa = isa_names[isa];
  k->close = cpu_close;
  k->step = step;
  k->lane = lane;
  k->pictures_done = pictures_done;
  k->quantised = true;
  fill (k, isa);
  cpu (k)->pool = pool_new (threads);
  if (!cpu (k)->pool) {
    snprintf (message, OPS_MESSAGE, "%d threads for the CPU back end could not be started", threads);
    k->close (k);
    return NULL;
  }
  return k;
}
