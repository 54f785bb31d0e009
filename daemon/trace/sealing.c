/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEALING_OBJECTS_MIN = 64 }; /* that a batch has room for, once it has any */

/* ---- batches ---- */

int recorder_batch_new(Batch **batchp, BatchSignal signal, uint64_t number) {
        Batch *batch = calloc(1, sizeof *batch);

        if (!batch)
                return error_origin(-ENOMEM);
        batch->signal = signal;
        batch->number = number;
        list_init(&batch->link);
        *batchp = batch;
        return 0;
}

Batch *recorder_batch_free(Batch *batch) {
        if (!batch)
                return NULL;
        list_unlink(&batch->link);
        free(batch->objects);
        free(batch);
        return NULL;
}

int recorder_batch_add(Batch *batch, Object *object) {
        if (batch->n_objects == batch->n_allocated) {
                size_t n = batch->n_allocated ? batch->n_allocated * 2 : SEALING_OBJECTS_MIN;
                Object **objects = realloc(batch->objects, n * sizeof *objects);

                if (!objects)
                        return error_origin(-ENOMEM);
                batch->objects = objects;
                batch->n_allocated = n;
        }
        batch->objects[batch->n_objects++] = object;
        batch->n_bytes += object->fragments.n_bytes;
        object->batch = batch;
        return 0;
}

/* What is in one batch joins another. */
int recorder_batch_move(Batch *to, Batch *from) {
        int r = 0;

        for (size_t i = 0; i < from->n_objects && !r; i++)
                r = recorder_batch_add(to, from->objects[i]);
        from->n_objects = from->n_bytes = 0;
        return error_trace(r);
}

static void recorder_free_log(Object *log) {
        Session *session = log->session;
        Context *context = log->context;

        fragments_deinit(&log->fragments, session);
        session_discharge(session, sizeof *log);
        if (context) {
                context->n_objects--;
                context_settle(context);
        }
        free(log);
}

void recorder_drop_batch(Recorder *recorder, Batch *batch) {
        RecorderSignal *signal = &recorder->signals[batch->signal];

        for (size_t i = 0; i < batch->n_objects; i++) {
                Object *object = batch->objects[i];
                Session *session = object->session;

                context_prefetch_walk(batch->objects, batch->n_objects, i);
                if (i + OBJECT_AHEAD < batch->n_objects && batch->signal == BATCH_TRACES)
                        span_prefetch_slot(span_of(batch->objects[i + OBJECT_AHEAD]));
                if (batch->signal == BATCH_TRACES)
                        span_free(span_of(object));
                else
                        recorder_free_log(object);
                recorder->n_objects--;
                session->n_closed--;
                recorder_settle_session(recorder, session);
        }
        if (batch->sealed)
                journal_release(recorder->journal, batch->hold.position, batch->hold.charge);
        signal->n_sealed -= batch->n_objects;
        map_remove(&signal->batches, batch->number);
        recorder_batch_free(batch);
}

void recorder_finish_batch(Recorder *recorder, Batch *batch) {
        if (batch->signal == BATCH_TRACES)
                recorder->counters.spans_finished += batch->n_objects;
        else
                recorder->counters.logs_finished += batch->n_objects;
        recorder_drop_batch(recorder, batch);
}

/* Puts a batch that has a number among those that are not open. */
static int recorder_enlist_batch(Recorder *recorder, Batch *batch) {
        RecorderSignal *signal = &recorder->signals[batch->signal];
        List *before = signal->sealed.previous;
        int r;

        r = map_put(&signal->batches, batch->number, batch);
        if (r)
                return error_trace(r);
        while (before != &signal->sealed &&
               list_entry(before, Batch, link)->number > batch->number)
                before = before->previous;
        list_append(before->next, &batch->link);
        return 0;
}

/* The batch of that number, sealed: where a SNAPSHOT belongs, or what a BATCH announces. */
int recorder_batch_numbered(Recorder *recorder, Batch **batchp, BatchSignal kind, uint64_t number) {
        Batch *batch = map_find(&recorder->signals[kind].batches, number);
        int r;

        if (!batch) {
                r = recorder_batch_new(&batch, kind, number);
                if (r)
                        return error_trace(r);
                r = recorder_enlist_batch(recorder, batch);
                if (r) {
                        recorder_batch_free(batch);
                        return error_trace(r);
                }
        }
        *batchp = batch;
        return 0;
}

