/* dsvl2: an engine whose requests begin and end while others decode
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * usage: batches DEVICE MODEL     a line for each request but one, which is cancelled: its tokens and the bits of their
 * logarithmic probabilities.
 * Exit status 1 with one sentence where a request fails. */
#include "dsvl2.h"

enum { SIDE = 56, REQUESTS = 8, CANCELLED = 3, TOGETHER = 4, FIRST_STANDS_AT = 3 };

/* Where the first request waits, in the middle of its answer, until all have been submitted. */
static struct {
  GMutex lock;
  GCond changed;
  gboolean open;
} gate;

static void
hear_token (Dsvl2Request *request, int id, const char *text, gpointer data)
{
  int *heard = data;

  if (++*heard != FIRST_STANDS_AT)
    return;
  g_mutex_lock (&gate.lock);
  while (!gate.open)
    g_cond_wait (&gate.changed, &gate.lock);
  g_mutex_unlock (&gate.lock);
}

static Dsvl2Picture *
stripes (guint seed)
{
  guint8 *pixels = g_malloc (SIDE * SIDE * 3);

  for (guint i = 0; i < SIDE * SIDE * 3; i++)
    pixels[i] = (i / 3 / (seed + 2) % 2) * 160 + i % 3 * 40;
  return dsvl2_picture_new (&(Dsvl2Frame){ DSVL2_FORMAT_RGB, SIDE, SIDE, { pixels }, { SIDE * 3 } },
      g_free, pixels, NULL);
}

/* Request n: every third one has a picture; the later ones are longer, and one is drawn by lot. */
static Dsvl2Request *
ask (Dsvl2Engine *engine, int n, int *heard, GError **error)
{
  g_autofree char *text =
      g_strdup_printf ("%sWhat is the capital of %c?", n % 3 == 0 ? "<image>\n" : "", 'A' + n);
  const Dsvl2Message message = { DSVL2_ROLE_USER, text };
  g_autoptr (Dsvl2Picture) picture = stripes (n);

  return dsvl2_engine_submit (engine,
      &(Dsvl2Ask){ .messages = &message,
          .n_messages = 1,
          .pictures = &picture,
          .n_pictures = n % 3 == 0,
          .cropping = DSVL2_CROPPING_OFF,
          .sampling = { .max_new_tokens = n == 0 ? 24 : 4 + 3 * n,
              .temperature = n == 2 ? 0.8f : 0,
              .seed = 7,
              .ignore_eos = TRUE },
          .token = n == 0 ? hear_token : NULL,
          .user_data = heard },
      error);
}

static gboolean
tell (Dsvl2Request *request, int n)
{
  const Dsvl2Result *r = dsvl2_request_wait (request);

  if (r->error) {
    g_print ("%s\n", r->error->message);
    return FALSE;
  }
  g_print ("%d:", n);
  for (int i = 0; i < r->n_tokens; i++) {
    const union {
      float f;
      guint32 bits;
    } logprob = { r->logprobs[i] };

    g_print (" %d/%08x", r->token_ids[i], logprob.bits);
  }
  g_print ("\n");
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Dsvl2Model) model = argc == 3 ? dsvl2_model_open (argv[2], &error) : NULL;
  g_autoptr (Dsvl2Engine) engine =
      model ? dsvl2_engine_open (model,
                  &(Dsvl2EngineOptions){
                      .device = argv[1], .threads = 1, .prefill_chunk = 64, .max_sequences = TOGETHER },
                  &error)
            : NULL;
  Dsvl2Request *request[REQUESTS] = { NULL };
  int heard = 0;
  gboolean good = engine != NULL;

  for (int i = 0; good && i < REQUESTS; i++)
    good = (request[i] = ask (engine, i, &heard, &error)) != NULL;
  g_mutex_lock (&gate.lock);
  gate.open = TRUE;
  g_cond_broadcast (&gate.changed);
  g_mutex_unlock (&gate.lock);
  if (good)
    dsvl2_request_cancel (request[CANCELLED]);
  for (int i = 0; i < REQUESTS && request[i]; i++) {
    if (i != CANCELLED)
      good = tell (request[i], i) && good;
    dsvl2_request_unref (request[i]);
  }
  if (error)
    g_print ("%s\n", error->message);
  return !good;
}
