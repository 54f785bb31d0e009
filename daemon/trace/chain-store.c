/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/chain-store.h"

#include "daemon/base/error.h"
#include "proto/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        /* More than any one step adds: a chain, and a context with all its texts and causes. */
        CHAIN_STORE_STEP_MAX = 16 * 1024,
        CHAIN_STORE_STEP_ENTRIES = 3,
        CHAIN_STORE_THINNING_MAX = 10,
        CHAIN_STORE_THINNED_MIN = 64, /* where few large chains take the room it helps nobody */
};

#define CHAIN_STORE_KEPT_NS UINT64_C(10000000000) /* how long a chain should be there to be seen */

/* ---- memory: what an allocation really takes, as glibc rounds it ---- */

static size_t chain_store_weight(size_t size) {
        size_t weight = (size + sizeof(size_t) + 15) & ~(size_t)15;

        return weight < 32 ? 32 : weight;
}

static void chain_store_charge(Chain *chain, size_t size) {
        chain->n_bytes += chain_store_weight(size);
        chain->chains->n_bytes += chain_store_weight(size);
}

void *chain_store_take(Chain *chain, size_t size) {
        void *memory = calloc(1, size);

        if (memory)
                chain_store_charge(chain, size);
        return memory;
}

void chain_store_give(Chain *chain, void *memory, size_t size) {
        if (!memory)
                return;
        chain->n_bytes -= chain_store_weight(size);
        chain->chains->n_bytes -= chain_store_weight(size);
        free(memory);
}

void chain_store_give_text(Chain *chain, char *text) {
        chain_store_give(chain, text, text ? strlen(text) + 1 : 0);
}

size_t chain_store_bytes(const Chains *chains) {
        return chains->n_bytes + id_index_bytes(&chains->index);
}

/* ---- what is open ---- */

void chain_store_opened(Chain *chain) {
        chain->n_open++;
        list_unlink(&chain->finished_link);
}

void chain_store_closed(Chains *chains, Chain *chain) {
        assert(chain->n_open);
        if (!--chain->n_open)
                list_append(&chains->finished, &chain->finished_link);
}

/* ---- leaving ---- */

void chain_store_drop_handle(ChainContext *context, ChainHandle *handle) {
        *handle->place = NULL;
        list_unlink(&handle->link);
        context->n_handles--;
        chain_store_give(context->chain, handle, sizeof *handle);
}

void chain_store_give_causes(ChainContext *context) {
        for (size_t i = 0; i < context->n_causes; i++)
                chain_store_give_text(context->chain, context->causation_ids[i]);
        chain_store_give(context->chain, context->causation_ids,
                         CHAINS_CAUSES_MAX * sizeof *context->causation_ids);
        context->causation_ids = NULL;
        context->n_causes = 0;
}

void chain_store_free_context(ChainContext *context) {
        Chain *chain = context->chain;

        id_index_remove(&chain->chains->index, &context->by_id);
        id_index_remove(&chain->chains->index, &context->in_chain);
        list_for_each_safe (link, &context->handles)
                chain_store_drop_handle(context, list_entry(link, ChainHandle, link));
        list_for_each_safe (link, &context->checkpoints) {
                ChainCheckpoint *checkpoint = list_entry(link, ChainCheckpoint, link);

                chain_store_give(chain, checkpoint,
                                 sizeof *checkpoint + strlen(checkpoint->name) + 1);
        }
        chain_store_give_causes(context);
        chain_store_give_text(chain, context->context_id);
        chain_store_give_text(chain, context->workflow_id);
        chain_store_give_text(chain, context->session_id);
        chain_store_give_text(chain, context->service);
        list_unlink(&context->link);
        chain_store_give(chain, context, sizeof *context);
}

void chain_store_free_span(ChainSpan *span) {
        Chain *chain = span->chain;

        if (span->handle)
                *span->handle = NULL;
        if (span->name != span->texts)
                chain_store_give_text(chain, span->name);
        chain_store_give_text(chain, span->status_message);
        chain_store_give_text(chain, span->exception);
        list_unlink(&span->link);
        chain_store_give(chain, span, sizeof *span + span->n_text_bytes);
}

