/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The exporter between a recorder that only counts, defined here, and a collector that follows a
 * script.
 */

#include "daemon/export/exporter.h"
#include "daemon/http/gzip.h"
#include "otlp/trace_service.pb-c.h"
#include "tests/unit/collector.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        BATCHES_MAX = 8,
        OBJECTS = 10, /* of each batch */
};

static const uint64_t ms = 1000000;

/* ---- the recorder ---- */

struct Recorder {
        Batch batches[BATCHES_MAX];
        bool owed[BATCHES_MAX];
        size_t sizes[BATCHES_MAX]; /* of the bodies */
        size_t n_batches, n_left;
        BatchOutcome total;
        void (*finished)(void);
};

static Recorder recorder;

unsigned recorder_exporter_index(const Recorder *r, const char *name) {
        ck_assert_ptr_eq(r, &recorder);
        ck_assert_str_eq(name, "test");
        return 3;
}

Batch *recorder_next_batch(const Recorder *r, unsigned exporter, BatchSignal signal,
                           const Batch *after) {
        ck_assert_uint_eq(exporter, 3);
        ck_assert_ptr_null(after);
        for (size_t i = 0; i < r->n_batches; i++)
                if (r->owed[i] && r->batches[i].signal == signal)
                        return (Batch *)&r->batches[i];
        return NULL;
}

int recorder_done(Recorder *r, Batch **batchp, unsigned exporter, const BatchOutcome *outcome,
                  uint64_t now_unix_ns) {
        size_t i = *batchp - r->batches;
        uint64_t sum = outcome->n_delivered;

        ck_assert_uint_eq(exporter, 3);
        ck_assert_uint_gt(now_unix_ns, 1600000000 * UINT64_C(1000000000));
        ck_assert(r->owed[i]);
        r->owed[i] = false;
        r->total.n_delivered += outcome->n_delivered;
        for (int drop = 0; drop < _BATCH_DROPS_N; drop++) {
                sum += outcome->n_dropped[drop];
                r->total.n_dropped[drop] += outcome->n_dropped[drop];
        }
        ck_assert_uint_eq(sum, OBJECTS);
        *batchp = NULL;
        if (!--r->n_left)
                r->finished();
        return 0;
}

int batch_encode(const Batch *batch, const Recorder *r, Buffer *out) {
        size_t size = r->sizes[batch - r->batches];
        uint8_t *room;

        ck_assert_int_eq(buffer_reserve(out, &room, size), 0);
        for (size_t i = 0; i < size; i++)
                room[i] = batch->number + i % 7;
        out->size += size;
        return 0;
}

static void owe(BatchSignal signal, size_t size) {
        size_t i = recorder.n_batches++;

        recorder.batches[i] = (Batch){.signal = signal, .number = i, .n_objects = OBJECTS};
        recorder.sizes[i] = size;
        recorder.owed[i] = true;
        recorder.n_left++;
}

/* ---- the exporter ---- */

static struct {
        uv_loop_t loop;
        Exporter *exporter;
        ExporterOptions options;
        ExporterStatus last; /* before it was closed */
        char endpoint[64];
        uv_prepare_t each_turn;
        void (*turn)(const ExporterStatus *status); /* or NULL */
        bool closed;
} run;

static void on_fatal(void *user, int r) {
        (void)user;
        ck_abort_msg("fatal: %d", r);
}

static void on_closed(void *user) {
        ck_assert_ptr_eq(user, &run);
        ck_assert(!run.closed);
        run.closed = true;
        uv_close((uv_handle_t *)&run.each_turn, NULL);
}

static void close_exporter(void) {
        exporter_status(run.exporter, &run.last);
        exporter_close(run.exporter, on_closed, &run);
        run.exporter = NULL;
}

static void on_turn(uv_prepare_t *prepare) {
        ExporterStatus status;

        (void)prepare;
        if (!run.exporter)
                return;
        exporter_wake(run.exporter); /* as the daemon does; sends nothing twice */
        exporter_status(run.exporter, &status);
        if (run.turn)
                run.turn(&status);
}

