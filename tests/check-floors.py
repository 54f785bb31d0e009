#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""The shape of the tree: who may include whom, one wrapper for each foreign library, sizes.

check-floors.py ROOT         checks the tree; prints what breaks a rule, and fails if anything does
check-floors.py --self-test  proves that each rule can be broken
"""

import fnmatch
import os
import re
import sys

FOLDERS = ("proto", "daemon", "lib", "tests")
C_SOURCES = (".c", ".h", ".cpp", ".hpp")
SOURCES = (*C_SOURCES, ".py", ".proto")
LINES_MAX = 600
COLUMNS_MAX = 100

# An include of daemon/X points down or sideways.
FLOORS = {"base": 1, "journal": 2, "http": 2, "trace": 3, "ingest": 4, "export": 4, "control": 4}
ROOT_FLOOR = 5  # daemon/*.c

# Of floor 4, only control sees the others.
APART = {"ingest": ("export", "control"), "export": ("ingest", "control")}

# Of the daemon, the command uses the HTTP client and what that stands on.
COMMAND_SEES = ("daemon/http/", "daemon/base/")

# The files that may include a foreign header. A header and its .c are one pair.
FOREIGN = {
    "uv.h": [
        "daemon/ingest/listener.[ch]",
        "daemon/ingest/peer.[ch]",
        "daemon/export/exporter.[ch]",
        "daemon/export/connection.[ch]",
        "daemon/control/control.[ch]",
        "daemon/daemon.[ch]",
        "daemon/daemon-internal.h",
    ],
    "llhttp.h": ["daemon/http/http1.c"],
    "libdeflate.h": ["daemon/http/gzip.c", "daemon/base/checksum.c"],
    "jansson.h": ["lib/cli/answer.c"],
    "cyaml/cyaml.h": ["daemon/config-schema.c"],
    "yaml.h": ["daemon/config-tree.c"],
    "nghttp2/*": [],
    "openssl/*": [],
    "zlib.h": [],
    "systemd/*": [],
    "protobuf-c/*": [],
    "check.h": [],
}

# The installed headers lie side by side wherever they are, and include each other by name.
PUBLIC = "lib/catena*.h*"

# What protoc-c makes: above the journal only, and never in the client's library.
GENERATED = "*.pb-c.h"
GENERATED_FOLDERS = ("daemon/trace", "daemon/ingest", "daemon/export", "daemon/control", "daemon")

# Files that may be longer, and why. Empty, and meant to stay so.
LONG = {}

# Programs are not modules: their name is no prefix.
SHARED_BASENAMES = ("main.c",)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def floor(path):
    """The floor of a path below daemon/, or None where there is no such folder."""
    parts = path.split("/")
    return ROOT_FLOOR if len(parts) == 2 else FLOORS.get(parts[1])


def daemon_include(path, target):
    if floor(target) is None or floor(path) is None:
        return "a folder that is no floor"
    if floor(target) > floor(path):
        return "points up"
    if target.split("/")[1] in APART.get(path.split("/")[1], ()):
        return "these two never see each other"
    return None


def own_include(path, target):
    """What is wrong with an include of one of our own headers, or None."""
    source, kind = path.split("/")[0], target.split("/")[0]
    if source == "tests":
        return None
    if fnmatch.fnmatch(path, PUBLIC):
        return None if fnmatch.fnmatch(f"lib/{target}", PUBLIC) else "not an installed header"
    if kind not in ("proto", "daemon", "lib"):
        return "not a path from the root of the tree"
    if kind == "proto" or (kind == "lib" and source == "lib"):
        if kind == "lib" and target.startswith("lib/cli/") and not path.startswith("lib/cli/"):
            return "the library does not see the command"
        return None
    if source == "daemon" and kind == "daemon":
        return daemon_include(path, target)
    if path.startswith("lib/cli/") and target.startswith(COMMAND_SEES):
        return None
    return f"{source} does not see {kind}"


def foreign_include(path, target):
    for header, allowed in FOREIGN.items():
        if fnmatch.fnmatch(target, header) and not path.startswith("tests/"):
            if not any(fnmatch.fnmatch(path, pattern) for pattern in allowed):
                return "not among the files that may"
    return None


def include(path, bracket, target):
    if fnmatch.fnmatch(target, GENERATED):
        if path.startswith("tests/") or os.path.dirname(path) in GENERATED_FOLDERS:
            return None
        return "protobuf-c is for what is cold, above the journal"
    return foreign_include(path, target) if bracket == "<" else own_include(path, target)


def check(tree):
    """All that is wrong with a tree, given as {path: text}."""
    faults, basenames = [], {}
    for path, text in sorted(tree.items()):
        lines = text.splitlines()
        if len(lines) > LINES_MAX and path not in LONG:
            faults.append(f"{path}: {len(lines)} lines, over {LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                faults.append(f"{path}:{number}: {len(line)} columns, over {COLUMNS_MAX}")
        if not path.endswith(C_SOURCES):
            continue
        for bracket, target in INCLUDE.findall(text):
            fault = include(path, bracket, target)
            if fault:
                faults.append(f"{path}: includes {target}: {fault}")
        name = os.path.basename(path)
        if name.endswith(".c") and not path.startswith("tests/") and name not in SHARED_BASENAMES:
            if name in basenames:
                faults.append(f"{path}: {basenames[name]} has the same name")
            basenames[name] = path
    return faults


def read_tree(root):
    tree = {}
    for folder in FOLDERS:
        for directory, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith(SOURCES) or name == "meson.build":
                    path = os.path.join(directory, name)
                    with open(path, encoding="utf-8") as file:
                        tree[os.path.relpath(path, root)] = file.read()
    return tree


# (file, what it includes, part of the fault; None: there is none)
CASES = [
    ("daemon/trace/span.c", '"daemon/base/map.h"', None),
    ("daemon/trace/span.c", '"proto/pb.h"', None),
    ("daemon/trace/span.c", '"otlp/trace.pb-c.h"', None),
    ("daemon/trace/span.c", "<string.h>", None),
    ("daemon/trace/span.c", '"daemon/ingest/peer.h"', "points up"),
    ("daemon/trace/span.c", '"daemon/config.h"', "points up"),
    ("daemon/base/map.c", '"daemon/journal/journal.h"', "points up"),
    ("daemon/journal/block.c", '"daemon/http/url.h"', None),
    ("daemon/journal/block.c", '"daemon/trace/span.h"', "points up"),
    ("daemon/journal/block.c", '"catena.pb-c.h"', "cold"),
    ("daemon/export/retry.c", '"daemon/ingest/peer.h"', "never see"),
    ("daemon/export/retry.c", '"daemon/control/control.h"', "never see"),
    ("daemon/ingest/peer.c", '"daemon/export/exporter.h"', "never see"),
    ("daemon/ingest/peer.c", '"daemon/control/control.h"', "never see"),
    ("daemon/control/status.c", '"daemon/ingest/listener.h"', None),
    ("daemon/daemon.c", '"daemon/control/control.h"', None),
    ("daemon/daemon.c", '"daemon/attic/old.h"', "no floor"),
    ("daemon/daemon.c", '"lib/catena.h"', "daemon does not see lib"),
    ("daemon/daemon.c", '"config.h"', "not a path from the root"),
    ("proto/pb.c", '"daemon/base/error.h"', "proto does not see daemon"),
    ("proto/pb.c", '"otlp/trace.pb-c.h"', "cold"),
    ("lib/catena.h", '"catena-primitives.h"', None),
    ("lib/catena.h", '"proto/pb.h"', "not an installed header"),
    ("lib/catena.hpp", '"catena.h"', None),
    ("lib/client.c", '"catena.h"', "not a path from the root"),
    ("lib/client.c", '"proto/pb.h"', None),
    ("lib/client.c", '"daemon/base/map.h"', "lib does not see daemon"),
    ("lib/client.c", '"daemon/http/url.h"', "lib does not see daemon"),
    ("lib/client.c", '"lib/cli/tree.h"', "does not see the command"),
    ("lib/client.c", '"catena.pb-c.h"', "cold"),
    ("lib/cli/tree.c", '"daemon/http/url.h"', None),
    ("lib/cli/tree.c", '"lib/catena.h"', None),
    ("lib/cli/tree.c", '"daemon/base/map.h"', None),
    ("lib/cli/tree.c", '"daemon/trace/span.h"', "lib does not see daemon"),
    ("daemon/ingest/peer.h", "<uv.h>", None),
    ("daemon/trace/span.c", "<uv.h>", "not among"),
    ("daemon/ingest/process.c", "<uv.h>", "not among"),
    ("daemon/http/http1.c", "<llhttp.h>", None),
    ("daemon/http/url.c", "<llhttp.h>", "not among"),
    ("daemon/http/url.c", "<libdeflate.h>", "not among"),
    ("daemon/daemon.c", "<jansson.h>", "not among"),
    ("daemon/config.c", "<cyaml/cyaml.h>", "not among"),
    ("daemon/config.c", "<yaml.h>", "not among"),
    ("daemon/http/http1.c", "<nghttp2/nghttp2.h>", "not among"),
    ("daemon/http/http1.c", "<openssl/ssl.h>", "not among"),
    ("tests/unit/test-map.c", "<check.h>", None),
    ("tests/unit/test-map.c", '"daemon/base/map.h"', None),
]

TREES = [
    ({"daemon/a.c": "int a;\n" * 600}, None),
    ({"daemon/a.c": "int a;\n" * 601}, "601 lines"),
    ({"tests/a.py": "#\n" * 601}, "601 lines"),
    ({"daemon/a.c": "x" * 100}, None),
    ({"daemon/a.c": "é" * 100}, None),
    ({"daemon/a.c": "\n" + "x" * 101}, "daemon/a.c:2: 101 columns"),
    ({"daemon/base/a.c": "", "daemon/http/a.c": ""}, "has the same name"),
    ({"daemon/base/a.c": "", "tests/a.c": ""}, None),
    ({"daemon/main.c": "", "lib/cli/main.c": ""}, None),
    ({"daemon/a.c": " *  #include <uv.h>\n"}, None),
    ({"daemon/a.c": "  #  include <uv.h>\n"}, "not among"),
]


def self_test():
    cases = [({path: f"#include {target}\n"}, fault) for path, target, fault in CASES]
    for tree, fault in cases + TREES:
        faults = check(tree)
        if (len(faults) != 1 or fault not in faults[0]) if fault else faults:
            sys.exit(f"{tree}: expected {fault}, got {faults}")
    print(f"{len(cases) + len(TREES)} cases judged as they should be")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tree = read_tree(sys.argv[1])
    if not any(path.startswith("daemon/trace/") for path in tree):
        sys.exit(f"{sys.argv[1]}: not the root of the tree")
    faults = check(tree)
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(tree)} files, no rule broken")


if __name__ == "__main__":
    main()
