/* SPDX-License-Identifier: Apache-2.0 */

/* Text that is not UTF-8, in every string the API takes: it arrives mended, and nothing is lost. */

#include "lib/catena.h"
#include "proto/utf8.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { FLUSH_MS = HARNESS_PATIENCE_S * 1000, SPANS = 5, LOGS = 6 };

#define BAD    "caf\xe9\xff"
#define MENDED "caf\xef\xbf\xbd\xef\xbf\xbd"

static Harness harness;

static const catena_attribute list[] = {{.key = BAD, .value.string = BAD}};
static const catena_attribute attributes[] = {
        {.key = BAD " string", .value.string = BAD},
        {.key = BAD " string_n",
         .type = CATENA_TYPE_STRING_N,
         .value.string = BAD,
         .size = sizeof BAD - 1},
        {.key = BAD " array", .type = CATENA_TYPE_ARRAY, .value.list = list, .size = 1},
        {.key = BAD " map", .type = CATENA_TYPE_MAP, .value.list = list, .size = 1},
};
enum { N = sizeof attributes / sizeof *attributes };

/* ---- what is said ---- */

static int decline(catena_context *context, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        (void)data;
        catena_context_fail(context, BAD, BAD);
        return 1;
}

static void say_primitive(catena_context *context) {
        catena_primitive *primitive = catena_primitive_new(
                &(catena_primitive_options){.name = BAD, .type = BAD, .run = decline});

        ck_assert_int_eq(catena_execute(primitive, context, NULL, NULL), 1);
        catena_primitive_unref(primitive);
}

static void say_spans(catena_context *context) {
        catena_span span = catena_span_start_with(
                context, BAD,
                &(catena_span_options){.scope = catena_scope_get(BAD, BAD, BAD),
                                       .attributes = attributes,
                                       .n_attributes = N});

        catena_span_set(span, attributes, N);
        catena_span_set_string(span, BAD, BAD);
        catena_span_set_int(span, BAD " int", 1);
        catena_span_set_double(span, BAD " double", 1);
        catena_span_set_bool(span, BAD " bool", true);
        catena_span_event(span, BAD, attributes, N);
        catena_span_event_at(span, BAD, 1, attributes, N);
        catena_span_link(span, span, attributes, N);
        catena_span_error(span, BAD, BAD, BAD);
        catena_span_set_status(span, CATENA_STATUS_ERROR, BAD);
        catena_span_end(catena_span_child(span, BAD, CATENA_KIND_CLIENT));
        catena_span_end(catena_span_start(context, BAD, CATENA_KIND_CLIENT));
        catena_span_log(span, CATENA_SEVERITY_INFO, BAD, attributes, N);
        catena_span_end(span);
        span = catena_span_start(context, "to be renamed", CATENA_KIND_INTERNAL);
        catena_span_set_name(span, BAD);
        catena_span_end(span);
}

/* Tags and so on: what is read is mended, too. A key would become another's. */
static void say_lists(catena_context *context) {
        ck_assert(catena_context_set_tag(context, "key", BAD));
        ck_assert(catena_context_set_metadata(context, "key", BAD));
        ck_assert(catena_context_set_state(context, "key", BAD));
        ck_assert(catena_context_set_baggage(context, "key", BAD));
        ck_assert(!catena_context_set_tag(context, BAD, "value"));
        ck_assert(!catena_context_set_metadata(context, BAD, "value"));
        ck_assert(!catena_context_set_state(context, BAD, "value"));
        ck_assert(!catena_context_set_baggage(context, BAD, "value"));
        ck_assert_pstr_eq(catena_context_get_tag(context, "key"), MENDED);
        ck_assert_pstr_eq(catena_context_get_metadata(context, "key"), MENDED);
        ck_assert_pstr_eq(catena_context_get_state(context, "key"), MENDED);
        ck_assert_pstr_eq(catena_context_get_baggage(context, "key"), MENDED);
}