static void set_up(void) {
        memset(&recorder, 0, sizeof(recorder));
        memset(&collector, 0, sizeof(collector));
        memset(&run, 0, sizeof(run));
        recorder.finished = close_exporter;
        collector_bind();
        snprintf(run.endpoint, sizeof(run.endpoint), "http://127.0.0.1:%u", collector.port);
        run.options = (ExporterOptions){
                .name = "test",
                .endpoint = run.endpoint,
                .timeout_ns = 10000 * ms,
                .retry_initial_ns = 2 * ms,
                .retry_max_ns = 10 * ms,
                .user_agent = "catenad/1 OTel-OTLP-Exporter-C/1",
                .sink = {.fail = on_fatal},
        };
}

/* Runs until every batch is answered for, or the test has closed the exporter. */
static void run_exporter(void) {
        ck_assert_int_eq(uv_loop_init(&run.loop), 0);
        ck_assert_int_eq(exporter_open(&run.exporter, &run.loop, &recorder, &run.options), 0);
        uv_prepare_init(&run.loop, &run.each_turn);
        uv_prepare_start(&run.each_turn, on_turn);
        exporter_wake(run.exporter);
        uv_run(&run.loop, UV_RUN_DEFAULT);
        ck_assert(run.closed);
        ck_assert_int_eq(uv_loop_close(&run.loop), 0);
}

static void check_total(uint64_t n_delivered, uint64_t n_refused, uint64_t n_partial) {
        ck_assert_uint_eq(recorder.total.n_delivered, n_delivered);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_REFUSED], n_refused);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_PARTIAL], n_partial);
        ck_assert_uint_eq(recorder.n_left, 0);
}

#define OK          "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
#define N_STEPS(s)  (sizeof(s) / sizeof(*(s)))
#define START(s)    collector_start((s), N_STEPS(s))
#define UNAVAILABLE "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait"

/* ---- what is sent ---- */

START_TEST(sends_both_signals_on_one_connection) {
        static const Step steps[] = {{.answer = OK}, {.answer = OK}, {.answer = OK}};
        ExporterHeader extra = {"X-Extra", "shop"};
        char authority[64];

        set_up();
        run.options.headers = &extra;
        run.options.n_headers = 1;
        owe(BATCH_TRACES, 100);
        owe(BATCH_TRACES, 1);
        owe(BATCH_LOGS, 300000);
        START(steps);
        run_exporter();
        check_total(3 * OBJECTS, 0, 0);
        ck_assert_uint_eq(collector.n_connections, 1);
        ck_assert_str_eq(collector.seen[0].target, "/v1/traces");
        ck_assert_str_eq(collector.seen[1].target, "/v1/logs");
        ck_assert_str_eq(collector.seen[2].target, "/v1/traces");
        snprintf(authority, sizeof(authority), "127.0.0.1:%u", collector.port);
        ck_assert_str_eq(collector.seen[0].authority, authority);
        ck_assert_str_eq(collector.seen[0].type, "application/x-protobuf");
        ck_assert_str_eq(collector.seen[0].agent, "catenad/1 OTel-OTLP-Exporter-C/1");
        ck_assert_str_eq(collector.seen[0].extra, "shop");
        ck_assert_str_eq(collector.seen[0].encoding, "");
        ck_assert_uint_eq(collector.seen[0].body.size, 100);
        ck_assert_uint_eq(collector.seen[1].body.size, 300000);
        ck_assert_uint_eq(collector.seen[1].body.data[8], 2 + 1);
        ck_assert_uint_eq(run.last.n_requests, 3);
        ck_assert_uint_eq(run.last.n_bytes, 300101);
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

START_TEST(compresses) {
        static const Step steps[] = {{.answer = UNAVAILABLE}, {.answer = OK}};
        Buffer plain = BUFFER_NULL;

        set_up();
        run.options.compression = EXPORTER_COMPRESSION_GZIP;
        owe(BATCH_TRACES, 100000);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        for (int i = 0; i < 2; i++) {
                Buffer *body = &collector.seen[i].body;

                plain.size = 0;
                ck_assert_str_eq(collector.seen[i].encoding, "gzip");
                ck_assert_uint_lt(body->size, 10000);
                ck_assert_int_eq(gzip_decompress(&plain, body->data, body->size, 1 << 20), 0);
                ck_assert_uint_eq(plain.size, 100000);
                ck_assert_uint_eq(plain.data[99999], 99999 % 7);
        }
        buffer_deinit(&plain);
        collector_finish();
}
END_TEST

START_TEST(finds_a_host_by_name_and_tries_its_addresses) {
        static const Step steps[] = {{.answer = OK}};

        set_up();
        snprintf(run.endpoint, sizeof(run.endpoint), "http://localhost:%u/", collector.port);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        collector_finish();
}
END_TEST

START_TEST(drops_what_is_too_large_to_send) {
        static const Step steps[] = {{.answer = OK}};

        set_up();
        owe(BATCH_TRACES, BATCH_REQUEST_MAX + 1);
        owe(BATCH_TRACES, BATCH_REQUEST_MAX);
        owe(BATCH_LOGS, 0);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_TOO_LARGE], OBJECTS);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_DAMAGED], OBJECTS);
        ck_assert_uint_eq(collector.n_seen, 1);
        ck_assert_uint_eq(collector.seen[0].body.size, BATCH_REQUEST_MAX);
        collector_finish();
}
END_TEST

