#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP/1.1, the client's side: writing a request's head. http1 reads the response.
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HttpClientHeader {
        const char *name, *value;
} HttpClientHeader;

typedef struct HttpClientRequest {
        const char *method;
        const char *target;    /* "/v1/traces" */
        const char *authority; /* "localhost:4318" */
        const HttpClientHeader *headers;
        size_t n_headers;
        uint64_t body_size;
} HttpClientRequest;

/* Whether the header may be sent as it is: a token, and a value without control characters. */
bool http_client_header_is_valid(const char *name, const char *value);
/* Appends the head; the body follows it as it is. All headers are valid. */
int http_client_write_head(Buffer *out, const HttpClientRequest *request);
