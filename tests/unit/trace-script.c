/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/trace-script.h"

#include "otlp/logs_service.pb-c.h"
#include "otlp/trace_service.pb-c.h"

#include <check.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef Opentelemetry__Proto__Trace__V1__Span OtlpSpan;
typedef Opentelemetry__Proto__Common__V1__KeyValue OtlpKeyValue;
typedef Opentelemetry__Proto__Common__V1__AnyValue OtlpAnyValue;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest OtlpTraceRequest;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest OtlpLogsRequest;

static const uint64_t SECOND = 1000000000;

void script_init(Script *script) {
        *script = (Script){
                .limits = {128, 128, 128, UINT32_MAX, 128, 128, 128, UINT32_MAX},
                .max_bytes = 16 * 1024 * 1024,
                .uid_share_bytes = SIZE_MAX,
                .exporters = {"default"},
                .n_exporters = 1,
                .now = 1700000000 * SECOND,
        };
        strcpy(script->path, "/dev/shm/test-trace-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(script->path));
}

static size_t script_checkpoint(void *user, uint8_t *data, size_t size) {
        Script *script = user;

        return script->recorder ? recorder_checkpoint(script->recorder, data, size) : 0;
}

void script_open(Script *script) {
        const uint32_t signals[4] = {3, 3, 3, 3};
        JournalOptions journal = {.path = script->path,
                                  .max_bytes = script->max_bytes,
                                  .key = "12345678",
                                  .checkpoint = script_checkpoint,
                                  .user = script};
        RecorderOptions options = {.limits = script->limits,
                                   .uid_share_bytes = script->uid_share_bytes,
                                   .seed = 42,
                                   .batch_delay_ns = SECOND,
                                   .batch_spans_max = 1000,
                                   .batch_bytes_max = 1024 * 1024,
                                   .sampling = script->sampling};

        ck_assert_int_eq(journal_open(&script->journal, &journal, &script->report), 0);
        ck_assert_int_eq(chains_new(&script->chains, CHAINS_MAX_BYTES, 1), 0);
        options.journal = script->journal;
        options.chains = script->chains;
        options.metrics = script->metrics;
        ck_assert_int_eq(recorder_new(&script->recorder, &options), 0);
        ck_assert_int_eq(recorder_recover(script->recorder), 0);
        ck_assert_int_eq(recorder_set_exporters(script->recorder, script->exporters, signals,
                                                script->n_exporters, script->now),
                         0);
}

void script_crash(Script *script) {
        script->recorder = recorder_free(script->recorder);
        script->chains = chains_free(script->chains);
        script->journal = journal_free(script->journal);
}

void script_forget(Script *script) {
        for (size_t i = 0; i < script->n_spans; i++)
                free(script->spans[i]);
        free(script->spans);
        script->spans = NULL;
        script->n_spans = 0;
}

void script_deinit(Script *script) {
        struct dirent *entry;
        DIR *dir;

        script_crash(script);
        dir = opendir(script->path);
        ck_assert_ptr_nonnull(dir);
        while ((entry = readdir(dir))) {
                char path[400];
                snprintf(path, sizeof path, "%s/%s", script->path, entry->d_name);
                unlink(path);
        }
        closedir(dir);
        rmdir(script->path);
        script_forget(script);
        buffer_deinit(&script->records);
}

/* ---- the client ---- */

Session *script_session(Script *script, unsigned number, const char *service) {
        Opentelemetry__Proto__Resource__V1__Resource resource =
                OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
        OtlpKeyValue pair = OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT, *pairs = &pair;
        OtlpAnyValue value = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
        Catena__V1__Hello hello = CATENA__V1__HELLO__INIT;
        SessionCredentials credentials = {.pid = 1000 + number,
                                          .uid = script->overflows ? 65534 : number % 3};
        uint8_t token[RECORD_TOKEN_SIZE] = {(uint8_t)number, (uint8_t)(number >> 8), 1};
        uint8_t body[16 * 1024];
        Session *session;
        size_t size;
        int r;

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)service;
        pair.key = (char *)"service.name";
        pair.value = &value;
        resource.n_attributes = 1;
        resource.attributes = &pairs;
        hello.version = RECORD_VERSION;
        hello.resource = &resource;
        hello.limits = script->hello_limits;
        size = catena__v1__hello__pack(&hello, body);
        r = recorder_session_begin(script->recorder, &session, &credentials, token, body, size,
                                   script->now++);
        if (r == RECORDER_E_FULL)
                return NULL;
        ck_assert_int_eq(r, 0);
        return session;
}

