#!/usr/bin/env bash
# dsvl2: layers.sh finds what it is there to find
# SPDX-License-Identifier: LGPL-2.1-or-later
set -u
here=$(dirname "$0")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0 n=0

mkdir -p "$tree"/{gst,engine,kernels/cpu,pipelines}
touch "$tree"/engine/{dsvl2,config}.h "$tree"/kernels/backend.h "$tree"/kernels/cpu/rows.h "$tree"/gst/{gstdsvl2infer,jsonline}.h
echo '#include <math.h>' >"$tree/kernels/cpu/fine.c" # a tree without any directive is an error of its own

# file | directive | allowed?
while IFS='|' read -r file directive expected; do
  printf '%s\n' "$directive" >"$tree/$file"
  if "$here/layers.sh" "$tree" >/dev/null; then found=yes; else found=no; fi
  rm "$tree/$file"
  n=$((n + 1))
  if [ "$found" = "$expected" ]; then result=ok; else result="not ok"; failed=$((failed + 1)); fi
  echo "$result $n - $directive in $file: $found, expected $expected"
done <<'CASES'
gst/a.c|#include "gstdsvl2infer.h"|yes
gst/a.c|#include "dsvl2.h"|yes
gst/a.c|#include "engine/dsvl2.h"|yes
gst/a.c|#include <gst/gst.h>|yes
gst/a.c|#include "engine/config.h"|no
gst/a.c|#include "../engine/config.h"|no
gst/a.c|#include "kernels/backend.h"|no
gst/a.c|#include "missing.h"|no
gst/a.c|  #  include <cuda_runtime.h>|no
engine/a.c|#include "config.h"|yes
engine/a.h|#include "kernels/backend.h"|yes
engine/a.h|#include "kernels/cpu/rows.h"|no
engine/a.c|#include "gst/gstdsvl2infer.h"|no
engine/a.c|#include <gst/gst.h>|no
engine/a.c|#ifdef HAVE_CUDA|no
kernels/cpu/a.c|#include "kernels/backend.h"|yes
kernels/cpu/a.c|#include "rows.h"|yes
kernels/cpu/a.c|#include <math.h>|yes
kernels/cpu/a.c|#include <glib.h>|no
kernels/cpu/a.c|#include "engine/dsvl2.h"|no
pipelines/a.c|#include "dsvl2.h"|yes
pipelines/a.c|#include "../engine/config.h"|no
pipelines/a.c|#include "../gst/gstdsvl2infer.h"|no
pipelines/a.c|#include "../gst/jsonline.h"|yes
CASES

echo "1..$n"
exit $((failed > 0))
