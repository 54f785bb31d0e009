#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs all tests.
set -eu

cd "$(dirname "$0")/.."
tests/install.sh
tests/build.sh build
exec meson test -C build --print-errorlogs "$@"