/* Something is closed: it joins the open batch. */
int recorder_close_object(Recorder *recorder, Object *object, uint64_t time_unix_ns) {
        RecorderSignal *signal = &recorder->signals[object->signal];

        if (!signal->open->n_objects)
                signal->oldest_unix_ns = time_unix_ns;
        object->session->n_closed++;
        return error_trace(recorder_batch_add(signal->open, object));
}

/* ---- exporters ---- */

static int recorder_find_exporter(const Recorder *recorder, const char *name) {
        for (unsigned i = 0; i < recorder->n_exporters; i++)
                if (!strcmp(recorder->exporters[i].name, name))
                        return (int)i;
        return -1;
}

bool recorder_exporter_owes(const Recorder *recorder, unsigned i) {
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                if (recorder_next_batch(recorder, i, (BatchSignal)kind, NULL))
                        return true;
        return false;
}

/* An entry that nothing refers to any more. */
static bool recorder_exporter_is_free(const Recorder *recorder, unsigned i) {
        return !recorder->exporters[i].signals && !recorder_exporter_owes(recorder, i);
}

int recorder_add_exporter(Recorder *recorder, const char *name, unsigned *indexp) {
        int found = recorder_find_exporter(recorder, name);
        unsigned i = recorder->n_exporters;
        char *copy;

        if (found >= 0) {
                *indexp = (unsigned)found;
                return 0;
        }
        if (i == BATCH_EXPORTERS_MAX)
                for (i = 0; i < BATCH_EXPORTERS_MAX && !recorder_exporter_is_free(recorder, i);)
                        i++;
        if (i == BATCH_EXPORTERS_MAX)
                return RECORDER_E_EXPORTERS;
        copy = strdup(name);
        if (!copy)
                return error_origin(-ENOMEM);
        if (i == recorder->n_exporters)
                recorder->n_exporters++;
        free(recorder->exporters[i].name);
        recorder->exporters[i] = (RecorderExporter){.name = copy};
        *indexp = i;
        return 0;
}

static int recorder_owing(Recorder *recorder, const Catena__V1__Batch *message, uint32_t *owingp) {
        uint32_t owing = 0;
        unsigned i;
        int r;

        for (size_t k = 0; k < message->n_exporters; k++) {
                r = recorder_add_exporter(recorder, message->exporters[k], &i);
                if (r < 0)
                        return error_trace(r);
                if (!r)
                        owing |= 1u << i;
        }
        *owingp = owing;
        return 0;
}

/* ---- records ---- */

/* What is open becomes batch `number`. */
static int recorder_seal_open(Recorder *recorder, BatchSignal kind, uint64_t number,
                              Batch **batchp) {
        RecorderSignal *signal = &recorder->signals[kind];
        Batch *batch = map_find(&signal->batches, number), *next = NULL;
        int r;

        signal->oldest_unix_ns = 0;
        signal->n_sealed += signal->open->n_objects;
        if (batch) { /* SNAPSHOTs have put some into it already */
                signal->open->number = number + 1;
                r = recorder_batch_move(batch, signal->open);
                if (r)
                        return error_trace(r);
        } else {
                r = recorder_batch_new(&next, kind, number + 1);
                if (r)
                        return error_trace(r);
                batch = signal->open;
                batch->number = number;
                signal->open = next;
                r = recorder_enlist_batch(recorder, batch);
                if (r)
                        return error_trace(r);
        }
        *batchp = batch;
        return 0;
}

static void recorder_hold_batch(Recorder *recorder, Batch *batch, const RecorderRecord *record) {
        if (batch->sealed)
                journal_release(recorder->journal, batch->hold.position, batch->hold.charge);
        batch->hold = recorder_hold(record);
        batch->sealed = true;
        journal_hold(recorder->journal, batch->hold.position, batch->hold.charge);
}

static void recorder_count_without_exporter(Recorder *recorder, const Batch *batch) {
        if (batch->signal == BATCH_TRACES)
                recorder->counters.spans_without_exporter += batch->n_objects;
        else
                recorder->counters.logs_without_exporter += batch->n_objects;
}

