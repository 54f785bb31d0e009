/* SPDX-License-Identifier: Apache-2.0 */

/* What is recorded and how much of it: samplers and limits, from the client to the collector. */

#include "lib/catena.h"
#include "proto/pb.h"
#include "proto/sampling.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOTS = 400, FLUSH_MS = 30000, HANDLE_SIZE = 64 };

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

/* ---- the daemon's word ---- */

/* Of traces that were started when the daemon had told its ratio, nothing else is even sent. */
START_TEST(the_daemons_ratio_is_a_ceiling) {
        static catena_span roots[ROOTS];
        uint64_t n_kept = 0;
        catena_stats stats;

        harness_open(&harness, &(HarnessOptions){.more = "sampling: { ratio: 0.5 }\n"});
        people_speak(&harness, "sampler");
        for (unsigned i = 0; i < ROOTS; i++) {
                roots[i] = say_root();
                n_kept += sampling_keeps(sampling_threshold(0.5), roots[i].trace_id);
                if (!i)
                        ck_assert(catena_flush(FLUSH_MS)); /* so that its WELCOME is heard */
        }
        ck_assert(catena_flush(FLUSH_MS));
        harness_await_exactly(&harness, "conservation.traces.finished", n_kept);
        for (unsigned i = 0; i < ROOTS; i++) {
                const OtlpSpan *span = span_by_id(&roots[i]);

                ck_assert_int_eq(span != NULL, !!(roots[i].trace_id[9] & 0x80));
                if (span && i)
                        ck_assert_str_eq(span->trace_state, "ot=th:8");
        }
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_ge(n_kept + 1, stats.spans_started); /* the first was not told yet */
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_unsampled"),
                          stats.spans_started - n_kept);
        harness_finish(&harness);
}
END_TEST

/* A whole span that says what it must. */
static bool say_raw(RawClient *client, uint64_t id, const uint8_t trace_id[ID_TRACE_SIZE]) {
        uint64_t span_id = htole64(id);
        uint8_t body[128];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_bytes(&writer, 1, trace_id, ID_TRACE_SIZE);
        pb_put_bytes(&writer, 2, &span_id, sizeof span_id);
        pb_put_fixed64(&writer, 7, 1);
        pb_put_fixed64(&writer, 8, 2);
        return raw_client_record(client, RECORD_SPAN, RECORD_START | RECORD_END, id, body,
                                 (size_t)(writer.at - body));
}

/* A client that knows nothing of it is kept to it all the same. */
START_TEST(the_ratio_holds_for_every_client) {
        enum { SPANS = 256 };
        RawClient client;

        harness_open(&harness, &(HarnessOptions){.more = "sampling: { ratio: 0.25 }\n"});
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "raw", false));
        for (uint64_t id = 1; id <= SPANS; id++) {
                uint8_t trace_id[ID_TRACE_SIZE] = {1, [9] = (uint8_t)id, [15] = 1};

                ck_assert(say_raw(&client, id, trace_id));
        }
        ck_assert(raw_client_flush(&client));
        harness_await_exactly(&harness, "conservation.traces.finished", SPANS / 4);
        harness_await_exactly(&harness, "conservation.traces.unsampled", SPANS / 4 * 3);
        for (size_t i = 0; i < SPANS / 4; i++)
                ck_assert_uint_ge(backend_span(harness.backend, i)->span->trace_id.data[9], 0xc0);
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

/* Of the configuration, one digit of the ratio becomes another. */
static void set_ratio(const char *before, const char *after) {
        char text[4096] = "", *at;
        FILE *file = fopen(harness.config, "r+e");

        ck_assert_ptr_nonnull(file);
        ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
        at = strstr(text, before);
        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(fseek(file, at - text, SEEK_SET), 0);
        ck_assert_int_ge(fputs(after, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(kill(harness.pid, SIGHUP), 0);
}

/* Whether it was recorded. */
static bool say_root_and_flush(void) {
        bool recorded = catena_span_recording(say_root());

        ck_assert(catena_flush(FLUSH_MS));
        return recorded;
}

START_TEST(connected_clients_are_told_of_another_ratio) {
        harness_open(&harness, &(HarnessOptions){.more = "sampling: { ratio: 1.0 }\n"});
        people_speak(&harness, "shop");
        ck_assert(say_root_and_flush());
        set_ratio("ratio: 1.0", "ratio: 9.0");
        while (!harness_has_logged(&harness, "SIGHUP: the configuration stays as it was"))
                ck_assert(say_root_and_flush());
        set_ratio("ratio: 9.0", "ratio: 0.0");
        while (say_root_and_flush())
                ;
        set_ratio("ratio: 0.0", "ratio: 1.0");
        while (!say_root_and_flush())
                ;
        ck_assert_uint_eq(harness_get(&harness, "listener.connections"), 1);
        harness_finish(&harness);
}
END_TEST

static const char keep[] = "sampling: { keep_errors: true, keep_slower_than: 1h }\n";

/* A root with a child; the names tell what became of it. */
static void say_trace(const char *root_name, const char *child_name, bool fails) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span root = catena_span_start(context, root_name, CATENA_KIND_SERVER), child;

        ck_assert(!(root.flags & 1));
        ck_assert(catena_span_recording(root));
        child = catena_span_start(context, child_name, CATENA_KIND_INTERNAL);
        if (fails)
                catena_span_error(child, "timeout", "no answer", NULL);
        catena_span_end(child);
        catena_span_end(root);
        catena_context_free(context);
}

/* Lets the library hear of the daemon's wish, with a sampler that keeps nothing. */
static void speak_unsampled(void) {
        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        people_speak(&harness, "shop");
        (void)say_root();
        harness_await(&harness, "listener.connections", 1);
        while (!catena_span_recording(say_root()))
                ;
}

START_TEST(an_error_keeps_a_trace_that_nobody_sampled) {
        harness_open(&harness, &(HarnessOptions){.more = keep});
        speak_unsampled();
        say_trace("good", "good child", false);
        say_trace("bad", "bad child", true);
        ck_assert(catena_flush_to(CATENA_DELIVERED, FLUSH_MS));
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 0);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.undecided"), 0);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.finished"), 2);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_kept"), 2);
        ck_assert_uint_ge(harness_get(&harness, "counters.spans_unsampled"), 3);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_given_up"), 0);
        ck_assert_ptr_nonnull(backend_find(harness.backend, "bad"));
        ck_assert_ptr_nonnull(backend_find(harness.backend, "bad child"));
        harness_finish(&harness);
}
END_TEST

