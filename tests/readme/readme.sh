#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# readme.sh CATENA LIBRARY-FOLDER: the README's C program compiles as printed, without a warning,
# and its chain is drawn; its configuration is one.
set -eu

catena=$1
library=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/extract.sh" c >"$work/shop.c"
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -Wall -Wextra -Werror ${README_CFLAGS:-} -o "$work/shop" "$work/shop.c" \
        -I"$root/lib" -L"$library" -lcatena -Wl,-rpath,"$library"
"$catena" exec --local -- "$work/shop" >"$work/out" 2>&1
cat "$work/out"
for text in order reserve reserved pay "the bank said no"; do
        grep -q "$text" "$work/out" || {
                echo "the chain does not show: $text"
                exit 1
        }
done

"$here/extract.sh" yaml >"$work/catenad.yaml"
"$3" --config "$work/catenad.yaml" --check-config
