#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# extract.sh LANGUAGE: prints the README's first block of code in that language.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
awk -v fence="\`\`\`$1" '
        $0 == fence && !done { inside = 1; next }
        inside && /^```$/ { exit }
        inside' "$root/README.md"