static int recorder_read_batch_message(Recorder *recorder, const RecorderRecord *record,
                                       const Catena__V1__Batch *message) {
        BatchSignal kind = (BatchSignal)message->signal;
        RecorderSignal *signal = &recorder->signals[kind];
        bool snapshot = record->header.flags & RECORD_SNAPSHOT;
        uint32_t owing = 0;
        Batch *batch;
        int r;

        r = recorder_owing(recorder, message, &owing);
        if (r)
                return error_trace(r);
        if (snapshot || (signal->open->number && message->number < signal->open->number))
                r = recorder_batch_numbered(recorder, &batch, kind, message->number);
        else
                r = recorder_seal_open(recorder, kind, message->number, &batch);
        if (r)
                return error_trace(r);
        batch->owing = owing;
        recorder_hold_batch(recorder, batch, record);
        for (unsigned i = 0; i < recorder->n_exporters && !snapshot; i++)
                if (owing & (1u << i))
                        recorder->exporters[i].of[kind].n_owed += batch->n_objects;
        if (!owing) {
                recorder_count_without_exporter(recorder, batch);
                recorder_finish_batch(recorder, batch);
        }
        return 0;
}

int recorder_read_batch(Recorder *recorder, const RecorderRecord *record) {
        Catena__V1__Batch *message;
        int r = 0;

        message = catena__v1__batch__unpack(NULL, record->size, record->body);
        if (!message)
                return 0;
        if ((unsigned)message->signal < _BATCH_SIGNALS_N && message->number)
                r = recorder_read_batch_message(recorder, record, message);
        catena__v1__batch__free_unpacked(message, NULL);
        return r ? error_trace(r) : 0;
}

static void recorder_answer(Recorder *recorder, Batch *batch, unsigned exporter) {
        batch->owing &= ~(1u << exporter);
        if (!batch->owing)
                recorder_finish_batch(recorder, batch);
}

void recorder_answered(Recorder *recorder, const Catena__V1__Done *message) {
        int i = recorder_find_exporter(recorder, message->exporter);
        RecorderExporter *exporter;
        Batch *batch;

        if ((unsigned)message->signal >= _BATCH_SIGNALS_N || i < 0)
                return;
        exporter = &recorder->exporters[i];
        exporter->of[message->signal].n_delivered += message->delivered;
        for (size_t k = 0; k < message->n_dropped; k++)
                if (message->dropped[k]->reason < _BATCH_DROPS_N)
                        exporter->of[message->signal].n_dropped[message->dropped[k]->reason] +=
                                message->dropped[k]->count;
        batch = map_find(&recorder->signals[message->signal].batches, message->number);
        if (batch && !batch->sealed)
                batch->answered = true;
        if (batch && (batch->owing & (1u << i)))
                recorder_answer(recorder, batch, (unsigned)i);
}

int recorder_read_done(Recorder *recorder, const RecorderRecord *record) {
        Catena__V1__Done *message;

        message = catena__v1__done__unpack(NULL, record->size, record->body);
        if (!message)
                return 0;
        recorder_answered(recorder, message);
        catena__v1__done__free_unpacked(message, NULL);
        return 0;
}

void recorder_dropped(Recorder *recorder, const char *name) {
        int i = recorder_find_exporter(recorder, name);

        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N && i >= 0; kind++)
                list_for_each_safe (link, &recorder->signals[kind].sealed) {
                        Batch *batch = list_entry(link, Batch, link);

                        if (!(batch->owing & (1u << i)))
                                continue;
                        recorder->exporters[i].of[kind].n_dropped[BATCH_DROP_EXPORTER_GONE] +=
                                batch->n_objects;
                        recorder_answer(recorder, batch, (unsigned)i);
                }
}

int recorder_read_drop(Recorder *recorder, const RecorderRecord *record) {
        Catena__V1__Drop *message;

        message = catena__v1__drop__unpack(NULL, record->size, record->body);
        if (!message)
                return 0;
        recorder_dropped(recorder, message->exporter);
        catena__v1__drop__free_unpacked(message, NULL);
        return 0;
}
