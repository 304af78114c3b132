#!/usr/bin/env bash
# dsvl2: builds and tests the product on Debian 13 and its GStreamer 1.26, in a folder of its own
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: newer-gstreamer.sh [FOLDER [ARGUMENT…]]
#
# FOLDER holds that Debian and is kept, so that the next run takes a minute less; default $DSVL2_NEWER_ROOT,
# else ~/.cache/dsvl2/debian-13. ARGUMENTs go to meson test; default: the suites unit and gst without
# golden. Nothing is written to the source tree; the build is FOLDER/build. As root, on Debian, with the network.
# The exit status is meson test's, or 77 where that Debian cannot be made.
#
# With a CUDA Toolkit here frames in CUDA memory are built there too. They are tested with the CUDA back end and the
# stand-in for CUDA of the build folder $DSVL2_BUILD (build-ci, else build), where that has them.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-${DSVL2_NEWER_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/dsvl2/debian-13}}
shift $(($# > 0))
[ $# -gt 0 ] || set -- --suite unit --suite gst --no-suite golden
# The archive that this machine's own packages come from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 2>/dev/null | grep -m 1 '/debian/*$' || true)
nvcc=$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")
# The folder of the header itself: nvcc may be a script, and the header beside it a link that leads nowhere in there.
cuda_include=$(readlink -e "${nvcc%/bin/nvcc}/include/cuda.h" || true)
cuda_include=${cuda_include%/cuda.h}
standin=
for build in "${DSVL2_BUILD:-$top/build-ci}" "$top/build"; do
  [ -n "$standin" ] || [ -z "$cuda_include" ] || [ ! -e "$build/tests/cuda/libcudart.so.13" ] || standin=$build
done
more=(libgstreamer-plugins-bad1.0-dev gstreamer1.0-x python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
  gir1.2-gst-plugins-bad-1.0 gir1.2-gst-rtsp-server-1.0 fonts-droid-fallback)

not_run ()
{
  echo "not run: $1"
  exit 77
}

# inside COMMAND…: as root of that Debian; what is mounted for it is gone with the command.
inside ()
{
  # shellcheck disable=SC2016
  unshare --mount bash -c '
    root=$1 cuda_include=$2 standin=$3; shift 3
    mkdir -p "$root/cuda-include" "$root/standin"
    [ -z "$cuda_include" ] || mount --bind -o ro "$cuda_include" "$root/cuda-include"
    [ -z "$standin" ] || mount --bind -o ro "$standin" "$root/standin"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"' inside "$root" "$cuda_include" "$standin" "$@"
}

# The tree as it is here, times kept, so that only what has changed is built again.
copy_source ()
{
  rm -rf "$root/source"
  mkdir "$root/source"
  { git -C "$top" ls-files -z -co --exclude-standard 2>/dev/null ||
    find "$top" -path "$top/build*" -prune -o -type f -printf '%P\0'; } |
    tar -C "$top" --null -T - --ignore-failed-read -c | tar -C "$root/source" -x
}

[ -n "$mirror" ] || not_run "this machine's packages do not come from a Debian archive"
[ "$(id -u)" -eq 0 ] || not_run "it takes root to make a Debian of its own"
unshare --mount true 2>/dev/null || not_run "nothing can be mounted here"
mkdir -p "$root"
exec 9>"$root.lock"
flock 9

if [ ! -e "$root/complete" ]; then
  command -v debootstrap >/dev/null || not_run "debootstrap is not installed"
  rm -rf "${root:?}"
  mkdir -p "$root"
  timeout 900 unshare --mount debootstrap --variant=minbase trixie "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 3 "$root.log"; not_run "debootstrap did not finish; is $mirror reachable?"; }
  touch "$root/complete"
fi
copy_source
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside sh -c '/source/pipelines/install-deps.sh &&
  { dpkg -s "$@" >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; }; }' sh "${more[@]}" >"$root.log" 2>&1 ||
  { tail -n 3 "$root.log"; not_run "its packages could not be installed; is $mirror reachable?"; }

inside sh -eu -c '
  cd /source
  [ -f /build/build.ninja ] || meson setup /build -Dwerror=true -Danalytics=enabled -Ddocs=false
  [ ! -e /cuda-include/cuda.h ] || meson configure /build -Dcudamemory=enabled \
    "-Dc_args=-isystem /cuda-include -DCUDA_MODULE_DIR=\\\"/standin/kernels/cuda\\\""
  ninja -C /build
  gst-inspect-1.0 --version
  meson test -C /build --no-rebuild --print-errorlogs "$@"' sh "$@"

# Each way of a frame once; the rest is the same code as here. The registry tells what nvcodec found with the libraries of then.
rm -f "$root/build/registry-cuda.bin"
[ -z "$standin" ] || inside env DSVL2_BUILD=/standin DSVL2_MODULE_DIR=/standin/kernels/cuda GST_PLUGIN_PATH=/build/gst \
  GST_REGISTRY=/build/registry-cuda.bin GST_REGISTRY_FORK=no DSVL2_TEST_MODEL=/source/tests/golden/data/mha-softmax \
  python3 /source/tests/gst/test_cuda_memory.py /source/tests/cuda/run 1 2 7 9 10 13 14 15
