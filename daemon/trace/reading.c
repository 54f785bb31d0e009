/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What one LOST may claim: more than a client can lose, less than makes a sum overflow. */
static const uint64_t LOST_CLAIM_MAX = UINT64_C(1) << 40;

/* ---- spans ---- */

/* Whoever says so is told, unless it was before a crash. */
static void recorder_note_orphans(const Recorder *recorder, Session *session, uint64_t n) {
        if (session && !recorder->replaying)
                session->n_orphans_untold += n;
}

void recorder_drop_orphan(Recorder *recorder, Span *span) {
        recorder->counters.orphans += span->object.fragments.n_fragments;
        recorder_note_orphans(recorder, span->object.session, span->object.fragments.n_fragments);
        recorder->open_bytes -= span->object.fragments.n_bytes;
        recorder->n_objects--;
        span_free(span);
}

void recorder_leave_open(Recorder *recorder, Span *span) {
        list_unlink(&span->pending_link);
        list_unlink(&span->object.link);
        recorder->n_open--;
        recorder->open_bytes -= span->object.fragments.n_bytes;
        span->object.session->n_open--;
        span->closed = true;
}

static int recorder_show_span(Recorder *recorder, Span *span, const ValidateSummary *start) {
        const Session *session = span->object.session;
        const Context *context = span->object.context;

        if (context && context->known && !context->nameless && !context->chain) {
                chains_leave_out(recorder->chains);
                return 0;
        }
        return error_trace(chains_span_start(recorder->chains, &span->chain,
                                             context ? context->chain : NULL, start,
                                             session->service, session->credentials.pid));
}

int recorder_show_late(Recorder *recorder, Span *span) {
        const Fragments *fragments = &span->object.fragments;
        ValidateSummary summary;
        int r = 0;

        if (!span->unshown)
                return 0;
        span->unshown = false;
        span->object.session->n_unshown--;
        if (span_summary(span, &summary))
                r = recorder_show_span(recorder, span, &summary);
        for (uint32_t i = 0; i < fragments->n_fragments && !r; i++)
                if (span_fragment_summary(span, &fragments->list[i], &summary))
                        r = chains_span_update(recorder->chains, span->chain, &summary);
        return error_trace(r);
}

/* It will be rebuilt when it is sent; here, to count what that drops. */
static int recorder_count_trimmed(Recorder *recorder, const Object *object) {
        JoinReport report = {0};
        int r;

        if (!object->trim)
                return 0;
        recorder->scratch.size = 0;
        r = object_pieces_in_context(object, &recorder->pieces);
        if (!r)
                r = object_join(object, &recorder->pieces, &recorder->scratch, &report);
        recorder->counters.unknown_fields += report.n_unknown_fields;
        recorder->counters.over_limit += report.n_dropped;
        return error_trace(r);
}

int recorder_close_span(Recorder *recorder, Span *span, uint64_t end_unix_ns,
                        const char *end_reason, uint64_t time_unix_ns) {
        Object *object = &span->object;
        int r;

        r = recorder_show_late(recorder, span);
        if (!r)
                r = span_settle(span, &recorder->pieces);
        if (!r)
                r = recorder_count_trimmed(recorder, object);
        if (r)
                return error_trace(r);
        recorder->counters.spans_rebuilt += object->rebuild;
        if (object->context && !object->context->known)
                recorder->counters.spans_without_context++;
        recorder->counters.spans_closed++;
        if (!recorder->replaying) {
                r = metrics_close_span(recorder->options.metrics, span, end_unix_ns,
                                       &recorder->pieces);
                if (r)
                        return error_trace(r);
        }
        r = recorder_tell(recorder, span);
        if (r)
                return error_trace(r);
        recorder_leave_open(recorder, span);
        chains_span_end(recorder->chains, &span->chain, end_unix_ns, end_reason);
        if (!span->trace)
                return error_trace(recorder_close_object(recorder, object, time_unix_ns));
        recorder_defer_span(recorder, span, time_unix_ns);
        return 0;
}

int recorder_start_span(Recorder *recorder, Span *span, const RecorderRecord *record,
                        const ValidateSummary *summary) {
        Session *session = span->object.session;
        int r;

        span->started = true;
        span->object.scope = record->header.scope;
        if (record->header.context) {
                r = context_get(&span->object.context, session, record->header.context);
                if (r)
                        return error_trace(r);
                span->object.context->n_objects++;
        }
        if (span->detached)
                recorder_expect_expiry(recorder, span);
        if (record->header.flags & RECORD_UNSAMPLED) {
                r = recorder_watch_trace(recorder, span, summary->trace_id);
                if (r)
                        return error_trace(r);
        }
        list_append(&session->open, &span->object.link);
        session->n_open++;
        recorder->n_open++;
        /* What announces its context may stand elsewhere in this pass. */
        span->unshown = span->object.context && !span->object.context->known;
        session->n_unshown += span->unshown;
        return span->unshown ? 0 : error_trace(recorder_show_span(recorder, span, summary));
}