static void say_all(void) {
        const char *const causes[] = {BAD, "good"};
        catena_context *context, *chosen, *given;
        catena_stats stats;

        setenv("OTEL_RESOURCE_ATTRIBUTES", "from.environment=" BAD, 1);
        ck_assert(catena_start(&(catena_options){
                .service_name = BAD,
                .socket = harness.socket,
                .attributes = attributes,
                .n_attributes = N,
        }));
        context = catena_context_new(BAD, BAD);
        say_lists(context);
        catena_context_checkpoint(context, BAD);
        say_spans(context);
        say_primitive(context);
        catena_log(context, CATENA_SEVERITY_INFO, BAD, attributes, N);
        catena_logf(context, CATENA_SEVERITY_INFO, "%s", BAD);
        /* Ids of a chain are refused: mended, they would be another's. */
        catena_stats_get(&stats, sizeof stats);
        chosen = catena_context_new_with(&(catena_context_options){
                .workflow_id = BAD,
                .session_id = BAD,
                .correlation_id = BAD,
                .causes = causes,
                .n_causes = 2,
        });
        ck_assert_str_eq(catena_context_correlation_id(chosen), catena_context_id(chosen));
        ck_assert_str_eq(catena_context_causation_id(chosen), "good");
        given = catena_context_extract_strings(BAD, BAD, BAD "," BAD "=" BAD, 0);
        ck_assert_ptr_nonnull(given);
        ck_assert_ptr_null(catena_context_causation_id(given));
        catena_log(chosen, CATENA_SEVERITY_INFO, BAD, NULL, 0);
        catena_log(given, CATENA_SEVERITY_INFO, BAD, NULL, 0);
        ck_assert(!catena_span_recording(catena_span_detached(BAD)));
        catena_context_free(given);
        catena_context_free(chosen);
        catena_context_free(context);
        ck_assert(catena_flush(FLUSH_MS));
}

/* ---- what arrives ---- */

static void assert_text(const char *text) {
        ck_assert(utf8_is_valid(text, strlen(text)));
        ck_assert_ptr_null(strchr(text, '\xe9'));
}

static void assert_attributes(OtlpKeyValue *const *all, size_t n) {
        for (size_t i = 0; i < n; i++) {
                assert_text(all[i]->key);
                if (backend_string(all, n, all[i]->key))
                        assert_text(backend_string(all, n, all[i]->key));
        }
}

START_TEST(every_text_arrives_mended) {
        const BackendSpan *taken;
        const BackendLog *log;
        const OtlpEvent *exception;
        size_t n_spans, n_logs;

        harness_open(&harness, NULL);
        say_all();
        harness_await_exactly(&harness, "conservation.traces.open", 0);
        harness_await_exactly(&harness, "conservation.traces.finished", SPANS);
        harness_await_exactly(&harness, "conservation.logs.finished", LOGS);
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_malformed"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        for (n_spans = 0; (taken = backend_span(harness.backend, n_spans)); n_spans++) {
                const OtlpSpan *span = taken->span;

                assert_text(span->name);
                assert_attributes(span->attributes, span->n_attributes);
                assert_attributes(taken->resource->attributes, taken->resource->n_attributes);
                ck_assert_pstr_eq(backend_string(span->attributes, span->n_attributes,
                                                 "workflow.id"),
                                  MENDED);
                for (size_t i = 0; i < span->n_events; i++)
                        assert_attributes(span->events[i]->attributes,
                                          span->events[i]->n_attributes);
        }
        for (n_logs = 0; (log = backend_log(harness.backend, n_logs)); n_logs++)
                assert_attributes(log->log->attributes, log->log->n_attributes);
        taken = backend_find(harness.backend, MENDED);
        ck_assert_ptr_nonnull(taken);
        ck_assert_ptr_nonnull(backend_find(harness.backend, MENDED ".execute"));
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, MENDED));
        ck_assert_ptr_nonnull(backend_find_log(harness.backend, MENDED " failed"));
        ck_assert_ptr_null(backend_find(harness.backend, "to be renamed"));
        taken = backend_find(harness.backend, MENDED ".execute");
        exception = backend_event(taken->span, "exception");
        ck_assert_str_eq(backend_string(exception->attributes, exception->n_attributes,
                                        "exception.message"),
                         MENDED);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("text", every_text_arrives_mended)
