# SPDX-License-Identifier: Apache-2.0

"""The parts of the benchmark. Each is given a Bench and the sizes, and returns its text."""

import json
import os
import subprocess
from contextlib import nullcontext
from functools import partial

from daemons import cores, let_roam, resident_kib
from table import interleave, median, number, ratio, spread, table

NS_A_US = 1000
KIB_A_MIB = 1024
COMPRESSIONS = ("none", "gzip")
ARENA = ("--arena",)


def costs_us(results):
    return [r["cpu_ns"] / r["arrived"] / NS_A_US for r in results if r["arrived"]]


def own_mib(result):
    """Without the journal."""
    return (result["rss_kib"] - result["shared_kib"]) / KIB_A_MIB


def n_lost(results):
    return sum(r["said"] - r["arrived"] for r in results)


# ---- what a span costs its caller ----

CALLER_CASES = [  # name, case, threads, what else is different
    ("no attributes", "span0", 1, None),
    ("no attributes, 2 threads", "span0", 2, None),
    ("no attributes, 8 threads", "span0", 8, None),
    ("5 attributes", "span5", 1, None),
    ("5 attributes, 2 threads", "span5", 2, None),
    ("5 attributes, 8 threads", "span5", 8, None),
    ("a request", "request", 1, None),
    ("not sampled", "span0", 1, "unsampled"),
    ("no daemon", "span0", 1, "no daemon"),
]
CALLER_BURST = 1024  # spans, of all threads together
CALLER_SPANS = {"opentelemetry-python": 1 / 25}  # of those of the others
SOCKET = "libcatena, socket"  # its daemon is the minimal one, which offers no arenas
CALLER_NAMES = [
    "libcatena", SOCKET, "minimal program", "opentelemetry-rust", "opentelemetry-go",
    "opentelemetry-python", "fastrace",
]
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def caller_command(bench, name):
    """What to run, before the case and so on; None: it is not there."""
    peers = bench.peers
    if name.startswith("libcatena"):
        return [bench.programs / "bench-caller"]
    if name == "minimal program":
        program = bench.programs / "bench-minimal-writer"
        if not program.exists():
            peers.missing[name] = "it is not built"
        return [program] if program.exists() else None
    if name in ("opentelemetry-rust", "fastrace"):
        return peers.rust() and [peers.rust(), name.removesuffix("-rust")]
    if name == "opentelemetry-go":
        return peers.go() and [peers.go()]
    return peers.python() and [peers.python(), peers.python_caller()]


def caller_environment(bench, name, different):
    environment = {**os.environ, "CATENA_SOCKET": f"{bench.folder}/catena.sock"}
    environment.pop("TRACEPARENT", None)
    if name == SOCKET:
        environment["CATENA_SOCKET"] = f"{bench.folder}/minimal.sock"
    if different == "no daemon":
        environment["CATENA_SOCKET"] = f"{bench.folder}/nobody.sock"
    if different == "unsampled":
        environment["TRACEPARENT"] = UNSAMPLED
    return environment


