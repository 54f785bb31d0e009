#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Endpoint
 *
 * Where a collector is, and the path for each signal under its base URL.
 *
 * I/O: none.
 */

#include "daemon/http/url.h"
#include "daemon/trace/batch.h"

enum {
        _ENDPOINT_E_SUCCESS,

        ENDPOINT_E_URL, /* not an http:// URL with a host */
};

/* All that is exported: the signals of batches, and metrics, which are not batched. */
enum {
        ENDPOINT_METRICS = _BATCH_SIGNALS_N,
        _ENDPOINT_SIGNALS_N,
};

typedef struct Endpoint {
        Url url;
        char paths[_ENDPOINT_SIGNALS_N][URL_PATH_MAX + sizeof("/v1/metrics")];
} Endpoint;

int endpoint_parse(Endpoint *endpoint, const char *base_url);
