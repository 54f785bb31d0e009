#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/1.1, the server's side: writing responses. http1 reads the requests.
 *
 * A response is either whole, or a head for chunks, then chunks, then the last one. The head says
 * `Connection: close` when the connection will not be kept.
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/http/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HttpServerHead {
        unsigned status;
        const char *content_type; /* or NULL */
        bool keep_alive;
} HttpServerHead;

/* A whole response. */
int http_server_write(Buffer *out, const HttpServerHead *head, const void *body, size_t size);
/* Only for a request with message->chunks. */
int http_server_write_chunks_head(Buffer *out, const HttpServerHead *head);
int http_server_write_chunk(Buffer *out, const void *data, size_t size);
int http_server_write_last_chunk(Buffer *out);

/* The status to answer with, before closing, when http1_feed() returned e. */
unsigned http_server_error_status(int e);