START_TEST(a_slow_span_keeps_a_trace_that_nobody_sampled) {
        static const char slow[] = "sampling: { keep_slower_than: 1h }\n";
        catena_context *context;
        catena_span root, child;
        const OtlpSpan *span;

        harness_open(&harness, &(HarnessOptions){.more = slow});
        speak_unsampled();
        say_trace("quick", "quick child", true);
        context = catena_context_new(NULL, NULL);
        root = catena_span_start(context, "root", CATENA_KIND_SERVER);
        child = catena_span_start_with(
                context, "slow",
                &(catena_span_options){.start_unix_ns = UINT64_C(1700000000000000000)});
        catena_span_end_at(child, UINT64_C(1700003600000000000));
        catena_span_end(root);
        catena_context_free(context);
        ck_assert(catena_flush(FLUSH_MS));
        harness_await_exactly(&harness, "conservation.traces.finished", 2);
        span = backend_find(harness.backend, "slow")->span;
        ck_assert_mem_eq(span->parent_span_id.data, root.span_id, 8);
        ck_assert_ptr_nonnull(backend_find(harness.backend, "root"));
        harness_finish(&harness);
}
END_TEST

/* One that anybody of the user may end: by its handle, in an unsampled trace. */
static catena_span start_detached(const char *name, char handle[HANDLE_SIZE]) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start_with(context, name,
                                                  &(catena_span_options){.flags = CATENA_DETACHED});

        ck_assert(catena_span_recording(span));
        ck_assert(catena_inject_string(context, span, CATENA_HEADER_TRACEPARENT, handle,
                                       HANDLE_SIZE));
        catena_context_free(context);
        return span;
}

static void end_detached(void *user) {
        catena_span span;

        while (!catena_span_recording(say_root())) /* a child has a connection of its own */
                ;
        span = catena_span_detached(user);
        catena_span_error(span, "timeout", "no answer", NULL);
        catena_span_end(span);
        if (!catena_stop(FLUSH_MS))
                _exit(1);
}

START_TEST(an_error_told_by_another_process_keeps_a_detached_span) {
        char good[HANDLE_SIZE], bad[HANDLE_SIZE];

        harness_open(&harness, &(HarnessOptions){.more = keep});
        speak_unsampled();
        start_detached("good", good);
        start_detached("bad", bad);
        ck_assert(catena_flush(FLUSH_MS));
        ck_assert_int_eq(people_await(people_fork(end_detached, bad)), 0);
        catena_span_end(catena_span_detached(good));
        ck_assert(catena_flush(FLUSH_MS));
        harness_await_exactly(&harness, "conservation.traces.open", 0);
        harness_await_exactly(&harness, "conservation.traces.undecided", 0);
        harness_await_exactly(&harness, "conservation.traces.finished", 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_kept"), 1);
        ck_assert_ptr_nonnull(backend_find(harness.backend, "bad"));
        harness_finish(&harness);
}
END_TEST

/* Between spans and decision the daemon dies; so does the client, which is an error. */
static int hold[2];

static void open_and_wait(void *user) {
        catena_context *context;
        catena_span root;
        char byte = 0;

        (void)user;
        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        people_speak(&harness, "mortal");
        while (!catena_span_recording(say_root()))
                ;
        context = catena_context_new(NULL, NULL);
        root = catena_span_start(context, "root", CATENA_KIND_SERVER);
        catena_span_end(catena_span_child(root, "child", CATENA_KIND_INTERNAL));
        if (!catena_flush(FLUSH_MS) || write(hold[1], &byte, 1) != 1)
                _exit(1);
        pause();
}

START_TEST(a_crash_before_the_decision_decides_the_same) {
        uint64_t n_dropped;
        char byte;
        pid_t pid;

        harness_open(&harness, &(HarnessOptions){.more = keep});
        ck_assert_int_eq(pipe(hold), 0);
        pid = people_fork(open_and_wait, NULL);
        ck_assert_int_eq(read(hold[0], &byte, 1), 1);
        harness_await_exactly(&harness, "conservation.traces.undecided", 1);
        n_dropped = harness_get(&harness, "counters.spans_unsampled");
        harness_kill(&harness);
        harness_start(&harness);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.undecided"), 1);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 1);
        people_kill(pid);
        harness_await_exactly(&harness, "conservation.traces.finished", 2);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_unsampled"), n_dropped);
        ck_assert_ptr_nonnull(backend_find(harness.backend, "root"));
        ck_assert_ptr_nonnull(backend_find(harness.backend, "child"));
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
             the_daemons_ratio_is_a_ceiling, the_ratio_holds_for_every_client,
             connected_clients_are_told_of_another_ratio,
             an_error_keeps_a_trace_that_nobody_sampled,
             a_slow_span_keeps_a_trace_that_nobody_sampled,
             an_error_told_by_another_process_keeps_a_detached_span,
             a_crash_before_the_decision_decides_the_same,
             limits_of_the_client_are_settled_and_counted)
