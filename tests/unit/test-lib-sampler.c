/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Samplers and limits: what the environment says, each test in a process of its own.
 */

#include "lib/catena.h"
#include "proto/sampling.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

/* Trace ids just below and at the half. */
#define TRACE_LOW  "00-0af7651916cd43ddff7fffffffffffff-b7ad6b7169203331"
#define TRACE_HIGH "00-0af7651916cd43dd0080000000000000-b7ad6b7169203331"

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static void set_sampler(const char *name, const char *arg) {
        setenv("OTEL_TRACES_SAMPLER", name, 1);
        if (arg)
                setenv("OTEL_TRACES_SAMPLER_ARG", arg, 1);
}

static catena_context *extract(const char *traceparent, const char *flags, const char *tracestate) {
        char text[64];

        snprintf(text, sizeof text, "%s-%s", traceparent, flags);
        setenv("TRACEPARENT", text, 1);
        if (tracestate)
                setenv("TRACESTATE", tracestate, 1);
        else
                unsetenv("TRACESTATE");
        return catena_context_extract_environ(0);
}

/* Whether a span of a trace that comes from outside is recorded, and what it says outside. */
static bool samples(const char *traceparent, const char *flags, const char *tracestate,
                    const char *expected) {
        catena_context *context = extract(traceparent, flags, tracestate);
        catena_span span = catena_span_start(context, "s", 0);
        bool sampled = span.flags & 1;
        const char *told;

        ck_assert_int_eq(catena_span_recording(span), sampled);
        ck_assert_int_eq(catena_context_trace_flags(context) & 1, sampled);
        ck_assert(catena_inject_environ(context, (catena_span){0}));
        ck_assert_str_eq(strrchr(getenv("TRACEPARENT"), '-'), sampled ? "-01" : "-00");
        told = getenv("TRACESTATE");
        ck_assert_str_eq(told ? told : "none", expected ? expected : "none");
        catena_span_end(span);
        fake_daemon_take(&fake);
        if (sampled) {
                FakeSpan *said = fake_daemon_span(&fake, span.span_id);

                ck_assert_str_eq(*said->trace_state ? said->trace_state : "none",
                                 expected ? expected : "none");
                fake_span_free(said);
        }
        catena_context_free(context);
        return sampled;
}

static uint64_t misuse(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats.misuse;
}

typedef struct SamplerCase {
        const char *name, *arg;
        bool root_low, root_high; /* of traces below and at the half */
        bool parent, no_parent;   /* of the low one with a parent that is sampled, or is not */
        bool tells;
        bool bad;
} SamplerCase;

static const SamplerCase cases[] = {
        {"", NULL, true, true, true, false, false, false},
        {"always_on", NULL, true, true, true, true, false, false},
        {"always_off", NULL, false, false, false, false, false, false},
        {"traceidratio", "0.5", false, true, false, false, true, false},
        {"traceidratio", NULL, true, true, true, true, true, false},
        {"traceidratio", "1.0", true, true, true, true, true, false},
        {"traceidratio", "0", false, false, false, false, true, false},
        {"parentbased_always_on", NULL, true, true, true, false, false, false},
        {"parentbased_always_off", NULL, false, false, true, false, false, false},
        {"parentbased_traceidratio", "0.5", false, true, true, false, true, false},
        {"PARENTBASED_TraceIdRatio", "0.5", false, true, true, false, true, false},
        {"parentbased_traceidratio", "half", true, true, true, false, true, true},
        {"traceidratio", "1.5", true, true, true, true, true, true},
        {"jaeger_remote", "endpoint=x", true, true, true, false, false, true},
        {"parentbased_", NULL, true, true, true, false, false, true},
};

START_TEST(each_sampler_decides) {
        const SamplerCase *sampler = &cases[_i];
        bool parent_based = strncasecmp(sampler->name, "parentbased", 11) == 0 ||
                            !*sampler->name || *sampler->name == 'j';
        const char *th = NULL;

        set_sampler(sampler->name, sampler->arg);
        /* What comes from outside has a parent: samplers that ask of it show by it. */
        if (sampler->tells && !parent_based)
                th = sampler->arg && strcmp(sampler->arg, "0.5") == 0 ? "ot=th:8" : "ot=th:0";
        ck_assert_int_eq(samples(TRACE_LOW, "01", NULL, sampler->parent ? th : NULL),
                         sampler->parent);
        ck_assert_int_eq(samples(TRACE_LOW, "00", NULL, sampler->no_parent ? th : NULL),
                         sampler->no_parent);
        if (!parent_based)
                ck_assert_int_eq(samples(TRACE_HIGH, "00", NULL, sampler->root_high ? th : NULL),
                                 sampler->root_high);
        ck_assert_uint_eq(misuse(), sampler->bad);
}
END_TEST

