/* dsvl2: an engine that answers what a test says, when it says
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * It has all of dsvl2.h. A model is any folder whose name does not contain "missing", "broken" or
 * "full"; those fail to open with FILE, UNSUPPORTED and MEMORY. Requests queue until the test answers the
 * oldest; a worker thread calls back, as the real one does. */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "dsvl2.h"

enum { FAKE_MESSAGES = 16 };

/* What a request asked. */
typedef struct {
  char *system, *question; /* the first message if it is the system's, and the last */
  int n_messages;
  Dsvl2Role roles[FAKE_MESSAGES];
  char *texts[FAKE_MESSAGES];
  int n_pictures;
  int pictures[FAKE_MESSAGES]; /* each picture has a number of its own: an address may come again */
  Dsvl2Frame frames[FAKE_MESSAGES];
  Dsvl2Frame frame; /* of the last picture */
  guint32 checksum; /* of its pixels at the time of asking, strides left out */
  Dsvl2Sampling sampling;
  Dsvl2Cropping cropping;
  int max_tiles;
  gconstpointer stream;
  int priority;
} FakeAsk;

/* What an answer took, and how it ended. */
typedef struct {
  int tokens, prompt_tokens, cached_tokens, tiles;
  gint64 queue_us, vision_us, prefill_us, decode_us;
  Dsvl2Finish finish; /* STOP or LENGTH */
} FakeCost;

/* Forgets everything; each answer is given by hand from here on. */
void fake_reset (void);
/* What each of the answers that follow took. Unless a test says so: 3 tokens in 1500 µs, 7 of the question. */
void fake_set_cost (const FakeCost *cost);
/* Answers every request at once with one box called `label`, or without boxes if it is NULL. */
void fake_answer_all (const char *label);
/* Answers the oldest open request, with a text or with an error, and waits until whoever asked has taken
 * it in. */
void fake_answer (const char *text, const Dsvl2Object *objects, int n_objects);
void fake_fail (const char *message);
/* Another token of the oldest open request, from this thread. Returns FALSE if it listens to none. */
gboolean fake_token (const char *text);
/* Answers the n-th of the open requests. */
void fake_answer_nth (guint n, const char *text);
/* Answers the n-th of the open requests, modulo their number, if there is any. */
void fake_try_answer (guint n, const char *text, const Dsvl2Object *objects, int n_objects);
void fake_try_fail (guint n, const char *message);
/* Makes the next submission itself fail. */
void fake_refuse (const char *message);
/* Waits until whoever asked has taken in all that was answered. */
void fake_settle (void);
/* From here on more turns than these before a question are too long for the context. */
void fake_set_context (int turns);
/* Waits until so many requests are open. */
void fake_wait_open (guint n);
guint fake_n_open (void);
guint fake_n_asked (void);
guint fake_n_cancelled (void);
/* Engines that were opened. */
guint fake_n_engines (void);
/* Pictures, requests, engines and models that are alive: leaks. */
int fake_n_alive (void);
/* The newest request since fake_reset (), and the n-th. */
const FakeAsk *fake_last_ask (void);
const FakeAsk *fake_nth_ask (guint n);
/* The frame that a picture is of. */
const Dsvl2Frame *fake_picture_frame (Dsvl2Picture *picture);

#endif