/* ---- answers ---- */

START_TEST(partial_success_is_counted_and_not_sent_again) {
        typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse Response;
        typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess Partial;
        Response response =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
        Partial partial =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
        char plain[256], answer[1024];
        uint8_t *packed;
        size_t size;
        Gzip *gzip;

        set_up();
        response.partial_success = &partial;
        partial.rejected_spans = 4;
        partial.error_message = (char *)"four were too old";
        size = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
                &response, (uint8_t *)plain);
        ck_assert_int_eq(gzip_new(&gzip), 0);
        packed = malloc(gzip_bound(gzip, size));
        if (_i) {
                size = gzip_compress(gzip, packed, plain, size);
                memcpy(plain, packed, size);
        }
        gzip_free(gzip);
        free(packed);

        owe(BATCH_TRACES, 10);
        Step steps[] = {{.answer = answer}};
        steps[0].size = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", size,
                                _i ? "Content-Encoding: gzip\r\n" : "");
        memcpy(answer + steps[0].size, plain, size);
        steps[0].size += size;
        START(steps);
        run_exporter();
        check_total(OBJECTS - 4, 0, 4);
        ck_assert_uint_eq(collector.n_seen, 1);
        ck_assert_str_eq(run.last.last_error, "4 of 10 rejected: four were too old");
        ck_assert(!run.last.misconfigured);
        collector_finish();
}
END_TEST

static const struct {
        const char *answer, *error;
} refusals[] = {
        {"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-protobuf\r\n"
         "Content-Length: 9\r\n\r\n\x08\x03\x12\x05"
         "wrong",
         "400 Bad Request: wrong"},
        {"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\r\n"
         "404 page not found\n",
         "404 Not Found: 404 page not found"},
        {"HTTP/1.1 413 \r\nContent-Length: 0\r\n\r\n", "413 "},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "301 Moved"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "200 OK: the answer is not OTLP"},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n\x1f\x8b!!!!",
         "200 OK: the answer is not OTLP"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n", "200, with an answer over 4 MiB"},
};

