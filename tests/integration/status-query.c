/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/integration/status-query.h"

#include "daemon/http/http1.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct StatusQuery {
        json_t *json;
};

static int status_query_connect(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){10, 0}, sizeof(struct timeval));
        if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
                close(fd);
                return -1;
        }
        return fd;
}

static json_t *status_query_read(int fd) {
        json_t *json = NULL;
        char bytes[65536];
        size_t used;
        ssize_t n;
        Http1 *http;

        if (http1_new(&http, HTTP1_RESPONSE, 64 << 20))
                return NULL;
        while (!http1_message(http)) {
                n = recv(fd, bytes, sizeof bytes, 0);
                if (n <= 0 || http1_feed(http, &used, bytes, (size_t)n))
                        break;
        }
        if (http1_message(http) && http1_message(http)->status == 200)
                json = json_loadb((const char *)http1_message(http)->body.data,
                                  http1_message(http)->body.size, 0, NULL);
        http1_free(http);
        return json;
}

StatusQuery *status_query_new(const char *socket, const char *method, const char *target) {
        StatusQuery *query = NULL;
        json_t *json = NULL;
        int fd = status_query_connect(socket);

        if (fd < 0)
                return NULL;
        if (dprintf(fd, "%s %s HTTP/1.1\r\nHost: catena\r\nConnection: close\r\n\r\n", method,
                    target) > 0)
                json = status_query_read(fd);
        close(fd);
        if (json)
                query = calloc(1, sizeof *query);
        if (query)
                query->json = json;
        else
                json_decref(json);
        return query;
}

StatusQuery *status_query_free(StatusQuery *query) {
        if (query)
                json_decref(query->json);
        free(query);
        return NULL;
}

static const json_t *status_query_at(const StatusQuery *query, const char *path) {
        const json_t *value = query->json;
        char name[64];

        while (value && *path) {
                size_t size = strcspn(path, ".");

                snprintf(name, sizeof name, "%.*s", (int)size, path);
                value = json_is_array(value) ? json_array_get(value, strtoul(name, NULL, 10))
                                             : json_object_get(value, name);
                path += size + (path[size] == '.');
        }
        return value;
}

const char *status_query_text(const StatusQuery *query, const char *path) {
        return json_string_value(status_query_at(query, path));
}

bool status_query_number(const StatusQuery *query, const char *path, uint64_t *np) {
        const json_t *value = status_query_at(query, path);

        if (json_is_string(value))
                *np = strtoull(json_string_value(value), NULL, 10);
        else if (json_is_integer(value))
                *np = (uint64_t)json_integer_value(value);
        else if (json_is_boolean(value))
                *np = json_is_true(value);
        else
                return false;
        return true;
}
