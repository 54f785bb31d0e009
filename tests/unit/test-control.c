/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/control.h"
#include "daemon/control/tail.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static Script script;
static uv_loop_t loop;
static Listener *listener;
static Control *control;
static char socket_path[sizeof script.path + 16], listener_path[sizeof script.path + 16];
static char answer[256 * 1024];

static void failed(void *user, int r) {
        (void)user;
        ck_abort_msg("failed: %s", strerror(-r));
}

static void count(void *user) {
        ++*(unsigned *)user;
}

static MetricsView metrics;
static const size_t no_exporters;

static ControlOptions options(void) {
        return (ControlOptions){
                .metrics = &metrics,
                .socket = socket_path,
                .mode = 0660,
                .recorder = script.recorder,
                .chains = script.chains,
                .listener = listener,
                .journal_report = &script.report,
                .start_unix_ns = 1,
                .sink = {.fail = failed},
        };
}

static void open_control(void) {
        ControlOptions control_options;
        ListenerOptions listener_options = {
                .socket = listener_path,
                .mode = 0666,
                .max_clients = 8,
                .clients_per_uid = 8,
                .sink = {.fail = failed},
        };

        script_init(&script);
        ck_assert_int_eq(metrics_new(&script.metrics, 1), 0);
        script_open(&script);
        snprintf(socket_path, sizeof socket_path, "%s/control", script.path);
        snprintf(listener_path, sizeof listener_path, "%s/listener", script.path);
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        ck_assert_int_eq(listener_open(&listener, &loop, script.recorder, &listener_options), 0);
        metrics = (MetricsView){
                .metrics = script.metrics,
                .recorder = script.recorder,
                .chains = script.chains,
                .listener = listener,
                .n_exporters = &no_exporters,
        };
        control_options = options();
        ck_assert_int_eq(control_open(&control, &loop, &control_options), 0);
}

static void close_control(void) {
        unsigned n_closed = 0;

        control_close(control, count, &n_closed);
        listener_close(listener, count, &n_closed);
        while (uv_run(&loop, UV_RUN_ONCE))
                ;
        ck_assert_uint_eq(n_closed, 2);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        ck_assert_int_ne(access(socket_path, F_OK), 0);
        script_deinit(&script);
        script.metrics = metrics_free(script.metrics);
}

/* ---- a client in the same loop ---- */

static void turn(void) {
        uv_run(&loop, UV_RUN_NOWAIT);
        control_turn(control);
}

