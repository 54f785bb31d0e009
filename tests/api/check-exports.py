#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""check-exports.py LIBRARY SYM PROGRAM HEADER...

The shared library exports exactly what the .sym file names, which is what the headers declare and
what the program calls; it needs libc alone, and little static thread-local storage.
"""

import re
import subprocess
import sys


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main(library, sym, program, *headers):
    named = set(re.findall(r"^\s+(catena_\w+);", text(sym), re.M))
    exported = {
        line.split()[-1].split("@")[0]
        for line in lines("nm", "-D", "--defined-only", library)
        if line.split()[-2] != "A"
    }
    declared = {
        name
        for header in headers
        for name in re.findall(r"^CATENA_API[^;(]*?(catena_\w+)\(", text(header), re.M)
    }
    called = {
        line.split()[-1].split("@")[0]
        for line in lines("nm", "-u", program)
        if "catena_" in line
    }
    needed = {
        name
        for line in lines("readelf", "-d", "-W", library)
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", line)
    }
    tls = [int(line.split()[5], 16) for line in lines("readelf", "-l", "-W", library)
           if line.split()[:1] == ["TLS"]]

    faults = []
    for what, found in (("exported", exported), ("declared", declared), ("called", called)):
        if found != named:
            faults.append(f"{what}, but not in the .sym file, or the reverse: {found ^ named}")
    strangers = {name for name in needed if not re.match(r"libc\.|ld-linux", name)}
    # A sanitizer brings its own.
    if not any(re.match(r"lib[a-z]*san\.", name) for name in needed):
        if strangers:
            faults.append(f"needed: {strangers}")
        if sum(tls) >= 64:
            faults.append(f"thread-local bytes: {sum(tls)}")
    for fault in faults:
        print(fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
