/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * An object that was written anew: what came before its newest SNAPSHOT is passed over. Objects
 * whose hashes are equal hang in one row.
 */
typedef struct Superseded Superseded;
struct Superseded {
        Superseded *next;
        uint32_t session;
        uint16_t type;
        uint64_t id;
        JournalPosition by; /* the newest SNAPSHOT */
};

typedef struct Replay {
        Recorder *recorder;
        Map superseded; /* hash -> Superseded */
        const uint8_t *checkpoint;
        size_t checkpoint_size;
        JournalPosition checkpoint_position; /* of the first block behind it */
        bool counting;                       /* the checkpoint has been passed */
} Replay;

/* ---- what is superseded ---- */

static uint64_t replay_hash(uint32_t session, uint16_t type, uint64_t id) {
        uint64_t hash = (id + session) * UINT64_C(0x9e3779b97f4a7c15);

        return hash ^ hash >> 29 ^ ((uint64_t)session << 32 | type);
}

/* The session whose span a SPAN record is of. */
static uint32_t replay_starter(const RecorderRecord *record) {
        uint16_t flags = record->header.flags & (RECORD_START | RECORD_DETACHED | RECORD_SNAPSHOT);

        return flags == RECORD_DETACHED && record->header.scope ? record->header.scope
                                                                : record->session;
}

/* Which object a record is of; false for records that are not superseded one by one. */
static bool replay_object(const RecorderRecord *record, Superseded *object) {
        bool snapshot = record->header.flags & RECORD_SNAPSHOT;

        *object = (Superseded){
                .session = record->session, .type = record->header.type, .id = record->header.id};
        switch (record->header.type) {
        case RECORD_SPAN:
                object->session = replay_starter(record);
                return true;
        case RECORD_LOG:
                if (!snapshot)
                        object->id = record->position;
                return true;
        case RECORD_CONTEXT:
                object->id = record->header.context;
                return true;
        default:
                return false;
        }
}

static Superseded *replay_find(const Replay *replay, const Superseded *object) {
        Superseded *found;

        found = map_find(&replay->superseded,
                         replay_hash(object->session, object->type, object->id));
        while (found && (found->session != object->session || found->type != object->type ||
                         found->id != object->id))
                found = found->next;
        return found;
}

static int replay_supersede(Replay *replay, const Superseded *object, JournalPosition by) {
        uint64_t hash = replay_hash(object->session, object->type, object->id);
        Superseded *found = replay_find(replay, object);
        int r;

        if (!found) {
                found = malloc(sizeof *found);
                if (!found)
                        return error_origin(-ENOMEM);
                *found = *object;
                found->next = map_find(&replay->superseded, hash);
                r = map_put(&replay->superseded, hash, found);
                if (r) {
                        free(found);
                        return error_trace(r);
                }
        }
        found->by = by;
        return 0;
}

static bool replay_is_superseded(const Replay *replay, const RecorderRecord *record) {
        Superseded object;
        const Superseded *found;

        if (!replay_object(record, &object))
                return false;
        found = replay_find(replay, &object);
        return found && record->position < found->by;
}

static void replay_deinit(Replay *replay) {
        map_for_each (slot, &replay->superseded) {
                Superseded *next;
                for (Superseded *entry = slot->value; entry; entry = next) {
                        next = entry->next;
                        free(entry);
                }
        }
        map_deinit(&replay->superseded);
}

/* ---- walking the records of a block ---- */

static int replay_each_record(Replay *replay, const JournalBlock *block,
                              int (*each)(Replay *, const RecorderRecord *)) {
        size_t offset = 0;
        int r;

        while (block->size - offset >= RECORD_HEADER_SIZE) {
                RecordHeader header = record_header_read(block->records + offset);
                RecorderRecord record;

                if (header.size < RECORD_HEADER_SIZE || header.size > block->size - offset)
                        break; /* its checksum was right: a daemon wrote it so, and we cannot tell
                                */
                record = recorder_record(block, offset, &header);
                r = each(replay, &record);
                if (r)
                        return error_trace(r);
                offset += record_stride(header.size);
        }
        return 0;
}

/* ---- first reading: snapshots ---- */

/*
 * A session whose SESSION record is gone already has spans in the blocks before its SNAPSHOT, so
 * it must be there from the start.
 */
static int replay_note(Replay *replay, const RecorderRecord *record) {
        Superseded object;
        int r = 0;

        if (!(record->header.flags & RECORD_SNAPSHOT))
                return 0;
        if (record->header.type == RECORD_SESSION && !record->session) {
                r = recorder_read_decision(replay->recorder, record);
                if (r > 0)
                        r = 0;
        } else if (replay_object(record, &object)) {
                r = replay_supersede(replay, &object, record->position);
        }
        return r ? error_trace(r) : 0;
}

