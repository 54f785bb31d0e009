/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-span.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <string.h>

/* What of a chain travels in baggage, by the names that spans show. */
typedef enum EnvironName {
        ENVIRON_WORKFLOW,
        ENVIRON_SESSION,
        ENVIRON_CORRELATION,
        ENVIRON_CONTEXT,
        _ENVIRON_N,
} EnvironName;

static const char *const environ_names[_ENVIRON_N] = {
        [ENVIRON_WORKFLOW] = "workflow.id",
        [ENVIRON_SESSION] = "workflow.session_id",
        [ENVIRON_CORRELATION] = "workflow.correlation_id",
        [ENVIRON_CONTEXT] = "workflow.context_id",
};

/* ---- extracting ---- */

typedef struct EnvironBaggage {
        char *own[_ENVIRON_N]; /* decoded; NULL: absent */
        char *foreign;         /* the other members, as they came */
        size_t foreign_size;
} EnvironBaggage;

static EnvironName environ_name(const W3cBaggageMember *member) {
        unsigned i;

        for (i = 0; i < _ENVIRON_N; i++)
                if (strlen(environ_names[i]) == member->name_size &&
                    memcmp(environ_names[i], member->name, member->name_size) == 0)
                        break;
        return (EnvironName)i;
}

static void environ_take_own(EnvironBaggage *baggage, EnvironName name,
                             const W3cBaggageMember *member) {
        char *value = malloc(3 * member->value_size + 1);

        if (!value)
                return;
        value[w3c_baggage_decode(value, member->value, member->value_size)] = 0;
        free(baggage->own[name]); /* the last one stands */
        baggage->own[name] = value;
}

/* The room for all of the header has been made. */
static void environ_take_foreign(EnvironBaggage *baggage, const W3cBaggageMember *member) {
        const char *end = member->properties ? member->properties + member->properties_size
                                             : member->value + member->value_size;
        size_t size = (size_t)(end - member->name);

        if (baggage->foreign_size)
                baggage->foreign[baggage->foreign_size++] = ',';
        memcpy(baggage->foreign + baggage->foreign_size, member->name, size);
        baggage->foreign_size += size;
        baggage->foreign[baggage->foreign_size] = 0;
}

static void environ_take_baggage(EnvironBaggage *baggage, const char *header) {
        W3cBaggageReader reader;
        W3cBaggageMember member;

        if (!header)
                return;
        reader = w3c_baggage_reader(header, strlen(header));
        baggage->foreign = malloc(strlen(header) + 1);
        while (baggage->foreign && w3c_baggage_next(&reader, &member)) {
                EnvironName name = environ_name(&member);

                if (name == _ENVIRON_N)
                        environ_take_foreign(baggage, &member);
                else
                        environ_take_own(baggage, name, &member);
        }
}

static void environ_release_baggage(EnvironBaggage *baggage) {
        for (unsigned i = 0; i < _ENVIRON_N; i++)
                free(baggage->own[i]);
        free(baggage->foreign);
}

catena_context *catena_context_extract_environ(unsigned flags) {
        const char *traceparent = getenv("TRACEPARENT"), *tracestate = getenv("TRACESTATE");
        EnvironBaggage baggage = {0};
        ContextOrigin origin = {0};
        catena_context *context;
        W3cTraceparent parent;

        if (flags)
                catena__misuse(MISUSE_FLAGS);
        if (traceparent && w3c_traceparent_read(&parent, traceparent, strlen(traceparent))) {
                origin.trace_id = parent.trace_id;
                origin.span = id_span_key(parent.span_id);
                origin.flags = parent.flags;
                origin.remote = true;
                if (tracestate && w3c_tracestate_is_valid(tracestate, strlen(tracestate)))
                        origin.tracestate = tracestate;
        }
        environ_take_baggage(&baggage, getenv("BAGGAGE"));
        origin.workflow_id = baggage.own[ENVIRON_WORKFLOW];
        origin.session_id = baggage.own[ENVIRON_SESSION];
        origin.correlation_id = baggage.own[ENVIRON_CORRELATION];
        origin.baggage = baggage.foreign_size ? baggage.foreign : NULL;
        /* A cause without its chain would tell nothing. */
        if (origin.correlation_id && baggage.own[ENVIRON_CONTEXT]) {
                origin.causes = (const char *const *)&baggage.own[ENVIRON_CONTEXT];
                origin.n_causes = 1;
        }
        context = catena__context_make(&origin);
        environ_release_baggage(&baggage);
        return context;
}

