/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/fake-recorder.h"

#include <dirent.h>

static unsigned n_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

START_TEST(welcomes_and_takes_what_came_with_the_hello) {
        int fd;
        Buffer sent = BUFFER_NULL;
        size_t hello_size;

        open_listener();
        put_hello(&sent, RECORD_VERSION, NULL, 0);
        hello_size = sent.size;
        put(&sent, RECORD_SPAN, RECORD_START, 1, "one", 3);
        put(&sent, RECORD_SPAN, RECORD_END, 1, "two", 3);
        fd = client_connect();
        client_send(fd, sent.data, sent.size);
        expect_welcome(fd, NULL);
        RUN_UNTIL(recorder.n_passes);
        buffer_consume(&sent, hello_size);
        assert_taken(recorder.last, &sent);
        ck_assert_uint_eq(recorder.last->n_closed, 1);
        ck_assert_uint_eq(recorder.last->session.credentials.pid, (uint32_t)getpid());
        ck_assert_uint_eq(listener_counters(listener)->connections, 1);
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 1);
        ck_assert_uint_eq(listener_counters(listener)->bytes, hello_size + sent.size);
        buffer_deinit(&sent);
        close(fd);
}
END_TEST

START_TEST(puts_records_together_again) {
        static const size_t steps[] = {1, 5, 23, 24, 25, 40};
        char body[300];

        open_listener();
        memset(body, 'b', sizeof body);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                int fd = client_open();
                Buffer sent = BUFFER_NULL;

                for (size_t size = 0; size < sizeof body; size += 33)
                        put(&sent, RECORD_SPAN, 0, size, body, size);
                for (size_t at = 0; at < sent.size; at += steps[i]) {
                        size_t rest = sent.size - at;
                        client_send(fd, sent.data + at, rest < steps[i] ? rest : steps[i]);
                        run_dry();
                }
                assert_taken(recorder.last, &sent);
                buffer_deinit(&sent);
                close(fd);
                run_dry();
        }
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 0);
}
END_TEST

START_TEST(takes_records_of_every_size) {
        char *body = calloc(1, RECORD_SIZE_MAX);
        Buffer sent = BUFFER_NULL;
        int fd;

        open_listener();
        fd = client_open();
        put(&sent, RECORD_LOG, 0, 0, body, 0);
        put(&sent, RECORD_LOG, 0, 0, body, RECORD_SIZE_MAX - RECORD_HEADER_SIZE);
        put(&sent, RECORD_LOG, 0, 0, body, 7);
        for (size_t at = 0; at < sent.size; at += RECORD_SEND_MAX) {
                size_t rest = sent.size - at;
                client_send(fd, sent.data + at, rest < RECORD_SEND_MAX ? rest : RECORD_SEND_MAX);
                run_dry();
        }
        assert_taken(recorder.last, &sent);
        buffer_deinit(&sent);
        free(body);
        close(fd);
}
END_TEST

/* What breaks the rules, and what the client is told. */
static const struct {
        RecordHeader header;
        const char *why;
} faults[] = {
        {{.size = 24, .type = RECORD_HELLO}, "a second HELLO"},
        {{.size = 24, .type = RECORD_WELCOME}, "type"},
        {{.size = 24, .type = RECORD_FLUSHED}, "type"},
        {{.size = 24, .type = RECORD_ERROR}, "type"},
        {{.size = 24, .type = RECORD_SESSION}, "type"},
        {{.size = 24, .type = RECORD_DONE}, "type"},
        {{.size = 24, .type = 0}, "type"},
        {{.size = 24, .type = 999}, "type"},
        {{.size = 23, .type = RECORD_SPAN}, "smaller"},
        {{.size = 0, .type = RECORD_SPAN}, "smaller"},
        {{.size = RECORD_SIZE_MAX + 1, .type = RECORD_SPAN}, "larger"},
        {{.size = UINT32_MAX, .type = RECORD_SPAN}, "larger"},
        {{.size = 24, .type = RECORD_SPAN, .flags = 0x100}, "flags"},
        {{.size = 24, .type = RECORD_SPAN, .flags = RECORD_SNAPSHOT}, "flags"},
};

