/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/chain-list.h"

#include "daemon/base/error.h"
#include "daemon/control/chain-view.h"
#include "proto/otlp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- chains ---- */

typedef struct ChainListItem {
        const Chain *chain;
        uint64_t taken_ns;
} ChainListItem;

static uint64_t chain_list_taken_ns(const Chain *chain, uint64_t now_unix_ns) {
        uint64_t end_unix_ns = chain->end_unix_ns;

        if (chain->n_open && now_unix_ns > end_unix_ns)
                end_unix_ns = now_unix_ns;
        return end_unix_ns - chain->start_unix_ns;
}

/* Of one who made it: the ids of a context, the service of a context or of a span without. */
static bool chain_list_wants_names(const Chain *chain, const Query *query) {
        if (!*query->workflow && !*query->session && !*query->service)
                return true;
        list_for_each (link, &chain->contexts) {
                const ChainContext *context = list_entry(link, ChainContext, link);

                if (query_wants_text(query->workflow, context->workflow_id) &&
                    query_wants_text(query->session, context->session_id) &&
                    query_wants_text(query->service, context->service))
                        return true;
        }
        if (*query->workflow || *query->session)
                return false;
        list_for_each (link, &chain->spans)
                if (query_wants_text(query->service, list_entry(link, ChainSpan, link)->service))
                        return true;
        return false;
}

static bool chain_list_wants(const Chain *chain, const Query *query, uint64_t now_unix_ns) {
        return (!query->errors || chain->n_errors) && (!query->running || chain->n_open) &&
               chain_list_taken_ns(chain, now_unix_ns) >= query->min_ns &&
               (chain->n_open || query_wants_time(query, chain->end_unix_ns, now_unix_ns)) &&
               chain_list_wants_names(chain, query);
}

static int chain_list_compare(const void *left, const void *right) {
        const ChainListItem *a = left, *b = right;

        return a->taken_ns < b->taken_ns ? 1 : a->taken_ns > b->taken_ns ? -1 : 0;
}

int chain_list(Buffer *out, const Chains *chains, const Query *query, uint64_t now_unix_ns) {
        ChainListItem *items;
        ChainsUsage usage;
        size_t n = 0;
        int r = 0;

        chains_usage(chains, &usage);
        items = calloc(usage.n_chains + 1, sizeof *items);
        if (!items)
                return error_origin(-ENOMEM);
        for (const Chain *chain = chains_newest(chains); chain && (query->slow || n < query->limit);
             chain = chains_before(chains, chain))
                if (chain_list_wants(chain, query, now_unix_ns))
                        items[n++] =
                                (ChainListItem){chain, chain_list_taken_ns(chain, now_unix_ns)};
        if (query->slow)
                qsort(items, n, sizeof *items, chain_list_compare);
        for (size_t i = 0; !r && i < n && i < query->limit; i++)
                r = chain_view_line(out, items[i].chain);
        free(items);
        return error_trace(r);
}

/* ---- spans that have ended ---- */

typedef struct ChainListSpans {
        const ChainSpan **spans; /* [n], of n_allocated */
        size_t n, n_allocated;
} ChainListSpans;

static int chain_list_add_span(ChainListSpans *list, const ChainSpan *span) {
        size_t n = list->n_allocated ? 2 * list->n_allocated : 64;
        const ChainSpan **spans = list->spans;

        if (list->n == list->n_allocated) {
                spans = realloc(spans, n * sizeof *spans);
                if (!spans)
                        return error_origin(-ENOMEM);
                list->spans = spans;
                list->n_allocated = n;
        }
        spans[list->n++] = span;
        return 0;
}

static bool chain_list_wants_span(const ChainSpan *span, const Query *query, uint64_t now_unix_ns) {
        const QuerySpan asked = {
                .name = {span->name, span->name ? strlen(span->name) : 0},
                .service = span->service,
                .is_error = span->status_code == OTLP_CODE_ERROR,
                .start_unix_ns = span->start_unix_ns,
                .end_unix_ns = span->end_unix_ns,
        };

        return span->end_unix_ns && query_wants_time(query, span->end_unix_ns, now_unix_ns) &&
               query_wants_span(query, &asked, 0);
}

static int chain_list_compare_ends(const void *left, const void *right) {
        const ChainSpan *a = *(const ChainSpan *const *)left;
        const ChainSpan *b = *(const ChainSpan *const *)right;

        return a->end_unix_ns < b->end_unix_ns ? -1 : a->end_unix_ns > b->end_unix_ns;
}

int chain_list_ended(Buffer *out, const Chains *chains, const Query *query, uint64_t now_unix_ns) {
        ChainListSpans list = {0};
        int r = 0;

        for (const Chain *chain = chains_newest(chains); chain;
             chain = chains_before(chains, chain))
                list_for_each (link, &chain->spans) {
                        const ChainSpan *span = list_entry(link, ChainSpan, link);

                        if (!r && chain_list_wants_span(span, query, now_unix_ns))
                                r = chain_list_add_span(&list, span);
                }
        if (list.n)
                qsort(list.spans, list.n, sizeof *list.spans, chain_list_compare_ends);
        for (size_t i = list.n > CHAIN_LIST_ENDED_MAX ? list.n - CHAIN_LIST_ENDED_MAX : 0;
             !r && i < list.n; i++)
                r = chain_view_span(out, list.spans[i]);
        free(list.spans);
        return error_trace(r);
}
