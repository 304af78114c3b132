/* dsvl2: the CUDA stand-in: graphs, made by capturing streams
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A captured graph keeps who waits for whom. Its launch runs the latest-captured node that is ready, so that a
 * branch which should have waited for another one, but does not, most likely runs too early.
 */
#include "stream.h"

#include <algorithm>
#include <memory>
#include <stdio.h>
#include <string.h>

namespace standin {

struct Exec {
  std::shared_ptr<Graph> graph;
};

static auto &graphs = *new std::set<Graph *>;
static auto &execs = *new std::set<Exec *>;

void
capture_work (Stream *s, WorkKind kind, Work work)
{
  Graph *g = s->capture->graph;

  g->nodes.push_back ({ kind, std::move (work), s->tail });
  s->tail = { (int) g->nodes.size () - 1 };
}

/* Does everything end up in the stream where the capture began? */
static bool
is_joined (const Graph *g, const std::set<int> &tail)
{
  std::set<int> reached = tail;

  for (int i = g->nodes.size () - 1; i >= 0; i--)
    if (reached.count (i))
      reached.insert (g->nodes[i].after.begin (), g->nodes[i].after.end ());
  return reached.size () == g->nodes.size ();
}

static std::vector<int>
order (const Graph *g)
{
  std::vector<int> out;
  std::set<int> waiting, done;

  for (size_t i = 0; i < g->nodes.size (); i++)
    waiting.insert (i);
  while (!waiting.empty ())
    for (auto i = waiting.rbegin (); i != waiting.rend (); ++i) {
      const auto &after = g->nodes[*i].after;

      if (std::includes (done.begin (), done.end (), after.begin (), after.end ())) {
        const int node = *i;
        out.push_back (node);
        done.insert (node);
        waiting.erase (node);
        break;
      }
    }
  return out;
}

/* Is it a kernel, ours or a library's? */
static bool
computes (const Node &n)
{
  for (const char *other : { "copy", "memset", "host function", "graph" })
    if (strcmp (n.kind.what, other) == 0)
      return false;
  return true;
}

int
report_leaked_graphs ()
{
  if (graphs.size () + execs.size ())
    fprintf (stderr, "stand-in: leak: %zu graphs, %zu executable graphs\n", graphs.size (),
        execs.size ());
  return graphs.size () + execs.size ();
}

static Exec *
exec_of (cudaGraphExec_t handle)
{
  if (!execs.count ((Exec *) handle))
    stop (EXIT_DEVICE_FAULT, "%p is not an executable graph (any more)", (void *) handle);
  return (Exec *) handle;
}

static Graph *
graph_of (cudaGraph_t handle)
{
  if (!graphs.count ((Graph *) handle))
    stop (EXIT_DEVICE_FAULT, "%p is not a graph (any more)", (void *) handle);
  return (Graph *) handle;
}

} // namespace standin

using namespace standin;

extern "C" {

cudaError_t
cudaStreamBeginCapture (cudaStream_t handle, cudaStreamCaptureMode mode)
{
  Call call ("cudaStreamBeginCapture");
  Stream *s = stream_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (s == stream_of (nullptr))
    return fail (cudaErrorStreamCaptureUnsupported, "the legacy stream cannot be captured");
  if (s->capture)
    return fail (cudaErrorIllegalState, "the stream is being captured already");
  s->capture = new Capture{ new Graph, s, mode, std::this_thread::get_id (), false };
  s->tail.clear ();
  return cudaSuccess;
}

cudaError_t
cudaStreamEndCapture (cudaStream_t handle, cudaGraph_t *graph)
{
  Call call ("cudaStreamEndCapture");
  Stream *s = stream_of (handle);
  Capture *capture = s->capture;
  cudaError_t error = cudaSuccess;

  *graph = nullptr;
  if (!capture || capture->origin != s)
    return fail (cudaErrorIllegalState, "no capture began in this stream");
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id ())
    return fail (cudaErrorStreamCaptureWrongThread, "another thread began the capture");
  if (call.chosen_to_fail)
    error = fail (cudaErrorUnknown);
  else if (capture->broken)
    error = fail (cudaErrorStreamCaptureInvalidated);
  else if (!is_joined (capture->graph, s->tail))
    error =
        fail (cudaErrorStreamCaptureUnjoined, "a stream that joined the capture was not joined back");
  end_capture_of (capture);
  if (error) {
    delete capture->graph;
  } else {
    graphs.insert (capture->graph);
    *graph = (cudaGraph_t) capture->graph;
  }
  delete capture;
  return error;
}

