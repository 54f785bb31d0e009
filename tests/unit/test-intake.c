/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/fake-recorder.h"

START_TEST(a_hello_has_a_bound_of_its_own) {
        uint8_t header[RECORD_HEADER_SIZE];
        int fd;

        open_listener();
        fd = client_connect();
        record_header_write(header, &(RecordHeader){.size = RECORD_HEADER_SIZE + SESSION_HELLO_MAX,
                                                    .type = RECORD_HELLO});
        client_send(fd, header, sizeof header);
        run_dry();
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 1);
        close(fd);
        fd = client_connect();
        header[0]++; /* of its size */
        client_send(fd, header, sizeof header);
        expect_hang_up(fd, "larger than 64 KiB");
}
END_TEST

/* What fits into the rest of a segment is taken there, at the cost of a record in two pieces. */
START_TEST(uses_up_a_segment) {
        Buffer sent = BUFFER_NULL;
        char body[1000] = "";
        int fd;

        open_listener();
        fd = client_open();
        recorder.rest = 1600;
        for (unsigned i = 0; i < 50; i++)
                put(&sent, RECORD_LOG, 0, i, body, i * 20);
        client_send(fd, sent.data, sent.size);
        run_dry();
        assert_taken(recorder.last, &sent);
        ck_assert_uint_le(recorder.largest_block, 1600);
        ck_assert_uint_gt(recorder.n_blocks, sent.size / 1600);
        ck_assert_uint_lt(recorder.n_blocks, 2 * sent.size / 1600);
        buffer_deinit(&sent);
        close(fd);
}
END_TEST

START_TEST(half_a_record_counts_for_its_user) {
        Buffer sent = BUFFER_NULL;
        char body[5000] = "";
        int fd;

        open_listener();
        fd = client_open();
        put(&sent, RECORD_LOG, 0, 0, body, sizeof body);
        client_send(fd, sent.data, 4000);
        run_dry();
        ck_assert_uint_ge(recorder.last->user.n_bytes, 4000);
        client_send(fd, sent.data + 4000, sent.size - 4000);
        run_dry();
        ck_assert_uint_eq(recorder.last->user.n_bytes, 0);
        client_send(fd, sent.data, 4000);
        run_dry();
        close(fd);
        run_dry();
        ck_assert_uint_eq(recorder.last->user.n_bytes, 0);
        buffer_deinit(&sent);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("intake");
        TCase *tcase = tcase_create("intake");

        tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, a_hello_has_a_bound_of_its_own);
        tcase_add_test(tcase, uses_up_a_segment);
        tcase_add_test(tcase, half_a_record_counts_for_its_user);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
