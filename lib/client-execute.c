/* SPDX-License-Identifier: Apache-2.0 */

/* What a primitive tells of itself while it works. */

#include "lib/client-clock.h"
#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-primitive.h"
#include "lib/client-process.h"
#include "lib/client-span.h"
#include "lib/client-text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
        EXECUTE_TEXT_MAX = CONTEXT_TEXT_MAX + 16, /* a name and what is said of it */
        FAILURE_MESSAGE_MAX = 1024,
};

/* ---- failures ---- */

/* The context's, for its owner; NULL: it is gone. Asking is no misuse. */
static ContextFailure *failure_of(const catena_context *context) {
        SlotHandle handle;
        Slot *slot = catena__slot_of(&handle, context);
        ContextBody *body = slot ? atomic_load(&slot->body) : NULL;

        return body ? &body->failure : NULL;
}

/* Whether an error that is returned now is the one that was told. */
static bool failure_is(const ContextFailure *failure, int result) {
        return (failure->type || failure->message) &&
               (!failure->result || failure->result == result);
}

void catena_context_fail(catena_context *context, const char *type, const char *message) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);

        if (!body || !catena__process_on())
                return;
        catena__failure_free(&body->failure);
        body->failure.type = type ? catena__text_copy(type, CONTEXT_TEXT_MAX) : NULL;
        body->failure.message = message ? catena__text_copy(message, FAILURE_MESSAGE_MAX) : NULL;
}

void catena__failure_inherit(catena_context *parent, catena_context *child, int result) {
        const ContextFailure *failure = failure_of(child);

        if (failure && failure_is(failure, result))
                catena_context_fail(parent, failure->type, failure->message);
}

/* ---- executions ---- */

typedef struct Execution {
        const catena_primitive *primitive;
        catena_span span;
        uint64_t start_ns;
        ContextFailure before; /* what the context said of a failure before this */
} Execution;

static void execution_begin(Execution *execution, const catena_primitive *primitive,
                            catena_context *context) {
        const catena_attribute attributes[] = {
                {.key = "primitive.name", .value.string = primitive->name},
                {.key = "primitive.type", .value.string = primitive->type},
        };
        char name[EXECUTE_TEXT_MAX];
        ContextFailure *failure;

        *execution = (Execution){.primitive = primitive};
        snprintf(name, sizeof name, "%s.execute", primitive->name);
        execution->span = catena_span_start_with(
                context, name, &(catena_span_options){.attributes = attributes, .n_attributes = 2});
        failure = failure_of(context);
        if (failure && catena__span_is(&execution->span)) {
                execution->before = *failure;
                *failure = (ContextFailure){0};
        }
        execution->start_ns = catena__clock_ns();
}

static void execution_log(const Execution *execution, double duration_ms,
                          const ContextFailure *failure) {
        const char *name = execution->primitive->name;
        catena_attribute attributes[] = {
                {.key = "primitive", .value.string = name},
                {.key = "duration_ms", .type = CATENA_TYPE_DOUBLE, .value.real = duration_ms},
                {.key = "trace_id"},
                {.key = "correlation_id"},
                {.key = "error_type"},
                {.key = "error_message"},
        };
        char text[EXECUTE_TEXT_MAX], trace[ID_TRACE_HEX + 1];
        ContextBody *body = catena__slot_hold(execution->span.context);

        id_to_hex(trace, execution->span.trace_id, ID_TRACE_SIZE);
        attributes[2].value.string = trace;
        attributes[3].value.string = body ? body->correlation_id : "";
        if (failure) {
                attributes[4].value.string = failure->type;
                attributes[5].value.string = failure->message;
        }
        snprintf(text, sizeof text, "%s %s", name, failure ? "failed" : "completed");
        catena_span_log(execution->span, failure ? CATENA_SEVERITY_ERROR : CATENA_SEVERITY_INFO,
                        text, attributes, failure ? 6 : 4);
        if (body)
                catena__slot_release();
}

/* `failure` NULL: it succeeded. */
static void execution_tell(const Execution *execution, const ContextFailure *failure) {
        double duration_ms = (double)(catena__clock_ns() - execution->start_ns) / 1e6;
        catena_attribute attributes[] = {
                {
                        .key = "primitive.duration_ms",
                        .type = CATENA_TYPE_DOUBLE,
                        .value.real = duration_ms,
                },
                {.key = "primitive.status", .value.string = failure ? "error" : "success"},
                {.key = "error.type"},
                {.key = "error.message"},
        };

        if (failure) {
                attributes[2].value.string = failure->type;
                attributes[3].value.string = failure->message;
        }
        catena_span_set(execution->span, attributes, failure ? 4 : 2);
        if (failure)
                catena_span_error(execution->span, failure->type, failure->message, NULL);
        execution_log(execution, duration_ms, failure);
        catena_span_end(execution->span);
}

/* What to say of an error, whatever was told of it. */
static void execution_tell_failure(const Execution *execution, const ContextFailure *told,
                                   int result) {
        ContextFailure failure = {.type = (char[]){"error"}};
        char message[32];

        snprintf(message, sizeof message, "returned %d", result);
        failure.message = message;
        if (told && failure_is(told, result)) {
                failure.type = told->type ? told->type : failure.type;
                failure.message = told->message ? told->message : message;
        }
        execution_tell(execution, &failure);
}

static void execution_end(Execution *execution, const catena_context *context, int result) {
        ContextFailure *failure = failure_of(context);

        if (!result)
                execution_tell(execution, NULL);
        else
                execution_tell_failure(execution, failure, result);
        if (failure && !result) {
                /* Whatever failed was coped with, and what was told before stands. */
                catena__failure_free(failure);
                *failure = execution->before;
                return;
        }
        if (failure) {
                if (!failure_is(failure, result))
                        catena__failure_free(failure);
                failure->result = result;
        }
        catena__failure_free(&execution->before);
}

void catena__primitive_log(catena_context *context, uint32_t severity, const char *text,
                           catena_attribute *attributes, size_t n) {
        const char *workflow_id = catena_context_workflow_id(context);

        if (workflow_id)
                attributes[n++] = (catena_attribute){
                        .key = "workflow_id",
                        .value.string = workflow_id,
                };
        catena_log(context, severity, text, attributes, n);
}

int catena__primitive_execute(catena_primitive *primitive, catena_context *context, void *input,
                              PrimitiveOutput *outputp) {
        catena_context *before;
        Execution execution;
        int r, saved;

        execution_begin(&execution, primitive, context);
        before = catena_context_attach(context);
        r = primitive->work(primitive, context, input, outputp);
        saved = errno;
        catena_context_detach(before);
        if (catena__span_is(&execution.span))
                execution_end(&execution, context, r);
        errno = saved;
        return r;
}
