/* dsvl2: DeepSeek-VL2 in your process
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The whole public interface of the engine. In one breath:
 *
 *   Dsvl2Model   *model  = dsvl2_model_open ("/models/deepseek-vl2-tiny", &error);
 *   Dsvl2Engine  *engine = dsvl2_engine_open (model, NULL, &error);
 *   Dsvl2Picture *car    = dsvl2_picture_new (&frame, NULL, NULL, &error);
 *   Dsvl2Message  ask[]  = { { DSVL2_ROLE_USER, "<image>\n<|ref|>the cars<|/ref|>." } };
 *   Dsvl2Request *r      = dsvl2_engine_submit (engine, &(Dsvl2Ask) {
 *                            .messages = ask, .n_messages = 1, .pictures = &car, .n_pictures = 1 }, &error);
 *   const Dsvl2Result *answer = dsvl2_request_wait (r);
 *
 * A model is immutable: configuration, tokenizer and memory-mapped weights of a folder as the Hugging
 * Face hub has it. An engine runs it on one device, with one worker thread that serves the requests of
 * any number of threads together. Everything here may be called from any thread; callbacks come from the
 * worker and should be short. Nothing here prints, exits or aborts on bad input.
 */
#ifndef DSVL2_H
#define DSVL2_H

#include <glib.h>

G_BEGIN_DECLS

#define DSVL2_API __attribute__ ((visibility ("default")))

/* --- errors ------------------------------------------------------------------------------------- */

/* The message of each is a sentence that names the file, tensor, key or value and what was expected. */
typedef enum {
  DSVL2_ERROR_FILE,        /* a file of the model is missing, truncated or malformed */
  DSVL2_ERROR_UNSUPPORTED, /* a well-formed setting of the model that this engine does not run */
  DSVL2_ERROR_DEVICE,      /* the device is not there, or failed */
  DSVL2_ERROR_MEMORY,      /* there is not that much memory */
  DSVL2_ERROR_PROMPT,      /* the conversation makes no sense: roles, <image> marks and pictures */
  DSVL2_ERROR_CONTEXT,     /* the conversation and its answer are longer than the context */
  DSVL2_ERROR_PICTURE,     /* a frame with impossible size, stride or format */
  DSVL2_ERROR_OPTION,      /* an option or sampling value out of its range */
} Dsvl2Error;

#define DSVL2_ERROR (dsvl2_error_quark ())
DSVL2_API GQuark dsvl2_error_quark (void);

/* --- model -------------------------------------------------------------------------------------- */

typedef struct _Dsvl2Model Dsvl2Model;

/* dsvl2_model_open: the model in folder `dir`, with config.json, processor_config.json, tokenizer.json
 * and *.safetensors. A folder that this process has open already is given again, another reference to
 * it. Reads headers only: weights stay in the page cache.
 * Errors: FILE, UNSUPPORTED. Free with dsvl2_model_unref (). */
DSVL2_API Dsvl2Model *dsvl2_model_open (const char *dir, GError **error);
DSVL2_API Dsvl2Model *dsvl2_model_ref (Dsvl2Model *model);
DSVL2_API void dsvl2_model_unref (Dsvl2Model *model);
/* The folder to use when nobody names one: $DSVL2_MODEL; else the nano model below $DSVL2_DATA_DIR (an
 * installation's prefix, or the source tree); else the one installed with this library, or beside the
 * build folder it runs from. NULL where there is none. Free with g_free (). */
DSVL2_API char *dsvl2_default_model_path (void);
/* The folder it was opened from. */
DSVL2_API const char *dsvl2_model_get_path (Dsvl2Model *model);
/* One line for people: "12 layers, 64 experts, 3.37 B parameters, bf16". */
DSVL2_API const char *dsvl2_model_get_description (Dsvl2Model *model);
/* Bytes of weights in its files. */
DSVL2_API guint64 dsvl2_model_get_weight_bytes (Dsvl2Model *model);
/* Tokens that a conversation and its answer may have. */
DSVL2_API guint dsvl2_model_get_context_length (Dsvl2Model *model);

