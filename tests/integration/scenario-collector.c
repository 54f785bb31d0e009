/* SPDX-License-Identifier: Apache-2.0 */

/* What collectors do, and that nothing is lost, or lost uncounted, by it. */

#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <string.h>

enum { SPANS = 50 };

#define EXPORTER "conservation.traces.exporters.0."

static Harness harness;

/* A client says `SPANS` whole spans, in one batch as a rule. */
static void say_spans(uint64_t first_id) {
        RawClient client;

        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "speaker", false));
        for (uint64_t i = 0; i < SPANS; i++)
                ck_assert(raw_client_span(&client, first_id + i, RECORD_START | RECORD_END, "one"));
        ck_assert(raw_client_record(&client, RECORD_BYE, 0, 0, NULL, 0));
        raw_client_close(&client);
        harness_await(&harness, "counters.spans_closed", first_id - 1 + SPANS);
}

/* All spans of one conversation arrive in the end, after `n_steps` requests that were in vain. */
static void assert_sent_again(const BackendStep *steps, size_t n_steps,
                              const HarnessOptions *options) {
        harness_init(&harness, options);
        backend_script(harness.backend, steps, n_steps);
        harness_start(&harness);
        say_spans(1);
        harness_await(&harness, EXPORTER "delivered", SPANS);
        ck_assert_uint_ge(backend_n_requests(harness.backend), n_steps + 1);
        ck_assert_uint_eq(backend_n_spans(harness.backend), SPANS);
        harness_finish(&harness);
}

/* The first batch is dropped and counted, the next one arrives. */
static void assert_dropped(unsigned status) {
        const BackendStep refuse = {BACKEND_ANSWER, .status = status};
        uint64_t n_dropped;

        harness_init(&harness, NULL);
        backend_script(harness.backend, &refuse, 1);
        harness_start(&harness);
        say_spans(1);
        harness_await(&harness, "conservation.traces.finished", SPANS);
        n_dropped = harness_get(&harness, EXPORTER "dropped.collector_refused");
        ck_assert_uint_gt(n_dropped, 0);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "delivered"), SPANS - n_dropped);
        say_spans(1 + SPANS);
        harness_await(&harness, EXPORTER "delivered", 2 * SPANS - n_dropped);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 2 * SPANS - n_dropped);
        harness_finish(&harness);
}

START_TEST(collector_takes_all) {
        assert_sent_again(NULL, 0, NULL);
}
END_TEST

START_TEST(collector_takes_gzip) {
        assert_sent_again(NULL, 0, &(HarnessOptions){.compression = "gzip"});
}
END_TEST

START_TEST(collector_returns_400) {
        assert_dropped(400);
}
END_TEST

START_TEST(collector_returns_404) {
        assert_dropped(404);
}
END_TEST

START_TEST(collector_returns_413) {
        assert_dropped(413);
}
END_TEST

START_TEST(collector_returns_429) {
        assert_sent_again((BackendStep[]){{BACKEND_ANSWER, .status = 429}}, 1, NULL);
}
END_TEST

START_TEST(collector_returns_429_with_retry_after) {
        const BackendStep later = {BACKEND_ANSWER, .status = 429, .retry_after_s = 2};

        harness_init(&harness, NULL);
        backend_script(harness.backend, &later, 1);
        harness_start(&harness);
        say_spans(1);
        backend_await_requests(harness.backend, 2);
        ck_assert_uint_ge(backend_request_ns(harness.backend, 1) -
                                  backend_request_ns(harness.backend, 0),
                          2000000000);
        harness_await(&harness, EXPORTER "delivered", SPANS);
        harness_finish(&harness);
}
END_TEST

START_TEST(collector_returns_502_503_504) {
        static const BackendStep steps[] = {
                {BACKEND_ANSWER, .status = 502},
                {BACKEND_ANSWER, .status = 503},
                {BACKEND_ANSWER, .status = 504},
        };

        assert_sent_again(steps, 3, NULL);
}
END_TEST

START_TEST(collector_answers_garbage) {
        static const BackendStep steps[] = {
                {BACKEND_RAW, .raw = "\x16\x03\x01\x02 this is no HTTP\r\n\r\n"},
                {BACKEND_RAW, .raw = "HTTP/9.9 what\r\n\r\n"},
        };

        assert_sent_again(steps, 2, NULL);
}
END_TEST

START_TEST(collector_answers_nothing) {
        static const BackendStep steps[] = {{BACKEND_CLOSE}, {BACKEND_HOLD}};

        assert_sent_again(steps, 2, &(HarnessOptions){.timeout = "200ms"});
}
END_TEST