cudaError_t
cudaStreamIsCapturing (cudaStream_t handle, cudaStreamCaptureStatus *status)
{
  Call call ("cudaStreamIsCapturing");
  Stream *s = stream_of (handle);

  *status = !s->capture          ? cudaStreamCaptureStatusNone
            : s->capture->broken ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
  return call.chosen_to_fail ? fail (cudaErrorUnknown) : cudaSuccess;
}

cudaError_t
cudaThreadExchangeStreamCaptureMode (cudaStreamCaptureMode *)
{
  return fail (cudaErrorNotSupported, "cudaThreadExchangeStreamCaptureMode is not supported here");
}

cudaError_t
cudaGraphInstantiate (cudaGraphExec_t *handle, cudaGraph_t graph, unsigned long long)
{
  Call call ("cudaGraphInstantiate");

  *handle = nullptr;
  if (call.chosen_to_fail)
    return fail (cudaErrorMemoryAllocation);
  Exec *x = new Exec{ std::make_shared<Graph> (*graph_of (graph)) };
  execs.insert (x);
  *handle = (cudaGraphExec_t) x;
  return cudaSuccess;
}

cudaError_t
cudaGraphUpload (cudaGraphExec_t handle, cudaStream_t)
{
  Call call ("cudaGraphUpload");

  exec_of (handle);
  return call.chosen_to_fail ? fail (cudaErrorUnknown) : cudaSuccess;
}

cudaError_t
cudaGraphLaunch (cudaGraphExec_t handle, cudaStream_t stream)
{
  Call call ("cudaGraphLaunch");
  const std::shared_ptr<Graph> graph = exec_of (handle)->graph;

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  return enqueue (stream, { "graph", nullptr }, [graph] {
    count_graph (std::count_if (graph->nodes.begin (), graph->nodes.end (), computes));
    for (int i : order (graph.get ()))
      graph->nodes[i].work ();
  });
}

cudaError_t
cudaGraphExecUpdate (cudaGraphExec_t handle, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
  Call call ("cudaGraphExecUpdate");
  Exec *x = exec_of (handle);
  const Graph *g = graph_of (graph);
  bool same = g->nodes.size () == x->graph->nodes.size ();

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  for (size_t i = 0; same && i < g->nodes.size (); i++)
    same = strcmp (g->nodes[i].kind.what, x->graph->nodes[i].kind.what) == 0 &&
           g->nodes[i].kind.function == x->graph->nodes[i].kind.function &&
           g->nodes[i].after == x->graph->nodes[i].after;
  if (info) {
    memset (info, 0, sizeof *info);
    info->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
  }
  if (!same)
    return fail (cudaErrorGraphExecUpdateFailure);
  x->graph = std::make_shared<Graph> (*g);
  return cudaSuccess;
}

cudaError_t
cudaGraphGetNodes (cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
  Call call ("cudaGraphGetNodes");

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  if (nodes)
    return fail (cudaErrorNotSupported, "cudaGraphGetNodes gives only their number here");
  *n = graph_of (graph)->nodes.size ();
  return cudaSuccess;
}

cudaError_t
cudaGraphDestroy (cudaGraph_t graph)
{
  Call call ("cudaGraphDestroy");
  Graph *g = graph_of (graph);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  graphs.erase (g);
  delete g;
  return cudaSuccess;
}

cudaError_t
cudaGraphExecDestroy (cudaGraphExec_t handle)
{
  Call call ("cudaGraphExecDestroy");
  Exec *x = exec_of (handle);

  if (call.chosen_to_fail)
    return fail (cudaErrorUnknown);
  execs.erase (x);
  delete x; /* launches in hand keep the graph */
  return cudaSuccess;
}
}
