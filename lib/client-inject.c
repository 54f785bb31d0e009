/* SPDX-License-Identifier: Apache-2.0 */

/* What goes out with a request. */

#include "lib/client-content.h"
#include "lib/client-count.h"
#include "lib/client-process.h"
#include "lib/client-propagation.h"
#include "lib/client-span.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <string.h>

enum { INJECT_TEXT = W3C_BAGGAGE_BYTES_MAX + 1 }; /* of any header, with its NUL */

_Static_assert((int)W3C_TRACESTATE_TEXT < (int)INJECT_TEXT, "it must fit");

/* ---- headers ---- */

typedef struct Inject {
        const ContextBody *body; /* NULL: no context */
        catena_span span;        /* all zero: there is none */
} Inject;

static void inject_begin(Inject *inject, catena_context *context, const catena_span *span) {
        SlotHandle handle = 0;

        (void)catena__process_start();
        *inject = (Inject){.span = *span};
        inject->body = context ? catena__context_body(context, &handle) : NULL;
        if (!catena__span_is(span) &&
            (!inject->body || !catena__span_current(&inject->span, inject->body, handle)))
                inject->span = (catena_span){0};
}

/* Each writes its header with a NUL, and returns its size; 0: there is nothing to say. */
static size_t inject_traceparent(char *text, const Inject *inject) {
        W3cTraceparent parent = {
                .flags = inject->span.flags & (W3C_FLAG_SAMPLED | W3C_FLAG_RANDOM),
        };

        if (!catena__span_is(&inject->span))
                return 0;
        memcpy(parent.trace_id, inject->span.trace_id, sizeof parent.trace_id);
        memcpy(parent.span_id, inject->span.span_id, sizeof parent.span_id);
        w3c_traceparent_write(text, &parent);
        return W3C_TRACEPARENT_TEXT;
}

/* That of the trace which the span is in. */
static size_t inject_tracestate(char *text, const Inject *inject) {
        const ContextBody *body;
        const Shared *tracestate;
        size_t size = 0;

        body = catena__span_is(&inject->span) ? catena__slot_hold(inject->span.context) : NULL;
        if (!body)
                return 0;
        tracestate = atomic_load(&body->tracestate);
        if (tracestate) {
                size = tracestate->size;
                memcpy(text, tracestate->text, size + 1);
        }
        catena__slot_release();
        return size;
}

typedef struct InjectBaggage {
        char *text;
        size_t size;
        unsigned n_members;
} InjectBaggage;

/* Never a part of a member: what does not fit is left out. `value` is encoded. */
static void inject_member(InjectBaggage *baggage, const char *name, const char *value) {
        size_t name_size = strlen(name), value_size = strlen(value);
        char *at = baggage->text + baggage->size;

        if (baggage->n_members == W3C_BAGGAGE_MEMBERS_MAX ||
            baggage->size + 1 + name_size + 1 + value_size > W3C_BAGGAGE_BYTES_MAX)
                return;
        if (baggage->size)
                *at++ = ',';
        memcpy(at, name, name_size);
        at += name_size;
        *at++ = '=';
        memcpy(at, value, value_size + 1);
        baggage->size = (size_t)(at - baggage->text) + value_size;
        baggage->n_members++;
}

static void inject_own(InjectBaggage *baggage, BaggageOwn own, const char *value) {
        char encoded[3 * CONTEXT_TEXT_MAX + 1];

        if (!value)
                return;
        encoded[w3c_baggage_encode(encoded, value, strlen(value))] = 0;
        inject_member(baggage, catena__baggage_names[own], encoded);
}

static size_t inject_baggage(char *text, const Inject *inject) {
        const ContextBody *body = inject->body;
        InjectBaggage baggage = {.text = text};
        SharedEntry entry;

        if (!body)
                return 0;
        inject_own(&baggage, BAGGAGE_WORKFLOW, body->workflow_id);
        inject_own(&baggage, BAGGAGE_SESSION, body->session_id);
        inject_own(&baggage, BAGGAGE_CORRELATION, body->correlation_id);
        inject_own(&baggage, BAGGAGE_CONTEXT, body->id);
        for (size_t offset = 0;
             catena__shared_next(atomic_load(&body->lists[CONTEXT_LIST_BAGGAGE]), &offset, &entry);)
                inject_member(&baggage, entry.key, entry.raw);
        return baggage.size;
}

static size_t inject_header(char *text, const Inject *inject, int header) {
        if (header == CATENA_HEADER_BAGGAGE)
                return catena__propagates(PROPAGATOR_BAGGAGE) ? inject_baggage(text, inject) : 0;
        if (!catena__propagates(PROPAGATOR_TRACECONTEXT))
                return 0;
        return header == CATENA_HEADER_TRACEPARENT ? inject_traceparent(text, inject)
                                                   : inject_tracestate(text, inject);
}

/* ---- carriers ---- */

bool catena_inject(catena_context *context, catena_span span, catena_carrier_set *set,
                   void *carrier) {
        char text[INJECT_TEXT];
        bool traced = false;
        Inject inject;

        if (!set) {
                catena__misuse(MISUSE_NAME);
                return false;
        }
        inject_begin(&inject, context, &span);
        for (int header = 0; header <= CATENA_HEADER_BAGGAGE; header++)
                if (inject_header(text, &inject, header)) {
                        traced |= header == CATENA_HEADER_TRACEPARENT;
                        set(carrier, catena__headers[header], text);
                }
        return traced;
}

size_t catena_inject_string(catena_context *context, catena_span span, int header, char *buffer,
                            size_t size) {
        char text[INJECT_TEXT];
        size_t length = 0;
        Inject inject;

        if (header < 0 || header > CATENA_HEADER_BAGGAGE || (!buffer && size)) {
                catena__misuse(MISUSE_FLAGS);
                size = buffer ? size : 0;
        } else {
                inject_begin(&inject, context, &span);
                length = inject_header(text, &inject, header);
        }
        if (size && length < size)
                memcpy(buffer, text, length);
        if (size)
                buffer[length < size ? length : 0] = 0;
        return length;
}

static void inject_set_environ(void *carrier, const char *name, const char *value) {
        char variable[W3C_ENVIRON_NAME_SIZE];
        bool *failed = carrier;

        w3c_environ_name(variable, name);
        if (setenv(variable, value, 1) < 0)
                *failed = true;
}

bool catena_inject_environ(catena_context *context, catena_span span) {
        char variable[W3C_ENVIRON_NAME_SIZE];
        bool failed = false;

        for (int header = 0; header <= CATENA_HEADER_BAGGAGE; header++) {
                w3c_environ_name(variable, catena__headers[header]);
                unsetenv(variable);
        }
        return catena_inject(context, span, inject_set_environ, &failed) && !failed;
}
