/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/exporter.h"

#include "daemon/base/buffer.h"
#include "daemon/base/log.h"
#include "daemon/export/connection.h"
#include "daemon/export/endpoint.h"
#include "daemon/export/retry.h"
#include "daemon/http/gzip.h"
#include "daemon/http/http-client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { EXPORTER_HEADERS_OWN = 3 };

/* What the last answer was like: a change is logged. */
typedef enum ExporterHealth {
        EXPORTER_WELL,
        EXPORTER_REJECTED, /* in part */
        EXPORTER_REFUSED,
        EXPORTER_AWAY,
} ExporterHealth;

/*
 * IDLE: no request. SENDING: the request is compressed on the thread pool (working), then its
 * request is on its way. WAITING: the timer runs, and the same request will be sent again.
 */
struct Exporter {
        uv_loop_t *loop;
        Recorder *recorder;
        ErrorSink sink;
        unsigned index; /* the recorder's */
        Endpoint endpoint;
        HttpClientHeader *headers;
        size_t n_headers;
        Gzip *gzip; /* or NULL */
        Retry retry;
        Connection *connection;
        uv_timer_t timer;
        uv_work_t work;
        bool working;

        ExporterState state;
        ExporterHealth health, metrics_health;
        ExporterStatus status;
        int (*metrics)(void *user, Buffer *out, size_t *n_pointsp);
        void *metrics_user;
        uint64_t metrics_wish_unix_ns; /* the collector's: none before that */
        uv_timer_t metrics_timer;
        bool metrics_due;
        bool measuring;       /* the request is one of metrics, else of the batch */
        unsigned turn;        /* the signal that is asked first */
        Batch *batch;         /* the one that is sent, or NULL */
        BatchCursor cursor;   /* behind the request that is sent */
        BatchOutcome outcome; /* of the batch's requests before it */
        size_t n_objects;     /* of the request */
        BatchEncoder *encoder; /* or NULL, as long as nothing is sent */
        Buffer head, body;
        Buffer packed; /* the body compressed, in the making */

        size_t n_open; /* handles and work that the close waits for */
        bool closing;
        void (*closed)(void *user);
        void *closed_user;
};

static uint64_t exporter_now_unix_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Where what went wrong in a callback ends. */
static void exporter_check(Exporter *exporter, int r) {
        if (r)
                exporter->sink.fail(exporter->sink.user, error_trace(r));
}

/* ---- health ---- */

static void exporter_log_health(const Exporter *exporter, const char *what, ExporterHealth health,
                                const char *error) {
        const ExporterStatus *status = &exporter->status;

        switch (health) {
        case EXPORTER_WELL:
                log_info("exporter %s: %s takes all %s again", status->name, status->endpoint,
                         what);
                break;
        case EXPORTER_REJECTED:
                log_warning("exporter %s: %s takes a part of the %s only: %s", status->name,
                            status->endpoint, what, error);
                break;
        case EXPORTER_REFUSED:
                log_warning("exporter %s: %s refuses the %s it is sent, which are dropped: %s",
                            status->name, status->endpoint, what, error);
                break;
        case EXPORTER_AWAY:
                log_warning("exporter %s: %s takes no %s now and is tried again: %s", status->name,
                            status->endpoint, what, error);
                break;
        }
}

static void exporter_note(Exporter *exporter, const RetryVerdict *verdict) {
        static const ExporterHealth healths[] = {
                [RETRY_DELIVERED] = EXPORTER_WELL,
                [RETRY_PARTIAL] = EXPORTER_REJECTED,
                [RETRY_REFUSED] = EXPORTER_REFUSED,
                [RETRY_LATER] = EXPORTER_AWAY,
        };
        bool measuring = exporter->measuring;
        ExporterHealth *healthp = measuring ? &exporter->metrics_health : &exporter->health;
        ExporterHealth health = healths[verdict->result];
        char *error =
                measuring ? exporter->status.metrics_error : exporter->status.last_error;

        snprintf(error, sizeof(exporter->status.last_error), "%s", verdict->text);
        if (verdict->result != RETRY_LATER && !measuring)
                exporter->status.misconfigured = verdict->result == RETRY_REFUSED;
        if (health != *healthp) {
                *healthp = health;
                exporter_log_health(exporter, measuring ? "metrics" : "spans and logs", health,
                                    error);
        }
}

