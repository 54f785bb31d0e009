/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/query.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static char problem[QUERY_PROBLEM_MAX];
static const unsigned all = ~0u;

START_TEST(reads_what_is_asked) {
        Query query = {.limit = 20};

        ck_assert_int_eq(query_read(&query, problem, all, "/v1/chains"), 0);
        ck_assert_uint_eq(query.limit, 20);
        ck_assert_int_eq(query_read(&query, problem, all,
                                    "/v1/chains?workflow=order%2F1&session=s&service=shop&"
                                    "name=GET%20cart&errors&running=true&slow&min=100ms&since=5m&"
                                    "open&limit=7&level=delivered&timeout_ms=250"),
                         0);
        ck_assert_str_eq(query.workflow, "order/1");
        ck_assert_str_eq(query.session, "s");
        ck_assert_str_eq(query.service, "shop");
        ck_assert_str_eq(query.name, "GET cart");
        ck_assert(query.errors && query.running && query.slow && query.open);
        ck_assert_uint_eq(query.min_ns, 100000000);
        ck_assert_uint_eq(query.since_ns, 300000000000);
        ck_assert_uint_eq(query.limit, 7);
        ck_assert_str_eq(query.level, "delivered");
        ck_assert_uint_eq(query.timeout_ms, 250);
}
END_TEST

START_TEST(refuses_and_tells_what_is_allowed) {
        static const struct {
                const char *target, *problem;
        } cases[] = {
                {"/?min=100", "min: a time: 500ms, 5s, 2m or 1h"},
                {"/?since=", "since: a time: 500ms, 5s, 2m or 1h"},
                {"/?limit=many", "limit: a number up to 10000"},
                {"/?limit=-1", "limit: a number up to 10000"},
                {"/?limit=10001", "limit: a number up to 10000"},
                {"/?limit", "limit: a number up to 10000"},
                {"/?errors=maybe", "errors: no value, or true"},
                {"/?service=", "service: a text of 1 to 256 bytes"},
                {"/?srevice=x",
                 "srevice: not known here; allowed: service, errors, min, since, limit"},
                {"/?open", "open: not known here; allowed: service, errors, min, since, limit"},
                {"/?=", ": not known here; allowed: service, errors, min, since, limit"},
                {"/?service=%zz", "malformed query"},
        };
        char long_text[QUERY_TEXT_MAX + 32] = "/?service=";
        Query query = {0};

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                ck_assert_int_eq(query_read(&query, problem,
                                            QUERY_SERVICE | QUERY_ERRORS | QUERY_MIN | QUERY_SINCE |
                                                    QUERY_LIMIT,
                                            cases[i].target),
                                 QUERY_E_REFUSED);
                ck_assert_str_eq(problem, cases[i].problem);
        }
        memset(long_text + strlen(long_text), 'x', QUERY_TEXT_MAX);
        ck_assert_int_eq(query_read(&query, problem, all, long_text), 0);
        strcat(long_text, "x");
        ck_assert_int_eq(query_read(&query, problem, all, long_text), QUERY_E_REFUSED);
}
END_TEST

START_TEST(every_parameter_has_a_name_and_the_problem_has_room_for_all) {
        Query query = {0};

        ck_assert_int_eq(query_read(&query, problem, all, "/?0123456789012345678901234567890=x"),
                         QUERY_E_REFUSED);
        ck_assert_ptr_nonnull(strstr(problem, " timeout_ms"));
        ck_assert_ptr_null(strstr(problem, "null"));
}
END_TEST

START_TEST(wants_the_spans_asked_for) {
        const QuerySpan span = {
                .name = {"pay", 3},
                .service = "shop",
                .start_unix_ns = 1000,
                .end_unix_ns = 1500,
        };
        const QuerySpan failed = {.is_error = true, .start_unix_ns = 1000, .end_unix_ns = 900};

        ck_assert(query_wants_span(&(Query){0}, &span, 2000));
        ck_assert(query_wants_span(&(Query){0}, &failed, 2000));
        ck_assert(query_wants_span(&(Query){.name = "pay"}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.name = "pa"}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.name = "pay"}, &failed, 2000));
        ck_assert(query_wants_span(&(Query){.service = "shop"}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.service = "sho"}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.service = "shop"}, &failed, 2000));
        ck_assert(!query_wants_span(&(Query){.errors = true}, &span, 2000));
        ck_assert(query_wants_span(&(Query){.errors = true}, &failed, 2000));
        ck_assert(query_wants_span(&(Query){.min_ns = 500}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.min_ns = 501}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.min_ns = 1}, &failed, 2000));
        ck_assert(query_wants_span(&(Query){.since_ns = 1000}, &span, 2000));
        ck_assert(!query_wants_span(&(Query){.since_ns = 999}, &span, 2000));
        ck_assert(query_wants_span(&(Query){.since_ns = 1}, &span, 500));
}
END_TEST

START_TEST(any_bytes_are_read_or_refused) {
        static const char *const pieces[] = {"errors", "min", "since", "limit", "service", "=",
                                             "&",      "?",   "#",     "%",     "%41",     "5m",
                                             "true",   "",    "\xff",  "x",     "%0",      "9"};
        unsigned state = (unsigned)_i + 1;
        char target[128] = "/v1/tail?";
        Query query = {0};
        int r;

        for (unsigned i = 0; i < 12; i++) {
                state = state * 1664525 + 1013904223;
                strcat(target, pieces[(state >> 8) % (sizeof pieces / sizeof *pieces)]);
        }
        memset(problem, 'x', sizeof problem);
        r = query_read(&query, problem, all, target);
        if (r) {
                ck_assert_int_eq(r, QUERY_E_REFUSED);
                ck_assert_uint_lt(strnlen(problem, sizeof problem), sizeof problem);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("query");
        TCase *tcase = tcase_create("query");

        tcase_add_test(tcase, reads_what_is_asked);
        tcase_add_test(tcase, refuses_and_tells_what_is_allowed);
        tcase_add_test(tcase, every_parameter_has_a_name_and_the_problem_has_room_for_all);
        tcase_add_loop_test(tcase, any_bytes_are_read_or_refused, 0, 500);
        tcase_add_test(tcase, wants_the_spans_asked_for);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
