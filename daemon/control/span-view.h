#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Open spans as JSON
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/trace/recorder.h"

/* The `limit` spans that have been open longest, one a line. */
int span_view_open(Buffer *out, const RecorderView *view, size_t limit);
