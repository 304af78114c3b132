/* dsvl2: what pictures become for the language model, kept for the next question about them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSVL2_FEATURESTORE_H
#define DSVL2_FEATURESTORE_H

#include "model.h"
#include "picture.h"
#include "tiles.h"

/* The rows of one picture in one layout. */
typedef struct {
  PictureKey *key;
  int across, down;
  int n_tokens;
  float *rows; /* [n_tokens, D], device memory */
  gsize capacity;
  int users;
  guint64 last_use;
} Features;

typedef struct _FeatureStore FeatureStore;

/* Errors: MEMORY. */
FeatureStore *feature_store_new (const Config *config, const Network *network, Ops *ops,
    GError **error);
void feature_store_free (FeatureStore *store);

/* feature_store_get: the features of the picture in that layout if they are there, for one more user. */
Features *feature_store_get (FeatureStore *store, const PictureKey *key, const TilePlan *plan);
void features_drop (Features *features);

/* feature_store_encode: begins one batch of a picture's tiles, if the last one is done, and gives its features, for
 * one user, when all are; NULL while there is more to do, or with an error (MEMORY). It waits for nothing: the
 * back end may be at it still (Ops.pictures_done). One picture at a time: called again with the same one until it is
 * done; feature_store_abort () gives it up. */
Features *feature_store_encode (FeatureStore *store, const Dsvl2Picture *picture, const TilePlan *plan,
    GError **error);
void feature_store_abort (FeatureStore *store);

#endif
