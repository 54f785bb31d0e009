/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/id.h"
#include "tests/unit/unit.h"

START_TEST(hex_is_read_as_it_was_written) {
        static const uint8_t id[ID_SPAN_SIZE] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
        uint8_t read[ID_SPAN_SIZE];
        char hex[ID_SPAN_HEX + 1];

        id_to_hex(hex, id, sizeof id);
        ck_assert_str_eq(hex, "00f067aa0ba902b7");
        ck_assert(id_from_hex(read, hex, sizeof read));
        ck_assert_mem_eq(read, id, sizeof id);
}
END_TEST

START_TEST(bad_hex_is_refused_and_writes_nothing) {
        static const char *const bad[] = {
                "0A", "g0", "0g", " 0", "0:", "0/", "0`", "0x", "\xff\xff"};
        uint8_t id = 77;

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                ck_assert(!id_from_hex(&id, bad[i], 1));
        ck_assert_uint_eq(id, 77);
}
END_TEST

START_TEST(zero_is_no_id) {
        uint8_t id[ID_TRACE_SIZE] = {0};

        ck_assert(id_is_zero(id, sizeof id));
        id[15] = 1;
        ck_assert(!id_is_zero(id, sizeof id));
        ck_assert(id_is_zero(id, 15));
}
END_TEST

START_TEST(a_key_is_read_as_little_endian) {
        static const uint8_t id[ID_SPAN_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

        ck_assert(id_span_key(id) == UINT64_C(0x0807060504030201));
}
END_TEST

START_TEST(a_uuid_is_of_version_4) {
        uint8_t random[16];
        char text[ID_UUID_TEXT + 1];

        memset(random, 0xff, sizeof random);
        id_to_uuid(text, random);
        ck_assert_str_eq(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        memset(random, 0, sizeof random);
        random[0] = 0x1a;
        id_to_uuid(text, random);
        ck_assert_str_eq(text, "1a000000-0000-4000-8000-000000000000");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("id");
        TCase *tcase = tcase_create("id");

        tcase_add_test(tcase, hex_is_read_as_it_was_written);
        tcase_add_test(tcase, bad_hex_is_refused_and_writes_nothing);
        tcase_add_test(tcase, zero_is_no_id);
        tcase_add_test(tcase, a_key_is_read_as_little_endian);
        tcase_add_test(tcase, a_uuid_is_of_version_4);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
