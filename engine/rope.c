/* dsvl2: angles of rotary position embedding
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rope.h"
#include <math.h>

static double
yarn_mscale (double factor, double mscale)
{
  return factor <= 1 ? 1.0 : 0.1 * mscale * log (factor) + 1.0;
}

/* The pair that turns `rotations` times over the original context. */
static double
yarn_pair (const RopeScaling *s, double theta, int d, double rotations)
{
  return d * log (s->original_max_position_embeddings / (rotations * 2 * G_PI)) / (2 * log (theta));
}

/* How much of pair i keeps its original frequency: all of the fast ones, none of the slow ones. */
static double
yarn_kept (const RopeScaling *s, double theta, int d, int i)
{
  const double low = MAX (floor (yarn_pair (s, theta, d, s->beta_fast)), 0);
  const double high = MIN (ceil (yarn_pair (s, theta, d, s->beta_slow)), d - 1);
  const double width = high == low ? 0.001 : high - low;

  return 1 - CLAMP ((i - low) / width, 0, 1);
}

void
rope_tables (const RopeScaling *scaling, float theta, int d, int n, float *cosine, float *sine)
{
  const bool yarn = scaling->factor > 1;
  const double mscale = yarn_mscale (scaling->factor, scaling->mscale) /
                        yarn_mscale (scaling->factor, scaling->mscale_all_dim);

  for (int i = 0; i < d / 2; i++) {
    double frequency = pow (theta, -2.0 * i / d);

    if (yarn) {
      const double kept = yarn_kept (scaling, theta, d, i);
      frequency = frequency * kept + frequency / scaling->factor * (1 - kept);
    }
    for (int p = 0; p < n; p++) {
      /* The official tables are float32 products. */
      const float angle = (float) p * (float) frequency;

      cosine[(gsize) p * (d / 2) + i] = (float) (cos (angle) * mscale);
      sine[(gsize) p * (d / 2) + i] = (float) (sin (angle) * mscale);
    }
  }
}

float
rope_softmax_scale (const RopeScaling *scaling, int d)
{
  const double mscale =
      scaling->mscale_all_dim != 0 ? yarn_mscale (scaling->factor, scaling->mscale_all_dim) : 1.0;

  return (float) (mscale * mscale / sqrt (d));
}
