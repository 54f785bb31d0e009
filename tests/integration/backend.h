#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Backend
 *
 * A collector on loopback, in a thread of its own. It decodes all it gets by protobuf-c and takes
 * it, unless a script says how the next requests are answered. What it took is kept, with the
 * resource and scope it came under.
 *
 * Owns: its thread, its sockets, what it decoded.  Bound: none.  Threads: any.
 */

#include "otlp/logs_service.pb-c.h"
#include "otlp/metrics_service.pb-c.h"
#include "otlp/trace_service.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef Opentelemetry__Proto__Trace__V1__Span OtlpSpan;
typedef Opentelemetry__Proto__Trace__V1__Span__Event OtlpEvent;
typedef Opentelemetry__Proto__Logs__V1__LogRecord OtlpLog;
typedef Opentelemetry__Proto__Metrics__V1__Metric OtlpMetric;
typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint OtlpPoint;
typedef Opentelemetry__Proto__Common__V1__KeyValue OtlpKeyValue;
typedef Opentelemetry__Proto__Resource__V1__Resource OtlpResource;
typedef Opentelemetry__Proto__Common__V1__InstrumentationScope OtlpScope;

typedef enum BackendHow {
        BACKEND_ANSWER, /* `status`, with Retry-After unless `retry_after_s` is 0 */
        BACKEND_REJECT, /* 200, and a partial success that rejects `n_rejected` spans */
        BACKEND_RAW,    /* the bytes of `raw` as they are, then the connection is closed */
        BACKEND_CLOSE,  /* no answer, the connection is closed */
        BACKEND_HOLD,   /* no answer, until the client leaves */
} BackendHow;

typedef struct BackendStep {
        BackendHow how;
        unsigned status;
        unsigned retry_after_s;
        uint64_t n_rejected;
        const char *raw;
} BackendStep;

typedef struct BackendSpan {
        const OtlpSpan *span;
        const OtlpResource *resource;
        const OtlpScope *scope; /* NULL: none */
} BackendSpan;

typedef struct BackendLog {
        const OtlpLog *log;
        const OtlpResource *resource;
        const OtlpScope *scope; /* NULL: none */
} BackendLog;

typedef struct Backend Backend;

/* Bound to a port, but nobody listens there yet: connections are refused. */
Backend *backend_new(void);
Backend *backend_free(Backend *backend);
unsigned backend_port(const Backend *backend);

void backend_listen(Backend *backend);
/* Connections are refused again, the one there is breaks. */
void backend_leave(Backend *backend);
/* How the next n requests are answered; `steps` must stay. */
void backend_script(Backend *backend, const BackendStep *steps, size_t n);

/* Waits until so many requests were answered, or left unanswered as scripted. */
void backend_await_requests(Backend *backend, size_t n);
size_t backend_n_requests(Backend *backend);
/* When request i came, by the monotonic clock. */
uint64_t backend_request_ns(Backend *backend, size_t i);

/* Spans taken: all of them less those rejected; and different ones. */
uint64_t backend_n_spans(Backend *backend);
uint64_t backend_n_unique(Backend *backend);

/* Span i of those taken, in the order in which they came; NULL: there are no more. */
const BackendSpan *backend_span(Backend *backend, size_t i);
/* The first one of that name, or NULL. */
const BackendSpan *backend_find(Backend *backend, const char *name);

/* The same of logs; those of a text. */
const BackendLog *backend_log(Backend *backend, size_t i);
const BackendLog *backend_find_log(Backend *backend, const char *text);

/*
 * Metrics come on their own account: requests of them are not among those counted above, and have
 * a script of their own.
 */
void backend_script_metrics(Backend *backend, const BackendStep *steps, size_t n);
void backend_await_metrics(Backend *backend, size_t n);
size_t backend_n_metrics(Backend *backend);
/* Of the newest request of metrics that was taken, the one of that name; or NULL. */
const OtlpMetric *backend_metric(Backend *backend, const char *name);
/* The resource that it came under. */
const OtlpResource *backend_metrics_resource(Backend *backend);

/* The value of a string attribute, or NULL. */
const char *backend_string(OtlpKeyValue *const *attributes, size_t n, const char *key);
/* The first event of that name, or NULL. */
const OtlpEvent *backend_event(const OtlpSpan *span, const char *name);