START_TEST(roots_are_kept_from_the_threshold_on) {
        const SamplerCase *sampler = &cases[_i];
        unsigned n_sampled = 0;

        set_sampler(sampler->name, sampler->arg);
        for (unsigned i = 0; i < 256; i++) {
                catena_context *context = catena_context_new(NULL, NULL);
                catena_span span = catena_span_start(context, "s", 0);
                bool high = span.trace_id[9] & 0x80;
                catena_context *child;

                ck_assert_int_eq(span.flags, high ? 2 + sampler->root_high : 2 + sampler->root_low);
                n_sampled += span.flags & 1;
                child = catena_context_child(context); /* goes on with what was decided */
                ck_assert_int_eq(catena_context_trace_flags(child), span.flags);
                ck_assert_str_eq(catena_context_causation_id(child), catena_context_id(context));
                catena_context_free(child);
                catena_span_end(span);
                catena_context_free(context);
                fake_daemon_take(&fake);
        }
        if (sampler->root_low == sampler->root_high)
                ck_assert_uint_eq(n_sampled, sampler->root_high ? 256 : 0);
        else
                ck_assert(n_sampled > 64 && n_sampled < 192);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_START), n_sampled);
        if (!n_sampled)
                ck_assert(fake_daemon_is_silent(&fake)); /* contexts are not announced either */
}
END_TEST

START_TEST(a_tracestate_that_came_is_merged) {
        set_sampler("traceidratio", "0.5");
        ck_assert(samples(TRACE_HIGH, "01", "a=1,ot=rv:1;th:c,b=2", "ot=th:8;rv:1,a=1,b=2"));
        ck_assert(samples(TRACE_HIGH, "01", "a=1,ot=th:8", "a=1,ot=th:8")); /* as it was */
        ck_assert(!samples(TRACE_LOW, "01", "a=1,ot=th:8", "a=1"));
        ck_assert(!samples(TRACE_LOW, "01", "ot=th:8", NULL));
}
END_TEST

START_TEST(what_a_parent_decided_stays_told) {
        set_sampler("parentbased_traceidratio", "0.5");
        ck_assert(samples(TRACE_LOW, "01", "a=1,ot=th:4,b=2", "a=1,ot=th:4,b=2"));
        ck_assert(samples(TRACE_LOW, "01", "a=1", "a=1"));
        ck_assert(!samples(TRACE_HIGH, "00", "a=1", "a=1"));
}
END_TEST

START_TEST(a_span_of_another_tracer_is_asked_about) {
        catena_span other = {.trace_id = {1, [9] = 0x7f}, .span_id = {2}, .flags = 1}, span;

        set_sampler("traceidratio", "0.5");
        span = catena_span_child(other, "s", 0);
        ck_assert_uint_eq(span.flags, 0);
        ck_assert(!catena_span_recording(span));
        ck_assert(!catena_span_recording(catena_span_child(span, "child", 0)));
        other.trace_id[9] = 0x80;
        other.flags = 2;
        span = catena_span_child(other, "s", 0);
        ck_assert_uint_eq(span.flags, 3);
        ck_assert(catena_span_recording(catena_span_child(span, "child", 0)));
}
END_TEST

/* ---- what the daemon says ---- */

static void say_sampling(RecordType type, unsigned recording, double ratio) {
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_varint(&writer, 1, RECORD_VERSION);
        if (type == RECORD_WELCOME)
                pb_put_bytes(&writer, 2, FAKE_TOKEN, RECORD_TOKEN_SIZE);
        if (recording)
                pb_put_varint(&writer, 3, recording);
        if (ratio < 1)
                pb_put_varint(&writer, 5, sampling_threshold(ratio));
        fake_daemon_say(&fake, type, 0, body, (size_t)(writer.at - body));
}

/* Connects, though nothing is recorded. */
static void greet(unsigned recording, double ratio) {
        catena_context *context = extract(TRACE_LOW, "00", NULL);

        catena_span_end(catena_span_start(context, "s", 0));
        catena_context_free(context);
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake));
        ck_assert_uint_eq(fake.n_connections, 1);
        say_sampling(RECORD_WELCOME, recording, ratio);
        ck_assert_uint_ne(catena__link_read(), 0);
}

