/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-context.h"

#include "lib/client-clock.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "lib/client-sampler.h"
#include "lib/client-send.h"
#include "lib/client-span.h"
#include "lib/client-text.h"
#include "lib/client-value.h"
#include "proto/utf8.h"
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
        CONTEXT_TAGS = 9,
        CONTEXT_CHECKPOINTS = 10,
        CHECKPOINT_NAME = 1,
        CHECKPOINT_TIME = 2,
};

void catena__failure_free(ContextFailure *failure) {
        free(failure->type);
        free(failure->message);
        *failure = (ContextFailure){0};
}

static void context_body_free(ContextBody *body) {
        ContextCheckpoint *next;

        for (ContextCheckpoint *at = atomic_load(&body->checkpoints); at; at = next) {
                next = atomic_load(&at->next);
                free(at);
        }
        for (unsigned i = 0; i < body->n_causes; i++)
                free(body->causes[i]);
        catena__failure_free(&body->failure);
        for (unsigned i = 0; i < _CONTEXT_LISTS_N; i++)
                catena__shared_unref(atomic_load(&body->lists[i]));
        catena__shared_unref(atomic_load(&body->tracestate));
        if (body->correlation_id != body->id)
                free(body->correlation_id);
        free(body->workflow_id);
        free(body->session_id);
        free(body);
}

static void context_bury(Grave *grave) {
        context_body_free((ContextBody *)grave);
}

_Static_assert(offsetof(ContextBody, grave) == 0, "it is freed by its grave");

/* ---- making ---- */

/* An id, or NULL where there is none; false: out of memory. */
static bool context_copy_id(char **idp, const char *text) {
        if (!text || !*text)
                return true;
        *idp = catena__text_copy(text, CONTEXT_TEXT_MAX);
        return *idp;
}

bool catena__context_id_is_valid(const char *id) {
        size_t size = strnlen(id, CONTEXT_TEXT_MAX + 1);

        if (!size || size > CONTEXT_TEXT_MAX || !utf8_is_valid(id, size) ||
            strstr(id, "\xef\xbf\xbd")) /* U+FFFD: it has come through something that lost it */
                return false;
        for (size_t i = 0; i < size; i++)
                if ((uint8_t)id[i] < 0x20 || id[i] == 0x7f)
                        return false;
        return true;
}

/* An id of a chain as it was given; NULL: none, or one that is refused. */
static const char *context_given_id(const char *id) {
        if (!id || !*id || catena__context_id_is_valid(id))
                return id && *id ? id : NULL;
        catena__misuse(MISUSE_ID);
        return NULL;
}

