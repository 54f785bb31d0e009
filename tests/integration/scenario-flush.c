/* SPDX-License-Identifier: Apache-2.0 */

/* What a program may rely on when it has waited for delivery. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdlib.h>

enum { FLUSH_MS = 30000, SOON_MS = 100 };

static Harness harness;

static catena_context *speak(void) {
        people_speak(&harness, "shop");
        return catena_context_new("order", NULL);
}

static void say_span(catena_context *context) {
        catena_span_end(catena_span_start(context, "work", CATENA_KIND_INTERNAL));
}

START_TEST(what_is_delivered_is_at_the_collector) {
        catena_context *context;

        harness_open(&harness, NULL);
        context = speak();
        for (unsigned i = 1; i <= 20; i++) {
                say_span(context);
                catena_log(context, CATENA_SEVERITY_INFO, "worked", NULL, 0);
                ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
                ck_assert_uint_eq(backend_n_spans(harness.backend), i);
                ck_assert_ptr_nonnull(backend_log(harness.backend, i - 1));
        }
        catena_context_free(context);
        harness_finish(&harness);
}
END_TEST

START_TEST(nothing_is_delivered_while_the_collector_is_away) {
        catena_context *context;

        harness_open(&harness, &(HarnessOptions){.refuses = true});
        context = speak();
        say_span(context);
        ck_assert(catena_flush_to(CATENA_JOURNALED, FLUSH_MS));
        ck_assert(!catena_flush_to(CATENA_DELIVERED, SOON_MS));
        ck_assert(catena_flush_to(CATENA_JOURNALED, FLUSH_MS));
        backend_listen(harness.backend);
        ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
        ck_assert_uint_eq(backend_n_spans(harness.backend), 1);
        catena_context_free(context);
        harness_finish(&harness);
}
END_TEST

START_TEST(what_is_dropped_and_counted_is_not_waited_for) {
        const BackendStep refuse = {BACKEND_ANSWER, .status = 400};
        catena_context *context;

        harness_init(&harness, NULL);
        backend_script(harness.backend, &refuse, 1);
        harness_start(&harness);
        context = speak();
        say_span(context);
        ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.exporters.0.dropped."
                                                "collector_refused"),
                          1);
        catena_context_free(context);
        harness_finish(&harness);
}
END_TEST

START_TEST(what_sampling_has_not_decided_is_waited_for) {
        catena_context *context;
        catena_span root;

        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        harness_open(&harness, &(HarnessOptions){.more = "sampling: { keep_errors: true }\n"});
        context = speak();
        say_span(context);
        ck_assert(catena_flush(FLUSH_MS)); /* so that the daemon is heard */
        root = catena_span_start(context, "root", CATENA_KIND_SERVER);
        say_span(context);
        ck_assert(!catena_flush_to(CATENA_DELIVERED, SOON_MS));
        catena_span_error(root, "timeout", NULL, NULL);
        catena_span_end(root);
        ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
        ck_assert_uint_eq(backend_n_spans(harness.backend), 2);
        catena_context_free(context);
        context = catena_context_new("another", NULL);
        say_span(context); /* which nobody minds */
        ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_unsampled"), 1);
        catena_context_free(context);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("flush", what_is_delivered_is_at_the_collector,
             nothing_is_delivered_while_the_collector_is_away,
             what_is_dropped_and_counted_is_not_waited_for,
             what_sampling_has_not_decided_is_waited_for)
