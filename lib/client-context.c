/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-context.h"

#include "lib/client-clock.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "lib/client-sampler.h"
#include "lib/client-send.h"
#include "lib/client-text.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <string.h>

enum {
        CONTEXT_ID = 1,
        CONTEXT_CORRELATION_ID = 2,
        CONTEXT_CAUSATION_IDS = 3,
        CONTEXT_WORKFLOW_ID = 4,
        CONTEXT_SESSION_ID = 5,
        CONTEXT_START_TIME = 6,
        CONTEXT_END_TIME = 7,
        CONTEXT_TRACE_ID = 8,
        CONTEXT_CHECKPOINTS = 10,
        CHECKPOINT_NAME = 1,
        CHECKPOINT_TIME = 2,
};

void catena__failure_free(ContextFailure *failure) {
        free(failure->type);
        free(failure->message);
        *failure = (ContextFailure){0};
}

void catena__context_body_free(ContextBody *body) {
        ContextCheckpoint *next;

        if (!body)
                return;
        for (ContextCheckpoint *at = atomic_load(&body->checkpoints); at; at = next) {
                next = atomic_load(&at->next);
                free(at);
        }
        for (unsigned i = 0; i < body->n_causes; i++)
                free(body->causes[i]);
        catena__failure_free(&body->failure);
        free(body->correlation_id);
        free(body->workflow_id);
        free(body->session_id);
        free(body->tracestate);
        free(body->baggage);
        free(body);
}

/* ---- making ---- */

/* An id, or NULL where there is none; false: out of memory. */
static bool context_copy_id(char **idp, const char *text) {
        if (!text || !*text)
                return true;
        *idp = catena__text_copy(text, CONTEXT_TEXT_MAX);
        return *idp;
}

static bool context_copy_whole(char **textp, const char *text) {
        if (!text || !*text)
                return true;
        *textp = strdup(text);
        return *textp;
}

/* The ids as the rule of cause has them. */
static bool context_set_chain(ContextBody *body, const ContextOrigin *origin) {
        const char *given =
                origin->correlation_id && *origin->correlation_id ? origin->correlation_id : NULL;

        if (!context_copy_id(&body->correlation_id, given ? given : body->id))
                return false;
        for (size_t i = 0; i < origin->n_causes && body->n_causes < CONTEXT_CAUSES_MAX; i++) {
                if (!context_copy_id(&body->causes[body->n_causes], origin->causes[i]))
                        return false;
                body->n_causes += !!body->causes[body->n_causes];
        }
        if (!body->n_causes && given) {
                if (!context_copy_id(&body->causes[0], given))
                        return false;
                body->n_causes = 1;
        }
        return true;
}

/* The sampler's word on the trace, and what it makes of tracestate. */
static bool context_sample(ContextBody *body, const ContextOrigin *origin) {
        const uint8_t *parent_flags = origin->trace_id ? &origin->flags : NULL;
        SamplerVerdict verdict = catena__sampler_ask(body->trace_id, parent_flags);

        if (verdict.sampled)
                body->flags |= W3C_FLAG_SAMPLED;
        else
                body->flags &= (uint8_t)~W3C_FLAG_SAMPLED;
        if (!catena__sampler_tracestate(&body->tracestate, &verdict, origin->tracestate))
                return false;
        if (!body->tracestate)
                return context_copy_whole(&body->tracestate, origin->tracestate);
        if (!*body->tracestate) {
                free(body->tracestate); /* nothing is left to say */
                body->tracestate = NULL;
        }
        return true;
}

static void context_set_trace(ContextBody *body, const ContextOrigin *origin) {
        if (origin->trace_id) {
                memcpy(body->trace_id, origin->trace_id, sizeof body->trace_id);
                body->parent_span = origin->span;
                body->flags = origin->flags;
                body->remote = origin->remote;
        } else {
                do
                        catena__random(body->trace_id, sizeof body->trace_id);
                while (id_is_zero(body->trace_id, sizeof body->trace_id));
                body->flags = W3C_FLAG_RANDOM;
        }
        id_to_hex(body->trace_hex, body->trace_id, sizeof body->trace_id);
        if (body->parent_span)
                id_to_hex(body->parent_hex, (const uint8_t *)&body->parent_span, ID_SPAN_SIZE);
}

static ContextBody *context_body_new(const ContextOrigin *origin) {
        ContextBody *body = calloc(1, sizeof *body);
        uint8_t random[16];

        if (!body)
                return NULL;
        catena__random(random, sizeof random);
        id_to_uuid(body->id, random);
        context_set_trace(body, origin);
        body->start_ns = catena__clock_ns();
        body->start_unix_ns = catena__clock_unix_ns(catena__clock_era(), body->start_ns);
        if (context_set_chain(body, origin) &&
            context_copy_id(&body->workflow_id, origin->workflow_id) &&
            context_copy_id(&body->session_id, origin->session_id) &&
            context_sample(body, origin) &&
            context_copy_whole(&body->baggage, origin->baggage))
                return body;
        catena__context_body_free(body);
        return NULL;
}

