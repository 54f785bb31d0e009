/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <pthread.h>

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

START_TEST(a_root_is_its_own_chain) {
        catena_context *context = catena_context_new("order-4711", "session-9");

        ck_assert_uint_eq(strlen(catena_context_id(context)), 36);
        ck_assert_str_eq(catena_context_correlation_id(context), catena_context_id(context));
        ck_assert_ptr_null(catena_context_causation_id(context));
        ck_assert_str_eq(catena_context_workflow_id(context), "order-4711");
        ck_assert_str_eq(catena_context_session_id(context), "session-9");
        ck_assert_uint_eq(strlen(catena_context_trace_id(context)), 32);
        ck_assert_uint_eq(catena_context_trace_flags(context), 3);
        ck_assert_ptr_null(catena_context_span_id(context));
        ck_assert_ptr_null(catena_context_parent_span_id(context));
        catena_context_free(context);

        context = catena_context_new("", NULL);
        ck_assert_ptr_null(catena_context_workflow_id(context));
        ck_assert_ptr_null(catena_context_session_id(context));
        catena_context_free(context);
}
END_TEST

START_TEST(a_child_is_caused_by_its_parent) {
        catena_context *root = catena_context_new("w", "s");
        catena_span span = catena_span_start(root, "work", 0);
        catena_context *child = catena_context_child(root), *grandchild;
        catena_span first;

        ck_assert_str_eq(catena_context_correlation_id(child), catena_context_correlation_id(root));
        ck_assert_str_eq(catena_context_causation_id(child), catena_context_id(root));
        ck_assert_str_ne(catena_context_id(child), catena_context_id(root));
        ck_assert_str_eq(catena_context_workflow_id(child), "w");
        ck_assert_str_eq(catena_context_session_id(child), "s");
        ck_assert_str_eq(catena_context_trace_id(child), catena_context_trace_id(root));
        ck_assert_str_eq(catena_context_parent_span_id(child), catena_context_span_id(root));

        /* The child's spans hang below the parent's, and leave the parent's current span alone. */
        first = catena_span_start(child, "first", 0);
        ck_assert_mem_eq(first.parent_id, span.span_id, 8);
        ck_assert_str_ne(catena_context_span_id(child), catena_context_span_id(root));

        grandchild = catena_context_child(child);
        ck_assert_str_eq(catena_context_causation_id(grandchild), catena_context_id(child));
        ck_assert_str_eq(catena_context_correlation_id(grandchild), catena_context_id(root));
        catena_context_free(grandchild);
        catena_context_free(child);
        catena_context_free(root);
}
END_TEST

START_TEST(a_correlation_id_from_outside_names_an_unseen_root) {
        catena_context *context =
                catena_context_new_with(&(catena_context_options){.correlation_id = "ticket-1"});

        ck_assert_str_eq(catena_context_correlation_id(context), "ticket-1");
        ck_assert_str_eq(catena_context_causation_id(context), "ticket-1");
        ck_assert_str_ne(catena_context_id(context), "ticket-1");
        catena_context_free(context);
}
END_TEST

START_TEST(a_fan_in_tells_all_causes) {
        static const char *const causes[] = {"one", "", "two", NULL, "three"};
        catena_context *parent = catena_context_new("w", NULL);
        catena_context *context = catena_context_new_with(&(catena_context_options){
                .parent = parent,
                .session_id = "own",
                .causes = causes,
                .n_causes = 5,
        });
        Catena__V1__Context *said;

        ck_assert_str_eq(catena_context_causation_id(context), "one");
        ck_assert_str_eq(catena_context_correlation_id(context), catena_context_id(parent));
        ck_assert_str_eq(catena_context_session_id(context), "own");
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        said = fake_context(fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, 0));
        ck_assert_uint_eq(said->n_causation_ids, 3);
        ck_assert_str_eq(said->causation_ids[2], "three");
        catena__v1__context__free_unpacked(said, NULL);
        catena_context_free(context);
        catena_context_free(parent);
}
END_TEST

