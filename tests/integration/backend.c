/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/integration/backend.h"

#include "daemon/http/gzip.h"
#include "daemon/http/http1.h"
#include "proto/pb.h"
#include "tests/integration/harness.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        BACKEND_BODY_MAX = 64 * 1024 * 1024,
        BACKEND_REQUESTS_MAX = 65536,
};

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest BackendTraces;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest BackendLogs;
typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest BackendMetrics;

typedef struct BackendScript {
        const BackendStep *steps;
        size_t n_steps;
        size_t n_requests; /* so far, whatever came of them */
} BackendScript;

struct Backend {
        pthread_t thread;
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t changed;
        struct sockaddr_in address;
        int listener, wake;
        atomic_bool listening, leaving, finished;
        BackendScript script, metrics_script;
        uint64_t request_ns[BACKEND_REQUESTS_MAX]; /* [script.n_requests] */
        const BackendMetrics *metrics;             /* the newest, or NULL */
        ProtobufCMessage **taken;
        size_t n_taken;
        BackendSpan *spans;
        size_t n_spans;
        BackendLog *logs;
        size_t n_logs;
        uint64_t n_rejected;
};

/* ---- what came ---- */

static void backend_keep_span(Backend *backend, const BackendSpan *span) {
        if (!(backend->n_spans & (backend->n_spans - 1)))
                backend->spans = realloc(backend->spans, (backend->n_spans ? backend->n_spans : 1) *
                                                                 2 * sizeof *backend->spans);
        ck_assert_ptr_nonnull(backend->spans);
        ck_assert_uint_eq(span->span->trace_id.len, 16);
        ck_assert_uint_eq(span->span->span_id.len, 8);
        backend->spans[backend->n_spans++] = *span;
}

static void backend_keep_traces(Backend *backend, const ProtobufCMessage *message) {
        const BackendTraces *request = (const BackendTraces *)message;

        ck_assert_uint_gt(request->n_resource_spans, 0);
        for (size_t i = 0; i < request->n_resource_spans; i++) {
                const Opentelemetry__Proto__Trace__V1__ResourceSpans *of_resource =
                        request->resource_spans[i];

                ck_assert_ptr_nonnull(of_resource->resource);
                ck_assert_uint_gt(of_resource->n_scope_spans, 0);
                for (size_t j = 0; j < of_resource->n_scope_spans; j++) {
                        const Opentelemetry__Proto__Trace__V1__ScopeSpans *of_scope =
                                of_resource->scope_spans[j];

                        ck_assert_uint_gt(of_scope->n_spans, 0);
                        for (size_t k = 0; k < of_scope->n_spans; k++)
                                backend_keep_span(backend, &(BackendSpan){of_scope->spans[k],
                                                                          of_resource->resource,
                                                                          of_scope->scope});
                }
        }
}

static void backend_keep_log(Backend *backend, const BackendLog *log) {
        backend->logs = realloc(backend->logs, (backend->n_logs + 1) * sizeof *backend->logs);
        ck_assert_ptr_nonnull(backend->logs);
        backend->logs[backend->n_logs++] = *log;
}

static void backend_keep_logs(Backend *backend, const ProtobufCMessage *message) {
        const BackendLogs *request = (const BackendLogs *)message;

        ck_assert_uint_gt(request->n_resource_logs, 0);
        for (size_t i = 0; i < request->n_resource_logs; i++) {
                const Opentelemetry__Proto__Logs__V1__ResourceLogs *of_resource =
                        request->resource_logs[i];

                ck_assert_ptr_nonnull(of_resource->resource);
                for (size_t j = 0; j < of_resource->n_scope_logs; j++) {
                        const Opentelemetry__Proto__Logs__V1__ScopeLogs *of_scope =
                                of_resource->scope_logs[j];

                        for (size_t k = 0; k < of_scope->n_log_records; k++)
                                backend_keep_log(backend, &(BackendLog){of_scope->log_records[k],
                                                                        of_resource->resource,
                                                                        of_scope->scope});
                }
        }
}