void chain_store_free(Chain *chain) {
        Chains *chains = chain->chains;

        list_for_each_safe (link, &chain->spans)
                chain_store_free_span(list_entry(link, ChainSpan, link));
        list_for_each_safe (link, &chain->contexts)
                chain_store_free_context(list_entry(link, ChainContext, link));
        id_index_remove(&chains->index, &chain->by_id);
        list_unlink(&chain->link);
        list_unlink(&chain->finished_link);
        chains->n_bytes -= chain->n_bytes;
        chains->n_chains--;
        free(chain);
}

/* The chain that leaves next, never `keep`; NULL: there is none. */
static Chain *chain_store_victim(const Chains *chains, const Chain *keep) {
        list_for_each (link, &chains->finished) {
                Chain *chain = list_entry(link, Chain, finished_link);

                if (chain != keep)
                        return chain;
        }
        list_for_each (link, &chains->chains) {
                Chain *chain = list_entry(link, Chain, link);

                if (chain != keep)
                        return chain;
        }
        return NULL;
}

/* ---- thinning ---- */

bool chain_store_thins(const Chains *chains, uint64_t hash) {
        return chains->thinning && hash >> (64 - chains->thinning);
}

static void chain_store_evict(Chains *chains, Chain *chain) {
        chain_store_free(chain);
        chains->n_evicted++;
        chains->evicted_unix_ns = chains->now_unix_ns;
}

static bool chain_store_is_young(const Chains *chains, const Chain *chain) {
        return chains->now_unix_ns && chains->now_unix_ns - chain->added_unix_ns <
                                              CHAIN_STORE_KEPT_NS;
}

/*
 * Chains come so fast that they leave before anybody could look: half of them are kept from now on,
 * whole. Those of contexts that are still at work are seen through.
 */
static void chain_store_thin(Chains *chains, const Chain *keep) {
        if (chains->thinning == CHAIN_STORE_THINNING_MAX ||
            chains->n_chains < CHAIN_STORE_THINNED_MIN)
                return;
        chains->thinning++;
        list_for_each_safe (link, &chains->chains) {
                Chain *chain = list_entry(link, Chain, link);
                bool at_work = chain->n_open && chain->n_contexts;

                if (chain != keep && !at_work && chain_store_thins(chains, chain->by_id.hash))
                        chain_store_evict(chains, chain);
        }
}

void chain_store_set_time(Chains *chains, uint64_t now_unix_ns) {
        chains->now_unix_ns = now_unix_ns;
        if (!chains->thinning || now_unix_ns - chains->evicted_unix_ns < 2 * CHAIN_STORE_KEPT_NS)
                return;
        chains->thinning--;
        chains->evicted_unix_ns = now_unix_ns;
}

/* ---- room ---- */

bool chain_store_make_room(Chains *chains, Chain *chain) {
        bool young = false;
        bool fits = !chain || chain->n_bytes + CHAIN_STORE_STEP_MAX <= chains->max_bytes / 2;

        while (fits && chain_store_bytes(chains) + CHAIN_STORE_STEP_MAX +
                                       id_index_growth(&chains->index, CHAIN_STORE_STEP_ENTRIES) >
                               chains->max_bytes) {
                Chain *victim = chain_store_victim(chains, chain);

                if (victim) {
                        young = young || chain_store_is_young(chains, victim);
                        chain_store_evict(chains, victim);
                }
                fits = victim;
        }
        if (young)
                chain_store_thin(chains, chain);
        if (fits)
                return true;
        if (chain)
                chain->n_left_out++;
        chains->n_left_out++;
        return false;
}

/* ---- coming ---- */

size_t chain_store_text_size(ValidateText text) {
        if (!text.data)
                return 0;
        return utf8_truncate(text.data, strnlen(text.data, text.size), CHAINS_TEXT_MAX);
}

int chain_store_set_text(Chain *chain, char **slot, ValidateText text) {
        size_t size = chain_store_text_size(text);
        char *copy;

        if (!text.data)
                return 0;
        if (*slot && strlen(*slot) == size && !memcmp(*slot, text.data, size))
                return 0;
        copy = chain_store_take(chain, size + 1);
        if (!copy)
                return error_origin(-ENOMEM);
        memcpy(copy, text.data, size);
        chain_store_give_text(chain, *slot);
        *slot = copy;
        return 0;
}