void script_say_raw(Script *script, uint16_t type, uint16_t flags, uint32_t context, uint64_t id,
                    const void *body, size_t size) {
        RecordHeader header = {.size = (uint32_t)(RECORD_HEADER_SIZE + size),
                               .type = type,
                               .flags = flags,
                               .context = context,
                               .id = id};
        uint8_t *room;

        ck_assert_int_eq(buffer_reserve(&script->records, &room, record_stride(header.size)), 0);
        memset(room, 0, record_stride(header.size));
        record_header_write(room, &header);
        if (size)
                memcpy(room + RECORD_HEADER_SIZE, body, size);
        script->records.size += record_stride(header.size);
}

void script_say(Script *script, uint16_t type, uint16_t flags, uint32_t context, uint64_t id,
                const void *message) {
        size_t size = protobuf_c_message_get_packed_size(message);
        uint8_t *body = malloc(size + 1);

        ck_assert_ptr_nonnull(body);
        protobuf_c_message_pack(message, body);
        script_say_raw(script, type, flags, context, id, body, size);
        free(body);
}

int script_take(Script *script, Session *session, uint16_t flags) {
        JournalBlock block = {0};
        int r;

        r = recorder_reserve(script->recorder, &block, script->records.size);
        if (r)
                return r;
        if (script->records.size)
                memcpy(block.records, script->records.data, script->records.size);
        block.size = script->records.size;
        block.session = session->number;
        block.source = JOURNAL_SOURCE_STREAM;
        block.flags = flags;
        block.time_unix_ns = script->now++;
        script->records.size = 0;
        ck_assert_int_eq(recorder_take(script->recorder, session, &block), 0);
        return 0;
}

void script_trace_id(const Script *script, uint8_t trace_id[16], uint64_t span_id) {
        uint64_t id = script->trace ? script->trace : span_id;

        memset(trace_id, 7, 16);
        memcpy(trace_id, &id, sizeof id);
        for (unsigned i = 0; script->randomness && i < 8; i++)
                trace_id[15 - i] = (uint8_t)(script->randomness >> 8 * i);
}

void script_span_start(Script *script, uint32_t context, uint64_t id, const char *name) {
        OtlpSpan span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
        uint8_t trace_id[16];

        script_trace_id(script, trace_id, id);
        span.trace_id = (ProtobufCBinaryData){sizeof trace_id, trace_id};
        span.span_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)&id};
        span.name = (char *)name;
        span.start_time_unix_nano = script->now;
        span.flags = script->flags ? *script->flags : 0;
        script_say(script, RECORD_SPAN, RECORD_START | script->span_flags, context, id, &span);
}

void script_span_attribute(Script *script, uint64_t id, const char *key, const char *text) {
        OtlpSpan span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
        OtlpKeyValue pair = OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT, *pairs = &pair;
        OtlpAnyValue value = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)text;
        pair.key = (char *)key;
        pair.value = &value;
        span.n_attributes = 1;
        span.attributes = &pairs;
        script_say(script, RECORD_SPAN, script->span_flags, 0, id, &span);
}

void script_span_error(Script *script, uint64_t id) {
        OtlpSpan span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
        Opentelemetry__Proto__Trace__V1__Status status =
                OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;

        status.code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
        span.status = &status;
        script_say(script, RECORD_SPAN, script->span_flags, 0, id, &span);
}