/* ---- one request ---- */

/* The request is answered for, and with its last one the batch; or one of metrics is. */
static int exporter_finish(Exporter *exporter, const BatchOutcome *outcome) {
        bool measuring = exporter->measuring;
        BatchOutcome *sum = measuring ? &exporter->status.points : &exporter->outcome;
        int r = 0;

        sum->n_delivered += outcome->n_delivered;
        for (int drop = 0; drop < _BATCH_DROPS_N; drop++)
                sum->n_dropped[drop] += outcome->n_dropped[drop];
        exporter->head.size = exporter->body.size = 0;
        exporter->state = EXPORTER_IDLE;
        exporter->measuring = false;
        if (!measuring && exporter->cursor.done) {
                r = recorder_done(exporter->recorder, &exporter->batch, exporter->index, sum,
                                  exporter_now_unix_ns());
                exporter->batch = NULL;
        }
        return error_trace(r);
}

static int exporter_send(Exporter *exporter) {
        exporter->state = EXPORTER_SENDING;
        exporter->status.next_try_unix_ns = 0;
        return error_trace(connection_send(exporter->connection, &exporter->head, &exporter->body));
}

static int exporter_send_first(Exporter *exporter) {
        unsigned signal = exporter->measuring ? ENDPOINT_METRICS : exporter->batch->signal;
        HttpClientRequest request = {
                .method = "POST",
                .target = exporter->endpoint.paths[signal],
                .authority = exporter->endpoint.url.authority,
                .headers = exporter->headers,
                .n_headers = exporter->n_headers,
                .body_size = exporter->body.size,
        };
        int r;

        r = http_client_write_head(&exporter->head, &request);
        if (!r)
                r = exporter_send(exporter);
        return error_trace(r);
}

static int exporter_send_again(Exporter *exporter) {
        exporter->status.n_retries++;
        return error_trace(exporter_send(exporter));
}

static void exporter_on_retry(uv_timer_t *timer) {
        exporter_check(timer->data, exporter_send_again(timer->data));
}

static int exporter_wait(Exporter *exporter, const RetryVerdict *verdict) {
        uint64_t random, delay_ns;
        int r;

        r = uv_random(NULL, NULL, &random, sizeof(random), 0, NULL);
        if (r)
                return error_origin(r);
        delay_ns = retry_delay(&exporter->retry, verdict, random);
        exporter->state = EXPORTER_WAITING;
        exporter->status.next_try_unix_ns = exporter_now_unix_ns() + delay_ns;
        uv_timer_start(&exporter->timer, exporter_on_retry, (delay_ns + 999999) / 1000000, 0);
        return 0;
}

/* ---- the next batch ---- */

static void exporter_release(Exporter *exporter);

static void exporter_pack(uv_work_t *work) { /* on the thread pool */
        Exporter *exporter = work->data;

        exporter->packed.size = gzip_compress(exporter->gzip, exporter->packed.data,
                                              exporter->body.data, exporter->body.size);
}

static void exporter_swap_packed(Exporter *exporter) {
        Buffer plain = exporter->body;

        exporter->body = exporter->packed;
        exporter->packed = plain;
        exporter->packed.size = 0;
}

static void exporter_on_packed(uv_work_t *work, int status) {
        Exporter *exporter = work->data;

        exporter->working = false;
        if (exporter->closing) {
                exporter_release(exporter);
                return;
        }
        assert(!status); /* only a close cancels */
        exporter_swap_packed(exporter);
        exporter_check(exporter, exporter_send_first(exporter));
}

static int exporter_start_packing(Exporter *exporter) {
        int r;

        r = buffer_reserve(&exporter->packed, NULL,
                           gzip_bound(exporter->gzip, exporter->body.size));
        if (r)
                return error_trace(r);
        r = uv_queue_work(exporter->loop, &exporter->work, exporter_pack, exporter_on_packed);
        if (r)
                return error_origin(r);
        exporter->working = true;
        exporter->state = EXPORTER_SENDING;
        return 0;
}

