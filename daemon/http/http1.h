#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/1.1, reading
 *
 * Bytes in, one message at a time out: a request or a response, whichever the reader was made for.
 * http-client writes what a response answers, http-server what answers a request. Informational
 * responses (100 Continue) are passed over; upgrades and trailers are ignored.
 *
 * Owns: the message.  Bound: HTTP1_HEAD_MAX and max_body.  I/O: none.
 */

#include "daemon/base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        HTTP1_HEAD_MAX = 64 * 1024, /* bytes of target or reason, header names and values */
};

/* After any of these the connection is of no more use. */
enum {
        _HTTP1_E_SUCCESS,

        HTTP1_E_MALFORMED, /* not HTTP/1 */
        HTTP1_E_HEAD,      /* more head than HTTP1_HEAD_MAX */
        HTTP1_E_BODY,      /* more body than max_body */
        HTTP1_E_CUT,       /* the stream ended within a message */
};

typedef struct Http1 Http1;

typedef enum Http1Type {
        HTTP1_REQUEST,
        HTTP1_RESPONSE,
} Http1Type;

typedef struct Http1Message {
        const char *method; /* of a request: "GET" */
        const char *target; /* of a request: path and query, as they were sent */
        unsigned status;    /* of a response */
        const char *reason; /* of a response: "OK", "" */
        Buffer body;
        bool chunks;     /* the sender understands a chunked body: HTTP/1.1 */
        bool keep_alive; /* the connection may carry another message */
} Http1Message;

int http1_new(Http1 **httpp, Http1Type type, size_t max_body);
Http1 *http1_free(Http1 *http);

/*
 * Reads on, up to the end of the message: *usedp bytes. What follows belongs to the next one, for
 * after http1_next(). Once it has failed it says the same again.
 */
int http1_feed(Http1 *http, size_t *usedp, const void *data, size_t size);
/* The stream has ended: that completes a response of no given length. */
int http1_end(Http1 *http);
/* The message, once it is complete; else NULL. It lives until http1_next(). */
const Http1Message *http1_message(const Http1 *http);
/* What was read of the body so far. What is consumed of it does not count against max_body. */
Buffer *http1_body(Http1 *http);
/* Whether any byte of the message was seen. */
bool http1_has_begun(const Http1 *http);
/* A response's status once its head was read, though the message is not complete; else 0. */
unsigned http1_status(const Http1 *http);
/* The value of the first header of that name, in lower case; NULL: there is none. */
const char *http1_header(const Http1 *http, const char *name);
/* Forgets the message, or the failure. */
void http1_next(Http1 *http);

/* "more than 64 KiB of headers" */
const char *http1_error_text(int e);
