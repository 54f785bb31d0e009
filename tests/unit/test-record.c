/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/record.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint8_t golden[RECORD_HEADER_SIZE] = {
        0x19, 0x01, 0,    0,    0x05, 0, 0x03, 0, 0x04, 0x03, 0x02, 0x01,
        0x0d, 0x0c, 0x0b, 0x0a, 1,    2, 3,    4, 5,    6,    7,    8,
};

START_TEST(a_header_lies_as_documented) {
        RecordHeader header = record_header_read(golden);
        uint8_t written[RECORD_HEADER_SIZE];

        ck_assert_uint_eq(header.size, 0x119);
        ck_assert_uint_eq(header.type, RECORD_SPAN);
        ck_assert_uint_eq(header.flags, RECORD_START | RECORD_END);
        ck_assert_uint_eq(header.context, 0x01020304);
        ck_assert_uint_eq(header.scope, 0x0a0b0c0d);
        ck_assert(header.id == UINT64_C(0x0807060504030201));
        record_header_write(written, &header);
        ck_assert_mem_eq(written, golden, sizeof golden);
}
END_TEST

START_TEST(a_frame_is_partial_until_its_padding_is_there) {
        uint8_t data[0x120];
        RecordHeader header = {0};

        memset(data, 0, sizeof data);
        memcpy(data, golden, sizeof golden);
        for (size_t size = 0; size < sizeof data; size++) {
                ck_assert_int_eq(record_frame(&header, data, size), RECORD_E_PARTIAL);
                ck_assert_uint_eq(header.size, size < RECORD_HEADER_SIZE ? 0 : 0x119);
        }
        ck_assert_int_eq(record_frame(&header, data, sizeof data), 0);
}
END_TEST

/* The answer for a record of just a header with these values. */
static int frame(uint32_t size, uint16_t type, uint16_t flags) {
        RecordHeader header = {.size = size, .type = type, .flags = flags}, read;
        uint8_t data[RECORD_HEADER_SIZE];

        record_header_write(data, &header);
        return record_frame(&read, data, sizeof data);
}

START_TEST(bad_sizes_are_refused) {
        ck_assert_int_eq(frame(RECORD_HEADER_SIZE, RECORD_BYE, 0), 0);
        ck_assert_int_eq(frame(RECORD_SIZE_MAX, RECORD_BYE, 0), RECORD_E_PARTIAL);
        ck_assert_int_eq(frame(0, RECORD_BYE, 0), RECORD_E_SIZE);
        ck_assert_int_eq(frame(RECORD_HEADER_SIZE - 1, RECORD_BYE, 0), RECORD_E_SIZE);
        ck_assert_int_eq(frame(RECORD_SIZE_MAX + 1, RECORD_BYE, 0), RECORD_E_SIZE);
        ck_assert_int_eq(frame(UINT32_MAX, RECORD_BYE, 0), RECORD_E_SIZE);
}
END_TEST

START_TEST(only_a_clients_types_are_taken) {
        static const uint16_t fine[] = {
                RECORD_HELLO, RECORD_SCOPE, RECORD_CONTEXT, RECORD_SPAN, RECORD_LOG,
                RECORD_LOST,  RECORD_FLUSH, RECORD_WAKE,    RECORD_BYE,
        };
        size_t n = 0;

        for (unsigned type = 0; type <= UINT16_MAX; type++)
                n += frame(RECORD_HEADER_SIZE, (uint16_t)type, 0) == 0;
        ck_assert_uint_eq(n, sizeof fine / sizeof *fine);
        for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
                ck_assert_int_eq(frame(RECORD_HEADER_SIZE, fine[i], 0), 0);
        ck_assert_int_eq(frame(RECORD_HEADER_SIZE, RECORD_STATE, 0), RECORD_E_TYPE);
}
END_TEST

START_TEST(the_daemons_flags_are_refused) {
        ck_assert_int_eq(frame(RECORD_HEADER_SIZE, RECORD_SPAN, RECORD_CLIENT_FLAGS), 0);
        for (unsigned bit = 8; bit < 16; bit++)
                ck_assert_int_eq(frame(RECORD_HEADER_SIZE, RECORD_SPAN, (uint16_t)(1u << bit)),
                                 RECORD_E_FLAGS);
}
END_TEST

START_TEST(verdicts_and_errors_have_names) {
        for (unsigned i = 0; i < RECORD_VERDICTS_N; i++)
                ck_assert_str_ne(record_verdict_name((RecordVerdict)i), "unknown");
        ck_assert_str_eq(record_verdict_name(RECORD_VERDICT_MALFORMED), "malformed");
        ck_assert_str_eq(record_verdict_name((RecordVerdict)15), "unknown");
        for (int error = RECORD_E_PARTIAL; error <= RECORD_E_FLAGS; error++)
                ck_assert_str_ne(record_error_text(error), "unknown error");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("record");
        TCase *tcase = tcase_create("record");

        tcase_add_test(tcase, a_header_lies_as_documented);
        tcase_add_test(tcase, a_frame_is_partial_until_its_padding_is_there);
        tcase_add_test(tcase, bad_sizes_are_refused);
        tcase_add_test(tcase, only_a_clients_types_are_taken);
        tcase_add_test(tcase, the_daemons_flags_are_refused);
        tcase_add_test(tcase, verdicts_and_errors_have_names);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