/* --- pictures ----------------------------------------------------------------------------------- */

/* The memory layouts of GStreamer's video formats of the same names. */
typedef enum {
  DSVL2_FORMAT_RGB,
  DSVL2_FORMAT_BGR,
  DSVL2_FORMAT_RGBX, /* the fourth byte of these is skipped: RGBA, BGRA … as well */
  DSVL2_FORMAT_BGRX,
  DSVL2_FORMAT_XRGB,
  DSVL2_FORMAT_XBGR,
  DSVL2_FORMAT_RGBP, /* planes R, G, B */
  DSVL2_FORMAT_GRAY8,
  DSVL2_FORMAT_I420,
  DSVL2_FORMAT_YV12, /* planes in memory order: Y, V, U */
  DSVL2_FORMAT_Y42B,
  DSVL2_FORMAT_Y444,
  DSVL2_FORMAT_NV12,
  DSVL2_FORMAT_NV21,
  DSVL2_FORMAT_YUY2,
  DSVL2_FORMAT_UYVY,
  DSVL2_FORMAT_P010_10LE,
  DSVL2_N_FORMATS
} Dsvl2Format;

typedef enum { DSVL2_MATRIX_BT601, DSVL2_MATRIX_BT709, DSVL2_MATRIX_BT2020 } Dsvl2Matrix;

/* A frame of video. Planes and strides in bytes, as many as the format has; strides may be larger than a row
 * needs, or negative. Matrix and range are of YCbCr formats alone. Planes are in host memory unless
 * cuda_context says in which CUcontext's device memory they are. */
typedef struct {
  Dsvl2Format format;
  int width, height;
  const guint8 *plane[3];
  int stride[3];
  Dsvl2Matrix matrix;
  gboolean full_range;
  gpointer cuda_context;
} Dsvl2Frame;

typedef struct _Dsvl2Picture Dsvl2Picture;

/* dsvl2_picture_new: a picture whose pixels are read in place: they must stay as they are until `free`
 * is called with `owner` (both may be NULL), which happens when its last reference goes. An engine keeps
 * what it computed of a picture, so give the same picture with every question about it.
 * Errors: PICTURE, and then `free` is not called. */
DSVL2_API Dsvl2Picture *dsvl2_picture_new (const Dsvl2Frame *frame, GDestroyNotify free, gpointer owner,
    GError **error);
DSVL2_API Dsvl2Picture *dsvl2_picture_ref (Dsvl2Picture *picture);
DSVL2_API void dsvl2_picture_unref (Dsvl2Picture *picture);

/* --- engine ------------------------------------------------------------------------------------- */

typedef struct _Dsvl2Engine Dsvl2Engine;

/* Zero (NULL) in any field is its default. */
typedef struct {
  const char *device; /* "auto" (default), "cpu", "cuda", "cuda:N" */
  const char *isa; /* CPU: the newest instructions to use, "c", "avx2", "avx512"; default: the best */
  int threads;     /* CPU threads; default: one for each processor this process may use */
  gboolean bf16;   /* matrix products may round their inputs to bf16, as the published models do:
                    * faster where the processor or the GPU multiplies bf16 (a GPU's tensor cores do
                    * nothing else), other last digits */
  /* CUDA with bf16: whose attention looks at pictures: "own", "cudnn" (an error where cuDNN cannot), or "auto"
   * (default): cuDNN's where it can, else our own, and the note says why. */
  const char *vision_attention;
  /* Of the decoder's matrices: "as-stored", "int8" or "int4", which are made of them when the engine opens and
   * are its own: a half or a quarter of the bytes that a token reads, other answers now and then; "auto"
   * (default): as stored where the device's memory holds that, else int8, else int4. */
  const char *weights;
  int prefill_chunk; /* rows of a prompt in one step; default 512 */
  int max_sequences; /* requests decoded together; default 16 */
  guint64 kv_bytes;  /* memory of the KV cache, committed as it fills; default: one context, or a tenth
                      * of the weights where that is more */
} Dsvl2EngineOptions;

