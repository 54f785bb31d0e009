#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""A client in another language: the ordinary OTLP classes, 24-byte headers and a socket.

wire_client.py --socket PATH    speaks to a daemon; prints what it should export, one JSON a line
wire_client.py --catenad PATH   starts a daemon of its own and is its collector, too: what arrives
                                must equal, field by field, what was said

The classes are those of PyPI's opentelemetry-proto: as installed, or in a virtual environment that
is made once (--venv). Where they cannot be had it says so and exits with 77.
"""

import argparse
import gzip
import http.server
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77
PATIENCE_S = 30
PACKAGE = "opentelemetry-proto"

HELLO, WELCOME, SCOPE, CONTEXT, SPAN, LOG = 1, 2, 3, 4, 5, 6
FLUSH, FLUSHED, BYE, ERROR = 8, 9, 11, 12
START, END = 1, 2

SECOND = 1_000_000_000
TRACE_ID = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")


# ---- the classes ----


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def run_in_venv(venv):
    """Goes on as the interpreter of a virtual environment that has the classes."""
    python = os.path.join(venv, "bin", "python")
    if os.environ.get("WIRE_CLIENT_VENV"):
        skip(f"no {PACKAGE} in {venv}")
    try:
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", PACKAGE],
            check=True,
            capture_output=True,
            timeout=300,
        )
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"{PACKAGE} cannot be installed: {error}")
    os.environ["WIRE_CLIENT_VENV"] = venv
    os.execv(python, [python] + sys.argv)


def load_classes(venv):
    # pylint: disable=import-outside-toplevel,global-statement
    global common, logs, logs_service, resource, trace, trace_service, MessageToDict
    try:
        from google.protobuf.json_format import MessageToDict
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
        from opentelemetry.proto.common.v1 import common_pb2 as common
        from opentelemetry.proto.logs.v1 import logs_pb2 as logs
        from opentelemetry.proto.resource.v1 import resource_pb2 as resource
        from opentelemetry.proto.trace.v1 import trace_pb2 as trace
    except ImportError:
        run_in_venv(venv)


def attribute(key, value):
    if isinstance(value, bool):
        value = common.AnyValue(bool_value=value)
    elif isinstance(value, int):
        value = common.AnyValue(int_value=value)
    elif isinstance(value, float):
        value = common.AnyValue(double_value=value)
    elif isinstance(value, bytes):
        value = common.AnyValue(bytes_value=value)
    elif isinstance(value, list):
        values = [attribute("", item).value for item in value]
        value = common.AnyValue(array_value=common.ArrayValue(values=values))
    else:
        value = common.AnyValue(string_value=value)
    return common.KeyValue(key=key, value=value)


def attributes(**pairs):
    return [attribute(key, value) for key, value in pairs.items()]


# ---- records ----


def record(kind, body=b"", flags=0, context=0, scope=0, number=0):
    size = 24 + len(body)
    header = struct.pack("<IHHIIQ", size, kind, flags, context, scope, number)
    return header + body + bytes(-size % 8)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One field of catena.v1's own messages: a varint, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def length_delimited(body):
    """{field number: bytes} of a message whose other fields are varints."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        tag = take()
        value = take()
        if tag & 7 == 2:
            found[tag >> 3] = body[at : at + value]
            at += value
    return found


class Client:
    """A connection. Every send carries whole records, as many as it is given."""

    def __init__(self, path, service):
        self.flushes = 0
        self.resource = resource.Resource(attributes=attributes(**{"service.name": service}))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)
        self.send(record(HELLO, field(1, 1) + field(2, self.resource.SerializeToString())))
        kind, _, body = self.receive()
        assert kind == WELCOME, "no WELCOME"
        self.token = length_delimited(body)[2]
        assert len(self.token) == 16

    def send(self, *records):
        self.socket.sendall(b"".join(records))

    def receive_exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the daemon hung up")
            data += part
        return data

    def receive(self):
        size, kind, _, _, _, number = struct.unpack("<IHHIIQ", self.receive_exactly(24))
        body = self.receive_exactly(size - 24 + -size % 8)[: size - 24]
        if kind == ERROR:
            raise EOFError(length_delimited(body)[1].decode())
        return kind, number, body

    def flush(self):
        self.flushes += 1
        self.send(record(FLUSH, number=self.flushes))
        kind, number, _ = self.receive()
        assert (kind, number) == (FLUSHED, self.flushes)

    def bye(self):
        self.send(record(BYE))
        assert self.socket.recv(1) == b"", "the daemon did not hang up after BYE"