void script_span_end(Script *script, uint64_t id) {
        OtlpSpan span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;

        span.end_time_unix_nano = script->now + 5;
        script_say(script, RECORD_SPAN, RECORD_END | script->span_flags, 0, id, &span);
}

void script_context(Script *script, uint32_t number, const char *id, const char *correlation,
                    const char *cause) {
        Catena__V1__Context context = CATENA__V1__CONTEXT__INIT;
        char *causes[1] = {(char *)cause};

        context.context_id = (char *)id;
        context.correlation_id = (char *)correlation;
        context.causation_ids = causes;
        context.n_causation_ids = cause ? 1 : 0;
        context.start_time_unix_nano = script->now;
        script_say(script, RECORD_CONTEXT, RECORD_START, number, 0, &context);
}

void script_context_end(Script *script, uint32_t number) {
        script_say_raw(script, RECORD_CONTEXT, RECORD_END, number, 0, NULL, 0);
}

void script_log(Script *script, const char *text) {
        Opentelemetry__Proto__Logs__V1__LogRecord log =
                OPENTELEMETRY__PROTO__LOGS__V1__LOG_RECORD__INIT;

        log.time_unix_nano = script->now;
        log.severity_text = (char *)text;
        script_say(script, RECORD_LOG, 0, 0, 0, &log);
}

/* ---- the exporter ---- */

static void script_keep_span(Script *script, const char *service, const OtlpSpan *span) {
        uint64_t id;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        ck_assert_ptr_nonnull(out);
        ck_assert_uint_eq(span->span_id.len, sizeof id);
        ck_assert_uint_eq(span->trace_id.len, 16);
        memcpy(&id, span->span_id.data, sizeof id);
        fprintf(out, "%" PRIx64 ": %s %.40s status=%d", id, service, span->name,
                span->status ? (int)span->status->code : 0);
        for (size_t i = 0; i < span->n_attributes; i++) {
                const OtlpAnyValue *value = span->attributes[i]->value;
                fprintf(out, " %s=", span->attributes[i]->key);
                if (value->value_case ==
                    OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE)
                        fprintf(out, "%.40s", value->string_value);
        }
        for (size_t i = 0; i < span->n_events; i++)
                fprintf(out, " [%s]", span->events[i]->name);
        if (span->dropped_attributes_count)
                fprintf(out, " dropped=%u", span->dropped_attributes_count);
        if (!script->any_times)
                ck_assert_uint_ge(span->end_time_unix_nano, span->start_time_unix_nano);
        fclose(out);
        script->spans = realloc(script->spans, (script->n_spans + 1) * sizeof *script->spans);
        ck_assert_ptr_nonnull(script->spans);
        script->spans[script->n_spans++] = text;
}

static size_t script_decode_traces(Script *script, const Buffer *body) {
        OtlpTraceRequest *request;
        size_t n = 0;

        request = opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
                NULL, body->size, body->data);
        ck_assert_ptr_nonnull(request);
        for (size_t i = 0; i < request->n_resource_spans; i++) {
                Opentelemetry__Proto__Trace__V1__ResourceSpans *resource =
                        request->resource_spans[i];
                const char *service = resource->resource->attributes[0]->value->string_value;
                for (size_t j = 0; j < resource->n_scope_spans; j++)
                        for (size_t k = 0; k < resource->scope_spans[j]->n_spans; k++, n++)
                                script_keep_span(script, service,
                                                 resource->scope_spans[j]->spans[k]);
        }
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(
                request, NULL);
        return n;
}

static size_t script_keep_logs(Script *script,
                               const Opentelemetry__Proto__Logs__V1__ScopeLogs *scope) {
        for (size_t i = 0; i < scope->n_log_records; i++)
                script->n_log_attributes_dropped += scope->log_records[i]->dropped_attributes_count;
        return scope->n_log_records;
}