/* dsvl2_engine_open: takes a reference to the model; options may be NULL.
 * Errors: DEVICE, MEMORY, OPTION, and FILE or UNSUPPORTED for weights that do not fit the configuration. */
DSVL2_API Dsvl2Engine *dsvl2_engine_open (Dsvl2Model *model, const Dsvl2EngineOptions *options,
    GError **error);
DSVL2_API Dsvl2Engine *dsvl2_engine_ref (Dsvl2Engine *engine);
/* The last one cancels what is in flight, calls its done callbacks, and joins the worker. Not from a
 * callback. */
DSVL2_API void dsvl2_engine_unref (Dsvl2Engine *engine);
DSVL2_API Dsvl2Model *dsvl2_engine_get_model (Dsvl2Engine *engine);
/* "cpu/avx512", "cpu/avx512, int8": back end, instructions, weights that are not as stored */
DSVL2_API const char *dsvl2_engine_get_description (Dsvl2Engine *engine);
/* One sentence: why the device "auto" is not a faster one than it is; NULL where there is nothing to say. */
DSVL2_API const char *dsvl2_engine_get_note (Dsvl2Engine *engine);
/* The CUcontext that an engine on CUDA computes in, and the number of its device: pictures in device memory of
 * that context are read in place, those of other contexts and devices are copied to it first. NULL, and −1,
 * for other engines, which take no picture in device memory. */
DSVL2_API gpointer dsvl2_engine_get_cuda_context (Dsvl2Engine *engine, int *device);
/* Bytes of weights that decoding one token reads: what memory bandwidth bounds its speed by. */
DSVL2_API guint64 dsvl2_engine_get_bytes_per_token (Dsvl2Engine *engine);

/* --- asking ------------------------------------------------------------------------------------- */

typedef enum { DSVL2_ROLE_SYSTEM, DSVL2_ROLE_USER, DSVL2_ROLE_ASSISTANT } Dsvl2Role;

/* One turn. "<image>" in a user's text stands for the next picture; the model's other special tokens
 * ("<|ref|>", "<|grounding|>" …) are understood too. A system message, if any, comes first; the last
 * message is the user's. */
typedef struct {
  Dsvl2Role role;
  const char *text;
} Dsvl2Message;

typedef enum {
  DSVL2_CROPPING_AUTO, /* as the official processor: local tiles for up to two pictures */
  DSVL2_CROPPING_ON,
  DSVL2_CROPPING_OFF, /* the global view alone */
} Dsvl2Cropping;

/* Zero in any field is its default. */
typedef struct {
  float temperature;        /* 0: greedy */
  float top_p;              /* 0 … 1; 0 and 1: off */
  int top_k;                /* 0: off */
  float repetition_penalty; /* > 0; 0 and 1: off */
  guint64 seed;
  int max_new_tokens; /* 0: 512 */
  const char *const
      *stop;           /* NULL-terminated texts at which the answer ends, itself left out; or NULL */
  gboolean ignore_eos; /* go on past the end-of-sentence token (benchmarks, golden data) */
} Dsvl2Sampling;

/* How an answer ended. */
typedef enum {
  DSVL2_FINISH_STOP,   /* end of sentence, or a stop text */
  DSVL2_FINISH_LENGTH, /* max_new_tokens, or the context is full */
  DSVL2_FINISH_CANCELLED,
  DSVL2_FINISH_ERROR,
} Dsvl2Finish;
/* "stop", "length", "cancelled", "error" */
DSVL2_API const char *dsvl2_finish_get_name (Dsvl2Finish finish);

/* A box of an answer, in parts of the picture: 0 … 1, x0 ≤ x1, y0 ≤ y1. Several boxes of one phrase are
 * several objects with the same label. */