static int dial(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        strcpy(address.sun_path, socket_path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

static void say(int fd, const char *text) {
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Whether `answer` holds a whole response. */
static bool is_whole(void) {
        const char *length = strstr(answer, "Content-Length: ");
        const char *body = strstr(answer, "\r\n\r\n");

        return length && body && strlen(body + 4) >= strtoul(length + 16, NULL, 10);
}

/* Goes on until a response is there, or (expect_end) the stream ends. */
static const char *hear(int fd, bool expect_end) {
        size_t size = 0;

        *answer = '\0';
        while (expect_end || !is_whole()) {
                ssize_t n = recv(fd, answer + size, sizeof answer - size - 1, 0);

                if (n == 0 || (n < 0 && errno == ECONNRESET)) {
                        ck_assert(expect_end);
                        break;
                }
                if (n > 0)
                        answer[size += (size_t)n] = '\0';
                else
                        turn();
        }
        return answer;
}

static const char *ask(const char *method, const char *target) {
        char request[512];
        int fd = dial();

        snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: catena\r\n\r\n", method, target);
        say(fd, request);
        hear(fd, false);
        close(fd);
        turn();
        return answer;
}

static void holds(const char *text) {
        ck_assert_msg(strstr(answer, text) != NULL, "no %s in %s", text, answer);
}

static void answers(const char *method, const char *target, unsigned status, const char *text) {
        char line[32];

        snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
        ask(method, target);
        ck_assert_msg(!strncmp(answer, line, strlen(line)), "%s %s: %s", method, target, answer);
        holds(text);
}

/* A root with a part; two spans of the part, one of them ended. */
static Session *tell_a_story(void) {
        Session *session = script_session(&script, 1, "shop");

        script_context(&script, 1, "root/1", "root/1", NULL);
        script_context(&script, 2, "part", "root/1", "root/1");
        script_span_start(&script, 2, 0x11, "first");
        script_span_start(&script, 2, 0x22, "second");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_span_end(&script, 0x22);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        return session;
}

/* ---- what is shown ---- */

START_TEST(status_adds_up) {
        tell_a_story();
        answers("GET", "/v1/status", 200, "Content-Type: application/json\r\n");
        holds("\"conservation\":{\"holds\":true,\"traces\":{\"holds\":true,\"accepted\":\"2\","
              "\"damaged\":\"0\",\"open\":\"1\",\"undecided\":\"0\",\"unsealed\":\"1\","
              "\"sealed\":\"0\",\"finished\":\"0\"");
        holds("\"service\":\"shop\",\"state\":\"alive\",\"connected\":false,\"arena\":false,"
              "\"accepted\":\"2\"");
        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
        answers("GET", "/v1/status", 200, "\"unsealed\":\"0\",\"sealed\":\"1\"");
        holds("\"owed\":\"1\",\"delivered\":\"0\",\"in_memory\":\"1\"");
        script_deliver(&script);
        answers("GET", "/v1/status", 200, "\"sealed\":\"0\",\"finished\":\"1\"");
        holds("\"owed\":\"1\",\"delivered\":\"1\",\"in_memory\":\"0\"");
        holds("\"conservation\":{\"holds\":true");
}
END_TEST

START_TEST(chains_are_listed_and_found) {
        answers("GET", "/v1/chains", 200, "Content-Length: 0\r\n");
        tell_a_story();
        answers("GET", "/v1/chains", 200, "Content-Type: application/x-ndjson\r\n");
        holds("{\"v\":1,\"id\":\"root/1\",\"service\":\"shop\"");
        holds("\"state\":\"running\",\"contexts\":\"2\",\"spans\":\"2\"}\n");
        answers("GET", "/v1/chains?limit=0", 200, "Content-Length: 0\r\n");
        answers("GET", "/v1/chains?errors", 200, "Content-Length: 0\r\n");
        answers("GET", "/v1/chains?running&slow&service=shop", 200, "\"id\":\"root/1\"");
        answers("GET", "/v1/chains?workflow=root", 200, "Content-Length: 0\r\n");
        answers("GET", "/v1/chains/root%2F1", 200, "\"chain\":{\"id\":\"root/1\"");
        answers("GET", "/v1/chains/root/1", 200, "\"chain\":{\"id\":\"root/1\"");
        answers("GET", "/v1/chains/part", 200, "\"causation_ids\":[\"root/1\"]");
        answers("GET", "/v1/chains/2200000000000000", 200, "\"name\":\"second\"");
        answers("GET", "/v1/chains/nobody", 404, "{\"v\":1,\"error\":\"no chain");
}
END_TEST

START_TEST(open_spans_are_listed_longest_first) {
        Session *session = tell_a_story();

        script_span_start(&script, 0, 0x33, "third");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        answers("GET", "/v1/spans?open", 200, "Content-Type: application/x-ndjson\r\n");
        holds("\"spanId\":\"1100000000000000\",\"name\":\"first\"");
        holds("\"contextId\":\"part\",\"service\":\"shop\",\"pid\":1001}\n");
        ck_assert_ptr_null(strstr(answer, "second"));
        ck_assert(strstr(answer, "third") > strstr(answer, "first"));
        answers("GET", "/v1/spans?open&limit=1", 200, "first");
        ck_assert_ptr_null(strstr(answer, "third"));
        answers("GET", "/v1/spans?open&name=third&service=shop&min=1h", 200, "third");
        ck_assert_ptr_null(strstr(answer, "first"));
        answers("GET", "/v1/spans?open&errors", 200, "Content-Length: 0\r\n");
        answers("GET", "/v1/spans?open&since=1h", 200, "Content-Length: 0\r\n");
        answers("GET", "/v1/spans", 400, "{\"v\":1,\"error\":");
}
END_TEST

/* ---- flushes ---- */

START_TEST(a_flush_is_answered_when_its_level_is_reached) {
        int fd;

        tell_a_story();
        answers("POST", "/v1/flush", 200, "{\"v\":1,\"level\":\"journaled\",\"reached\":true}");
        fd = dial();
        say(fd, "POST /v1/flush?level=delivered HTTP/1.1\r\nHost: x\r\n\r\n");
        for (unsigned i = 0; i < 10; i++)
                turn();
        ck_assert_int_eq(recv(fd, answer, 1, 0), -1);
        script_deliver(&script);
        hear(fd, false);
        holds("{\"v\":1,\"level\":\"delivered\",\"reached\":true}");
        close(fd);
        answers("POST", "/v1/flush?level=delivered", 200, "\"reached\":true");
}
END_TEST

START_TEST(a_flush_says_when_it_is_too_late) {
        tell_a_story();
        answers("POST", "/v1/flush?level=delivered&timeout_ms=50", 200,
                "{\"v\":1,\"level\":\"journaled\",\"reached\":false}");
}
END_TEST

START_TEST(what_is_sealed_later_does_not_hold_up_a_flush) {
        Session *session = tell_a_story();
        Batch *batch;
        BatchOutcome outcome = {.n_delivered = 1};
        int fd = dial();

        say(fd, "POST /v1/flush?level=delivered HTTP/1.1\r\nHost: x\r\n\r\n");
        for (unsigned i = 0; i < 10; i++)
                turn();
        batch = recorder_next_batch(script.recorder, 0, BATCH_TRACES, NULL);
        ck_assert_ptr_nonnull(batch);
        script_span_end(&script, 0x11);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
        ck_assert_int_eq(recorder_done(script.recorder, &batch, 0, &outcome, script.now++), 0);
        hear(fd, false);
        holds("\"level\":\"delivered\",\"reached\":true");
        ck_assert_ptr_nonnull(recorder_next_batch(script.recorder, 0, BATCH_TRACES, NULL));
        close(fd);
}
END_TEST

START_TEST(whoever_hangs_up_while_a_flush_waits_is_forgotten) {
        int fd = dial();

        tell_a_story();
        say(fd, "POST /v1/flush?level=delivered HTTP/1.1\r\nHost: x\r\n\r\n");
        for (unsigned i = 0; i < 5; i++)
                turn();
        close(fd);
        for (unsigned i = 0; i < 5; i++)
                turn();
        script_deliver(&script);
        answers("POST", "/v1/flush", 200, "\"reached\":true");
}
END_TEST

/* ---- the tail ---- */

/* Goes on until the answer holds the text. */
static void hear_of(int fd, const char *text) {
        size_t size = 0;

        *answer = '\0';
        while (!strstr(answer, text)) {
                ssize_t n = recv(fd, answer + size, sizeof answer - size - 1, 0);

                ck_assert_msg(n != 0, "hung up on after %s", answer);
                if (n > 0)
                        answer[size += (size_t)n] = '\0';
                else
                        turn();
        }
}

static int tail(const char *query) {
        char request[128];
        int fd = dial();

        snprintf(request, sizeof request, "GET /v1/tail%s HTTP/1.1\r\nHost: x\r\n\r\n", query);
        say(fd, request);
        return fd;
}

START_TEST(a_tail_tells_spans_as_they_end) {
        Session *session = tell_a_story();
        int all = tail(""), failed_ones = tail("?errors");

        hear_of(all, "\r\n\r\n");
        holds("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n");
        holds("Transfer-Encoding: chunked\r\n");
        hear_of(failed_ones, "\r\n\r\n");
        answers("GET", "/v1/status", 200, "\"tail\":{\"readers\":2,\"spans\":\"0\"");
        script_span_end(&script, 0x11);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        hear_of(all, "}\n\r\n");
        holds("\"name\":\"first\"");
        ck_assert_ptr_null(strstr(answer, "second"));
        ck_assert_int_eq(recv(failed_ones, answer, 1, 0), -1);
        close(all);
        close(failed_ones);
        turn();
        turn();
        answers("GET", "/v1/status", 200, "\"tail\":{\"readers\":0,\"spans\":\"1\"");
}
END_TEST

START_TEST(a_tail_may_begin_in_the_past) {
        int fd;

        script.now = (uint64_t)time(NULL) * 1000000000;
        tell_a_story();
        fd = tail("?since=1h&name=second");
        hear_of(fd, "}\n\r\n");
        holds("\"spanId\":\"2200000000000000\"");
        close(fd);
}
END_TEST

START_TEST(a_tail_is_refused_what_it_cannot_have) {
        int fds[TAIL_READERS_MAX + 1], old = dial();

        answers("GET", "/v1/tail?limit=5", 400, "allowed: service, name, errors, min, since");
        answers("POST", "/v1/tail", 405, "error");
        say(old, "GET /v1/tail HTTP/1.0\r\n\r\n");
        hear(old, true);
        holds("HTTP/1.1 400 ");
        close(old);
        for (size_t i = 0; i <= TAIL_READERS_MAX; i++) {
                fds[i] = tail("");
                hear_of(fds[i], "\r\n\r\n");
        }
        holds("HTTP/1.1 503 ");
        answers("GET", "/v1/status", 200, "\"refused\":\"1\",\"cut_off\":\"0\"}");
        for (size_t i = 0; i <= TAIL_READERS_MAX; i++)
                close(fds[i]);
}
END_TEST

START_TEST(a_slow_reader_of_the_tail_is_cut_off) {
        Session *session = tell_a_story();
        char name[4001];
        int slow = tail("");

        hear_of(slow, "\r\n\r\n");
        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        for (uint64_t id = 1000; id < 2000; id++) {
                script_span_start(&script, 2, id, name);
                script_span_end(&script, id);
                ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
                script_deliver(&script);
                turn();
        }
        answers("GET", "/v1/status", 200, "\"tail\":{\"readers\":0,");
        holds("\"cut_off\":\"1\"}");
        while (recv(slow, name, sizeof name, 0) > 0)
                ;
        ck_assert_int_eq(recv(slow, name, sizeof name, 0), 0);
        close(slow);
}
END_TEST

/* ---- bad requests ---- */

START_TEST(what_cannot_be_asked_gets_an_error) {
        answers("GET", "/", 404, "{\"v\":1,\"error\":\"no such path\"}");
        answers("GET", "/v1/statusx", 404, "error");
        answers("GET", "/v1/status/", 404, "error");
        answers("GET", "/v1/chains/", 404, "error");
        answers("GET", "/v1/chains/%zz", 400, "error");
        answers("POST", "/v1/status", 405, "{\"v\":1,\"error\":");
        answers("GET", "/v1/flush", 405, "error");
        answers("DELETE", "/v1/chains/x", 405, "error");
        answers("GET", "/v1/chains?limit=many", 400, "limit");
        answers("GET", "/v1/chains?limit=-1", 400, "limit");
        answers("GET", "/v1/chains?limit=10001", 400, "limit");
        answers("GET", "/v1/chains?min=5", 400, "min: a time: 500ms, 5s, 2m or 1h");
        answers("GET", "/v1/chains?service=%zz", 400, "malformed query");
        answers("GET", "/v1/chains?name=x", 400,
                "name: not known here; allowed: workflow, session, service, errors, running, "
                "slow, min, since, limit");
        answers("GET", "/v1/status?x", 400, "x: not known here");
        answers("POST", "/v1/flush?level=sometime", 400, "level");
        answers("POST", "/v1/flush?timeout_ms=999999999999", 400, "timeout_ms");
}
END_TEST

START_TEST(bad_requests_are_answered_and_hung_up_on) {
        static char request[100 * 1024];
        int fd;

        fd = dial();
        say(fd, "\x16\x03\x01 hello\r\n\r\n");
        ck_assert_ptr_nonnull(strstr(hear(fd, true), "HTTP/1.1 400 "));
        close(fd);

        fd = dial();
        strcpy(request, "GET / HTTP/1.1\r\nX: ");
        memset(request + strlen(request), 'x', 80 * 1024);
        say(fd, request);
        ck_assert_ptr_nonnull(strstr(hear(fd, true), "HTTP/1.1 431 "));
        close(fd);

        fd = dial();
        say(fd, "POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n");
        say(fd, request);
        ck_assert_ptr_nonnull(strstr(hear(fd, true), "HTTP/1.1 413 "));
        close(fd);
        answers("GET", "/v1/status", 200, "\"holds\":true");
}
END_TEST

START_TEST(a_connection_carries_many_requests_in_any_pieces) {
        const char *request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
        int fd = dial();

        for (unsigned i = 0; i < 3; i++) {
                for (const char *at = request; *at; at++) {
                        ck_assert_int_eq(send(fd, at, 1, MSG_NOSIGNAL), 1);
                        turn();
                }
                hear(fd, false);
                holds("HTTP/1.1 200 OK");
        }
        say(fd, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        hear(fd, true);
        holds("Connection: close");
        close(fd);
        fd = dial();
        say(fd, "GET /v1/status HTTP/1.1\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n");
        hear(fd, true);
        ck_assert_ptr_null(strstr(answer + 1, "HTTP/1.1 200"));
        close(fd);
}
END_TEST

START_TEST(connections_over_the_limit_wait_for_a_place) {
        enum { N = 40 };
        int fds[N];

        for (unsigned i = 0; i < N; i++) {
                fds[i] = dial();
                turn();
        }
        say(fds[N - 1], "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
        for (unsigned i = 0; i < 10; i++)
                turn();
        ck_assert_int_eq(recv(fds[N - 1], answer, 1, 0), -1);
        for (unsigned i = 0; i < N - 1; i++)
                close(fds[i]);
        hear(fds[N - 1], false);
        holds("HTTP/1.1 200 OK");
        close(fds[N - 1]);
}
END_TEST

START_TEST(half_a_request_and_a_goodbye_harm_nothing) {
        int fd;

        fd = dial();
        say(fd, "GET /v1/st");
        turn();
        close(fd);
        turn();
        fd = dial();
        close(fd);
        turn();
        fd = dial();
        say(fd, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
        close(fd);
        turn();
        answers("GET", "/v1/status", 200, "\"holds\":true");
}
END_TEST

START_TEST(spans_are_counted_once_somebody_asks_for_metrics) {
        Session *session = tell_a_story();

        answers("GET", "/metrics", 200, "Content-Type: text/plain; version=0.0.4; ");
        holds("\ncatena_spans_accepted_total 2\n");
        ck_assert_ptr_null(strstr(answer, "span_name"));
        script_span_end(&script, 0x11);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        answers("GET", "/metrics", 200, "\ntraces_span_metrics_calls_total{service_name=\"shop\",");
        answers("POST", "/metrics", 405, "error");
        answers("GET", "/metrics?limit=1", 400, "error");
}
END_TEST

/* ---- the socket ---- */

START_TEST(a_socket_that_cannot_be_made_is_refused) {
        ControlOptions other = options();
        Control *second;

        ck_assert_int_eq(control_open(&second, &loop, &other), CONTROL_E_IN_USE);
        other.socket = "/nonexistent/control";
        ck_assert_int_eq(control_open(&second, &loop, &other), CONTROL_E_PATH);
        other.socket = listener_path;
        other.group = "no such group";
        ck_assert_int_eq(control_open(&second, &loop, &other), CONTROL_E_GROUP);
}
END_TEST

START_TEST(closes_with_connections_in_every_state) {
        int fds[4] = {dial(), dial(), dial(), tail("")};

        tell_a_story();
        say(fds[1], "GET /v1/st");
        say(fds[2], "POST /v1/flush?level=delivered HTTP/1.1\r\nHost: x\r\n\r\n");
        for (unsigned i = 0; i < 5; i++)
                turn();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("control");
        TCase *tcase = tcase_create("control");

        tcase_add_checked_fixture(tcase, open_control, close_control);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, status_adds_up);
        tcase_add_test(tcase, chains_are_listed_and_found);
        tcase_add_test(tcase, open_spans_are_listed_longest_first);
        tcase_add_test(tcase, a_flush_is_answered_when_its_level_is_reached);
        tcase_add_test(tcase, a_flush_says_when_it_is_too_late);
        tcase_add_test(tcase, what_is_sealed_later_does_not_hold_up_a_flush);
        tcase_add_test(tcase, whoever_hangs_up_while_a_flush_waits_is_forgotten);
        tcase_add_test(tcase, a_tail_tells_spans_as_they_end);
        tcase_add_test(tcase, a_tail_may_begin_in_the_past);
        tcase_add_test(tcase, a_tail_is_refused_what_it_cannot_have);
        tcase_add_test(tcase, a_slow_reader_of_the_tail_is_cut_off);
        tcase_add_test(tcase, what_cannot_be_asked_gets_an_error);
        tcase_add_test(tcase, bad_requests_are_answered_and_hung_up_on);
        tcase_add_test(tcase, a_connection_carries_many_requests_in_any_pieces);
        tcase_add_test(tcase, connections_over_the_limit_wait_for_a_place);
        tcase_add_test(tcase, half_a_request_and_a_goodbye_harm_nothing);
        tcase_add_test(tcase, spans_are_counted_once_somebody_asks_for_metrics);
        tcase_add_test(tcase, a_socket_that_cannot_be_made_is_refused);
        tcase_add_test(tcase, closes_with_connections_in_every_state);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