/* The ids as the rule of cause has them. */
static bool context_set_chain(ContextBody *body, const ContextOrigin *origin) {
        const char *given = origin->correlation_id;

        if (!given)
                body->correlation_id = body->id;
        else if (!context_copy_id(&body->correlation_id, given))
                return false;
        for (size_t i = 0; i < origin->n_causes && body->n_causes < CONTEXT_CAUSES_MAX; i++) {
                if (!context_copy_id(&body->causes[body->n_causes],
                                     context_given_id(origin->causes[i])))
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

static void context_put_trace(ContextBody *body, const uint8_t trace_id[ID_TRACE_SIZE],
                              uint64_t parent_span) {
        uint64_t words[2];

        memcpy(words, trace_id, sizeof words);
        atomic_store_explicit(&body->trace_id[0], words[0], memory_order_relaxed);
        atomic_store_explicit(&body->trace_id[1], words[1], memory_order_relaxed);
        id_to_hex(body->trace_hex, trace_id, ID_TRACE_SIZE);
        body->parent_span = parent_span;
        if (parent_span)
                id_to_hex(body->parent_hex, (const uint8_t *)&parent_span, ID_SPAN_SIZE);
}

static Shared *context_pack(const char *tracestate) {
        char packed[W3C_TRACESTATE_TEXT];
        bool whole;
        size_t size = w3c_tracestate_pack(packed, &whole, tracestate, strlen(tracestate));
        Shared *shared = size ? catena__shared_new(size) : NULL;

        if (shared)
                memcpy(shared->text, packed, size);
        return shared;
}

/* The sampler's word on the trace; what it makes of tracestate, as a reference. */
static Shared *context_sample(ContextBody *body, const uint8_t *parent_flags, Shared *tracestate) {
        uint8_t trace_id[ID_TRACE_SIZE];
        SamplerVerdict verdict;
        char *changed;
        Shared *shared;

        context_trace_id(body, trace_id);
        verdict = catena__sampler_ask(trace_id, parent_flags);
        if (verdict.sampled)
                body->flags |= W3C_FLAG_SAMPLED;
        else
                body->flags &= (uint8_t)~W3C_FLAG_SAMPLED;
        if (!catena__sampler_tracestate(&changed, &verdict, tracestate ? tracestate->text : NULL))
                return NULL; /* a trace can do without */
        if (!changed)
                return catena__shared_ref(tracestate);
        shared = context_pack(changed);
        free(changed);
        return shared;
}

static void context_set_trace(ContextBody *body, const ContextOrigin *origin) {
        uint8_t random[ID_TRACE_SIZE];

        if (origin->trace_id) {
                context_put_trace(body, origin->trace_id, origin->span);
                body->flags = origin->flags;
                body->remote = origin->remote;
        } else {
                do
                        catena__random(random, sizeof random);
                while (id_is_zero(random, sizeof random));
                context_put_trace(body, random, 0);
                body->flags = W3C_FLAG_RANDOM;
        }
        atomic_init(&body->tracestate,
                    context_sample(body, origin->trace_id ? &origin->flags : NULL,
                                   origin->tracestate));
}

static ContextBody *context_body_new(const ContextOrigin *origin) {
        ContextBody *body = calloc(1, sizeof *body);
        uint8_t random[16];

        if (!body)
                return NULL;
        body->grave.free = context_bury;
        body->epoch = catena__process_epoch();
        body->sender = origin->sender;
        for (unsigned i = 0; i < _CONTEXT_LISTS_N; i++)
                atomic_init(&body->lists[i], catena__shared_ref(origin->lists[i]));
        catena__random(random, sizeof random);
        id_to_uuid(body->id, random);
        context_set_trace(body, origin);
        body->start_ns = catena__clock_ns();
        body->start_unix_ns = catena__clock_wall_ns(body->start_ns);
        if (context_set_chain(body, origin) &&
            context_copy_id(&body->workflow_id, origin->workflow_id) &&
            context_copy_id(&body->session_id, origin->session_id))
                return body;
        context_body_free(body);
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
                context_body_free(body);
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
        uint8_t trace_id[ID_TRACE_SIZE];
        const char *cause;
        ContextOrigin origin;
        ContextBody *parent;
        SlotHandle handle;

        if (!options)
                return catena_context_new(NULL, NULL);
        origin = (ContextOrigin){
                .workflow_id = options->workflow_id,
                .session_id = options->session_id,
                .correlation_id = context_given_id(options->correlation_id),
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
                context_trace_id(parent, trace_id);
                origin.trace_id = trace_id;
                origin.span = atomic_load(&catena__slot_find(handle)->span);
                origin.flags = parent->flags;
                origin.remote = parent->remote && origin.span == parent->parent_span;
                origin.tracestate = atomic_load(&parent->tracestate);
                for (unsigned i = 0; i < _CONTEXT_LISTS_N; i++)
                        origin.lists[i] = atomic_load(&parent->lists[i]);
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
        const Shared *tags = atomic_load(&body->lists[CONTEXT_LIST_TAGS]);
        uint8_t trace_id[ID_TRACE_SIZE];
        SharedEntry tag;

        context_write_text(writer, CONTEXT_ID, body->id);
        context_write_text(writer, CONTEXT_CORRELATION_ID, body->correlation_id);
        for (unsigned i = 0; i < body->n_causes; i++)
                context_write_text(writer, CONTEXT_CAUSATION_IDS, body->causes[i]);
        context_write_text(writer, CONTEXT_WORKFLOW_ID, body->workflow_id);
        context_write_text(writer, CONTEXT_SESSION_ID, body->session_id);
        pb_put_fixed64(writer, CONTEXT_START_TIME, body->start_unix_ns);
        context_trace_id(body, trace_id);
        pb_put_bytes(writer, CONTEXT_TRACE_ID, trace_id, sizeof trace_id);
        for (size_t offset = 0; catena__shared_next(tags, &offset, &tag);)
                (void)catena__attribute_write(
                        writer, CONTEXT_TAGS,
                        &(catena_attribute){.key = tag.key, .value.string = tag.value});
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

/* What can be asked for, and what a connection to come is told again; false: there is no room. */
static bool context_keep(ContextBody *body, ContextCheckpoint *checkpoint) {
        size_t size = pb_bytes_size(CONTEXT_CHECKPOINTS, checkpoint_size(checkpoint->size));

        if (body->checkpoints_bytes + size > CONTEXT_CHECKPOINTS_MAX)
                return false;
        body->checkpoints_bytes += size;
        if (body->last)
                atomic_store(&body->last->next, checkpoint);
        else
                atomic_store(&body->checkpoints, checkpoint);
        body->last = checkpoint;
        return true;
}

static void context_say_checkpoint(const ContextBody *body, SlotHandle handle,
                                   const ContextCheckpoint *checkpoint) {
        catena_span span;

        (void)catena__send(&(SendMessage){
                .type = RECORD_CONTEXT,
                .context = handle,
                .slot = catena__slot_find(handle),
                .size = pb_bytes_size(CONTEXT_CHECKPOINTS, checkpoint_size(checkpoint->size)),
                .write = context_write_checkpoint,
                .user = checkpoint,
        });
        if (catena__span_current(&span, body, handle) && catena__span_stamp(&span).epoch)
                catena_span_event_at(span, checkpoint->name, checkpoint->unix_ns, NULL, 0);
}

static ContextCheckpoint *context_checkpoint_new(const char *name) {
        char *text = catena__text_copy(name, CONTEXT_TEXT_MAX);
        size_t size = text ? strlen(text) : 0;
        ContextCheckpoint *checkpoint = text ? calloc(1, sizeof *checkpoint + size + 1) : NULL;

        if (checkpoint) {
                checkpoint->unix_ns = catena__clock_wall_ns(catena__clock_ns());
                checkpoint->size = size;
                memcpy(checkpoint->name, text, size + 1);
        }
        free(text);
        return checkpoint;
}

void catena_context_checkpoint(catena_context *context, const char *name) {
        ContextCheckpoint *checkpoint;
        ContextBody *body;
        SlotHandle handle;

        body = catena__context_body(context, &handle);
        if (!name)
                catena__misuse(MISUSE_NAME);
        if (!body || !name)
                return;
        checkpoint = context_checkpoint_new(name);
        if (!checkpoint)
                return;
        if (catena__process_on() &&
            (body->flags & W3C_FLAG_SAMPLED || catena__link_records_all()))
                context_say_checkpoint(body, handle, checkpoint);
        if (context_keep(body, checkpoint))
                return;
        catena__misuse(MISUSE_CHECKPOINT);
        free(checkpoint);
}

bool catena_context_next_checkpoint(catena_context *context, size_t *iterator, const char **name,
                                    uint64_t *unix_ns) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);
        ContextCheckpoint *at = body && iterator ? atomic_load(&body->checkpoints) : NULL;

        if (!iterator)
                catena__misuse(MISUSE_NAME);
        for (size_t i = 0; at && i < *iterator; i++)
                at = atomic_load(&at->next);
        if (!at)
                return false;
        ++*iterator;
        if (name)
                *name = at->name;
        if (unix_ns)
                *unix_ns = at->unix_ns;
        return true;
}

static void context_write_nothing(PbWriter *writer, const void *user) {
        (void)writer;
        (void)user;
}

void catena__context_changed(SlotHandle handle, const ContextBody *body) {
        Slot *slot = catena__slot_find(handle);

        catena__slot_unannounce(slot);
        if (atomic_load(&body->announced) == catena__process_epoch() && catena__process_on())
                (void)catena__send(&(SendMessage){
                        .type = RECORD_CONTEXT,
                        .context = handle,
                        .slot = slot,
                        .write = context_write_nothing,
                });
}

bool catena_context_set_parent(catena_context *context, catena_span span) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle), *spans;
        Shared *tracestate = NULL, *sampled;

        if (!body)
                return false;
        if (!catena__span_is(&span)) {
                catena__misuse(MISUSE_SPAN);
                return false;
        }
        spans = catena__slot_hold(span.context);
        if (spans) {
                tracestate = catena__shared_copy(atomic_load(&spans->tracestate));
                catena__slot_release();
        }
        context_put_trace(body, span.trace_id, id_span_key(span.span_id));
        body->flags = span.flags & (W3C_FLAG_SAMPLED | W3C_FLAG_RANDOM);
        body->remote = !catena__span_stamp(&span).epoch;
        body->sender = (catena_span){0};
        sampled = context_sample(body, &span.flags, tracestate);
        catena__shared_unref(tracestate);
        atomic_store(&catena__slot_find(handle)->has_tracestate, sampled);
        catena__shared_unref(atomic_exchange(&body->tracestate, sampled));
        atomic_store(&catena__slot_find(handle)->span, body->parent_span);
        catena__context_changed(handle, body);
        return true;
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
                now = body->start_unix_ns + (catena__clock_ns() - body->start_ns);
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

uint64_t catena_context_start_unix_ns(catena_context *context) {
        ContextBody *body = context_ask(context);

        return body ? body->start_unix_ns : 0;
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
