/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/endpoint.h"

#include <stdio.h>
#include <string.h>

int endpoint_parse(Endpoint *endpoint, const char *base_url) {
        static const char *const names[_ENDPOINT_SIGNALS_N] = {
                [BATCH_TRACES] = "traces",
                [BATCH_LOGS] = "logs",
                [ENDPOINT_METRICS] = "metrics",
        };
        size_t size;

        if (url_parse(&endpoint->url, base_url))
                return ENDPOINT_E_URL;
        size = strlen(endpoint->url.path);
        if (size && endpoint->url.path[size - 1] == '/')
                size--;
        for (int signal = 0; signal < _ENDPOINT_SIGNALS_N; signal++)
                snprintf(endpoint->paths[signal], sizeof(endpoint->paths[signal]), "%.*s/v1/%s",
                         (int)size, endpoint->url.path, names[signal]);
        return 0;
}