static void backend_keep_metrics(Backend *backend, const ProtobufCMessage *message) {
        const BackendMetrics *request = (const BackendMetrics *)message;

        ck_assert_uint_eq(request->n_resource_metrics, 1);
        ck_assert_ptr_nonnull(request->resource_metrics[0]->resource);
        ck_assert_uint_eq(request->resource_metrics[0]->n_scope_metrics, 1);
        backend->metrics = request;
}

/* What it can be asked to take. */
typedef struct BackendSignal {
        const char *target;
        const ProtobufCMessageDescriptor *request;
        void (*keep)(Backend *backend, const ProtobufCMessage *message);
} BackendSignal;

#define BACKEND_REQUEST(name) opentelemetry__proto__collector__##name##_service_request__descriptor

static const BackendSignal backend_signals[] = {
        {"/v1/traces", &BACKEND_REQUEST(trace__v1__export_trace), backend_keep_traces},
        {"/v1/logs", &BACKEND_REQUEST(logs__v1__export_logs), backend_keep_logs},
        {"/v1/metrics", &BACKEND_REQUEST(metrics__v1__export_metrics), backend_keep_metrics},
};

static const BackendSignal *backend_signal(const char *target) {
        for (size_t i = 0; i < sizeof backend_signals / sizeof *backend_signals; i++)
                if (!strcmp(backend_signals[i].target, target))
                        return &backend_signals[i];
        ck_abort_msg("nothing is sent to %s", target);
        return NULL;
}

/* Under the mutex. */
static void backend_take(Backend *backend, const BackendSignal *signal, ProtobufCMessage *request) {
        backend->taken = realloc(backend->taken, (backend->n_taken + 1) * sizeof *backend->taken);
        ck_assert_ptr_nonnull(backend->taken);
        backend->taken[backend->n_taken++] = request;
        signal->keep(backend, request);
}

static ProtobufCMessage *backend_decode(const Http1 *http, const BackendSignal *signal) {
        const Http1Message *message = http1_message(http);
        const char *encoding = http1_header(http, "content-encoding");
        Buffer plain = BUFFER_NULL;
        ProtobufCMessage *request;

        ck_assert_str_eq(message->method, "POST");
        ck_assert_str_eq(http1_header(http, "content-type"), "application/x-protobuf");
        if (encoding) {
                ck_assert_str_eq(encoding, "gzip");
                ck_assert_int_eq(gzip_decompress(&plain, message->body.data, message->body.size,
                                                 BACKEND_BODY_MAX),
                                 0);
        } else {
                ck_assert_int_eq(buffer_append(&plain, message->body.data, message->body.size), 0);
        }
        request = protobuf_c_message_unpack(signal->request, NULL, plain.size, plain.data);
        ck_assert_ptr_nonnull(request);
        buffer_deinit(&plain);
        return request;
}

/* ---- answers ---- */

static void backend_send(int fd, const void *data, size_t size) {
        while (size) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        return;
                data = (const char *)data + n;
                size -= (size_t)n;
        }
}

static void backend_answer(int fd, const BackendStep *step) {
        char head[256], retry_after[64] = "";
        uint8_t rejection[16];
        PbWriter writer = pb_writer(rejection, sizeof rejection);

        if (step->how == BACKEND_REJECT) {
                size_t size = 1 + pb_varint_size(step->n_rejected);

                pb_put_prefix(&writer, 1, size); /* partial_success */
                pb_put_varint(&writer, 1, step->n_rejected);
        }
        if (step->retry_after_s)
                snprintf(retry_after, sizeof retry_after, "Retry-After: %u\r\n",
                         step->retry_after_s);
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u as scripted\r\nContent-Type: application/x-protobuf\r\n%s"
                 "Content-Length: %zu\r\n\r\n",
                 step->how == BACKEND_REJECT ? 200 : step->status, retry_after,
                 (size_t)(writer.at - rejection));
        backend_send(fd, head, strlen(head));
        backend_send(fd, rejection, (size_t)(writer.at - rejection));
}

