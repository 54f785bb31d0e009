#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Queries
 *
 * What a request asks for behind its path's question mark: how a list is narrowed, how long to
 * wait. Flags may be given alone or as `=true`. What a path does not know is refused, and so is a
 * value that says nothing.
 *
 * I/O: none.
 */

#include "proto/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        _QUERY_E_SUCCESS,

        QUERY_E_REFUSED, /* the problem is told */
};

enum {
        QUERY_TEXT_MAX = 256,
        QUERY_PROBLEM_MAX = 256,
        QUERY_LIMIT_MAX = 10000,
        QUERY_TIMEOUT_MAX_MS = 3600 * 1000,
};

/* X(BIT): a bit for each parameter, which bears the same name. */
#define QUERY_PARAMETERS(X)                                                                        \
        X(WORKFLOW)                                                                                \
        X(SESSION)                                                                                 \
        X(SERVICE)                                                                                 \
        X(NAME)                                                                                    \
        X(ERRORS)                                                                                  \
        X(RUNNING)                                                                                 \
        X(SLOW)                                                                                    \
        X(MIN)                                                                                     \
        X(SINCE)                                                                                   \
        X(OPEN)                                                                                    \
        X(LIMIT)                                                                                   \
        X(LEVEL)                                                                                   \
        X(TIMEOUT_MS)

enum {
#define QUERY_PARAMETER_X(bit) _QUERY_##bit,
        QUERY_PARAMETERS(QUERY_PARAMETER_X)
#undef QUERY_PARAMETER_X
#define QUERY_PARAMETER_X(bit) QUERY_##bit = 1 << _QUERY_##bit,
                QUERY_PARAMETERS(QUERY_PARAMETER_X)
#undef QUERY_PARAMETER_X
};

typedef struct Query {
        char workflow[QUERY_TEXT_MAX + 1], session[QUERY_TEXT_MAX + 1];
        char service[QUERY_TEXT_MAX + 1], name[QUERY_TEXT_MAX + 1]; /* "": any */
        char level[QUERY_TEXT_MAX + 1];
        bool errors, running, slow, open;
        uint64_t min_ns, since_ns; /* 0: any */
        uint64_t limit, timeout_ms;
} Query;

/* Reads the target's query over what *query holds. `known`: bits of the parameters it may have. */
int query_read(Query *query, char problem[QUERY_PROBLEM_MAX], unsigned known, const char *target);

/* What of a span a query may ask for. */
typedef struct QuerySpan {
        ValidateText name;
        const char *service; /* or NULL */
        bool is_error;
        uint64_t start_unix_ns, end_unix_ns; /* end: or now */
} QuerySpan;

bool query_wants_span(const Query *query, const QuerySpan *span, uint64_t now_unix_ns);
/* Whether `text` (or NULL) is what was asked for, or nothing was. */
bool query_wants_text(const char *asked, const char *text);
/* Whether the time lies within since_ns before now. */
bool query_wants_time(const Query *query, uint64_t unix_ns, uint64_t now_unix_ns);
