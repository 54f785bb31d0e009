/* SPDX-License-Identifier: Apache-2.0 */

/* How clients end, and what becomes of the spans they had open. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        OTLP_STATUS_ERROR = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR,
};

static Harness harness;

static const char *end_of(const OtlpSpan *span) {
        return backend_string(span->attributes, span->n_attributes, "catena.end");
}

static const OtlpSpan *span_named(const char *name) {
        const BackendSpan *span = backend_find(harness.backend, name);

        ck_assert_msg(span, "no span %s", name);
        return span->span;
}

static void assert_died(const OtlpSpan *span) {
        const OtlpEvent *exception = backend_event(span, "exception");

        ck_assert_str_eq(end_of(span), "process exited");
        ck_assert_ptr_nonnull(span->status);
        ck_assert_int_eq(span->status->code, OTLP_STATUS_ERROR);
        ck_assert_ptr_nonnull(exception);
        ck_assert_ptr_nonnull(backend_string(exception->attributes, exception->n_attributes,
                                             "exception.message"));
        ck_assert_uint_ge(span->end_time_unix_nano, span->start_time_unix_nano);
}

/* ---- death ---- */

static void open_three_and_die(void *user) {
        catena_context *context;
        catena_span outer, inner;

        (void)user;
        people_speak(&harness, "mortal");
        context = catena_context_new("life", NULL);
        outer = catena_span_start(context, "outer", CATENA_KIND_INTERNAL);
        inner = catena_span_start(context, "inner", CATENA_KIND_INTERNAL);
        catena_span_set_int(inner, "progress", 7);
        catena_span_end(catena_span_child(outer, "done", CATENA_KIND_INTERNAL));
        raise(SIGKILL);
}

START_TEST(client_dies_with_open_spans) {
        int status;

        harness_open(&harness, NULL);
        status = people_await(people_fork(open_three_and_die, NULL));
        ck_assert(WIFSIGNALED(status));
        harness_await(&harness, "counters.spans_closed", 3);
        harness_finish(&harness);
}
END_TEST

START_TEST(spans_of_the_dead_are_errors) {
        const OtlpSpan *outer, *inner;

        harness_open(&harness, NULL);
        people_await(people_fork(open_three_and_die, NULL));
        harness_await(&harness, "conservation.traces.finished", 3);
        outer = span_named("outer");
        inner = span_named("inner");
        assert_died(outer);
        assert_died(inner);
        ck_assert_mem_eq(inner->parent_span_id.data, outer->span_id.data, 8);
        ck_assert_ptr_null(end_of(span_named("done")));
        ck_assert_ptr_null(span_named("done")->status);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_exited"), 2);
        harness_finish(&harness);
}
END_TEST

/* ---- goodbye ---- */

static void open_one_and_stop(void *user) {
        (void)user;
        people_speak(&harness, "polite");
        catena_span_start(catena_context_new(NULL, NULL), "left open", CATENA_KIND_INTERNAL);
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

START_TEST(bye_leaves_spans_abandoned) {
        const OtlpSpan *span;

        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(open_one_and_stop, NULL)), 0);
        harness_await(&harness, "conservation.traces.finished", 1);
        span = span_named("left open");
        ck_assert_str_eq(end_of(span), "abandoned");
        ck_assert_ptr_null(span->status);
        ck_assert_ptr_null(backend_event(span, "exception"));
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_abandoned"), 1);
        harness_finish(&harness);
}
END_TEST

/* ---- fork ---- */

static int family[2]; /* the child of a dead parent goes on when it can read here */

static void speak_on_as_child(catena_context *inherited) {
        catena_context *context = catena_context_child(inherited);
        catena_span span = catena_span_start(context, "orphaned", CATENA_KIND_INTERNAL);
        char go;

        if (!catena_flush(HARNESS_PATIENCE_S * 1000) || read(family[0], &go, 1) != 1)
                _exit(1);
        catena_span_end(span);
        catena_context_free(context);
        catena_stop(HARNESS_PATIENCE_S * 1000);
        _exit(0);
}

static void have_a_child_and_die(void *user) {
        catena_context *context;

        (void)user;
        people_speak(&harness, "parent");
        context = catena_context_new("family", NULL);
        catena_span_start(context, "parent's", CATENA_KIND_INTERNAL);
        catena_flush(HARNESS_PATIENCE_S * 1000);
        if (!fork())
                speak_on_as_child(context);
        /* The child's session must be there before the parent is gone. */
        harness_await(&harness, "counters.sessions", 2);
        harness_await(&harness, "counters.spans_accepted", 2);
        raise(SIGKILL);
}

/* The child holds a copy of the parent's socket: it is not what tells that the parent is gone. */
START_TEST(forked_child_lives_on) {
        const OtlpSpan *child;

        ck_assert_int_eq(pipe(family), 0);
        harness_open(&harness, NULL);
        people_await(people_fork(have_a_child_and_die, NULL));
        harness_await(&harness, "conservation.traces.finished", 1);
        assert_died(span_named("parent's"));
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 1);
        ck_assert_int_eq(write(family[1], "!", 1), 1);
        harness_await(&harness, "conservation.traces.finished", 2);
        child = span_named("orphaned");
        ck_assert_ptr_null(child->status);
        ck_assert_ptr_null(end_of(child));
        ck_assert_mem_eq(child->parent_span_id.data, span_named("parent's")->span_id.data, 8);
        ck_assert_mem_eq(child->trace_id.data, span_named("parent's")->trace_id.data, 16);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("clients", client_dies_with_open_spans, spans_of_the_dead_are_errors,
             bye_leaves_spans_abandoned, forked_child_lives_on)
