/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/primitive-work.h"

#include <setjmp.h>

static int output_value;

/* ---- success ---- */

START_TEST(success_is_told_and_passed_on) {
        catena_primitive *charge = primitive_of("charge", "ChargeCard", succeed, &output_value);
        void *output = NULL;
        FakeSpan *span;
        FakeLog *log;
        char trace[ID_TRACE_HEX + 1];

        ck_assert_int_eq(execute_once(charge, NULL, &output), 0);
        ck_assert_ptr_eq(output, &output_value);
        span = said_span("charge.execute");
        ck_assert_uint_eq(span->n_attributes, 4);
        ck_assert_str_eq(SAID_STRING(span, "primitive.name"), "charge");
        ck_assert_str_eq(SAID_STRING(span, "primitive.type"), "ChargeCard");
        ck_assert_str_eq(SAID_STRING(span, "primitive.status"), "success");
        ck_assert_double_ge(SAID_VALUE(span, "primitive.duration_ms")->double_value, 0);
        ck_assert_int_eq(span->kind, CATENA_KIND_INTERNAL);
        ck_assert_uint_eq(span->n_events, 0);
        ck_assert_ptr_null(span->status);
        ck_assert_uint_ge(span->end_time_unix_nano, span->start_time_unix_nano);

        log = said_log("charge completed", 0);
        ck_assert_int_eq(log->severity_number, CATENA_SEVERITY_INFO);
        ck_assert_mem_eq(log->span_id.data, span->span_id.data, 8);
        ck_assert_uint_eq(log->n_attributes, 5);
        ck_assert_str_eq(SAID_STRING(log, "primitive"), "charge");
        ck_assert_double_eq(SAID_VALUE(log, "duration_ms")->double_value,
                            SAID_VALUE(span, "primitive.duration_ms")->double_value);
        id_to_hex(trace, span->trace_id.data, ID_TRACE_SIZE);
        ck_assert_str_eq(SAID_STRING(log, "trace_id"), trace);
        ck_assert_str_eq(SAID_STRING(log, "correlation_id"),
                         catena_context_correlation_id(context));
        ck_assert_str_eq(SAID_STRING(log, "workflow.correlation_id"),
                         catena_context_correlation_id(context));
        fake_log_free(log);
        fake_span_free(span);
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

START_TEST(names_have_defaults) {
        FakeSpan *span;

        ck_assert_int_eq(execute_once(primitive_of(NULL, "Reserve", succeed, NULL), NULL, NULL), 0);
        ck_assert_int_eq(execute_once(primitive_of("", NULL, succeed, NULL), NULL, NULL), 0);
        fake_span_free(said_span("Reserve.execute"));
        span = said_span("Primitive.execute");
        ck_assert_str_eq(SAID_STRING(span, "primitive.type"), "Primitive");
        fake_span_free(span);
}
END_TEST

START_TEST(names_are_cut_and_mended) {
        char name[400], expected[400];

        memset(name, 'n', sizeof name);
        memcpy(name, "\xff", 1);
        name[sizeof name - 1] = 0;
        ck_assert_int_eq(execute_once(primitive_of(name, NULL, succeed, NULL), NULL, NULL), 0);
        snprintf(expected, sizeof expected, "\xef\xbf\xbd%.*s.execute", 253, name + 1);
        fake_span_free(said_span(expected));
        snprintf(expected, sizeof expected, "\xef\xbf\xbd%.*s completed", 253, name + 1);
        fake_log_free(said_log(expected, 0));
}
END_TEST

static int look_around(catena_context *of, void *input, void **outputp, void *data) {
        ck_assert_ptr_eq(of, context);
        ck_assert_ptr_eq(input, &output_value);
        ck_assert_ptr_null(*outputp);
        ck_assert_ptr_eq(catena_context_current(), of);
        catena_span_end(catena_span_start(of, data, 0));
        return 0;
}

START_TEST(spans_of_the_work_are_children) {
        catena_span outer = catena_span_start(context, "outer", 0);
        char hex[ID_SPAN_HEX + 1];
        FakeSpan *span, *inner;

        ck_assert_int_eq(
                execute_once(primitive_of("p", NULL, look_around, "inner"), &output_value, NULL),
                0);
        ck_assert_ptr_null(catena_context_current());
        id_to_hex(hex, outer.span_id, ID_SPAN_SIZE);
        ck_assert_str_eq(catena_context_span_id(context), hex);
        span = said_span("p.execute");
        inner = said_span("inner");
        ck_assert_mem_eq(span->parent_span_id.data, outer.span_id, 8);
        ck_assert_mem_eq(inner->parent_span_id.data, span->span_id.data, 8);
        fake_span_free(inner);
        fake_span_free(span);
        catena_span_end(outer);
}
END_TEST

/* ---- failure ---- */

static void assert_failed(const char *name, const char *type, const char *message) {
        char text[64];
        FakeSpan *span;
        FakeLog *log;

        snprintf(text, sizeof text, "%s.execute", name);
        span = said_span(text);
        ck_assert_uint_eq(span->n_attributes, 6);
        ck_assert_str_eq(SAID_STRING(span, "primitive.status"), "error");
        ck_assert_str_eq(SAID_STRING(span, "error.type"), type);
        ck_assert_str_eq(SAID_STRING(span, "error.message"), message);
        ck_assert_double_ge(SAID_VALUE(span, "primitive.duration_ms")->double_value, 0);
        ck_assert_int_eq(span->status->code, CATENA_STATUS_ERROR);
        ck_assert_str_eq(span->status->message, message);
        ck_assert_uint_eq(span->n_events, 1);
        ck_assert_str_eq(span->events[0]->name, "exception");
        ck_assert_str_eq(SAID_STRING(span->events[0], "exception.type"), type);
        ck_assert_str_eq(SAID_STRING(span->events[0], "exception.message"), message);

        snprintf(text, sizeof text, "%s failed", name);
        log = said_log(text, 0);
        ck_assert_int_eq(log->severity_number, CATENA_SEVERITY_ERROR);
        ck_assert_mem_eq(log->span_id.data, span->span_id.data, 8);
        ck_assert_uint_eq(log->n_attributes, 7);
        ck_assert_str_eq(SAID_STRING(log, "error_type"), type);
        ck_assert_str_eq(SAID_STRING(log, "error_message"), message);
        fake_log_free(log);
        fake_span_free(span);
}

static int fail_with_errno(catena_context *of, void *input, void **outputp, void *data) {
        (void)refuse(of, input, outputp, data);
        errno = ENOTTY;
        return -7;
}

START_TEST(failure_is_told_once_and_passed_on) {
        void *output = &output_value;
        catena_primitive *p = primitive_of("p", NULL, fail_with_errno, "no money");
        int r;

        errno = 0;
        r = catena_execute(p, context, NULL, &output);
        ck_assert_int_eq(errno, ENOTTY);
        ck_assert_int_eq(r, -7);
        ck_assert_ptr_eq(output, &output_value);
        catena_primitive_unref(p);
        fake_daemon_take(&fake);
        assert_failed("p", "Refused", "no money");
}
END_TEST

static int fail_untold(catena_context *of, void *input, void **outputp, void *data) {
        (void)of;
        (void)input;
        *outputp = data; /* which nobody gets */
        return 42;
}

static int fail_halftold(catena_context *of, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        catena_context_fail(of, "overwritten", "overwritten");
        catena_context_fail(of, data, NULL);
        return 3;
}

START_TEST(what_was_not_told_is_made_up) {
        void *output = NULL;

        ck_assert_int_eq(
                execute_once(primitive_of("a", NULL, fail_untold, &output_value), NULL, &output),
                42);
        ck_assert_ptr_null(output);
        assert_failed("a", "error", "returned 42");
        ck_assert_int_eq(execute_once(primitive_of("b", NULL, fail_halftold, "Half"), NULL, NULL),
                         3);
        assert_failed("b", "Half", "returned 3");
}
END_TEST

/* What `data` does, and what comes of that. */
static int pass_on(catena_context *of, void *input, void **outputp, void *data) {
        return catena_execute(data, of, input, outputp);
}

static int cope(catena_context *of, void *input, void **outputp, void *data) {
        (void)catena_execute(data, of, input, outputp);
        return 0;
}

static int fail_otherwise(catena_context *of, void *input, void **outputp, void *data) {
        (void)catena_execute(data, of, input, outputp);
        return 5;
}

/* Tells of its failure, and cleans up by other work. */
static int fail_and_compensate(catena_context *of, void *input, void **outputp, void *data) {
        catena_context_fail(of, "Refused", "no money");
        return catena_execute(data, of, input, outputp) ? 1 : -7;
}

START_TEST(a_failure_is_told_by_all_that_pass_it_on) {
        catena_primitive *inner = primitive_of("inner", NULL, refuse, "no money");

        ck_assert_int_eq(execute_once(primitive_of("outer", NULL, pass_on, inner), NULL, NULL), -7);
        assert_failed("inner", "Refused", "no money");
        assert_failed("outer", "Refused", "no money");
        catena_primitive_unref(inner);
}
END_TEST

START_TEST(a_failure_is_not_told_by_those_it_is_not_of) {
        catena_primitive *inner = primitive_of("inner", NULL, refuse, "no money");
        catena_primitive *coping = primitive_of("coping", NULL, cope, inner);
        catena_primitive *outer = primitive_of("outer", NULL, fail_otherwise, inner);
        FakeSpan *span;

        ck_assert_int_eq(execute_once(primitive_of("all", NULL, pass_on, outer), NULL, NULL), 5);
        catena_primitive_unref(outer);
        assert_failed("outer", "error", "returned 5");
        assert_failed("all", "error", "returned 5");
        ck_assert_int_eq(catena_execute(coping, context, NULL, NULL), 0);
        ck_assert_int_eq(
                execute_once(primitive_of("later", NULL, fail_otherwise, coping), NULL, NULL), 5);
        assert_failed("later", "error", "returned 5");
        fake_span_free(find_span("coping.execute", 1));
        span = find_span("coping.execute", 0);
        ck_assert_ptr_null(span->status);
        fake_span_free(span);
        catena_primitive_unref(coping);
        catena_primitive_unref(inner);
}
END_TEST

START_TEST(work_that_cleans_up_does_not_forget_why) {
        catena_primitive *undo = primitive_of("undo", NULL, succeed, NULL);

        ck_assert_int_eq(
                execute_once(primitive_of("p", NULL, fail_and_compensate, undo), NULL, NULL), -7);
        assert_failed("p", "Refused", "no money");
        catena_primitive_unref(undo);
}
END_TEST

/* ---- leaving otherwise ---- */

static jmp_buf way_out;

static int leave(catena_context *of, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        (void)data;
        catena_context_fail(of, "Left", "by longjmp()");
        longjmp(way_out, 1);
}

START_TEST(a_longjmp_leaves_the_span_open) {
        catena_primitive *leaving = primitive_of("leaving", NULL, leave, NULL);
        FakeSpan *span;

        if (!setjmp(way_out))
                catena_execute(leaving, context, NULL, NULL);
        catena_primitive_unref(leaving);
        ck_assert_int_eq(execute_once(primitive_of("next", NULL, succeed, NULL), NULL, NULL), 0);
        span = said_span("leaving.execute");
        ck_assert_uint_eq(span->end_time_unix_nano, 0);
        fake_span_free(span);
        span = said_span("next.execute");
        ck_assert_uint_ne(span->end_time_unix_nano, 0);
        fake_span_free(span);
}
END_TEST

static int free_context(catena_context *of, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        (void)data;
        catena_context_free(of);
        return 1;
}

START_TEST(a_context_freed_meanwhile_is_harmless) {
        FakeSpan *span;

        ck_assert_int_eq(execute_once(primitive_of("p", NULL, free_context, NULL), NULL, NULL), 1);
        span = said_span("p.execute");
        ck_assert_uint_ne(span->end_time_unix_nano, 0);
        ck_assert_int_eq(span->status->code, CATENA_STATUS_ERROR);
        fake_span_free(span);
        context = catena_context_new(NULL, NULL);
}
END_TEST

/* ---- nobody to tell ---- */

START_TEST(without_a_context_the_work_is_done) {
        catena_primitive *p = primitive_of("p", NULL, succeed, &output_value);
        catena_context *gone = catena_context_new(NULL, NULL);
        void *output = NULL;

        catena_context_free(gone);
        ck_assert_int_eq(catena_execute(p, NULL, NULL, &output), 0);
        ck_assert_ptr_eq(output, &output_value);
        ck_assert_int_eq(catena_execute(p, gone, NULL, &output), 0);
        ck_assert_uint_eq(stats().misuse, 2);
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake));
        catena_primitive_unref(p);
}
END_TEST

