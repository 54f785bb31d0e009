/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-server.h"

#include "daemon/base/error.h"

static const char *http_server_reason(unsigned status) {
        switch (status) {
        case 200:
                return "OK";
        case 400:
                return "Bad Request";
        case 404:
                return "Not Found";
        case 405:
                return "Method Not Allowed";
        case 413:
                return "Content Too Large";
        case 431:
                return "Request Header Fields Too Large";
        case 503:
                return "Service Unavailable";
        case 504:
                return "Gateway Timeout";
        }
        return "";
}

static int http_server_write_start(Buffer *out, const HttpServerHead *head) {
        int r;

        r = buffer_printf(out, "HTTP/1.1 %u %s\r\n", head->status,
                          http_server_reason(head->status));
        if (!r && head->content_type)
                r = buffer_printf(out, "Content-Type: %s\r\n", head->content_type);
        if (!r && !head->keep_alive)
                r = buffer_append_string(out, "Connection: close\r\n");
        return error_trace(r);
}

int http_server_write(Buffer *out, const HttpServerHead *head, const void *body, size_t size) {
        int r;

        r = http_server_write_start(out, head);
        if (!r)
                r = buffer_printf(out, "Content-Length: %zu\r\n\r\n", size);
        if (!r)
                r = buffer_append(out, body, size);
        return error_trace(r);
}

int http_server_write_chunks_head(Buffer *out, const HttpServerHead *head) {
        int r;

        r = http_server_write_start(out, head);
        if (!r)
                r = buffer_append_string(out, "Transfer-Encoding: chunked\r\n\r\n");
        return error_trace(r);
}

int http_server_write_chunk(Buffer *out, const void *data, size_t size) {
        int r;

        if (!size) /* would be the last one */
                return 0;
        r = buffer_printf(out, "%zx\r\n", size);
        if (!r)
                r = buffer_append(out, data, size);
        if (!r)
                r = buffer_append_string(out, "\r\n");
        return error_trace(r);
}

int http_server_write_last_chunk(Buffer *out) {
        return error_trace(buffer_append_string(out, "0\r\n\r\n"));
}

unsigned http_server_error_status(int e) {
        return e == HTTP1_E_HEAD ? 431 : e == HTTP1_E_BODY ? 413 : 400;
}