catena_context *catena__context_make(const ContextOrigin *origin) {
        ContextBody *body;
        SlotHandle handle;

        (void)catena__process_start();
        body = context_body_new(origin);
        if (!body)
                return NULL;
        handle = catena__slot_new(body, body->parent_span);
        if (!handle) {
                catena__context_body_free(body);
                return NULL;
        }
        return catena__slot_context(handle);
}

catena_context *catena_context_new(const char *workflow_id, const char *session_id) {
        return catena__context_make(
                &(ContextOrigin){.workflow_id = workflow_id, .session_id = session_id});
}

static const char *context_or(const char *own, const char *parents) {
        return own && *own ? own : parents;
}

catena_context *catena_context_new_with(const catena_context_options *options) {
        const char *cause;
        ContextOrigin origin;
        ContextBody *parent;
        SlotHandle handle;

        if (!options)
                return catena_context_new(NULL, NULL);
        origin = (ContextOrigin){
                .workflow_id = options->workflow_id,
                .session_id = options->session_id,
                .correlation_id = options->correlation_id,
                .causes = options->causes,
                .n_causes = options->causes ? options->n_causes : 0,
        };
        parent = options->parent ? catena__context_body(options->parent, &handle) : NULL;
        if (parent) {
                cause = parent->id;
                origin.workflow_id = context_or(origin.workflow_id, parent->workflow_id);
                origin.session_id = context_or(origin.session_id, parent->session_id);
                origin.correlation_id = context_or(origin.correlation_id, parent->correlation_id);
                if (!origin.n_causes) {
                        origin.causes = &cause;
                        origin.n_causes = 1;
                }
                origin.trace_id = parent->trace_id;
                origin.span = atomic_load(&catena__slot_find(handle)->span);
                origin.flags = parent->flags;
                origin.remote = parent->remote && origin.span == parent->parent_span;
                origin.tracestate = parent->tracestate;
                origin.baggage = parent->baggage;
        }
        return catena__context_make(&origin);
}

catena_context *catena_context_child(catena_context *parent) {
        if (!parent)
                catena__misuse(MISUSE_CONTEXT);
        return catena_context_new_with(&(catena_context_options){.parent = parent});
}

/* ---- what is said ---- */

static size_t checkpoint_size(size_t name_size) {
        return pb_bytes_size(CHECKPOINT_NAME, name_size) + 1 + sizeof(uint64_t);
}

static void checkpoint_write(PbWriter *writer, const ContextCheckpoint *checkpoint) {
        pb_put_prefix(writer, CONTEXT_CHECKPOINTS, checkpoint_size(checkpoint->size));
        pb_put_bytes(writer, CHECKPOINT_NAME, checkpoint->name, checkpoint->size);
        pb_put_fixed64(writer, CHECKPOINT_TIME, checkpoint->unix_ns);
}

static void context_write_text(PbWriter *writer, uint32_t number, const char *text) {
        if (text)
                pb_put_bytes(writer, number, text, strlen(text));
}

void catena__context_write(PbWriter *writer, const ContextBody *body) {
        context_write_text(writer, CONTEXT_ID, body->id);
        context_write_text(writer, CONTEXT_CORRELATION_ID, body->correlation_id);
        for (unsigned i = 0; i < body->n_causes; i++)
                context_write_text(writer, CONTEXT_CAUSATION_IDS, body->causes[i]);
        context_write_text(writer, CONTEXT_WORKFLOW_ID, body->workflow_id);
        context_write_text(writer, CONTEXT_SESSION_ID, body->session_id);
        pb_put_fixed64(writer, CONTEXT_START_TIME, body->start_unix_ns);
        pb_put_bytes(writer, CONTEXT_TRACE_ID, body->trace_id, sizeof body->trace_id);
        for (ContextCheckpoint *at = atomic_load(&body->checkpoints); at;
             at = atomic_load(&at->next))
                checkpoint_write(writer, at);
}

static void context_write_checkpoint(PbWriter *writer, const void *user) {
        checkpoint_write(writer, user);
}

static void context_write_end(PbWriter *writer, const void *user) {
        pb_put_fixed64(writer, CONTEXT_END_TIME, *(const uint64_t *)user);
}

