/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- lifetime ---- */

int recorder_new(Recorder **recorderp, const RecorderOptions *options) {
        Recorder *recorder;
        int r = 0;

        recorder = calloc(1, sizeof *recorder);
        if (!recorder)
                return error_origin(-ENOMEM);
        recorder->options = *options;
        recorder->journal = options->journal;
        recorder->chains = options->chains;
        recorder->next_session = 1;
        recorder->expiry_unix_ns = UINT64_MAX;
        recorder_set_sampling(recorder, &options->sampling);
        map_init(&recorder->traces, options->seed);
        list_init(&recorder->due_traces);
        list_init(&recorder->waiting_traces);
        pool_init(&recorder->span_pool, sizeof(Span), RECORDER_SPANS_KEPT);
        pool_init(&recorder->context_pool, sizeof(Context), RECORDER_CONTEXTS_KEPT);
        map_init(&recorder->users, options->seed);
        map_init(&recorder->sessions, options->seed);
        list_init(&recorder->all_sessions);
        list_init(&recorder->strays);
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                map_init(&recorder->signals[kind].batches, options->seed);
                list_init(&recorder->signals[kind].sealed);
                if (!r)
                        r = recorder_batch_new(&recorder->signals[kind].open, (BatchSignal)kind, 0);
        }
        if (r) {
                recorder_free(recorder);
                return error_trace(r);
        }
        *recorderp = recorder;
        return 0;
}

static void recorder_free_session(Recorder *recorder, Session *session) {
        list_for_each_safe (link, &session->pending)
                span_free(list_entry(link, Span, pending_link));
        list_for_each_safe (link, &session->open)
                span_free(list_entry(link, Span, object.link));
        session->state = SESSION_EXITED;
        session->replayed = false;
        list_for_each_safe (link, &session->pending_contexts)
                list_unlink(link);
        list_for_each_safe (link, &session->all_contexts)
                context_settle(list_entry(link, Context, link));
        session->n_open = session->n_closed = 0;
        recorder_settle_session(recorder, session);
}

void recorder_rest(Recorder *recorder) {
        pool_empty(&recorder->span_pool);
        pool_empty(&recorder->context_pool);
        object_pieces_deinit(&recorder->pieces);
        buffer_deinit(&recorder->scratch);
}

Recorder *recorder_free(Recorder *recorder) {
        if (!recorder)
                return NULL;
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                RecorderSignal *signal = &recorder->signals[kind];
                list_for_each_safe (link, &signal->sealed)
                        recorder_finish_batch(recorder, list_entry(link, Batch, link));
                if (signal->open)
                        recorder_finish_batch(recorder, signal->open);
                map_deinit(&signal->batches);
        }
        recorder_free_traces(recorder);
        list_for_each_safe (link, &recorder->all_sessions)
                recorder_free_session(recorder, list_entry(link, Session, link));
        for (unsigned i = 0; i < recorder->n_exporters; i++)
                free(recorder->exporters[i].name);
        map_deinit(&recorder->sessions);
        map_deinit(&recorder->users);
        recorder_rest(recorder);
        pool_deinit(&recorder->span_pool);
        pool_deinit(&recorder->context_pool);
        free(recorder);
        return NULL;
}

/* ---- exporters ---- */

/* What it still owes is dropped. */
static int recorder_drop_exporter(Recorder *recorder, unsigned i, uint64_t now_unix_ns) {
        Catena__V1__Drop message = CATENA__V1__DROP__INIT;
        int r;

        message.exporter = recorder->exporters[i].name;
        r = recorder_decide(recorder, RECORD_DROP, 0, &message.base, now_unix_ns);
        if (r == RECORDER_E_FULL) {
                recorder_dropped(recorder, message.exporter);
                r = 0;
        }
        return error_trace(r);
}