void recorder_set_pending(Recorder *recorder, Span *span, uint32_t sayer, bool second_cut) {
        Session *session = span->object.session;
        bool pending = !span->started || span->ended;

        list_unlink(&span->pending_link);
        if (!pending)
                return;
        if (session->number != sayer)
                session = recorder_find_session(recorder, sayer);
        span->second_cut = second_cut;
        span->awaits = sayer;
        list_append(session ? &session->pending : &recorder->strays, &span->pending_link);
}

static int recorder_add_fragment(Recorder *recorder, Span *span, const RecorderRecord *record,
                                 const ValidateSummary *summary) {
        Fragment fragment = {
                .hold = recorder_hold(record),
                .flags = record->header.flags & (FRAGMENT_START | FRAGMENT_END),
        };
        int r;

        r = span_add(span, &fragment, summary);
        if (r)
                return error_trace(r);
        recorder->open_bytes += record->size;
        if (record->header.flags & RECORD_END) {
                span->ended = true;
                span->end_unix_ns = summary->end_unix_ns;
        }
        return 0;
}

int recorder_add_span(Recorder *recorder, Session *session, Span **spanp, uint64_t key,
                      bool detached) {
        Span *span = *spanp;
        int r;

        if (span && span->started)
                return 0;
        if (span)
                recorder_drop_orphan(recorder, span);
        r = span_new(spanp, session, key, detached);
        if (r)
                return error_trace(r);
        recorder->n_objects++;
        return 0;
}

static int recorder_read_span(Recorder *recorder, Session *session, const RecorderRecord *record,
                              const ValidateSummary *summary) {
        bool start = record->header.flags & RECORD_START;
        Span *span = record->span;
        int r;

        if (!span || span->object.session != session) {
                r = recorder_add_span(recorder, session, &span, record->header.id,
                                      record->header.flags & RECORD_DETACHED);
                if (r)
                        return error_trace(r);
        }
        if (span->closed || (start && span->started)) {
                recorder->counters.late++;
                recorder_note_orphans(recorder, session, 1);
                return 0;
        }
        r = recorder_add_fragment(recorder, span, record, summary);
        if (r)
                return error_trace(r);
        if (start) {
                recorder->counters.spans_accepted++;
                session->n_accepted++;
                span->since_unix_ns = record->time_unix_ns;
                r = recorder_start_span(recorder, span, record, summary);
        } else {
                r = chains_span_update(recorder->chains, span->chain, summary);
        }
        if (r)
                return error_trace(r);
        if (start || !span->started || (record->header.flags & RECORD_END))
                recorder_set_pending(recorder, span, record->session,
                                     record->block_flags & JOURNAL_CUT_2);
        return 0;
}

int recorder_read_cursor(Session *session, const JournalBlock *block) {
        return error_trace(session_set_cursor(session, block->source,
                                              (SessionCursor){block->generation, block->offset}));
}

static int recorder_show_unshown(Recorder *recorder, Session *session) {
        int r = 0;

        list_for_each (link, &session->open) {
                Span *span = list_entry(link, Span, object.link);

                if (!session->n_unshown || r)
                        break;
                r = recorder_show_late(recorder, span);
        }
        return error_trace(r);
}

