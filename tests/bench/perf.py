# SPDX-License-Identifier: Apache-2.0

"""Where the time goes: samples of perf, added up by area."""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial

from daemons import let_roam
from parts import CALLER_CASES, DAEMON_CASES, caller_run, daemon_run
from table import number, table

HZ = 2000
RECORD = ("perf", "record", "-q", "-g", "-F", str(HZ), "-e")
ATTACH_S = 0.5
OTHER = "other"

# The first that fits says what a sample is: in the kernel, by any function on its way there; in a
# program, by the function it was in and that one's file.
KERNEL_AREAS = [
    ("kernel: reading the arena", r"pread|shmem_file_read"),
    ("kernel: receiving records", r"unix_stream|sys_recv"),
    ("kernel: sending the requests", r"sys_writev|sys_send|tcp_|net_rx|softirq"),
    ("kernel: memory", r"page_fault|madvise|munmap|sys_mmap|fallocate|sys_brk"),
    ("kernel: the rest", r""),  # fits all
]
DAEMON_AREAS = [
    ("validating", r"^(validate|utf8|pb_next|varint)"),
    ("taking, indexing, closing, freeing",
     r"^(recorder|span|fragment|object|session|context|record|map|pool|intake|arena|join|state)"),
    ("the journal's blocks", r"^(journal|block|segment|checksum)"),
    ("span metrics", r"^(metric|histogram)"),
    ("chains", r"^(chain|id_)"),
    ("encoding the requests", r"^(batch|pb_|buffer|exporter|http1?|connection)"),
    ("libdeflate: compressing, checksums", r"libdeflate"),
    ("libc: memory", r"alloc|free|unlink_chunk"),
    ("libc: copying, comparing", r"^_*mem"),
    ("minimal program", r"minimal"),
]
CALLER_AREAS = [
    ("reading the clock", r"vdso|clock_gettime"),
    ("taking a chunk, publishing", r"^(catena__arena|catena__count|writer_take|writer_publish)"),
    ("encoding", r"^(catena__fragment|catena__text|catena__attribute|plain|strlen|_*str|_*mem)"
                 r"|writer_run|put_"),
    ("span, context, ids", r"^(span|catena_span|catena__(slot|span|context|random|process|link))"),
    ("the program itself", r"^caller"),
]


def samples(data):
    """For each sample the functions on its way, the innermost first, each with its file."""
    done = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for sample in done.stdout.split("\n\n"):
        frames = [line.split(None, 1)[1] for line in sample.splitlines() if line.strip()]
        if frames:
            yield frames


def area(frames, areas):
    if "kernel" in frames[0]:
        way = " ".join(frames)
        return next(name for name, pattern in KERNEL_AREAS if re.search(pattern, way))
    return next((name for name, pattern in areas if re.search(pattern, frames[0])), OTHER)


def shares(data, areas):
    counts = Counter(area(frames, areas) for frames in samples(data))
    return {name: n / counts.total() for name, n in counts.items()}


@contextmanager
def recording(data, process):
    recorder = subprocess.Popen([*RECORD, "cpu-clock", "-o", data, "-p", str(process.pid)],
                                stderr=subprocess.DEVNULL)
    time.sleep(ATTACH_S)
    yield
    recorder.send_signal(signal.SIGINT)
    recorder.wait()


def daemon_profile(bench, row, compression, n_spans):
    """The ns of a span by area."""
    data = bench.folder / "perf.data"
    result = daemon_run(bench, row, compression, n_spans, partial(recording, data))
    cost_ns = result["cpu_ns"] / result["arrived"]
    return {name: share * cost_ns for name, share in shares(data, DAEMON_AREAS).items()}


def caller_profile(bench, name, row, n_spans):
    """The same of the thread that makes spans, outside of the kernel."""
    data = bench.folder / "perf.data"
    result = caller_run(bench, name, row, n_spans, [*RECORD, "cpu-clock:u", "-o", data])
    return {name: share * result["ns"] for name, share in shares(data, CALLER_AREAS).items()}


def profile_table(columns, areas):
    names = [name for name, _ in [*areas, *KERNEL_AREAS]] + [OTHER]
    rows = [[name, *(number(column.get(name)) for column in columns.values())]
            for name in names if any(name in column for column in columns.values())]
    rows.append(["all", *(number(sum(column.values())) for column in columns.values())])
    return table(["ns a span", *columns], rows)


def of(cases, name):
    return next(case for case in cases if case[0] == name)


def profile(bench, sizes):
    head = "## Where the time goes\n\n"
    if not shutil.which("perf"):
        return head + "Left out: perf is missing.\n"
    daemons = {
        name + said: daemon_profile(bench, row, compression, sizes.daemon_spans)
        for name, row in (("catenad", of(DAEMON_CASES, "catenad, joined by copy")),
                          ("minimal program", of(DAEMON_CASES, "minimal program, 32 KiB a send")))
        for said, compression in (("", "none"), (", gzip", "gzip"))
    }
    let_roam(bench.start_catenad("none")[0])
    callers = {
        f"{name}, {said}": caller_profile(bench, name, of(CALLER_CASES, said), sizes.caller_spans)
        for said in ("no attributes", "5 attributes")
        for name in ("libcatena", "minimal program")
    }
    return (
        head + f"By perf, {HZ:,} samples a second, which cost something themselves: shares of the\n"
        "CPU time of one run. In the daemon, spans that are joined by copy, with 8 attributes;\n"
        "catenad's from an arena, the minimal program's in sends of 32 KiB.\n\n"
        + profile_table(daemons, DAEMON_AREAS)
        + "\nIn the program that makes them, which needs the kernel only between the bursts.\n\n"
        + profile_table(callers, CALLER_AREAS)
    )
