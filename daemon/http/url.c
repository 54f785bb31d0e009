/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_DIGITS  "0123456789"
#define URL_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- a collector's URL ---- */

static bool url_host_is_valid(const char *host, bool bracketed) {
        struct in6_addr address;

        if (bracketed)
                return inet_pton(AF_INET6, host, &address) == 1;
        return *host && !host[strspn(host, URL_DIGITS URL_LETTERS "-._")];
}

/* Takes host and port, from after "//" to *endp. */
static int url_parse_authority(Url *url, const char *text, const char *end) {
        bool bracketed = *text == '[';
        const char *host_end, *port;
        unsigned long number;
        size_t size;

        text += bracketed;
        size = strcspn(text, bracketed ? "]" : ":");
        if (size > (size_t)(end - text))
                size = end - text;
        host_end = text + size;
        if (size > URL_HOST_MAX || (bracketed && host_end == end))
                return URL_E_MALFORMED;
        memcpy(url->host, text, size);
        url->host[size] = '\0';
        if (!url_host_is_valid(url->host, bracketed))
                return URL_E_MALFORMED;

        port = host_end + bracketed;
        number = 80;
        if (port < end) {
                size = strspn(++port, URL_DIGITS);
                number = strtoul(port, NULL, 10);
                if (port[-1] != ':' || port + size != end || !size || size > 5 || !number ||
                    number > 65535)
                        return URL_E_MALFORMED;
        }
        snprintf(url->port, sizeof(url->port), "%u", (unsigned)number & 0xffff);
        snprintf(url->authority, sizeof(url->authority), "%s%s%s%s%s", bracketed ? "[" : "",
                 url->host, bracketed ? "]" : "", number == 80 ? "" : ":",
                 number == 80 ? "" : url->port);
        return 0;
}

static bool url_path_is_valid(const char *path) {
        return strlen(path) <= URL_PATH_MAX &&
               !path[strspn(path, URL_DIGITS URL_LETTERS "/-._~!$&'()*+,;=:@%")];
}

int url_parse(Url *url, const char *text) {
        const char *authority, *path;
        Url parsed;
        int r;

        if (strncasecmp(text, "http://", 7))
                return URL_E_SCHEME;
        authority = text + 7;
        path = authority + strcspn(authority, "/?#");
        r = url_parse_authority(&parsed, authority, path);
        if (r)
                return r;
        if (!url_path_is_valid(path))
                return URL_E_MALFORMED;
        strcpy(parsed.path, path);
        *url = parsed;
        return 0;
}

/* ---- a request's target ---- */

static int url_hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool url_decode(char *out, size_t out_size, const char *text, size_t size) {
        size_t n = 0;

        if (!out_size)
                return false;
        for (size_t i = 0; i < size; i++) {
                int c = (unsigned char)text[i];

                if (c == '%') {
                        int high = i + 2 < size ? url_hex_digit(text[i + 1]) : -1;
                        int low = high >= 0 ? url_hex_digit(text[i + 2]) : -1;

                        c = low >= 0 ? high << 4 | low : 0;
                        i += 2;
                }
                if (!c || n + 1 >= out_size)
                        return false;
                out[n++] = (char)c;
        }
        out[n] = '\0';
        return true;
}

int url_target_path(char *path, size_t size, const char *target) {
        return url_decode(path, size, target, strcspn(target, "?#")) ? 0 : URL_E_MALFORMED;
}

int url_target_next(const char **atp, UrlItem *item, const char *target) {
        const char *at = *atp ? *atp : target + strcspn(target, "?#");
        size_t size, key_size;

        while (*at == '?' || *at == '&') {
                size = strcspn(++at, "&#");
                key_size = strcspn(at, "=&#");
                *atp = at + size;
                if (!url_decode(item->key, sizeof item->key, at, key_size) ||
                    !url_decode(item->value, sizeof item->value, at + key_size + (key_size < size),
                                size - key_size - (key_size < size)))
                        return URL_E_MALFORMED;
                if (size)
                        return 0;
                at = *atp;
        }
        return URL_E_END;
}