START_TEST(hangs_up_on_what_is_no_record_after_taking_what_was) {
        Buffer good = BUFFER_NULL, sent = BUFFER_NULL;
        uint8_t bad[RECORD_HEADER_SIZE];
        FakeSession *bystander;
        int fd, other;

        open_listener();
        other = client_open();
        bystander = recorder.last;
        fd = client_open();
        put(&good, RECORD_SPAN, RECORD_START | RECORD_END, 1, "good", 4);
        record_header_write(bad, &faults[_i].header);
        buffer_append(&sent, good.data, good.size);
        buffer_append(&sent, bad, sizeof bad);
        buffer_append(&sent, good.data, good.size);
        client_send(fd, sent.data, sent.size);
        expect_hang_up(fd, faults[_i].why);
        assert_taken(recorder.last, &good);
        ck_assert_uint_eq(recorder.last->n_closed, 1);
        ck_assert_int_eq(recorder.last->session.state, SESSION_ALIVE);
        ck_assert_ptr_null(recorder.last->session.peer);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 1);

        client_send(other, good.data, good.size);
        RUN_UNTIL(bystander->n_closed);
        assert_taken(bystander, &good);
        buffer_deinit(&good);
        buffer_deinit(&sent);
        close(other);
}
END_TEST

START_TEST(a_connection_begins_with_hello) {
        int fd;

        open_listener();
        fd = client_connect();
        client_put(fd, RECORD_SPAN, 0, 1);
        expect_hang_up(fd, "not a HELLO");
        fd = client_connect();
        client_send(fd, "GET / HTTP/1.1\r\nHost: catena\r\n\r\n", 32);
        expect_hang_up(fd, "larger");
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 2);
        ck_assert_uint_eq(recorder.n_sessions, 0);
}
END_TEST

START_TEST(a_bad_hello_is_refused) {
        static const uint8_t token[RECORD_TOKEN_SIZE + 1];
        Buffer sent = BUFFER_NULL;

        open_listener();
        for (unsigned i = 0; i < 5; i++) {
                static const char *const why[] = {"version", "token", "token", "protobuf", "rule"};
                int fd = client_connect();

                sent.size = 0;
                recorder.refuses_hello = i == 4;
                if (i == 3)
                        put(&sent, RECORD_HELLO, 0, 0, "\x0b\x0c", 2);
                else
                        put_hello(&sent, i ? RECORD_VERSION : 2, i == 1 || i == 2 ? token : NULL,
                                  i == 1 ? sizeof token : 1);
                client_send(fd, sent.data, sent.size);
                expect_hang_up(fd, why[i]);
                ck_assert_uint_eq(listener_counters(listener)->hung_up_hello, i + 1);
        }
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 0);
        buffer_deinit(&sent);
}
END_TEST

START_TEST(waits_only_so_long) {
        int silent, half_hello, half_record, busy;
        Buffer hello = BUFFER_NULL;

        options.patience_ms = 60;
        open_listener();
        busy = client_open();
        half_record = client_open();
        silent = client_connect();
        half_hello = client_connect();
        put_hello(&hello, RECORD_VERSION, NULL, 0);
        client_send(half_hello, hello.data, hello.size - 1);
        client_send(half_record, "\x20\0\0\0\5\0\0\0", 8);
        expect_hang_up(silent, "HELLO");
        expect_hang_up(half_hello, "HELLO");
        expect_hang_up(half_record, "half a record");
        ck_assert_uint_eq(listener_counters(listener)->hung_up_hello, 2);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_partial, 1);
        /* Silence between records is fine. */
        client_put(busy, RECORD_FLUSH, 0, 7);
        ck_assert_uint_eq(client_receive(busy, (char[256]){0}).type, RECORD_FLUSHED);
        buffer_deinit(&hello);
        close(busy);
}
END_TEST

