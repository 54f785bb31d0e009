/* SPDX-License-Identifier: Apache-2.0 */

/* Spans that any process of the user may change and end, as the library says them. */

#include "lib/catena.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <sys/wait.h>

static FakeDaemon fake;
static catena_context *context;

static void begin(void) {
        context = catena_context_new("order", NULL);
        unsetenv("TRACEPARENT");
}

static void start(void) {
        fake_daemon_open(&fake);
        begin();
}

static void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
        begin();
}

static void stop(void) {
        catena_context_free(context);
        fake_daemon_close(&fake);
}

static catena_span start_detached(void) {
        return catena_span_start_with(context, "backup",
                                      &(catena_span_options){.flags = CATENA_DETACHED});
}

static uint64_t misuse(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats.misuse;
}

static size_t n_spans(void) {
        fake_daemon_take(&fake);
        return fake_daemon_count(&fake, RECORD_SPAN, 0);
}

/* All but START|DETACHED, END|DETACHED and plain DETACHED are wrong. */
static void assert_all_detached(size_t n) {
        ck_assert_uint_eq(n_spans(), n);
        for (size_t i = 0; i < fake.n_records; i++)
                if (fake.records[i].header.type == RECORD_SPAN)
                        ck_assert(fake.records[i].header.flags & RECORD_DETACHED);
}

START_TEST(every_record_of_it_says_so) {
        catena_span span = start_detached();
        FakeSpan *said;

        ck_assert(catena_span_recording(span));
        catena_span_set_string(span, "a", "1");
        catena_span_event(span, "packed", NULL, 0);
        catena_span_error(span, "disk", "full", NULL);
        catena_span_end(span);
        assert_all_detached(5);
        fake_daemon_record(&fake, RECORD_SPAN, RECORD_START, 0);
        fake_daemon_record(&fake, RECORD_SPAN, RECORD_END, 0);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_str_eq(said->name, "backup");
        ck_assert_uint_eq(said->n_events, 2);
        fake_span_free(said);
}
END_TEST

START_TEST(other_spans_do_not) {
        catena_span span = catena_span_start(context, "own", 0);

        catena_span_end(catena_span_child(start_detached(), "child", 0));
        catena_span_end(span);
        ck_assert_uint_eq(n_spans(), 5);
        for (size_t i = 0, n = 0; i < fake.n_records; i++) {
                n += fake.records[i].header.type == RECORD_SPAN &&
                     (fake.records[i].header.flags & RECORD_DETACHED);
                ck_assert_uint_le(n, 1);
        }
}
END_TEST

START_TEST(a_long_record_of_it_is_split) {
        enum { N = 60 };
        static char value[1001];
        catena_attribute attributes[N];
        catena_span span = start_detached();
        FakeSpan *said;

        memset(value, 'v', sizeof value - 1);
        for (size_t i = 0; i < N; i++)
                attributes[i] = (catena_attribute){.key = "k", .value.string = value};
        catena_span_set(span, attributes, N);
        catena_span_end(span);
        fake_daemon_take(&fake);
        assert_all_detached(fake_daemon_count(&fake, RECORD_SPAN, 0));
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->n_attributes, N);
        fake_span_free(said);
}
END_TEST

START_TEST(what_says_nothing_is_not_said) {
        catena_span span = start_detached();

        catena_span_set(span, NULL, 0);
        assert_all_detached(1);
}
END_TEST

START_TEST(a_traceparent_is_a_handle) {
        catena_span span = start_detached(), same;
        FakeSpan *said;

        ck_assert(catena_inject_environ(context, span));
        same = catena_span_detached(getenv("TRACEPARENT"));
        ck_assert_mem_eq(same.trace_id, span.trace_id, sizeof span.trace_id);
        ck_assert_mem_eq(same.span_id, span.span_id, sizeof span.span_id);
        ck_assert_uint_eq(same.flags, span.flags);
        ck_assert(catena_span_recording(same));
        catena_span_set_string(same, "a", "1");
        catena_span_end(same);
        assert_all_detached(3);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->n_attributes, 1);
        ck_assert_uint_gt(said->end_time_unix_nano, said->start_time_unix_nano);
        fake_span_free(said);
        ck_assert_uint_eq(misuse(), 0);
}
END_TEST

/* It is another process's, as far as is known. */
START_TEST(a_handle_is_a_remote_parent) {
        catena_span given =
                catena_span_detached("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        catena_span child = catena_span_child(given, "child", 0);
        FakeSpan *said;

        catena_span_end(child);
        ck_assert_uint_eq(n_spans(), 2);
        said = fake_daemon_span(&fake, child.span_id);
        ck_assert_mem_eq(said->parent_span_id.data, given.span_id, 8);
        ck_assert_uint_eq(said->flags, 0x301);
        fake_span_free(said);
}
END_TEST

START_TEST(what_is_no_traceparent_is_no_handle) {
        static const catena_span none;
        static const char *const wrong[] = {
                "",
                "backup",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        };
        catena_span span = catena_span_detached(NULL);

        ck_assert_mem_eq(&span, &none, sizeof none);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                span = catena_span_detached(wrong[i]);
                ck_assert_mem_eq(&span, &none, sizeof none);
        }
        catena_span_end(span);
        ck_assert_uint_eq(n_spans(), 0);
        ck_assert_uint_eq(misuse(), 2 + sizeof wrong / sizeof *wrong);
}
END_TEST

START_TEST(an_unsampled_one_is_not_said) {
        catena_span given =
                catena_span_detached("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

        ck_assert(!catena_span_recording(given));
        catena_span_end(given);
        ck_assert_uint_eq(n_spans(), 0);
        ck_assert_uint_eq(misuse(), 0);
}
END_TEST

START_TEST(a_forked_child_may_end_it) {
        catena_span span = start_detached(), own = catena_span_start(context, "own", 0);
        int status;
        pid_t pid = fork();

        if (!pid) {
                catena_span_end(span);
                catena_span_end(own);
                _exit((int)misuse()); /* the other is not its to end */
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 1 << 8);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END | RECORD_DETACHED), 1);
}
END_TEST

START_TEST(flags_that_nobody_knows_are_counted) {
        catena_span span =
                catena_span_start_with(context, "odd", &(catena_span_options){.flags = 0xfe});

        catena_span_end(span);
        ck_assert_uint_eq(misuse(), 1);
        ck_assert_uint_eq(n_spans(), 2);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_DETACHED), 0);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*set_up)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, set_up, stop);
        tcase_add_test(tcase, every_record_of_it_says_so);
        tcase_add_test(tcase, other_spans_do_not);
        tcase_add_test(tcase, a_long_record_of_it_is_split);
        tcase_add_test(tcase, what_says_nothing_is_not_said);
        tcase_add_test(tcase, a_traceparent_is_a_handle);
        tcase_add_test(tcase, a_handle_is_a_remote_parent);
        tcase_add_test(tcase, what_is_no_traceparent_is_no_handle);
        tcase_add_test(tcase, an_unsampled_one_is_not_said);
        tcase_add_test(tcase, a_forked_child_may_end_it);
        tcase_add_test(tcase, flags_that_nobody_knows_are_counted);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-detached");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        return unit_run(suite);
}
