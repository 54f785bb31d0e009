/* SPDX-License-Identifier: Apache-2.0 */

/* Waiting until the daemon has what was said, and what else is heard then. */

#include "lib/catena.h"
#include "tests/unit/fake-client.h"
#include "tests/unit/unit.h"

#include <pthread.h>

static void say_span(void) {
        catena_span_end(catena_span_start(context, "s", 0));
}

/* Answers each FLUSH with a level, until there have been n. */
typedef struct Answers {
        int level; /* -1: hang up instead */
        unsigned n;
        uint64_t refused; /* the first one tells, … */
        uint64_t orphans; /* … and this */
        bool wants_all;   /* and greets before it does */
} Answers;

static void *answer(void *user) {
        Answers *answers = user;
        struct pollfd fd = {.events = POLLIN};
        size_t seen = 0;

        while (answers->n) {
                fd.fd = fake.n_connections ? fake.connections[0].fd : fake.listener;
                (void)poll(&fd, 1, 1000);
                fake_daemon_take(&fake);
                for (; seen < fake.n_records && answers->n; seen++) {
                        uint8_t body[16];
                        PbWriter writer = pb_writer(body, sizeof body);

                        if (fake.records[seen].header.type != RECORD_FLUSH)
                                continue;
                        answers->n--;
                        if (answers->wants_all)
                                fake_daemon_answer(fake.connections[0].fd, FAKE_TOKEN, 1, false,
                                                   -1);
                        if (answers->level < 0) {
                                fake_daemon_die(&fake);
                                continue;
                        }
                        pb_put_varint(&writer, 1, (uint64_t)answers->level);
                        if (answers->refused)
                                pb_put_varint(&writer, 2, answers->refused);
                        if (answers->orphans)
                                pb_put_varint(&writer, 3, answers->orphans);
                        answers->refused = answers->orphans = 0;
                        fake_daemon_say(&fake, RECORD_FLUSHED, fake.records[seen].header.id, body,
                                        (size_t)(writer.at - body));
                }
        }
        return NULL;
}

START_TEST(a_flush_waits_for_its_level) {
        static const struct {
                int ask;
                int answer;
                bool safe;
        } cases[] = {
                {CATENA_JOURNALED, CATENA_JOURNALED, true},
                {CATENA_SYNCED, CATENA_JOURNALED, false},
                {CATENA_DELIVERED, CATENA_DELIVERED, true},
                {CATENA_DELIVERED, CATENA_SYNCED, false},
        };
        Answers answers = {.level = cases[_i].answer, .n = 1};
        pthread_t thread;

        say_span();
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(catena_flush_to(cases[_i].ask, 10000) == cases[_i].safe);
        pthread_join(thread, NULL);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 2);
}
END_TEST

START_TEST(nothing_said_is_safe) {
        ck_assert(catena_flush(0));
}
END_TEST

START_TEST(a_flush_after_a_drop_is_false_once) {
        Answers answers = {.level = CATENA_JOURNALED, .n = 2};
        static char text[RECORD_SIZE_MAX + 1];
        pthread_t thread;

        memset(text, 'x', sizeof text - 1);
        catena_span_set_string(catena_span_start(context, "s", 0), "big", text);
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(!catena_flush(10000));
        ck_assert(catena_flush(10000));
        pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_flush_is_false_once_where_the_daemon_refused) {
        Answers answers = {.level = CATENA_JOURNALED, .n = 2, .refused = 3};
        catena_stats stats;
        pthread_t thread;

        say_span();
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(!catena_flush(10000));
        ck_assert(catena_flush(10000));
        pthread_join(thread, NULL);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.refused, 3);
}
END_TEST

