/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/endpoint.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
        const char *base, *traces, *logs, *metrics;
} joined[] = {
        {"http://localhost:4318", "/v1/traces", "/v1/logs",
         "/v1/metrics"},
        {"http://localhost:4318/", "/v1/traces", "/v1/logs",
         "/v1/metrics"},
        {"http://localhost/otlp", "/otlp/v1/traces", "/otlp/v1/logs",
         "/otlp/v1/metrics"},
        {"http://localhost/otlp/", "/otlp/v1/traces", "/otlp/v1/logs",
         "/otlp/v1/metrics"},
        {"http://localhost/a/b%20c/", "/a/b%20c/v1/traces", "/a/b%20c/v1/logs",
         "/a/b%20c/v1/metrics"},
};

START_TEST(appends_the_signals_path) {
        Endpoint endpoint;

        ck_assert_int_eq(endpoint_parse(&endpoint, joined[_i].base), 0);
        ck_assert_str_eq(endpoint.paths[BATCH_TRACES], joined[_i].traces);
        ck_assert_str_eq(endpoint.paths[BATCH_LOGS], joined[_i].logs);
        ck_assert_str_eq(endpoint.paths[ENDPOINT_METRICS], joined[_i].metrics);
}
END_TEST

START_TEST(holds_the_longest_path) {
        char base[16 + URL_PATH_MAX + 1] = "http://a/";
        Endpoint endpoint;

        memset(base + 9, 'x', URL_PATH_MAX - 1);
        ck_assert_int_eq(endpoint_parse(&endpoint, base), 0);
        ck_assert_uint_eq(strlen(endpoint.paths[ENDPOINT_METRICS]),
                          URL_PATH_MAX + strlen("/v1/metrics"));
}
END_TEST

START_TEST(refuses_what_is_no_http_url) {
        Endpoint endpoint;

        ck_assert_int_eq(endpoint_parse(&endpoint, "localhost:4318"), ENDPOINT_E_URL);
        ck_assert_int_eq(endpoint_parse(&endpoint, "https://localhost:4318"), ENDPOINT_E_URL);
        ck_assert_int_eq(endpoint_parse(&endpoint, "http://"), ENDPOINT_E_URL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("endpoint");
        TCase *tcase = tcase_create("endpoint");

        tcase_add_loop_test(tcase, appends_the_signals_path, 0, sizeof(joined) / sizeof(*joined));
        tcase_add_test(tcase, holds_the_longest_path);
        tcase_add_test(tcase, refuses_what_is_no_http_url);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
