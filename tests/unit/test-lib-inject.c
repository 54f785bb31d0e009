/* SPDX-License-Identifier: Apache-2.0 */

/* What goes out with a request, and spans of other tracers. */

#include "lib/catena.h"
#include "tests/unit/carrier.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <sys/wait.h>

#define TRACE       "0af7651916cd43dd8448eb211c80319c"
#define SPAN        "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE "-" SPAN "-01"

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static catena_stats stats(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats;
}

START_TEST(each_header_that_says_something_is_set) {
        catena_context *context = catena_context_extract_strings(TRACEPARENT, "a=1", "b=2", 0);
        catena_span span = catena_span_start(context, "s", 0);
        Carrier out = {0};

        ck_assert(catena_inject(context, (catena_span){0}, carrier_set, &out));
        ck_assert_uint_eq(out.n, 3);
        ck_assert_uint_eq(strlen(out.values[0]), 55);
        ck_assert_str_eq(out.values[1], "a=1");
        ck_assert_str_eq(foreign(out.values[2]), "b=2");
        carrier_clear(&out);

        /* A span without its context: no baggage. */
        ck_assert(catena_inject(NULL, span, carrier_set, &out));
        ck_assert_uint_eq(out.n, 2);
        ck_assert_str_eq(out.values[1], "a=1");
        carrier_clear(&out);
        catena_context_free(context);
        ck_assert(catena_inject(NULL, span, carrier_set, &out));
        ck_assert_uint_eq(out.n, 1);
        carrier_clear(&out);

        /* No span at all. */
        context = catena_context_new(NULL, NULL);
        ck_assert(!catena_inject(context, (catena_span){0}, carrier_set, &out));
        ck_assert_uint_eq(out.n, 1);
        ck_assert_str_eq(out.names[0], "baggage");
        carrier_clear(&out);
        ck_assert(!catena_inject(NULL, (catena_span){0}, carrier_set, &out));
        ck_assert_uint_eq(out.n, 0);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(context);
}
END_TEST

START_TEST(strings_are_whole_or_empty) {
        catena_context *context = catena_context_extract_strings(TRACEPARENT, "a=1", NULL, 0);
        catena_span none = {0};
        char text[64];

        ck_assert_uint_eq(catena_inject_string(context, none, 0, text, 56), 55);
        ck_assert_str_eq(text, TRACEPARENT);
        ck_assert_uint_eq(catena_inject_string(context, none, 0, text, 55), 55);
        ck_assert_str_eq(text, "");
        ck_assert_uint_eq(catena_inject_string(context, none, 0, NULL, 0), 55);
        ck_assert_uint_eq(catena_inject_string(context, none, CATENA_HEADER_TRACESTATE, text, 4),
                          3);
        ck_assert_str_eq(text, "a=1");
        ck_assert_uint_eq(catena_inject_string(context, none, CATENA_HEADER_TRACESTATE, text, 1),
                          3);
        ck_assert_str_eq(text, "");
        catena_context_free(context);
}
END_TEST

/* ---- a parent of whatever tracer ---- */

START_TEST(a_span_of_another_tracer_is_the_parent) {
        catena_span other = {.trace_id = {7, 7}, .span_id = {9}, .flags = 0xff};
        catena_context *context = catena_context_new("w", NULL);
        char chain[40];
        catena_span span;
        FakeSpan *said;

        catena_context_checkpoint(context, "announced");
        strcpy(chain, catena_context_correlation_id(context));
        ck_assert(catena_context_set_parent(context, other));
        ck_assert_str_eq(catena_context_trace_id(context), "07070000000000000000000000000000");
        ck_assert_str_eq(catena_context_span_id(context), "0900000000000000");
        ck_assert_str_eq(catena_context_parent_span_id(context), "0900000000000000");
        ck_assert_uint_eq(catena_context_trace_flags(context), 3);
        ck_assert_str_eq(catena_context_correlation_id(context), chain);
        span = catena_span_start(context, "s", 0);
        ck_assert_mem_eq(span.trace_id, other.trace_id, 16);
        ck_assert_mem_eq(span.parent_id, other.span_id, 8);
        ck_assert_str_ne(catena_context_span_id(context), "0900000000000000");
        catena_span_end(span);
        ck_assert_str_eq(catena_context_span_id(context), "0900000000000000");
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->flags, 0x303);
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(a_span_of_ours_is_the_parent) {
        catena_context *server = catena_context_extract_strings(TRACEPARENT, "a=1", NULL, 0);
        catena_span outer = catena_span_start(server, "outer", 0), inner;
        catena_context *context = catena_context_new("w", NULL);
        char tracestate[513];
        FakeSpan *said;

        ck_assert(catena_context_set_parent(context, outer));
        catena_context_free(server);
        inner = catena_span_start(context, "inner", 0);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, inner.span_id);
        ck_assert_uint_eq(said->flags, 0x101);
        ck_assert_str_eq(said->trace_state, "a=1");
        ck_assert_mem_eq(said->parent_span_id.data, outer.span_id, 8);
        fake_span_free(said);
        catena_inject_string(context, inner, CATENA_HEADER_TRACESTATE, tracestate,
                             sizeof tracestate);
        ck_assert_str_eq(tracestate, "a=1");
        /* The end of an earlier span changes nothing. */
        catena_span_end(outer);
        ck_assert_mem_eq(catena_span_start(context, "t", 0).parent_id, inner.span_id, 8);
        catena_context_free(context);
}
END_TEST

START_TEST(an_earlier_span_ends_without_taking_the_parents_place) {
        catena_span other = {.trace_id = {7}, .span_id = {9}, .flags = 1};
        catena_context *context = catena_context_new("w", NULL);
        catena_span early = catena_span_start(context, "early", 0);

        ck_assert(catena_context_set_parent(context, other));
        catena_span_end(early);
        ck_assert_str_eq(catena_context_span_id(context), "0900000000000000");
        catena_context_free(context);
}
END_TEST