START_TEST(dripping_does_not_buy_time) {
        char *zeros = calloc(1, 200000), body[256];
        Buffer record = BUFFER_NULL;
        size_t at = 0;
        int fd;

        options.patience_ms = 60;
        open_listener();
        fd = client_open();
        put(&record, RECORD_LOG, 0, 0, zeros, 200000);
        while (!listener_counters(listener)->hung_up_partial) {
                client_send(fd, record.data + at++, 1);
                uv_run(&loop, UV_RUN_ONCE);
                ck_assert_uint_lt(at, record.size);
        }
        ck_assert_uint_eq(client_receive(fd, body).type, RECORD_ERROR);
        buffer_deinit(&record);
        free(zeros);
        close(fd);
}
END_TEST

/* By the next FLUSHED, and by none after it. */
static void assert_told_once(int fd, const char field[2]) {
        char body[256];

        for (uint64_t id = 200; id < 202; id++) {
                client_put(fd, RECORD_FLUSH, 0, id);
                ck_assert_uint_eq(client_receive(fd, body).size,
                                  RECORD_HEADER_SIZE + (id == 200 ? 2 : 0));
                ck_assert(id > 200 || !memcmp(body, field, 2));
        }
}

START_TEST(answers_flushes_when_their_pass_is_complete) {
        Buffer sent = BUFFER_NULL;
        char body[256];
        int fd;

        open_listener();
        fd = client_open();
        for (uint64_t id = 100; id < 110; id++) {
                put(&sent, RECORD_SPAN, RECORD_START | RECORD_END, id, "span", 4);
                put(&sent, RECORD_FLUSH, 0, id, "", 0);
        }
        client_send(fd, sent.data, sent.size);
        for (uint64_t id = 100; id < 110; id++) {
                RecordHeader header = client_receive(fd, body);
                ck_assert_uint_eq(header.type, RECORD_FLUSHED);
                ck_assert_uint_eq(header.id, id);
                ck_assert_uint_eq(recorder.last->n_closed, 10);
        }
        /* What was refused is told once. */
        recorder.last->session.n_refused = 7;
        assert_told_once(fd, "\x10\x07");
        recorder.last->session.n_orphans_untold = 5;
        assert_told_once(fd, "\x18\x05");
        /* Also to one that will say nothing more. */
        client_put(fd, RECORD_FLUSH, 0, 1);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        ck_assert_uint_eq(client_receive(fd, body).id, 1);
        expect_hang_up(fd, NULL);
        buffer_deinit(&sent);
}
END_TEST

START_TEST(does_not_wait_for_who_does_not_read) {
        Buffer sent = BUFFER_NULL;
        int fd;

        open_listener();
        fd = client_open();
        for (uint64_t id = 0; id < 500; id++)
                put(&sent, RECORD_FLUSH, 0, id, "", 0);
        while (!listener_counters(listener)->hung_up_unread) {
                client_send(fd, sent.data, sent.size);
                run_dry();
        }
        ck_assert_ptr_null(recorder.last->session.peer);
        buffer_deinit(&sent);
        close(fd);
}
END_TEST

START_TEST(too_many_flushes_at_once) {
        Buffer sent = BUFFER_NULL;
        int fd;

        open_listener();
        fd = client_open();
        for (uint64_t id = 0; id <= 1024; id++)
                put(&sent, RECORD_FLUSH, 0, id, "", 0);
        client_send(fd, sent.data, sent.size);
        RUN_UNTIL(listener_counters(listener)->hung_up_protocol);
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 0);
        buffer_deinit(&sent);
        close(fd);
}
END_TEST

START_TEST(bye_ends_the_session) {
        Buffer sent = BUFFER_NULL;
        char body[256];
        int fd;

        open_listener();
        fd = client_open();
        put(&sent, RECORD_SPAN, RECORD_START, 1, "span", 4);
        put(&sent, RECORD_FLUSH, 0, 5, "", 0);
        put(&sent, RECORD_BYE, 0, 0, "", 0);
        put(&sent, RECORD_SPAN, RECORD_END, 1, "span", 4); /* another thread's */
        client_send(fd, sent.data, sent.size);
        ck_assert_uint_eq(client_receive(fd, body).type, RECORD_FLUSHED);
        expect_hang_up(fd, NULL);
        ck_assert_int_eq(recorder.last->session.state, SESSION_SAID_BYE);
        ck_assert_uint_eq(recorder.last->n_closed, 1);
        assert_taken(recorder.last, &sent);
        buffer_deinit(&sent);
}
END_TEST