int recorder_set_exporters(Recorder *recorder, const char *const *names, const uint32_t *signals,
                           size_t n, uint64_t now_unix_ns) {
        unsigned i;
        int r;

        for (i = 0; i < recorder->n_exporters; i++) {
                recorder->exporters[i].signals = 0;
                for (size_t k = 0; k < n; k++)
                        if (!strcmp(recorder->exporters[i].name, names[k]))
                                recorder->exporters[i].signals = signals[k];
        }
        /* Those that are gone leave their places to those that are new. */
        for (i = 0; i < recorder->n_exporters; i++) {
                if (recorder->exporters[i].signals || !recorder_exporter_owes(recorder, i))
                        continue;
                r = recorder_drop_exporter(recorder, i, now_unix_ns);
                if (r)
                        return error_trace(r);
        }
        for (size_t k = 0; k < n; k++) {
                r = recorder_add_exporter(recorder, names[k], &i);
                if (r)
                        return r < 0 ? error_trace(r) : r;
                recorder->exporters[i].signals = signals[k];
        }
        return 0;
}

unsigned recorder_exporter_index(const Recorder *recorder, const char *name) {
        unsigned i = 0;

        while (i < recorder->n_exporters && strcmp(recorder->exporters[i].name, name))
                i++;
        assert(i < recorder->n_exporters);
        return i;
}

/* ---- sessions ---- */

int recorder_session_begin(Recorder *recorder, Session **sessionp,
                           const SessionCredentials *credentials, const uint8_t *token,
                           const uint8_t *hello, size_t hello_size, uint64_t now_unix_ns) {
        Catena__V1__Session message = CATENA__V1__SESSION__INIT;
        Catena__V1__Hello *parsed;
        uint32_t number = recorder->next_session;
        int r;

        if (session_check_hello(hello, hello_size))
                return RECORDER_E_HELLO;
        if (recorder_room(recorder).only_ends)
                return RECORDER_E_FULL;
        parsed = catena__v1__hello__unpack(NULL, hello_size, hello);
        if (!parsed)
                return RECORDER_E_HELLO;
        message.pid = credentials->pid;
        message.uid = credentials->uid;
        message.gid = credentials->gid;
        message.process_start = credentials->process_start;
        message.token = (ProtobufCBinaryData){RECORD_TOKEN_SIZE, (uint8_t *)token};
        message.hello = parsed;
        r = recorder_decide(recorder, RECORD_SESSION, number, &message.base, now_unix_ns);
        catena__v1__hello__free_unpacked(parsed, NULL);
        if (r)
                return r < 0 ? error_trace(r) : r;
        *sessionp = recorder_find_session(recorder, number);
        return 0;
}

Session *recorder_session_by_token(const Recorder *recorder, const uint8_t *token, uint32_t uid) {
        list_for_each (link, &recorder->all_sessions) {
                Session *session = list_entry(link, Session, link);
                if (session->state == SESSION_ALIVE && session->credentials.uid == uid &&
                    !memcmp(session->token, token, RECORD_TOKEN_SIZE))
                        return session;
        }
        return NULL;
}

