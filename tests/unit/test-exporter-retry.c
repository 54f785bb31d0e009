/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/exporter-rig.h"

#include <time.h>

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

static uv_idle_t spin; /* so that the loop turns without an event */
static unsigned idle_turns;

static void on_spin(uv_idle_t *idle) {
        (void)idle;
}

static void finish_first(void) {
        recorder.finished = close_exporter;
        idle_turns = 0;
        uv_idle_init(&run.loop, &spin);
        uv_idle_start(&spin, on_spin);
}

/* The turn after the collector has closed the connection reads its end. */
static void turn_owe_again(const ExporterStatus *status) {
        if (status->state != EXPORTER_IDLE || recorder.n_batches != 1 || !collector.n_closed ||
            idle_turns++ < 2)
                return;
        owe(BATCH_TRACES, 11);
        uv_close((uv_handle_t *)&spin, NULL);
}

START_TEST(an_idle_connection_may_end) {
        static const Step steps[] = {{.answer = OK, .how = STEP_ANSWER_CLOSE}, {.answer = OK}};

        set_up();
        recorder.finished = finish_first;
        run.options.retry_initial_ns = run.options.retry_max_ns = 3600000 * ms;
        run.turn = turn_owe_again;
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(2 * OBJECTS, 0, 0);
        ck_assert_uint_eq(run.last.n_retries, 0);
        ck_assert_uint_eq(collector.n_connections, 2);
        collector_finish();
}
END_TEST

static void turn_close_unreachable(const ExporterStatus *status) {
        if (status->state != EXPORTER_WAITING || !status->n_retries)
                return;
        ck_assert_int_eq(strncmp(status->last_error, "cannot connect: ", 16), 0);
        close_exporter();
}

START_TEST(an_address_that_takes_no_connections_is_tried_again) {
        set_up();
        run.options.endpoint = "http://255.255.255.255:4318";
        owe(BATCH_TRACES, 10);
        run.turn = turn_close_unreachable;
        run_exporter();
        ck_assert_uint_eq(recorder.n_left, 1);
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
        collector_finish();
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
                collector_finish();
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
        collector_finish();
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
        collector_finish();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("exporter-retry");
        TCase *tcase = tcase_create("exporter-retry");

        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, failures_are_tried_again_with_the_same_bytes, 0,
                            N_STEPS(failures));
        tcase_add_test(tcase, silence_ends_in_a_timeout);
        tcase_add_test(tcase, a_collector_that_is_down_gets_all_when_it_is_up);
        tcase_add_test(tcase, retry_after_is_waited_for_unless_in_a_hurry);
        tcase_add_loop_test(tcase, a_kept_connection_that_was_closed_is_replaced_at_once, 0, 2);
        tcase_add_test(tcase, an_answer_nobody_asked_for_ends_the_connection);
        tcase_add_test(tcase, an_idle_connection_may_end);
        tcase_add_test(tcase, an_address_that_takes_no_connections_is_tried_again);
        tcase_add_test(tcase, an_unknown_host_is_tried_again);
        tcase_add_loop_test(tcase, a_close_leaves_the_batch_owed, 0, 6);
        tcase_add_test(tcase, a_close_ends_the_wait);
        tcase_add_test(tcase, nothing_owed_nothing_sent);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
