/* SPDX-License-Identifier: Apache-2.0 */

/* Checkpoints: kept, told to the chain, events of the current span. */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static catena_stats stats(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats;
}

START_TEST(checkpoints_are_kept_in_order) {
        catena_context *context = catena_context_new("w", NULL);
        uint64_t unix_ns, before = catena_context_start_unix_ns(context);
        size_t iterator = 0;
        const char *name;

        ck_assert(!catena_context_next_checkpoint(context, &iterator, &name, &unix_ns));
        catena_context_checkpoint(context, "one");
        catena_context_checkpoint(context, "two\xff");
        catena_context_checkpoint(context, "");
        ck_assert(catena_context_next_checkpoint(context, &iterator, &name, &unix_ns));
        ck_assert_str_eq(name, "one");
        ck_assert_uint_ge(unix_ns, before);
        before = unix_ns;
        ck_assert(catena_context_next_checkpoint(context, &iterator, &name, &unix_ns));
        ck_assert_str_eq(name, "two\xef\xbf\xbd");
        ck_assert_uint_ge(unix_ns, before);
        ck_assert(catena_context_next_checkpoint(context, &iterator, NULL, NULL));
        ck_assert(!catena_context_next_checkpoint(context, &iterator, &name, &unix_ns));
        iterator = SIZE_MAX;
        ck_assert(!catena_context_next_checkpoint(context, &iterator, &name, &unix_ns));
        ck_assert(!catena_context_next_checkpoint(context, NULL, &name, &unix_ns));
        catena_context_free(context);
}
END_TEST

/* A child's begin anew: they are its parent's. */
START_TEST(a_child_has_no_checkpoints_yet) {
        catena_context *parent = catena_context_new("w", NULL), *child;
        size_t iterator = 0;

        catena_context_checkpoint(parent, "parents");
        child = catena_context_child(parent);
        ck_assert(!catena_context_next_checkpoint(child, &iterator, NULL, NULL));
        catena_context_free(child);
        catena_context_free(parent);
}
END_TEST

START_TEST(a_checkpoint_is_an_event_of_the_current_span) {
        catena_context *context = catena_context_new("w", NULL), *child;
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span inner = catena_span_start(context, "inner", 0);
        uint64_t unix_ns;
        size_t iterator = 0;
        FakeSpan *said;

        catena_context_checkpoint(context, "within");
        catena_span_end(inner);
        child = catena_context_child(context);
        catena_context_checkpoint(child, "child's"); /* the outer span is not its own */
        catena_context_checkpoint(context, "after");
        catena_span_end(outer);
        catena_context_checkpoint(context, "late");
        fake_daemon_take(&fake);

        said = fake_daemon_span(&fake, inner.span_id);
        ck_assert_uint_eq(said->n_events, 1);
        ck_assert_str_eq(said->events[0]->name, "within");
        ck_assert(catena_context_next_checkpoint(context, &iterator, NULL, &unix_ns));
        ck_assert_uint_eq(said->events[0]->time_unix_nano, unix_ns);
        fake_span_free(said);
        said = fake_daemon_span(&fake, outer.span_id);
        ck_assert_uint_eq(said->n_events, 1);
        ck_assert_str_eq(said->events[0]->name, "after");
        fake_span_free(said);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(child);
        catena_context_free(context);
}
END_TEST

/* Events of the span of that id, each as detached as the span is. */
static void assert_events(const uint8_t *span_id, bool detached, size_t n) {
        FakeSpan *said = fake_daemon_span(&fake, span_id);

        ck_assert_uint_eq(said->n_events, n);
        fake_span_free(said);
        for (size_t i = 0; i < fake.n_records; i++) {
                const RecordHeader *header = &fake.records[i].header;

                if (header->type == RECORD_SPAN && header->id == id_span_key(span_id))
                        ck_assert_int_eq(!!(header->flags & RECORD_DETACHED), detached);
        }
}

/* Whatever was started in between, which is current in its turn. */
START_TEST(a_checkpoint_of_a_detached_span_is_found_where_that_is) {
        const catena_span_options detached = {.flags = CATENA_DETACHED};
        catena_context *context = catena_context_new("w", NULL);
        catena_span outer, middle, inner;

        outer = catena_span_start_with(context, "outer", &detached);
        catena_context_checkpoint(context, "one");
        middle = catena_span_start(context, "middle", 0);
        catena_context_checkpoint(context, "two");
        inner = catena_span_start_with(context, "inner", &detached);
        catena_context_checkpoint(context, "three");
        catena_span_end(inner);
        catena_context_checkpoint(context, "four");
        catena_span_end(middle);
        catena_context_checkpoint(context, "five");
        catena_span_end(outer);
        fake_daemon_take(&fake);
        assert_events(outer.span_id, true, 2);
        assert_events(middle.span_id, false, 2);
        assert_events(inner.span_id, true, 1);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(context);
}
END_TEST

START_TEST(a_checkpoint_is_no_event_of_a_remote_span) {
        catena_context *context = catena_context_extract_strings(
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL, NULL, 0);

        catena_context_checkpoint(context, "first");
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 0);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 2);
        catena_context_free(context);
}
END_TEST

START_TEST(checkpoints_kept_are_bounded) {
        catena_context *context = catena_context_new("w", NULL);
        size_t iterator = 0, n = 0;
        char name[400];

        for (unsigned i = 0; i < 1000; i++) {
                snprintf(name, sizeof name, "checkpoint %u", i);
                catena_context_checkpoint(context, name);
                fake_daemon_take(&fake);
        }
        while (catena_context_next_checkpoint(context, &iterator, NULL, NULL))
                n++;
        ck_assert_uint_gt(n, 100);
        ck_assert_uint_lt(n, 4096 / 13);
        ck_assert_uint_eq(stats().misuse, 1000 - n);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 1001);
        catena_context_checkpoint(context, NULL);
        ck_assert_uint_eq(stats().misuse, 1001 - n);
        catena_context_free(context);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, checkpoints_are_kept_in_order);
        tcase_add_test(tcase, a_child_has_no_checkpoints_yet);
        tcase_add_test(tcase, a_checkpoint_is_an_event_of_the_current_span);
        tcase_add_test(tcase, a_checkpoint_of_a_detached_span_is_found_where_that_is);
        tcase_add_test(tcase, a_checkpoint_is_no_event_of_a_remote_span);
        tcase_add_test(tcase, checkpoints_kept_are_bounded);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-checkpoint");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        return unit_run(suite);
}