size_t recorder_write_closing(uint8_t *data, size_t size, const char *reason, bool error,
                              uint64_t now_unix_ns) {
        enum { END_TIME = 8, ATTRIBUTES = 9, EVENTS = 11, STATUS = 15 };
        const char *message = "the process exited before the span ended";
        size_t value = pb_bytes_size(1, strlen(reason));
        PbWriter writer = pb_writer(data, size);

        pb_put_fixed64(&writer, END_TIME, now_unix_ns);
        pb_put_prefix(&writer, ATTRIBUTES,
                      pb_bytes_size(1, strlen("catena.end")) + pb_bytes_size(2, value));
        pb_put_bytes(&writer, 1, "catena.end", strlen("catena.end"));
        pb_put_prefix(&writer, 2, value);
        pb_put_bytes(&writer, 1, reason, strlen(reason));
        if (error) {
                size_t text = pb_bytes_size(1, strlen(message));
                size_t type = pb_bytes_size(1, strlen(reason));
                size_t type_pair =
                        pb_bytes_size(1, strlen("exception.type")) + pb_bytes_size(2, type);
                size_t text_pair =
                        pb_bytes_size(1, strlen("exception.message")) + pb_bytes_size(2, text);

                pb_put_prefix(&writer, EVENTS,
                              9 + pb_bytes_size(2, strlen("exception")) +
                                      pb_bytes_size(3, type_pair) + pb_bytes_size(3, text_pair));
                pb_put_fixed64(&writer, 1, now_unix_ns);
                pb_put_bytes(&writer, 2, "exception", strlen("exception"));
                pb_put_prefix(&writer, 3, type_pair);
                pb_put_bytes(&writer, 1, "exception.type", strlen("exception.type"));
                pb_put_prefix(&writer, 2, type);
                pb_put_bytes(&writer, 1, reason, strlen(reason));
                pb_put_prefix(&writer, 3, text_pair);
                pb_put_bytes(&writer, 1, "exception.message", strlen("exception.message"));
                pb_put_prefix(&writer, 2, text);
                pb_put_bytes(&writer, 1, message, strlen(message));
                pb_put_prefix(&writer, STATUS, pb_bytes_size(2, strlen(reason)) + 2);
                pb_put_bytes(&writer, 2, reason, strlen(reason));
                pb_put_varint(&writer, 3, 2);
        }
        assert(!writer.failed);
        return (size_t)(writer.at - data);
}

int recorder_session_end(Recorder *recorder, Session **sessionp, SessionState how,
                         uint64_t now_unix_ns) {
        Catena__V1__SessionEnd message = CATENA__V1__SESSION_END__INIT;
        bool exited = how == SESSION_EXITED, lost = (*sessionp)->n_lost_ends;
        const char *reason = lost ? "end lost" : exited ? "process exited" : "abandoned";
        uint8_t closing[512];
        int r;

        message.reason = exited ? CATENA__V1__SESSION_END_REASON__SESSION_END_EXITED
                                : CATENA__V1__SESSION_END_REASON__SESSION_END_BYE;
        message.closing.data = closing;
        message.closing.len = recorder_write_closing(closing, sizeof closing, reason,
                                                     exited && !lost, now_unix_ns);
        r = recorder_decide(recorder, RECORD_SESSION_END, (*sessionp)->number, &message.base,
                            now_unix_ns);
        if (r)
                return r < 0 ? error_trace(r) : r;
        *sessionp = NULL;
        return 0;
}

/* ---- records ---- */

int recorder_reserve(Recorder *recorder, JournalBlock *block, size_t size) {
        int r;

        /* The end of a pass makes room, and comes after what was admitted. */
        r = journal_reserve(recorder->journal, block, size,
                            size ? JOURNAL_ROOM_CLIENT : JOURNAL_ROOM_DECISION);
        if (r)
                return r < 0 ? error_trace(r) : RECORDER_E_FULL;
        return 0;
}

size_t recorder_fitting(const Recorder *recorder, size_t size) {
        size_t room = journal_room(recorder->journal);

        return room >= RECORDER_REST_MIN && room < size ? room : size;
}

static bool recorder_is_data(uint16_t type) {
        return type >= RECORD_SCOPE && type <= RECORD_LOST;
}

/* Puts a refused record's header where the block goes on, and counts it. */
static void recorder_refuse(Recorder *recorder, Session *session, uint8_t *at, RecordHeader header,
                            RecordVerdict verdict) {
        header.size = RECORD_HEADER_SIZE;
        header.flags |= (uint16_t)(verdict << RECORD_VERDICT_SHIFT);
        record_header_write(at, &header);
        recorder_read_refused(recorder, session, &header);
}

