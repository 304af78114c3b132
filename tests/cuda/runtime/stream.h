/* dsvl2: the CUDA stand-in: streams, events and captures, as stream.cc and graph.cc see them
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STANDIN_STREAM_H
#define STANDIN_STREAM_H

#include "standin.h"

#include <deque>
#include <set>
#include <thread>
#include <vector>

namespace standin {

struct Stream;

/* One piece of work, or a wait until another stream has done `after_n` pieces of its own. */
struct Task {
  Work work;
  Stream *after;
  u64 after_n;
};

/* A node of a graph; the numbers of those that it waits for. */
struct Node {
  WorkKind kind;
  Work work;
  std::set<int> after;
};

struct Graph {
  std::vector<Node> nodes;
};

struct Capture {
  Graph *graph;
  Stream *origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread; /* that began it */
  bool broken;            /* something was done that may not be done while capturing */
};

struct Stream {
  bool blocking; /* takes part in the legacy stream's rule */
  std::deque<Task> queue{};
  u64 added = 0, done = 0;
  Capture *capture = nullptr;
  std::set<int> tail{}; /* of the capture: the nodes that the next one waits for */
};

struct Event {
  Stream *stream = nullptr;
  u64 n = 0; /* pieces of work of the stream that come before it */
  bool recorded = false;
  Capture *capture = nullptr;
  std::set<int> nodes{};
};

Stream *stream_of (cudaStream_t handle);

/* Adds a node behind what the stream has captured. */
void capture_work (Stream *s, WorkKind kind, Work work);

/* Lets go of all streams and events that take part in a capture. */
void end_capture_of (Capture *capture);

int report_leaked_graphs ();

} // namespace standin

#endif