START_TEST(a_context_is_announced_with_its_first_record) {
        catena_context *root = catena_context_new("w", "s"), *context;
        Catena__V1__Context *said;
        FakeRecord *record;

        context = catena_context_child(root);
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 1);
        record = fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, 0);
        said = fake_context(record);
        ck_assert_str_eq(said->context_id, catena_context_id(context));
        ck_assert_str_eq(said->correlation_id, catena_context_id(root));
        ck_assert_str_eq(said->causation_ids[0], catena_context_id(root));
        ck_assert_str_eq(said->workflow_id, "w");
        ck_assert_str_eq(said->session_id, "s");
        ck_assert_uint_eq(said->trace_id.len, 16);
        ck_assert_uint_ne(said->start_time_unix_nano, 0);
        catena__v1__context__free_unpacked(said, NULL);

        catena_context_checkpoint(context, "validated");
        fake_daemon_take(&fake);
        said = fake_context(fake_daemon_record(&fake, RECORD_CONTEXT, 0, 1));
        ck_assert_str_eq(said->checkpoints[0]->name, "validated");
        ck_assert_uint_ne(said->checkpoints[0]->time_unix_nano, 0);
        catena__v1__context__free_unpacked(said, NULL);

        catena_context_free(context);
        catena_context_free(root); /* of which nothing was ever said */
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, RECORD_END), 1);
        record = fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_END, 0);
        said = fake_context(record);
        ck_assert_uint_ne(said->end_time_unix_nano, 0);
        catena__v1__context__free_unpacked(said, NULL);
}
END_TEST

START_TEST(a_freed_context_is_harmless) {
        catena_context *context = catena_context_new("w", NULL), *other;
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span span = catena_span_start(context, "span", 0), child;
        catena_stats stats;

        catena_context_free(context);
        other = catena_context_new("other", NULL); /* in the same place */
        ck_assert_ptr_ne(other, context);
        ck_assert_ptr_null(catena_context_id(context));
        ck_assert(!catena_span_recording(catena_span_start(context, "s", 0)));
        catena_context_checkpoint(context, "late");
        catena_context_free(context);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.misuse, 4);

        /* Its spans go on. */
        child = catena_span_child(span, "child", 0);
        catena_span_set_int(child, "n", 1);
        catena_span_end(child);
        catena_span_end(span);
        catena_span_end(outer);
        ck_assert_ptr_null(catena_context_span_id(other));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 3);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.misuse, 4);
        catena_context_free(other);
}
END_TEST

START_TEST(many_contexts_have_their_own_numbers) {
        enum { N = 5000 };
        static catena_context *contexts[N];

        for (unsigned round = 0; round < 2; round++) {
                for (unsigned i = 0; i < N; i++) {
                        char name[16];

                        snprintf(name, sizeof name, "w%u", i);
                        contexts[i] = catena_context_new(name, NULL);
                }
                for (unsigned i = 0; i < N; i++) {
                        char name[16];

                        snprintf(name, sizeof name, "w%u", i);
                        ck_assert_str_eq(catena_context_workflow_id(contexts[i]), name);
                        catena_context_free(contexts[i]);
                        ck_assert_ptr_null(catena_context_workflow_id(contexts[i]));
                }
        }
}
END_TEST

START_TEST(ids_are_cut_at_a_character) {
        char text[300];
        catena_context *context;

        memset(text, 'x', sizeof text);
        memcpy(text + 255, "\xc3\xa4", 3);
        context = catena_context_new(text, "bad\xff");
        ck_assert_uint_eq(strlen(catena_context_workflow_id(context)), 255);
        ck_assert_str_eq(catena_context_session_id(context), "bad\xef\xbf\xbd");
        catena_context_free(context);
}
END_TEST

static uint64_t n_misuses(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats.misuse;
}

START_TEST(ids_that_are_no_plain_text_are_refused) {
        static char too_long[258];
        const char *const bad[] = {"\xff", "a\nb", "a\x7f", "\xef\xbf\xbd", too_long};
        enum { N = sizeof bad / sizeof *bad };

        memset(too_long, 'x', 257);
        for (unsigned i = 0; i < N; i++) {
                const char *const causes[] = {bad[i], "good"};
                catena_context *context = catena_context_new_with(&(catena_context_options){
                        .correlation_id = bad[i],
                        .causes = causes,
                        .n_causes = 2,
                });

                ck_assert_str_eq(catena_context_correlation_id(context),
                                 catena_context_id(context));
                ck_assert_str_eq(catena_context_causation_id(context), "good");
                ck_assert_uint_eq(n_misuses(), 2 * (i + 1));
                catena_context_free(context);
        }
}
END_TEST

START_TEST(ids_of_every_good_kind_are_taken) {
        static char longest[257];
        const char *const good[] = {"x", "a b", "\xc3\xa4", "{}\"'", longest};
        enum { N = sizeof good / sizeof *good };

        memset(longest, 'x', 256);
        for (unsigned i = 0; i < N; i++) {
                catena_context *context = catena_context_new_with(
                        &(catena_context_options){.correlation_id = good[i]});

                ck_assert_str_eq(catena_context_correlation_id(context), good[i]);
                ck_assert_str_eq(catena_context_causation_id(context), good[i]);
                catena_context_free(context);
        }
        ck_assert_uint_eq(n_misuses(), 0);
}
END_TEST