/* The header of the record at *offsetp, which moves on to the next one; false: there is none. */
static bool recorder_look(RecordHeader *headerp, const JournalBlock *block, size_t *offsetp) {
        if (*offsetp >= block->size)
                return false;
        *headerp = record_header_read(block->records + *offsetp);
        *offsetp += record_stride(headerp->size);
        return true;
}

/* A look at a record whose turn comes soon: where the maps have what it names is fetched. */
static void recorder_look_ahead(const Session *session, const JournalBlock *block,
                                size_t *offsetp) {
        RecordHeader header;

        if (!recorder_look(&header, block, offsetp))
                return;
        if (header.type == RECORD_SPAN)
                map_prefetch(&session->spans, header.id);
        if (header.context)
                map_prefetch(&session->contexts, header.context);
}

/* The second look, at what stands there: a context may not have been named for long. */
static void recorder_look_again(const Session *session, const JournalBlock *block,
                                size_t *offsetp) {
        RecordHeader header;

        if (recorder_look(&header, block, offsetp) && header.context)
                context_prefetch(map_find(&session->contexts, header.context));
}

/*
 * What is said of a detached span names, where a START has its scope, the session that started the
 * span: whoever reads it in a replay may know nothing of this one any more.
 */
static void recorder_name_starter(RecorderRecord *record, uint8_t *at) {
        const Span *span = record->span;

        if (record->header.type != RECORD_SPAN || (record->header.flags & RECORD_START))
                return;
        record->header.scope = span && span->started ? span->object.session->number : 0;
        record_header_write(at, &record->header);
}

/* What a replay is to know of a record that is taken. */
static void recorder_flag(uint8_t *at, RecorderRecord *record, uint16_t flag) {
        record->header.flags |= flag;
        record_header_write(at, &record->header);
}

int recorder_take(Recorder *recorder, Session *session, JournalBlock *block) {
        RecorderRoom room = recorder_room(recorder);
        size_t from = 0, to = 0, first_look = 0, second_look = 0;
        int r;

        chains_set_time(recorder->chains, block->time_unix_ns);
        for (unsigned i = 0; i < 2 * RECORDER_AHEAD; i++)
                recorder_look_ahead(session, block, &first_look);
        for (unsigned i = 0; i < RECORDER_AHEAD; i++)
                recorder_look_again(session, block, &second_look);

        while (from < block->size) {
                RecordHeader header = record_header_read(block->records + from);
                size_t stride = record_stride(header.size);
                RecorderRecord record;
                ValidateSummary summary;
                RecordVerdict verdict;

                recorder_look_ahead(session, block, &first_look);
                recorder_look_again(session, block, &second_look);
                if (!recorder_is_data(header.type)) {
                        from += stride;
                        continue;
                }
                if (from != to)
                        memmove(block->records + to, block->records + from, stride);
                record = recorder_record(block, to, &header);
                recorder_look_up(&record, session);
                verdict = recorder_judge(recorder, session, &room, &record, &summary);
                if (verdict) {
                        recorder_refuse(recorder, session, block->records + to, header, verdict);
                        to += RECORD_HEADER_SIZE;
                } else {
                        if (header.flags & RECORD_DETACHED)
                                recorder_name_starter(&record, block->records + to);
                        if (recorder->samples && recorder_is_unsampled(recorder, &record, &summary))
                                recorder_flag(block->records + to, &record, RECORD_UNSAMPLED);
                        r = recorder_read_record(recorder, session, &record, &summary);
                        if (r)
                                return error_trace(r);
                        to += stride;
                }
                from += stride;
        }
        block->size = to;
        r = recorder_read_cursor(session, block);
        if (r)
                return error_trace(r);
        if (block->flags & JOURNAL_PASS_END) {
                if (!to && block->source >= ARENA_CHUNKS && !recorder_session_unsettled(session))
                        return 0; /* nothing to write down, nothing to close */
                r = recorder_read_pass_end(recorder, session, block->time_unix_ns);
                if (r)
                        return error_trace(r);
        }
        journal_commit(recorder->journal, block);
        return 0;
}

