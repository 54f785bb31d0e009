/* SPDX-License-Identifier: Apache-2.0 */

/* Metrics, as a collector gets them and as a scraper does. */

#include "lib/catena.h"
#include "proto/id.h"
#include "proto/pb.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"
#include "tests/unit/fragment.h"

#include <arpa/inet.h>
#include <check.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORTER "exporters.0.metrics."
#define OFTEN    "metrics: { interval: 100ms }\n"
#define NEVER    "metrics: { interval: 1h }\n"
#define CALLS    "traces_span_metrics_calls_total"

static Harness harness;
static RawClient client;

static void connect_client(const char *service) {
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, service, false));
}

static void say_spans(uint64_t first_id, uint64_t n, const char *name) {
        for (uint64_t i = 0; i < n; i++)
                ck_assert(
                        raw_client_span(&client, first_id + i, RECORD_START | RECORD_END, name));
        ck_assert(raw_client_flush(&client));
}

static void say_primitive(uint64_t id, const char *status, double duration_ms) {
        Fragment fragment;
        PbWriter *writer = fragment_begin(&fragment);
        uint8_t trace_id[ID_TRACE_SIZE] = {1};

        pb_put_bytes(writer, 1, trace_id, sizeof trace_id);
        pb_put_bytes(writer, 2, &id, sizeof id);
        put_text(writer, 5, "charge.execute");
        pb_put_fixed64(writer, 7, 1700000000000000000);
        put_attribute(writer, 9, "primitive.name", "charge");
        put_attribute(writer, 9, "primitive.type", "ChargeCard");
        ck_assert(raw_client_record(&client, RECORD_SPAN, RECORD_START, id, fragment.data,
                                    (size_t)(writer->at - fragment.data)));
        writer = fragment_begin(&fragment);
        put_attribute(writer, 9, "primitive.status", status);
        pb_put_prefix(writer, 9, pb_bytes_size(1, 21) + pb_bytes_size(2, 9));
        put_text(writer, 1, "primitive.duration_ms");
        pb_put_prefix(writer, 2, 9);
        pb_put_double(writer, 4, duration_ms);
        pb_put_fixed64(writer, 8, 1700000000700000000);
        ck_assert(raw_client_record(&client, RECORD_SPAN, RECORD_END, id, fragment.data,
                                    (size_t)(writer->at - fragment.data)));
        ck_assert(raw_client_flush(&client));
}

/* Metrics that were encoded after all that was said before. */
static void await_fresh_metrics(void) {
        backend_await_metrics(harness.backend, backend_n_metrics(harness.backend) + 2);
}

static const OtlpMetric *metric(const char *name) {
        const OtlpMetric *found = backend_metric(harness.backend, name);

        ck_assert_msg(found != NULL, "no metric %s", name);
        return found;
}

static const OtlpPoint *only_point(const char *name) {
        const OtlpMetric *found = metric(name);

        ck_assert_uint_eq(found->sum->n_data_points, 1);
        return found->sum->data_points[0];
}

/* ---- a collector ---- */

