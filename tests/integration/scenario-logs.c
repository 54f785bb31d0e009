/* SPDX-License-Identifier: Apache-2.0 */

/* What programs log arrives beside their spans, and says where it belongs. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <signal.h>
#include <string.h>

static Harness harness;

static void log_and_end(void *user) {
        catena_attribute attribute = {.key = "amount", .value.string = "47.11"};
        catena_context *order;
        catena_span pay;

        (void)user;
        people_speak(&harness, "shop");
        order = catena_context_new_with(&(catena_context_options){.correlation_id = "ticket-9"});
        pay = catena_span_start(order, "pay", CATENA_KIND_CLIENT);
        catena_log(order, CATENA_SEVERITY_INFO, "paid", &attribute, 1);
        catena_span_end(pay);
        catena_span_log(pay, CATENA_SEVERITY_WARN, "late", NULL, 0);
        catena_logf(NULL, CATENA_SEVERITY_DEBUG, "%d orders", 1);
        catena_context_free(order);
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

static const OtlpLog *log_of(const char *text) {
        const BackendLog *log = backend_find_log(harness.backend, text);

        ck_assert_msg(log, "no log %s", text);
        return log->log;
}

START_TEST(logs_arrive_with_their_ids) {
        const OtlpSpan *pay;
        const OtlpLog *log;

        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(log_and_end, NULL)), 0);
        harness_await(&harness, "conservation.logs.finished", 3);
        harness_await(&harness, "conservation.traces.finished", 1);
        pay = backend_find(harness.backend, "pay")->span;
        log = log_of("paid");
        ck_assert_mem_eq(log->trace_id.data, pay->trace_id.data, 16);
        ck_assert_mem_eq(log->span_id.data, pay->span_id.data, 8);
        ck_assert_int_eq(log->severity_number, CATENA_SEVERITY_INFO);
        ck_assert_str_eq(backend_string(log->attributes, log->n_attributes, "amount"), "47.11");
        ck_assert_str_eq(
                backend_string(log->attributes, log->n_attributes, "workflow.correlation_id"),
                "ticket-9");
        ck_assert_mem_eq(log_of("late")->span_id.data, pay->span_id.data, 8);
        ck_assert_uint_eq(log_of("1 orders")->trace_id.len, 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.logs_accepted"), 3);
        harness_finish(&harness);
}
END_TEST

static void log_and_die(void *user) {
        catena_context *order;

        (void)user;
        people_speak(&harness, "mortal");
        order = catena_context_new(NULL, NULL);
        catena_log(order, CATENA_SEVERITY_FATAL, "last words", NULL, 0);
        raise(SIGKILL);
}

START_TEST(last_words_are_heard) {
        harness_open(&harness, NULL);
        people_await(people_fork(log_and_die, NULL));
        harness_await(&harness, "conservation.logs.finished", 1);
        ck_assert_int_eq(log_of("last words")->severity_number, CATENA_SEVERITY_FATAL);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("logs", logs_arrive_with_their_ids, last_words_are_heard)