START_TEST(the_daemons_ratio_is_a_ceiling) {
        set_sampler("always_on", NULL);
        ck_assert(catena__process_start());
        ck_assert(samples(TRACE_LOW, "00", NULL, NULL));
        say_sampling(RECORD_WELCOME, 0, 0.5);
        ck_assert_uint_ne(catena__link_read(), 0);
        ck_assert(!samples(TRACE_LOW, "01", NULL, NULL));
        ck_assert(samples(TRACE_HIGH, "00", NULL, "ot=th:8"));
        say_sampling(RECORD_SAMPLING, 0, 0.25); /* it changes */
        ck_assert_uint_ne(catena__link_read(), 0);
        ck_assert(!samples(TRACE_HIGH, "01", NULL, NULL));
        say_sampling(RECORD_SAMPLING, 0, 1);
        ck_assert_uint_ne(catena__link_read(), 0);
        ck_assert(samples(TRACE_LOW, "00", NULL, NULL));
}
END_TEST

START_TEST(a_ceiling_holds_for_parents_too) {
        greet(0, 0.5);
        ck_assert(!samples(TRACE_LOW, "01", "ot=th:4", NULL));
        ck_assert(samples(TRACE_HIGH, "01", "a=1,ot=th:4", "ot=th:8,a=1"));
        ck_assert(samples(TRACE_HIGH, "01", "ot=th:c", "ot=th:c")); /* it was lower before */
        ck_assert(!samples(TRACE_HIGH, "00", NULL, NULL));
}
END_TEST

/* How many its sender kept is not known, nor then how many are kept in all. */
START_TEST(a_ceiling_is_not_told_where_the_sender_tells_no_threshold) {
        greet(0, 0.5);
        ck_assert(samples(TRACE_HIGH, "01", NULL, NULL));
        ck_assert(samples(TRACE_HIGH, "01", "a=1", "a=1"));
        ck_assert(samples(TRACE_HIGH, "01", "a=1,ot=rv:0123456789abcd",
                          "a=1,ot=rv:0123456789abcd"));
        ck_assert(!samples(TRACE_LOW, "01", "a=1", "a=1"));
}
END_TEST

/* Whoever decides anew, whatever its sender has decided, tells how. */
START_TEST(a_ratio_of_its_own_is_told_under_another_tracers_span) {
        set_sampler("traceidratio", "0.5");
        ck_assert(samples(TRACE_HIGH, "01", NULL, "ot=th:8"));
        ck_assert(samples(TRACE_HIGH, "00", "a=1", "ot=th:8,a=1"));
        ck_assert(samples(TRACE_HIGH, "01", "a=1,ot=th:c", "ot=th:8,a=1"));
        ck_assert(!samples(TRACE_LOW, "01", "a=1,ot=th:4", "a=1"));
}
END_TEST

START_TEST(all_is_recorded_where_the_daemon_decides) {
        catena_context *context;
        catena_span span;
        FakeSpan *said;

        set_sampler("always_off", NULL);
        greet(1, 1);
        context = catena_context_new(NULL, NULL);
        span = catena_span_start(context, "s", 0);
        ck_assert(catena_span_recording(span));
        ck_assert_uint_eq(span.flags, 2); /* and the word of the sampler goes along */
        catena_span_end(span);
        catena_context_checkpoint(context, "done");
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->flags, 0x102);
        fake_span_free(said);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 2);
        say_sampling(RECORD_SAMPLING, 0, 1);
        ck_assert_uint_ne(catena__link_read(), 0);
        ck_assert(!catena_span_recording(catena_span_start(context, "s", 0)));
        catena_context_free(context);
}
END_TEST

START_TEST(nothing_of_an_unsampled_context_is_said) {
        catena_context *context, *child;

        set_sampler("always_off", NULL);
        context = catena_context_new("order", NULL);
        catena_context_checkpoint(context, "begun");
        catena_span_end(catena_span_start(context, "s", 0));
        child = catena_context_child(context);
        ck_assert_str_eq(catena_context_causation_id(child), catena_context_id(context));
        catena_context_free(child);
        catena_context_free(context);
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake));
}
END_TEST

/* ---- limits ---- */

#define LIMIT(member) (limits->has_##member##_case ? (long)limits->member : -1L)

