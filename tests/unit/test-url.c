/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/url.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
        const char *text, *host, *port, *authority, *path;
} good[] = {
        {"http://localhost:4318", "localhost", "4318", "localhost:4318", ""},
        {"HTTP://Example.org/", "Example.org", "80", "Example.org", "/"},
        {"http://example.org:80/a", "example.org", "80", "example.org", "/a"},
        {"http://127.0.0.1:04318/a/b%20c/", "127.0.0.1", "4318", "127.0.0.1:4318", "/a/b%20c/"},
        {"http://[::1]:4318/v1", "::1", "4318", "[::1]:4318", "/v1"},
        {"http://[2001:db8::1]", "2001:db8::1", "80", "[2001:db8::1]", ""},
        {"http://a:65535", "a", "65535", "a:65535", ""},
};

static const struct {
        const char *text;
        int r;
} bad[] = {
        {"", URL_E_SCHEME},
        {"localhost:4318", URL_E_SCHEME},
        {"https://localhost", URL_E_SCHEME},
        {"http:/localhost", URL_E_SCHEME},
        {"http://", URL_E_MALFORMED},
        {"http:///path", URL_E_MALFORMED},
        {"http://:4318", URL_E_MALFORMED},
        {"http://a:", URL_E_MALFORMED},
        {"http://a:0", URL_E_MALFORMED},
        {"http://a:65536", URL_E_MALFORMED},
        {"http://a:123456", URL_E_MALFORMED},
        {"http://a:1x", URL_E_MALFORMED},
        {"http://a:-1", URL_E_MALFORMED},
        {"http://a:1:2", URL_E_MALFORMED},
        {"http://user@a", URL_E_MALFORMED},
        {"http://user:secret@a", URL_E_MALFORMED},
        {"http://a b", URL_E_MALFORMED},
        {"http://a\r\nX: y/", URL_E_MALFORMED},
        {"http://a/b c", URL_E_MALFORMED},
        {"http://a/b\r\nX: y", URL_E_MALFORMED},
        {"http://a/b?c", URL_E_MALFORMED},
        {"http://a?c", URL_E_MALFORMED},
        {"http://a/#c", URL_E_MALFORMED},
        {"http://[::1", URL_E_MALFORMED},
        {"http://[::1/]", URL_E_MALFORMED},
        {"http://[::1]4318", URL_E_MALFORMED},
        {"http://[]", URL_E_MALFORMED},
        {"http://[127.0.0.1]", URL_E_MALFORMED},
        {"http://[::1%25eth0]", URL_E_MALFORMED},
        {"http://::1:4318", URL_E_MALFORMED},
};

START_TEST(parses) {
        Url url;

        ck_assert_int_eq(url_parse(&url, good[_i].text), 0);
        ck_assert_str_eq(url.host, good[_i].host);
        ck_assert_str_eq(url.port, good[_i].port);
        ck_assert_str_eq(url.authority, good[_i].authority);
        ck_assert_str_eq(url.path, good[_i].path);
}
END_TEST

START_TEST(refuses) {
        Url url, untouched;

        memset(&url, 7, sizeof(url));
        memset(&untouched, 7, sizeof(untouched));
        ck_assert_int_eq(url_parse(&url, bad[_i].text), bad[_i].r);
        ck_assert_mem_eq(&url, &untouched, sizeof(url));
}
END_TEST

START_TEST(refuses_what_is_too_long) {
        char text[4096] = "http://";
        Url url;

        memset(text + 7, 'a', URL_HOST_MAX);
        ck_assert_int_eq(url_parse(&url, text), 0);
        text[7 + URL_HOST_MAX] = 'a';
        ck_assert_int_eq(url_parse(&url, text), URL_E_MALFORMED);

        memset(text, 0, sizeof(text));
        strcpy(text, "http://a/");
        memset(text + 9, 'a', URL_PATH_MAX - 1);
        ck_assert_int_eq(url_parse(&url, text), 0);
        text[9 + URL_PATH_MAX - 1] = 'a';
        ck_assert_int_eq(url_parse(&url, text), URL_E_MALFORMED);
}
END_TEST

START_TEST(decodes_a_targets_path) {
        char path[8];

        ck_assert_int_eq(url_target_path(path, sizeof(path), "/a%2Fb%e4?x=%zz"), 0);
        ck_assert_str_eq(path, "/a/b\xe4");
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/123456"), 0);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/1234567"), URL_E_MALFORMED);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/%0"), URL_E_MALFORMED);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/%"), URL_E_MALFORMED);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/%g0"), URL_E_MALFORMED);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "/%00"), URL_E_MALFORMED);
        ck_assert_int_eq(url_target_path(path, sizeof(path), "?"), 0);
        ck_assert_str_eq(path, "");
}
END_TEST

START_TEST(steps_through_a_targets_query) {
        const char *target = "/v1?level=delivered&open&e=%20&&%6bey=a=b&empty=#level=x";
        static const char *const items[][2] = {
                {"level", "delivered"}, {"open", ""}, {"e", " "}, {"key", "a=b"}, {"empty", ""},
        };
        const char *at = NULL;
        UrlItem item;

        for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
                ck_assert_int_eq(url_target_next(&at, &item, target), 0);
                ck_assert_str_eq(item.key, items[i][0]);
                ck_assert_str_eq(item.value, items[i][1]);
        }
        ck_assert_int_eq(url_target_next(&at, &item, target), URL_E_END);
        ck_assert_int_eq(url_target_next(&at, &item, target), URL_E_END);
}
END_TEST

START_TEST(a_query_may_be_empty_or_malformed) {
        static const char *const empty[] = {"/v1", "/v1?", "/v1#?a", "/v1?&&&", ""};
        static const char *const malformed[] = {
                "/?%=1",
                "/?a=%2",
                "/?a=%00",
                "/?0123456789012345678901234567890123456789",
        };
        UrlItem item;

        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
                ck_assert_int_eq(url_target_next(&(const char *){NULL}, &item, empty[i]),
                                 URL_E_END);
        for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
                ck_assert_int_eq(url_target_next(&(const char *){NULL}, &item, malformed[i]),
                                 URL_E_MALFORMED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("url");
        TCase *tcase = tcase_create("url");

        tcase_add_loop_test(tcase, parses, 0, sizeof(good) / sizeof(*good));
        tcase_add_loop_test(tcase, refuses, 0, sizeof(bad) / sizeof(*bad));
        tcase_add_test(tcase, refuses_what_is_too_long);
        tcase_add_test(tcase, decodes_a_targets_path);
        tcase_add_test(tcase, steps_through_a_targets_query);
        tcase_add_test(tcase, a_query_may_be_empty_or_malformed);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
