#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A recorder over a journal of its own in /dev/shm, and what a client and an exporter do with it in
 * one line each. What is exported is decoded and kept, a text for each span.
 */

#include "catena.pb-c.h"
#include "daemon/trace/recorder.h"

#include <stdint.h>

typedef struct Script {
        char path[64];
        Journal *journal;
        Chains *chains;
        Metrics *metrics; /* NULL at first: it opens without */
        Recorder *recorder;
        JournalReport report;
        JoinLimits limits;
        Catena__V1__SpanLimits *hello_limits; /* what clients say of theirs; or NULL */
        RecorderSampling sampling;
        uint64_t trace;      /* that spans start in; 0: each in one of its own */
        uint64_t randomness; /* of its id; 0: always the same */
        uint32_t *flags;     /* of spans that start; NULL: they say none */
        size_t max_bytes, uid_share_bytes;
        const char *exporters[4];
        size_t n_exporters;
        bool refuses_some;   /* every exporter, of every batch */
        bool any_times;      /* clients say what they like: a span may end before it starts */
        uint16_t span_flags; /* of every fragment: RECORD_DETACHED or 0 */
        bool overflows;      /* sessions are begun by the overflow user */
        uint64_t now;
        Buffer records; /* said, not taken yet */
        char **spans;   /* exported: "ID: span as text", in the order of export */
        size_t n_spans;
        size_t n_logs;
        size_t n_log_attributes_dropped; /* as they say */
} Script;

void script_init(Script *script);
void script_open(Script *script);  /* opens the journal and recovers */
void script_crash(Script *script); /* all but the folder is gone */
void script_deinit(Script *script);
void script_forget(Script *script); /* what was exported */

/* NULL: there is only room for ends. */
Session *script_session(Script *script, unsigned number, const char *service);
/* Adds a record to what is said; the message is packed. */
void script_say(Script *script, uint16_t type, uint16_t flags, uint32_t context, uint64_t id,
                const void *message);
void script_say_raw(Script *script, uint16_t type, uint16_t flags, uint32_t context, uint64_t id,
                    const void *body, size_t size);
/* Takes what was said. Flags of the block: JOURNAL_CUT_2, JOURNAL_PASS_END. */
int script_take(Script *script, Session *session, uint16_t flags);

/* As of a span that starts now. */
void script_trace_id(const Script *script, uint8_t trace_id[16], uint64_t span_id);
void script_span_start(Script *script, uint32_t context, uint64_t id, const char *name);
void script_span_attribute(Script *script, uint64_t id, const char *key, const char *value);
void script_span_error(Script *script, uint64_t id);
void script_span_end(Script *script, uint64_t id);
void script_context(Script *script, uint32_t number, const char *id, const char *correlation,
                    const char *cause);
void script_context_end(Script *script, uint32_t number);
void script_log(Script *script, const char *text);

/* Seals what is open and answers for everything sealed, as delivered to each exporter. */
void script_deliver(Script *script);
void script_deliver_to(Script *script, const char *exporter); /* of what is sealed */
/* The span's text, or NULL if it was not exported; fails the test if it was twice. */
const char *script_exported(const Script *script, uint64_t id);
/* accepted = finished + damaged + open + unsealed + sealed, and each exporter's own sum. */
void script_assert_conservation(Script *script);