/* They are no losses: whoever asks is told. */
START_TEST(a_flush_hears_of_spans_that_are_not_there) {
        Answers answers = {.level = CATENA_JOURNALED, .n = 2, .orphans = 2};
        pthread_t thread;

        say_span();
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(catena_flush_to(CATENA_JOURNALED, 10000));
        ck_assert_uint_eq(stats().orphans, 2);
        ck_assert(catena_flush_to(CATENA_JOURNALED, 10000));
        ck_assert_uint_eq(stats().orphans, 2);
        pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_flush_ends_in_time_and_when_the_daemon_does) {
        Answers answers = {.level = -1, .n = 1};
        pthread_t thread;

        say_span();
        ck_assert(!catena_flush(30));
        fake_daemon_take(&fake);
        fake_daemon_forget(&fake);
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(!catena_flush(60000));
        pthread_join(thread, NULL);
        ck_assert(!catena_flush_to(7, 0));
}
END_TEST

static void *flush(void *user) {
        (void)user;
        return catena_flush(10000) ? context : NULL;
}

START_TEST(threads_flush_together) {
        enum { N = 8 };
        Answers answers = {.level = CATENA_SYNCED, .n = N};
        pthread_t threads[N], daemon;
        void *safe;

        say_span();
        ck_assert_int_eq(pthread_create(&daemon, NULL, answer, &answers), 0);
        for (unsigned i = 0; i < N; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, flush, NULL), 0);
        for (unsigned i = 0; i < N; i++) {
                pthread_join(threads[i], &safe);
                ck_assert_ptr_nonnull(safe);
        }
        pthread_join(daemon, NULL);
}
END_TEST

START_TEST(stop_flushes_and_says_goodbye) {
        Answers answers = {.level = CATENA_SYNCED, .n = 1};
        catena_span span = catena_span_start(context, "s", 0);
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(catena_stop(10000));
        pthread_join(thread, NULL);
        catena_span_end(span);
        say_span();
        ck_assert(!catena_span_recording(span));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.records[fake.n_records - 1].header.type, RECORD_BYE);
        ck_assert_int_lt(fake.connections[0].fd, 0);
        ck_assert_uint_eq(stats().dropped_starts + stats().dropped_ends, 0);
}
END_TEST

/* A short-lived process: what is not sampled is recorded as soon as the daemon was heard. */
START_TEST(a_flush_hears_what_is_to_be_recorded) {
        static const char handle[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        Answers answers = {.level = CATENA_JOURNALED, .n = 1, .wants_all = true};
        pthread_t thread;

        catena_context_free(context);
        context = catena_context_extract_strings(handle, NULL, NULL, 0);
        ck_assert(catena_flush(0)); /* there is no connection */
        if (_i)
                ck_assert(!catena_span_recording(catena_span_detached(handle)));
        else
                ck_assert(!catena_span_recording(catena_span_start(context, "s", 0)));
        ck_assert_int_eq(pthread_create(&thread, NULL, answer, &answers), 0);
        ck_assert(catena_flush(10000));
        pthread_join(thread, NULL);
        ck_assert(catena_span_recording(catena_span_start(context, "s", 0)));
        ck_assert(catena_span_recording(catena_span_detached(handle)));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 1);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, a_flush_waits_for_its_level, 0, 4);
        tcase_add_test(tcase, nothing_said_is_safe);
        tcase_add_test(tcase, a_flush_after_a_drop_is_false_once);
        tcase_add_test(tcase, a_flush_is_false_once_where_the_daemon_refused);
        tcase_add_test(tcase, a_flush_hears_of_spans_that_are_not_there);
        tcase_add_test(tcase, a_flush_ends_in_time_and_when_the_daemon_does);
        tcase_add_test(tcase, threads_flush_together);
        tcase_add_test(tcase, stop_flushes_and_says_goodbye);
        suite_add_tcase(suite, tcase);
}

/* However long the daemon takes. */
START_TEST(stop_does_not_wait_where_nothing_was_said) {
        catena_context_free(context);
        context = catena_context_extract_strings(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL, NULL, 0);
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_connections, 1);
        ck_assert(catena_stop(60000));
}
END_TEST

/* Before WELCOME. */
static void add_stream_tests(Suite *suite) {
        TCase *tcase = tcase_create("stream only");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, a_flush_hears_what_is_to_be_recorded, 0, 2);
        tcase_add_test(tcase, stop_does_not_wait_where_nothing_was_said);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-flush");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        add_stream_tests(suite);
        return unit_run(suite);
}
