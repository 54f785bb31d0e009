/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/utf8.h"
#include "tests/unit/unit.h"

#include <string.h>

#define VALID(literal) utf8_is_valid(literal, sizeof(literal) - 1)

START_TEST(every_character_is_valid_and_no_other) {
        for (uint32_t c = 0x80; c < 0x140000; c++) {
                uint8_t text[4];
                size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
                bool valid = (c < 0xd800 || c > 0xdfff) && c <= 0x10ffff;

                for (size_t i = 1; i < size; i++)
                        text[i] = (uint8_t)(0x80 | ((c >> (6 * (size - 1 - i))) & 0x3f));
                text[0] = (uint8_t)((0xf00 >> size) | (c >> (6 * (size - 1))));
                if (utf8_is_valid(text, size) != valid || utf8_is_valid(text, size - 1))
                        ck_abort_msg("U+%04X", c);
        }
}
END_TEST

START_TEST(ill_formed_text_is_refused) {
        ck_assert(VALID(""));
        ck_assert(VALID("all ASCII, of more than eight bytes"));
        ck_assert(VALID("with \0 within"));
        ck_assert(!VALID("\x80"));
        ck_assert(!VALID("\xc0\x80"));
        ck_assert(!VALID("\xc1\xbf"));
        ck_assert(!VALID("\xe0\x9f\xbf"));
        ck_assert(!VALID("\xf0\x8f\xbf\xbf"));
        ck_assert(!VALID("\xf8\x88\x80\x80\x80"));
        ck_assert(!VALID("\xff"));
        ck_assert(!VALID("\xc3("));
        ck_assert(!VALID("\xe2\x82("));
}
END_TEST

/* A fault is found at each offset, whatever the eight-byte steps do. */
START_TEST(a_fault_is_seen_at_every_offset) {
        char text[40];

        for (size_t i = 0; i < sizeof text; i++) {
                memset(text, 'a', sizeof text);
                ck_assert(utf8_is_valid(text, sizeof text));
                text[i] = (char)0xbf;
                ck_assert(!utf8_is_valid(text, sizeof text));
                ck_assert(utf8_is_valid(text, i));
        }
}
END_TEST

START_TEST(truncation_splits_no_character) {
        static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x97z"; /* 1 2 3 4 1 bytes */
        static const size_t starts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};

        for (size_t max = 0; max < sizeof starts / sizeof *starts; max++)
                ck_assert_uint_eq(utf8_truncate(text, sizeof text - 1, max), starts[max]);
        ck_assert_uint_eq(utf8_truncate(text, sizeof text - 1, 100), 11);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 0), 0);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 1), 1);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 2), 3);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 3), 6);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 4), 10);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 5), 11);
        ck_assert_uint_eq(utf8_prefix(text, sizeof text - 1, 50), 11);
}
END_TEST

static void replaces(const char *in, size_t size, const char *expected) {
        char out[64];
        size_t n = utf8_replace(NULL, in, size);

        ck_assert_uint_eq(n, strlen(expected));
        ck_assert_uint_eq(utf8_replace(out, in, size), n);
        ck_assert_mem_eq(out, expected, n);
        ck_assert(utf8_is_valid(out, n));
}

#define REPLACES(literal, expected) replaces(literal, sizeof(literal) - 1, expected)
#define FFFD                        "\xef\xbf\xbd"

START_TEST(each_maximal_ill_formed_part_is_replaced) {
        REPLACES("", "");
        REPLACES("plain", "plain");
        REPLACES("\xe2\x82\xac", "\xe2\x82\xac");
        REPLACES("a\xff", "a" FFFD);
        REPLACES("\xe2\x82", FFFD);
        REPLACES("\xe2\x82(", FFFD "(");
        REPLACES("\xc0\x80", FFFD FFFD);
        REPLACES("\xed\xa0\x80", FFFD FFFD FFFD);
        REPLACES("\xf0\x9f\x94\xc3\xa9", FFFD "\xc3\xa9");
        REPLACES("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42",
                 FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("utf8");
        TCase *tcase = tcase_create("utf8");

        tcase_add_test(tcase, every_character_is_valid_and_no_other);
        tcase_add_test(tcase, ill_formed_text_is_refused);
        tcase_add_test(tcase, a_fault_is_seen_at_every_offset);
        tcase_add_test(tcase, truncation_splits_no_character);
        tcase_add_test(tcase, each_maximal_ill_formed_part_is_replaced);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
