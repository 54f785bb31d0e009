/* SPDX-License-Identifier: Apache-2.0 */

/* What a C++ program says through <catena.hpp> (hpp-client.cpp). */

#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include "lib/catena.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Harness harness;

static const OtlpSpan *span_named(const char *name) {
        const BackendSpan *span = backend_find(harness.backend, name);

        ck_assert_msg(span, "no span %s", name);
        return span->span;
}

static const char *attribute_of(const OtlpSpan *span, const char *key) {
        return backend_string(span->attributes, span->n_attributes, key);
}

static void run_client(void *user) {
        char *argv[] = {(char[]){HPP_CLIENT}, NULL};

        (void)user;
        setenv("CATENA_SOCKET", harness.socket, 1);
        execv(argv[0], argv);
        _exit(127);
}

static void start(void) {
        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(run_client, NULL)), 0);
        harness_await(&harness, "conservation.traces.finished", 18);
        harness_await(&harness, "conservation.logs.finished", 2);
}

static void assert_error(const char *name, const char *type, const char *message) {
        const OtlpSpan *span = span_named(name);
        const OtlpEvent *exception = backend_event(span, "exception");

        ck_assert_int_eq(span->status->code, CATENA_STATUS_ERROR);
        ck_assert_uint_eq(span->n_events, 1);
        ck_assert_pstr_eq(
                backend_string(exception->attributes, exception->n_attributes, "exception.type"),
                type);
        ck_assert_pstr_eq(
                backend_string(exception->attributes, exception->n_attributes, "exception.message"),
                message);
        ck_assert_ptr_null(attribute_of(span, "catena.end"));
}

START_TEST(exceptions_end_spans_as_errors) {
        start();
        assert_error("named", "shop::declined", "the bank said no");
        ck_assert_str_eq(attribute_of(span_named("named"), "before"), "it");
        assert_error("of int", "int", NULL);
        assert_error("unnamed", NULL, "left by an exception");
        assert_error("caught", NULL, "left by an exception");
        assert_error("told", "std::runtime_error", "told by hand");
        ck_assert_ptr_null(span_named("returned")->status);
        ck_assert_ptr_null(span_named("cleaning")->status);
        ck_assert_ptr_null(span_named("all")->status);
        harness_finish(&harness);
}
END_TEST

START_TEST(spans_are_values_that_move) {
        static const char *const all[] = {"moved",    "replaced", "released",
                                          "returned", "child",    "values renamed"};
        const OtlpSpan *outer;

        start();
        outer = span_named("all");
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
                ck_assert_mem_eq(span_named(all[i])->trace_id.data, outer->trace_id.data, 16);
                ck_assert_ptr_null(attribute_of(span_named(all[i]), "catena.end"));
        }
        ck_assert_ptr_null(attribute_of(span_named("moved"), "after"));
        ck_assert_mem_eq(span_named("child")->parent_span_id.data, outer->span_id.data, 8);
        ck_assert_str_eq(attribute_of(outer, "workflow.id"), "order-4711");
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, "a child"));
        harness_finish(&harness);
}
END_TEST

START_TEST(requests_carry_the_trace_and_tags_are_attributes) {
        const OtlpSpan *served;

        start();
        served = span_named("served");
        ck_assert_uint_eq(served->trace_id.data[0], 0x0a);
        ck_assert_uint_eq(served->parent_span_id.data[0], 0xb7);
        ck_assert_str_eq(attribute_of(served, "region"), "eu");
        ck_assert_int_eq(span_named("not sent")->status->code, CATENA_STATUS_ERROR);
        harness_finish(&harness);
}
END_TEST

static int64_t integer_of(const OtlpSpan *span, const char *key) {
        for (size_t i = 0; i < span->n_attributes; i++)
                if (!strcmp(span->attributes[i]->key, key))
                        return span->attributes[i]->value->int_value;
        ck_abort_msg("no attribute %s", key);
        return 0;
}

START_TEST(values_keep_their_types) {
        const OtlpSpan *span;

        start();
        span = span_named("values renamed");
        ck_assert_str_eq(attribute_of(span, "string"), "text");
        ck_assert_str_eq(attribute_of(span, "view"), "text");
        ck_assert_str_eq(attribute_of(span, "literal"), "text");
        ck_assert_int_eq(integer_of(span, "int"), 42);
        ck_assert_int_eq(integer_of(span, "size"), 43);
        ck_assert_int_eq(span->status->code, CATENA_STATUS_OK);
        ck_assert_int_eq(span->kind, CATENA_KIND_CLIENT);
        ck_assert_ptr_nonnull(backend_event(span, "half"));
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, "halfway"));
        harness_finish(&harness);
}
END_TEST

START_TEST(an_exception_through_c_leaves_the_span_open) {
        start();
        ck_assert_str_eq(attribute_of(span_named("thrower.execute"), "catena.end"), "abandoned");
        ck_assert_ptr_null(attribute_of(span_named("after the thrower"), "catena.end"));
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("cpp", exceptions_end_spans_as_errors, spans_are_values_that_move,
             requests_carry_the_trace_and_tags_are_attributes, values_keep_their_types,
             an_exception_through_c_leaves_the_span_open)
