#!/usr/bin/env bash
# dsvl2: everything that an NVIDIA GPU can tell about the CUDA back end, in one report
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/gpu/run.sh [--quick] [--build DIR] [--model DIR] [REPORT]
#
#   --quick   two ops and one pipeline, no timing: does it work at all
#   --build   a build folder to use as it is (default: build-gpu, made here for this GPU's architecture)
#   --model   a checkpoint to time, such as DeepSeek-VL2-Tiny (default: nano)
#   REPORT    the file to write (default: gpu-report.md)
#
# Without a GPU it says so and ends with status 2. tests/cuda/run tests/gpu/run.sh --quick --build build tries the
# script itself on the stand-in.
set -u
cd "$(dirname "$0")/../.." || exit 2
quick='' build='' model=models/nano/hf report=gpu-report.md failed=0
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --build) build=${2:?} && shift ;;
    --model) model=${2:?} && shift ;;
    -*) sed -n 's/^# //; 4,11p' "$0" >&2 && exit 2 ;;
    *) report=$1 ;;
  esac
  shift
done

standin=${STANDIN_KERNELS:+the stand-in, on no GPU}
if [ -z "$standin" ] && ! nvidia-smi -L >/dev/null 2>&1; then
  echo "There is no NVIDIA GPU here, or no driver (nvidia-smi -L fails)" >&2
  exit 2
fi

# part TITLE COMMAND…: runs it; its last lines, time and status go into the report.
part ()
{
  local title=$1 log status began=$SECONDS
  shift
  echo "$title" >&2
  log=$(mktemp)
  "$@" >"$log" 2>&1
  status=$?
  [ "$status" -eq 0 ] || failed=$((failed + 1))
  {
    printf '\n## %s: %s\n\n`%s`, %d s\n\n```\n' "$title" "$([ "$status" -eq 0 ] && echo passed || echo "FAILED ($status)")" "$*" \
      $((SECONDS - began))
    grep -E '^not ok|NOT |FAILED' "$log" | head -n 40
    tail -n "$lines" "$log"
    printf '```\n'
  } >>"$report"
  rm -f "$log"
}

lines=6
{
  echo "# dsvl2 on ${standin:-a GPU}"
  echo
  date -u '+%F %T UTC'
  git log -1 --format='commit %h %s' 2>/dev/null
  [ -n "$standin" ] || nvidia-smi --query-gpu=name,compute_cap,memory.total,driver_version --format=csv,noheader
} >"$report"

if [ -z "$build" ]; then
  build=build-gpu
  arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  [ -f $build/build.ninja ] || part "Configuring" meson setup $build --buildtype=release -Dcuda=enabled "-Dnvcc_archs=$arch"
  part "Building" ninja -C $build
fi
[ -e "$build/kernels/cuda/dsvl2-cuda.so" ] || { echo "$build has no CUDA back end; see $report" >&2; exit 1; }
build=$(cd "$build" && pwd)
export DSVL2_MODULE_DIR=$build/kernels/cuda GST_PLUGIN_PATH=$build/gst GST_REGISTRY=$build/tests/gpu-registry.bin
kernels=$build/tests/kernels/check_kernels

ops=$([ -n "$quick" ] && echo rms_norm moe_route ||
  grep -oE 'ENTRY \([a-z_]+\)' kernels/open.c | grep -oE '[a-z_]+' |
  grep -vxE 'close|alloc|free|upload|download|place|unplace|failure')
[ -n "$ops" ] || { echo "kernels/open.c names no op" >&2; exit 1; }
for op in $ops; do
  lines=1
  part "$op beside plain C" "$kernels" --backend cuda --op "$op"
done
for op in linear_tiles $([ -n "$quick" ] || echo linear linear_quantised linear_heads moe_experts experts_quantised); do
  part "$op with bf16 beside plain C" "$kernels" --backend cuda --bf16 --op "$op"
done
lines=6
if [ -z "$quick" ]; then
  for folder in tests/golden/data/*/; do
    part "Golden model $(basename "$folder")" "$build/tests/golden/check_golden" --device=cuda "$folder"
  done
fi
clips=$([ -n "$quick" ] && echo tests/golden/clips/still.webm || echo tests/golden/clips/*.webm)
# shellcheck disable=SC2086
part "nano in a pipeline beside device=cpu" python3 tests/cuda/pipeline.py env models/nano/hf $clips

# In pan.webm's first frame an edge lies between two of nano's coordinates: rounding may choose either.
for attention in $([ -n "$quick" ] && echo cudnn || echo own cudnn); do
  part "nano with bf16, vision-attention=$attention" python3 tests/cuda/pipeline.py env models/nano/hf bf16=true \
    vision-attention=$attention tests/golden/clips/still.webm
  [ -n "$quick" ] || part "attend_tiles beside plain C, vision-attention=$attention" "$kernels" --backend cuda --bf16 \
    --attention $attention --op attend_tiles
done

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    part "compute-sanitizer $tool" compute-sanitizer --tool $tool --error-exitcode 1 "$kernels" --backend cuda \
      ${quick:+--op rms_norm}
  done
elif [ -z "$standin" ]; then
  printf '\ncompute-sanitizer is not installed: not run.\n' >>"$report"
fi

if [ -z "$quick" ]; then
  lines=200
  part "Time of every op" "$kernels" --backend cuda --bench
  part "The whole" "$build/pipelines/dsvl2-bench" --device cuda --threads 1 --batch 1,4,16 "$model"
  [ -e "$build/tests/cuda/libcudart.so.13" ] && part "What tests/cuda/speed_model.py predicts of it" env DSVL2_BUILD="$build" \
    tests/cuda/speed_model.py tests/cuda/run "$build/pipelines/dsvl2-chat" models/nano/hf tests/pipelines/turned.jpg
fi
printf '\n%d parts failed.\n' "$failed" >>"$report"
echo "$report: $failed parts failed" >&2
[ "$failed" -eq 0 ]
