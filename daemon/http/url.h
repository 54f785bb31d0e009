#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * URLs
 *
 * The http:// URL of a collector, and the target of a request to our own server. A host is a name,
 * an IPv4 address or an IPv6 one in brackets.
 *
 * I/O: none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        _URL_E_SUCCESS,

        URL_E_SCHEME,    /* not http:// */
        URL_E_MALFORMED, /* no host, a bad port, user info, a query, a character out of place */
};

enum {
        URL_HOST_MAX = 253,
        URL_PATH_MAX = 1023,
};

typedef struct Url {
        char host[URL_HOST_MAX + 1];                       /* without brackets */
        char authority[URL_HOST_MAX + sizeof("[]:65535")]; /* for Host: "[::1]:4318" */
        char port[sizeof("65535")];
        char path[URL_PATH_MAX + 1]; /* "" or begins with a slash */
} Url;

int url_parse(Url *url, const char *text);

/*
 * The decoded path of a request's target, which may hold a query. URL_E_MALFORMED: a bad escape, an
 * escaped NUL, or more than `size` with its NUL.
 */
int url_target_path(char *path, size_t size, const char *target);
/*
 * Whether the target's query has the key, and its decoded value, "" where none is given. False also
 * for a value that is malformed or does not fit.
 */
bool url_target_query(const char *target, const char *key, char *value, size_t size);
