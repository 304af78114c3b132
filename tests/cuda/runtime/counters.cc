/* dsvl2: the CUDA stand-in: what has run, and how much it read, wrote and computed
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * STANDIN_COUNTERS=FILE gets, at exit, one JSON object:
 *   kernels    for each kernel and grid: launches, sums over them (see Counters in device.h)
 *   libraries  for each function and shape: calls, flops, bytes read and written
 *   copies     for each direction: number, bytes
 *   graphs     launches of graphs, kernels that ran in them (and are among `kernels`)
 *   calls      of each function of the API
 */
#include "standin.h"

#include <cxxabi.h>
#include <map>
#include <stdio.h>
#include <stdlib.h>

namespace standin {

struct KernelCount {
  long launches;
  Counters sum;
};

struct LibraryCount {
  long calls;
  double flops, read, written;
};

struct CopyCount {
  long copies;
  double bytes;
};

/* Never destroyed: they are written when other things are gone. */
static auto &kernels = *new std::map<std::string, KernelCount>;
static auto &libraries = *new std::map<std::string, LibraryCount>;
static auto &copies = *new std::map<std::string, CopyCount>;
static auto &calls = *new std::map<std::string, long>;
static long graph_launches, graph_kernels;

static std::string
readable (const char *mangled)
{
  int status;
  char *name = abi::__cxa_demangle (mangled, nullptr, nullptr, &status);
  std::string text = name ? name : mangled;

  free (name);
  return text.substr (0, text.rfind ('(') == std::string::npos ? text.size () : text.rfind ('('));
}

void
count_launch (const Launch &launch, const Counters &c)
{
  char shape[128];

  snprintf (shape, sizeof shape, "\", \"grid\": [%u, %u, %u], \"block\": [%u, %u, %u", launch.grid.x,
      launch.grid.y, launch.grid.z, launch.block.x, launch.block.y, launch.block.z);
  KernelCount &k = kernels[readable (launch.kernel->name) + shape];
  k.launches++;
  k.sum.instructions += c.instructions;
  k.sum.flops += c.flops;
  k.sum.matrix_flops += c.matrix_flops;
  k.sum.special += c.special;
  k.sum.read += c.read;
  k.sum.written += c.written;
  k.sum.unique_read += c.unique_read;
  k.sum.unique_written += c.unique_written;
  k.sum.shared += c.shared;
}

void
count_library (const std::string &what, double flops, double read, double written)
{
  LibraryCount &l = libraries[what];

  l.calls++;
  l.flops += flops;
  l.read += read;
  l.written += written;
}

void
count_copy (const char *direction, size_t bytes)
{
  CopyCount &c = copies[direction];

  c.copies++;
  c.bytes += bytes;
}

void
count_graph (long n)
{
  graph_launches++;
  graph_kernels += n;
}

void
count_call (const char *name)
{
  calls[name]++;
}

static void
write_kernels (FILE *f)
{
  const char *comma = "";

  fprintf (f, "{\n\"kernels\": [");
  for (const auto &[name, k] : kernels) {
    const Counters &c = k.sum;

    fprintf (f,
        "%s\n  {\"name\": \"%s], \"launches\": %ld, \"instructions\": %lu, \"flops\": %lu, "
        "\"matrix_flops\": %lu, \"special\": %lu, \"read\": %lu, \"written\": %lu, \"unique_read\": "
        "%lu, "
        "\"unique_written\": %lu, \"shared\": %lu}",
        comma, name.c_str (), k.launches, c.instructions, c.flops, c.matrix_flops, c.special, c.read,
        c.written, c.unique_read, c.unique_written, c.shared);
    comma = ",";
  }
}

void
write_counters ()
{
  const char *path = getenv ("STANDIN_COUNTERS"), *comma = "";
  FILE *f = path && *path ? fopen (path, "w") : nullptr;

  if (!f)
    return;
  write_kernels (f);
  fprintf (f, "],\n\"libraries\": [");
  for (const auto &[name, l] : libraries) {
    fprintf (f,
        "%s\n  {\"name\": \"%s\", \"calls\": %ld, \"flops\": %.0f, \"read\": %.0f, \"written\": %.0f}",
        comma, name.c_str (), l.calls, l.flops, l.read, l.written);
    comma = ",";
  }
  fprintf (f, "],\n\"copies\": [");
  comma = "";
  for (const auto &[name, c] : copies) {
    fprintf (f, "%s\n  {\"name\": \"%s\", \"copies\": %ld, \"bytes\": %.0f}", comma, name.c_str (),
        c.copies, c.bytes);
    comma = ",";
  }
  fprintf (f, "],\n\"graphs\": {\"launches\": %ld, \"kernels\": %ld},\n\"calls\": {", graph_launches,
      graph_kernels);
  comma = "";
  for (const auto &[name, n] : calls) {
    fprintf (f, "%s\n  \"%s\": %ld", comma, name.c_str (), n);
    comma = ",";
  }
  fprintf (f, "}\n}\n");
  fclose (f);
}

} // namespace standin