static Chain *chain_store_entry(IdIndexEntry *entry) {
        return entry ? list_entry(entry, Chain, by_id) : NULL;
}

Chain *chain_store_find(const Chains *chains, const char *correlation_id) {
        return chain_store_entry(id_index_find(&chains->index, CHAIN_STORE_BY_CORRELATION,
                                               correlation_id, strlen(correlation_id)));
}

Chain *chain_store_find_trace(const Chains *chains, const uint8_t *trace_id) {
        return chain_store_entry(
                id_index_find(&chains->index, CHAIN_STORE_BY_OWN_TRACE, trace_id, ID_TRACE_SIZE));
}

static int chain_store_new(Chains *chains, Chain **chainp, const char *id) {
        size_t id_size = strlen(id), size = sizeof(Chain) + id_size + 1;
        Chain *chain = malloc(size);

        if (!chain)
                return error_origin(-ENOMEM);
        *chain = (Chain){.chains = chains, .added_unix_ns = chains->now_unix_ns};
        memcpy(chain->id, id, id_size + 1);
        chain_store_charge(chain, size);
        list_init(&chain->contexts);
        list_init(&chain->spans);
        list_init(&chain->finished_link);
        list_append(&chains->chains, &chain->link);
        chains->n_chains++;
        *chainp = chain;
        return 0;
}

int chain_store_add(Chains *chains, Chain **chainp, const char *correlation_id) {
        Chain *chain;
        int r;

        r = chain_store_new(chains, &chain, correlation_id);
        if (r)
                return error_trace(r);
        r = id_index_put(&chains->index, &chain->by_id, CHAIN_STORE_BY_CORRELATION, chain->id,
                         strlen(chain->id));
        if (r) {
                chain_store_free(chain);
                return error_trace(r);
        }
        *chainp = chain;
        return 0;
}

int chain_store_add_trace(Chains *chains, Chain **chainp, const uint8_t *trace_id) {
        char id[ID_TRACE_HEX + 1];
        Chain *chain;
        int r;

        id_to_hex(id, trace_id, ID_TRACE_SIZE);
        r = chain_store_new(chains, &chain, id);
        if (r)
                return error_trace(r);
        memcpy(chain->trace_id, trace_id, ID_TRACE_SIZE);
        r = id_index_put(&chains->index, &chain->by_id, CHAIN_STORE_BY_OWN_TRACE, chain->trace_id,
                         ID_TRACE_SIZE);
        if (r) {
                chain_store_free(chain);
                return error_trace(r);
        }
        *chainp = chain;
        return 0;
}

static char *chain_store_put_text(char *at, ValidateText text, size_t size) {
        memcpy(at, text.data, size);
        at[size] = '\0';
        return at + size + 1;
}

int chain_store_add_span(Chain *chain, ChainSpan **spanp, ValidateText name, ValidateText service) {
        size_t name_size = chain_store_text_size(name);
        size_t service_size = chain_store_text_size(service);
        size_t n_text_bytes =
                (name.data ? name_size + 1 : 0) + (service.data ? service_size + 1 : 0);
        /* By malloc(): glibc's calloc() passes over what was freed just before, of this size. */
        ChainSpan *span = malloc(sizeof *span + n_text_bytes);
        char *at;

        if (!span)
                return error_origin(-ENOMEM);
        *span = (ChainSpan){.chain = chain, .n_text_bytes = n_text_bytes};
        chain_store_charge(chain, sizeof *span + n_text_bytes);
        at = span->texts;
        if (name.data) {
                span->name = at;
                at = chain_store_put_text(at, name, name_size);
        }
        if (service.data) {
                span->service = at;
                chain_store_put_text(at, service, service_size);
        }
        list_append(&chain->spans, &span->link);
        chain->n_spans++;
        *spanp = span;
        return 0;
}

int chain_store_rename_span(ChainSpan *span, ValidateText name) {
        char *renamed = span->name == span->texts ? NULL : span->name;
        int r;

        r = chain_store_set_text(span->chain, &renamed, name);
        if (r)
                return error_trace(r);
        if (renamed)
                span->name = renamed;
        return 0;
}