static size_t script_decode_logs(Script *script, const Buffer *body) {
        OtlpLogsRequest *request;
        size_t n = 0;

        request = opentelemetry__proto__collector__logs__v1__export_logs_service_request__unpack(
                NULL, body->size, body->data);
        ck_assert_ptr_nonnull(request);
        for (size_t i = 0; i < request->n_resource_logs; i++)
                for (size_t j = 0; j < request->resource_logs[i]->n_scope_logs; j++)
                        n += script_keep_logs(script, request->resource_logs[i]->scope_logs[j]);
        opentelemetry__proto__collector__logs__v1__export_logs_service_request__free_unpacked(
                request, NULL);
        script->n_logs += n;
        return n;
}

static void script_deliver_batch(Script *script, unsigned exporter, Batch *batch) {
        uint64_t n_refused = script->refuses_some ? batch->n_objects / 3 : 0;
        BatchOutcome outcome = {.n_delivered = batch->n_objects - n_refused,
                                .n_dropped[BATCH_DROP_PARTIAL] = n_refused};
        size_t n_objects, n_decoded, n_total = 0;
        BatchCursor cursor = {0};
        Buffer body = BUFFER_NULL;
        BatchEncoder *encoder;

        ck_assert_int_eq(batch_encoder_new(&encoder), 0);
        while (!cursor.done) {
                body.size = 0;
                ck_assert_int_eq(batch_encode(encoder, batch, &cursor, &body, &n_objects), 0);
                ck_assert_uint_le(body.size, BATCH_REQUEST_MAX);
                n_decoded = batch->signal == BATCH_TRACES ? script_decode_traces(script, &body)
                                                          : script_decode_logs(script, &body);
                ck_assert_uint_eq(n_decoded, n_objects);
                n_total += n_objects;
        }
        ck_assert_uint_eq(n_total, batch->n_objects);
        batch_encoder_free(encoder);
        buffer_deinit(&body);
        ck_assert_int_eq(recorder_done(script->recorder, &batch, exporter, &outcome, script->now++),
                         0);
}

void script_deliver_to(Script *script, const char *name) {
        unsigned exporter = recorder_exporter_index(script->recorder, name);
        Batch *batch;

        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                while ((batch = recorder_next_batch(script->recorder, exporter, (BatchSignal)kind,
                                                    NULL)))
                        script_deliver_batch(script, exporter, batch);
}

void script_deliver(Script *script) {
        ck_assert_int_eq(recorder_seal(script->recorder, script->now++, true), 0);
        for (size_t i = 0; i < script->n_exporters; i++)
                script_deliver_to(script, script->exporters[i]);
}

const char *script_exported(const Script *script, uint64_t id) {
        const char *found = NULL;
        char prefix[32];

        snprintf(prefix, sizeof prefix, "%" PRIx64 ": ", id);
        for (size_t i = 0; i < script->n_spans; i++) {
                if (strncmp(script->spans[i], prefix, strlen(prefix)))
                        continue;
                ck_assert_ptr_null(found);
                found = script->spans[i] + strlen(prefix);
        }
        return found;
}

void script_assert_conservation(Script *script) {
        RecorderView view;

        recorder_view(script->recorder, &view);
        ck_assert_uint_eq(view.counters.spans_accepted,
                          view.counters.spans_finished + view.counters.spans_damaged +
                                  view.counters.spans_unsampled + view.n_spans_open +
                                  view.n_spans_undecided + view.n_unsealed[BATCH_TRACES] +
                                  view.n_sealed[BATCH_TRACES]);
        ck_assert_uint_eq(view.counters.logs_accepted,
                          view.counters.logs_finished + view.counters.logs_damaged +
                                  view.n_unsealed[BATCH_LOGS] + view.n_sealed[BATCH_LOGS]);
        for (unsigned i = 0; i < view.n_exporters; i++)
                for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++) {
                        uint64_t sum = view.exporters[i].of[kind].n_delivered;
                        const Batch *batch = NULL;

                        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                                sum += view.exporters[i].of[kind].n_dropped[drop];
                        while ((batch = recorder_next_batch(script->recorder, i, (BatchSignal)kind,
                                                            batch)))
                                sum += batch->n_objects;
                        ck_assert_uint_eq(sum, view.exporters[i].of[kind].n_owed);
                }
}