START_TEST(without_a_daemon_the_work_is_done) {
        void *output = NULL;

        fake_daemon_name(&fake);
        context = catena_context_new(NULL, NULL);
        ck_assert_int_eq(
                execute_once(primitive_of("p", NULL, succeed, &output_value), NULL, &output), 0);
        ck_assert_ptr_eq(output, &output_value);
        ck_assert_int_eq(execute_once(primitive_of("p", NULL, refuse, "m"), NULL, &output), -7);
        ck_assert_uint_eq(stats().dropped_starts, 2);
        ck_assert_uint_eq(stats().dropped_ends, 2);
        ck_assert_uint_eq(stats().dropped_logs, 2);
        stop();
}
END_TEST

START_TEST(disabled_the_work_is_done) {
        catena_primitive *steps[2], *all[2];
        void *output = NULL;

        setenv("OTEL_SDK_DISABLED", "true", 1);
        start();
        steps[0] = primitive_of("a", NULL, succeed, &output_value);
        steps[1] = primitive_of("b", NULL, succeed, &output_value);
        all[0] = catena_sequential(steps, 2);
        all[1] = catena_parallel(steps, 2, NULL);
        ck_assert_int_eq(execute_once(catena_sequential(all, 2), NULL, &output), 0);
        ck_assert_ptr_eq(((void **)output)[1], &output_value);
        free(output);
        ck_assert_int_eq(execute_once(primitive_of("p", NULL, refuse, "m"), NULL, &output), -7);
        for (size_t i = 0; i < 2; i++) {
                catena_primitive_unref(steps[i]);
                catena_primitive_unref(all[i]);
        }
        ck_assert_uint_eq(fake.n_connections, 0);
        ck_assert_uint_eq(stats().misuse, 0);
        stop();
}
END_TEST

