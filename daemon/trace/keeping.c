/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "proto/sampling.h"
#include "proto/w3c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * What head sampling would drop
 *
 * A START that head sampling says no to is flagged as it is taken, and its trace watched. Its spans
 * wait, when they have ended, until the last of those known here has ended, too, or one of them
 * shows that the trace matters; then a KEEP says what becomes of them. A replay finds the flags and
 * the KEEPs as they were, so it needs no configuration to stand where the daemon stood.
 */

enum { KEEPING_TRACES_MAX = 1024 }; /* in one KEEP */

static const uint64_t KEEPING_WAIT_NS = UINT64_C(10) * 1000 * 1000 * 1000;

/* ---- at the START ---- */

/* OTLP's flags of a START; UINT32_MAX, as if sampled, where it says none. */
static uint32_t keeping_flags(const RecorderRecord *record) {
        PbReader reader = pb_reader(record->body, record->size);
        uint32_t flags = UINT32_MAX;
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == OTLP_SPAN_FLAGS)
                        flags = (uint32_t)field.value;
        return flags;
}

void recorder_set_sampling(Recorder *recorder, const RecorderSampling *sampling) {
        recorder->options.sampling = *sampling;
        recorder->samples = sampling->threshold || recorder_decides(sampling);
}

bool recorder_is_unsampled(const Recorder *recorder, const RecorderRecord *record,
                           const ValidateSummary *summary) {
        const RecorderSampling *sampling = &recorder->options.sampling;

        if (record->header.type != RECORD_SPAN || !(record->header.flags & RECORD_START))
                return false;
        if (!sampling_keeps(sampling->threshold, summary->trace_id))
                return true;
        return recorder_decides(sampling) && !(keeping_flags(record) & W3C_FLAG_SAMPLED);
}

/* ---- traces ---- */

/* Two that share it are decided alike, which harms nobody. */
static uint64_t keeping_key(const uint8_t *trace_id) {
        uint64_t words[2];

        memcpy(words, trace_id, sizeof words);
        return words[0] ^ words[1];
}

int recorder_watch_trace(Recorder *recorder, Span *span, const uint8_t *trace_id) {
        uint64_t key = keeping_key(trace_id);
        Trace *trace = map_find(&recorder->traces, key);
        int r;

        if (!trace) {
                trace = calloc(1, sizeof *trace);
                if (!trace)
                        return error_origin(-ENOMEM);
                r = map_put(&recorder->traces, key, trace);
                if (r) {
                        free(trace);
                        return error_trace(r);
                }
                memcpy(trace->trace_id, trace_id, sizeof trace->trace_id);
                list_init(&trace->undecided);
                list_init(&trace->link);
        }
        trace->n_open++;
        span->trace = trace;
        return 0;
}

static void keeping_settle(Recorder *recorder, Trace *trace) {
        if (trace->n_open || trace->n_undecided)
                return;
        map_remove(&recorder->traces, keeping_key(trace->trace_id));
        list_unlink(&trace->link);
        free(trace);
}

/* Whether a span that has ended is what makes its trace matter. */
static bool keeping_matters(const Recorder *recorder, const Span *span) {
        const RecorderSampling *sampling = &recorder->options.sampling;

        if (sampling->keep_errors && span->status_code == OTLP_CODE_ERROR)
                return true;
        return sampling->keep_slower_than_ns && span->end_unix_ns > span->start_unix_ns &&
               span->end_unix_ns - span->start_unix_ns >= sampling->keep_slower_than_ns;
}

void recorder_defer_span(Recorder *recorder, Span *span, uint64_t time_unix_ns) {
        Trace *trace = span->trace;

        trace->keep |= keeping_matters(recorder, span);
        trace->n_open--;
        list_unlink(&span->object.link);
        list_append(&trace->undecided, &span->object.link);
        span->object.session->n_closed++;
        if (!trace->n_undecided++) {
                trace->since_unix_ns = time_unix_ns;
                trace->first_deferred = recorder->n_deferred;
        }
        recorder->n_deferred++;
        recorder->n_undecided++;
        recorder->undecided_bytes += span->object.fragments.n_bytes;
        if (trace->keep || !trace->n_open) {
                list_unlink(&trace->link);
                list_append(&recorder->due_traces, &trace->link);
        } else if (list_is_empty(&trace->link)) {
                list_append(&recorder->waiting_traces, &trace->link);
        }
}

void recorder_free_traces(Recorder *recorder) {
        map_for_each (slot, &recorder->traces) {
                Trace *trace = slot->value;

                list_for_each_safe (link, &trace->undecided)
                        span_free(span_of(list_entry(link, Object, link)));
                free(trace);
        }
        map_deinit(&recorder->traces);
}

/* ---- KEEP ---- */

typedef enum KeepingWord {
        KEEPING_KEPT,
        KEEPING_DROPPED,
        KEEPING_GIVEN_UP,
        _KEEPING_WORDS_N,
} KeepingWord;

static int keeping_release(Recorder *recorder, Span *span, KeepingWord word,
                           uint64_t time_unix_ns) {
        Object *object = &span->object;
        Session *session = object->session;

        recorder->n_undecided--;
        recorder->undecided_bytes -= object->fragments.n_bytes;
        span->trace->n_undecided--;
        span->trace = NULL;
        session->n_closed--;
        if (word == KEEPING_KEPT) {
                recorder->counters.spans_kept++;
                list_unlink(&object->link);
                return error_trace(recorder_close_object(recorder, object, time_unix_ns));
        }
        recorder->counters.spans_unsampled++;
        recorder->counters.spans_given_up += word == KEEPING_GIVEN_UP;
        recorder->n_objects--;
        span_free(span);
        recorder_settle_session(recorder, session);
        return 0;
}