static int exporter_drop_too_large(Exporter *exporter) {
        BatchOutcome outcome = {.n_dropped[BATCH_DROP_TOO_LARGE] = exporter->n_objects};

        log_warning("exporter %s: %zu %s dropped: the request is over 4 MiB", exporter->status.name,
                    exporter->n_objects,
                    exporter->measuring                       ? "data points"
                    : exporter->batch->signal == BATCH_TRACES ? "spans"
                                                              : "logs");
        return error_trace(exporter_finish(exporter, &outcome));
}

static int exporter_begin(Exporter *exporter) {
        int r = 0;

        if (exporter->measuring) {
                r = exporter->metrics(exporter->metrics_user, &exporter->body,
                                      &exporter->n_objects);
        } else {
                if (!exporter->encoder)
                        r = batch_encoder_new(&exporter->encoder);
                if (!r)
                        r = batch_encode(exporter->encoder, exporter->batch, &exporter->cursor,
                                         &exporter->body, &exporter->n_objects);
        }
        if (r)
                return error_trace(r);
        if (!exporter->n_objects) /* an empty request is never sent */
                r = exporter_finish(exporter, &(BatchOutcome){.n_delivered = 0});
        else if (exporter->body.size > BATCH_REQUEST_MAX)
                r = exporter_drop_too_large(exporter);
        else if (exporter->gzip)
                r = exporter_start_packing(exporter);
        else
                r = exporter_send_first(exporter);
        return error_trace(r);
}

/* Takes the oldest batch that is owed, of the signals in turn. */
static void exporter_take_batch(Exporter *exporter) {
        for (unsigned i = 0; i < _BATCH_SIGNALS_N && !exporter->batch; i++) {
                BatchSignal signal = (exporter->turn + i) % _BATCH_SIGNALS_N;

                exporter->batch =
                        recorder_next_batch(exporter->recorder, exporter->index, signal, NULL);
        }
        if (!exporter->batch)
                return;
        exporter->turn = exporter->batch->signal + 1;
        exporter->cursor = (BatchCursor){.next = 0};
        exporter->outcome = (BatchOutcome){.n_delivered = 0};
}

/* What requests are made in is kept from one to the next, and given back when there is none. */
static void exporter_rest(Exporter *exporter) {
        exporter->encoder = batch_encoder_free(exporter->encoder);
        buffer_deinit(&exporter->head);
        buffer_deinit(&exporter->body);
        buffer_deinit(&exporter->packed);
}

static int exporter_next(Exporter *exporter) {
        int r = 0;

        while (!r && exporter->state == EXPORTER_IDLE && !exporter->closing) {
                exporter->measuring = exporter->metrics_due && !exporter->batch;
                if (exporter->measuring)
                        exporter->metrics_due = false;
                else if (!exporter->batch)
                        exporter_take_batch(exporter);
                if (!exporter->batch && !exporter->measuring) {
                        exporter_rest(exporter);
                        break;
                }
                r = exporter_begin(exporter);
        }
        return error_trace(r);
}

static void exporter_on_metrics(uv_timer_t *timer) {
        Exporter *exporter = timer->data;

        if (exporter_now_unix_ns() >= exporter->metrics_wish_unix_ns)
                exporter->metrics_due = true;
        exporter_check(exporter, exporter_next(exporter));
}

/* ---- the answer ---- */

/* The body as it was meant: decompressed where it came so, or as it is where that fails. */
static int exporter_open_body(Buffer *plain, const Http1 *http, RetryResponse *response) {
        const char *encoding = http1_header(http, "content-encoding");
        int r;

        if (!encoding || strcasecmp(encoding, "gzip"))
                return 0;
        r = gzip_decompress(plain, response->body, response->size, CONNECTION_ANSWER_MAX);
        if (r < 0)
                return error_trace(r);
        if (!r) {
                response->body = plain->data;
                response->size = plain->size;
        }
        return 0;
}

