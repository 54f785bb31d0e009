/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-date.h"
#include "tests/unit/unit.h"

static const uint64_t second = 1000000000;
static const uint64_t now = 1700000000 * UINT64_C(1000000000); /* 2023-11-14 22:13:20 */

static const struct {
        const char *text;
        uint64_t unix_seconds;
} dates[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
        {"Tue, 14 Nov 2023 22:13:20 GMT", 1700000000},
        {"Tuesday, 14-Nov-23 22:13:20 GMT", 1700000000},
        {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
};

static const char *const not_dates[] = {
        "",
        "soon",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 ovD 1994 08:49:37 GMT",
        "Sun, 06 No 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
};

START_TEST(parses_three_forms) {
        uint64_t unix_seconds;

        ck_assert(http_date_parse(&unix_seconds, dates[_i].text, now));
        ck_assert_uint_eq(unix_seconds, dates[_i].unix_seconds);
}
END_TEST

START_TEST(refuses_what_is_no_date) {
        uint64_t unix_seconds, delay;

        ck_assert(!http_date_parse(&unix_seconds, not_dates[_i], now));
        ck_assert(!http_date_retry_after(&delay, not_dates[_i], now));
}
END_TEST

START_TEST(retry_after_is_seconds_or_a_date) {
        uint64_t delay;

        ck_assert(http_date_retry_after(&delay, "0", now));
        ck_assert_uint_eq(delay, 0);
        ck_assert(http_date_retry_after(&delay, "120", now));
        ck_assert_uint_eq(delay, 120 * second);
        ck_assert(http_date_retry_after(&delay, "99999999999999999999999999", now));
        ck_assert_uint_eq(delay, UINT32_MAX * second);
        ck_assert(http_date_retry_after(&delay, "Tue, 14 Nov 2023 22:13:50 GMT", now));
        ck_assert_uint_eq(delay, 30 * second);
        ck_assert(http_date_retry_after(&delay, "Tue, 14 Nov 2023 22:13:10 GMT", now));
        ck_assert_uint_eq(delay, 0);
        ck_assert(http_date_retry_after(&delay, "Fri, 31 Dec 9999 23:59:59 GMT", now));
        ck_assert_uint_gt(delay, UINT32_MAX * second);
        ck_assert(!http_date_retry_after(&delay, "-1", now));
        ck_assert(!http_date_retry_after(&delay, "1.5", now));
        ck_assert(!http_date_retry_after(&delay, "10 s", now));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("http-date");
        TCase *tcase = tcase_create("http-date");

        tcase_add_loop_test(tcase, parses_three_forms, 0, sizeof(dates) / sizeof(*dates));
        tcase_add_loop_test(tcase, refuses_what_is_no_date, 0,
                            sizeof(not_dates) / sizeof(*not_dates));
        tcase_add_test(tcase, retry_after_is_seconds_or_a_date);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
