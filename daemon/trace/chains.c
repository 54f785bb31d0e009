/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/chains.h"

#include "daemon/base/error.h"
#include "daemon/trace/chain-store.h"
#include "proto/otlp.h"
#include "proto/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS_STATUS_SEEN = 1 << OTLP_SPAN_STATUS };

static bool chains_context_is_open(const ChainContext *context) {
        return !context->end_unix_ns && context->n_handles;
}

static void chains_saw(Chain *chain, uint64_t unix_ns) {
        if (!unix_ns)
                return;
        if (!chain->start_unix_ns || unix_ns < chain->start_unix_ns)
                chain->start_unix_ns = unix_ns;
        if (unix_ns > chain->end_unix_ns)
                chain->end_unix_ns = unix_ns;
}

static ValidateText chains_text(const char *text) {
        return (ValidateText){.data = text, .size = text ? strlen(text) : 0};
}

/* ---- contexts ---- */

/* An id cut short would be another id: longer ones are not kept. */
static bool chains_id_fits(const char *id) {
        return id && *id && strnlen(id, CHAINS_TEXT_MAX + 1) <= CHAINS_TEXT_MAX;
}

static ChainContext *chains_context_in(const Chains *chains, const Chain *chain, const char *id) {
        IdIndexEntry *entry = id_index_find(&chains->index, (uintptr_t)chain, id, strlen(id));

        return entry ? list_entry(entry, ChainContext, in_chain) : NULL;
}

static int chains_add_context(Chains *chains, ChainContext **contextp, Chain *chain,
                              const ChainsContextStart *start) {
        ChainContext *context = chain_store_take(chain, sizeof *context);
        const char *id = start->context_id;
        int r;

        if (!context)
                return error_origin(-ENOMEM);
        context->chain = chain;
        context->pid = start->pid;
        list_init(&context->checkpoints);
        context->repeated = &context->checkpoints;
        list_init(&context->handles);
        list_append(&chain->contexts, &context->link);
        r = chain_store_set_text(chain, &context->context_id, chains_text(id));
        if (!r)
                r = chain_store_set_text(chain, &context->service, chains_text(start->service));
        if (!r)
                r = id_index_put(&chains->index, &context->by_id, CHAIN_STORE_BY_CONTEXT,
                                 context->context_id, strlen(id));
        if (!r)
                r = id_index_put(&chains->index, &context->in_chain, (uintptr_t)chain,
                                 context->context_id, strlen(id));
        if (r) {
                chain_store_free_context(context);
                return error_trace(r);
        }
        chain->n_contexts++;
        *contextp = context;
        return 0;
}

static int chains_set_causes(ChainContext *context, const ChainsContextStart *start) {
        int r;

        chain_store_give_causes(context);
        if (!start->n_causes)
                return 0;
        context->causation_ids = chain_store_take(
                context->chain, CHAINS_CAUSES_MAX * sizeof *context->causation_ids);
        if (!context->causation_ids)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < start->n_causes && context->n_causes < CHAINS_CAUSES_MAX; i++) {
                if (!chains_id_fits(start->causation_ids[i]))
                        continue;
                r = chain_store_set_text(context->chain, &context->causation_ids[context->n_causes],
                                         chains_text(start->causation_ids[i]));
                if (r)
                        return error_trace(r);
                context->n_causes++;
        }
        return 0;
}

static int chains_add_handle(ChainContext *context, ChainContext **place) {
        bool was_open = chains_context_is_open(context);
        ChainHandle *handle;

        if (*place || context->n_handles == CHAINS_HANDLES_MAX)
                return 0;
        handle = chain_store_take(context->chain, sizeof *handle);
        if (!handle)
                return error_origin(-ENOMEM);
        handle->place = place;
        list_append(context->handles.next, &handle->link);
        context->n_handles++;
        *place = context;
        if (!was_open && chains_context_is_open(context))
                chain_store_opened(context->chain);
        return 0;
}

/* Whether a new chain is not kept now; then what it would have held is counted. */
static bool chains_thin_out(Chains *chains, uint64_t scope, const void *id, size_t size) {
        if (!chains->thinning ||
            !chain_store_thins(chains, id_index_hash(&chains->index, scope, id, size)))
                return false;
        chains->n_left_out++;
        return true;
}

