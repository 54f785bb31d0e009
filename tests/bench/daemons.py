# SPDX-License-Identifier: Apache-2.0

"""What is measured, run as people run it: a daemon on one core, and on the other one the load
generator and the sink that it sends to."""

import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE_S = 20
PAGE_SETTINGS = 32  # of tests/bench/page.h: where delay_ns and full_bytes stand, …
PAGE_LATE = 48  # … and late_us
PAGE_BUCKETS = 1000 * 1000
FULL_BYTES = 3 * 2**18  # less than batch.max_bytes, and more than a delay brings at a low rate
LOAD_PATIENCE_S = 300

CATENAD = """\
listen: {{ socket: "{folder}/catena.sock", max_clients: 4096 }}
control: {{ socket: "{folder}/control.sock" }}
log: {{ level: error }}
batch: {{ delay: {delay_ms}ms }}
journal: {{ path: "{folder}/journal", max_size: {journal} }}
limits: {{ clients_per_uid: 4096, bytes_per_uid: {journal} }}
exporters:
  - {{ name: sink, endpoint: "http://127.0.0.1:{port}", compression: {compression} }}
"""

COLLECTOR = """\
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:{own_port}" }} }} }} }}
exporters:
  otlp_http: {{ endpoint: "http://127.0.0.1:{port}", compression: {compression} }}
service:
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: error }} }}
  pipelines: {{ traces: {{ receivers: [otlp], exporters: [otlp_http] }} }}
"""


def cores():
    """The core of what is measured, and that of the rest."""
    here = sorted(os.sched_getaffinity(0))
    return {here[0]}, {here[-1]}


def let_roam(process):
    """On all cores that there are."""
    os.sched_setaffinity(process.pid, cores()[0] | cores()[1])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


class Bench:
    """A private folder in memory, the sink, and the processes; all end with it."""

    def __init__(self, build, peers):
        self.programs = Path(build) / "tests" / "bench"
        self.catenad = Path(build) / "daemon" / "catenad"
        self.peers = peers
        self.folder = None
        self.processes = []

    def __enter__(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="catena-bench-", dir=memory))
        self.page_path = self.folder / "page"
        self.port = free_port()
        self._start([self.programs / "bench-sink", self.port, self.page_path], cores()[1])
        self._wait(("127.0.0.1", self.port), self.processes[-1])
        with open(self.page_path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 0)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.stop(process)
        self.page.close()
        shutil.rmtree(self.folder)

    # ---- processes ----

    def _start(self, command, on_cores, environment=None):
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, on_cores),
        )
        self.processes.append(process)
        return process

    def _wait(self, address, process):
        until = time.monotonic() + PATIENCE_S
        while not is_open(address):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args[0]} does not listen on {address}")
            time.sleep(0.01)

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    # ---- the daemons: (process, the load generator's target) ----

    def start_catenad(self, compression, journal="48MiB", delay_ms=100):
        shutil.rmtree(self.folder / "journal", ignore_errors=True)
        (self.folder / "journal").mkdir()
        config = self.folder / "catenad.yaml"
        config.write_text(CATENAD.format(folder=self.folder, port=self.port, journal=journal,
                                         compression=compression, delay_ms=delay_ms))
        process = self._start([self.catenad, "--config", config], cores()[0])
        self._wait(f"{self.folder}/catena.sock", process)
        return process, ["--socket", self.folder / "catena.sock"]

    def start_minimal(self, compression):
        path = self.folder / "minimal.sock"
        path.unlink(missing_ok=True)
        process = self._start(
            [self.programs / "bench-minimal-daemon", path, self.port, compression], cores()[0])
        self._wait(str(path), process)
        return process, ["--socket", path]

    def start_collector(self, compression):
        port, config = free_port(), self.folder / "collector.yaml"
        config.write_text(COLLECTOR.format(port=self.port, own_port=port, compression=compression))
        process = self._start([self.peers.collector(), "--config", config], cores()[0])
        self._wait(("127.0.0.1", port), process)
        return process, ["--http", port, "--clients", 4]

    def start_rotel(self, compression):
        port, grpc = free_port(), free_port()
        command = [
            self.peers.rotel(), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}",
            "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--exporter", "otlp",
            "--otlp-exporter-protocol", "http", "--otlp-exporter-compression", compression,
            "--otlp-exporter-endpoint", f"http://127.0.0.1:{self.port}",
            "--pid-file", self.folder / "rotel.pid",
        ]
        process = self._start(command, cores()[0])
        self._wait(("127.0.0.1", port), process)
        return process, ["--http", port, "--clients", 4]

    # ---- measuring ----

    def load(self, process, target, n_spans, *options):
        command = [self.programs / "bench-load", "--page", self.page_path, "--pid", process.pid,
                   "--spans", n_spans, *target, *options]
        done = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, check=False,
            timeout=LOAD_PATIENCE_S, preexec_fn=lambda: os.sched_setaffinity(0, cores()[1]),
        )
        if done.returncode:
            raise RuntimeError(f"the load generator failed: {command}")
        return json.loads(done.stdout)

    def start_load(self, process, target, *options, seconds):
        """In the background, for so long or until it is stopped."""
        rate = options[options.index("--rate") + 1]
        return self._start(
            [self.programs / "bench-load", "--page", self.page_path, "--pid", process.pid,
             "--spans", int(rate * seconds), *target, *options], cores()[1])

    def take_latency(self, delay_ms):
        """From now on; 0 stops. Forgets those taken before."""
        self.page[PAGE_SETTINGS:PAGE_LATE] = struct.pack("=2Q", delay_ms * 10**6, FULL_BYTES)
        self.page[PAGE_LATE:] = bytes(len(self.page) - PAGE_LATE)

    def latencies_us(self, *shares):
        """The quantiles asked for, in their order."""
        counts = struct.unpack(f"={PAGE_BUCKETS}Q", self.page[PAGE_LATE:])
        n_spans, found, seen = sum(counts), [], 0
        wanted = list(shares)
        for late_us, count in enumerate(counts):
            seen += count
            while count and wanted and seen >= wanted[0] * n_spans:
                found.append(late_us)
                wanted.pop(0)
        return found


def resident_kib(process):
    """(all, of it shared: the journal) of a process."""
    values = {}
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        for line in file:
            key, _, value = line.partition(":")
            values[key] = value
    return int(values["VmRSS"].split()[0]), int(values["RssShmem"].split()[0])
