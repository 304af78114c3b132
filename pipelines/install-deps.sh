#!/usr/bin/env bash
# dsvl2: installs the Debian packages that building and running it needs, if any is missing
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: install-deps.sh [--tests]     --tests: also what only .ci/run needs
set -euo pipefail

build=(gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libjson-glib-dev libpango1.0-dev
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev)
run=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x fonts-dejavu-core)
tests=(clang-format debootstrap python3-gi python3-venv gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0
  gir1.2-gst-rtsp-server-1.0 fonts-droid-fallback)

packages=("${build[@]}" "${run[@]}")
if [ "${1:-}" = --tests ]; then
  packages+=("${tests[@]}")
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
fi
echo "Installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >&2