static int exporter_judge(Exporter *exporter, RetryVerdict *verdict, const Http1 *http) {
        const Http1Message *message = http1_message(http);
        RetryResponse response = {
                .status = message->status,
                .reason = message->reason,
                .content_type = http1_header(http, "content-type"),
                .retry_after = http1_header(http, "retry-after"),
                .body = message->body.data,
                .size = message->body.size,
        };
        Buffer plain = BUFFER_NULL;
        int r;

        r = exporter_open_body(&plain, http, &response);
        if (!r)
                retry_judge(verdict, &response, exporter->n_objects, exporter_now_unix_ns());
        buffer_deinit(&plain);
        return error_trace(r);
}

/* Metrics that fail are made good by the next ones: at the next interval, or when it is wished. */
static void exporter_put_metrics_off(Exporter *exporter, uint64_t delay_ns) {
        if (delay_ns > RETRY_AFTER_MAX_NS)
                delay_ns = RETRY_AFTER_MAX_NS;
        exporter->metrics_wish_unix_ns = exporter_now_unix_ns() + delay_ns;
        exporter->metrics_due = false;
}

static int exporter_act(Exporter *exporter, const RetryVerdict *verdict) {
        bool later = verdict->result == RETRY_LATER;
        int r;

        exporter_note(exporter, verdict);
        if (later && !exporter->measuring)
                return error_trace(exporter_wait(exporter, verdict));
        if (later)
                exporter_put_metrics_off(exporter, verdict->delay_ns);
        else
                retry_reset(&exporter->retry);
        r = exporter_finish(exporter, &verdict->outcome);
        if (!r)
                r = exporter_next(exporter);
        return error_trace(r);
}

static void exporter_on_answer(void *user, const ConnectionAnswer *answer) {
        Exporter *exporter = user;
        RetryVerdict verdict;
        int r = 0;

        if (answer->sent) {
                exporter->status.n_requests++;
                exporter->status.n_bytes += exporter->body.size;
        }
        switch (answer->r) {
        case CONNECTION_E_FAILED:
                retry_judge_failure(&verdict, answer->error);
                break;
        case CONNECTION_E_TOO_LARGE:
                retry_judge_refusal(&verdict, answer->error, exporter->n_objects);
                break;
        default:
                r = exporter_judge(exporter, &verdict, answer->http);
        }
        if (!r)
                r = exporter_act(exporter, &verdict);
        exporter_check(exporter, r);
}

/* ---- the interface ---- */

int exporter_check_endpoint(const char *endpoint) {
        Endpoint parsed;

        return endpoint_parse(&parsed, endpoint) ? EXPORTER_E_ENDPOINT : 0;
}

int exporter_check_header(const ExporterHeader *header) {
        static const char *const own[] = {"host",         "connection",       "content-length",
                                          "content-type", "content-encoding", "transfer-encoding",
                                          "user-agent"};

        if (!http_client_header_is_valid(header->name, header->value))
                return EXPORTER_E_HEADER;
        for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
                if (!strcasecmp(header->name, own[i]))
                        return EXPORTER_E_HEADER;
        return 0;
}

static int exporter_set_headers(Exporter *exporter, const ExporterOptions *options) {
        HttpClientHeader *headers;

        for (size_t i = 0; i < options->n_headers; i++)
                if (exporter_check_header(&options->headers[i]))
                        return EXPORTER_E_HEADER;
        headers = calloc(options->n_headers + EXPORTER_HEADERS_OWN, sizeof(*headers));
        if (!headers)
                return error_origin(-ENOMEM);
        exporter->headers = headers;
        *headers++ = (HttpClientHeader){"User-Agent", options->user_agent};
        *headers++ = (HttpClientHeader){"Content-Type", "application/x-protobuf"};
        if (options->compression == EXPORTER_COMPRESSION_GZIP)
                *headers++ = (HttpClientHeader){"Content-Encoding", "gzip"};
        for (size_t i = 0; i < options->n_headers; i++)
                *headers++ =
                        (HttpClientHeader){options->headers[i].name, options->headers[i].value};
        exporter->n_headers = headers - exporter->headers;
        return 0;
}

static void exporter_free(Exporter *exporter) {
        gzip_free(exporter->gzip);
        free(exporter->headers);
        exporter_rest(exporter);
        free(exporter);
}