START_TEST(refusals_drop_and_mark_until_all_is_well) {
        Step steps[] = {{.answer = refusals[_i].answer}, {.answer = OK}};
        Step only[] = {steps[0]};

        set_up();
        owe(BATCH_TRACES, 10);
        START(only);
        run_exporter();
        check_total(0, OBJECTS, 0);
        ck_assert_str_eq(run.last.last_error, refusals[_i].error);
        ck_assert(run.last.misconfigured);
        collector_finish();

        set_up();
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        ck_assert_str_eq(run.last.last_error, "");
        ck_assert(!run.last.misconfigured);
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

START_TEST(an_endless_answer_is_cut_off) {
        static const Step steps[] = {
                {.how = STEP_FLOOD, .answer = "HTTP/1.1 200 OK\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        collector_finish();
}
END_TEST

START_TEST(an_early_refusal_counts_though_the_body_was_not_read) {
        static const Step steps[] = {
                {.how = STEP_EARLY,
                 .answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, BATCH_REQUEST_MAX);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        ck_assert_uint_eq(collector.n_connections, 2);
        collector_finish();
}
END_TEST

/* ---- trying again ---- */

static const Step failures[] = {
        {.answer = UNAVAILABLE},
        {.answer = "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n"},
        {.answer = "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n",
         .how = STEP_ANSWER_CLOSE},
        {.answer = "HTTP/1.1 504 Late\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         .how = STEP_SLOW},
        {.answer = "SSH-2.0-OpenSSH_9.2p1\r\n"},
        {.answer = "\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80", .size = 15}, /* HTTP/2 */
        {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", .how = STEP_ANSWER_CLOSE},
        {.answer = "HTTP/1.1 200 OK\r\nConte", .how = STEP_ANSWER_CLOSE},
        {.answer = "HTTP/1.1 200 OK\r\nX: ", .how = STEP_FLOOD},
        {.how = STEP_CLOSE},
};

START_TEST(failures_are_tried_again_with_the_same_bytes) {
        Step steps[] = {failures[_i], failures[_i], {.answer = OK}, {.answer = OK}};

        set_up();
        owe(BATCH_TRACES, 5000);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(2 * OBJECTS, 0, 0);
        ck_assert_uint_eq(collector.n_seen, 4);
        ck_assert_uint_eq(collector.seen[2].body.size, 5000);
        for (int i = 0; i < 2; i++) {
                ck_assert_uint_eq(collector.seen[i].body.size, 5000);
                ck_assert_mem_eq(collector.seen[i].body.data, collector.seen[2].body.data, 5000);
        }
        ck_assert_uint_eq(run.last.n_retries, 2);
        ck_assert_uint_eq(run.last.n_requests, 4);
        ck_assert_str_eq(run.last.last_error, "");
        collector_finish();
}
END_TEST

START_TEST(silence_ends_in_a_timeout) {
        static const Step steps[] = {{.how = STEP_HOLD}, {.answer = OK}};

        set_up();
        run.options.timeout_ns = 50 * ms;
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        ck_assert_uint_eq(run.last.n_retries, 1);
        ck_assert_uint_eq(collector.n_connections, 2);
        collector_finish();
}
END_TEST

static const Step up_steps[] = {{.answer = OK}};

static void turn_collector_up(const ExporterStatus *status) {
        if (status->state != EXPORTER_WAITING || status->n_retries < 2 || collector.steps)
                return;
        ck_assert_str_eq(status->last_error, "cannot connect: connection refused");
        ck_assert(!status->misconfigured);
        ck_assert_uint_gt(status->next_try_unix_ns, 0);
        START(up_steps);
}

START_TEST(a_collector_that_is_down_gets_all_when_it_is_up) {
        set_up();
        owe(BATCH_TRACES, 10);
        run.turn = turn_collector_up;
        run_exporter();
        check_total(OBJECTS, 0, 0);
        ck_assert_uint_eq(collector.n_seen, 1);
        ck_assert_uint_eq(run.last.n_requests, 1);
        ck_assert_uint_ge(run.last.n_retries, 3);
        collector_finish();
}
END_TEST

/* The wish is an hour; what ends the wait is the hurry. */
static void turn_hurry(const ExporterStatus *status) {
        struct timespec now;

        if (status->state != EXPORTER_WAITING)
                return;
        clock_gettime(CLOCK_REALTIME, &now);
        ck_assert_uint_gt(status->next_try_unix_ns, (now.tv_sec + 3000) * 1000 * ms);
        ck_assert_str_eq(status->last_error, "429 Slow Down");
        exporter_hurry(run.exporter);
}

START_TEST(retry_after_is_waited_for_unless_in_a_hurry) {
        static const Step steps[] = {
                {.answer = "HTTP/1.1 429 Slow Down\r\nRetry-After: 3600\r\n"
                           "Content-Length: 0\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, 10);
        run.turn = turn_hurry;
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        ck_assert_uint_eq(run.last.n_retries, 1);
        ck_assert_uint_eq(run.last.next_try_unix_ns, 0);
        collector_finish();
}
END_TEST

/* The backoff would be an hour: what is sent again must go at once. */
START_TEST(a_kept_connection_that_was_closed_is_replaced_at_once) {
        static const Step ways[][3] = {
                {{.answer = OK}, {.how = STEP_CLOSE}, {.answer = OK}},
                {{.answer = OK, .how = STEP_ANSWER_CLOSE}, {.answer = OK}, {.answer = OK}},
        };

        set_up();
        run.options.retry_initial_ns = run.options.retry_max_ns = 3600000 * ms;
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 11);
        if (_i)
                owe(BATCH_TRACES, 12);
        START(ways[_i]);
        run_exporter();
        check_total(recorder.n_batches * OBJECTS, 0, 0);
        ck_assert_uint_eq(run.last.n_retries, 0);
        ck_assert_uint_eq(collector.seen[1].body.size, 11);
        ck_assert_uint_eq(collector.seen[2].body.size, _i ? 12 : 11);
        ck_assert_uint_eq(collector.seen[2].connection, 2);
        collector_finish();
}
END_TEST

START_TEST(an_answer_nobody_asked_for_ends_the_connection) {
        static const Step steps[] = {{.answer = OK OK}, {.answer = OK}};

        set_up();
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(2 * OBJECTS, 0, 0);
        ck_assert_uint_eq(collector.n_connections, 2);
        collector_finish();
}
END_TEST

static void turn_close_unknown(const ExporterStatus *status) {
        if (status->state != EXPORTER_WAITING)
                return;
        ck_assert_int_eq(strncmp(status->last_error, "cannot find ", 12), 0);
        close_exporter();
}

/* A label of 64 characters fits no name server's question. */
START_TEST(an_unknown_host_is_tried_again) {
        char endpoint[128];

        set_up();
        sprintf(endpoint, "http://%064d.invalid:4318", 0);
        run.options.endpoint = endpoint;
        owe(BATCH_TRACES, 10);
        run.turn = turn_close_unknown;
        run_exporter();
        ck_assert_uint_eq(recorder.n_left, 1);
        close(collector.listener);
}
END_TEST

/* ---- closing ---- */

static unsigned turns_left;

static void turn_close(const ExporterStatus *status) {
        (void)status;
        if (!turns_left--)
                close_exporter();
}

/* In whatever it is doing after that many turns of the loop; nobody accepts. */
START_TEST(a_close_leaves_the_batch_owed) {
        for (int gzip = 0; gzip < 2; gzip++) {
                set_up();
                run.options.compression =
                        gzip ? EXPORTER_COMPRESSION_GZIP : EXPORTER_COMPRESSION_NONE;
                run.options.timeout_ns = 5 * ms;
                owe(BATCH_TRACES, 1000000);
                run.turn = turn_close;
                turns_left = _i;
                ck_assert_int_eq(listen(collector.listener, 8), 0);
                run_exporter();
                ck_assert_uint_eq(recorder.n_left, 1);
                ck_assert(recorder.owed[0]);
                close(collector.listener);
        }
}
END_TEST

static void turn_close_waiting(const ExporterStatus *status) {
        if (status->state == EXPORTER_WAITING)
                close_exporter();
}

START_TEST(a_close_ends_the_wait) {
        set_up();
        run.options.retry_initial_ns = run.options.retry_max_ns = 3600000 * ms;
        owe(BATCH_TRACES, 10);
        run.turn = turn_close_waiting;
        run_exporter();
        ck_assert_uint_eq(recorder.n_left, 1);
        close(collector.listener);
}
END_TEST

START_TEST(nothing_owed_nothing_sent) {
        set_up();
        run.turn = turn_close;
        run_exporter();
        ck_assert_int_eq(run.last.state, EXPORTER_IDLE);
        ck_assert_uint_eq(run.last.n_requests, 0);
        ck_assert_str_eq(run.last.name, "test");
        ck_assert_str_eq(run.last.endpoint, run.endpoint);
        close(collector.listener);
}
END_TEST

/* ---- options ---- */

START_TEST(bad_options_are_refused) {
        ExporterHeader header = {"Content-Length", "1"};
        uv_loop_t loop;

        set_up();
        ck_assert_int_eq(exporter_check_endpoint("http://localhost:4318"), 0);
        ck_assert_int_eq(exporter_check_endpoint("localhost:4318"), EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(exporter_check_endpoint("https://localhost"), EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X-Scope-OrgID", "shop"}), 0);
        ck_assert_int_eq(exporter_check_header(&header), EXPORTER_E_HEADER);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X: y", "z"}), EXPORTER_E_HEADER);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X", "y\n"}), EXPORTER_E_HEADER);

        ck_assert_int_eq(uv_loop_init(&loop), 0);
        run.options.headers = &header;
        run.options.n_headers = 1;
        ck_assert_int_eq(exporter_open(&run.exporter, &loop, &recorder, &run.options),
                         EXPORTER_E_HEADER);
        run.options.n_headers = 0;
        run.options.endpoint = "nonsense";
        ck_assert_int_eq(exporter_open(&run.exporter, &loop, &recorder, &run.options),
                         EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        close(collector.listener);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("exporter");
        TCase *tcase = tcase_create("exporter");

        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, sends_both_signals_on_one_connection);
        tcase_add_test(tcase, compresses);
        tcase_add_test(tcase, finds_a_host_by_name_and_tries_its_addresses);
        tcase_add_test(tcase, drops_what_is_too_large_to_send);
        tcase_add_loop_test(tcase, partial_success_is_counted_and_not_sent_again, 0, 2);
        tcase_add_loop_test(tcase, refusals_drop_and_mark_until_all_is_well, 0, N_STEPS(refusals));
        tcase_add_test(tcase, an_endless_answer_is_cut_off);
        tcase_add_test(tcase, an_early_refusal_counts_though_the_body_was_not_read);
        tcase_add_loop_test(tcase, failures_are_tried_again_with_the_same_bytes, 0,
                            N_STEPS(failures));
        tcase_add_test(tcase, silence_ends_in_a_timeout);
        tcase_add_test(tcase, a_collector_that_is_down_gets_all_when_it_is_up);
        tcase_add_test(tcase, retry_after_is_waited_for_unless_in_a_hurry);
        tcase_add_loop_test(tcase, a_kept_connection_that_was_closed_is_replaced_at_once, 0, 2);
        tcase_add_test(tcase, an_answer_nobody_asked_for_ends_the_connection);
        tcase_add_test(tcase, an_unknown_host_is_tried_again);
        tcase_add_loop_test(tcase, a_close_leaves_the_batch_owed, 0, 6);
        tcase_add_test(tcase, a_close_ends_the_wait);
        tcase_add_test(tcase, nothing_owed_nothing_sent);
        tcase_add_test(tcase, bad_options_are_refused);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
