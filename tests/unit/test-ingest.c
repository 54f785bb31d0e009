/* SPDX-License-Identifier: Apache-2.0 */

/* From the socket through the journal to what an exporter sends. */

#include "catena.pb-c.h"
#include "tests/unit/arena-writer.h"
#include "tests/unit/trace-script.h"

#include <signal.h>
#include <sys/wait.h>

static Script script;

static void setup_all(void) {
        script_init(&script);
        script_open(&script);
        setup(script.recorder);
        open_listener();
}

static void setup_with_arenas(void) {
        script_init(&script);
        script_open(&script);
        setup(script.recorder);
        options.arena_bytes_per_uid = SIZE_MAX;
        open_listener();
}

static void teardown_all(void) {
        teardown();
        script_deinit(&script);
}

/* What was said so far goes to the socket instead of the recorder. */
static void send_script(int fd) {
        client_send(fd, script.records.data, script.records.size);
        script.records.size = 0;
}

static void say_hello(int fd, const uint8_t *token) {
        Opentelemetry__Proto__Resource__V1__Resource resource =
                OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
        Opentelemetry__Proto__Common__V1__KeyValue
                pair = OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT,
                *pairs = &pair;
        Opentelemetry__Proto__Common__V1__AnyValue value =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
        Catena__V1__Hello hello = CATENA__V1__HELLO__INIT;

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)"shop";
        pair.key = (char *)"service.name";
        pair.value = &value;
        resource.n_attributes = 1;
        resource.attributes = &pairs;
        hello.version = RECORD_VERSION;
        hello.resource = &resource;
        if (token)
                hello.token = (ProtobufCBinaryData){RECORD_TOKEN_SIZE, (uint8_t *)token};
        script_say(&script, RECORD_HELLO, 0, 0, 0, &hello);
        send_script(fd);
}

static void flush(int fd) {
        char body[256];

        client_put(fd, RECORD_FLUSH, 0, 1);
        ck_assert_uint_eq(client_receive(fd, body).type, RECORD_FLUSHED);
}

static RecorderCounters counters(void) {
        RecorderView view;

        recorder_view(script.recorder, &view);
        return view.counters;
}

START_TEST(spans_come_out_as_they_were_said) {
        int fd = client_connect();

        say_hello(fd, NULL);
        script_span_end(&script, 0x21); /* in any order within a pass */
        script_span_attribute(&script, 0x21, "a", "one");
        script_span_start(&script, 0, 0x21, "first");
        script_span_start(&script, 0, 0x22, "second");
        send_script(fd);
        expect_welcome(fd, NULL);
        flush(fd);
        script_span_attribute(&script, 0x22, "b", "two");
        script_span_end(&script, 0x22);
        script_span_start(&script, 0, 0x23, "third");
        send_script(fd);
        flush(fd);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop first status=0 a=one");
        ck_assert_str_eq(script_exported(&script, 0x22), "shop second status=0 b=two");
        ck_assert_ptr_null(script_exported(&script, 0x23));
        client_put(fd, RECORD_BYE, 0, 0);
        expect_hang_up(fd, NULL);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x23),
                         "shop third status=0 catena.end=abandoned");
        script_assert_conservation(&script);
}
END_TEST

