#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon's answers
 *
 * JSON from the control socket, read into plain values. Fields that are not known are passed over,
 * those that are missing or of another type count as unset, so that an older command reads a newer
 * daemon; only what is no JSON object is refused.
 *
 * Owns: each answer owns what it points to.  I/O: none.
 */

#include "lib/cli/tree.h"

enum {
        _ANSWER_E_SUCCESS,

        ANSWER_E_MALFORMED, /* not a JSON object */
};

typedef struct AnswerChain AnswerChain;

int answer_chain_new(AnswerChain **answerp, const void *json, size_t size);
AnswerChain *answer_chain_free(AnswerChain *answer);
const TreeChain *answer_chain_tree(const AnswerChain *answer);
/* Contexts and spans that have not ended. */
size_t answer_chain_open(const AnswerChain *answer);

/* A chain in the list of chains. */
typedef struct AnswerLine {
        const char *id, *workflow_id, *service, *state; /* NULL: unset */
        uint64_t start_unix_ns, duration_ns;
        uint64_t n_contexts, n_spans, n_errors;
} AnswerLine;

/* One JSON object a line. */
typedef struct AnswerList AnswerList;

int answer_list_new(AnswerList **listp, const void *json, size_t size);
AnswerList *answer_list_free(AnswerList *list);
size_t answer_list_size(const AnswerList *list);
/* Line i as what the list is of; it lives as long as the list. */
void answer_list_line(const AnswerList *list, size_t i, AnswerLine *line);
void answer_list_span(const AnswerList *list, size_t i, TreeSpan *span);

enum { ANSWER_COUNTS_MAX = 16 };

/* Counts that are not 0, under their names. */
typedef struct AnswerCounts {
        struct {
                const char *name;
                uint64_t n;
        } counts[ANSWER_COUNTS_MAX];
        size_t n_counts;
        uint64_t sum;
} AnswerCounts;

/* Of spans, or of logs: accepted = finished + in memory + damaged. */
typedef struct AnswerSums {
        uint64_t n_accepted, n_finished, n_open, n_in_memory, n_damaged, n_unsampled,
                n_without_exporter;
} AnswerSums;

typedef struct AnswerExporter {
        const char *name, *endpoint, *state, *last_error;
        bool is_misconfigured;
        uint64_t n_delivered, n_in_memory; /* spans and logs */
        AnswerCounts dropped;
} AnswerExporter;

typedef struct AnswerClient {
        const char *service, *state;
        uint64_t pid, uid, n_accepted, n_refused, n_lost, n_open;
} AnswerClient;

typedef struct AnswerStatus {
        struct json_t *json; /* holds the strings */
        const char *version;
        uint64_t pid, uptime_ns;
        bool holds; /* the conservation of spans and logs */
        AnswerSums spans, logs;
        AnswerCounts refused; /* records */
        uint64_t n_lost;      /* spans and logs that clients say they dropped themselves */
        uint64_t journal_used_bytes, journal_max_bytes, journal_lost_bytes;
        uint64_t n_chains;
        uint64_t n_tail_readers, n_tail_cut_off;
        AnswerExporter *exporters;
        size_t n_exporters;
        AnswerClient *clients;
        size_t n_clients;
} AnswerStatus;

int answer_status_init(AnswerStatus *status, const void *json, size_t size);
void answer_status_deinit(AnswerStatus *status);

/* Whether the level that was asked for was reached. */
int answer_read_flush(bool *reachedp, const void *json, size_t size);

enum { ANSWER_TEXT_MAX = 512 };

/* Why a request was refused, in the daemon's words; "" if it has none. */
void answer_read_error(char text[ANSWER_TEXT_MAX], const void *json, size_t size);
