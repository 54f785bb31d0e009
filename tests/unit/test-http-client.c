/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-client.h"
#include "daemon/http/http1.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { BODY_MAX = 4096 };

typedef struct Expected {
        const char *input;
        int r;     /* of feeding all of it */
        bool ends; /* complete only when the stream ends */
        int end_r; /* of the end, where it is not complete before */
        unsigned status;
        const char *reason, *body;
        bool keep_alive;
        size_t left; /* bytes that belong to the next message */
} Expected;

static const Expected responses[] = {
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\nhello",
         .status = 200,
         .reason = "OK",
         .body = "hello",
         .keep_alive = true},
        {.input = "HTTP/1.1 204 No Content\r\n\r\n",
         .status = 204,
         .reason = "No Content",
         .body = "",
         .keep_alive = true},
        {.input = "HTTP/1.1 503 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
         .status = 503,
         .reason = "",
         .body = ""},
        {.input = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n",
         .status = 200,
         .reason = "OK",
         .body = "hello world",
         .keep_alive = true},
        {.input = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                  "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok",
         .status = 200,
         .reason = "Fine",
         .body = "ok",
         .keep_alive = true},
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200",
         .status = 200,
         .reason = "OK",
         .body = "ok",
         .keep_alive = true,
         .left = 12},
        {.input = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nno length",
         .ends = true,
         .status = 400,
         .reason = "Bad Request",
         .body = "no length"},
        {.input = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
         .status = 200,
         .reason = "OK",
         .body = "ok"},
        {.input = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
         .status = 200,
         .reason = "OK",
         .body = "ok",
         .keep_alive = true},
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", .end_r = HTTP1_E_CUT},
        {.input = "HTTP/1.1 200 OK\r\nConte", .end_r = HTTP1_E_CUT},
        {.input = "HTTP/1.1 100 Continue\r\n\r\n", .end_r = 0},
        {.input = "H", .end_r = HTTP1_E_CUT},
        {.input = "", .end_r = 0},
        {.input = "SSH-2.0-OpenSSH_9.2\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
         .r = HTTP1_E_MALFORMED},
        {.input = "HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", .r = HTTP1_E_BODY},
        {.input = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         .r = HTTP1_E_MALFORMED},
        {.input = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
         .r = HTTP1_E_MALFORMED},
};

static Http1 *response_new(void) {
        Http1 *http;

        ck_assert_int_eq(http1_new(&http, HTTP1_RESPONSE, BODY_MAX), 0);
        return http;
}

/* Feeds it in a heap copy of its exact size, so that a read beyond it is seen. */
static int feed(Http1 *http, size_t *usedp, const char *data, size_t size) {
        char *copy = malloc(size ? size : 1);
        int r;

        memcpy(copy, data, size);
        r = http1_feed(http, usedp, copy, size);
        free(copy);
        return r;
}

static void check_message(Http1 *http, const Expected *expected) {
        const Http1Message *message = http1_message(http);

        if (!expected->status) {
                ck_assert_ptr_null(message);
                return;
        }
        ck_assert_ptr_nonnull(message);
        ck_assert_uint_eq(message->status, expected->status);
        ck_assert_str_eq(message->reason, expected->reason);
        ck_assert_uint_eq(message->body.size, strlen(expected->body));
        ck_assert_int_eq(!message->body.size ||
                                 !memcmp(message->body.data, expected->body, message->body.size),
                         1);
        ck_assert_int_eq(message->keep_alive, expected->keep_alive);
        ck_assert_ptr_null(http1_header(http, "x-trailer"));
}

/* Feeds the parts one behind the other; whichever says no first, says it for the whole. */
static void check_parts(const Expected *expected, const size_t *ends, size_t n) {
        Http1 *http = response_new();
        size_t from = 0, left = 0;
        int r = 0;

        for (size_t i = 0; i < n && !r; i++) {
                size_t used = 0;

                r = feed(http, &used, expected->input + from, ends[i] - from);
                if (!r)
                        left += ends[i] - from - used;
                from = ends[i];
        }
        ck_assert_int_eq(r, expected->r);
        ck_assert_int_eq(http1_message(http) != NULL, !r && expected->status && !expected->ends);
        if (!r) {
                ck_assert_uint_eq(left, expected->left);
                r = http1_end(http);
                ck_assert_int_eq(r, expected->end_r);
        }
        check_message(http, expected);
        http1_free(http);
}

START_TEST(every_split_reads_the_same) {
        const Expected *expected = &responses[_i];
        size_t size = strlen(expected->input);

        for (size_t i = 0; i <= size; i++)
                for (size_t j = i; j <= size; j++)
                        check_parts(expected, (size_t[]){i, j, size}, 3);
}
END_TEST

