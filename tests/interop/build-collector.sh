#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a stock OpenTelemetry Collector. It is built once by the collector's own
# builder, from builder.yaml, and kept in a cache folder. Exits with 77 where Go cannot do that.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=0.159.0
cache=${CATENA_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/catena-tests}
folder=$cache/otelcol-$version-$(sha256sum "$here/builder.yaml" | cut -c1-12)
binary=$folder/otelcol-catena

skip() {
        echo "build-collector: $*" >&2
        exit 77
}

if [ ! -x "$binary" ]; then
        command -v go >/dev/null || skip "go is not installed"
        minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
        [ "${minor:-0}" -ge 26 ] || skip "go is older than 1.26"
        mkdir -p "$folder"
        exec 9>"$folder/lock"
        flock 9
        if [ ! -x "$binary" ]; then
                go run "go.opentelemetry.io/collector/cmd/builder@v$version" \
                        --config "$here/builder.yaml" --output-path "$folder/build" \
                        >"$folder/log" 2>&1 || skip "the build failed, see $folder/log"
                mv "$folder/build/otelcol-catena" "$binary"
        fi
fi
echo "$binary"
