/* SPDX-License-Identifier: Apache-2.0 */

/* How the daemon starts, ends, and starts again. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
        FLUSH_MS = 30000,
        PAUSE_US = 10000,
        EXIT_FAILED = 1,
        EXIT_CONFIGURATION = 78,
};

#define EXPORTER "conservation.traces.exporters.0."

static Harness harness;

/* ---- killed ---- */

START_TEST(daemon_killed_and_restarted) {
        const OtlpSpan *open;
        RawClient client;

        harness_open(&harness, &(HarnessOptions){.refuses = true});
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "survivor", false));
        for (uint64_t id = 1; id <= 1000; id++)
                ck_assert(raw_client_span(&client, id, RECORD_START | RECORD_END, "whole"));
        ck_assert(raw_client_span(&client, 1001, RECORD_START, "open"));
        ck_assert(raw_client_flush(&client));
        harness_kill(&harness);
        raw_client_close(&client);

        harness_start(&harness);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 1001);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 1);
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "survivor", true));
        ck_assert(raw_client_span(&client, 1001, RECORD_END, NULL));
        ck_assert(raw_client_flush(&client));
        ck_assert_uint_eq(harness_get(&harness, "listener.resumed"), 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.sessions"), 1);
        backend_listen(harness.backend);
        harness_await(&harness, EXPORTER "delivered", 1001);
        open = backend_find(harness.backend, "open")->span;
        ck_assert_uint_gt(open->end_time_unix_nano, open->start_time_unix_nano);
        ck_assert_ptr_null(open->status);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 1001);
        raw_client_close(&client);
        harness_finish(&harness);
}
END_TEST

START_TEST(client_library_goes_on_after_a_restart) {
        catena_context *context;
        catena_span outer, inner;
        const BackendSpan *found;
        catena_stats stats;

        harness_open(&harness, NULL);
        people_speak(&harness, "faithful");
        context = catena_context_new("errand", NULL);
        outer = catena_span_start(context, "outer", CATENA_KIND_INTERNAL);
        ck_assert(catena_flush(FLUSH_MS));
        harness_kill(&harness);
        harness_start(&harness);
        catena_flush(FLUSH_MS);
        inner = catena_span_start(context, "inner", CATENA_KIND_INTERNAL);
        catena_span_end(inner);
        catena_span_end(outer);
        catena_context_free(context);
        ck_assert(catena_flush(FLUSH_MS));
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.connections, 2);
        harness_await(&harness, EXPORTER "delivered", 2);
        ck_assert_uint_eq(harness_get(&harness, "counters.sessions"), 1);
        found = backend_find(harness.backend, "inner");
        ck_assert_ptr_nonnull(found);
        ck_assert_mem_eq(found->span->parent_span_id.data, outer.span_id, 8);
        ck_assert_str_eq(
                backend_string(found->span->attributes, found->span->n_attributes, "workflow.id"),
                "errand");
        found = backend_find(harness.backend, "outer");
        ck_assert_ptr_nonnull(found);
        ck_assert_ptr_null(found->span->status);
        harness_finish(&harness);
}
END_TEST

static void open_one_and_wait(void *user) {
        RawClient client;

        (void)user;
        if (!raw_client_connect(&client, harness.socket) ||
            !raw_client_hello(&client, "mourned", false) ||
            !raw_client_span(&client, 1, RECORD_START, "left") || !raw_client_flush(&client))
                _exit(1);
        pause();
}

START_TEST(client_dies_while_the_daemon_is_away) {
        const BackendSpan *left;
        pid_t pid;

        harness_open(&harness, NULL);
        pid = people_fork(open_one_and_wait, NULL);
        harness_await(&harness, "counters.spans_accepted", 1);
        harness_kill(&harness);
        people_kill(pid);
        harness_start(&harness);
        harness_await(&harness, "conservation.traces.finished", 1);
        left = backend_find(harness.backend, "left");
        ck_assert_str_eq(
                backend_string(left->span->attributes, left->span->n_attributes, "catena.end"),
                "process exited");
        harness_finish(&harness);
}
END_TEST

/* ---- told to leave ---- */

static void say_whole(uint64_t n) {
        RawClient client;

        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "speaker", false));
        for (uint64_t id = 1; id <= n; id++)
                ck_assert(raw_client_span(&client, id, RECORD_START | RECORD_END, "whole"));
        raw_client_close(&client);
}

START_TEST(sigterm_flushes) {
        harness_open(&harness, &(HarnessOptions){.delay = "1h"});
        say_whole(300); /* of these the daemon may not have read any yet */
        harness_stop(&harness);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 300);
        ck_assert_int_ne(access(harness.socket, F_OK), 0);
        ck_assert_int_ne(access(harness.control, F_OK), 0);
        harness_start(&harness);
        ck_assert_uint_eq(harness_get(&harness, EXPORTER "delivered"), 300);
        harness_finish(&harness);
}
END_TEST