void chains_set_time(Chains *chains, uint64_t now_unix_ns) {
        if (chains)
                chain_store_set_time(chains, now_unix_ns);
}

int chains_context_start(Chains *chains, ChainContext **handle, const ChainsContextStart *start) {
        const char *id = start->correlation_id ? start->correlation_id : start->context_id;
        ChainContext *context = NULL;
        Chain *chain;
        int r = 0;

        if (!chains)
                return 0;
        if (!chains_id_fits(id) || !chains_id_fits(start->context_id)) {
                chains->n_left_out++;
                return CHAINS_E_NAMELESS;
        }
        chain = chain_store_find(chains, id);
        if (chain)
                context = chains_context_in(chains, chain, start->context_id);
        if (*handle && *handle != context)
                chains_forget(handle, NULL);
        if (!chain && chains_thin_out(chains, CHAIN_STORE_BY_CORRELATION, id, strlen(id)))
                return 0;
        if (!chain_store_make_room(chains, chain))
                return 0;
        if (!chain)
                r = chain_store_add(chains, &chain, id);
        if (context)
                context->repeated = context->checkpoints.next;
        else if (!r)
                r = chains_add_context(chains, &context, chain, start);
        if (!r)
                r = chain_store_set_text(chain, &context->workflow_id,
                                         chains_text(start->workflow_id));
        if (!r)
                r = chain_store_set_text(chain, &context->session_id,
                                         chains_text(start->session_id));
        if (!r)
                r = chains_set_causes(context, start);
        if (!r)
                r = chains_add_handle(context, handle);
        if (r)
                return error_trace(r);
        if (start->start_unix_ns)
                context->start_unix_ns = start->start_unix_ns;
        chains_saw(chain, start->start_unix_ns);
        return 0;
}

static bool chains_is_repeated(ChainContext *context, const char *name, size_t size,
                               uint64_t time_unix_ns) {
        const ChainCheckpoint *checkpoint = list_entry(context->repeated, ChainCheckpoint, link);

        if (context->repeated == &context->checkpoints ||
            checkpoint->time_unix_ns != time_unix_ns || strlen(checkpoint->name) != size ||
            memcmp(checkpoint->name, name, size))
                return false;
        context->repeated = context->repeated->next;
        return true;
}

int chains_context_checkpoint(Chains *chains, ChainContext *context, const char *name, size_t size,
                              uint64_t time_unix_ns) {
        ChainCheckpoint *checkpoint;

        size = utf8_truncate(name, strnlen(name, size), CHAINS_TEXT_MAX);
        if (!context || chains_is_repeated(context, name, size, time_unix_ns) ||
            !chain_store_make_room(chains, context->chain))
                return 0;
        checkpoint = chain_store_take(context->chain, sizeof *checkpoint + size + 1);
        if (!checkpoint)
                return error_origin(-ENOMEM);
        checkpoint->time_unix_ns = time_unix_ns;
        memcpy(checkpoint->name, name, size);
        list_append(&context->checkpoints, &checkpoint->link);
        chains_saw(context->chain, time_unix_ns);
        return 0;
}

/* The context behind a handle, which is forgotten. */
static ChainContext *chains_let_go(ChainContext **place) {
        ChainContext *context = *place;

        list_for_each_safe (link, &context->handles) {
                ChainHandle *handle = list_entry(link, ChainHandle, link);

                if (handle->place == place) {
                        chain_store_drop_handle(context, handle);
                        break;
                }
        }
        return context;
}

void chains_context_end(Chains *chains, ChainContext **handle, uint64_t end_unix_ns) {
        ChainContext *context = *handle;
        bool was_open;

        if (!context)
                return;
        was_open = chains_context_is_open(context);
        chains_let_go(handle);
        context->end_unix_ns = end_unix_ns;
        chains_saw(context->chain, end_unix_ns);
        if (was_open && !chains_context_is_open(context))
                chain_store_closed(chains, context->chain);
}

/* ---- spans ---- */