/* ---- injecting ---- */

/* A variable is set, or removed where there is nothing to say. */
static bool environ_set(const char *name, const char *value) {
        if (!value || !*value) {
                unsetenv(name);
                return false;
        }
        return setenv(name, value, 1) == 0;
}

typedef struct EnvironHeader {
        char text[W3C_BAGGAGE_BYTES_MAX + 1];
        size_t size;
        unsigned n_members;
} EnvironHeader;

/* Never a part of a member: what does not fit is left out. */
static void environ_add(EnvironHeader *header, const char *name, const char *value) {
        size_t name_size = strlen(name), room = sizeof header->text - 1 - header->size;
        char *at = header->text + header->size;

        if (!value || 1 + name_size + 1 + 3 * strlen(value) > room)
                return;
        if (header->size)
                *at++ = ',';
        memcpy(at, name, name_size);
        at += name_size;
        *at++ = '=';
        at += w3c_baggage_encode(at, value, strlen(value));
        header->size = (size_t)(at - header->text);
        header->n_members++;
}

static void environ_add_foreign(EnvironHeader *header, const char *baggage) {
        W3cBaggageReader reader = w3c_baggage_reader(baggage, strlen(baggage));
        W3cBaggageMember member;

        while (header->n_members < W3C_BAGGAGE_MEMBERS_MAX && w3c_baggage_next(&reader, &member)) {
                const char *end = member.properties ? member.properties + member.properties_size
                                                    : member.value + member.value_size;
                size_t size = (size_t)(end - member.name);

                if (1 + size > sizeof header->text - 1 - header->size)
                        continue;
                if (header->size)
                        header->text[header->size++] = ',';
                memcpy(header->text + header->size, member.name, size);
                header->size += size;
                header->n_members++;
        }
}

static void environ_inject_baggage(const ContextBody *body) {
        EnvironHeader header = {0};

        if (body) {
                environ_add(&header, environ_names[ENVIRON_WORKFLOW], body->workflow_id);
                environ_add(&header, environ_names[ENVIRON_SESSION], body->session_id);
                environ_add(&header, environ_names[ENVIRON_CORRELATION], body->correlation_id);
                environ_add(&header, environ_names[ENVIRON_CONTEXT], body->id);
                if (body->baggage)
                        environ_add_foreign(&header, body->baggage);
                header.text[header.size] = 0;
        }
        (void)environ_set("BAGGAGE", header.text);
}

/* The span's ids, or the context's current ones; false: there is no span. */
static bool environ_traceparent(W3cTraceparent *parent, const ContextBody *body, SlotHandle handle,
                                const catena_span *span) {
        uint64_t current = 0;

        if (catena__span_is(span)) {
                memcpy(parent->trace_id, span->trace_id, sizeof parent->trace_id);
                memcpy(parent->span_id, span->span_id, sizeof parent->span_id);
                parent->flags = span->flags & (W3C_FLAG_SAMPLED | W3C_FLAG_RANDOM);
                return true;
        }
        if (body)
                current = atomic_load(&catena__slot_find(handle)->span);
        if (!current)
                return false;
        memcpy(parent->trace_id, body->trace_id, sizeof parent->trace_id);
        memcpy(parent->span_id, &current, sizeof parent->span_id);
        parent->flags = body->flags & (W3C_FLAG_SAMPLED | W3C_FLAG_RANDOM);
        return true;
}

bool catena_inject_environ(catena_context *context, catena_span span) {
        ContextBody *body = NULL, *spans = NULL;
        char traceparent[W3C_TRACEPARENT_TEXT + 1] = "";
        const char *tracestate = NULL;
        W3cTraceparent parent;
        SlotHandle handle = 0;
        bool set;

        if (context)
                body = catena__context_body(context, &handle);
        if (environ_traceparent(&parent, body, handle, &span)) {
                w3c_traceparent_write(traceparent, &parent);
                spans = catena__slot_hold(catena__span_is(&span) ? span.context : handle);
                tracestate = spans ? spans->tracestate : NULL;
        }
        set = environ_set("TRACEPARENT", traceparent);
        (void)environ_set("TRACESTATE", tracestate);
        environ_inject_baggage(body);
        if (spans)
                catena__slot_release();
        return set;
}