START_TEST(sigterm_without_a_collector_keeps_all) {
        const HarnessOptions options = {.refuses = true, .shutdown = "100ms"};

        harness_open(&harness, &options);
        say_whole(300);
        harness_stop(&harness);
        backend_listen(harness.backend);
        harness_start(&harness);
        harness_await(&harness, EXPORTER "delivered", 300);
        ck_assert_uint_eq(backend_n_spans(harness.backend), 300);
        harness_finish(&harness);
}
END_TEST

/* ---- what a burst took ---- */

static unsigned long daemon_anonymous_kb(void) {
        unsigned long n = people_anonymous_kb(harness.pid);

        ck_assert_uint_gt(n, 0);
        return n;
}

START_TEST(memory_of_a_burst_is_given_back) {
        enum { SPANS = 30000, BURST_MIN_KB = 8 * 1024 };
        unsigned long before_kb, left_max_kb;
        time_t until;

        harness_open(&harness, &(HarnessOptions){.refuses = true});
        before_kb = daemon_anonymous_kb();
        say_whole(SPANS);
        harness_await(&harness, "counters.spans_closed", SPANS);
        left_max_kb = daemon_anonymous_kb() / 2; /* the view of recent chains stays */
        ck_assert_uint_gt(2 * left_max_kb, before_kb + BURST_MIN_KB);
        backend_listen(harness.backend);
        harness_await(&harness, EXPORTER "delivered", SPANS);
        until = time(NULL) + HARNESS_PATIENCE_S;
        while (daemon_anonymous_kb() > left_max_kb && time(NULL) < until)
                usleep(PAUSE_US);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed, to see who still uses it */
        ck_assert_uint_le(daemon_anonymous_kb(), left_max_kb);
#endif
        harness_finish(&harness);
}
END_TEST

/* ---- starting ---- */

START_TEST(second_daemon_refuses) {
        harness_open(&harness, NULL);
        people_neighbour_begins(&harness);
        ck_assert_int_eq(harness_run_daemon(&harness, NULL), EXIT_FAILED);
        people_neighbour_ends(&harness);
        people_neighbour_lost_nothing(&harness);
        harness_finish(&harness);
}
END_TEST

START_TEST(stale_sockets_are_replaced) {
        harness_open(&harness, NULL);
        harness_kill(&harness);
        ck_assert_int_eq(access(harness.socket, F_OK), 0);
        ck_assert_int_eq(access(harness.control, F_OK), 0);
        harness_start(&harness);
        say_whole(1);
        harness_await(&harness, EXPORTER "delivered", 1);
        harness_finish(&harness);
}
END_TEST

/* Written over the configuration; the daemon says where, and nothing is started. */
static const struct {
        const char *yaml, *said;
} mistakes[] = {
        {"listen: { socket: /tmp/x\n", "catenad.yaml:"},
        {"listen:\n  sokcet: /tmp/x\n", "catenad.yaml:2"},
        {"listne: {}\n", "catenad.yaml:1"},
        {"batch:\n  delay: 10\n", "catenad.yaml:2"},
        {"batch:\n  delay: 10 parsecs\n", "catenad.yaml:2"},
        {"batch: [ 1 ]\n", "catenad.yaml:1"},
        {"journal:\n  max_size: 1MiB\n", "catenad.yaml:2"},
        {"journal:\n  sync: always\n", "catenad.yaml:2"},
        {"journal:\n  path: relative\n", "catenad.yaml:2"},
        {"listen:\n  mode: \"0999\"\n", "catenad.yaml:2"},
        {"log:\n  level: loud\n", "catenad.yaml:2"},
        {"exporters:\n  - name: a\n    endpoint: \"ftp://h\"\n", "catenad.yaml:3"},
        {"exporters:\n  - name: a\n", "catenad.yaml:2"},
        {"exporters:\n  - { name: a, endpoint: \"http://h\" }\n"
         "  - { name: a, endpoint: \"http://h\" }\n",
         "catenad.yaml:3"},
        {"exporters:\n  - name: a\n    endpoint: \"http://h\"\n    compression: zip\n",
         "catenad.yaml:4"},
        {"spool:\n  path: /tmp\n", "catenad.yaml:1"},
};

START_TEST(bad_yaml_exits_78) {
        harness_init(&harness, NULL);
        for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
                FILE *file = fopen(harness.config, "we");

                fputs(mistakes[i].yaml, file);
                ck_assert_int_eq(fclose(file), 0);
                unlink(harness.log);
                ck_assert_int_eq(harness_run_daemon(&harness, "--check-config"),
                                 EXIT_CONFIGURATION);
                ck_assert_int_eq(harness_run_daemon(&harness, NULL), EXIT_CONFIGURATION);
                ck_assert_msg(harness_has_logged(&harness, mistakes[i].said), "%s",
                              mistakes[i].yaml);
                ck_assert_int_ne(access(harness.journal, F_OK), 0);
        }
        harness_remove(&harness);
}
END_TEST

SCENARIO_RUN("daemon", daemon_killed_and_restarted, client_library_goes_on_after_a_restart,
             client_dies_while_the_daemon_is_away, sigterm_flushes,
             sigterm_without_a_collector_keeps_all, memory_of_a_burst_is_given_back,
             second_daemon_refuses, stale_sockets_are_replaced, bad_yaml_exits_78)
