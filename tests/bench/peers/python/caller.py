# SPDX-License-Identifier: Apache-2.0

"""caller.py CASE THREADS SPANS BURST: ../../caller.c with opentelemetry-python."""

import json
import sys
import threading
import time

from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

QUEUE = 16384


class Drop(SpanExporter):
    n_spans = 0

    def export(self, spans):
        self.n_spans += len(spans)
        return SpanExportResult.SUCCESS


def main():
    case, n_threads, n_spans, n_burst = sys.argv[1], *map(int, sys.argv[2:])
    exporter = Drop()
    provider = TracerProvider(sampler=ALWAYS_OFF if case == "unsampled" else ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
    tracer = provider.get_tracer("bench")
    parent = trace.set_span_in_context(tracer.start_span("parent"))
    sums = []

    def span0():
        tracer.start_span("operation", context=parent).end()

    def span5():
        attributes = {
            "http.request.method": "GET",
            "http.route": "/api/v1/shops/{shop}",
            "server.address": "orders.shop.example",
            "http.response.status_code": 200,
            "cached": True,
        }
        tracer.start_span("operation", context=parent, attributes=attributes).end()

    def request():
        span = tracer.start_span("operation", context=context.Context(), kind=trace.SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span))
        context.detach(token)
        span.end()

    one = {"span0": span0, "span5": span5, "request": request, "unsampled": span0}[case]

    def run():
        cpu_ns = n_measured = n = 0
        share = n_spans // n_threads
        while n < share + share // 10:
            begin = time.thread_time_ns()
            for _ in range(n_burst):
                one()
            if n >= share // 10:
                cpu_ns += time.thread_time_ns() - begin
                n_measured += n_burst
            n += n_burst
            provider.force_flush()
        sums.append((cpu_ns, n_measured, n))

    threads = [threading.Thread(target=run) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = sum(n for _, _, n in sums)
    dropped = 0 if case == "unsampled" else made - exporter.n_spans
    ns = sum(cpu for cpu, _, _ in sums) / sum(n for _, n, _ in sums)
    print(json.dumps({"ns": round(ns, 1), "made": made, "dropped": dropped}))


main()