START_TEST(collector_answers_half_and_closes) {
        static const BackendStep steps[] = {
                {BACKEND_RAW, .raw = "HTTP/1.1 200 O"},
                {BACKEND_RAW, .raw = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"},
        };

        assert_sent_again(steps, 2, NULL);
}
END_TEST

START_TEST(collector_rejects_some) {
        const BackendStep reject = {BACKEND_REJECT, .n_rejected = 1};

        harness_init(&harness, NULL);
        backend_script(harness.backend, &reject, 1);
        harness_start(&harness);
        say_spans(1);
        harness_await(&harness, "conservation.traces.finished", SPANS);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "dropped.collector_rejected"), 1);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "delivered"), SPANS - 1);
        harness_finish(&harness);
}
END_TEST

/* A collector that claims to have rejected more than it was sent. */
START_TEST(collector_rejects_too_many) {
        const BackendStep reject = {BACKEND_REJECT, .n_rejected = SPANS};

        harness_init(&harness, &(HarnessOptions){.delay = "1ms"});
        backend_script(harness.backend, &reject, 1);
        harness_start(&harness);
        say_spans(1);
        harness_await(&harness, "conservation.traces.finished", SPANS);
        ck_assert_uint_eq(harness_get(&harness, "conservation.holds"), 1);
        ck_assert_uint_gt(harness_get(&harness, EXPORTER "dropped.collector_rejected"), 0);
        harness_stop(&harness);
        harness_start(&harness);
        ck_assert_uint_eq(harness_get(&harness, "conservation.holds"), 1);
        harness_stop(&harness);
        harness_remove(&harness);
}
END_TEST

START_TEST(collector_away_then_back) {
        harness_open(&harness, &(HarnessOptions){.refuses = true});
        say_spans(1);
        harness_await(&harness, "exporters.0.retries", 3);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "delivered"), 0);
        backend_listen(harness.backend);
        harness_await(&harness, EXPORTER "delivered", SPANS);
        backend_leave(harness.backend);
        say_spans(1 + SPANS);
        harness_await(&harness, "exporters.0.retries", 6);
        backend_listen(harness.backend);
        harness_await(&harness, EXPORTER "delivered", 2 * SPANS);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 2 * SPANS);
        harness_finish(&harness);
}
END_TEST

/* Whole spans of 200 KB, until one is refused for want of room. Returns how many were taken. */
static uint64_t fill_journal(RawClient *client, uint64_t first_id) {
        enum { TRACE_ID = 2, SPAN_ID = 20, NAME = 32, NAME_SIZE = 200000 };
        static uint8_t span[NAME + NAME_SIZE] = {
                0x0a, 16,  [TRACE_ID] = 1, [TRACE_ID + 16] = 0x12, 8, [NAME - 4] = 0x2a, 0xc0,
                0x9a, 0x0c};

        memset(span + NAME, 'x', NAME_SIZE);
        for (uint64_t id = first_id;; id++) {
                memcpy(span + SPAN_ID, &id, sizeof id);
                ck_assert(raw_client_record(client, RECORD_SPAN, RECORD_START | RECORD_END, id,
                                            span, sizeof span));
                ck_assert(raw_client_flush(client));
                if (harness_get(&harness, "counters.refused_full"))
                        return id - first_id;
        }
}

/* Then starts are refused, ends are taken, and who is new waits for the collector. */
START_TEST(collector_away_until_the_journal_is_full) {
        const HarnessOptions options = {
                .refuses = true, .shutdown = "1s", .more = "limits: { bytes_per_uid: 1GiB }\n"};
        RawClient client, late;
        uint64_t n;

        harness_open(&harness, &options);
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "early", false));
        ck_assert(raw_client_span(&client, 1, RECORD_START, "open"));
        n = fill_journal(&client, 100);
        ck_assert(raw_client_span(&client, 2, RECORD_START, "refused"));
        ck_assert(raw_client_span(&client, 1, RECORD_END, NULL));
        ck_assert(raw_client_flush(&client));
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_closed"), n + 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_spans"), 2);
        /* It stands up as full as it was. */
        harness_stop(&harness);
        raw_client_close(&client);
        harness_start(&harness);
        ck_assert(raw_client_connect(&late, harness.socket));
        harness_await(&harness, "listener.clients", 1);
        backend_listen(harness.backend);
        ck_assert(raw_client_hello(&late, "late", false));
        ck_assert(raw_client_span(&late, 3, RECORD_START | RECORD_END, "late"));
        ck_assert(raw_client_flush(&late));
        harness_await(&harness, EXPORTER "delivered", n + 2);
        raw_client_close(&late);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("collector", collector_takes_all, collector_takes_gzip, collector_returns_400,
             collector_returns_404, collector_returns_413, collector_returns_429,
             collector_returns_429_with_retry_after, collector_returns_502_503_504,
             collector_answers_garbage, collector_answers_nothing,
             collector_answers_half_and_closes, collector_rejects_some, collector_rejects_too_many,
             collector_away_then_back, collector_away_until_the_journal_is_full)
