/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/text.h"
#include "tests/unit/unit.h"

#include <string.h>

static void shows(const char *text, size_t columns, const char *shown, size_t width) {
        char *data;
        size_t size;
        FILE *out = open_memstream(&data, &size);

        ck_assert_uint_eq(text_print(out, text, columns), width);
        fclose(out);
        ck_assert_str_eq(data, shown);
        free(data);
        ck_assert_uint_eq(text_print(NULL, text, columns), width);
}

START_TEST(plain_text_is_shown_as_it_is) {
        shows("", 10, "", 0);
        shows("charge card", 20, "charge card", 11);
        shows("Überweisung €", 20, "Überweisung €", 13);
        shows("注文", 20, "注文", 4);
        shows("e\xcc\x81t\xc3\xa9", 20, "e\xcc\x81t\xc3\xa9", 3);
}
END_TEST

START_TEST(what_could_harm_a_terminal_is_escaped) {
        shows("a\033[2Jb", 40, "a\\x1b[2Jb", 9);
        shows("line\nbreak\t", 40, "line\\x0abreak\\x09", 17);
        shows("\x7f", 40, "\\x7f", 4);
        shows("\xc2\x9b", 40, "\\u009b", 6);          /* C1: CSI in one character */
        shows("\xe2\x80\xae", 40, "\\u202e", 6);      /* right-to-left override */
        shows("\xf3\xa0\x81\x81", 40, "\\ue0041", 7); /* a tag character */
}
END_TEST

START_TEST(ill_formed_bytes_are_escaped) {
        shows("\xff", 40, "\\xff", 4);
        shows("\x80x", 40, "\\x80x", 5);
        shows("\xc0\xaf", 40, "\\xc0\\xaf", 8);           /* longer than needed */
        shows("\xed\xa0\x80", 40, "\\xed\\xa0\\x80", 12); /* a surrogate */
        shows("\xf4\x90\x80\x80", 40, "\\xf4\\x90\\x80\\x80", 16);
        shows("\xe2\x82", 40, "\\xe2\\x82", 8); /* cut short by the end */
}
END_TEST

START_TEST(json_is_escaped) {
        char *data;
        size_t size;
        FILE *out = open_memstream(&data, &size);

        text_print_json(out, "a=\"b\\\",\n\xc3\x9c\xff\xe2\x82");
        fclose(out);
        ck_assert_str_eq(data, "\"a=\\\"b\\\\\\\",\\u000a\xc3\x9c"
                               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        free(data);
}
END_TEST

START_TEST(what_does_not_fit_is_cut) {
        shows("charge", 6, "charge", 6);
        shows("charge", 5, "char…", 5);
        shows("charge", 1, "…", 1);
        shows("charge", 0, "", 0);
        shows("注文注文", 5, "注文…", 5);
        shows("注文注文", 4, "注…", 3);
        shows("ab\033c", 5, "ab…", 3);
}
END_TEST

START_TEST(durations_have_three_digits) {
        static const struct {
                uint64_t ns;
                const char *text;
        } cases[] = {
                {0, "0 ns"},
                {999, "999 ns"},
                {1000, "1 µs"},
                {850400, "850 µs"},
                {999499, "999 µs"},
                {999500, "1.00 ms"},
                {9994999, "9.99 ms"},
                {9995000, "10.0 ms"},
                {99950000, "100 ms"},
                {999499999, "999 ms"},
                {999500000, "1.00 s"},
                {12340000000, "12.3 s"},
                {59950000000, "1 min 0 s"},
                {200000000000, "3 min 20 s"},
                {7500000000000, "2 h 5 min"},
                {273600000000000, "3 d 4 h"},
                {UINT64_MAX, "213503 d 23 h"},
        };
        char text[TEXT_DURATION_MAX];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                text_duration(text, cases[i].ns);
                ck_assert_str_eq(text, cases[i].text);
        }
}
END_TEST

START_TEST(suggests_the_nearest_word) {
        static const char *const words[] = {"exec",  "status", "chains", "chain",
                                            "flush", "demo",   NULL};

        ck_assert_str_eq(text_nearest("stauts", words), "status");
        ck_assert_str_eq(text_nearest("stat", words), "status");
        ck_assert_str_eq(text_nearest("chian", words), "chain");
        ck_assert_str_eq(text_nearest("chainss", words), "chains");
        ck_assert_str_eq(text_nearest("flsuh", words), "flush");
        ck_assert_str_eq(text_nearest("exce", words), "exec");
        ck_assert_ptr_null(text_nearest("", words));
        ck_assert_ptr_null(text_nearest("zzz", words));
        ck_assert_ptr_null(text_nearest("kubernetes", words));
        ck_assert_ptr_null(text_nearest("a-word-that-is-longer-than-any-command-there-is", words));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("text");
        TCase *tcase = tcase_create("text");

        tcase_add_test(tcase, plain_text_is_shown_as_it_is);
        tcase_add_test(tcase, what_could_harm_a_terminal_is_escaped);
        tcase_add_test(tcase, ill_formed_bytes_are_escaped);
        tcase_add_test(tcase, json_is_escaped);
        tcase_add_test(tcase, what_does_not_fit_is_cut);
        tcase_add_test(tcase, durations_have_three_digits);
        tcase_add_test(tcase, suggests_the_nearest_word);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