START_TEST(a_wake_means_nothing_on_a_stream) {
        int fd;

        open_listener();
        fd = client_open();
        client_put(fd, RECORD_WAKE, 0, 0);
        client_put(fd, RECORD_FLUSH, 0, 9);
        ck_assert_uint_eq(client_receive(fd, (char[256]){0}).id, 9);
        close(fd);
}
END_TEST

START_TEST(descriptors_are_not_taken) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS}};
        Buffer sent = BUFFER_NULL;
        struct iovec part;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        unsigned n_before;

        open_listener();
        put(&sent, RECORD_SPAN, RECORD_START, 1, "span", 4);
        n_before = n_descriptors();
        for (unsigned i = 0; i < 3; i++) {
                int fd = client_open();

                memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
                part = (struct iovec){sent.data, sent.size};
                ck_assert_int_eq(sendmsg(fd, &message, 0), (ssize_t)sent.size);
                expect_hang_up(fd, "descriptors");
                assert_taken(recorder.last, &sent);
        }
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 3);
        close_listener();
        ck_assert_uint_lt(n_descriptors(), n_before);
        buffer_deinit(&sent);
}
END_TEST

static int hooked;

static void send_an_end(void) {
        client_put(hooked, RECORD_SPAN, RECORD_START | RECORD_END, 2);
}