START_TEST(a_killed_client_loses_nothing_it_has_said) {
        pid_t child = fork();

        if (child == 0) {
                int fd = client_connect();

                say_hello(fd, NULL);
                script_span_start(&script, 0, 0x21, "done");
                script_span_end(&script, 0x21);
                script_span_start(&script, 0, 0x22, "open");
                send_script(fd);
                client_send(fd, "half a record", 13);
                kill(getpid(), SIGKILL);
        }
        RUN_UNTIL(counters().spans_exited);
        waitpid(child, NULL, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop done status=0");
        ck_assert_str_eq(script_exported(&script, 0x22),
                         "shop open status=2 catena.end=process exited [exception]");
        script_assert_conservation(&script);
}
END_TEST

START_TEST(a_span_goes_on_over_a_restart) {
        uint8_t token[RECORD_TOKEN_SIZE];
        int fd = client_connect();

        say_hello(fd, NULL);
        expect_welcome(fd, token);
        script_span_start(&script, 0, 0x21, "long");
        send_script(fd);
        flush(fd);
        close(fd);
        close_listener();
        script_crash(&script);

        script_open(&script);
        listened = script.recorder;
        open_listener();
        fd = client_connect();
        say_hello(fd, token);
        expect_welcome(fd, NULL);
        ck_assert_uint_eq(listener_counters(listener)->resumed, 1);
        script_span_end(&script, 0x21);
        send_script(fd);
        flush(fd);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop long status=0");
        ck_assert_uint_eq(counters().sessions, 1);
        script_assert_conservation(&script);
        close(fd);
}
END_TEST

/* A client that says HELLO by whatever bytes; another one beside it is heard. */
START_TEST(a_hello_with_a_broken_resource_is_refused) {
        static const char deep[] = "\x08\x01\x12\x03\x0a\x01\x0b"; /* a group in an attribute */
        int fd = client_connect();

        script_say_raw(&script, RECORD_HELLO, 0, 0, 0, deep, sizeof deep - 1);
        send_script(fd);
        expect_hang_up(fd, "HELLO");
        ck_assert_uint_eq(listener_counters(listener)->hung_up_hello, 1);
        ck_assert_uint_eq(counters().sessions, 0);
        fd = client_connect();
        say_hello(fd, NULL);
        expect_welcome(fd, NULL);
        close(fd);
}
END_TEST

/* First spans are refused and counted, then the socket is not read until the collector is back. */
START_TEST(a_full_journal_refuses_then_waits) {
        enum { ROUNDS = 1600, SPANS = 40, NAME = 500 };
        char name[NAME + 1] = {0};
        unsigned n_waits = 0;
        char byte;
        int fd = client_connect();
        uint64_t id = 1;

        memset(name, 'n', NAME);
        say_hello(fd, NULL);
        expect_welcome(fd, NULL);
        for (unsigned i = 0; i < ROUNDS; i++) {
                for (unsigned n = 0; n < SPANS; n++, id++) {
                        script_span_start(&script, 0, id, name);
                        script_span_end(&script, id);
                }
                send_script(fd);
                client_put(fd, RECORD_FLUSH, 0, i);
                run_dry();
                if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
                        n_waits++;
                        script_deliver(&script);
                        ck_assert_int_ge(recorder_reclaim(script.recorder, script.now++), 0);
                        run_dry();
                }
                ck_assert_uint_eq(client_receive(fd, (char[256]){0}).id, i);
        }
        ck_assert_uint_gt(n_waits, 0);
        ck_assert_uint_gt(counters().refused_spans, 0);
        ck_assert_uint_eq(counters().spans_accepted + counters().refused_spans, id - 1);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, counters().spans_accepted);
        script_assert_conservation(&script);
        close(fd);
}
END_TEST

/* As `catena flush` needs it, which looks at no client's answer. */
START_TEST(arenas_are_read_at_once_in_a_hurry) {
        Writer writer;
        int fd = client_open_arena(&writer, NULL);

        script_span_start(&script, 0, 0x21, "quick");
        ck_assert(writer_put(&writer, 0, script.records.data, script.records.size));
        script.records.size = 0;
        listener_hurry(listener);
        uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_uint_eq(counters().spans_accepted, 1);
        script_deliver(&script);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest");
        TCase *tcase = tcase_create("ingest"), *arenas = tcase_create("arenas");

        tcase_add_checked_fixture(tcase, setup_all, teardown_all);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, spans_come_out_as_they_were_said);
        tcase_add_test(tcase, a_killed_client_loses_nothing_it_has_said);
        tcase_add_test(tcase, a_span_goes_on_over_a_restart);
        tcase_add_test(tcase, a_hello_with_a_broken_resource_is_refused);
        tcase_add_test(tcase, a_full_journal_refuses_then_waits);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(arenas, setup_with_arenas, teardown_all);
        tcase_add_test(arenas, arenas_are_read_at_once_in_a_hurry);
        suite_add_tcase(suite, arenas);
        return unit_run(suite);
}
