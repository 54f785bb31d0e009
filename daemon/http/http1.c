/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http1.h"

#include "daemon/base/error.h"

#include <assert.h>
#include <errno.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

struct Http1 {
        llhttp_t parser;
        Http1Type type;
        size_t max_body;

        Http1Message message;
        Buffer start;   /* target or reason, NUL-terminated once the head is complete */
        Buffer headers; /* name NUL value NUL … */
        size_t n_head_bytes;
        int failed; /* HTTP1_E_* or -errno */
        bool begun, head_complete, complete;
};

/* ---- called by the parser ---- */

/* What makes a callback end the parser's run. */
static int http1_fail(Http1 *http, int r) {
        http->failed = r;
        return HPE_USER;
}

static int http1_count_head(Http1 *http, const char *data, size_t size) {
        http->n_head_bytes += size;
        if (http->n_head_bytes > HTTP1_HEAD_MAX)
                return http1_fail(http, HTTP1_E_HEAD);
        if (size && memchr(data, '\0', size))
                return http1_fail(http, HTTP1_E_MALFORMED);
        return 0;
}

static int http1_add(Http1 *http, Buffer *to, const char *data, size_t size) {
        int r;

        r = http1_count_head(http, data, size);
        if (r || http->head_complete) /* a trailer is only counted */
                return r;
        r = buffer_append(to, data, size);
        return r ? http1_fail(http, error_trace(r)) : 0;
}

static int http1_on_start(llhttp_t *parser, const char *data, size_t size) {
        Http1 *http = parser->data;

        return http1_add(http, &http->start, data, size);
}

static int http1_on_field(llhttp_t *parser, const char *data, size_t size) {
        Http1 *http = parser->data;
        size_t from = http->headers.size;
        int r;

        r = http1_add(http, &http->headers, data, size);
        for (size_t i = from; i < http->headers.size; i++)
                if (http->headers.data[i] >= 'A' && http->headers.data[i] <= 'Z')
                        http->headers.data[i] |= 0x20;
        return r;
}

static int http1_on_value(llhttp_t *parser, const char *data, size_t size) {
        Http1 *http = parser->data;

        return http1_add(http, &http->headers, data, size);
}

static int http1_terminate(Http1 *http, Buffer *text) {
        int r;

        r = buffer_append(text, "", 1);
        return r ? http1_fail(http, error_trace(r)) : 0;
}

static int http1_on_field_complete(llhttp_t *parser) {
        Http1 *http = parser->data;

        return http->head_complete ? 0 : http1_terminate(http, &http->headers);
}

static int http1_on_value_complete(llhttp_t *parser) {
        Http1 *http = parser->data;
        Buffer *headers = &http->headers;

        if (http->head_complete)
                return 0;
        while (headers->data[headers->size - 1] == ' ' || headers->data[headers->size - 1] == '\t')
                headers->size--;
        return http1_terminate(http, headers);
}

static int http1_on_headers_complete(llhttp_t *parser) {
        Http1 *http = parser->data;
        int r;

        parser->upgrade = 0;
        r = http1_terminate(http, &http->start);
        if (r)
                return -1;
        http->head_complete = true;
        if (http->type == HTTP1_RESPONSE && parser->status_code == HTTP_STATUS_SWITCHING_PROTOCOLS)
                http1_fail(http, HTTP1_E_MALFORMED);
        else if (parser->content_length > http->max_body && !(parser->flags & F_CHUNKED))
                http1_fail(http, HTTP1_E_BODY);
        return http->failed ? -1 : 0;
}

static int http1_on_body(llhttp_t *parser, const char *data, size_t size) {
        Http1 *http = parser->data;
        int r;

        if (size > http->max_body - http->message.body.size)
                return http1_fail(http, HTTP1_E_BODY);
        r = buffer_append(&http->message.body, data, size);
        return r ? http1_fail(http, error_trace(r)) : 0;
}

static int http1_on_message_complete(llhttp_t *parser) {
        Http1 *http = parser->data;
        Http1Message *message = &http->message;

        http->complete = true;
        if (http->type == HTTP1_REQUEST) {
                message->method = llhttp_method_name(parser->method);
                message->target = (const char *)http->start.data;
        } else {
                message->status = parser->status_code;
                message->reason = (const char *)http->start.data;
        }
        message->chunks = parser->http_major == 1 && parser->http_minor >= 1;
        message->keep_alive = llhttp_should_keep_alive(parser);
        return HPE_PAUSED;
}

