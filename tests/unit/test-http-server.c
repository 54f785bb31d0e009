/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-server.h"
#include "daemon/http/http1.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { BODY_MAX = 64 };

typedef struct Expected {
        const char *input;
        int r;     /* of feeding all of it */
        int end_r; /* of the end, where it is not complete before */
        const char *method, *target, *body;
        bool keep_alive, no_chunks;
} Expected;

static const Expected requests[] = {
        {.input = "GET /v1/status HTTP/1.1\r\nHost: catena\r\nAccept: */*\r\n\r\n",
         .method = "GET",
         .target = "/v1/status",
         .body = "",
         .keep_alive = true},
        {.input = "POST /v1/flush?level=delivered&timeout_ms=5 HTTP/1.1\r\nHost: c\r\n"
                  "Content-Length: 4\r\nConnection: close\r\n\r\nbody",
         .method = "POST",
         .target = "/v1/flush?level=delivered&timeout_ms=5",
         .body = "body"},
        {.input = "POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         .method = "POST",
         .target = "/",
         .body = "abc",
         .keep_alive = true},
        {.input = "GET / HTTP/1.1\r\nHost: c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
         .method = "GET",
         .target = "/",
         .body = "",
         .keep_alive = true},
        {.input = "GET /old HTTP/1.0\r\n\r\n",
         .method = "GET",
         .target = "/old",
         .body = "",
         .no_chunks = true},
        {.input = "DELETE /x HTTP/1.1\r\n\r\n",
         .method = "DELETE",
         .target = "/x",
         .body = "",
         .keep_alive = true},
        {.input = "GET / HTTP/1.1\r\nHo", .end_r = HTTP1_E_CUT},
        {.input = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", .end_r = HTTP1_E_CUT},
        {.input = "", .end_r = 0},
        {.input = "hello\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "GET / HTTP/9\r\n\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "GET / HTTP/1.1\r\nno colon\r\n\r\n", .r = HTTP1_E_MALFORMED},
        {.input = "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
         .r = HTTP1_E_MALFORMED},
        {.input = "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
         .r = HTTP1_E_MALFORMED},
        {.input = "POST / HTTP/1.1\r\nContent-Length: 65\r\n\r\n", .r = HTTP1_E_BODY},
        {.input = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "80\r\n01234567890123456789012345678901234567890123456789012345678901234",
         .r = HTTP1_E_BODY},
};

/* Feeds it in a heap copy of its exact size, so that a read beyond it is seen. */
static int feed(Http1 *http, size_t *usedp, const char *data, size_t size) {
        char *copy = malloc(size ? size : 1);
        int r;

        memcpy(copy, data, size);
        r = http1_feed(http, usedp, copy, size);
        free(copy);
        return r;
}

static void check_parts(const Expected *expected, const size_t *ends, size_t n) {
        const Http1Message *message;
        size_t from = 0, used;
        Http1 *http;
        int r = 0;

        ck_assert_int_eq(http1_new(&http, HTTP1_REQUEST, BODY_MAX), 0);
        for (size_t i = 0; i < n && !r; i++) {
                r = feed(http, &used, expected->input + from, ends[i] - from);
                if (!r)
                        ck_assert_uint_eq(used, ends[i] - from);
                from = ends[i];
        }
        ck_assert_int_eq(r, expected->r);
        if (!r)
                ck_assert_int_eq(http1_end(http), expected->end_r);
        message = http1_message(http);
        ck_assert_int_eq(message != NULL, expected->method != NULL);
        if (message) {
                ck_assert_str_eq(message->method, expected->method);
                ck_assert_str_eq(message->target, expected->target);
                ck_assert_uint_eq(message->body.size, strlen(expected->body));
                ck_assert(!message->body.size ||
                          !memcmp(message->body.data, expected->body, message->body.size));
                ck_assert_int_eq(message->keep_alive, expected->keep_alive);
                ck_assert_int_eq(message->chunks, !expected->no_chunks);
        }
        http1_free(http);
}

START_TEST(every_split_reads_the_same) {
        const Expected *expected = &requests[_i];
        size_t size = strlen(expected->input);

        for (size_t i = 0; i <= size; i++)
                for (size_t j = i; j <= size; j++)
                        check_parts(expected, (size_t[]){i, j, size}, 3);
}
END_TEST

START_TEST(pipelined_requests_come_one_by_one) {
        static const char text[] = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
        size_t used, rest;
        Http1 *http;

        ck_assert_int_eq(http1_new(&http, HTTP1_REQUEST, BODY_MAX), 0);
        ck_assert_int_eq(feed(http, &used, text, strlen(text)), 0);
        ck_assert_uint_eq(used, strlen(text) / 2);
        ck_assert_str_eq(http1_message(http)->target, "/a");
        ck_assert_int_eq(feed(http, &rest, text + used, strlen(text) - used), 0);
        ck_assert_uint_eq(rest, 0);
        http1_next(http);
        ck_assert_int_eq(feed(http, &rest, text + used, strlen(text) - used), 0);
        ck_assert_uint_eq(rest, used);
        ck_assert_str_eq(http1_message(http)->target, "/b");
        http1_free(http);
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands) {
        static const char text[] = "GET /a HTTP/1.1\r\nX-Some: value\r\n\r\n";

        for (size_t i = 0; i < strlen(text) - 1; i++) {
                char copy[sizeof(text)];
                Http1 *http;
                size_t used;

                memcpy(copy, text, sizeof(text));
                copy[i] = '\0';
                ck_assert_int_eq(http1_new(&http, HTTP1_REQUEST, BODY_MAX), 0);
                ck_assert_int_eq(http1_feed(http, &used, copy, strlen(text)), HTTP1_E_MALFORMED);
                http1_free(http);
        }
}
END_TEST

static void check_written(Buffer *out, const char *expected) {
        ck_assert_uint_eq(out->size, strlen(expected));
        ck_assert_mem_eq(out->data, expected, out->size);
        buffer_deinit(out);
}

START_TEST(writes_whole_responses) {
        Buffer out = BUFFER_NULL;

        ck_assert_int_eq(http_server_write(&out,
                                           &(HttpServerHead){.status = 200,
                                                             .content_type = "application/json",
                                                             .keep_alive = true},
                                           "{}\n", 3),
                         0);
        check_written(&out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            "Content-Length: 3\r\n\r\n{}\n");
        ck_assert_int_eq(http_server_write(&out, &(HttpServerHead){.status = 404}, NULL, 0), 0);
        check_written(&out, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n"
                            "Content-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(statuses_have_a_reason) {
        static const unsigned statuses[] = {200, 400, 404, 405, 413, 431, 503, 504};
        Buffer out = BUFFER_NULL;

        ck_assert_int_eq(
                http_server_write(&out, &(HttpServerHead){.status = statuses[_i]}, NULL, 0), 0);
        ck_assert_uint_gt(strcspn((char *)out.data, "\r"), strlen("HTTP/1.1 200 "));
        buffer_deinit(&out);
}
END_TEST

START_TEST(our_reader_reads_the_chunks_we_write) {
        char big[5000];
        Buffer out = BUFFER_NULL;
        size_t used;
        Http1 *http;

        memset(big, 'x', sizeof(big));
        ck_assert_int_eq(http_server_write_chunks_head(
                                 &out, &(HttpServerHead){.status = 200, .keep_alive = true}),
                         0);
        ck_assert_int_eq(http_server_write_chunk(&out, "a", 1), 0);
        ck_assert_int_eq(http_server_write_chunk(&out, NULL, 0), 0);
        ck_assert_int_eq(http_server_write_chunk(&out, big, sizeof(big)), 0);
        ck_assert_int_eq(http_server_write_last_chunk(&out), 0);

        ck_assert_int_eq(http1_new(&http, HTTP1_RESPONSE, 1 << 20), 0);
        ck_assert_int_eq(http1_feed(http, &used, out.data, out.size), 0);
        ck_assert_uint_eq(used, out.size);
        ck_assert_uint_eq(http1_message(http)->body.size, 1 + sizeof(big));
        ck_assert_mem_eq(http1_message(http)->body.data + 1, big, sizeof(big));
        ck_assert(http1_message(http)->keep_alive);
        http1_free(http);
        buffer_deinit(&out);
}
END_TEST

START_TEST(errors_have_a_status) {
        ck_assert_uint_eq(http_server_error_status(HTTP1_E_MALFORMED), 400);
        ck_assert_uint_eq(http_server_error_status(HTTP1_E_HEAD), 431);
        ck_assert_uint_eq(http_server_error_status(HTTP1_E_BODY), 413);
        for (int e = HTTP1_E_MALFORMED; e <= HTTP1_E_CUT; e++)
                ck_assert_uint_gt(strlen(http1_error_text(e)), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("http-server");
        TCase *tcase = tcase_create("http-server");

        tcase_add_loop_test(tcase, every_split_reads_the_same, 0,
                            sizeof(requests) / sizeof(*requests));
        tcase_add_test(tcase, pipelined_requests_come_one_by_one);
        tcase_add_test(tcase, a_nul_is_refused_wherever_it_stands);
        tcase_add_test(tcase, writes_whole_responses);
        tcase_add_loop_test(tcase, statuses_have_a_reason, 0, 8);
        tcase_add_test(tcase, our_reader_reads_the_chunks_we_write);
        tcase_add_test(tcase, errors_have_a_status);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