/* All of it that is not a handle. */
static int exporter_set_up(Exporter *exporter, const ExporterOptions *options) {
        int r;

        exporter->status.name = options->name;
        exporter->status.endpoint = options->endpoint;
        exporter->status.sends_metrics = options->metrics_interval_ns;
        exporter->metrics = options->metrics;
        exporter->metrics_user = options->metrics_user;
        exporter->retry = (Retry){
                .initial_ns = options->retry_initial_ns,
                .max_ns = options->retry_max_ns,
        };
        if (endpoint_parse(&exporter->endpoint, options->endpoint))
                return EXPORTER_E_ENDPOINT;
        r = exporter_set_headers(exporter, options);
        if (!r && options->compression == EXPORTER_COMPRESSION_GZIP)
                r = gzip_new(&exporter->gzip);
        return error_trace(r);
}

int exporter_open(Exporter **exporterp, uv_loop_t *loop, Recorder *recorder,
                  const ExporterOptions *options) {
        ConnectionOptions connection = {
                .timeout_ns = options->timeout_ns,
                .answered = exporter_on_answer,
                .sink = options->sink,
        };
        Exporter *exporter;
        int r;

        exporter = calloc(1, sizeof(*exporter));
        if (!exporter)
                return error_origin(-ENOMEM);
        exporter->loop = loop;
        exporter->recorder = recorder;
        exporter->sink = options->sink;
        exporter->index = recorder_exporter_index(recorder, options->name);
        r = exporter_set_up(exporter, options);
        if (!r) {
                connection.url = &exporter->endpoint.url;
                connection.user = exporter;
                r = connection_open(&exporter->connection, loop, &connection);
        }
        if (r) {
                exporter_free(exporter);
                return error_trace(r);
        }
        uv_timer_init(loop, &exporter->timer);
        uv_timer_init(loop, &exporter->metrics_timer);
        exporter->timer.data = exporter->work.data = exporter->metrics_timer.data = exporter;
        if (options->metrics_interval_ns)
                uv_timer_start(&exporter->metrics_timer, exporter_on_metrics,
                               options->metrics_interval_ns / 1000000,
                               options->metrics_interval_ns / 1000000);
        *exporterp = exporter;
        return 0;
}

void exporter_wake(Exporter *exporter) {
        exporter_check(exporter, exporter_next(exporter));
}

void exporter_hurry(Exporter *exporter) {
        if (exporter->state == EXPORTER_WAITING) {
                uv_timer_stop(&exporter->timer);
                exporter_check(exporter, exporter_send_again(exporter));
        } else {
                exporter_wake(exporter);
        }
}

void exporter_measure(Exporter *exporter) {
        if (exporter->status.sends_metrics && exporter->metrics_health != EXPORTER_AWAY)
                exporter->metrics_due = true;
        exporter_wake(exporter);
}

bool exporter_is_measuring(const Exporter *exporter) {
        return exporter->metrics_due || exporter->measuring;
}

void exporter_status(const Exporter *exporter, ExporterStatus *status) {
        *status = exporter->status;
        status->state = exporter->state;
}

static void exporter_release(Exporter *exporter) {
        void (*closed)(void *user) = exporter->closed;
        void *user = exporter->closed_user;

        if (--exporter->n_open)
                return;
        exporter_free(exporter);
        closed(user);
}

static void exporter_on_connection_closed(void *user) {
        exporter_release(user);
}

static void exporter_on_timer_closed(uv_handle_t *handle) {
        exporter_release(handle->data);
}

void exporter_close(Exporter *exporter, void (*closed)(void *user), void *user) {
        assert(!exporter->closing);
        exporter->closing = true;
        exporter->closed = closed;
        exporter->closed_user = user;
        exporter->n_open = 3 + exporter->working;
        if (exporter->working)
                uv_cancel((uv_req_t *)&exporter->work); /* else it ends soon */
        connection_close(exporter->connection, exporter_on_connection_closed, exporter);
        uv_close((uv_handle_t *)&exporter->timer, exporter_on_timer_closed);
        uv_close((uv_handle_t *)&exporter->metrics_timer, exporter_on_timer_closed);
}
