#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Chains as JSON
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/trace/chains.h"

/* A line for a list: what it is, how long it took, how it went. */
int chain_view_line(Buffer *out, const Chain *chain);
/* One of its spans, a line of its own. */
int chain_view_span(Buffer *out, const ChainSpan *span);
/* All of it: {"v":1,"chain":{…,"contexts":[…],"spans":[…]}}; the spans are OTLP/JSON. */
int chain_view_whole(Buffer *out, const Chain *chain);