# ---- what is said, and what should come of it ----


def status_of(statuses):
    """Ok is final, Error beats Unset, a message only with Error."""
    result = trace.Status()
    for status in statuses:
        if result.code != trace.Status.STATUS_CODE_OK and status.code:
            result.CopyFrom(status)
            if status.code == trace.Status.STATUS_CODE_OK:
                result.message = ""
    return result


def last_wins(pairs):
    """Each key stands where it first stood, with its last value."""
    kept = {}
    for pair in pairs:
        kept[pair.key] = pair
    return list(kept.values())


class Fragments:
    """One span in pieces: (flags, piece), in the order in which they are sent."""

    def __init__(self, number, context=0, scope=0):
        self.id = struct.pack(">Q", number)
        self.context, self.scope = context, scope
        self.said = []

    def record(self, flags, **fields):
        if flags & START:
            fields.update(trace_id=TRACE_ID, span_id=self.id)
        piece = trace.Span(**fields)
        self.said.append((flags, piece))
        return record(
            SPAN,
            piece.SerializeToString(),
            flags,
            self.context,
            self.scope,
            struct.unpack("<Q", self.id)[0],
        )

    def start(self, name, **fields):
        return self.record(START, name=name, start_time_unix_nano=SECOND, **fields)

    def end(self, **fields):
        return self.record(END, end_time_unix_nano=3 * SECOND, **fields)

    def expected(self, context_attributes):
        """The pieces one behind the other: START, the rest as they came, END."""
        in_order = sorted(self.said, key=lambda said: -1 if said[0] & START else said[0] & END)
        span = trace.Span()
        span.MergeFromString(b"".join(piece.SerializeToString() for _, piece in in_order))
        pairs = last_wins(list(span.attributes) + context_attributes.get(self.context, []))
        del span.attributes[:]
        span.attributes.extend(pairs)
        statuses = [piece.status for _, piece in in_order if piece.HasField("status")]
        if statuses:
            span.status.CopyFrom(status_of(statuses))
        return span


class Story:
    """All that one client says."""

    def __init__(self, client):
        self.client = client
        self.spans = []
        self.logs = []
        self.scopes = {0: common.InstrumentationScope()}
        self.contexts = {}

    def span(self, **where):
        fragments = Fragments(len(self.spans) + 0xC0FFEE00, **where)
        self.spans.append(fragments)
        return fragments

    def expected(self):
        """(scope, message) of everything."""
        for fragments in self.spans:
            yield self.scopes[fragments.scope], fragments.expected(self.contexts)
        for scope, log in self.logs:
            yield self.scopes[scope], log


def in_the_natural_order(story):
    span = story.span()
    story.client.send(span.start("natural", kind=trace.Span.SPAN_KIND_SERVER))
    story.client.flush()
    story.client.send(span.record(0, attributes=attributes(step=1)))
    event = trace.Span.Event(
        name="retry", time_unix_nano=2 * SECOND, attributes=attributes(count=2, why="timeout")
    )
    story.client.send(span.record(0, events=[event]))
    story.client.flush()
    story.client.send(span.end(status=trace.Status(code=trace.Status.STATUS_CODE_OK)))


def backwards_in_one_send(story):
    span = story.span()
    end = span.end(attributes=attributes(last=True))
    update = span.record(0, attributes=attributes(middle=2.5))
    start = span.start("backwards", attributes=attributes(first="1"))
    story.client.send(end, update, start)


