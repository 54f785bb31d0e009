/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/http-client.h"

#include "daemon/base/error.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

bool http_client_header_is_valid(const char *name, const char *value) {
        static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

        if (!*name || name[strspn(name, token)])
                return false;
        for (const char *p = value; *p; p++)
                if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
                        return false;
        return true;
}

int http_client_write_head(Buffer *out, const HttpClientRequest *request) {
        int r;

        r = buffer_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %" PRIu64 "\r\n",
                          request->method, request->target, request->authority, request->body_size);
        if (r)
                return error_trace(r);
        for (size_t i = 0; i < request->n_headers; i++) {
                const HttpClientHeader *header = &request->headers[i];

                assert(http_client_header_is_valid(header->name, header->value));
                r = buffer_printf(out, "%s: %s\r\n", header->name, header->value);
                if (r)
                        return error_trace(r);
        }
        r = buffer_append_string(out, "\r\n");
        return error_trace(r);
}
