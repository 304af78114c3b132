#!/usr/bin/env bash
# dsvl2: from nothing to an annotated video: installs what is needed, builds, runs
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: demo.sh [INPUT [PROMPT]]
#   INPUT    a video file or URI; default: the clip that comes with the nano model
#   PROMPT   the question about each analysed frame; default: "find cars" for the clip, "<|grounding|>Describe
#            the image." for other footage
# Environment: DSVL2_MODEL (a model's folder; default nano), INTERVAL (seconds between analysed frames, 0.2),
# BUILD (build folder, build), OUT (out).
# Leaves $OUT/annotated.webm, $OUT/annotated.jsonl (a line of JSON an analysed frame) and $OUT/frame.png.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
out=${OUT:-$top/out}

"$top/pipelines/install-deps.sh"
[ -f "$build/build.ninja" ] || meson setup --buildtype=release "$build" "$top"
ninja -C "$build"

# The clip of the nano model; a test picture that moves where there is none.
clip=$(find "$top/models/nano" -name '*.webm' -o -name '*.mp4' | sort | head -n 1)
mkdir -p "$out"
if [ $# -gt 0 ]; then
  input=$1
elif [ -n "$clip" ]; then
  input=$clip
else
  input=$out/test-picture.webm
  gst-launch-1.0 -q videotestsrc num-buffers=60 pattern=ball ! video/x-raw,width=640,height=360,framerate=15/1 \
    ! vp8enc deadline=1 ! webmmux ! filesink location="$input"
fi
prompt=${2:-find cars}

model=${DSVL2_MODEL:-$top/models/nano/hf}
GST_PLUGIN_PATH=$build/gst${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH} "$build/pipelines/dsvl2-annotate" \
  --model "$model" --prompt "$prompt" --interval "${INTERVAL:-0.2}" \
  --json "$out/annotated.jsonl" --picture "$out/frame.png" "$input" "$out/annotated.webm"

echo
echo "The first answers, from $out/annotated.jsonl:"
head -n 3 "$out/annotated.jsonl"
ls -l "$out"/annotated.* "$out/frame.png"
