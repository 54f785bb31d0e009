#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Routes
 *
 * From a request to its answer: which path means what, and what may be asked of it.
 *
 * Borrows: all it shows.  I/O: none.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/control/control.h"
#include "daemon/control/query.h"
#include "daemon/http/http1.h"

typedef struct RoutesAnswer {
        unsigned status;
        const char *content_type;
        Buffer body; /* the caller's to free */

        bool flush; /* the answer is routes_flushed(), when it is time */
        bool delivered;
        uint64_t timeout_ms;

        bool tail; /* behind the body, the answer is a stream of what the query wants */
        Query query;
} RoutesAnswer;

int routes_answer(RoutesAnswer *answer, const ControlOptions *sources, const Http1Message *request,
                  uint64_t now_unix_ns);
/* The answer to a flush: the level reached, and whether it is what was asked for. */
int routes_flushed(RoutesAnswer *answer, const char *level, bool reached);
int routes_error(RoutesAnswer *answer, unsigned status, const char *text);
