/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/fake-recorder.h"

/* What a WELCOME or a SAMPLING says; absent fields are 0. */
static void expect_sampling(int fd, RecordType type, uint64_t recording, uint64_t threshold) {
        char body[256];
        RecordHeader header = client_receive(fd, body);
        PbReader reader = pb_reader(body, header.size - RECORD_HEADER_SIZE);
        uint64_t said[6] = {0};
        PbField field;

        ck_assert_uint_eq(header.type, type);
        while (pb_next(&reader, &field)) {
                ck_assert_uint_lt(field.number, 6);
                said[field.number] = field.value;
        }
        ck_assert(!reader.failed);
        ck_assert_uint_eq(said[3], recording);
        ck_assert_uint_eq(said[5], threshold);
}

START_TEST(clients_are_told_what_to_record) {
        RecorderSampling sampling = {.threshold = 7, .keep_errors = true};
        int fd, late, silent;

        options.sampling = sampling;
        open_listener();
        fd = client_connect();
        client_hello(fd, NULL);
        expect_sampling(fd, RECORD_WELCOME, 1, 7);
        silent = client_connect(); /* has not said HELLO */
        RUN_UNTIL(listener_counters(listener)->n_clients == 2);
        sampling = (RecorderSampling){.keep_slower_than_ns = 1};
        listener_set_sampling(listener, &sampling);
        expect_sampling(fd, RECORD_SAMPLING, 1, 0);
        sampling = (RecorderSampling){.threshold = 9};
        listener_set_sampling(listener, &sampling);
        expect_sampling(fd, RECORD_SAMPLING, 0, 9);
        late = client_connect();
        client_hello(late, NULL);
        expect_sampling(late, RECORD_WELCOME, 0, 9);
        client_hello(silent, NULL);
        expect_sampling(silent, RECORD_WELCOME, 0, 9);
        close(fd);
        close(late);
        close(silent);
}
END_TEST

START_TEST(who_does_not_read_what_to_record_is_hung_up_on) {
        RecorderSampling sampling = {0};
        uint8_t token[RECORD_TOKEN_SIZE];
        unsigned n = 0;
        int fd;

        open_listener();
        fd = client_connect();
        client_hello(fd, NULL);
        expect_welcome(fd, token);
        while (!listener_counters(listener)->hung_up_unread) {
                sampling.threshold++;
                listener_set_sampling(listener, &sampling);
                ck_assert_uint_lt(++n, 1000000);
        }
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 0);
        close(fd);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("listener-sampling");
        TCase *tcase = tcase_create("listener-sampling");

        tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
        tcase_add_test(tcase, clients_are_told_what_to_record);
        tcase_add_test(tcase, who_does_not_read_what_to_record_is_hung_up_on);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