static int replay_note_block(void *user, JournalBlock *block) {
        if (block->source != JOURNAL_SOURCE_DAEMON)
                return 0;
        return replay_each_record(user, block, replay_note);
}

/* ---- second reading ---- */

/*
 * False: the SESSION record is gone, and with it all that it said; but what it said of a detached
 * span is remembered as long as the session that started it.
 */
static bool replay_look_up(const Replay *replay, const Session *session, RecorderRecord *record) {
        uint32_t number =
                record->header.type == RECORD_SPAN ? replay_starter(record) : record->session;
        const Session *starter = session;

        if (number != record->session)
                starter = recorder_find_session(replay->recorder, number);
        if (starter)
                recorder_look_up(record, starter);
        return session || record->span;
}

static int replay_read_client(Replay *replay, Session *session, RecorderRecord *record) {
        ValidateSummary summary;
        RecordVerdict verdict;
        int r;

        if (!record_verdict(record->header.flags)) {
                verdict = recorder_validate(record, &summary);
                record->header.flags |= (uint16_t)(verdict << RECORD_VERDICT_SHIFT);
        }
        if (record_verdict(record->header.flags)) {
                if (session)
                        recorder_read_refused(replay->recorder, session, &record->header);
                return 0;
        }
        r = recorder_read_record(replay->recorder, session, record, &summary);
        return r ? error_trace(r) : 0;
}

static int replay_read(Replay *replay, const RecorderRecord *recordp) {
        RecorderRecord record = *recordp;
        Session *session;
        int r;

        if (replay_is_superseded(replay, &record))
                return 0;
        if (!record.session || (record.header.flags & RECORD_SNAPSHOT)) {
                r = recorder_read_decision(replay->recorder, &record);
                return r < 0 ? error_trace(r) : 0;
        }
        session = recorder_find_session(replay->recorder, record.session);
        if (!replay_look_up(replay, session, &record))
                return 0;
        r = replay_read_client(replay, session, &record);
        return r ? error_trace(r) : 0;
}

static int replay_read_block(void *user, JournalBlock *block) {
        Replay *replay = user;
        Session *session;
        int r;

        replay->recorder->replayed_unix_ns = block->time_unix_ns;
        if (!replay->counting && replay->checkpoint &&
            block->position >= replay->checkpoint_position) {
                replay->counting = true;
                r = recorder_read_state(replay->recorder, replay->checkpoint,
                                        replay->checkpoint_size);
                if (r)
                        return error_trace(r);
        }
        r = replay_each_record(replay, block, replay_read);
        if (r)
                return error_trace(r);
        session = recorder_find_session(replay->recorder, block->session);
        if (!session && (block->flags & JOURNAL_PASS_END))
                return error_trace(recorder_read_stray_end(replay->recorder, block->session, false,
                                                           block->time_unix_ns));
        if (!session)
                return 0;
        r = recorder_read_cursor(session, block);
        if (r)
                return error_trace(r);
        if (!(block->flags & JOURNAL_PASS_END))
                return 0;
        r = recorder_read_pass_end(replay->recorder, session, block->time_unix_ns);
        return r ? error_trace(r) : 0;
}

/* ---- what no record says ---- */

/* The open batch of each signal gets its number, and what SNAPSHOTs placed under it. */
static int replay_open_batches(Recorder *recorder) {
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                RecorderSignal *signal = &recorder->signals[kind];
                uint64_t number = signal->open->number;
                Batch *placed;
                int r;

                if (!number)
                        number = signal->open_number ? signal->open_number : 1;
                placed = map_find(&signal->batches, number);
                if (placed && !placed->sealed) {
                        signal->n_sealed -= placed->n_objects;
                        r = recorder_batch_move(signal->open, placed);
                        if (r)
                                return error_trace(r);
                        map_remove(&signal->batches, number);
                        recorder_batch_free(placed);
                }
                signal->open->number = number;
                if (signal->open->n_objects && !signal->oldest_unix_ns)
                        signal->oldest_unix_ns = 1; /* long ago: due at once */
        }
        return 0;
}

/*
 * Batches that only SNAPSHOTs of their objects tell of. One that was answered since is dead: a live
 * one has its BATCH record kept. Any other has lost that record; whoever may owe an answer does.
 */
static void replay_find_owing(Recorder *recorder) {
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                list_for_each_safe (link, &recorder->signals[kind].sealed) {
                        Batch *batch = list_entry(link, Batch, link);
                        if (batch->sealed)
                                continue;
                        for (unsigned i = 0; i < recorder->n_exporters; i++)
                                batch->owing |= 1u << i;
                        if (batch->answered || !batch->owing)
                                recorder_drop_batch(recorder, batch);
                }
}

