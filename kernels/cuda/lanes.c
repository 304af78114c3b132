/* dsvl2: the CUDA back end's two lanes: the decoder's steps, and pictures beside them
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A lane is a stream and what only one op at a time may use. Ops know of one, which Cuda has in the open; lane ()
 * exchanges it for the other. Somebody waits for each step, and steps are short: their stream goes first where both
 * have blocks to run. */
#include "cuda.h"

bool
lanes_open (Cuda *c)
{
  int least = 0, greatest = 0;

  return cuda_check (c, cudaDeviceGetStreamPriorityRange (&least, &greatest), "ask for priorities") &&
         cuda_check (c, cudaStreamCreateWithPriority (&c->stream, cudaStreamNonBlocking, greatest),
             "create a stream") &&
         cuda_check (c, cudaStreamCreateWithPriority (&c->other.stream, cudaStreamNonBlocking, least),
             "create a stream") &&
         cuda_check (c, cudaEventCreateWithFlags (&c->stepped, cudaEventDisableTiming),
             "create an event") &&
         cuda_check (c, cudaEventCreateWithFlags (&c->pictured, cudaEventDisableTiming),
             "create an event") &&
         staging_open (c, &c->staging) && staging_open (c, &c->other.staging);
}

void
lanes_finish (Cuda *c)
{
  if (c->stream)
    cuda_check (c, cudaStreamSynchronize (c->stream), "finish");
  if (c->other.stream)
    cuda_check (c, cudaStreamSynchronize (c->other.stream), "finish");
}

void
lanes_close (Cuda *c)
{
  staging_close (&c->staging);
  staging_close (&c->other.staging);
  if (c->stepped)
    cudaEventDestroy (c->stepped);
  if (c->pictured)
    cudaEventDestroy (c->pictured);
  if (c->stream)
    cudaStreamDestroy (c->stream);
  if (c->other.stream)
    cudaStreamDestroy (c->other.stream);
}

/* Pictures begin behind the steps so far: what those made or still read is the pictures' to use. */
static void
lane (Ops *k, OpsLane which)
{
  Cuda *c = cuda (k);
  const Lane left = { c->stream, c->staging, c->rounded };

  if (which == c->lane)
    return;
  c->lane = which;
  c->stream = c->other.stream;
  c->staging = c->other.staging;
  c->rounded = c->other.rounded;
  c->other = left;
  if (c->failure[0] != '\0' || !cuda_check (c, cudaSetDevice (c->device), "be used"))
    return;
  if (which == LANE_STEPS)
    cuda_check (c, cudaEventRecord (c->pictured, left.stream), "record an event");
  else if (cuda_check (c, cudaEventRecord (c->stepped, left.stream), "record an event"))
    cuda_check (c, cudaStreamWaitEvent (c->stream, c->stepped, 0), "wait for an event");
}

static bool
pictures_done (Ops *k, bool wait)
{
  Cuda *c = cuda (k);
  cudaError_t error;

  if (c->failure[0] != '\0' || !cuda_check (c, cudaSetDevice (c->device), "be used"))
    return true;
  error = wait ? cudaEventSynchronize (c->pictured) : cudaEventQuery (c->pictured);
  if (error == cudaErrorNotReady)
    return false;
  cuda_check (c, error, "encode a picture");
  return true;
}

void
cuda_fill_lanes (Ops *k)
{
  k->lane = lane;
  k->pictures_done = pictures_done;
}
