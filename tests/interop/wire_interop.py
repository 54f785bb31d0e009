#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""wire_interop.py COLLECTOR CATENAD VENV: the Python client, with a stock Collector as the backend.

What the Collector writes to its files must equal, field by field, what the client said.
"""

import base64
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
import wire_client  # pylint: disable=wrong-import-position

CONFIG = """\
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:{port}" }} }} }} }}
exporters:
  file/traces: {{ path: "{folder}/traces.json" }}
  file/logs: {{ path: "{folder}/logs.json" }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [file/traces] }}
    logs: {{ receivers: [otlp], exporters: [file/logs] }}
"""
FIELDS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}
IDS = {"traceId", "spanId", "parentSpanId"}


def start_collector(binary, folder):
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    config = os.path.join(folder, "collector.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(folder=folder, port=port))
    with open(os.path.join(folder, "collector.log"), "w", encoding="utf-8") as log:
        collector = subprocess.Popen([binary, "--config", config], stdout=log, stderr=log)
    deadline = time.monotonic() + wire_client.PATIENCE_S
    while time.monotonic() < deadline and collector.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return collector, port
        time.sleep(0.02)
    collector.kill()
    sys.exit("the collector does not start")


def as_protobuf_json(value):
    """OTLP/JSON has ids in hex and writes a status that is not set; protobuf's JSON does not."""
    if isinstance(value, list):
        return [as_protobuf_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: as_protobuf_json(item) for key, item in value.items()}
    if result.get("status") == {}:
        del result["status"]
    for key in result.keys() & IDS:
        result[key] = base64.b64encode(bytes.fromhex(result[key])).decode()
    return result


def read(folder, name, message, arrived):
    from google.protobuf.json_format import ParseDict  # pylint: disable=import-outside-toplevel

    with open(os.path.join(folder, name + ".json"), encoding="utf-8") as file:
        for line in file:
            request = ParseDict(as_protobuf_json(json.loads(line)), message())
            of_resources, of_scopes, items = FIELDS[name]
            for of_resource in getattr(request, of_resources):
                for of_scope in getattr(of_resource, of_scopes):
                    for item in getattr(of_scope, items):
                        arrived.put((of_resource.resource, of_scope.scope, item))


def stop(process):
    process.send_signal(signal.SIGTERM)
    if process.wait(wire_client.PATIENCE_S):
        sys.exit(f"exit status {process.returncode}")


def main():
    binary, catenad, venv = sys.argv[1:]
    wire_client.load_classes(venv)
    folder = tempfile.mkdtemp(prefix="wire-interop-", dir="/dev/shm")
    processes = []
    try:
        collector, port = start_collector(binary, folder)
        processes.append(collector)
        daemon, path = wire_client.start_daemon(catenad, folder, port)
        processes.append(daemon)
        story = wire_client.tell(path, "wire-interop")
        stop(daemon)
        stop(collector)
        arrived = queue.Queue()
        read(folder, "traces", wire_client.trace.TracesData, arrived)
        read(folder, "logs", wire_client.logs.LogsData, arrived)
        return 1 if wire_client.compare(story, arrived) else 0
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