typedef struct {
  char *label; /* valid UTF-8, as the model wrote it, at most 255 bytes */
  float x0, y0, x1, y1;
  float confidence; /* geometric mean of the probabilities of the box's tokens */
} Dsvl2Object;

typedef struct {
  char *text;            /* the answer as the model wrote it, markup included */
  char *caption;         /* the same to be read by people: phrases without their marks and boxes */
  const int *token_ids;  /* [n_tokens], the end-of-sentence token not among them */
  const float *logprobs; /* [n_tokens] of the model's own distribution, before temperature */
  int n_tokens;
  const Dsvl2Object *objects;
  int n_objects;
  Dsvl2Finish finish;
  GError *error;       /* of DSVL2_FINISH_ERROR; NULL otherwise */
  int n_prompt_tokens; /* pictures included */
  int n_cached_tokens; /* of them taken from the KV cache */
  int n_tiles;         /* encoded for this request */
  /* Microseconds, one after another: waiting for the first step, encoding its pictures, from there to
   * its first token, from there to its last. */
  gint64 queue_us, vision_us, prefill_us, decode_us;
} Dsvl2Result;

typedef struct _Dsvl2Request Dsvl2Request;

/* Called by the worker for each token, with the text it completed: valid UTF-8, "" while a character is
 * still open. */
typedef void (*Dsvl2TokenFunc) (Dsvl2Request *request, int token_id, const char *text,
    gpointer user_data);
/* Called by the worker once, last, however the request ends. */
typedef void (*Dsvl2DoneFunc) (Dsvl2Request *request, const Dsvl2Result *result, gpointer user_data);

typedef struct {
  const Dsvl2Message *messages;
  int n_messages;
  Dsvl2Picture *const *pictures; /* in the order of their <image> marks */
  int n_pictures;
  Dsvl2Cropping cropping;
  int max_tiles; /* local tiles of a picture; 0: as many as the model allows */
  Dsvl2Sampling sampling;
  /* Who is served first: the higher priority, which also takes the place of a lower one that is being
   * answered (it goes on later, with the same text); then streams in turn; in a stream the order of
   * submission. */
  int priority;
  gconstpointer stream; /* any address that its questions have in common; NULL: a stream of its own */
  Dsvl2TokenFunc token; /* or NULL */
  Dsvl2DoneFunc done;   /* or NULL */
  gpointer user_data;
} Dsvl2Ask;

/* dsvl2_engine_submit: queues a question; what `ask` points to is copied, pictures are referenced.
 * Errors: PROMPT, CONTEXT, OPTION. Free with dsvl2_request_unref (): dropping it does not cancel. */
DSVL2_API Dsvl2Request *dsvl2_engine_submit (Dsvl2Engine *engine, const Dsvl2Ask *ask, GError **error);
DSVL2_API Dsvl2Request *dsvl2_request_ref (Dsvl2Request *request);
DSVL2_API void dsvl2_request_unref (Dsvl2Request *request);
/* Ends it at the next step, with what it has answered so far. */
DSVL2_API void dsvl2_request_cancel (Dsvl2Request *request);
/* Waits until it has ended, its done callback included. The result lives as long as the request. */
DSVL2_API const Dsvl2Result *dsvl2_request_wait (Dsvl2Request *request);

/* --- prompts ------------------------------------------------------------------------------------ */

/* dsvl2_prompt_from_text: what a person typed as a question about one picture. "find cars" becomes
 * "<image>\n<|ref|>the cars<|/ref|>."; other plain text "<image>\n" + text; text with a special token or
 * an <image> mark stays as it is. Free with g_free (). */
DSVL2_API char *dsvl2_prompt_from_text (const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dsvl2Model, dsvl2_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dsvl2Picture, dsvl2_picture_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dsvl2Engine, dsvl2_engine_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dsvl2Request, dsvl2_request_unref)

G_END_DECLS

#endif