START_TEST(unsampled_work_is_logged_and_not_traced) {
        catena_context *unsampled;
        catena_primitive *p = primitive_of("p", NULL, refuse, "m");

        setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1);
        unsampled = catena_context_extract_environ(0);
        ck_assert_int_eq(catena_execute(p, unsampled, NULL, NULL), -7);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 0);
        fake_log_free(said_log("p failed", 0));
        catena_primitive_unref(p);
        catena_context_free(unsampled);
}
END_TEST

/* ---- its life ---- */

static unsigned n_released;

static void count_release(void *what) {
        ck_assert_ptr_eq(what, &output_value);
        n_released++;
}

START_TEST(references_are_counted) {
        catena_primitive *p = catena_primitive_new(&(catena_primitive_options){
                .run = succeed,
                .data = &output_value,
                .release_data = count_release,
        });

        n_released = 0;
        ck_assert_ptr_eq(catena_primitive_ref(p), p);
        catena_primitive_unref(p);
        ck_assert_uint_eq(n_released, 0);
        catena_primitive_unref(p);
        ck_assert_uint_eq(n_released, 1);
}
END_TEST

START_TEST(an_output_nobody_wants_is_released) {
        n_released = 0;
        ck_assert_int_eq(execute_once(catena_primitive_new(&(catena_primitive_options){
                                              .run = succeed,
                                              .data = &output_value,
                                              .release = count_release,
                                      }),
                                      NULL, NULL),
                         0);
        ck_assert_uint_eq(n_released, 1);
}
END_TEST

