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
        URL_E_END,       /* there is nothing more of the query */
};

enum {
        URL_HOST_MAX = 253,
        URL_PATH_MAX = 1023,
        URL_KEY_MAX = 31,
        URL_VALUE_MAX = 1023,
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
typedef struct UrlItem {
        char key[URL_KEY_MAX + 1];
        char value[URL_VALUE_MAX + 1]; /* "" where none is given */
} UrlItem;

/*
 * The next `key` or `key=value` of the target's query, decoded; *atp, NULL at first, keeps the
 * place. URL_E_END, or URL_E_MALFORMED: a bad escape, an escaped NUL, a key or value too long.
 */
int url_target_next(const char **atp, UrlItem *item, const char *target);