START_TEST(time_passes) {
        catena_context *context = catena_context_new(NULL, NULL);
        double first = catena_context_elapsed_ms(context);

        ck_assert_double_ge(first, 0);
        ck_assert_double_ge(catena_context_elapsed_ms(context), first);
        catena_context_free(context);
}
END_TEST

static void *sees_no_context(void *user) {
        (void)user;
        return catena_context_current();
}

START_TEST(a_thread_has_its_context) {
        catena_context *outer = catena_context_new("outer", NULL);
        catena_context *inner = catena_context_new("inner", NULL), *before;
        pthread_t thread;
        void *seen;

        ck_assert_ptr_null(catena_context_current());
        ck_assert_ptr_null(catena_context_attach(outer));
        before = catena_context_attach(inner);
        ck_assert_ptr_eq(before, outer);
        ck_assert_ptr_eq(catena_context_current(), inner);
        ck_assert_int_eq(pthread_create(&thread, NULL, sees_no_context, NULL), 0);
        ck_assert_int_eq(pthread_join(thread, &seen), 0);
        ck_assert_ptr_null(seen);
        catena_context_detach(before);
        ck_assert_ptr_eq(catena_context_current(), outer);
        catena_context_detach(NULL);
        ck_assert_ptr_null(catena_context_current());
        catena_context_free(inner);
        catena_context_free(outer);
}
END_TEST

/* ---- the environment ---- */

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

START_TEST(the_environment_is_continued) {
        catena_context *context;
        catena_span span;
        FakeSpan *said;

        setenv("TRACEPARENT", "00-" TRACE "-" SPAN "-03", 1);
        setenv("TRACESTATE", "a=1,b=2", 1);
        setenv("BAGGAGE",
               "user=7;p=1, workflow.id=order%204711 ,workflow.session_id=s,"
               "workflow.correlation_id=chain,workflow.context_id=sender,x=%zz",
               1);
        context = catena_context_extract_environ(0);
        ck_assert_str_eq(catena_context_trace_id(context), TRACE);
        ck_assert_str_eq(catena_context_span_id(context), SPAN);
        ck_assert_str_eq(catena_context_parent_span_id(context), SPAN);
        ck_assert_uint_eq(catena_context_trace_flags(context), 3);
        ck_assert_str_eq(catena_context_workflow_id(context), "order 4711");
        ck_assert_str_eq(catena_context_session_id(context), "s");
        ck_assert_str_eq(catena_context_correlation_id(context), "chain");
        ck_assert_str_eq(catena_context_causation_id(context), "sender");

        span = catena_span_start(context, "s", 0);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->flags, 0x303);
        ck_assert_str_eq(said->trace_state, "a=1,b=2");
        fake_span_free(said);
        /* A child of that span is a child of ours. */
        span = catena_span_start(context, "t", 0);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->flags, 0x103);
        ck_assert_str_eq(said->trace_state, "a=1,b=2");
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(what_is_injected_is_extracted) {
        catena_context *context, *child, *received;
        catena_span span;
        char hex[33];

        setenv("TRACEPARENT", "00-" TRACE "-" SPAN "-01", 1);
        setenv("TRACESTATE", "a=1", 1);
        setenv("BAGGAGE", "user=7;p=1,tenant=t", 1);
        context = catena_context_extract_environ(0);
        child = catena_context_new_with(
                &(catena_context_options){.parent = context, .workflow_id = "a,b=c;d %\xc3\xa4"});
        span = catena_span_start(child, "s", 0);
        strcpy(hex, catena_context_span_id(child));
        ck_assert(catena_inject_environ(child, (catena_span){0}));
        ck_assert_str_eq(getenv("TRACESTATE"), "a=1");
        ck_assert_ptr_nonnull(strstr(getenv("BAGGAGE"), "user=7;p=1"));
        ck_assert_ptr_nonnull(strstr(getenv("BAGGAGE"), "tenant=t"));

        received = catena_context_extract_environ(0);
        ck_assert_str_eq(catena_context_trace_id(received), TRACE);
        ck_assert_str_eq(catena_context_span_id(received), hex);
        ck_assert_str_eq(catena_context_workflow_id(received), "a,b=c;d %\xc3\xa4");
        ck_assert_str_eq(catena_context_correlation_id(received),
                         catena_context_correlation_id(context));
        ck_assert_str_eq(catena_context_causation_id(received), catena_context_id(child));
        catena_context_free(received);

        /* A span alone: no baggage, but its own tracestate. */
        ck_assert(catena_inject_environ(NULL, span));
        ck_assert_ptr_null(getenv("BAGGAGE"));
        ck_assert_str_eq(getenv("TRACESTATE"), "a=1");
        ck_assert_ptr_nonnull(strstr(getenv("TRACEPARENT"), hex));
        catena_context_free(child);
        catena_context_free(context);
}
END_TEST