def caller_run(bench, name, row, n_spans, under=()):
    """`under`: a command that runs it."""
    _, case, n_threads, different = row
    if different == "no daemon" and name != "libcatena":
        return None  # they have none
    if different == "unsampled" and not name.startswith("libcatena"):
        case = different
    n_spans = int(n_spans * CALLER_SPANS.get(name, 1))
    command = caller_command(bench, name)
    if name == "minimal program":
        if case not in ("span0", "span5") or different:
            return None
        command += ["--attributes", case[-1], "--threads", n_threads, "--spans", n_spans]
    else:
        command += [case, n_threads, n_spans, CALLER_BURST // n_threads]
    done = subprocess.run([str(part) for part in [*under, *command]], stdout=subprocess.PIPE,
                          check=True, env=caller_environment(bench, name, different), text=True)
    if name == "minimal program":
        return {"ns": float(done.stdout.split()[1]), "dropped": 0}
    return json.loads(done.stdout)


def caller(bench, sizes):
    names = [name for name in CALLER_NAMES if caller_command(bench, name)]
    for process, _ in (bench.start_catenad("none"), bench.start_minimal("none")):
        let_roam(process)
    transport = caller_run(bench, "libcatena", CALLER_CASES[0], CALLER_BURST)["transport"]
    if transport == "socket":
        names.remove(SOCKET)
    results = interleave({
        f"{name}, {row[0]}": partial(caller_run, bench, name, row, sizes.caller_spans)
        for row in CALLER_CASES for name in names
    }, sizes.runs)
    rows, dropped = [], {}
    for row in CALLER_CASES:
        runs = {name: results[f"{name}, {row[0]}"] for name in names}
        times = {name: median([r["ns"] for r in runs[name]]) for name in names}
        cells = [number(times["libcatena"]), spread([r["ns"] for r in runs["libcatena"]])]
        for name in names[1:]:
            cells += [number(times[name]), ratio(times[name], times["libcatena"])]
        rows.append([row[0], *cells])
        for name in names:
            n_dropped = sum(r["dropped"] for r in runs[name])
            if n_dropped and row[3] != "no daemon":
                dropped[name] = dropped.get(name, 0) + n_dropped
    head = ["ns a span", "libcatena", "spread"]
    for name in names[1:]:
        head += [name, "×"]
    said = ", ".join(f"{name} {n}" for name, n in dropped.items()) or "none"
    return (
        "## A span, in the program that makes it\n\n"
        "CPU time of the calling thread for the start and the end of a span, its parent given; in\n"
        f"bursts of {CALLER_BURST} spans (of all threads together), between which everybody\n"
        "flushes: so nothing is dropped, and what others do in threads of their own is not\n"
        "counted. The peers have a batch processor and an exporter that drops; libcatena has\n"
        f"catenad, which reads what it says from its {transport} and sends to the sink. A request\n"
        "is a new trace: libcatena's with its context.\n\n"
        f"{table(head, rows)}\nSpans dropped on the way: {said}.\n"
    )


# ---- what a span costs the daemon ----

DAEMON_CASES = [  # name, which, kind of span, options of the load
    ("catenad, whole spans", "catenad", "whole", ARENA),
    ("catenad, joined by copy", "catenad", "joined", ARENA),
    ("catenad, rebuilt", "catenad", "rebuilt", ARENA),
    ("catenad, joined, by socket", "catenad", "joined", ()),
    ("catenad, joined, 32 KiB a send", "catenad", "joined", ("--a-send", 1000)),
    ("minimal program, a record a send", "minimal", "joined", ()),
    ("minimal program, 32 KiB a send", "minimal", "joined", ("--a-send", 1000)),
    ("Collector", "collector", None, ()),
    ("Rotel", "rotel", None, ()),
]


def daemon_run(bench, row, compression, n_spans, watched=lambda process: nullcontext()):
    """`watched`: makes the context of what is measured."""
    _, which, kind, options = row
    options = ["--kind", kind, *options] if kind else options
    process, target = getattr(bench, f"start_{which}")(compression)
    idle_kib, _ = resident_kib(process)
    bench.load(process, target, n_spans // 10, *options)
    with watched(process):
        result = bench.load(process, target, n_spans, *options)
    bench.stop(process)
    return {**result, "idle_kib": idle_kib}


def daemon(bench, sizes):
    rows_of = [row for row in DAEMON_CASES
               if row[1] in ("catenad", "minimal") or getattr(bench.peers, row[1])()]
    results = interleave({
        f"{row[0]}, {how}": partial(
            daemon_run, bench, row, how,
            sizes.peer_spans if row[2] is None else sizes.daemon_spans)
        for row in rows_of for how in COMPRESSIONS
    }, sizes.runs)

    def cost(row, how):
        return costs_us(results[f"{row[0]}, {how}"])

    base = {how: median(cost(DAEMON_CASES[1], how)) for how in COMPRESSIONS}
    rows = []
    for row in rows_of:
        plain = results[f"{row[0]}, none"]
        costs = [median(cost(row, how)) for how in COMPRESSIONS]
        rate = median([r["arrived"] * 1e6 / r["wall_ns"] for r in plain])
        rows.append([
            row[0], number(costs[0]), ratio(costs[0], base["none"]), spread(cost(row, "none")),
            number(costs[1]), ratio(costs[1], base["gzip"]), number(rate),
            number(median([r["idle_kib"] / KIB_A_MIB for r in plain])),
            number(median([r["rss_kib"] / KIB_A_MIB for r in plain])),
            number(median([own_mib(r) for r in plain])),
            sum(n_lost(results[f"{row[0]}, {how}"]) for how in COMPRESSIONS),
        ])
    return (
        "## A span, in the daemon\n\n"
        "CPU time of the daemon's process a span, one core; spans of 410 bytes with 8 attributes.\n"
        "catenad takes them from one client's arena, or from its socket, in sends of one record,\n"
        "as the library says them, or of many; the minimal program (copies, validates, joins,\n"
        "sends; nothing else) from its socket; the Collector and Rotel over OTLP/HTTP, 1,000 a\n"
        "request. All send OTLP/HTTP to the same sink. Ratios are to “joined by copy”, the\n"
        "usual case. Of the memory after the load, the journal is what is shared.\n\n"
        + table(["µs CPU a span", "identity", "×", "spread", "gzip", "×", "1,000 spans/s",
                 "MiB idle", "after", "less journal", "lost"], rows)
    )


# ---- how the cost grows ----

def scale_rows(sizes):
    rows = [("1 client", [])]
    rows += [(f"{n:,} clients", ["--clients", n]) for n in (16, 256, 1000)]
    rows += [(f"{n:,} spans open", ["--open", n]) for n in (10, 10000, sizes.open_most)]
    rows += [(f"{n:,} chains", ["--chains", n]) for n in (10, 1000, 100000)]
    return rows


def scale(bench, sizes):
    rows_of = {name: options for name, options in scale_rows(sizes)}

    def measure(options):
        process, target = bench.start_catenad("none", journal="1GiB")
        kind = ["--kind", "joined", *ARENA]
        bench.load(process, target, sizes.daemon_spans // 10, *kind)
        result = bench.load(process, target, sizes.daemon_spans, *kind, *options)
        bench.stop(process)
        return result

    results = interleave(
        {name: partial(measure, options) for name, options in rows_of.items()}, sizes.runs)
    rows, base = [], None
    for name in rows_of:
        costs = costs_us(results[name])
        base = base or median(costs)
        rows.append([
            name, number(median(costs)), ratio(median(costs), base), spread(costs),
            number(median([r["rss_kib"] / KIB_A_MIB for r in results[name]])),
            number(median([own_mib(r) for r in results[name]])),
            median([r["arenas"] for r in results[name]]), n_lost(results[name]),
        ])
    return (
        "## How a span's cost grows\n\n"
        "catenad, identity, joined by copy, with a journal of at most 1 GiB (open spans may hold\n"
        "half of it; the default is 48 MiB). Each chain is one context of one client. Clients\n"
        "without an arena, since theirs hold as much as a user may, say it by the socket.\n\n"
        + table(["catenad", "µs CPU a span", "×", "spread", "MiB", "less journal", "arenas",
                 "lost"], rows)
    )


# ---- how long it takes ----

LATENCY_DELAY_MS = 100


def latency(bench, sizes):
    def measure(rate):
        process, target = bench.start_catenad("none", delay_ms=LATENCY_DELAY_MS)
        bench.load(process, target, 1000, "--kind", "joined", *ARENA)
        bench.take_latency(LATENCY_DELAY_MS)
        result = bench.load(process, target, int(rate * sizes.latency_s), "--kind", "joined",
                            "--rate", rate, *ARENA)
        p50, p99, most = bench.latencies_us(0.5, 0.99, 1)
        bench.take_latency(0)
        bench.stop(process)
        return {**result, "p50": p50, "p99": p99, "most": most}

    rates = [1000, 100000, 1000000]
    results = interleave(
        {f"{rate:,} spans/s": partial(measure, rate) for rate in rates}, sizes.runs)
    rows = []
    for name, runs in results.items():
        rows.append([
            name,
            *(number(median([r[key] / 1000 for r in runs])) for key in ("p50", "p99", "most")),
            f"{median([r['said'] * 1e9 / r['wall_ns'] for r in runs]):,.0f}",
            number(median([r["cpu_ns"] / r["wall_ns"] * 100 for r in runs])),
            n_lost(runs),
        ])
    return (
        "## From a span's end to its bytes on the wire\n\n"
        f"Beyond the batch delay ({LATENCY_DELAY_MS} ms here): from when a batch was due (its\n"
        "delay after its oldest span's end, or, sent because it was full, its newest span's end)\n"
        "until the sink had read the last byte of its request. By spans. Where the rate was not\n"
        "reached, this is how long the queue was.\n\n"
        + table(["ms", "p50", "p99", "most", "spans/s reached", "% of a core", "lost"], rows)
    )


# ---- how soon it is seen ----

TAIL_LOADS = [0, 1000, 100000]


def tail(bench, sizes):
    def measure(rate):
        process, target = bench.start_catenad("none")
        busy = bench.start_load(process, target, "--kind", "joined", "--rate", rate, *ARENA,
                                seconds=sizes.tail_spans / 50) if rate else None
        command = [bench.programs / "bench-tail", bench.folder / "control.sock", sizes.tail_spans]
        done = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, check=True, text=True,
            env={**os.environ, "CATENA_SOCKET": f"{bench.folder}/catena.sock"},
            preexec_fn=lambda: os.sched_setaffinity(0, cores()[1]))
        if busy:
            bench.stop(busy)
        bench.stop(process)
        return json.loads(done.stdout)

    results = interleave(
        {f"{rate:,} spans/s beside it": partial(measure, rate) for rate in TAIL_LOADS}, sizes.runs)
    rows = [
        [name, *(number(median([r[key] / 1000 for r in runs]))
                 for key in ("p50_us", "p99_us", "most_us"))]
        for name, runs in results.items()
    ]
    return (
        "## From a span's end to who tails the daemon\n\n"
        f"{sizes.tail_spans:,} spans, one by one, of a client with an arena, each read of at\n"
        "/v1/tail before the next; beside them another client may say many more.\n\n"
        + table(["ms", "p50", "p99", "most"], rows)
    )


# ---- whether memory grows ----

def memory(bench, sizes):
    process, target = bench.start_catenad("none")
    points = []
    for share in (0.01, 0.09, 0.4, 0.5):
        result = bench.load(process, target, int(sizes.memory_spans * share), "--kind", "joined",
                            "--clients", 4, *ARENA)
        done = sum(r["said"] for r, _, _ in points) + result["said"]
        points.append((result, done, resident_kib(process)))
    bench.stop(process)
    rows = [
        [f"{done:,} spans", number(rss / KIB_A_MIB), number((rss - shared) / KIB_A_MIB),
         number(result["arrived"] * 1e6 / result["wall_ns"]),
         result["said"] - result["arrived"]]
        for result, done, (rss, shared) in points
    ]
    return (
        "## Memory over time\n\n"
        "catenad at full speed, as many spans as an hour brings at 10,000 a second (36 million;\n"
        "fewer in a quick run).\n\n"
        + table(["after", "MiB", "less journal", "1,000 spans/s", "lost"], rows)
        + "\nAnd at rest, the clients that have traced still there.\n\n"
        + table(["clients", "MiB", "less journal", f"CPU ms in {REST_MS // 1000} s"],
                [at_rest(bench, n, sizes) for n in (1, 256)])
    )


REST_MS = 3000


def at_rest(bench, n_clients, sizes):
    process, target = bench.start_catenad("none")
    result = bench.load(process, target, sizes.daemon_spans, "--kind", "joined", "--clients",
                        n_clients, "--rest", REST_MS, *ARENA)
    bench.stop(process)
    own_kib = result["rest_kib"] - result["rest_shared_kib"]
    return [n_clients, number(result["rest_kib"] / KIB_A_MIB), number(own_kib / KIB_A_MIB),
            number(result["rest_cpu_ns"] / 1e6)]
