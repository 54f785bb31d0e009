#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The main job on real input: installs what is missing, builds, and runs a shell pipeline over the
# sources and the README's C program as one chain, drawn when it has ended.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
tests/install.sh
tests/build.sh build
tests/readme/extract.sh c >build/shop.c
cc -o build/shop build/shop.c -Ilib -Lbuild/lib -lcatena -Wl,-rpath,"$root/build/lib"
PATH=$root/build/lib/cli:$PATH
export PATH
exec catena exec --local --name "longest sources" -- sh -c '
        catena exec --name find -- find daemon lib proto -name "*.c" |
        catena exec --name count -- xargs wc -l |
        catena exec --name sort -- sort -rn | head -n 4
        OTEL_SERVICE_NAME=shop build/shop'
