#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# interop.sh BUILD-COLLECTOR TEST ARGUMENT...: builds the collector where it is not there yet, then
# runs the test with its path before the other arguments.
set -eu

collector=$("$1")
test=$2
shift 2
exec "$test" "$collector" "$@"