static int chains_set_exception(ChainSpan *span, const ValidateSummary *summary) {
        ValidateText type = summary->exception_type, message = summary->exception_message;
        char text[CHAINS_TEXT_MAX + sizeof ": " + CHAINS_TEXT_MAX];
        int size;

        if (!type.data && !message.data)
                return 0;
        if (!type.data || !message.data)
                return error_trace(chain_store_set_text(span->chain, &span->exception,
                                                        type.data ? type : message));
        size = snprintf(text, sizeof text, "%.*s: %.*s",
                        (int)utf8_truncate(type.data, type.size, CHAINS_TEXT_MAX), type.data,
                        (int)utf8_truncate(message.data, message.size, CHAINS_TEXT_MAX),
                        message.data);
        return error_trace(chain_store_set_text(
                span->chain, &span->exception, (ValidateText){.data = text, .size = (size_t)size}));
}

/* As in OTLP: Ok is final, Error beats Unset, a message only with Error. */
static int chains_set_status(ChainSpan *span, const ValidateSummary *summary) {
        bool was_error = span->status_code == OTLP_CODE_ERROR;

        if (!(summary->seen & CHAINS_STATUS_SEEN) || !summary->status_code ||
            span->status_code == OTLP_CODE_OK)
                return 0;
        span->status_code = summary->status_code;
        if (span->status_code == OTLP_CODE_ERROR) {
                span->chain->n_errors += !was_error;
                return error_trace(chain_store_set_text(span->chain, &span->status_message,
                                                        summary->status_message));
        }
        span->chain->n_errors -= was_error;
        chain_store_give_text(span->chain, span->status_message);
        span->status_message = NULL;
        return 0;
}

static int chains_span_merge(ChainSpan *span, const ValidateSummary *summary) {
        int r;

        if (summary->kind)
                span->kind = summary->kind;
        if (summary->start_unix_ns)
                span->start_unix_ns = summary->start_unix_ns;
        chains_saw(span->chain, summary->start_unix_ns);
        r = chains_set_status(span, summary);
        if (!r)
                r = chains_set_exception(span, summary);
        return error_trace(r);
}

static int chains_add_span(Chain *chain, ChainSpan **spanp, const ValidateSummary *summary,
                           const char *service) {
        ChainSpan *span;
        int r;

        r = chain_store_add_span(chain, &span, summary->name, chains_text(service));
        if (r)
                return error_trace(r);
        memcpy(span->trace_id, summary->trace_id, ID_TRACE_SIZE);
        memcpy(span->span_id, summary->span_id, ID_SPAN_SIZE);
        if (summary->parent_span_id)
                memcpy(span->parent_span_id, summary->parent_span_id, ID_SPAN_SIZE);
        *spanp = span;
        return 0;
}

void chains_leave_out(Chains *chains) {
        if (chains)
                chains->n_left_out++;
}

int chains_span_start(Chains *chains, ChainSpan **handle, ChainContext *context,
                      const ValidateSummary *summary, const char *service, uint32_t pid) {
        Chain *chain = context ? context->chain : NULL;
        ChainSpan *span = NULL;
        int r = 0;

        if (!chains)
                return 0;
        if (!context) {
                if (chains_thin_out(chains, CHAIN_STORE_BY_OWN_TRACE, summary->trace_id,
                                    ID_TRACE_SIZE))
                        return 0;
                chain = chain_store_find_trace(chains, summary->trace_id);
        }
        if (!chain_store_make_room(chains, chain))
                return 0;
        if (!chain)
                r = chain_store_add_trace(chains, &chain, summary->trace_id);
        if (!r)
                r = chains_add_span(chain, &span, summary, service);
        if (r)
                return error_trace(r);
        span->context = context;
        span->pid = pid;
        span->handle = handle;
        *handle = span;
        chain_store_opened(chain);
        return error_trace(chains_span_merge(span, summary));
}

int chains_span_update(Chains *chains, ChainSpan *span, const ValidateSummary *summary) {
        int r;

        if (!span || !chain_store_make_room(chains, span->chain))
                return 0;
        r = chain_store_rename_span(span, summary->name);
        if (!r)
                r = chains_span_merge(span, summary);
        return error_trace(r);
}

static void chains_release_span(Chains *chains, ChainSpan **handle) {
        ChainSpan *span = *handle;

        *handle = NULL;
        span->handle = NULL;
        chain_store_closed(chains, span->chain);
}