/* ---- OTEL_PROPAGATORS ---- */

static void propagates(const char *names, bool tracecontext, bool baggage, unsigned n_misuses) {
        catena_context *context;
        Carrier out = {0};

        setenv("OTEL_PROPAGATORS", names, 1);
        context = catena_context_extract_strings(TRACEPARENT, "a=1", "b=2", 0);
        ck_assert_int_eq(strcmp(catena_context_trace_id(context), TRACE) == 0, tracecontext);
        ck_assert_int_eq(catena_context_get_baggage(context, "b") != NULL, baggage);
        catena_span_start(context, "s", 0);
        ck_assert_int_eq(catena_inject(context, (catena_span){0}, carrier_set, &out),
                         tracecontext);
        ck_assert_int_eq(carrier_value(&out, "traceparent") != NULL, tracecontext);
        ck_assert_int_eq(carrier_value(&out, "tracestate") != NULL, tracecontext);
        ck_assert_int_eq(carrier_value(&out, "baggage") != NULL, baggage);
        ck_assert_uint_eq(stats().misuse, n_misuses);
        carrier_clear(&out);
        catena_context_free(context);
}

START_TEST(propagators_are_chosen) {
        static const struct {
                const char *names;
                bool tracecontext, baggage;
                unsigned n_misuses;
        } cases[] = {
                {"", true, true, 0},
                {"tracecontext,baggage", true, true, 0},
                {" baggage , tracecontext,", true, true, 0},
                {"tracecontext", true, false, 0},
                {"baggage,baggage", false, true, 0},
                {"none", false, false, 0},
                {"b3,tracecontext", true, false, 1},
                {"b3multi", false, false, 1},
        };

        propagates(cases[_i].names, cases[_i].tracecontext, cases[_i].baggage,
                   cases[_i].n_misuses);
}
END_TEST

/* ---- forked ---- */

START_TEST(a_forked_child_passes_on_what_it_inherited) {
        catena_context *context = catena_context_extract_strings(TRACEPARENT, "a=1", "b=2", 0);
        catena_span span = catena_span_start(context, "s", 0);
        char before[56], after[56], tracestate[513];
        int status;
        pid_t pid;

        catena_inject_string(context, (catena_span){0}, 0, before, sizeof before);
        pid = fork();
        if (!pid) {
                catena_inject_string(context, (catena_span){0}, 0, after, sizeof after);
                if (strcmp(before, after))
                        _exit(1);
                catena_inject_string(NULL, span, CATENA_HEADER_TRACESTATE, tracestate,
                                     sizeof tracestate);
                _exit(strcmp(tracestate, "a=1") ? 2 : 0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        catena_context_free(context);
}
END_TEST

/* ---- what any system of workflows wants to know first ---- */

START_TEST(injecting_without_a_span_does_not_fail) {
        catena_context *context = catena_context_new("test", NULL);
        Carrier out = {0};

        ck_assert(!catena_inject(context, (catena_span){0}, carrier_set, &out));
        ck_assert(!catena_context_set_parent(context, (catena_span){0}));
        ck_assert_str_eq(catena_context_workflow_id(context), "test");
        carrier_clear(&out);
        catena_context_free(context);
}
END_TEST

START_TEST(what_is_extracted_is_valid) {
        catena_context *context = catena_context_extract_strings(
                "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", NULL, NULL, 0);

        ck_assert_str_eq(catena_context_trace_id(context), "0123456789abcdef0123456789abcdef");
        ck_assert_str_eq(catena_context_span_id(context), "0123456789abcdef");
        catena_context_free(context);
        context = catena_context_extract_strings("00-abc123-def456-01", NULL, NULL, 0);
        ck_assert_uint_eq(strlen(catena_context_trace_id(context)), 32);
        ck_assert_ptr_null(catena_context_span_id(context));
        catena_context_free(context);
}
END_TEST

START_TEST(a_child_keeps_the_trace) {
        catena_context *parent = catena_context_extract_strings(TRACEPARENT, NULL,
                                                                "workflow.id=parent", 0);
        catena_context *child;

        catena_span_start(parent, "s", 0);
        child = catena_context_child(parent);
        ck_assert_str_eq(catena_context_workflow_id(child), catena_context_workflow_id(parent));
        ck_assert_str_eq(catena_context_trace_id(child), catena_context_trace_id(parent));
        ck_assert_str_eq(catena_context_parent_span_id(child), catena_context_span_id(parent));
        ck_assert_str_eq(catena_context_correlation_id(child),
                         catena_context_correlation_id(parent));
        ck_assert_uint_eq(catena_context_trace_flags(child), catena_context_trace_flags(parent));
        catena_context_free(child);
        catena_context_free(parent);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lib-inject");
        TCase *tcase = tcase_create("inject");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, each_header_that_says_something_is_set);
        tcase_add_test(tcase, strings_are_whole_or_empty);
        tcase_add_test(tcase, a_span_of_another_tracer_is_the_parent);
        tcase_add_test(tcase, a_span_of_ours_is_the_parent);
        tcase_add_test(tcase, an_earlier_span_ends_without_taking_the_parents_place);
        tcase_add_loop_test(tcase, propagators_are_chosen, 0, 8);
        tcase_add_test(tcase, a_forked_child_passes_on_what_it_inherited);
        tcase_add_test(tcase, injecting_without_a_span_does_not_fail);
        tcase_add_test(tcase, what_is_extracted_is_valid);
        tcase_add_test(tcase, a_child_keeps_the_trace);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
