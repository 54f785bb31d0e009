/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/duration.h"
#include "tests/unit/unit.h"

START_TEST(durations_are_read_with_a_unit_only) {
        static const char *const wrong[] = {"",     "5",  "s",    "5 s", "-5s",
                                            "+5s",  "5x", "5.5s", "5ss", "99999999999999999999s",
                                            "9000h"};
        uint64_t ns = 7;

        ck_assert(duration_read(&ns, "500ms"));
        ck_assert_uint_eq(ns, 500000000);
        ck_assert(duration_read(&ns, "0s"));
        ck_assert_uint_eq(ns, 0);
        ck_assert(duration_read(&ns, "2m"));
        ck_assert_uint_eq(ns, 120000000000);
        ck_assert(duration_read(&ns, "8760h"));
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                ck_assert_msg(!duration_read(&ns, wrong[i]), "%s", wrong[i]);
        ck_assert_uint_eq(ns, 31536000000000000);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("duration");
        TCase *tcase = tcase_create("duration");

        tcase_add_test(tcase, durations_are_read_with_a_unit_only);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
