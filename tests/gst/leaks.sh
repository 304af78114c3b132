#!/bin/sh
# dsvl2: a test program under GStreamer's leak tracer: no object may be alive when it ends
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: leaks.sh PROGRAM [ARGUMENT…]
log=$(mktemp)
trap 'rm -f "$log"' EXIT
GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_NO_COLOR=1 GST_DEBUG_FILE=$log "$@" || exit 1
alive=$(grep 'object-alive, ' "$log" | grep -vc 'new format')
grep 'object-alive, ' "$log" | grep -v 'new format' | head -n 20
grep -q 'GST_TRACER' "$log" || { echo "the leak tracer did not run"; exit 1; }
echo "$alive objects alive at the end"
[ "$alive" -eq 0 ]