START_TEST(nothing_to_say_removes_the_variables) {
        catena_context *context = catena_context_new(NULL, NULL);

        setenv("TRACEPARENT", "00-" TRACE "-" SPAN "-01", 1);
        setenv("TRACESTATE", "a=1", 1);
        ck_assert(!catena_inject_environ(context, (catena_span){0}));
        ck_assert_ptr_null(getenv("TRACEPARENT"));
        ck_assert_ptr_null(getenv("TRACESTATE"));
        ck_assert_ptr_nonnull(strstr(getenv("BAGGAGE"), catena_context_id(context)));
        catena_context_free(context);
}
END_TEST

START_TEST(bad_headers_make_a_root) {
        catena_context *context;

        setenv("TRACEPARENT", "00-" TRACE "-0000000000000000-01", 1);
        setenv("TRACESTATE", "a=1", 1);
        setenv("BAGGAGE", "=;,,workflow.context_id=alone", 1);
        context = catena_context_extract_environ(0);
        ck_assert_str_ne(catena_context_trace_id(context), TRACE);
        ck_assert_ptr_null(catena_context_parent_span_id(context));
        ck_assert_ptr_null(catena_context_causation_id(context));
        ck_assert_str_eq(catena_context_correlation_id(context), catena_context_id(context));
        ck_assert(!catena_inject_environ(context, (catena_span){0}));
        ck_assert_ptr_null(getenv("TRACESTATE"));
        catena_context_free(context);

        setenv("TRACEPARENT", "00-" TRACE "-" SPAN "-01", 1);
        setenv("TRACESTATE", "UPPER=1", 1);
        context = catena_context_extract_environ(0);
        ck_assert_str_eq(catena_context_trace_id(context), TRACE);
        ck_assert(catena_inject_environ(context, (catena_span){0}));
        ck_assert_ptr_null(getenv("TRACESTATE"));
        catena_context_free(context);
}
END_TEST

START_TEST(much_baggage_is_cut_between_members) {
        static char header[20000];
        catena_context *context;
        size_t size = 0;

        for (unsigned i = 0; i < 50; i++)
                size += (size_t)sprintf(header + size, "%sk%u=%0200u", i ? "," : "", i, i);
        setenv("BAGGAGE", header, 1);
        context = catena_context_extract_environ(0);
        (void)catena_inject_environ(context, (catena_span){0});
        size = strlen(getenv("BAGGAGE"));
        ck_assert_uint_le(size, 8192);
        ck_assert_uint_gt(size, 7000);
        for (const char *at = getenv("BAGGAGE"); (at = strstr(at, ",k")); at++)
                ck_assert_uint_eq(strspn(strchr(at, '=') + 1, "0123456789"), 200);
        catena_context_free(context);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, a_root_is_its_own_chain);
        tcase_add_test(tcase, a_child_is_caused_by_its_parent);
        tcase_add_test(tcase, a_correlation_id_from_outside_names_an_unseen_root);
        tcase_add_test(tcase, a_fan_in_tells_all_causes);
        tcase_add_test(tcase, a_context_is_announced_with_its_first_record);
        tcase_add_test(tcase, a_freed_context_is_harmless);
        tcase_add_test(tcase, many_contexts_have_their_own_numbers);
        tcase_add_test(tcase, ids_are_cut_at_a_character);
        tcase_add_test(tcase, ids_that_are_no_plain_text_are_refused);
        tcase_add_test(tcase, ids_of_every_good_kind_are_taken);
        tcase_add_test(tcase, time_passes);
        tcase_add_test(tcase, a_thread_has_its_context);
        tcase_add_test(tcase, the_environment_is_continued);
        tcase_add_test(tcase, what_is_injected_is_extracted);
        tcase_add_test(tcase, nothing_to_say_removes_the_variables);
        tcase_add_test(tcase, bad_headers_make_a_root);
        tcase_add_test(tcase, much_baggage_is_cut_between_members);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-context");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        return unit_run(suite);
}