bool recorder_session_unsettled(const Session *session) {
        return !list_is_empty(&session->pending) || !list_is_empty(&session->pending_contexts);
}

/* ---- batches ---- */

static bool recorder_is_due(const Recorder *recorder, const RecorderSignal *signal,
                            uint64_t now_unix_ns) {
        return signal->open->n_objects >= recorder->options.batch_spans_max ||
               signal->open->n_bytes >= recorder->options.batch_bytes_max ||
               now_unix_ns >= signal->oldest_unix_ns + recorder->options.batch_delay_ns ||
               now_unix_ns < signal->oldest_unix_ns; /* the clock was set back */
}

static int recorder_seal_signal(Recorder *recorder, BatchSignal kind, uint64_t now_unix_ns) {
        Catena__V1__Batch message = CATENA__V1__BATCH__INIT;
        char *names[BATCH_EXPORTERS_MAX];
        int r;

        message.signal = (Catena__V1__Signal)kind;
        message.number = recorder->signals[kind].open->number;
        message.exporters = names;
        for (unsigned i = 0; i < recorder->n_exporters; i++)
                if (recorder->exporters[i].signals & (1u << kind))
                        names[message.n_exporters++] = recorder->exporters[i].name;
        r = recorder_decide(recorder, RECORD_BATCH, 0, &message.base, now_unix_ns);
        return r < 0 ? error_trace(r) : r;
}

int recorder_seal(Recorder *recorder, uint64_t now_unix_ns, bool force) {
        int r;

        r = recorder_decide_traces(recorder, now_unix_ns);
        if (r)
                return r < 0 ? error_trace(r) : r;
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                const RecorderSignal *signal = &recorder->signals[kind];

                if (!signal->open->n_objects)
                        continue;
                if (!force && !recorder_is_due(recorder, signal, now_unix_ns))
                        continue;
                r = recorder_seal_signal(recorder, (BatchSignal)kind, now_unix_ns);
                if (r)
                        return r < 0 ? error_trace(r) : r;
        }
        return 0;
}

uint64_t recorder_seal_due_unix_ns(const Recorder *recorder) {
        uint64_t due = recorder_traces_due_unix_ns(recorder);

        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                const RecorderSignal *signal = &recorder->signals[kind];
                uint64_t own = signal->oldest_unix_ns + recorder->options.batch_delay_ns;

                if (signal->open->n_objects && own < due)
                        due = own;
        }
        return due;
}

Batch *recorder_next_batch(const Recorder *recorder, unsigned exporter, BatchSignal kind,
                           const Batch *after) {
        const RecorderSignal *signal = &recorder->signals[kind];
        const List *link = after ? &after->link : &signal->sealed;

        for (link = link->next; link != &signal->sealed; link = link->next) {
                Batch *batch = list_entry(link, Batch, link);
                if (batch->owing & (1u << exporter))
                        return batch;
        }
        return NULL;
}

int recorder_done(Recorder *recorder, Batch **batchp, unsigned exporter,
                  const BatchOutcome *outcome, uint64_t now_unix_ns) {
        Catena__V1__Done message = CATENA__V1__DONE__INIT;
        Catena__V1__DropCount counts[_BATCH_DROPS_N], *dropped[_BATCH_DROPS_N];
        int r;

        message.signal = (Catena__V1__Signal)(*batchp)->signal;
        message.number = (*batchp)->number;
        message.exporter = recorder->exporters[exporter].name;
        message.delivered = outcome->n_delivered;
        message.dropped = dropped;
        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++) {
                if (!outcome->n_dropped[drop])
                        continue;
                catena__v1__drop_count__init(&counts[drop]);
                counts[drop].reason = drop;
                counts[drop].count = outcome->n_dropped[drop];
                dropped[message.n_dropped++] = &counts[drop];
        }
        *batchp = NULL;
        r = recorder_decide(recorder, RECORD_DONE, 0, &message.base, now_unix_ns);
        /* An answer is what makes room: without any it counts all the same. */
        if (r == RECORDER_E_FULL) {
                recorder_answered(recorder, &message);
                r = 0;
        }
        return r ? error_trace(r) : 0;
}

