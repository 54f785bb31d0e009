#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""A step in a chain of processes, in another language and over the wire.

wire_step.py NAME [COMMAND...]  goes on with what the environment says, and runs the command as a
                                part of a span of that name
"""

import argparse
import os
import struct
import subprocess
import sys
import time
import urllib.parse
import uuid

import wire_client
from wire_client import CONTEXT, END, SPAN, START, field, record

CONTEXT_ID, CORRELATION_ID, CAUSATION_IDS = 1, 2, 3


def baggage_of(header):
    """The members of a W3C baggage header, without their properties."""
    members = (member.split(";")[0].split("=", 1) for member in header.split(",") if "=" in member)
    return {name.strip(): urllib.parse.unquote(value.strip()) for name, value in members}


def step(name, command):
    trace = wire_client.trace
    _, trace_id, parent_id, flags = os.environ["TRACEPARENT"].split("-")
    baggage = baggage_of(os.environ["BAGGAGE"])
    context = {
        CONTEXT_ID: str(uuid.uuid4()),
        CORRELATION_ID: baggage["workflow.correlation_id"],
        CAUSATION_IDS: baggage["workflow.context_id"],
    }
    span_id = os.urandom(8)
    number = struct.unpack("<Q", span_id)[0]
    start = trace.Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=span_id,
        parent_span_id=bytes.fromhex(parent_id),
        name=name,
        start_time_unix_nano=time.time_ns(),
    )
    fields = (field(key, text.encode()) for key, text in context.items())
    client = wire_client.Client(os.environ["CATENA_SOCKET"], name)
    client.send(
        record(CONTEXT, b"".join(fields), START, context=1),
        record(SPAN, start.SerializeToString(), START, context=1, number=number),
    )
    status = 0
    if command:
        baggage["workflow.context_id"] = context[CONTEXT_ID]
        members = (f"{key}={urllib.parse.quote(text)}" for key, text in baggage.items())
        environment = dict(
            os.environ,
            TRACEPARENT=f"00-{trace_id}-{span_id.hex()}-{flags}",
            BAGGAGE=",".join(members),
        )
        status = subprocess.run(command, env=environment, check=False).returncode
    end = trace.Span(end_time_unix_nano=time.time_ns())
    client.send(record(SPAN, end.SerializeToString(), END, context=1, number=number))
    client.flush()
    client.bye()
    return status


def main():
    parser = argparse.ArgumentParser(description="A step in a chain of processes.")
    parser.add_argument("--venv", required=True, help="a virtual environment, if one is needed")
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    wire_client.load_classes(options.venv)
    return step(options.name, options.command)


if __name__ == "__main__":
    sys.exit(main())
