/* SPDX-License-Identifier: Apache-2.0 */

/* Work made of primitives arrives as the tree it was; and what becomes of work that never returns.
 */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"
#include "tests/integration/work.h"

#include <check.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

/* ---- a tree ---- */

static void check_out(void *user) {
        catena_primitive *branches[] = {primitive_of("mail", NULL, succeed),
                                        primitive_of("pay", NULL, decline)};
        catena_primitive *steps[] = {
                primitive_of("reserve", NULL, succeed),
                catena_parallel(branches, 2, NULL),
                primitive_of("ship", NULL, succeed),
        };
        catena_primitive *checkout = catena_sequential(steps, 3);
        catena_context *order;

        (void)user;
        people_speak(&harness, "shop");
        order = catena_context_new_with(&(catena_context_options){
                .workflow_id = "order-4711",
                .correlation_id = "ticket-9",
        });
        if (catena_execute(checkout, order, NULL, NULL) != 1)
                _exit(1);
        catena_context_free(order);
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

static void assert_declined(const char *name) {
        const OtlpSpan *span = span_named(name);
        size_t n_exceptions = 0;

        ck_assert_str_eq(attribute_of(span, "primitive.status"), "error");
        ck_assert_str_eq(attribute_of(span, "error.type"), "CardDeclined");
        ck_assert_str_eq(attribute_of(span, "error.message"), "the bank said no");
        ck_assert_int_eq(span->status->code, CATENA_STATUS_ERROR);
        for (size_t i = 0; i < span->n_events; i++) /* checkpoints are events, too */
                n_exceptions += !strcmp(span->events[i]->name, "exception");
        ck_assert_uint_eq(n_exceptions, 1);
}

START_TEST(work_arrives_as_the_tree_it_was) {
        static const struct {
                const char *name, *parent;
        } tree[] = {
                {"SequentialPrimitive.execute", NULL},
                {"reserve.execute", "SequentialPrimitive.execute"},
                {"ParallelPrimitive.execute", "SequentialPrimitive.execute"},
                {"mail.execute", "ParallelPrimitive.execute"},
                {"pay.execute", "ParallelPrimitive.execute"},
        };
        const OtlpSpan *root, *span;

        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(check_out, NULL)), 0);
        harness_await(&harness, "conservation.traces.finished", 5);
        harness_await(&harness, "conservation.logs.finished", 10);
        root = span_named(tree[0].name);
        ck_assert_uint_eq(root->parent_span_id.len, 0);
        for (size_t i = 0; i < sizeof tree / sizeof *tree; i++) {
                span = span_named(tree[i].name);
                ck_assert_mem_eq(span->trace_id.data, root->trace_id.data, 16);
                ck_assert_str_eq(attribute_of(span, "workflow.correlation_id"), "ticket-9");
                ck_assert_str_eq(attribute_of(span, "workflow.id"), "order-4711");
                if (tree[i].parent)
                        ck_assert_mem_eq(span->parent_span_id.data,
                                         span_named(tree[i].parent)->span_id.data, 8);
        }
        ck_assert_str_eq(attribute_of(span_named("mail.execute"), "primitive.status"), "success");
        assert_declined("pay.execute");
        assert_declined("ParallelPrimitive.execute");
        assert_declined("SequentialPrimitive.execute");
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, "pay failed"));
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, "parallel_execution_failed"));
        ck_assert_ptr_null(backend_find(harness.backend, "ship.execute"));
        harness_finish(&harness);
}
END_TEST

/* ---- leaving otherwise ---- */

static jmp_buf way_out;

static int leave_by_exit(catena_context *context, void *input, void **outputp, void *data) {
        (void)context;
        (void)input;
        (void)outputp;
        (void)data;
        exit(3);
}

static int leave_by_longjmp(catena_context *context, void *input, void **outputp, void *data) {
        (void)context;
        (void)input;
        (void)outputp;
        (void)data;
        longjmp(way_out, 1);
}

static int die(catena_context *context, void *input, void **outputp, void *data) {
        (void)context;
        (void)input;
        (void)outputp;
        (void)data;
        abort();
}

static catena_primitive *work;

static void execute(void *user) {
        people_speak(&harness, "leaving");
        work = primitive_of("work", NULL, user);
        if (!setjmp(way_out))
                catena_execute(work, catena_context_new(NULL, NULL), NULL, NULL);
        exit(3);
}

static void assert_left(int (*run)(catena_context *, void *, void **, void *), const char *end,
                        bool error) {
        const OtlpSpan *span;

        harness_open(&harness, NULL);
        people_await(people_fork(execute, run));
        harness_await(&harness, "conservation.traces.finished", 1);
        span = span_named("work.execute");
        ck_assert_str_eq(attribute_of(span, "catena.end"), end);
        ck_assert_ptr_null(attribute_of(span, "primitive.status"));
        ck_assert_int_eq(span->status != NULL, error);
        harness_finish(&harness);
}

START_TEST(work_that_exits_is_abandoned) {
        assert_left(leave_by_exit, "abandoned", false);
}
END_TEST

START_TEST(work_left_by_longjmp_is_abandoned_at_exit) {
        assert_left(leave_by_longjmp, "abandoned", false);
}
END_TEST

START_TEST(work_that_dies_is_an_error) {
        assert_left(die, "process exited", true);
}
END_TEST

SCENARIO_RUN("primitives", work_arrives_as_the_tree_it_was, work_that_exits_is_abandoned,
             work_left_by_longjmp_is_abandoned_at_exit, work_that_dies_is_an_error)
