#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What chains are kept in
 *
 * The inside of Chains: memory counted to the byte, the index, and who leaves when room is short.
 */

#include "daemon/trace/chains.h"

/* Scopes of the index. A context within its chain is under the chain's address. */
enum {
        CHAIN_STORE_BY_CORRELATION,
        CHAIN_STORE_BY_OWN_TRACE, /* the chain of a trace's spans without a context */
        CHAIN_STORE_BY_CONTEXT,
};

struct Chains {
        IdIndex index;
        List chains;   /* Chain.link, oldest first */
        List finished; /* Chain.finished_link */
        size_t n_chains, n_bytes, max_bytes;
        uint64_t n_evicted, n_left_out;
        uint64_t now_unix_ns;     /* 0: nobody has told */
        uint64_t evicted_unix_ns; /* when a chain last left for want of room */
        unsigned thinning;        /* one chain of 2^thinning is kept */
};

/* ---- room ---- */

/*
 * Makes room for one step, a call of chains.h, in the chain or (NULL) in a new one: others leave.
 * False, and counted: there is none.
 */
bool chain_store_make_room(Chains *chains, Chain *chain);
size_t chain_store_bytes(const Chains *chains);
/* Whether a new chain, of that hash in the index, is one that is not kept now. */
bool chain_store_thins(const Chains *chains, uint64_t hash);
void chain_store_set_time(Chains *chains, uint64_t now_unix_ns);

/* ---- memory of a chain, for which room was made; zeroed; NULL: out of memory ---- */

void *chain_store_take(Chain *chain, size_t size);
void chain_store_give(Chain *chain, void *memory, size_t size);
/* Puts a copy, cut to CHAINS_TEXT_MAX, in the place of what was there; absent: leaves that. */
int chain_store_set_text(Chain *chain, char **slot, ValidateText text);
void chain_store_give_text(Chain *chain, char *text);
/* As it is kept: cut to CHAINS_TEXT_MAX; absent: 0. */
size_t chain_store_text_size(ValidateText text);
void chain_store_give_causes(ChainContext *context);

/* ---- nodes ---- */

Chain *chain_store_find(const Chains *chains, const char *correlation_id);
Chain *chain_store_find_trace(const Chains *chains, const uint8_t *trace_id);
int chain_store_add(Chains *chains, Chain **chainp, const char *correlation_id);
int chain_store_add_trace(Chains *chains, Chain **chainp, const uint8_t *trace_id);
void chain_store_free(Chain *chain);
int chain_store_add_span(Chain *chain, ChainSpan **spanp, ValidateText name, ValidateText service);
int chain_store_rename_span(ChainSpan *span, ValidateText name); /* absent: leaves its name */
void chain_store_free_context(ChainContext *context);
void chain_store_free_span(ChainSpan *span);
/* Frees it; its place is set to NULL. */
void chain_store_drop_handle(ChainContext *context, ChainHandle *handle);

/* One more, one fewer of its spans and contexts may still change. */
void chain_store_opened(Chain *chain);
void chain_store_closed(Chains *chains, Chain *chain);