int recorder_read_stray_end(Recorder *recorder, uint32_t number, bool last, uint64_t time_unix_ns) {
        int r;

        list_for_each_safe (link, &recorder->strays) {
                Span *span = list_entry(link, Span, pending_link);

                if (span->awaits != number)
                        continue;
                if (span->second_cut && !last) {
                        span->second_cut = false;
                        continue;
                }
                r = recorder_close_span(recorder, span, span->end_unix_ns, NULL, time_unix_ns);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

/* A look at a pending span whose turn comes soon. Returns the next one. */
static const List *recorder_look_at_context(const Session *session, const List *pending) {
        if (pending == &session->pending)
                return pending;
        context_prefetch(list_entry(pending, Span, pending_link)->object.context);
        return pending->next;
}

int recorder_read_pass_end(Recorder *recorder, Session *session, uint64_t time_unix_ns) {
        const List *ahead;
        int r;

        r = recorder_show_unshown(recorder, session);
        if (r)
                return error_trace(r);
        ahead = session->pending.next;
        for (unsigned i = 0; i < OBJECT_AHEAD; i++)
                ahead = recorder_look_at_context(session, ahead);
        list_for_each_safe (link, &session->pending) {
                Span *span = list_entry(link, Span, pending_link);

                ahead = recorder_look_at_context(session, ahead);
                if (span->second_cut) {
                        span->second_cut = false;
                        continue;
                }
                if (!span->started) {
                        recorder_drop_orphan(recorder, span);
                        continue;
                }
                r = recorder_close_span(recorder, span, span->end_unix_ns, NULL, time_unix_ns);
                if (r)
                        return error_trace(r);
        }
        list_for_each_safe (link, &session->pending_contexts)
                context_pass_end(list_entry(link, Context, pending_link), recorder->chains);
        return 0;
}

/* ---- other records of a client ---- */

int recorder_log_new(Recorder *recorder, Session *session, Object **logp,
                     const RecorderRecord *record, const Fragment *fragment,
                     const ValidateSummary *summary) {
        Object *log;
        int r;

        log = calloc(1, sizeof *log);
        if (!log)
                return error_origin(-ENOMEM);
        log->signal = BATCH_LOGS;
        log->session = session;
        log->scope = record->header.scope;
        log->identity = record->position;
        log->trim = summary->unknown ||
                    summary->n_attributes > session->limits.log_attributes ||
                    summary->longest_value_bytes > session->limits.log_value_length;
        log->rebuild = log->trim || summary->repeated_key || summary->repeated_field;
        fragments_init(&log->fragments);
        session_charge(session, sizeof *log);
        recorder->n_objects++;
        r = fragments_add(&log->fragments, session, fragment);
        if (r)
                return error_trace(r);
        *logp = log;
        return 0;
}

static int recorder_read_log(Recorder *recorder, Session *session, const RecorderRecord *record,
                             const ValidateSummary *summary) {
        Fragment fragment = {.hold = recorder_hold(record), .flags = FRAGMENT_START};
        Object *log;
        int r;

        r = recorder_log_new(recorder, session, &log, record, &fragment, summary);
        if (!r)
                r = recorder_count_trimmed(recorder, log);
        if (r)
                return error_trace(r);
        recorder->counters.logs_accepted++;
        return error_trace(recorder_close_object(recorder, log, record->time_unix_ns));
}

static int recorder_read_context(Recorder *recorder, Session *session,
                                 const RecorderRecord *record) {
        Fragment fragment = {.hold = recorder_hold(record)};
        uint32_t n_left_out;
        Context *context;
        int r;

        r = context_get(&context, session, record->header.context);
        if (r)
                return error_trace(r);
        if (context->ended && !(record->header.flags & RECORD_START))
                return 0; /* only a START announces anew */
        n_left_out = record->header.flags & RECORD_START ? 0 : context->n_left_out;
        if (record->header.flags & RECORD_START)
                r = context_start(context, recorder->chains, &fragment);
        else
                r = context_update(context, recorder->chains, &fragment);
        if (r)
                return error_trace(r);
        if (!(record->header.flags & RECORD_SNAPSHOT))
                recorder->counters.over_limit += context->n_left_out - n_left_out;
        if (record->header.flags & RECORD_END)
                context->end_unix_ns = record->time_unix_ns;
        if ((record->header.flags & RECORD_END) && (record->header.flags & RECORD_SNAPSHOT)) {
                context_end(context, recorder->chains, record->time_unix_ns);
                context_settle(context);
        } else if ((record->header.flags & RECORD_END) || !context->known) {
                context_set_pending(context, record->block_flags & JOURNAL_CUT_2);
        }
        return 0;
}

static int recorder_read_scope(Session *session, const RecorderRecord *record) {
        SessionHold hold = recorder_hold(record);
        int r;

        r = session_set_scope(session, record->header.id, &hold);
        return r ? error_trace(r) : 0;
}

static void recorder_read_lost(Recorder *recorder, Session *session, const RecorderRecord *record) {
        uint64_t *const into[] = {&recorder->counters.lost_starts, &recorder->counters.lost_updates,
                                  &recorder->counters.lost_ends, &recorder->counters.lost_logs};
        PbReader reader = pb_reader(record->body, record->size);
        PbField field;

        while (pb_next(&reader, &field)) {
                uint64_t claim = field.value < LOST_CLAIM_MAX ? field.value : LOST_CLAIM_MAX;
                if (field.wire != PB_VARINT || !field.number || field.number > 4)
                        continue;
                *into[field.number - 1] += claim;
                session->n_lost += claim;
                if (field.number == 3)
                        session->n_lost_ends += claim;
        }
}

int recorder_read_record(Recorder *recorder, Session *session, const RecorderRecord *record,
                         const ValidateSummary *summary) {
        int r = 0;

        switch (record->header.type) {
        case RECORD_SPAN:
                r = recorder_read_span(recorder, session, record, summary);
                break;
        case RECORD_LOG:
                r = recorder_read_log(recorder, session, record, summary);
                break;
        case RECORD_CONTEXT:
                r = recorder_read_context(recorder, session, record);
                break;
        case RECORD_SCOPE:
                r = recorder_read_scope(session, record);
                break;
        case RECORD_LOST:
                recorder_read_lost(recorder, session, record);
                break;
        }
        return r ? error_trace(r) : 0;
}

void recorder_read_refused(Recorder *recorder, Session *session, const RecordHeader *header) {
        RecorderCounters *counters = &recorder->counters;

        session->n_refused++;
        if (header->type == RECORD_SPAN && (header->flags & RECORD_START))
                counters->refused_spans++;
        switch (record_verdict(header->flags)) {
        case RECORD_VERDICT_FULL:
                counters->refused_full++;
                break;
        case RECORD_VERDICT_SHARE:
                counters->refused_share++;
                break;
        case RECORD_VERDICT_DUPLICATE:
                counters->refused_duplicate++;
                break;
        case RECORD_VERDICT_TOO_LARGE:
                counters->refused_too_large++;
                break;
        case RECORD_VERDICT_UNSUPPORTED:
                counters->refused_unsupported++;
                break;
        default:
                counters->refused_malformed++;
        }
}
