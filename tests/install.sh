#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of the packages of Debian 12 that building and testing take. Needs root
# only if anything is.
set -eu

packages="gcc g++ libc6-dev meson ninja-build pkgconf python3 python3-venv
        protobuf-c-compiler libprotobuf-c-dev libuv1-dev libcyaml-dev libyaml-dev
        libdeflate-dev libjansson-dev node-llhttp check gcovr"
missing=
for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
