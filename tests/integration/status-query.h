#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One question to the control socket, and what the answer says
 *
 * I/O: a connection for each question; waits at most 10 s for the answer.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct StatusQuery StatusQuery;

/* "GET", "/v1/status". NULL: nobody answers there, or not with 200 and one JSON object. */
StatusQuery *status_query_new(const char *socket, const char *method, const char *target);
StatusQuery *status_query_free(StatusQuery *query);

/* False where there is no such number: "conservation.traces.exporters.0.delivered". */
bool status_query_number(const StatusQuery *query, const char *path, uint64_t *np);
/* NULL where there is no such text; lives as long as the query. */
const char *status_query_text(const StatusQuery *query, const char *path);
