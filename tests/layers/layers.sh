#!/usr/bin/env bash
# dsvl2: include directives go downward only: gst and pipelines -> engine/dsvl2.h, engine -> kernels/backend.h
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: layers.sh [ROOT]     one line for each include that breaks a rule; exit status 1 if there is any
set -u
root=${1:-$(dirname "$0")/../..}
cd "$root" || exit 2

# What "file.h" may resolve to, and which <file.h> are out of bounds, for each layer: extended regular expressions.
declare -A own=(
  [gst]='^(gst/|engine/dsvl2\.h$)'
  [pipelines]='^(pipelines/|engine/dsvl2\.h$|gst/(still|jsonline)\.h$)'
  [engine]='^(engine/|kernels/backend\.h$)'
  [kernels]='^kernels/'
)
declare -A foreign=(
  [gst]='^(cuda|cublas|cudnn|json-glib/|kernels/|engine/)'
  [pipelines]='^(cuda|cublas|cudnn|kernels/|engine/)'
  [engine]='^(gst/|glib-object|cuda|cublas|cudnn|cairo|pango/|gst$)'
  [kernels]='^(glib|gio/|gmodule|json-glib/|gst/|cairo|pango/)'
)

# The file of the tree that #include "$2" in file $1 means, tried in the order of our include paths.
resolve ()
{
  local candidate
  for candidate in "$(dirname "$1")/$2" "$2" "engine/$2"; do
    candidate=$(realpath -m --relative-to=. "$candidate")
    if [ -f "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  echo "(no such file)"
}

checked=0 wrong=0
complain ()
{
  echo "$1: $2"
  wrong=$((wrong + 1))
}

for layer in gst pipelines engine kernels; do
  [ -d "$layer" ] || continue
  while IFS=: read -r file line directive; do
    name=$(sed -E 's/^[^"<]*["<]([^">]*)[">].*/\1/' <<<"$directive")
    checked=$((checked + 1))
    if [[ $directive == *\"* ]]; then
      target=$(resolve "$file" "$name")
      [[ $target =~ ${own[$layer]} ]] ||
        complain "$file:$line" "$layer/ may not include \"$name\", which is $target"
    elif [[ $name =~ ${foreign[$layer]} ]]; then
      complain "$file:$line" "$layer/ may not include <$name>"
    fi
  done < <(grep -rnHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' \
    --include='*.c' --include='*.h' --include='*.cc' --include='*.cu' --include='*.cuh' "$layer")
done

# The engine never asks which back end or processor it runs on.
while IFS=: read -r file line directive; do
  complain "$file:$line" "engine/ may not test for a back end: $directive"
done < <(grep -rnHE '^[[:space:]]*#[[:space:]]*(el)?if.*(CUDA|NVCC|__AVX|__x86_64)' --include='*.[ch]' engine)

echo "$checked include directives, $wrong wrong"
[ "$checked" -gt 0 ] && [ "$wrong" -eq 0 ]
