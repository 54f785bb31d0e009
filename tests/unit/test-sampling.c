/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/sampling.h"

#include "proto/w3c.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include <locale.h>

static void ratios_have_thresholds(void) {
        char text[SAMPLING_THRESHOLD_TEXT + 1];
        Golden golden;

        golden_open(&golden, "sampling.txt");
        while (golden_next(&golden, 2)) {
                const char *ratio_text = golden.columns[0], *expected = golden.columns[1];
                double ratio = -2;
                uint64_t threshold;

                if (strcmp(expected, "none") == 0) {
                        ck_assert_msg(!sampling_ratio_read(&ratio, ratio_text), "%s", ratio_text);
                        ck_assert(ratio == -2);
                        continue;
                }
                ck_assert_msg(sampling_ratio_read(&ratio, ratio_text), "%s", ratio_text);
                threshold = sampling_threshold(ratio);
                if (strcmp(expected, "never") == 0) {
                        ck_assert_msg(threshold == SAMPLING_NEVER, "%s", ratio_text);
                        continue;
                }
                sampling_threshold_write(text, threshold);
                ck_assert_msg(strcmp(text, expected) == 0, "%s: %s", ratio_text, text);
        }
}

START_TEST(a_ratio_is_a_threshold) {
        ratios_have_thresholds();
        /* Whatever the program's locale writes before a fraction. */
        if (setlocale(LC_ALL, "de_DE.UTF-8"))
                ratios_have_thresholds();
}
END_TEST

START_TEST(a_trace_is_kept_from_its_threshold_on) {
        const uint8_t half[16] = {[9] = 0x80}, below[16] = {1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0x7f,
                                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        const uint8_t none[16] = {[0] = 1}, all[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                       0xff, 0xff, 0xff, 0xff};

        ck_assert_uint_eq(sampling_randomness(half), UINT64_C(0x80000000000000));
        ck_assert_uint_eq(sampling_randomness(below), UINT64_C(0x7fffffffffffff));
        ck_assert(sampling_keeps(sampling_threshold(0.5), half));
        ck_assert(!sampling_keeps(sampling_threshold(0.5), below));
        ck_assert(sampling_keeps(0, none));
        ck_assert(!sampling_keeps(1, none));
        ck_assert(sampling_keeps(SAMPLING_NEVER - 1, all));
        ck_assert(!sampling_keeps(SAMPLING_NEVER, all));
}
END_TEST

START_TEST(a_tracestate_tells_the_threshold) {
        char text[SAMPLING_THRESHOLD_TEXT + 1], out[1024];
        Golden golden;

        golden_open(&golden, "sampling-tracestate.txt");
        while (golden_next(&golden, 2)) {
                const char *th = golden.columns[0];
                char *before = golden.columns[1], *after = strstr(before, "\": ") + 3;
                bool never = strcmp(th, "never") == 0;
                uint64_t threshold = SAMPLING_NEVER, told = 0;

                after[-2] = 0;
                before[golden_text(before)] = 0;
                after[golden_text(after)] = 0;
                if (!never) {
                        snprintf(out, sizeof out, "ot=th:%s", th);
                        ck_assert(sampling_tracestate_read(&threshold, out));
                        sampling_threshold_write(text, threshold);
                        ck_assert_str_eq(text, th);
                }
                ck_assert_uint_le(strlen(before) + SAMPLING_TRACESTATE_MORE, sizeof out);
                memset(out, 0x7f, sizeof out);
                sampling_tracestate_write(out, before, threshold);
                ck_assert_str_eq(out, after);
                ck_assert_uint_lt(strlen(out), strlen(before) + SAMPLING_TRACESTATE_MORE);
                ck_assert(w3c_tracestate_is_valid(out, strlen(out)));
                ck_assert_int_eq(sampling_tracestate_read(&told, out), !never);
                ck_assert(never || told == threshold);
        }
}
END_TEST

START_TEST(a_value_stays_within_256) {
        char before[512] = "ot=a:", out[512 + SAMPLING_TRACESTATE_MORE];

        memset(before + 5, 'x', 252);
        strcpy(before + 257, ";b");
        ck_assert(w3c_tracestate_is_valid(before, strlen(before)));
        sampling_tracestate_write(out, before, 0);
        ck_assert_str_eq(out, "ot=th:0;b"); /* the long one has no room beside it */

        before[254] = 0;
        sampling_tracestate_write(out, before, 0);
        ck_assert_uint_eq(strlen(out), 3 + 256);
        ck_assert(w3c_tracestate_is_valid(out, strlen(out)));
}
END_TEST

START_TEST(what_is_no_threshold_is_not_read) {
        uint64_t threshold = 7;

        ck_assert(!sampling_tracestate_read(&threshold, ""));
        ck_assert(!sampling_tracestate_read(&threshold, "a=th:8"));
        ck_assert(!sampling_tracestate_read(&threshold, "ot=th:"));
        ck_assert(!sampling_tracestate_read(&threshold, "ot=th:8g"));
        ck_assert(!sampling_tracestate_read(&threshold, "ot=th:A"));
        ck_assert(!sampling_tracestate_read(&threshold, "ot=th:123456789012345"));
        ck_assert_uint_eq(threshold, 7);
        ck_assert(sampling_tracestate_read(&threshold, "a=1,ot=rv:1;th:12345678901234"));
        ck_assert_uint_eq(threshold, UINT64_C(0x12345678901234));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sampling");
        TCase *tcase = tcase_create("sampling");

        tcase_add_test(tcase, a_ratio_is_a_threshold);
        tcase_add_test(tcase, a_trace_is_kept_from_its_threshold_on);
        tcase_add_test(tcase, a_tracestate_tells_the_threshold);
        tcase_add_test(tcase, a_value_stays_within_256);
        tcase_add_test(tcase, what_is_no_threshold_is_not_read);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
