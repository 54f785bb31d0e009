#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# interop.sh BUILD-COLLECTOR TEST: builds the collector where it is not there, then runs the test.
set -eu
collector=$("$1")
exec "$2" "$collector"