static uint64_t backend_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Returns whether the connection stays. Spans are kept before the answer tells of them. */
static bool backend_handle(Backend *backend, int fd, const Http1 *http) {
        static const BackendStep take = {BACKEND_ANSWER, .status = 200};
        const BackendSignal *signal = backend_signal(http1_message(http)->target);
        ProtobufCMessage *request = backend_decode(http, signal);
        const BackendStep *step = &take;
        bool metrics = signal->keep == backend_keep_metrics;
        BackendScript *script = metrics ? &backend->metrics_script : &backend->script;

        pthread_mutex_lock(&backend->mutex);
        if (script->n_steps) {
                step = script->steps++;
                script->n_steps--;
        }
        if (!metrics) {
                ck_assert_uint_lt(script->n_requests, BACKEND_REQUESTS_MAX);
                backend->request_ns[script->n_requests] = backend_now_ns();
        }
        script->n_requests++;
        if ((step->how == BACKEND_ANSWER && step->status == 200) || step->how == BACKEND_REJECT) {
                backend_take(backend, signal, request);
                backend->n_rejected += metrics ? 0 : step->n_rejected;
        } else {
                protobuf_c_message_free_unpacked(request, NULL);
        }
        pthread_cond_broadcast(&backend->changed);
        pthread_mutex_unlock(&backend->mutex);

        if (step->how == BACKEND_RAW)
                backend_send(fd, step->raw, strlen(step->raw));
        else if (step->how == BACKEND_ANSWER || step->how == BACKEND_REJECT)
                backend_answer(fd, step);
        return step->how != BACKEND_RAW && step->how != BACKEND_CLOSE;
}

/* ---- the thread ---- */

/* Waits for the descriptor; false: the backend leaves, or finishes. */
static bool backend_wait(Backend *backend, int fd) {
        struct pollfd polled[] = {{.fd = fd, .events = POLLIN},
                                  {.fd = backend->wake, .events = POLLIN}};

        while (poll(polled, 2, -1) < 0) {
        }
        return !polled[1].revents;
}

