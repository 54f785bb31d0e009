/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"

#include "daemon/base/error.h"
#include "proto/otlp.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

static int answer_parse(json_t **jsonp, const void *text, size_t size) {
        json_error_t error;
        json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

        if (!json && json_error_code(&error) == json_error_out_of_memory)
                return error_origin(-ENOMEM);
        if (!json_is_object(json)) {
                json_decref(json);
                return ANSWER_E_MALFORMED;
        }
        *jsonp = json;
        return 0;
}

static const char *answer_string(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

/* 64-bit numbers are strings, smaller ones may be numbers. 0: unset. */
static uint64_t answer_number(const json_t *object, const char *key) {
        const json_t *value = json_object_get(object, key);

        if (json_is_integer(value))
                return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
        return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10) : 0;
}

/* The string value of an OTLP attribute, or NULL. */
static const char *answer_attribute(const json_t *object, const char *key) {
        const json_t *attribute;
        size_t i;

        json_array_foreach(json_object_get(object, "attributes"), i, attribute) {
                const char *name = answer_string(attribute, "key");

                if (name && !strcmp(name, key))
                        return answer_string(json_object_get(attribute, "value"), "stringValue");
        }
        return NULL;
}

/* ---- chains ---- */

struct AnswerChain {
        TreeChain tree;
        json_t *json; /* holds the strings */
};

/* Of the last exception among the events. */
static const char *answer_exception(const json_t *span) {
        const char *exception = NULL;
        const json_t *event;
        size_t i;

        json_array_foreach(json_object_get(span, "events"), i, event) {
                const char *message = answer_attribute(event, "exception.message");

                message = message ? message : answer_attribute(event, "exception.type");
                exception = message ? message : exception;
        }
        return exception;
}

/* What the daemon says of an end that was no good one. */
static const char *answer_read_message(const json_t *span) {
        const char *message = answer_string(json_object_get(span, "status"), "message");

        if (!message || !*message)
                message = answer_string(span, "exception");
        if (!message || !*message)
                message = answer_exception(span);
        return message && *message ? message : answer_attribute(span, "catena.end");
}

static int answer_read_context(TreeContext *context, const json_t *json) {
        const json_t *causes = json_object_get(json, "causation_ids"), *element;
        const json_t *checkpoints = json_object_get(json, "checkpoints");
        size_t i;

        context->id = answer_string(json, "context_id");
        context->workflow_id = answer_string(json, "workflow_id");
        context->service = answer_string(json, "service");
        context->pid = (uint32_t)answer_number(json, "pid");
        context->start_unix_ns = answer_number(json, "start_time_unix_nano");
        context->end_unix_ns = answer_number(json, "end_time_unix_nano");
        context->causes = calloc(json_array_size(causes) + 1, sizeof *context->causes);
        context->checkpoints =
                calloc(json_array_size(checkpoints) + 1, sizeof *context->checkpoints);
        if (!context->causes || !context->checkpoints)
                return error_origin(-ENOMEM);
        json_array_foreach(causes, i, element) context->causes[context->n_causes++] =
                json_string_value(element);
        json_array_foreach(checkpoints, i, element) context->checkpoints[context->n_checkpoints++] =
                (TreeCheckpoint){
                        .name = answer_string(element, "name"),
                        .time_unix_ns = answer_number(element, "time_unix_nano"),
                };
        return 0;
}

static void answer_read_span(TreeSpan *span, const json_t *json) {
        const json_t *status = json_object_get(json, "status");

        span->id = answer_string(json, "spanId");
        span->parent_id = answer_string(json, "parentSpanId");
        span->context_id = answer_string(json, "contextId");
        span->name = answer_string(json, "name");
        span->start_unix_ns = answer_number(json, "startTimeUnixNano");
        span->end_unix_ns = answer_number(json, "endTimeUnixNano");
        span->is_error = answer_number(status, "code") == OTLP_CODE_ERROR;
        span->message = answer_read_message(json);
        span->service = answer_string(json, "service");
        span->pid = (uint32_t)answer_number(json, "pid");
}

static int answer_read_chain(TreeChain *chain, const json_t *json) {
        const json_t *contexts = json_object_get(json, "contexts"), *element;
        const json_t *spans = json_object_get(json, "spans");
        size_t i;
        int r;

        chain->id = answer_string(json, "id");
        chain->n_left_out = answer_number(json, "left_out");
        chain->contexts = calloc(json_array_size(contexts) + 1, sizeof *chain->contexts);
        chain->spans = calloc(json_array_size(spans) + 1, sizeof *chain->spans);
        if (!chain->contexts || !chain->spans)
                return error_origin(-ENOMEM);
        json_array_foreach(contexts, i, element) {
                r = answer_read_context(&chain->contexts[chain->n_contexts++], element);
                if (r)
                        return error_trace(r);
        }
        json_array_foreach(spans, i, element)
                answer_read_span(&chain->spans[chain->n_spans++], element);
        return 0;
}