START_TEST(headers_are_found_by_name) {
        static const char text[] = "HTTP/1.1 429 Slow Down\r\nRETRY-after:  12  \r\nEmpty: \t\r\n"
                                   "A: first\r\nA: second\r\nContent-Length: 0\r\n\r\n";
        Http1 *http = response_new();
        size_t used;

        ck_assert_ptr_null(http1_header(http, "retry-after"));
        ck_assert_int_eq(feed(http, &used, text, strlen(text)), 0);
        ck_assert_str_eq(http1_header(http, "retry-after"), "12");
        ck_assert_str_eq(http1_header(http, "empty"), "");
        ck_assert_str_eq(http1_header(http, "a"), "first");
        ck_assert_ptr_null(http1_header(http, "first"));
        http1_free(http);
}
END_TEST

START_TEST(one_reader_reads_many) {
        static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: 1\r\n\r\na"
                                   "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        Http1 *http = response_new();
        size_t used, rest;

        ck_assert_int_eq(feed(http, &used, text, strlen(text)), 0);
        ck_assert_uint_eq(http1_message(http)->status, 200);
        ck_assert_str_eq(http1_header(http, "x"), "1");
        http1_next(http);
        ck_assert_ptr_null(http1_message(http));
        ck_assert(!http1_has_begun(http));
        ck_assert_int_eq(feed(http, &rest, text + used, strlen(text) - used), 0);
        ck_assert_uint_eq(used + rest, strlen(text));
        ck_assert_uint_eq(http1_message(http)->status, 503);
        ck_assert_uint_eq(http1_message(http)->body.size, 0);
        ck_assert_ptr_null(http1_header(http, "x"));
        http1_free(http);
}
END_TEST

START_TEST(floods_are_bounded) {
        static const char *const heads[] = {
                "HTTP/1.1 200 OK\r\nX: ",
                "HTTP/1.1 200 ",
                "HTTP/1.1 200 OK\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
                "HTTP/1.1 200 OK\r\n\r\n",
        };
        static const char *const floods[] = {"aaaaaaaa", "aaaaaaaa", "ab: cdef\r\n", "aaaaaaaa",
                                             "aaaaaaaa"};
        Http1 *http = response_new();
        size_t used, n = 0;
        int r;

        ck_assert_int_eq(feed(http, &used, heads[_i], strlen(heads[_i])), 0);
        do {
                r = feed(http, &used, floods[_i], strlen(floods[_i]));
                n += strlen(floods[_i]);
        } while (!r && n < 1024 * 1024);
        ck_assert_int_eq(r, _i == 4 ? HTTP1_E_BODY : HTTP1_E_HEAD);
        ck_assert_uint_eq(http1_status(http), _i == 3 || _i == 4 ? 200 : 0);
        ck_assert_int_eq(feed(http, &used, "a", 1), r);
        ck_assert_int_eq(http1_end(http), r);
        ck_assert_ptr_null(http1_message(http));
        http1_free(http);
}
END_TEST

START_TEST(writes_a_request) {
        HttpClientHeader headers[] = {{"Content-Type", "application/x-protobuf"}, {"X-Empty", ""}};
        HttpClientRequest request = {
                .method = "POST",
                .target = "/v1/traces",
                .authority = "[::1]:4318",
                .headers = headers,
                .n_headers = 2,
                .body_size = 5000000000,
        };
        static const char expected[] =
                "POST /v1/traces HTTP/1.1\r\nHost: [::1]:4318\r\nContent-Length: 5000000000\r\n"
                "Content-Type: application/x-protobuf\r\nX-Empty: \r\n\r\n";
        Buffer out = BUFFER_NULL;

        ck_assert_int_eq(http_client_write_head(&out, &request), 0);
        ck_assert_uint_eq(out.size, strlen(expected));
        ck_assert_mem_eq(out.data, expected, out.size);
        buffer_deinit(&out);
}
END_TEST

START_TEST(refuses_headers_that_would_break_the_head) {
        ck_assert(http_client_header_is_valid("X-Scope-OrgID", "shop"));
        ck_assert(http_client_header_is_valid("a", ""));
        ck_assert(http_client_header_is_valid("a", "tab\there, \xc3\xa4"));
        ck_assert(!http_client_header_is_valid("", "x"));
        ck_assert(!http_client_header_is_valid("a b", "x"));
        ck_assert(!http_client_header_is_valid("a:", "x"));
        ck_assert(!http_client_header_is_valid("a", "x\r\nY: z"));
        ck_assert(!http_client_header_is_valid("a", "x\n"));
        ck_assert(!http_client_header_is_valid("a", "\x7f"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("http-client");
        TCase *tcase = tcase_create("http-client");

        tcase_add_loop_test(tcase, every_split_reads_the_same, 0,
                            sizeof(responses) / sizeof(*responses));
        tcase_add_test(tcase, headers_are_found_by_name);
        tcase_add_test(tcase, one_reader_reads_many);
        tcase_add_loop_test(tcase, floods_are_bounded, 0, 5);
        tcase_add_test(tcase, writes_a_request);
        tcase_add_test(tcase, refuses_headers_that_would_break_the_head);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