START_TEST(an_end_in_cut_2_waits_for_a_pass_that_comes_at_once) {
        open_listener();
        hooked = client_open();
        client_put(hooked, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        recorder.on_reserve = send_an_end; /* it arrives while cut 1 is being read */
        uv_run(&loop, UV_RUN_ONCE);
        ck_assert_uint_eq(recorder.n_blocks, 3);
        ck_assert_uint_eq(recorder.n_passes, 2);
        ck_assert_uint_eq(recorder.last->n_closed, 2);
        close(hooked);
}
END_TEST

static void send_too_much(void) {
        char *body = calloc(1, RECORD_SIZE_MAX);
        Buffer record = BUFFER_NULL;

        for (unsigned i = 0; i < 5; i++)
                put(&record, RECORD_LOG, 0, 0, body, RECORD_SIZE_MAX - RECORD_HEADER_SIZE);
        put(&record, RECORD_SPAN, RECORD_END, 2, "", 0);
        ck_assert_int_eq(send(hooked, record.data, record.size, MSG_DONTWAIT),
                         (ssize_t)record.size);
        buffer_deinit(&record);
        free(body);
}

START_TEST(a_pass_over_a_megabyte_stays_open) {
        int size = 4 * 1024 * 1024;

        open_listener();
        hooked = client_open();
        if (setsockopt(hooked, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) {
                close(hooked);
                return; /* only root may have such a socket */
        }
        client_put(hooked, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        recorder.on_reserve = send_too_much;
        uv_run(&loop, UV_RUN_ONCE);
        ck_assert_uint_eq(recorder.n_passes, 0);
        ck_assert_uint_eq(recorder.last->n_closed, 0);
        RUN_UNTIL(recorder.n_passes);
        ck_assert_uint_eq(recorder.last->n_closed, 2);
        ck_assert_uint_le(recorder.largest_block, JOURNAL_BLOCK_MAX);
        close(hooked);
}
END_TEST

START_TEST(a_full_journal_leaves_clients_unread) {
        unsigned n_before;
        int fd, late;

        open_listener();
        fd = client_open();
        recorder.full = true;
        late = client_connect();
        client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        client_hello(late, NULL);
        run_dry();
        n_before = recorder.n_reserved;
        run_dry(); /* each is tried again, once a turn */
        ck_assert_uint_le(recorder.n_reserved - n_before, 40);
        ck_assert_uint_eq(recorder.n_blocks, 0);
        recorder.full = false;
        run_dry();
        expect_welcome(late, NULL);
        ck_assert_uint_eq(recorder.n_passes, 1);
        ck_assert_uint_eq(
                list_entry(list_first(&recorder.sessions), FakeSession, session.link)->n_closed, 1);
        close(fd);
        close(late);
}
END_TEST

START_TEST(who_cannot_come_in_keeps_nobody_waiting) {
        int fd, late;

        open_listener();
        fd = client_open();
        recorder.full = recorder.refuses_sessions = true;
        late = client_connect();
        client_hello(late, NULL);
        run_dry();
        client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        run_dry();
        ck_assert_uint_eq(recorder.n_passes, 0);
        recorder.full = false;
        run_dry();
        ck_assert_uint_eq(recorder.n_passes, 1);
        ck_assert_uint_eq(recorder.n_sessions, 1);
        recorder.refuses_sessions = false;
        run_dry();
        expect_welcome(late, NULL);
        close(fd);
        close(late);
}
END_TEST

static void random_records(int fd, unsigned *state) {
        Buffer sent = BUFFER_NULL;
        size_t n = 1 + (*state >> 8) % 40;

        for (size_t i = 0; i < n; i++) {
                static const uint8_t body[200];
                *state = *state * 1664525 + 1013904223;
                put(&sent, (RecordType)((*state >> 28) ? RECORD_SPAN : (*state >> 20) % 16),
                    (*state >> 16) & 3, *state, body, (*state >> 10) % sizeof body);
        }
        if (*state & 0x10000)
                sent.data[(*state >> 3) % sent.size] ^= (uint8_t)(1 << (*state % 8));
        /* It may have been hung up on. */
        (void)send(fd, sent.data, (*state >> 5) % sent.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        buffer_deinit(&sent);
}

START_TEST(no_bytes_bring_it_down) {
        unsigned state = 4711;
        FakeSession *good;
        char body[256];
        int good_fd;

        open_listener();
        good_fd = client_open();
        good = recorder.last;
        for (unsigned i = 0; i < 300; i++) {
                int fd = i % 3 ? client_open() : client_connect();

                for (unsigned n = 0; n < 5; n++) {
                        random_records(fd, &state);
                        uv_run(&loop, UV_RUN_NOWAIT);
                }
                close(fd);
        }
        client_put(good_fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        client_put(good_fd, RECORD_FLUSH, 0, 1);
        ck_assert_uint_eq(client_receive(good_fd, body).type, RECORD_FLUSHED);
        ck_assert_uint_eq(good->n_closed, 1);
        ck_assert_uint_gt(listener_counters(listener)->hung_up_protocol, 0);
        run_dry();
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 1);
        close(good_fd);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("peer");
        TCase *tcase = tcase_create("peer");

        tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, welcomes_and_takes_what_came_with_the_hello);
        tcase_add_test(tcase, puts_records_together_again);
        tcase_add_test(tcase, takes_records_of_every_size);
        tcase_add_loop_test(tcase, hangs_up_on_what_is_no_record_after_taking_what_was, 0,
                            sizeof faults / sizeof faults[0]);
        tcase_add_test(tcase, a_connection_begins_with_hello);
        tcase_add_test(tcase, a_bad_hello_is_refused);
        tcase_add_test(tcase, waits_only_so_long);
        tcase_add_test(tcase, dripping_does_not_buy_time);
        tcase_add_test(tcase, answers_flushes_when_their_pass_is_complete);
        tcase_add_test(tcase, does_not_wait_for_who_does_not_read);
        tcase_add_test(tcase, too_many_flushes_at_once);
        tcase_add_test(tcase, bye_ends_the_session);
        tcase_add_test(tcase, a_wake_means_nothing_on_a_stream);
        tcase_add_test(tcase, descriptors_are_not_taken);
        tcase_add_test(tcase, an_end_in_cut_2_waits_for_a_pass_that_comes_at_once);
        tcase_add_test(tcase, a_pass_over_a_megabyte_stays_open);
        tcase_add_test(tcase, a_full_journal_leaves_clients_unread);
        tcase_add_test(tcase, who_cannot_come_in_keeps_nobody_waiting);
        tcase_add_test(tcase, no_bytes_bring_it_down);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
