/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/recorder-internal.h"

RecorderRoom recorder_room(const Recorder *recorder) {
        JournalUsage usage;
        unsigned last_eighth;

        journal_usage(recorder->journal, &usage);
        last_eighth = usage.n_segments_max / 8;
        /* Clients may not take the last two: one more must be left for ends. */
        if (last_eighth < 3)
                last_eighth = 3;
        return (RecorderRoom){
                .only_ends = usage.n_segments_free < last_eighth,
                .no_starts = recorder->open_bytes >= usage.max_bytes / 2,
                .max_bytes = usage.max_bytes,
        };
}

RecordVerdict recorder_validate(const RecorderRecord *record, ValidateSummary *summary) {
        bool start = record->header.flags & RECORD_START;
        int r;

        switch (record->header.type) {
        case RECORD_SPAN:
                r = validate_span(summary, record->body, record->size, start,
                                  (const uint8_t *)&record->header.id);
                break;
        case RECORD_LOG:
                r = validate_log(summary, record->body, record->size);
                break;
        case RECORD_CONTEXT:
                r = record->header.context ? context_validate(record->body, record->size)
                                           : VALIDATE_E_ID;
                break;
        case RECORD_SCOPE:
                r = validate_scope(record->body, record->size);
                break;
        default: /* LOST: read leniently */
                r = 0;
        }
        return r ? RECORD_VERDICT_MALFORMED : RECORD_VERDICT_ACCEPTED;
}

/* What may be refused for want of room: everything but an END that is waited for, and a LOST. */
static RecordVerdict recorder_judge_room(const Recorder *recorder, const Session *session,
                                         const RecorderRoom *room, const RecorderRecord *record) {
        size_t share = recorder->options.uid_share_bytes;
        bool begins = record->header.flags & RECORD_START;

        if (room->only_ends)
                return RECORD_VERDICT_FULL;
        if (record->header.type == RECORD_SPAN && begins && room->no_starts)
                return RECORD_VERDICT_FULL;
        if (recorder->n_objects * sizeof(Span) > room->max_bytes)
                return RECORD_VERDICT_FULL;
        if (session->user->n_bytes + record->header.size > share)
                return RECORD_VERDICT_SHARE;
        return RECORD_VERDICT_ACCEPTED;
}

/* Only an END, and a small one: who has none to give cannot fill the room that is kept for them. */
static bool recorder_is_end(const RecorderRecord *record) {
        return (record->header.flags & (RECORD_START | RECORD_END)) == RECORD_END &&
               record->size <= RECORDER_END_SMALL;
}

/* What an object's pieces count against its bound: an empty one is a piece, too. */
static size_t recorder_held(const Fragments *fragments) {
        return fragments->n_bytes + (size_t)fragments->n_fragments * RECORD_HEADER_SIZE;
}

static RecordVerdict recorder_judge_span(const Session *session, const RecorderRecord *record,
                                         bool *awaitedp) {
        const Span *span = record->span;
        size_t max = record->header.flags & RECORD_END ? RECORDER_END_MAX : RECORDER_OBJECT_MAX;
        size_t held = span ? recorder_held(&span->object.fragments) : 0;

        *awaitedp = span && span->started && !span->ended && recorder_is_end(record);
        if ((record->header.flags & RECORD_DETACHED) && session->user->uid == RECORDER_OVERFLOW_UID)
                return RECORD_VERDICT_UNSUPPORTED;
        if ((record->header.flags & RECORD_START) && span && (span->started || span->closed))
                return RECORD_VERDICT_DUPLICATE;
        return held + record->size > max ? RECORD_VERDICT_TOO_LARGE : RECORD_VERDICT_ACCEPTED;
}

static RecordVerdict recorder_judge_context(const Session *session, const RecorderRecord *record,
                                            bool *awaitedp) {
        const Context *context = map_find(&session->contexts, record->header.context);
        size_t held = 0;

        *awaitedp = context && context->known && !context->ended && recorder_is_end(record);
        if (context && !(record->header.flags & RECORD_START))
                held = recorder_held(&context->fragments);
        return held + record->size > RECORDER_CONTEXT_MAX ? RECORD_VERDICT_TOO_LARGE
                                                          : RECORD_VERDICT_ACCEPTED;
}

static RecordVerdict recorder_judge_scope(const Session *session, const RecorderRecord *record) {
        bool known = map_find(&session->scopes, record->header.id);

        if (record->size > SESSION_SCOPE_MAX ||
            session->scopes_size + record->size > SESSION_SCOPES_SIZE_MAX ||
            (!known && session->scopes.n_entries >= SESSION_SCOPES_MAX))
                return RECORD_VERDICT_TOO_LARGE;
        return RECORD_VERDICT_ACCEPTED;
}

RecordVerdict recorder_judge(const Recorder *recorder, const Session *session,
                             const RecorderRoom *room, const RecorderRecord *record,
                             ValidateSummary *summary) {
        RecordVerdict verdict = RECORD_VERDICT_ACCEPTED;
        bool awaited = record->header.type == RECORD_LOST;

        switch (record->header.type) {
        case RECORD_SPAN:
                verdict = recorder_judge_span(session, record, &awaited);
                break;
        case RECORD_CONTEXT:
                verdict = recorder_judge_context(session, record, &awaited);
                break;
        case RECORD_SCOPE:
                verdict = recorder_judge_scope(session, record);
                break;
        }
        if (!verdict && !awaited)
                verdict = recorder_judge_room(recorder, session, room, record);
        return verdict ? verdict : recorder_validate(record, summary);
}