/* Whatever is missing of `total` is added to `damaged`, so that the sum holds. */
static bool replay_balance(uint64_t *total, uint64_t *damaged, uint64_t rest) {
        uint64_t sum = rest + *damaged;

        if (sum == *total)
                return false;
        if (sum < *total)
                *damaged += *total - sum;
        else
                *total = sum; /* the counter itself was lost */
        return true;
}

static uint64_t replay_answered(const Recorder *recorder, unsigned i, unsigned kind) {
        const RecorderExporter *exporter = &recorder->exporters[i];
        uint64_t n = exporter->of[kind].n_delivered;

        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                if (drop != BATCH_DROP_DAMAGED)
                        n += exporter->of[kind].n_dropped[drop];
        list_for_each (link, &recorder->signals[kind].sealed) {
                const Batch *batch = list_entry(link, Batch, link);
                if (batch->owing & (1u << i))
                        n += batch->n_objects;
        }
        return n;
}

/* What was accepted, and of which nothing is left, was in bytes that are lost. */
static bool replay_count_damage(Recorder *recorder) {
        const RecorderSignal *traces = &recorder->signals[BATCH_TRACES];
        const RecorderSignal *logs = &recorder->signals[BATCH_LOGS];
        RecorderCounters *counters = &recorder->counters;
        bool damaged;

        damaged = replay_balance(&counters->spans_accepted, &counters->spans_damaged,
                                 counters->spans_finished + counters->spans_unsampled +
                                         recorder->n_open + recorder->n_undecided +
                                         traces->open->n_objects + traces->n_sealed);
        damaged |= replay_balance(&counters->logs_accepted, &counters->logs_damaged,
                                  counters->logs_finished + logs->open->n_objects + logs->n_sealed);
        for (unsigned i = 0; i < recorder->n_exporters; i++)
                for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                        damaged |= replay_balance(
                                &recorder->exporters[i].of[kind].n_owed,
                                &recorder->exporters[i].of[kind].n_dropped[BATCH_DROP_DAMAGED],
                                replay_answered(recorder, i, kind));
        return damaged;
}

/*
 * ENDs that wait for a pass which the crash cut short. Of a session with an arena they wait on:
 * what came before them may still be in it.
 */
static int replay_end_passes(Recorder *recorder) {
        list_for_each (link, &recorder->all_sessions) {
                Session *session = list_entry(link, Session, link);
                while ((!session->cursors || session->state != SESSION_ALIVE) &&
                       recorder_session_unsettled(session)) {
                        JournalBlock block = {0};
                        int r;

                        r = recorder_reserve(recorder, &block, 0);
                        if (r)
                                return r < 0 ? error_trace(r) : 0; /* full: at its next pass */
                        block.session = session->number;
                        block.source = JOURNAL_SOURCE_STREAM;
                        block.flags = JOURNAL_PASS_END;
                        block.time_unix_ns = recorder->replayed_unix_ns;
                        r = recorder_take(recorder, session, &block);
                        if (r)
                                return error_trace(r);
                }
        }
        return 0;
}

/* From now on what nothing needs is freed, and what already is. */
static void replay_settle(Recorder *recorder) {
        recorder->replaying = false;
        list_for_each_safe (link, &recorder->strays) { /* in a journal that is damaged */
                Span *span = list_entry(link, Span, pending_link);

                recorder_set_pending(recorder, span, span->object.session->number,
                                     span->second_cut);
        }
        list_for_each_safe (link, &recorder->all_sessions) {
                Session *session = list_entry(link, Session, link);

                session->replayed = false;
                list_for_each_safe (context, &session->all_contexts)
                        context_settle(list_entry(context, Context, link));
                recorder_settle_session(recorder, session);
        }
}

int recorder_recover(Recorder *recorder) {
        Replay replay = {.recorder = recorder};
        int r;

        recorder->replaying = true;
        map_init(&replay.superseded, recorder->options.seed);
        journal_checkpoint(recorder->journal, &replay.checkpoint, &replay.checkpoint_size,
                           &replay.checkpoint_position);
        r = journal_each_block(recorder->journal, replay_note_block, &replay);
        /* What a later record says of a session is not yet so at its first. */
        list_for_each (link, &recorder->all_sessions)
                list_entry(link, Session, link)->state = SESSION_ALIVE;
        if (!r)
                r = journal_each_block(recorder->journal, replay_read_block, &replay);
        if (!r && !replay.counting && replay.checkpoint)
                r = recorder_read_state(recorder, replay.checkpoint, replay.checkpoint_size);
        replay_deinit(&replay);
        if (!r)
                r = replay_open_batches(recorder);
        if (r)
                return error_trace(r);
        replay_find_owing(recorder);
        replay_settle(recorder);
        if (replay_count_damage(recorder)) {
                r = recorder_decide_state(recorder, recorder->replayed_unix_ns);
                if (r < 0)
                        return error_trace(r);
        }
        r = replay_end_passes(recorder);
        return r ? error_trace(r) : 0;
}