static void backend_serve(Backend *backend, int fd) {
        char bytes[65536];
        Http1 *http;
        ssize_t n = 0;
        bool stays = true;

        ck_assert_int_eq(http1_new(&http, HTTP1_REQUEST, BACKEND_BODY_MAX), 0);
        while (stays && backend_wait(backend, fd) && (n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
                for (size_t at = 0, used; stays && at < (size_t)n; at += used) {
                        ck_assert_int_eq(http1_feed(http, &used, bytes + at, (size_t)n - at), 0);
                        if (http1_message(http)) {
                                stays = backend_handle(backend, fd, http);
                                http1_next(http);
                        }
                }
        }
        http1_free(http);
}

static void backend_bind(Backend *backend) {
        socklen_t size = sizeof backend->address;

        backend->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(backend->listener, 0);
        setsockopt(backend->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        ck_assert_int_eq(bind(backend->listener, (struct sockaddr *)&backend->address, size), 0);
        ck_assert_int_eq(
                getsockname(backend->listener, (struct sockaddr *)&backend->address, &size), 0);
}

/* Under the mutex: does as the others say, and tells them. */
static void backend_obey(Backend *backend) {
        uint64_t woken;

        ck_assert_int_eq(read(backend->wake, &woken, sizeof woken), sizeof woken);
        if (backend->leaving) {
                close(backend->listener);
                backend_bind(backend);
                backend->listening = backend->leaving = false;
        }
        pthread_cond_broadcast(&backend->changed);
}

static void *backend_run(void *user) {
        Backend *backend = user;
        int fd;

        for (;;) {
                if (backend_wait(backend, backend->listening ? backend->listener : -1)) {
                        fd = accept4(backend->listener, NULL, NULL, SOCK_CLOEXEC);
                        if (fd >= 0) {
                                backend_serve(backend, fd);
                                close(fd);
                        }
                        continue;
                }
                pthread_mutex_lock(&backend->mutex);
                backend_obey(backend);
                pthread_mutex_unlock(&backend->mutex);
                if (backend->finished)
                        return NULL;
        }
}

static void backend_wake(Backend *backend) {
        ck_assert_int_eq(write(backend->wake, &(uint64_t){1}, 8), 8);
}

Backend *backend_new(void) {
        Backend *backend = calloc(1, sizeof *backend);

        ck_assert_ptr_nonnull(backend);
        backend->address = (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        backend_bind(backend);
        backend->wake = eventfd(0, EFD_CLOEXEC);
        ck_assert_int_ge(backend->wake, 0);
        pthread_mutex_init(&backend->mutex, NULL);
        pthread_cond_init(&backend->changed, NULL);
        ck_assert_int_eq(pthread_create(&backend->thread, NULL, backend_run, backend), 0);
        return backend;
}

Backend *backend_free(Backend *backend) {
        pthread_mutex_lock(&backend->mutex);
        backend->finished = true;
        backend_wake(backend);
        pthread_mutex_unlock(&backend->mutex);
        pthread_join(backend->thread, NULL);
        for (size_t i = 0; i < backend->n_taken; i++)
                protobuf_c_message_free_unpacked(backend->taken[i], NULL);
        free(backend->taken);
        free(backend->spans);
        free(backend->logs);
        close(backend->listener);
        close(backend->wake);
        pthread_mutex_destroy(&backend->mutex);
        pthread_cond_destroy(&backend->changed);
        free(backend);
        return NULL;
}

/* ---- from outside ---- */

unsigned backend_port(const Backend *backend) {
        return ntohs(backend->address.sin_port);
}

void backend_listen(Backend *backend) {
        pthread_mutex_lock(&backend->mutex);
        ck_assert_int_eq(listen(backend->listener, 64), 0);
        backend->listening = true;
        backend_wake(backend);
        pthread_mutex_unlock(&backend->mutex);
}

void backend_leave(Backend *backend) {
        pthread_mutex_lock(&backend->mutex);
        backend->leaving = true;
        backend_wake(backend);
        while (backend->leaving)
                pthread_cond_wait(&backend->changed, &backend->mutex);
        pthread_mutex_unlock(&backend->mutex);
}

static void backend_set_script(Backend *backend, BackendScript *script, const BackendStep *steps,
                               size_t n) {
        pthread_mutex_lock(&backend->mutex);
        script->steps = steps;
        script->n_steps = n;
        pthread_mutex_unlock(&backend->mutex);
}

void backend_script(Backend *backend, const BackendStep *steps, size_t n) {
        backend_set_script(backend, &backend->script, steps, n);
}

static void backend_await(Backend *backend, const BackendScript *script, size_t n) {
        struct timespec deadline;

        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += HARNESS_PATIENCE_S;
        pthread_mutex_lock(&backend->mutex);
        while (script->n_requests < n)
                ck_assert_int_eq(
                        pthread_cond_timedwait(&backend->changed, &backend->mutex, &deadline), 0);
        pthread_mutex_unlock(&backend->mutex);
}

void backend_await_requests(Backend *backend, size_t n) {
        backend_await(backend, &backend->script, n);
}

static size_t backend_count(Backend *backend, const BackendScript *script) {
        size_t n;

        pthread_mutex_lock(&backend->mutex);
        n = script->n_requests;
        pthread_mutex_unlock(&backend->mutex);
        return n;
}

size_t backend_n_requests(Backend *backend) {
        return backend_count(backend, &backend->script);
}

uint64_t backend_request_ns(Backend *backend, size_t i) {
        uint64_t ns;

        pthread_mutex_lock(&backend->mutex);
        ck_assert_uint_lt(i, backend->script.n_requests);
        ns = backend->request_ns[i];
        pthread_mutex_unlock(&backend->mutex);
        return ns;
}

uint64_t backend_n_spans(Backend *backend) {
        uint64_t n;

        pthread_mutex_lock(&backend->mutex);
        n = backend->n_spans - backend->n_rejected;
        pthread_mutex_unlock(&backend->mutex);
        return n;
}

typedef struct BackendId {
        uint8_t trace_id[16], span_id[8];
} BackendId;

static int backend_compare(const void *a, const void *b) {
        return memcmp(a, b, sizeof(BackendId));
}

uint64_t backend_n_unique(Backend *backend) {
        uint64_t n_unique = 0;
        BackendId *ids;

        pthread_mutex_lock(&backend->mutex);
        ids = calloc(backend->n_spans + 1, sizeof *ids);
        ck_assert_ptr_nonnull(ids);
        for (size_t i = 0; i < backend->n_spans; i++) {
                const OtlpSpan *span = backend->spans[i].span;

                memcpy(ids[i].trace_id, span->trace_id.data, sizeof ids[i].trace_id);
                memcpy(ids[i].span_id, span->span_id.data, sizeof ids[i].span_id);
        }
        qsort(ids, backend->n_spans, sizeof *ids, backend_compare);
        for (size_t i = 0; i < backend->n_spans; i++)
                n_unique += !i || memcmp(&ids[i - 1], &ids[i], sizeof *ids);
        n_unique -= backend->n_rejected;
        pthread_mutex_unlock(&backend->mutex);
        free(ids);
        return n_unique;
}

const BackendSpan *backend_span(Backend *backend, size_t i) {
        const BackendSpan *span;

        pthread_mutex_lock(&backend->mutex);
        span = i < backend->n_spans ? &backend->spans[i] : NULL;
        pthread_mutex_unlock(&backend->mutex);
        return span;
}

const BackendSpan *backend_find(Backend *backend, const char *name) {
        const BackendSpan *span;

        for (size_t i = 0; (span = backend_span(backend, i)); i++)
                if (!strcmp(span->span->name, name))
                        return span;
        return NULL;
}

const BackendLog *backend_log(Backend *backend, size_t i) {
        const BackendLog *log;

        pthread_mutex_lock(&backend->mutex);
        log = i < backend->n_logs ? &backend->logs[i] : NULL;
        pthread_mutex_unlock(&backend->mutex);
        return log;
}

const BackendLog *backend_find_log(Backend *backend, const char *text) {
        const BackendLog *log;

        for (size_t i = 0; (log = backend_log(backend, i)); i++)
                if (log->log->body && !strcmp(log->log->body->string_value, text))
                        return log;
        return NULL;
}

void backend_script_metrics(Backend *backend, const BackendStep *steps, size_t n) {
        backend_set_script(backend, &backend->metrics_script, steps, n);
}

void backend_await_metrics(Backend *backend, size_t n) {
        backend_await(backend, &backend->metrics_script, n);
}

size_t backend_n_metrics(Backend *backend) {
        return backend_count(backend, &backend->metrics_script);
}

/* All that was taken is kept, so what is returned stays. */
static const BackendMetrics *backend_newest_metrics(Backend *backend) {
        const BackendMetrics *metrics;

        pthread_mutex_lock(&backend->mutex);
        metrics = backend->metrics;
        pthread_mutex_unlock(&backend->mutex);
        return metrics;
}

const OtlpMetric *backend_metric(Backend *backend, const char *name) {
        const BackendMetrics *newest = backend_newest_metrics(backend);
        const Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope;

        if (!newest)
                return NULL;
        scope = newest->resource_metrics[0]->scope_metrics[0];
        for (size_t i = 0; i < scope->n_metrics; i++)
                if (!strcmp(scope->metrics[i]->name, name))
                        return scope->metrics[i];
        return NULL;
}

const OtlpResource *backend_metrics_resource(Backend *backend) {
        const BackendMetrics *newest = backend_newest_metrics(backend);

        return newest ? newest->resource_metrics[0]->resource : NULL;
}

const char *backend_string(OtlpKeyValue *const *attributes, size_t n, const char *key) {
        for (size_t i = 0; i < n; i++)
                if (!strcmp(attributes[i]->key, key) && attributes[i]->value &&
                    attributes[i]->value->value_case ==
                            OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE)
                        return attributes[i]->value->string_value;
        return NULL;
}

const OtlpEvent *backend_event(const OtlpSpan *span, const char *name) {
        for (size_t i = 0; i < span->n_events; i++)
                if (!strcmp(span->events[i]->name, name))
                        return span->events[i];
        return NULL;
}