START_TEST(nulls_are_counted) {
        catena_primitive *p = primitive_of("p", NULL, succeed, NULL);
        catena_primitive *holes[] = {p, NULL};
        void *output = &output_value;

        ck_assert_ptr_null(catena_primitive_new(NULL));
        ck_assert_ptr_null(catena_primitive_new(&(catena_primitive_options){.name = "idle"}));
        ck_assert_ptr_null(catena_sequential(holes, 2));
        ck_assert_ptr_null(catena_sequential(NULL, 1));
        ck_assert_ptr_null(catena_parallel(holes, 2, NULL));
        ck_assert_int_eq(catena_execute(NULL, context, NULL, &output), -EINVAL);
        ck_assert_ptr_eq(output, &output_value);
        ck_assert_uint_eq(stats().misuse, 6);
        catena_context_fail(NULL, NULL, NULL);
        ck_assert_uint_eq(stats().misuse, 7);
        ck_assert_ptr_null(catena_primitive_ref(NULL));
        catena_primitive_unref(NULL);
        catena_context_fail(context, NULL, NULL);
        ck_assert_uint_eq(stats().misuse, 7);
        catena_primitive_unref(p);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, success_is_told_and_passed_on);
        tcase_add_test(tcase, names_have_defaults);
        tcase_add_test(tcase, names_are_cut_and_mended);
        tcase_add_test(tcase, spans_of_the_work_are_children);
        tcase_add_test(tcase, failure_is_told_once_and_passed_on);
        tcase_add_test(tcase, what_was_not_told_is_made_up);
        tcase_add_test(tcase, a_failure_is_told_by_all_that_pass_it_on);
        tcase_add_test(tcase, a_failure_is_not_told_by_those_it_is_not_of);
        tcase_add_test(tcase, work_that_cleans_up_does_not_forget_why);
        tcase_add_test(tcase, a_longjmp_leaves_the_span_open);
        tcase_add_test(tcase, a_context_freed_meanwhile_is_harmless);
        tcase_add_test(tcase, without_a_context_the_work_is_done);
        tcase_add_test(tcase, unsampled_work_is_logged_and_not_traced);
        tcase_add_test(tcase, references_are_counted);
        tcase_add_test(tcase, an_output_nobody_wants_is_released);
        tcase_add_test(tcase, nulls_are_counted);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-primitive");
        TCase *nobody = tcase_create("nobody to tell");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        tcase_add_test(nobody, without_a_daemon_the_work_is_done);
        tcase_add_test(nobody, disabled_the_work_is_done);
        suite_add_tcase(suite, nobody);
        return unit_run(suite);
}