int answer_chain_new(AnswerChain **answerp, const void *json, size_t size) {
        AnswerChain *answer = calloc(1, sizeof *answer);
        int r;

        if (!answer)
                return error_origin(-ENOMEM);
        r = answer_parse(&answer->json, json, size);
        if (!r)
                r = answer_read_chain(&answer->tree, json_object_get(answer->json, "chain"));
        if (r) {
                answer_chain_free(answer);
                return error_trace(r);
        }
        *answerp = answer;
        return 0;
}

AnswerChain *answer_chain_free(AnswerChain *answer) {
        if (!answer)
                return NULL;
        for (size_t i = 0; i < answer->tree.n_contexts; i++) {
                free(answer->tree.contexts[i].causes);
                free(answer->tree.contexts[i].checkpoints);
        }
        free(answer->tree.contexts);
        free(answer->tree.spans);
        json_decref(answer->json);
        free(answer);
        return NULL;
}

const TreeChain *answer_chain_tree(const AnswerChain *answer) {
        return &answer->tree;
}

size_t answer_chain_open(const AnswerChain *answer) {
        size_t n = 0;

        for (size_t i = 0; i < answer->tree.n_contexts; i++)
                n += !answer->tree.contexts[i].end_unix_ns;
        for (size_t i = 0; i < answer->tree.n_spans; i++)
                n += !answer->tree.spans[i].end_unix_ns;
        return n;
}

/* ---- lists: one JSON object a line ---- */

struct AnswerList {
        json_t **json; /* [n] */
        size_t n;
};

static int answer_list_add(AnswerList *list, const char *text, size_t size) {
        json_t **json = realloc(list->json, (list->n + 1) * sizeof *json);
        int r;

        if (!json)
                return error_origin(-ENOMEM);
        list->json = json;
        r = answer_parse(&json[list->n], text, size);
        if (r)
                return error_trace(r);
        list->n++;
        return 0;
}

int answer_list_new(AnswerList **listp, const void *json, size_t size) {
        AnswerList *list = calloc(1, sizeof *list);
        const char *text = json, *end = text + size;
        int r = 0;

        if (!list)
                return error_origin(-ENOMEM);
        while (!r && text < end) {
                const char *newline = memchr(text, '\n', (size_t)(end - text));
                const char *stop = newline ? newline : end;

                r = answer_list_add(list, text, (size_t)(stop - text));
                text = stop + 1;
        }
        if (r) {
                answer_list_free(list);
                return error_trace(r);
        }
        *listp = list;
        return 0;
}

AnswerList *answer_list_free(AnswerList *list) {
        if (!list)
                return NULL;
        for (size_t i = 0; i < list->n; i++)
                json_decref(list->json[i]);
        free(list->json);
        free(list);
        return NULL;
}

size_t answer_list_size(const AnswerList *list) {
        return list->n;
}

void answer_list_line(const AnswerList *list, size_t i, AnswerLine *line) {
        const json_t *json = list->json[i];

        *line = (AnswerLine){
                .id = answer_string(json, "id"),
                .workflow_id = answer_string(json, "workflow_id"),
                .service = answer_string(json, "service"),
                .state = answer_string(json, "state"),
                .start_unix_ns = answer_number(json, "start_time_unix_nano"),
                .duration_ns = answer_number(json, "duration_nano"),
                .n_contexts = answer_number(json, "contexts"),
                .n_spans = answer_number(json, "spans"),
                .n_errors = answer_number(json, "errors"),
        };
}

void answer_list_span(const AnswerList *list, size_t i, TreeSpan *span) {
        answer_read_span(span, list->json[i]);
}

/* ---- status ---- */

static void answer_add_count(AnswerCounts *counts, const char *name, uint64_t n) {
        size_t i = 0;

        counts->sum += n;
        while (i < counts->n_counts && strcmp(counts->counts[i].name, name))
                i++;
        if (!n || i == ANSWER_COUNTS_MAX)
                return;
        counts->counts[i].name = name;
        counts->counts[i].n += n;
        if (i == counts->n_counts)
                counts->n_counts++;
}

static void answer_add_counts(AnswerCounts *counts, json_t *json) {
        const char *name;
        json_t *value;

        json_object_foreach(json, name, value)
                answer_add_count(counts, name, answer_number(json, name));
}

static void answer_read_sums(AnswerSums *sums, const json_t *json) {
        sums->n_accepted = answer_number(json, "accepted");
        sums->n_finished = answer_number(json, "finished");
        sums->n_open = answer_number(json, "open");
        sums->n_in_memory = answer_number(json, "undecided") + answer_number(json, "unsealed") +
                            answer_number(json, "sealed");
        sums->n_damaged = answer_number(json, "damaged");
        sums->n_unsampled = answer_number(json, "unsampled");
        sums->n_without_exporter = answer_number(json, "no_exporter");
}