void chains_span_end(Chains *chains, ChainSpan **handle, uint64_t end_unix_ns,
                     const char *end_reason) {
        ChainSpan *span = *handle;

        if (!span)
                return;
        span->end_unix_ns = end_unix_ns;
        span->end_reason = end_reason;
        if (end_reason && !strcmp(end_reason, "process exited") &&
            span->status_code != OTLP_CODE_ERROR) {
                /* What the daemon says of a dead process stands, even over Ok. */
                span->status_code = OTLP_CODE_ERROR;
                span->chain->n_errors++;
        }
        chains_saw(span->chain, end_unix_ns);
        chains_release_span(chains, handle);
}

void chains_forget(ChainContext **context, ChainSpan **span) {
        if (context && *context) {
                ChainContext *node = *context;
                bool was_open = chains_context_is_open(node);

                chains_let_go(context);
                if (was_open && !chains_context_is_open(node))
                        chain_store_closed(node->chain->chains, node->chain);
        }
        if (span && *span)
                chains_release_span((*span)->chain->chains, span);
}

/* ---- asked ---- */

int chains_new(Chains **chainsp, size_t max_bytes, uint64_t seed) {
        Chains *chains = calloc(1, sizeof *chains);

        if (!chains)
                return error_origin(-ENOMEM);
        id_index_init(&chains->index, seed);
        list_init(&chains->chains);
        list_init(&chains->finished);
        chains->n_bytes = sizeof *chains;
        chains->max_bytes = max_bytes;
        *chainsp = chains;
        return 0;
}

Chains *chains_free(Chains *chains) {
        if (!chains)
                return NULL;
        list_for_each_safe (link, &chains->chains)
                chain_store_free(list_entry(link, Chain, link));
        id_index_deinit(&chains->index);
        free(chains);
        return NULL;
}

static Chain *chains_entry(const Chains *chains, const List *link) {
        return link == &chains->chains ? NULL : list_entry(link, Chain, link);
}

Chain *chains_newest(const Chains *chains) {
        return chains_entry(chains, chains->chains.previous);
}

Chain *chains_before(const Chains *chains, const Chain *chain) {
        return chains_entry(chains, chain->link.previous);
}

/* The newest chain with a span of that trace, or of that span id. */
static Chain *chains_find_span(const Chains *chains, const uint8_t *id, size_t size) {
        for (Chain *chain = chains_newest(chains); chain; chain = chains_before(chains, chain))
                list_for_each (link, &chain->spans) {
                        const ChainSpan *span = list_entry(link, ChainSpan, link);
                        const uint8_t *own = size == ID_SPAN_SIZE ? span->span_id : span->trace_id;

                        if (!memcmp(own, id, size))
                                return chain;
                }
        return NULL;
}

Chain *chains_find(const Chains *chains, const char *id) {
        uint8_t bytes[ID_TRACE_SIZE];
        size_t size = strlen(id);
        IdIndexEntry *entry;
        Chain *chain;

        chain = chain_store_find(chains, id);
        if (chain)
                return chain;
        if (size == ID_TRACE_HEX && id_from_hex(bytes, id, ID_TRACE_SIZE)) {
                chain = chain_store_find_trace(chains, bytes);
                if (chain)
                        return chain;
        }
        entry = id_index_find(&chains->index, CHAIN_STORE_BY_CONTEXT, id, size);
        if (entry)
                return list_entry(entry, ChainContext, by_id)->chain;
        if ((size == ID_TRACE_HEX || size == ID_SPAN_HEX) && id_from_hex(bytes, id, size / 2))
                return chains_find_span(chains, bytes, size / 2);
        return NULL;
}

ChainContext *chains_cause(const Chains *chains, const ChainContext *context) {
        ChainContext *cause = NULL;

        if (context->n_causes)
                cause = chains_context_in(chains, context->chain, context->causation_ids[0]);
        return cause == context ? NULL : cause;
}

void chains_usage(const Chains *chains, ChainsUsage *usage) {
        *usage = (ChainsUsage){
                .n_chains = chains->n_chains,
                .n_bytes = chain_store_bytes(chains),
                .max_bytes = chains->max_bytes,
                .n_evicted = chains->n_evicted,
                .n_left_out = chains->n_left_out,
                .one_of = 1u << chains->thinning,
        };
}
