/* SPDX-License-Identifier: Apache-2.0 */

/* What is recorded and how much of it: samplers and limits, from the client to the collector. */

#include "lib/catena.h"
#include "proto/sampling.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { ROOTS = 400, FLUSH_MS = 30000 };

static Harness harness;

static const OtlpSpan *span_by_id(const catena_span *span) {
        const BackendSpan *taken;

        for (size_t i = 0; (taken = backend_span(harness.backend, i)); i++)
                if (!memcmp(taken->span->span_id.data, span->span_id, sizeof span->span_id))
                        return taken->span;
        return NULL;
}

/* ---- the client's word ---- */

static catena_span say_root(void) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "root", CATENA_KIND_INTERNAL);

        catena_span_end(span);
        catena_context_free(context);
        return span;
}

START_TEST(half_of_the_traces_are_those_at_and_above_the_threshold) {
        static catena_span roots[ROOTS];
        uint64_t n_kept = 0;

        harness_open(&harness, NULL);
        setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", "0.5", 1);
        people_speak(&harness, "sampler");
        for (unsigned i = 0; i < ROOTS; i++) {
                roots[i] = say_root();
                n_kept += sampling_keeps(sampling_threshold(0.5), roots[i].trace_id);
        }
        ck_assert(n_kept > 0 && n_kept < ROOTS);
        ck_assert(catena_flush(FLUSH_MS));
        harness_await_exactly(&harness, "conservation.traces.finished", n_kept);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), n_kept);
        for (unsigned i = 0; i < ROOTS; i++) {
                const OtlpSpan *span = span_by_id(&roots[i]);

                ck_assert_int_eq(span != NULL, !!(roots[i].trace_id[9] & 0x80));
                if (span)
                        ck_assert_str_eq(span->trace_state, "ot=th:8");
        }
        harness_finish(&harness);
}
END_TEST

/* ---- limits ---- */

static void say_too_much(catena_span other) {
        const catena_attribute attributes[] = {
                {.key = "a", .value.string = "h\xc3\xa9llo"},
                {.key = "b", .type = CATENA_TYPE_INT, .value.integer = 2},
                {.key = "c", .value.string = "over"},
                {.key = "d", .value.string = "over"},
        };
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "much", CATENA_KIND_INTERNAL);

        catena_span_set(span, attributes, 4);
        catena_span_event(span, "first", attributes, 4);
        catena_span_event(span, "second", NULL, 0);
        catena_span_link(span, other, attributes, 4);
        catena_span_link(span, other, NULL, 0);
        catena_span_link(span, other, NULL, 0);
        catena_span_end(span);
        catena_context_free(context);
}

START_TEST(limits_of_the_client_are_settled_and_counted) {
        const OtlpSpan *span;

        harness_open(&harness, NULL);
        setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2", 1);
        setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "1", 1);
        setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "2", 1);
        setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "3", 1); /* of events, since links have their own */
        setenv("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "0", 1);
        setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2", 1);
        people_speak(&harness, "talker");
        say_too_much(say_root());
        ck_assert(catena_flush(FLUSH_MS));
        harness_await(&harness, "conservation.traces.finished", 2);
        span = backend_find(harness.backend, "much")->span;
        ck_assert_uint_eq(span->dropped_attributes_count, 2);
        ck_assert_str_eq(backend_string(span->attributes, span->n_attributes, "a"), "h\xc3\xa9");
        ck_assert_ptr_null(backend_string(span->attributes, span->n_attributes, "c"));
        ck_assert_uint_eq(span->n_events, 1);
        ck_assert_uint_eq(span->dropped_events_count, 1);
        ck_assert_str_eq(span->events[0]->name, "first");
        ck_assert_uint_eq(span->events[0]->n_attributes, 3);
        ck_assert_uint_eq(span->events[0]->dropped_attributes_count, 1);
        ck_assert_uint_eq(span->n_links, 2);
        ck_assert_uint_eq(span->dropped_links_count, 1);
        ck_assert_uint_eq(span->links[0]->n_attributes, 0);
        ck_assert_uint_eq(span->links[0]->dropped_attributes_count, 4);
        ck_assert_uint_eq(harness_get(&harness, "counters.over_limit"), 2 + 1 + 1 + 1 + 4);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("scenario-sampling", half_of_the_traces_are_those_at_and_above_the_threshold,
             limits_of_the_client_are_settled_and_counted)
