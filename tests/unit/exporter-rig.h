#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An exporter between a recorder that only counts, defined here, and a collector that follows a
 * script. For one source file of a test.
 */

#include "daemon/export/exporter.h"
#include "tests/unit/collector.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum {
        BATCHES_MAX = 8,
        OBJECTS = 10, /* of each batch */
};

static const uint64_t ms = 1000000;

/* ---- the recorder ---- */

struct Recorder {
        Batch batches[BATCHES_MAX];
        bool owed[BATCHES_MAX];
        size_t sizes[BATCHES_MAX]; /* of the bodies; 0: nothing is left of the objects */
        bool halved[BATCHES_MAX];  /* into two requests */
        size_t n_batches, n_left;
        BatchOutcome total;
        void (*finished)(void);
};

static Recorder recorder;

unsigned recorder_exporter_index(const Recorder *r, const char *name) {
        ck_assert_ptr_eq(r, &recorder);
        ck_assert_str_eq(name, "test");
        return 3;
}

Batch *recorder_next_batch(const Recorder *r, unsigned exporter, BatchSignal signal,
                           const Batch *after) {
        ck_assert_uint_eq(exporter, 3);
        ck_assert_ptr_null(after);
        for (size_t i = 0; i < r->n_batches; i++)
                if (r->owed[i] && r->batches[i].signal == signal)
                        return (Batch *)&r->batches[i];
        return NULL;
}

int recorder_done(Recorder *r, Batch **batchp, unsigned exporter, const BatchOutcome *outcome,
                  uint64_t now_unix_ns) {
        size_t i = *batchp - r->batches;
        uint64_t sum = outcome->n_delivered;

        ck_assert_uint_eq(exporter, 3);
        ck_assert_uint_gt(now_unix_ns, 1600000000 * UINT64_C(1000000000));
        ck_assert(r->owed[i]);
        r->owed[i] = false;
        r->total.n_delivered += outcome->n_delivered;
        for (int drop = 0; drop < _BATCH_DROPS_N; drop++) {
                sum += outcome->n_dropped[drop];
                r->total.n_dropped[drop] += outcome->n_dropped[drop];
        }
        ck_assert_uint_eq(sum, r->sizes[i] ? OBJECTS : 0);
        *batchp = NULL;
        if (!--r->n_left)
                r->finished();
        return 0;
}

int batch_encoder_new(BatchEncoder **encoderp) {
        *encoderp = malloc(1);
        return 0;
}

BatchEncoder *batch_encoder_free(BatchEncoder *encoder) {
        free(encoder);
        return NULL;
}

/* One request, or two halves of it. */
int batch_encode(BatchEncoder *encoder, const Batch *batch, BatchCursor *cursor, Buffer *out,
                 size_t *n_objectsp) {
        size_t i = batch - recorder.batches, size = recorder.sizes[i];
        uint8_t *room;

        ck_assert_ptr_nonnull(encoder);
        ck_assert(!cursor->done);
        *n_objectsp = size ? OBJECTS : 0;
        if (recorder.halved[i]) {
                size /= 2;
                *n_objectsp /= 2;
        }
        cursor->done = !recorder.halved[i] || cursor->next;
        cursor->next++;
        ck_assert_int_eq(buffer_reserve(out, &room, size), 0);
        for (size_t k = 0; k < size; k++)
                room[k] = batch->number + k % 7;
        out->size += size;
        return 0;
}

static inline void owe(BatchSignal signal, size_t size) {
        size_t i = recorder.n_batches++;

        recorder.batches[i] = (Batch){.signal = signal, .number = i, .n_objects = OBJECTS};
        recorder.sizes[i] = size;
        recorder.owed[i] = true;
        recorder.n_left++;
}

/* ---- the exporter ---- */

static struct {
        uv_loop_t loop;
        Exporter *exporter;
        ExporterOptions options;
        ExporterStatus last; /* before it was closed */
        char endpoint[64];
        uv_prepare_t each_turn;
        void (*turn)(const ExporterStatus *status); /* or NULL */
        bool closed;
} run;

static inline void on_fatal(void *user, int r) {
        (void)user;
        ck_abort_msg("fatal: %d", r);
}

static inline void on_closed(void *user) {
        ck_assert_ptr_eq(user, &run);
        ck_assert(!run.closed);
        run.closed = true;
        uv_close((uv_handle_t *)&run.each_turn, NULL);
}

static inline void close_exporter(void) {
        exporter_status(run.exporter, &run.last);
        exporter_close(run.exporter, on_closed, &run);
        run.exporter = NULL;
}

static inline void on_turn(uv_prepare_t *prepare) {
        ExporterStatus status;

        (void)prepare;
        if (!run.exporter)
                return;
        exporter_wake(run.exporter); /* as the daemon does; sends nothing twice */
        exporter_status(run.exporter, &status);
        if (run.turn)
                run.turn(&status);
}

static inline void set_up(void) {
        memset(&recorder, 0, sizeof(recorder));
        memset(&collector, 0, sizeof(collector));
        memset(&run, 0, sizeof(run));
        recorder.finished = close_exporter;
        collector_bind();
        snprintf(run.endpoint, sizeof(run.endpoint), "http://127.0.0.1:%u", collector.port);
        run.options = (ExporterOptions){
                .name = "test",
                .endpoint = run.endpoint,
                .timeout_ns = 10000 * ms,
                .retry_initial_ns = 2 * ms,
                .retry_max_ns = 10 * ms,
                .user_agent = "catenad/1 OTel-OTLP-Exporter-C/1",
                .sink = {.fail = on_fatal},
        };
}

/* Runs until every batch is answered for, or the test has closed the exporter. */
static inline void run_exporter(void) {
        ck_assert_int_eq(uv_loop_init(&run.loop), 0);
        ck_assert_int_eq(exporter_open(&run.exporter, &run.loop, &recorder, &run.options), 0);
        uv_prepare_init(&run.loop, &run.each_turn);
        uv_prepare_start(&run.each_turn, on_turn);
        exporter_wake(run.exporter);
        uv_run(&run.loop, UV_RUN_DEFAULT);
        ck_assert(run.closed);
        ck_assert_int_eq(uv_loop_close(&run.loop), 0);
        collector_join();
}

static inline void check_total(uint64_t n_delivered, uint64_t n_refused, uint64_t n_partial) {
        ck_assert_uint_eq(recorder.total.n_delivered, n_delivered);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_REFUSED], n_refused);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_PARTIAL], n_partial);
        ck_assert_uint_eq(recorder.n_left, 0);
}

#define OK_TYPE     "Content-Type: application/x-protobuf\r\n"
#define OK          "HTTP/1.1 200 OK\r\n" OK_TYPE "Content-Length: 0\r\n\r\n"
#define N_STEPS(s)  (sizeof(s) / sizeof(*(s)))
#define START(s)    collector_start((s), N_STEPS(s))
#define UNAVAILABLE "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait"