static const llhttp_settings_t http1_settings = {
        .on_url = http1_on_start,
        .on_status = http1_on_start,
        .on_header_field = http1_on_field,
        .on_header_field_complete = http1_on_field_complete,
        .on_header_value = http1_on_value,
        .on_header_value_complete = http1_on_value_complete,
        .on_headers_complete = http1_on_headers_complete,
        .on_body = http1_on_body,
        .on_message_complete = http1_on_message_complete,
};

/* ---- the reader ---- */

int http1_new(Http1 **httpp, Http1Type type, size_t max_body) {
        Http1 *http;

        http = calloc(1, sizeof(*http));
        if (!http)
                return error_origin(-ENOMEM);
        http->type = type;
        http->max_body = max_body;
        http1_next(http);
        *httpp = http;
        return 0;
}

Http1 *http1_free(Http1 *http) {
        if (!http)
                return NULL;
        buffer_deinit(&http->message.body);
        buffer_deinit(&http->start);
        buffer_deinit(&http->headers);
        free(http);
        return NULL;
}

void http1_next(Http1 *http) {
        Buffer body = http->message.body;

        body.size = http->start.size = http->headers.size = 0;
        http->message = (Http1Message){.body = body};
        http->n_head_bytes = 0;
        http->failed = 0;
        http->begun = http->head_complete = http->complete = false;
        llhttp_init(&http->parser, http->type == HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                    &http1_settings);
        http->parser.data = http;
}

/* Folds the parser's error into ours. */
static int http1_judge(Http1 *http, llhttp_errno_t e) {
        if (!http->failed && e != HPE_OK && !(e == HPE_PAUSED && http->complete))
                http->failed = HTTP1_E_MALFORMED;
        return http->failed;
}

static bool http1_is_informational(const Http1 *http) {
        return http->complete && http->type == HTTP1_RESPONSE && http->message.status / 100 == 1;
}

int http1_feed(Http1 *http, size_t *usedp, const void *data, size_t size) {
        const char *from = data, *end = from + size, *p = from;
        llhttp_errno_t e;
        int r;

        if (http->failed)
                return http->failed;
        while (p < end && !http->complete) {
                http->begun = true;
                e = llhttp_execute(&http->parser, p, end - p);
                r = http1_judge(http, e);
                if (r)
                        return r;
                p = e == HPE_OK ? end : llhttp_get_error_pos(&http->parser);
                if (http1_is_informational(http))
                        http1_next(http);
        }
        *usedp = p - from;
        return 0;
}

int http1_end(Http1 *http) {
        int r;

        if (http->failed || http->complete)
                return http->failed;
        r = http1_judge(http, llhttp_finish(&http->parser));
        if (r == HTTP1_E_MALFORMED || (!r && http->begun && !http->complete))
                r = http->failed = HTTP1_E_CUT;
        return r;
}

const Http1Message *http1_message(const Http1 *http) {
        return http->complete ? &http->message : NULL;
}

Buffer *http1_body(Http1 *http) {
        return &http->message.body;
}

bool http1_has_begun(const Http1 *http) {
        return http->begun;
}

unsigned http1_status(const Http1 *http) {
        return http->type == HTTP1_RESPONSE && http->head_complete ? http->parser.status_code : 0;
}

const char *http1_header(const Http1 *http, const char *name) {
        const char *p = (const char *)http->headers.data, *end = p + http->headers.size;

        if (!http->head_complete)
                return NULL;
        while (p < end) {
                const char *value = p + strlen(p) + 1;

                assert(value < end);
                if (!strcmp(p, name))
                        return value;
                p = value + strlen(value) + 1;
        }
        return NULL;
}

const char *http1_error_text(int e) {
        switch (e) {
        case HTTP1_E_MALFORMED:
                return "not HTTP/1";
        case HTTP1_E_HEAD:
                return "more than 64 KiB of headers";
        case HTTP1_E_BODY:
                return "the body is too large";
        case HTTP1_E_CUT:
                return "the connection was closed within a message";
        }
        assert(0);
        return NULL;
}