def end_before_updates_in_one_send(story):
    span = story.span()
    start = span.start("end first")
    end = span.end()
    updates = [span.record(0, attributes=attributes(**{f"key{i}": i})) for i in range(10)]
    story.client.send(start, end, *updates)


def whole(story):
    link = trace.Span.Link(
        trace_id=bytes(range(1, 17)), span_id=bytes(range(1, 9)), attributes=attributes(kind="from")
    )
    story.client.send(
        story.span().record(
            START | END,
            name="whole",
            kind=trace.Span.SPAN_KIND_CLIENT,
            trace_state="vendor=1",
            parent_span_id=b"\x01parent\x02",
            start_time_unix_nano=SECOND,
            end_time_unix_nano=2 * SECOND,
            attributes=attributes(text="ünïcödé", raw=b"\0\xff", list=["a", 1, False, 0.5]),
            links=[link],
            status=trace.Status(code=trace.Status.STATUS_CODE_ERROR, message="timeout"),
        )
    )


def keys_and_fields_said_twice(story):
    span = story.span()
    pieces = [
        span.start("first name", attributes=attributes(a=1, b=1)),
        span.record(0, attributes=attributes(b=2, c=2)),
        span.record(0, name="last name", attributes=attributes(a="three")),
        span.record(0, status=trace.Status(code=trace.Status.STATUS_CODE_ERROR, message="no")),
        span.end(
            attributes=attributes(c=4, d=4), status=trace.Status(code=trace.Status.STATUS_CODE_OK)
        ),
    ]
    for piece in pieces:
        story.client.send(piece)


def in_a_scope_and_a_context(story):
    scope = common.InstrumentationScope(name="libpay", version="2.1", attributes=attributes(x=1))
    story.scopes[7] = scope
    context = {1: b"context-1", 2: b"correlation-1", 3: b"cause-1", 4: b"order-4711", 5: b"me"}
    story.contexts[3] = attributes(
        **{
            "workflow.id": "order-4711",
            "workflow.session_id": "me",
            "workflow.correlation_id": "correlation-1",
            "workflow.causation_id": "cause-1",
            "workflow.context_id": "context-1",
        }
    )
    span = story.span(scope=7, context=3)
    story.client.send(
        record(SCOPE, scope.SerializeToString(), number=7),
        record(CONTEXT, b"".join(field(*pair) for pair in context.items()), START, context=3),
        span.start("in a scope and a context"),
        span.end(),
        record(CONTEXT, b"", END, context=3),
    )


def torn_in_many_sends(story):
    span = story.span()
    said = span.start("torn", attributes=attributes(long="x" * 100_000)) + span.end()
    for at in range(0, len(said), 4_099):
        story.client.send(said[at : at + 4_099])


def many_at_once(story):
    spans = [story.span() for _ in range(500)]
    story.client.send(*(span.start(f"many {i}") for i, span in enumerate(spans)))
    story.client.send(*(span.end() for span in reversed(spans)))


def a_log(story):
    log = logs.LogRecord(
        time_unix_nano=SECOND,
        severity_number=logs.SEVERITY_NUMBER_INFO,
        body=common.AnyValue(string_value="paid"),
        attributes=attributes(amount=3),
    )
    story.logs.append((0, log))
    story.client.send(record(LOG, log.SerializeToString()))


STORIES = [
    in_the_natural_order,
    backwards_in_one_send,
    end_before_updates_in_one_send,
    whole,
    keys_and_fields_said_twice,
    in_a_scope_and_a_context,
    torn_in_many_sends,
    many_at_once,
    a_log,
]


def tell(path, service):
    story = Story(Client(path, service))
    for part in STORIES:
        part(story)
        story.client.flush()
    story.client.bye()
    return story


# ---- the collector ----