/* ---- the journal's room ---- */

/*
 * Whether writing the oldest segment's live bytes anew is worth it. It is also where nearly all in
 * it is live, as long as enough that is dead waits behind it.
 */
static bool recorder_should_compact(const JournalUsage *usage, size_t live_bytes) {
        size_t in_use = (size_t)usage->n_segments * JOURNAL_SEGMENT_SIZE;
        size_t quarter = usage->n_segments_max / 4;
        /* Objects are written whole: as long as there is room for all of them, it fits. */
        size_t n_needed = usage->live_bytes / JOURNAL_SEGMENT_SIZE + 3;
        bool short_of_room = usage->n_segments_free <= (quarter > n_needed ? quarter : n_needed) &&
                             usage->live_bytes + usage->max_bytes / 8 <= in_use;
        bool sparse = usage->n_segments > 4 && live_bytes < JOURNAL_SEGMENT_SIZE / 4;

        /* The last free segment is left to decisions. */
        return usage->n_segments_free > 1 && usage->live_bytes < usage->max_bytes / 4 * 3 &&
               (short_of_room || sparse);
}

/*
 * Frees the oldest segments if nothing in them is held. What died in them can be counted no more by
 * reading the rest, so the counters are written down first.
 */
static int recorder_free_oldest(Recorder *recorder, uint64_t now_unix_ns) {
        JournalPosition first, end;
        size_t live_bytes;
        int r;

        if (!journal_oldest(recorder->journal, &first, &end, &live_bytes) || live_bytes)
                return 0;
        r = recorder_decide_state(recorder, now_unix_ns);
        if (r < 0)
                return error_trace(r);
        journal_reclaim(recorder->journal);
        if (r == RECORDER_E_FULL)
                r = recorder_decide_state(recorder, now_unix_ns); /* now there is room */
        return r < 0 ? error_trace(r) : 0;
}

int recorder_reclaim(Recorder *recorder, uint64_t now_unix_ns) {
        JournalPosition first, end;
        JournalUsage usage;
        size_t live_bytes;
        int r;

        r = recorder_free_oldest(recorder, now_unix_ns);
        if (r)
                return error_trace(r);
        if (!journal_oldest(recorder->journal, &first, &end, &live_bytes))
                return 0;
        journal_usage(recorder->journal, &usage);
        if (!recorder_should_compact(&usage, live_bytes))
                return 0;
        r = recorder_compact(recorder, first, end, now_unix_ns);
        if (r < 0)
                return error_trace(r);
        r = recorder_free_oldest(recorder, now_unix_ns);
        return r ? error_trace(r) : 0;
}

/* ---- looking in ---- */

bool recorder_is_drained(const Recorder *recorder) {
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                if (recorder->signals[kind].open->n_objects || recorder->signals[kind].n_sealed)
                        return false;
        return true;
}

void recorder_view(Recorder *recorder, RecorderView *view) {
        *view = (RecorderView){
                .counters = recorder->counters,
                .exporters = recorder->exporters,
                .n_exporters = recorder->n_exporters,
                .sessions = &recorder->all_sessions,
                .n_spans_open = recorder->n_open,
                .n_spans_undecided = recorder->n_undecided,
        };
        list_for_each (link, &recorder->all_sessions) {
                const Session *session = list_entry(link, Session, link);
                view->n_sessions_alive += session->state == SESSION_ALIVE;
                view->n_contexts += session->contexts.n_entries;
        }
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                view->n_unsealed[kind] = recorder->signals[kind].open->n_objects;
                view->n_sealed[kind] = recorder->signals[kind].n_sealed;
        }
        journal_usage(recorder->journal, &view->journal);
}
