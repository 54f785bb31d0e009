#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Spans as JSON: OTLP/JSON, and whose they are
 *
 * I/O: none.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/control/query.h"
#include "daemon/trace/recorder.h"

/* The spans that a query asks for, those open longest first, one a line. */
int span_view_open(Buffer *out, const RecorderView *view, const Query *query, uint64_t now_unix_ns);
/* One that has ended, whole, as a line. */
int span_view_ended(Buffer *out, const RecorderEnded *ended);
bool span_view_is_error(const ValidateSummary *summary);