/* What a connection to come is told again, as far as there is room. */
static void context_keep(ContextBody *body, ContextCheckpoint *checkpoint) {
        size_t size = pb_bytes_size(CONTEXT_CHECKPOINTS, checkpoint_size(checkpoint->size));

        if (body->checkpoints_bytes + size > CONTEXT_CHECKPOINTS_MAX) {
                free(checkpoint);
                return;
        }
        body->checkpoints_bytes += size;
        if (body->last)
                atomic_store(&body->last->next, checkpoint);
        else
                atomic_store(&body->checkpoints, checkpoint);
        body->last = checkpoint;
}

static void context_say_checkpoint(SlotHandle handle, const ContextCheckpoint *checkpoint) {
        (void)catena__send(&(SendMessage){
                .type = RECORD_CONTEXT,
                .context = handle,
                .slot = catena__slot_find(handle),
                .size = pb_bytes_size(CONTEXT_CHECKPOINTS, checkpoint_size(checkpoint->size)),
                .write = context_write_checkpoint,
                .user = checkpoint,
        });
}

void catena_context_checkpoint(catena_context *context, const char *name) {
        ContextCheckpoint *checkpoint;
        ContextBody *body;
        SlotHandle handle;
        size_t size;
        char *text;

        body = catena__context_body(context, &handle);
        if (!name)
                catena__misuse(MISUSE_NAME);
        if (!body || !name || !catena__process_on())
                return;
        text = catena__text_copy(name, CONTEXT_TEXT_MAX);
        size = text ? strlen(text) : 0;
        checkpoint = text ? calloc(1, sizeof *checkpoint + size + 1) : NULL;
        if (checkpoint) {
                checkpoint->unix_ns =
                        catena__clock_unix_ns(catena__clock_era(), catena__clock_ns());
                checkpoint->size = size;
                memcpy(checkpoint->name, text, size + 1);
                if (body->flags & W3C_FLAG_SAMPLED || catena__link_records_all())
                        context_say_checkpoint(handle, checkpoint);
                context_keep(body, checkpoint);
        }
        free(text);
}

void catena_context_free(catena_context *context) {
        ContextBody *body;
        SlotHandle handle;
        uint64_t now;

        if (!context)
                return;
        body = catena__context_body(context, &handle);
        if (!body)
                return;
        /* The daemon is told of the end of what this process told it of. */
        if (atomic_load(&body->announced) == catena__process_epoch() && catena__process_on()) {
                now = catena__clock_unix_ns(catena__clock_era(), catena__clock_ns());
                (void)catena__send(&(SendMessage){
                        .type = RECORD_CONTEXT,
                        .flags = RECORD_END,
                        .context = handle,
                        .slot = catena__slot_find(handle),
                        .size = 1 + sizeof now,
                        .write = context_write_end,
                        .user = &now,
                });
        }
        catena__slot_free(handle);
}

/* ---- asking ---- */

Slot *catena__context_slot(SlotHandle *handlep, const catena_context *context) {
        Slot *slot = catena__slot_of(handlep, context);

        if (!slot)
                catena__misuse(MISUSE_CONTEXT);
        return slot;
}

ContextBody *catena__context_body(const catena_context *context, SlotHandle *handlep) {
        Slot *slot = catena__context_slot(handlep, context);

        return slot ? atomic_load(&slot->body) : NULL;
}

static ContextBody *context_ask(const catena_context *context) {
        SlotHandle handle;

        return catena__context_body(context, &handle);
}

const char *catena_context_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->id : NULL;
}

const char *catena_context_correlation_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->correlation_id : NULL;
}

const char *catena_context_causation_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->causes[0] : NULL;
}

const char *catena_context_workflow_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->workflow_id : NULL;
}

const char *catena_context_session_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->session_id : NULL;
}

const char *catena_context_trace_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->trace_hex : NULL;
}

const char *catena_context_span_id(catena_context *context) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);
        uint64_t span;

        if (!body)
                return NULL;
        span = atomic_load(&catena__slot_find(handle)->span);
        if (!span)
                return NULL;
        id_to_hex(body->span_hex, (const uint8_t *)&span, ID_SPAN_SIZE);
        return body->span_hex;
}

const char *catena_context_parent_span_id(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body && body->parent_span ? body->parent_hex : NULL;
}

uint8_t catena_context_trace_flags(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->flags : 0;
}

double catena_context_elapsed_ms(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? (double)(catena__clock_ns() - body->start_ns) / 1e6 : 0;
}

/* ---- this thread's ---- */

catena_context *catena_context_attach(catena_context *context) {
        catena_context *before = catena__thread.context;

        catena__thread.context = context;
        return before;
}

void catena_context_detach(catena_context *before) {
        catena__thread.context = before;
}

catena_context *catena_context_current(void) {
        return catena__thread.context;
}