/* What became of one signal at the exporter. */
static void answer_add_outcome(AnswerExporter *exporter, const json_t *signal) {
        const json_t *element;
        size_t i;

        json_array_foreach(json_object_get(signal, "exporters"), i, element) {
                const char *name = answer_string(element, "name");

                if (!name || !exporter->name || strcmp(name, exporter->name))
                        continue;
                exporter->n_delivered += answer_number(element, "delivered");
                exporter->n_in_memory += answer_number(element, "in_memory");
                answer_add_counts(&exporter->dropped, json_object_get(element, "dropped"));
        }
}

static int answer_read_exporters(AnswerStatus *status) {
        const json_t *sums = json_object_get(status->json, "conservation"), *element;
        const json_t *exporters = json_object_get(status->json, "exporters");
        size_t i;

        status->exporters = calloc(json_array_size(exporters) + 1, sizeof *status->exporters);
        if (!status->exporters)
                return error_origin(-ENOMEM);
        json_array_foreach(exporters, i, element) {
                AnswerExporter *exporter = &status->exporters[status->n_exporters++];

                exporter->name = answer_string(element, "name");
                exporter->endpoint = answer_string(element, "endpoint");
                exporter->state = answer_string(element, "state");
                exporter->last_error = answer_string(element, "last_error");
                exporter->is_misconfigured =
                        json_is_true(json_object_get(element, "misconfigured"));
                answer_add_outcome(exporter, json_object_get(sums, "traces"));
                answer_add_outcome(exporter, json_object_get(sums, "logs"));
        }
        return 0;
}

static int answer_read_clients(AnswerStatus *status) {
        const json_t *clients = json_object_get(status->json, "clients"), *element;
        size_t i;

        status->clients = calloc(json_array_size(clients) + 1, sizeof *status->clients);
        if (!status->clients)
                return error_origin(-ENOMEM);
        json_array_foreach(clients, i, element) status->clients[status->n_clients++] =
                (AnswerClient){
                        .service = answer_string(element, "service"),
                        .state = answer_string(element, "state"),
                        .pid = answer_number(element, "pid"),
                        .uid = answer_number(element, "uid"),
                        .n_accepted = answer_number(element, "accepted"),
                        .n_refused = answer_number(element, "refused"),
                        .n_lost = answer_number(element, "lost"),
                        .n_open = answer_number(element, "open"),
                };
        return 0;
}

static void answer_read_totals(AnswerStatus *status) {
        const json_t *sums = json_object_get(status->json, "conservation");
        const json_t *journal = json_object_get(status->json, "journal");
        const json_t *counters = json_object_get(status->json, "counters");
        const json_t *tail = json_object_get(status->json, "tail");

        status->n_tail_readers = answer_number(tail, "readers");
        status->n_tail_cut_off = answer_number(tail, "cut_off");
        status->version = answer_string(status->json, "version");
        status->pid = answer_number(status->json, "pid");
        status->uptime_ns = answer_number(status->json, "uptime_nano");
        status->holds = !json_is_false(json_object_get(sums, "holds"));
        answer_read_sums(&status->spans, json_object_get(sums, "traces"));
        answer_read_sums(&status->logs, json_object_get(sums, "logs"));
        answer_add_counts(&status->refused, json_object_get(status->json, "refused"));
        status->n_lost =
                answer_number(counters, "lost_starts") + answer_number(counters, "lost_logs");
        status->journal_used_bytes = answer_number(journal, "used_bytes");
        status->journal_max_bytes = answer_number(journal, "max_bytes");
        status->journal_lost_bytes =
                answer_number(json_object_get(journal, "recovered"), "lost_bytes");
        status->n_chains = answer_number(json_object_get(status->json, "chains"), "chains");
}

int answer_status_init(AnswerStatus *status, const void *json, size_t size) {
        AnswerStatus answer = {0};
        int r;

        r = answer_parse(&answer.json, json, size);
        if (r)
                return error_trace(r);
        answer_read_totals(&answer);
        r = answer_read_exporters(&answer);
        if (!r)
                r = answer_read_clients(&answer);
        if (r) {
                answer_status_deinit(&answer);
                return error_trace(r);
        }
        *status = answer;
        return 0;
}

void answer_status_deinit(AnswerStatus *status) {
        free(status->exporters);
        free(status->clients);
        json_decref(status->json);
        *status = (AnswerStatus){0};
}

/* ---- the rest ---- */

int answer_read_flush(bool *reachedp, const void *json, size_t size) {
        json_t *answer;
        int r;

        r = answer_parse(&answer, json, size);
        if (r)
                return error_trace(r);
        *reachedp = json_is_true(json_object_get(answer, "reached"));
        json_decref(answer);
        return 0;
}

void answer_read_error(char text[ANSWER_TEXT_MAX], const void *json, size_t size) {
        json_t *answer = json_loadb(json, size, 0, NULL);
        const char *error = answer_string(answer, "error");

        snprintf(text, ANSWER_TEXT_MAX, "%s", error ? error : "");
        json_decref(answer);
}
