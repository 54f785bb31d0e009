#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What tests of primitives share: work to be done, and what was said of it to a fake daemon. */

#include "lib/catena.h"
#include "otlp/logs.pb-c.h"
#include "proto/id.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

typedef Opentelemetry__Proto__Logs__V1__LogRecord FakeLog;

static FakeDaemon fake;
static catena_context *context;

static inline void start(void) {
        fake_daemon_open(&fake);
        context = catena_context_new("flow", NULL);
}

static inline void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
        context = catena_context_new("flow", NULL);
}

static inline void stop(void) {
        catena_context_free(context);
        fake_daemon_close(&fake);
}

static inline catena_stats stats(void) {
        catena_stats known;

        catena_stats_get(&known, sizeof known);
        return known;
}

/* ---- work ---- */

static inline int succeed(catena_context *of, void *input, void **outputp, void *data) {
        (void)of;
        (void)input;
        *outputp = data;
        return 0;
}

static inline int refuse(catena_context *of, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        catena_context_fail(of, "Refused", data);
        return -7;
}

static inline catena_primitive *primitive_of(const char *name, const char *type,
                                             int (*run)(catena_context *, void *, void **, void *),
                                             const void *data) {
        catena_primitive *primitive = catena_primitive_new(&(catena_primitive_options){
                .name = name,
                .type = type,
                .run = run,
                .data = (void *)data,
        });

        ck_assert_ptr_nonnull(primitive);
        return primitive;
}

/* Once, and then never again. */
static inline int execute_once(catena_primitive *primitive, void *input, void **outputp) {
        int r = catena_execute(primitive, context, input, outputp);

        catena_primitive_unref(primitive);
        fake_daemon_take(&fake);
        return r;
}

/* ---- what was said ---- */

/* The n-th span of that name, from 0; NULL: there is none. To be freed by fake_span_free(). */
static inline FakeSpan *find_span(const char *name, size_t n) {
        for (size_t i = 0; i < fake.n_records; i++) {
                const RecordHeader *header = &fake.records[i].header;
                FakeSpan *span;
                uint8_t id[8];

                if (header->type != RECORD_SPAN || !(header->flags & RECORD_START))
                        continue;
                memcpy(id, &header->id, sizeof id);
                span = fake_daemon_span(&fake, id);
                if (!strcmp(span->name, name) && n-- == 0)
                        return span;
                fake_span_free(span);
        }
        return NULL;
}

static inline FakeSpan *said_span(const char *name) {
        FakeSpan *span = find_span(name, 0), *second = find_span(name, 1);

        ck_assert_msg(span && !second, "not one span %s", name);
        return span;
}

/* The n-th log of that text, from 0; NULL: there is none. To be freed by fake_log_free(). */
static inline FakeLog *find_log(const char *text, size_t n) {
        for (size_t i = 0; i < fake.n_records; i++) {
                const FakeRecord *record = &fake.records[i];
                FakeLog *log;

                if (record->header.type != RECORD_LOG)
                        continue;
                log = opentelemetry__proto__logs__v1__log_record__unpack(NULL, record->size,
                                                                         record->body);
                ck_assert_ptr_nonnull(log);
                if (!strcmp(log->body->string_value, text) && n-- == 0)
                        return log;
                opentelemetry__proto__logs__v1__log_record__free_unpacked(log, NULL);
        }
        return NULL;
}

static inline void fake_log_free(FakeLog *log) {
        opentelemetry__proto__logs__v1__log_record__free_unpacked(log, NULL);
}

static inline FakeLog *said_log(const char *text, size_t n) {
        FakeLog *log = find_log(text, n);

        ck_assert_msg(log, "no log %s", text);
        return log;
}

#define SAID_STRING(object, key)                                                                   \
        fake_attribute_string((object)->attributes, (object)->n_attributes, key)

#define SAID_VALUE(object, key) said_value((object)->attributes, (object)->n_attributes, key)

static inline const Opentelemetry__Proto__Common__V1__AnyValue *
said_value(Opentelemetry__Proto__Common__V1__KeyValue *const *attributes, size_t n,
           const char *key) {
        const Opentelemetry__Proto__Common__V1__AnyValue *value =
                fake_attribute(attributes, n, key);

        ck_assert_msg(value, "no attribute %s", key);
        return value;
}

/* The checkpoints of the first context that was announced, as one text. */
static inline const char *said_checkpoints(void) {
        uint32_t number =
                fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, 0)->header.context;
        static char text[4096];

        text[0] = 0;
        for (size_t i = 0; i < fake.n_records; i++) {
                const FakeRecord *record = &fake.records[i];
                Catena__V1__Context *said;

                if (record->header.type != RECORD_CONTEXT || record->header.context != number)
                        continue;
                said = fake_context(record);
                for (size_t k = 0; k < said->n_checkpoints; k++)
                        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                                 said->checkpoints[k]->name);
                catena__v1__context__free_unpacked(said, NULL);
        }
        return text;
}