START_TEST(metrics_reach_the_collector) {
        const OtlpMetric *duration;
        const OtlpPoint *point;
        const OtlpResource *resource;

        harness_open(&harness, &(HarnessOptions){.compression = "gzip", .more = OFTEN});
        connect_client("shop");
        say_spans(1, 3, "pay");
        say_primitive(10, "success", 30);
        say_primitive(11, "success", 300);
        say_primitive(12, "error", 3000);
        harness_await(&harness, "counters.spans_closed", 6);
        await_fresh_metrics();

        resource = backend_metrics_resource(harness.backend);
        ck_assert_str_eq(
                backend_string(resource->attributes, resource->n_attributes, "service.name"),
                "catenad");
        ck_assert_uint_eq(strlen(backend_string(resource->attributes, resource->n_attributes,
                                                "service.instance.id")),
                          36);
        ck_assert_uint_eq(metric("traces.span.metrics.calls")->sum->n_data_points, 2);
        point = metric("traces.span.metrics.calls")->sum->data_points[0];
        ck_assert_int_eq(point->as_int, 3);
        ck_assert_str_eq(backend_string(point->attributes, point->n_attributes, "service.name"),
                         "shop");
        ck_assert_str_eq(backend_string(point->attributes, point->n_attributes, "span.name"),
                         "pay");
        ck_assert_uint_eq(metric("primitive.execution.count")->sum->n_data_points, 2);
        duration = metric("primitive.execution.duration");
        ck_assert_uint_eq(duration->histogram->data_points[0]->count, 2);
        ck_assert_uint_eq(duration->histogram->data_points[0]->bucket_counts[2], 1);
        ck_assert_uint_eq(duration->histogram->data_points[0]->bucket_counts[5], 1);
        ck_assert_uint_eq(duration->histogram->data_points[1]->bucket_counts[8], 1);
        ck_assert_int_eq(only_point("catena.spans_accepted")->as_int, 6);
        harness_await(&harness, EXPORTER "delivered", 1);
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

static int charge(catena_context *context, void *input, void **outputp, void *data) {
        (void)outputp;
        (void)data;
        if (!input)
                return 0;
        catena_context_fail(context, "CardDeclined", "the bank said no");
        return 1;
}

/* Three charges, one of them in vain. */
static void run_primitives(void *user) {
        catena_primitive *step = catena_primitive_new(
                &(catena_primitive_options){.name = "charge", .type = "ChargeCard", .run = charge});
        catena_context *order;

        people_speak(&harness, "shop");
        order = catena_context_new("order-4711", NULL);
        if (catena_execute(step, order, NULL, NULL) || catena_execute(step, order, NULL, NULL) ||
            catena_execute(step, order, user, NULL) != 1)
                _exit(1);
        catena_context_free(order);
        catena_primitive_unref(step);
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

START_TEST(primitives_of_the_library_are_counted) {
        static const char *const statuses[] = {"success", "error"};

        harness_open(&harness, &(HarnessOptions){.more = NEVER});
        ck_assert_int_eq(people_await(people_fork(run_primitives, &harness)), 0);
        harness_await(&harness, "counters.spans_closed", 3);
        harness_stop(&harness);
        ck_assert_uint_eq(metric("primitive.execution.count")->sum->n_data_points, 2);
        for (unsigned i = 0; i < 2; i++) {
                const OtlpPoint *point = metric("primitive.execution.count")->sum->data_points[i];

                ck_assert_int_eq(point->as_int, i ? 1 : 2);
                ck_assert_str_eq(
                        backend_string(point->attributes, point->n_attributes, "primitive.name"),
                        "charge");
                ck_assert_str_eq(
                        backend_string(point->attributes, point->n_attributes, "primitive.type"),
                        "ChargeCard");
                ck_assert_str_eq(
                        backend_string(point->attributes, point->n_attributes, "primitive.status"),
                        statuses[i]);
        }
        harness_remove(&harness);
}
END_TEST

START_TEST(the_last_metrics_tell_of_all) {
        harness_init(&harness, &(HarnessOptions){.more = NEVER});
        harness_start(&harness);
        connect_client("shop");
        say_spans(1, 100, "pay");
        raw_client_close(&client);
        ck_assert_uint_eq(backend_n_metrics(harness.backend), 0);
        harness_stop(&harness);
        ck_assert_uint_eq(backend_n_metrics(harness.backend), 1);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 100);
        ck_assert_int_eq(only_point("traces.span.metrics.calls")->as_int, 100);
        ck_assert_int_eq(metric("catena.exporter.delivered")->sum->data_points[0]->as_int, 100);
        harness_remove(&harness);
}
END_TEST

/* A new start time, and from zero: the journal keeps spans, not metrics. */
START_TEST(metrics_start_anew_with_the_daemon) {
        const OtlpPoint *before, *after;

        harness_open(&harness, &(HarnessOptions){.refuses = true, .more = OFTEN});
        connect_client("shop");
        say_spans(1, 20, "pay");
        harness_await(&harness, "counters.spans_closed", 20);
        harness_kill(&harness);
        raw_client_close(&client);
        backend_listen(harness.backend);
        harness_start(&harness);
        await_fresh_metrics();
        ck_assert_ptr_null(backend_metric(harness.backend, "traces.span.metrics.calls"));
        before = only_point("catena.spans_accepted");
        ck_assert_int_eq(before->as_int, 0);
        connect_client("shop");
        say_spans(101, 5, "pay");
        harness_await(&harness, "counters.spans_closed", 25);
        await_fresh_metrics();
        ck_assert_int_eq(only_point("traces.span.metrics.calls")->as_int, 5);
        after = only_point("catena.spans_accepted");
        ck_assert_int_eq(after->as_int, 5);
        ck_assert_uint_eq(after->start_time_unix_nano, before->start_time_unix_nano);
        ck_assert_uint_gt(after->time_unix_nano, before->time_unix_nano);
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

/* Whatever becomes of metrics, spans go on, and the next metrics tell what those before did. */
START_TEST(metrics_that_fail_are_made_good_by_the_next) {
        static const BackendStep steps[] = {
                {BACKEND_ANSWER, .status = 503},
                {BACKEND_CLOSE},
                {BACKEND_RAW, .raw = "no HTTP\r\n\r\n"},
                {BACKEND_ANSWER, .status = 404},
                {BACKEND_REJECT, .n_rejected = 2},
        };

        harness_init(&harness, &(HarnessOptions){.more = OFTEN});
        backend_script_metrics(harness.backend, steps, sizeof steps / sizeof *steps);
        harness_start(&harness);
        connect_client("shop");
        say_spans(1, 10, "pay");
        harness_await(&harness, "conservation.traces.exporters.0.delivered", 10);
        backend_await_metrics(harness.backend, 7);
        ck_assert_int_eq(only_point("traces.span.metrics.calls")->as_int, 10);
        ck_assert_uint_gt(harness_get(&harness, EXPORTER "dropped.collector_refused"), 10);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "dropped.collector_rejected"), 2);
        ck_assert_uint_eq(harness_get(&harness, "exporters.0.misconfigured"), 0);
        ck_assert(harness_has_logged(&harness, "refuses the metrics it is sent"));
        ck_assert(harness_has_logged(&harness, "takes all metrics again"));
        ck_assert(!harness_has_logged(&harness, "spans and logs"));
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

/* The last ones are not waited for where the collector was away before. */
START_TEST(a_collector_that_is_away_delays_no_end) {
        harness_open(&harness, &(HarnessOptions){.refuses = true, .more = OFTEN});
        while (!harness_has_logged(&harness, "takes no metrics now"))
                usleep(5000);
        harness_stop(&harness);
        harness_remove(&harness);
}
END_TEST

START_TEST(an_exporter_without_the_signal_is_sent_none) {
        harness_open(&harness, &(HarnessOptions){.signals = "[traces, logs]", .more = OFTEN});
        connect_client("shop");
        say_spans(1, 10, "pay");
        harness_await(&harness, "conservation.traces.exporters.0.delivered", 10);
        raw_client_close(&client);
        harness_stop(&harness);
        ck_assert_uint_eq(backend_n_metrics(harness.backend), 0);
        harness_remove(&harness);
}
END_TEST

/* ---- a scraper ---- */

static char answer[1024 * 1024];

/* A port that was free a moment ago. */
static unsigned free_port(void) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static int dial(unsigned port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct timeval patience = {.tv_sec = HARNESS_PATIENCE_S};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

/* Says it all, and hears until the daemon hangs up. */
static void hear(int fd, const char *text, size_t size) {
        size_t n_heard = 0;
        ssize_t n;

        ck_assert_int_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
        while ((n = recv(fd, answer + n_heard, sizeof answer - 1 - n_heard, 0)) > 0)
                n_heard += (size_t)n;
        answer[n_heard] = '\0';
        close(fd);
}

static void ask(unsigned port, const char *method, const char *target) {
        char request[256];
        int n = snprintf(request, sizeof request,
                         "%s %s HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n", method, target);

        hear(dial(port), request, (size_t)n);
}

static void has(const char *text) {
        ck_assert_msg(strstr(answer, text) != NULL, "no %s in %s", text, answer);
}

static unsigned open_with_port(const char *signals) {
        unsigned port = free_port();
        char more[128];

        snprintf(more, sizeof more, "metrics: { prometheus: \":%u\", interval: 1h }\n", port);
        harness_open(&harness, &(HarnessOptions){.signals = signals, .more = more});
        return port;
}

START_TEST(a_scraper_reads_metrics_on_a_port) {
        unsigned port = open_with_port("[traces]");

        connect_client("shop");
        say_spans(1, 7, "a \"name\"");
        harness_await(&harness, "counters.spans_closed", 7);
        ask(port, "GET", "/metrics");
        has("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
        has("# TYPE " CALLS " counter\n" CALLS "{service_name=\"shop\","
            "span_name=\"a \\\"name\\\"\",span_kind=\"SPAN_KIND_UNSPECIFIED\","
            "status_code=\"STATUS_CODE_UNSET\"} 7\n");
        has("\ncatena_spans_accepted_total 7\n");
        has("\ncatena_listener_clients 1\n");
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

/* Who may scrape may not look at spans, nor flush. */
START_TEST(there_is_nothing_else_on_the_port) {
        static const char *const targets[] = {"/", "/v1/status", "/v1/chains", "/v1/spans?open",
                                              "/v1/chains/x", "/v1/tail", "/metrics/", "/%"};
        unsigned port = open_with_port(NULL);

        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
                ask(port, "GET", targets[i]);
                has(strcmp(targets[i], "/%") ? "HTTP/1.1 404 " : "HTTP/1.1 400 ");
        }
        ask(port, "POST", "/v1/flush");
        has("HTTP/1.1 404 ");
        ask(port, "POST", "/metrics");
        has("HTTP/1.1 405 ");
        harness_finish(&harness);
}
END_TEST

START_TEST(what_is_no_request_is_hung_up_on) {
        static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        static const char garbage[] = "what is this\r\n\r\n";
        static char endless[100 * 1024];
        unsigned port = open_with_port(NULL);
        int fds[100];

        hear(dial(port), tls, sizeof tls - 1);
        ck_assert_ptr_null(strstr(answer, " 200 "));
        hear(dial(port), garbage, sizeof garbage - 1);
        has("HTTP/1.1 400 ");
        memset(endless, 'x', sizeof endless);
        memcpy(endless, "GET /", 5);
        hear(dial(port), endless, sizeof endless);
        ck_assert_ptr_null(strstr(answer, " 200 "));
        /* More than are served at a time, all of them silent; they leave, and all is well. */
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
                fds[i] = dial(port);
        connect_client("shop");
        say_spans(1, 10, "pay");
        harness_await(&harness, "conservation.traces.exporters.0.delivered", 10);
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
                close(fds[i]);
        ask(port, "GET", "/metrics");
        has("\ncatena_spans_accepted_total 10\n");
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

START_TEST(endless_names_end_in_one_series) {
        enum { NAMES = 5000 };
        unsigned port = open_with_port("[traces]");
        uint64_t n_lines = 0;
        char name[32];

        connect_client("shop");
        for (uint64_t id = 1; id <= NAMES; id++) {
                snprintf(name, sizeof name, "GET /%" PRIu64, id);
                ck_assert(raw_client_span(&client, id, RECORD_START | RECORD_END, name));
        }
        ck_assert(raw_client_flush(&client));
        harness_await(&harness, "counters.spans_closed", NAMES);
        ask(port, "GET", "/metrics");
        has(CALLS "{otel_metric_overflow=\"true\"} 3000\n");
        for (const char *at = answer; (at = strstr(at, "\n" CALLS "{")); at++)
                n_lines++;
        ck_assert_uint_eq(n_lines, 2001);
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

START_TEST(a_port_that_somebody_has_is_told) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char more[128];

        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(listen(fd, 1), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        snprintf(more, sizeof more, "metrics: { prometheus: \"127.0.0.1:%u\" }\n",
                 ntohs(address.sin_port));
        harness_init(&harness, &(HarnessOptions){.more = more});
        ck_assert_int_eq(harness_run_daemon(&harness, NULL), 1);
        ck_assert(harness_has_logged(&harness, "for metrics: Address already in use"));
        close(fd);
        harness_remove(&harness);
}
END_TEST

SCENARIO_RUN("metrics", metrics_reach_the_collector, primitives_of_the_library_are_counted,
             the_last_metrics_tell_of_all, metrics_start_anew_with_the_daemon,
             metrics_that_fail_are_made_good_by_the_next, a_collector_that_is_away_delays_no_end,
             an_exporter_without_the_signal_is_sent_none,
             a_scraper_reads_metrics_on_a_port, there_is_nothing_else_on_the_port,
             what_is_no_request_is_hung_up_on, endless_names_end_in_one_series,
             a_port_that_somebody_has_is_told)
