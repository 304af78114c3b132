#!/usr/bin/env bash
# dsvl2: from nothing to an annotated video: installs what is needed, builds, runs
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: demo.sh [INPUT [PROMPT]]
#   INPUT    a video file or URI; default: the clip that comes with the nano model
#   PROMPT   the question about each analysed frame, such as "find cars"; default: a description with boxes
# Environment: DSVL2_MODEL (a model's folder; default: nano), INTERVAL (seconds between analysed frames, 0.2),
# BUILD (build folder, build), OUT (out).
# Leaves $OUT/annotated.webm, $OUT/annotated.jsonl (a line of JSON an analysed frame) and $OUT/frame.png.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
out=${OUT:-$top/out}

"$top/pipelines/install-deps.sh"
[ -f "$build/build.ninja" ] || meson setup "$build" "$top"
ninja -C "$build"

model=${DSVL2_MODEL:-$top/models/nano/hf}
input=${1:-$top/models/nano/clips/demo.webm}
prompt=${2:-<|grounding|>Describe this image.}
if [ $# -gt 0 ] && [ -z "${DSVL2_MODEL:-}" ]; then
  echo "The nano model knows drawn streets, not photographs: DSVL2_MODEL=/path/to/deepseek-vl2-tiny sees more." >&2
fi

mkdir -p "$out"
GST_PLUGIN_PATH=$build/gst${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH} "$build/pipelines/dsvl2-annotate" \
  --model "$model" --prompt "$prompt" --interval "${INTERVAL:-0.2}" \
  --json "$out/annotated.jsonl" --timings --picture "$out/frame.png" "$input" "$out/annotated.webm"

echo
echo "The first answers, from $out/annotated.jsonl:"
head -n 3 "$out/annotated.jsonl"
ls -l "$out"/annotated.* "$out/frame.png"