class Collector(http.server.BaseHTTPRequestHandler):
    """Decodes all it gets with the ordinary classes and puts it in the server's queue."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = trace_service.ExportTraceServiceResponse()
        if self.path == "/v1/traces":
            for of_resource in trace_service.ExportTraceServiceRequest.FromString(
                body
            ).resource_spans:
                for of_scope in of_resource.scope_spans:
                    self.keep(of_resource, of_scope, of_scope.spans)
        elif self.path == "/v1/logs":
            answer = logs_service.ExportLogsServiceResponse()
            for of_resource in logs_service.ExportLogsServiceRequest.FromString(body).resource_logs:
                for of_scope in of_resource.scope_logs:
                    self.keep(of_resource, of_scope, of_scope.log_records)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer.SerializeToString())))
        self.end_headers()
        self.wfile.write(answer.SerializeToString())

    def keep(self, of_resource, of_scope, messages):
        for message in messages:
            self.server.arrived.put((of_resource.resource, of_scope.scope, message))

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def as_json(scope, message):
    return json.dumps(
        {"scope": MessageToDict(scope), type(message).__name__: MessageToDict(message)},
        sort_keys=True,
        ensure_ascii=False,
    )


def compare(story, arrived):
    """How many differ; what differs is printed."""
    missing = {}
    for scope, message in story.expected():
        text = as_json(scope, message)
        missing[text] = missing.get(text, 0) + 1
    n_expected = sum(missing.values())
    surplus = []
    deadline = time.monotonic() + PATIENCE_S
    for _ in range(n_expected):
        try:
            of, scope, message = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        text = as_json(scope, message)
        if of != story.client.resource or not missing.get(text):
            surplus.append(f"{MessageToDict(of)} {text}")
        else:
            missing[text] -= 1
    lost = [text for text, n in missing.items() for _ in range(n)]
    for sign, texts in (("-", lost), ("+", surplus)):
        for text in texts:
            print(sign, text)
    print(f"{n_expected} said, {n_expected - len(lost)} arrived as they were said")
    return len(lost) + len(surplus) + arrived.qsize()


CONFIG = """\
listen: {{ socket: "{folder}/catena.sock", mode: "0600" }}
control: {{ socket: "{folder}/control.sock", mode: "0600" }}
journal: {{ path: "{folder}/journal" }}
batch: {{ delay: 50ms }}
exporters:
  - {{ name: default, endpoint: "http://127.0.0.1:{port}" }}
"""


def start_daemon(catenad, folder, port):
    config = os.path.join(folder, "catenad.yaml")
    path = os.path.join(folder, "catena.sock")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(folder=folder, port=port))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(os.path.join(folder, "notify.sock"))
        notify.settimeout(PATIENCE_S)
        environment = dict(os.environ, NOTIFY_SOCKET=notify.getsockname())
        daemon = subprocess.Popen([catenad, "--config", config], env=environment)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
        except OSError:
            daemon.kill()
            raise
    return daemon, path


def with_own_daemon(catenad, service):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.arrived = queue.Queue()
    folder = tempfile.mkdtemp(prefix="wire-client-", dir="/dev/shm")
    daemon = None
    try:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        daemon, path = start_daemon(catenad, folder, server.server_port)
        n_wrong = compare(tell(path, service), server.arrived)
        daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(PATIENCE_S)
        if status:
            print(f"catenad: exit status {status}")
        return 1 if n_wrong or status else 0
    finally:
        if daemon and daemon.poll() is None:
            daemon.kill()
        server.shutdown()
        shutil.rmtree(folder)


def main():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    parser = argparse.ArgumentParser(description="A Catena client in Python.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", help="of a daemon that runs")
    where.add_argument("--catenad", help="the daemon to be started")
    parser.add_argument("--service", default="wire-client", help="service.name")
    parser.add_argument(
        "--venv",
        default=os.path.join(cache, "catena", "otlp-venv"),
        help="where the virtual environment is kept, if one is needed",
    )
    options = parser.parse_args()
    load_classes(options.venv)
    if options.catenad:
        return with_own_daemon(options.catenad, options.service)
    for scope, message in tell(options.socket, options.service).expected():
        print(as_json(scope, message))
    return 0


if __name__ == "__main__":
    sys.exit(main())
