/* SPDX-License-Identifier: Apache-2.0 */

/* When a client that waits is answered. */

#include "daemon/ingest/peer-flush.h"
#include "tests/unit/fake-recorder.h"

/* As with an arena, in which what came before it may have been found in the second cut only. */
START_TEST(a_flush_of_the_second_cut_waits_for_one_more_pass) {
        const IntakeFlush flushes[] = {{.id = 1}, {.id = 2, .second_cut = true}};
        FakeSession fake = {.n_cut2_ends = 1};
        Peer peer = {.session = &fake.session};
        Buffer answers = BUFFER_NULL;

        ck_assert_int_eq(buffer_append(&peer.intake.flushes, flushes, sizeof flushes), 0);
        ck_assert_int_eq(peer_flush_passed(&peer, &answers), 0);
        ck_assert_uint_eq(answers.size, RECORD_HEADER_SIZE);
        ck_assert_uint_eq(record_header_read(answers.data).id, 1);
        ck_assert_int_eq(peer_flush_passed(&peer, &answers), 0); /* more came: that is not its */
        ck_assert_uint_eq(answers.size, 2 * RECORD_HEADER_SIZE);
        ck_assert_uint_eq(record_header_read(answers.data + RECORD_HEADER_SIZE).id, 2);
        ck_assert_int_eq(peer_flush_passed(&peer, &answers), 0);
        ck_assert_uint_eq(answers.size, 2 * RECORD_HEADER_SIZE);
        buffer_deinit(&answers);
}
END_TEST

/* ---- delivery ---- */

static void ask(int fd, uint64_t id, uint8_t level) {
        const char body[] = {1 << 3, (char)level};
        Buffer sent = BUFFER_NULL;

        put(&sent, RECORD_FLUSH, 0, id, body, sizeof body);
        client_send(fd, sent.data, sent.size);
        buffer_deinit(&sent);
}

static void expect_flushed(int fd, uint64_t id, uint8_t level) {
        uint8_t body[256] = {0};
        RecordHeader header = client_receive(fd, (char *)body);

        ck_assert_uint_eq(header.type, RECORD_FLUSHED);
        ck_assert_uint_eq(header.id, id);
        ck_assert_uint_eq(header.size, RECORD_HEADER_SIZE + (level ? 2 : 0));
        ck_assert(!level || (body[0] == 1 << 3 && body[1] == level));
}

static bool is_silent(int fd) {
        char byte;

        run_dry();
        listener_answer_deliveries(listener);
        return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

START_TEST(a_delivery_is_answered_when_it_is_done) {
        int fd;

        open_listener();
        fd = client_open();
        ask(fd, 1, PROTOCOL_LEVEL_DELIVERED);
        ask(fd, 2, PROTOCOL_LEVEL_JOURNALED);
        ask(fd, 3, PROTOCOL_LEVEL_SYNCED);
        ask(fd, 4, 9); /* more than there is */
        expect_flushed(fd, 2, PROTOCOL_LEVEL_JOURNALED);
        expect_flushed(fd, 3, PROTOCOL_LEVEL_JOURNALED);
        ck_assert(is_silent(fd));
        recorder.delivered = true;
        listener_answer_deliveries(listener);
        expect_flushed(fd, 1, PROTOCOL_LEVEL_DELIVERED);
        expect_flushed(fd, 4, PROTOCOL_LEVEL_DELIVERED);
        ck_assert(is_silent(fd));
        close(fd);
}
END_TEST

START_TEST(who_goes_while_it_waits_is_forgotten) {
        int gone, other;

        open_listener();
        gone = client_open();
        other = client_open();
        ask(gone, 1, PROTOCOL_LEVEL_DELIVERED);
        ask(other, 1, PROTOCOL_LEVEL_DELIVERED);
        ck_assert(is_silent(gone));
        close(gone);
        RUN_UNTIL(listener_counters(listener)->n_clients == 1);
        recorder.delivered = true;
        listener_answer_deliveries(listener);
        expect_flushed(other, 1, PROTOCOL_LEVEL_DELIVERED);
        close(other);
}
END_TEST

/* A client that has given up many times holds no more of our memory. */
START_TEST(only_so_many_deliveries_are_waited_for) {
        int fd;

        open_listener();
        fd = client_open();
        for (uint64_t id = 1; id <= 65; id++)
                ask(fd, id, PROTOCOL_LEVEL_DELIVERED);
        expect_flushed(fd, 65, PROTOCOL_LEVEL_JOURNALED);
        recorder.delivered = true;
        ck_assert(!is_silent(fd));
        for (uint64_t id = 1; id <= 64; id++)
                expect_flushed(fd, id, PROTOCOL_LEVEL_DELIVERED);
        close(fd);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("peer-flush");
        TCase *tcase = tcase_create("peer-flush");

        tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
        tcase_add_test(tcase, a_flush_of_the_second_cut_waits_for_one_more_pass);
        tcase_add_test(tcase, a_delivery_is_answered_when_it_is_done);
        tcase_add_test(tcase, who_goes_while_it_waits_is_forgotten);
        tcase_add_test(tcase, only_so_many_deliveries_are_waited_for);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
