#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh FOLDER [OPTION]...: builds the tree there, with these options of meson's.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$1
shift
[ -e "$folder/build.ninja" ] || meson setup "$folder" "$root" -Dwerror=true "$@"
ninja -C "$folder"
