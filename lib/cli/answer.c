/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_STATUS_ERROR = 2 };

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
        span->is_error = answer_number(status, "code") == ANSWER_STATUS_ERROR;
        span->message = answer_string(status, "message");
        if (!span->message || !*span->message)
                span->message = answer_attribute(json, "catena.end");
}

static int answer_read_chain(TreeChain *chain, const json_t *json) {
        const json_t *contexts = json_object_get(json, "contexts"), *element;
        const json_t *spans = json_object_get(json, "spans");
        size_t i;
        int r;

        chain->id = answer_string(json, "id");
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
