/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/status.h"
#include "tests/unit/unit.h"

#include <string.h>

static RecorderExporter exporter;
static ListenerCounters listener;
static JournalReport report;
static List sessions;
static ExporterStatus exporter_status_now;
static Status status;
static Buffer out;
static const TailCounters tail = {.n_readers = 2, .spans = 9, .refused = 1, .cut_off = 3};

/*
 * Fourteen spans: one damaged, two open, one undecided, one unsealed, three in a sealed batch,
 * three finished, three unsampled.
 */
static void make_status(void) {
        list_init(&sessions);
        exporter = (RecorderExporter){.name = (char *)"default", .signals = 1};
        exporter.of[BATCH_TRACES].n_owed = 6;
        exporter.of[BATCH_TRACES].n_delivered = 2;
        exporter.of[BATCH_TRACES].n_dropped[BATCH_DROP_REFUSED] = 1;
        listener = (ListenerCounters){.connections = 5, .n_clients = 2};
        report = (JournalReport){.n_blocks = 7, .on_tmpfs = true};
        exporter_status_now = (ExporterStatus){
                .name = "default",
                .endpoint = "http://localhost:4318",
                .state = EXPORTER_WAITING,
                .next_try_unix_ns = 99,
                .last_error = "503 Service Unavailable",
                .sends_metrics = true,
                .points = {.n_delivered = 12, .n_dropped = {[BATCH_DROP_PARTIAL] = 3}},
                .metrics_error = "404 Not Found",
        };
        status = (Status){
                .pid = 42,
                .start_unix_ns = 10,
                .now_unix_ns = 30,
                .view = {.counters = {.spans_accepted = 14,
                                      .spans_damaged = 1,
                                      .spans_finished = 3,
                                      .spans_unsampled = 3,
                                      .refused_malformed = 4},
                         .exporters = &exporter,
                         .n_exporters = 1,
                         .sessions = &sessions,
                         .n_spans_open = 2,
                         .n_spans_undecided = 1,
                         .n_unsealed = {1},
                         .n_sealed = {3}},
                .n_pending = {{3}},
                .report = &report,
                .listener = &listener,
                .tail = &tail,
                .exporters = &exporter_status_now,
                .n_exporters = 1,
        };
}

static void free_status(void) {
        buffer_deinit(&out);
}

static void shows(const char *text) {
        out.size = 0;
        ck_assert_int_eq(status_render(&out, &status), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_msg(strstr((char *)out.data, text) != NULL, "no %s in %s", text, out.data);
}

START_TEST(says_what_is_where) {
        shows("{\"v\":1,\"version\":\"" CATENA_VERSION "\",\"pid\":42,"
              "\"start_time_unix_nano\":\"10\",\"uptime_nano\":\"20\"");
        shows("\"traces\":{\"holds\":true,\"accepted\":\"14\",\"damaged\":\"1\",\"open\":\"2\","
              "\"undecided\":\"1\",\"unsealed\":\"1\",\"sealed\":\"3\",\"finished\":\"3\","
              "\"unsampled\":\"3\",\"no_exporter\":\"0\","
              "\"exporters\":[{\"name\":\"default\",\"configured\":true,\"holds\":true,"
              "\"owed\":\"6\",\"delivered\":\"2\",\"in_memory\":\"3\","
              "\"dropped\":{\"collector_refused\":\"1\",");
        shows("\"logs\":{\"holds\":true,\"accepted\":\"0\"");
        shows("\"name\":\"default\",\"configured\":false,\"holds\":true,\"owed\":\"0\"");
        shows("\"tail\":{\"readers\":2,\"spans\":\"9\",\"refused\":\"1\",\"cut_off\":\"3\"}");
        shows("\"refused\":{\"malformed\":\"4\",\"journal_full\":\"0\"");
        shows("\"counters\":{\"spans_accepted\":\"14\"");
        shows("\"listener\":{\"clients\":2,\"connections\":\"5\"");
        shows("\"on_tmpfs\":true,\"recovered\":{\"segments\":\"0\",\"blocks\":\"7\"");
        shows("\"state\":\"waiting\",\"misconfigured\":false,\"requests\":\"0\",\"retries\":\"0\","
              "\"bytes\":\"0\",\"next_try_unix_nano\":\"99\","
              "\"last_error\":\"503 Service Unavailable\"");
        shows("\"metrics\":{\"delivered\":\"12\",\"dropped\":{\"collector_refused\":\"0\","
              "\"collector_rejected\":\"3\"");
        shows("\"last_error\":\"404 Not Found\"");
}
END_TEST

START_TEST(what_does_not_add_up_is_said) {
        shows("\"conservation\":{\"holds\":true");
        status.view.counters.spans_accepted++;
        shows("\"conservation\":{\"holds\":false,\"traces\":{\"holds\":false");
        make_status();
        exporter.of[BATCH_TRACES].n_owed++;
        shows("\"conservation\":{\"holds\":false,\"traces\":{\"holds\":false");
        shows("\"configured\":true,\"holds\":false");
        make_status();
        status.view.counters.logs_accepted++;
        shows("\"conservation\":{\"holds\":false,\"traces\":{\"holds\":true");
        shows("\"logs\":{\"holds\":false");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("status");
        TCase *tcase = tcase_create("status");

        tcase_add_checked_fixture(tcase, make_status, free_status);
        tcase_add_test(tcase, says_what_is_where);
        tcase_add_test(tcase, what_does_not_add_up_is_said);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