/* What a HELLO says, in the order of their numbers; -1: nothing. */
static void says_limits(const long expected[8]) {
        catena_context *context = catena_context_new(NULL, NULL);
        Catena__V1__SpanLimits *limits, none = CATENA__V1__SPAN_LIMITS__INIT;
        Catena__V1__Hello *hello;

        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 0);
        limits = hello->limits ? hello->limits : &none;
        ck_assert_int_eq(LIMIT(attributes), expected[0]);
        ck_assert_int_eq(LIMIT(events), expected[1]);
        ck_assert_int_eq(LIMIT(links), expected[2]);
        ck_assert_int_eq(LIMIT(value_length), expected[3]);
        ck_assert_int_eq(LIMIT(event_attributes), expected[4]);
        ck_assert_int_eq(LIMIT(link_attributes), expected[5]);
        ck_assert_int_eq(LIMIT(log_attributes), expected[6]);
        ck_assert_int_eq(LIMIT(log_value_length), expected[7]);
        catena__v1__hello__free_unpacked(hello, NULL);
        catena_context_free(context);
}

START_TEST(limits_travel_in_hello) {
        setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1", 1);
        setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "0", 1);
        setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "3", 1);
        setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4", 1);
        setenv("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "5", 1);
        setenv("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "6", 1);
        setenv("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "7", 1);
        setenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8", 1);
        setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "100", 1);
        setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "200", 1);
        says_limits((const long[8]){1, 0, 3, 4, 5, 6, 7, 8});
        ck_assert_uint_eq(misuse(), 0);
}
END_TEST

START_TEST(general_limits_stand_in_for_others) {
        setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "100", 1);
        setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "200", 1);
        setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "", 1); /* as if it were not set */
        says_limits((const long[8]){100, -1, -1, 200, 100, 100, 100, 200});
        ck_assert_uint_eq(misuse(), 0);
}
END_TEST

START_TEST(bad_limits_are_passed_over_and_counted) {
        setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", 1);
        setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "many", 1);
        setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "1.5", 1);
        setenv("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "99999999999999999999999", 1);
        says_limits((const long[8]){-1, -1, -1, -1, -1, -1, UINT32_MAX, -1});
        ck_assert_uint_eq(misuse(), 3);
}
END_TEST

START_TEST(without_limits_hello_says_none) {
        says_limits((const long[8]){-1, -1, -1, -1, -1, -1, -1, -1});
}
END_TEST

START_TEST(bad_values_are_told_where_somebody_debugs) {
        char path[sizeof fake.folder + 8], text[512] = "";
        catena_context *context;
        FILE *file;

        snprintf(path, sizeof path, "%s/debug", fake.folder);
        setenv("CATENA_DEBUG", path, 1);
        set_sampler("sometimes", NULL);
        setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "x", 1);
        context = catena_context_new(NULL, NULL);
        catena_context_free(context);
        file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
        fclose(file);
        unlink(path);
        ck_assert_ptr_nonnull(strstr(text, "catena: OTEL_TRACES_SAMPLER"));
        ck_assert_ptr_nonnull(strstr(text, "catena: a limit in an OTEL_*_LIMIT"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lib-sampler");
        TCase *tcase = tcase_create("lib-sampler");
        int n_cases = sizeof cases / sizeof *cases;

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_loop_test(tcase, each_sampler_decides, 0, n_cases);
        tcase_add_loop_test(tcase, roots_are_kept_from_the_threshold_on, 0, n_cases);
        tcase_add_test(tcase, a_tracestate_that_came_is_merged);
        tcase_add_test(tcase, what_a_parent_decided_stays_told);
        tcase_add_test(tcase, a_span_of_another_tracer_is_asked_about);
        tcase_add_test(tcase, the_daemons_ratio_is_a_ceiling);
        tcase_add_test(tcase, a_ceiling_holds_for_parents_too);
        tcase_add_test(tcase, a_ceiling_is_not_told_where_the_sender_tells_no_threshold);
        tcase_add_test(tcase, a_ratio_of_its_own_is_told_under_another_tracers_span);
        tcase_add_test(tcase, all_is_recorded_where_the_daemon_decides);
        tcase_add_test(tcase, nothing_of_an_unsampled_context_is_said);
        tcase_add_test(tcase, limits_travel_in_hello);
        tcase_add_test(tcase, general_limits_stand_in_for_others);
        tcase_add_test(tcase, bad_limits_are_passed_over_and_counted);
        tcase_add_test(tcase, without_limits_hello_says_none);
        tcase_add_test(tcase, bad_values_are_told_where_somebody_debugs);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
