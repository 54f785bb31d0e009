/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/exporter-rig.h"

#include <time.h>

/* ---- what there is to measure ---- */

static size_t size; /* of what is encoded next, a point a byte */
static unsigned n_encoded;

static int encode(void *user, Buffer *out, size_t *n_pointsp) {
        uint8_t *room;

        ck_assert_ptr_eq(user, &size);
        ck_assert_int_eq(buffer_reserve(out, &room, size), 0);
        memset(room, 'm', size);
        out->size += size;
        *n_pointsp = size;
        n_encoded++;
        return 0;
}

static void set_up_metrics(uint64_t interval_ns) {
        set_up();
        n_encoded = 0;
        run.options.metrics_interval_ns = interval_ns;
        run.options.metrics = encode;
        run.options.metrics_user = &size;
}

static void stop_after_three(const ExporterStatus *status) {
        if (status->points.n_delivered == 3 * size)
                close_exporter();
}

START_TEST(metrics_are_sent_every_interval) {
        static const Step steps[] = {{.answer = OK}, {.answer = OK}, {.answer = OK}};

        set_up_metrics(20 * ms);
        size = 100;
        run.turn = stop_after_three;
        START(steps);
        run_exporter();
        ck_assert_uint_eq(collector.n_seen, 3);
        ck_assert_uint_eq(collector.n_connections, 1);
        for (int i = 0; i < 3; i++) {
                ck_assert_str_eq(collector.seen[i].target, "/v1/metrics");
                ck_assert_str_eq(collector.seen[i].type, "application/x-protobuf");
                ck_assert_uint_eq(collector.seen[i].body.size, 100);
        }
        ck_assert(run.last.sends_metrics);
        ck_assert_uint_eq(run.last.n_requests, 3);
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

static void grow_then_stop(const ExporterStatus *status) {
        if (n_encoded == 1)
                size = BATCH_REQUEST_MAX + 1;
        else if (n_encoded == 2)
                size = 1;
        if (status->points.n_delivered)
                close_exporter();
}

START_TEST(nothing_is_not_sent_and_too_much_is_dropped) {
        static const Step steps[] = {{.answer = OK}};

        set_up_metrics(10 * ms);
        size = 0;
        run.turn = grow_then_stop;
        START(steps);
        run_exporter();
        ck_assert_uint_ge(n_encoded, 3);
        ck_assert_uint_eq(run.last.points.n_delivered, 1);
        ck_assert_uint_eq(run.last.points.n_dropped[BATCH_DROP_TOO_LARGE], BATCH_REQUEST_MAX + 1);
        collector_finish();
}
END_TEST

static struct timespec begun;

static void stop_when_delivered(const ExporterStatus *status) {
        if (status->points.n_delivered)
                close_exporter();
}

START_TEST(the_collector_may_wish_for_a_pause) {
        static const Step steps[] = {
                {.answer = "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"},
                {.answer = OK},
        };
        struct timespec now;

        set_up_metrics(10 * ms);
        size = 10;
        run.turn = stop_when_delivered;
        START(steps);
        clock_gettime(CLOCK_MONOTONIC, &begun);
        run_exporter();
        clock_gettime(CLOCK_MONOTONIC, &now);
        ck_assert_int_ge((now.tv_sec - begun.tv_sec) * 1000 +
                                 (now.tv_nsec - begun.tv_nsec) / 1000000,
                         990);
        ck_assert_uint_eq(collector.n_seen, 2);
        collector_finish();
}
END_TEST

/* What fails is not sent again, and holds nothing up; its health is its own. */
START_TEST(metrics_and_batches_share_a_connection) {
        static const Step steps[] = {
                {.answer = OK},
                {.answer = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"},
                {.answer = UNAVAILABLE},
                {.answer = OK},
        };

        set_up_metrics(30 * ms);
        size = 7;
        owe(BATCH_TRACES, 100);
        recorder.n_left++; /* goes on after the batch */
        run.turn = stop_when_delivered;
        START(steps);
        run_exporter();
        ck_assert_uint_eq(recorder.total.n_delivered, OBJECTS);
        ck_assert_uint_eq(collector.n_seen, 4);
        ck_assert_str_eq(collector.seen[0].target, "/v1/traces");
        ck_assert_str_eq(collector.seen[1].target, "/v1/metrics");
        ck_assert_uint_eq(run.last.points.n_delivered, 7);
        ck_assert_uint_eq(run.last.points.n_dropped[BATCH_DROP_REFUSED], 7);
        ck_assert(!run.last.misconfigured);
        ck_assert_str_eq(run.last.last_error, "");
        ck_assert_str_eq(run.last.metrics_error, "");
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

static void measure_once(const ExporterStatus *status) {
        if (!n_encoded) {
                exporter_measure(run.exporter);
                ck_assert(exporter_is_measuring(run.exporter));
        } else if (status->points.n_delivered) {
                ck_assert(!exporter_is_measuring(run.exporter));
                close_exporter();
        }
}

START_TEST(metrics_can_be_asked_for) {
        static const Step steps[] = {{.answer = OK}};

        set_up_metrics(UINT64_C(3600000000000));
        size = 5;
        run.turn = measure_once;
        START(steps);
        run_exporter();
        ck_assert_uint_eq(run.last.points.n_delivered, 5);
        collector_finish();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("exporter-metrics");
        TCase *tcase = tcase_create("exporter-metrics");

        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, metrics_are_sent_every_interval);
        tcase_add_test(tcase, nothing_is_not_sent_and_too_much_is_dropped);
        tcase_add_test(tcase, the_collector_may_wish_for_a_pause);
        tcase_add_test(tcase, metrics_and_batches_share_a_connection);
        tcase_add_test(tcase, metrics_can_be_asked_for);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
