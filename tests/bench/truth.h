/* tests: frames of which is known what they show, and how well boxes agree with that
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TRUTH_H
#define TRUTH_H

#include <glib.h>

enum { N_KINDS = 8, N_UNTAUGHT = 50 };

/* What models/nano knows, in the order of models/nano/recipe/kinds.py. */
typedef struct {
  const char *name, *plural;
} TruthKind;
extern const TruthKind truth_kinds[N_KINDS];

/* What it does not know and should say so, in the order of models/nano/recipe/evaluate.py. */
extern const char *const truth_untaught[N_UNTAUGHT];

/* Parts of the frame: 0 … 1. */
typedef struct {
  float x0, y0, x1, y1;
} TruthBox;

typedef struct {
  int kind;
  TruthBox box;
  float visible; /* part of the object that the frame shows */
} TruthObject;

typedef struct {
  guint64 timestamp; /* ns */
  TruthObject *objects;
  int n_objects;
  char *caption; /* what a perfect model says of it, or NULL */
} TruthFrame;

/* truth_load: a JSON Lines file as models/nano/recipe/frames.py describes it: an array of TruthFrame.
 * Errors: G_FILE_ERROR, G_IO_ERROR_INVALID_DATA with the line's number. Free with g_ptr_array_unref (). */
GPtrArray *truth_load (const char *path, GError **error);

/* truth_count: objects of a kind that show at least part `least` of themselves. */
int truth_count (const TruthFrame *frame, int kind, float least);

enum {
  TRUTH_WHOLE_PERCENT = 60
}; /* an object that shows less is neither asked for nor held against anybody */

typedef struct {
  int matched, said, truth; /* boxes: right, all that count, those that should be found */
  double iou;               /* sum of the right ones' */
  int questions, exact;     /* how many were asked; how many with as many boxes as there are objects */
} TruthScore;

/* truth_score_add: compares the boxes of an answer with a frame's objects of a kind. Each box in turn takes
 * the object that it covers best and nobody has taken, from an IoU of 0.5 on; a box on an object that is
 * mostly out of the frame does not count. */
void truth_score_add (TruthScore *score, const TruthFrame *frame, int kind, const TruthBox *said,
    int n_said);

double truth_score_recall (const TruthScore *score);
double truth_score_precision (const TruthScore *score);
double truth_score_mean_iou (const TruthScore *score);

#endif
