#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists of chains
 *
 * I/O: none.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/control/query.h"
#include "daemon/trace/chains.h"

/*
 * The chains that a query asks for, a line each: the newest first, or with `slow` the slowest; at
 * most query->limit. One that runs has taken until now.
 */
int chain_list(Buffer *out, const Chains *chains, const Query *query, uint64_t now_unix_ns);

enum { CHAIN_LIST_ENDED_MAX = 1000 };

/*
 * Of the spans that ended within query->since_ns those that it wants, in the order in which they
 * ended, a line each; the last CHAIN_LIST_ENDED_MAX.
 */
int chain_list_ended(Buffer *out, const Chains *chains, const Query *query, uint64_t now_unix_ns);