static int keeping_read_word(Recorder *recorder, const ProtobufCBinaryData *ids, size_t n,
                             KeepingWord word, uint64_t time_unix_ns) {
        int r;

        for (size_t i = 0; i < n; i++) {
                Trace *trace = ids[i].len == ID_TRACE_SIZE
                                       ? map_find(&recorder->traces, keeping_key(ids[i].data))
                                       : NULL;

                if (!trace)
                        continue;
                list_unlink(&trace->link);
                trace->keep |= word == KEEPING_KEPT;
                list_for_each_safe (link, &trace->undecided) {
                        r = keeping_release(recorder, span_of(list_entry(link, Object, link)), word,
                                            time_unix_ns);
                        if (r)
                                return error_trace(r);
                }
                keeping_settle(recorder, trace);
        }
        return 0;
}

int recorder_read_keep(Recorder *recorder, const RecorderRecord *record) {
        Catena__V1__Keep *message = catena__v1__keep__unpack(NULL, record->size, record->body);
        uint64_t time = record->time_unix_ns;
        int r;

        if (!message)
                return 0;
        r = keeping_read_word(recorder, message->kept, message->n_kept, KEEPING_KEPT, time);
        if (!r)
                r = keeping_read_word(recorder, message->dropped, message->n_dropped,
                                      KEEPING_DROPPED, time);
        if (!r)
                r = keeping_read_word(recorder, message->given_up, message->n_given_up,
                                      KEEPING_GIVEN_UP, time);
        catena__v1__keep__free_unpacked(message, NULL);
        return error_trace(r);
}

/* ---- deciding ---- */

/* The trace ids of one KEEP. */
typedef struct KeepingRun {
        ProtobufCBinaryData ids[_KEEPING_WORDS_N][KEEPING_TRACES_MAX];
        size_t n[_KEEPING_WORDS_N];
        size_t n_ids, n_bytes;
} KeepingRun;

static void keeping_add(KeepingRun *run, Trace *trace, KeepingWord word) {
        run->ids[word][run->n[word]++] = (ProtobufCBinaryData){ID_TRACE_SIZE, trace->trace_id};
        run->n_ids++;
        list_for_each (link, &trace->undecided)
                run->n_bytes += list_entry(link, Object, link)->fragments.n_bytes;
}

/* Past the bound in time, whichever way the clock was set, or in room. */
static bool keeping_is_over(const Recorder *recorder, const Trace *trace, size_t n_bytes,
                            size_t max_bytes, uint64_t now_unix_ns) {
        uint64_t since = trace->since_unix_ns;
        uint64_t waited_ns = now_unix_ns > since ? now_unix_ns - since : since - now_unix_ns;

        return recorder->undecided_bytes - n_bytes > max_bytes || waited_ns >= KEEPING_WAIT_NS;
}

static void keeping_collect(const Recorder *recorder, KeepingRun *run, uint64_t now_unix_ns) {
        JournalUsage usage;

        run->n_ids = run->n_bytes = 0;
        memset(run->n, 0, sizeof run->n);
        list_for_each (link, &recorder->due_traces) {
                Trace *trace = list_entry(link, Trace, link);

                if (run->n_ids == KEEPING_TRACES_MAX)
                        return;
                keeping_add(run, trace, trace->keep ? KEEPING_KEPT : KEEPING_DROPPED);
        }
        journal_usage(recorder->journal, &usage);
        list_for_each (link, &recorder->waiting_traces) {
                Trace *trace = list_entry(link, Trace, link);

                if (run->n_ids == KEEPING_TRACES_MAX ||
                    !keeping_is_over(recorder, trace, run->n_bytes, usage.max_bytes / 4,
                                     now_unix_ns))
                        return;
                keeping_add(run, trace, KEEPING_GIVEN_UP);
        }
}

int recorder_decide_traces(Recorder *recorder, uint64_t now_unix_ns) {
        Catena__V1__Keep message = CATENA__V1__KEEP__INIT;
        KeepingRun run;
        int r;

        while (recorder->n_undecided) {
                keeping_collect(recorder, &run, now_unix_ns);
                if (!run.n_ids)
                        return 0;
                message.kept = run.ids[KEEPING_KEPT];
                message.n_kept = run.n[KEEPING_KEPT];
                message.dropped = run.ids[KEEPING_DROPPED];
                message.n_dropped = run.n[KEEPING_DROPPED];
                message.given_up = run.ids[KEEPING_GIVEN_UP];
                message.n_given_up = run.n[KEEPING_GIVEN_UP];
                r = recorder_decide(recorder, RECORD_KEEP, 0, &message.base, now_unix_ns);
                if (r)
                        return r < 0 ? error_trace(r) : r;
        }
        return 0;
}

uint64_t recorder_traces_due_unix_ns(const Recorder *recorder) {
        if (!list_is_empty(&recorder->due_traces))
                return 0;
        if (list_is_empty(&recorder->waiting_traces))
                return UINT64_MAX;
        return list_entry(list_first(&recorder->waiting_traces), Trace, link)->since_unix_ns +
               KEEPING_WAIT_NS;
}

static bool keeping_is_older(const List *link, uint64_t n_deferred) {
        return list_entry(link, Trace, link)->first_deferred < n_deferred;
}

/* Those that wait stand in the order in which they began to; of those that are due none stays. */
bool recorder_is_undecided(const Recorder *recorder, uint64_t n_deferred) {
        const List *waiting = list_first(&recorder->waiting_traces);

        list_for_each (link, &recorder->due_traces)
                if (keeping_is_older(link, n_deferred))
                        return true;
        return waiting && keeping_is_older(waiting, n_deferred);
}
