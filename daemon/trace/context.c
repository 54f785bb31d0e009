/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/context.h"

#include "catena.pb-c.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "proto/pb.h"
#include "proto/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        CONTEXT_TRACE_ID = 8, /* catena.v1.Context */
        CONTEXT_TAGS = 9,     /* the number that attributes have in a Span, on purpose */
        CONTEXT_CHECKPOINTS = 10,
        SPAN_ATTRIBUTES = 9,
        KEY_VALUE_KEY = 1,
        KEY_VALUE_VALUE = 2,
        ANY_VALUE_STRING = 1,
        ANY_VALUE_ARRAY = 5,
};

/* ---- validation ---- */

static int context_validate_checkpoint(const PbField *checkpoint) {
        PbReader reader = pb_reader(checkpoint->data, checkpoint->size);
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == 1 && field.wire != PB_BYTES)
                        return VALIDATE_E_WIRE_TYPE;
                if (field.number == 1 && !utf8_is_valid(field.data, field.size))
                        return VALIDATE_E_UTF8;
                if (field.number == 2 && field.wire != PB_FIXED64)
                        return VALIDATE_E_WIRE_TYPE;
        }
        return reader.failed ? VALIDATE_E_ENCODING : 0;
}

int context_validate(const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        ValidateSummary summary;
        PbField field;
        int r = 0;

        while (!r && pb_next(&reader, &field)) {
                switch (field.number) {
                case 1 ... 5:
                        if (field.wire != PB_BYTES)
                                r = VALIDATE_E_WIRE_TYPE;
                        else if (!utf8_is_valid(field.data, field.size))
                                r = VALIDATE_E_UTF8;
                        break;
                case 6 ... 7:
                        r = field.wire == PB_FIXED64 ? 0 : VALIDATE_E_WIRE_TYPE;
                        break;
                case CONTEXT_TRACE_ID:
                        r = field.wire == PB_BYTES && field.size == ID_TRACE_SIZE ? 0
                                                                                  : VALIDATE_E_ID;
                        break;
                case CONTEXT_TAGS: /* alone, this field is a Span fragment */
                        r = validate_span(&summary, field.start, (size_t)(reader.at - field.start),
                                          false, NULL);
                        break;
                case CONTEXT_CHECKPOINTS:
                        r = field.wire == PB_BYTES ? context_validate_checkpoint(&field)
                                                   : VALIDATE_E_WIRE_TYPE;
                        break;
                }
        }
        if (r)
                return r;
        return reader.failed ? VALIDATE_E_ENCODING : 0;
}

/* ---- lifetime ---- */

int context_get(Context **contextp, Session *session, uint32_t number) {
        Context *context = map_find(&session->contexts, number);
        int r;

        if (!context) {
                context = pool_take(session->context_pool);
                if (!context)
                        return error_origin(-ENOMEM);
                *context = (Context){.session = session, .number = number};
                r = map_put(&session->contexts, number, context);
                if (r) {
                        pool_give(session->context_pool, context);
                        return error_trace(r);
                }
                fragments_init(&context->fragments);
                list_append(&session->all_contexts, &context->link);
                list_init(&context->pending_link);
                session_charge(session, sizeof *context);
        }
        *contextp = context;
        return 0;
}

static void context_forget_attributes(Context *context) {
        session_discharge(context->session, context->n_bytes);
        free(context->attributes);
        context->attributes = NULL;
        context->n_bytes = 0;
        context->conflict = false;
        context->n_left_out = 0;
        context->keys = (ValidateBloom){0};
}

void context_settle(Context *context) {
        Session *session = context->session;

        if (context->n_objects || session->replayed)
                return;
        if (context->known && !context->ended && session->state == SESSION_ALIVE)
                return;
        if (!list_is_empty(&context->pending_link))
                return;
        chains_forget(&context->chain, NULL);
        context_forget_attributes(context);
        fragments_deinit(&context->fragments, session);
        map_remove(&session->contexts, context->number);
        list_unlink(&context->link);
        session_discharge(session, sizeof *context);
        pool_give(session->context_pool, context);
}

/* ---- attributes ---- */

static size_t context_string_size(const char *text) {
        return pb_bytes_size(ANY_VALUE_STRING, strlen(text));
}

static int context_put_string(Context *context, Buffer *out, const char *key, const char *text) {
        size_t value = context_string_size(text);
        size_t pair =
                pb_bytes_size(KEY_VALUE_KEY, strlen(key)) + pb_bytes_size(KEY_VALUE_VALUE, value);
        size_t size = pb_bytes_size(SPAN_ATTRIBUTES, pair);
        PbWriter writer;
        uint8_t *room;
        int r;

        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        writer = pb_writer(room, size);
        pb_put_prefix(&writer, SPAN_ATTRIBUTES, pair);
        pb_put_bytes(&writer, KEY_VALUE_KEY, key, strlen(key));
        pb_put_prefix(&writer, KEY_VALUE_VALUE, value);
        pb_put_bytes(&writer, ANY_VALUE_STRING, text, strlen(text));
        out->size += size;
        validate_bloom_add(&context->keys, key, strlen(key));
        return 0;
}

static int context_put_strings(Context *context, Buffer *out, const char *key, char *const *texts,
                               size_t n_texts) {
        size_t array = 0, value, pair, size;
        PbWriter writer;
        uint8_t *room;
        int r;

        for (size_t i = 0; i < n_texts; i++)
                array += pb_bytes_size(1, context_string_size(texts[i]));
        value = pb_bytes_size(ANY_VALUE_ARRAY, array);
        pair = pb_bytes_size(KEY_VALUE_KEY, strlen(key)) + pb_bytes_size(KEY_VALUE_VALUE, value);
        size = pb_bytes_size(SPAN_ATTRIBUTES, pair);
        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        writer = pb_writer(room, size);
        pb_put_prefix(&writer, SPAN_ATTRIBUTES, pair);
        pb_put_bytes(&writer, KEY_VALUE_KEY, key, strlen(key));
        pb_put_prefix(&writer, KEY_VALUE_VALUE, value);
        pb_put_prefix(&writer, ANY_VALUE_ARRAY, array);
        for (size_t i = 0; i < n_texts; i++) {
                pb_put_prefix(&writer, 1, context_string_size(texts[i]));
                pb_put_bytes(&writer, ANY_VALUE_STRING, texts[i], strlen(texts[i]));
        }
        out->size += size;
        validate_bloom_add(&context->keys, key, strlen(key));
        return 0;
}

/* The tags are attributes as they stand in the fragments; the first ones, up to the limit. */
static int context_put_tags(Context *context, Buffer *out) {
        const Fragments *fragments = &context->fragments;
        uint32_t n_tags = 0;
        int r;

        for (uint32_t i = 0; i < fragments->n_fragments; i++) {
                const SessionHold *hold = &fragments->list[i].hold;
                PbReader reader = pb_reader(journal_at(context->session->journal, hold->position),
                                            hold->size);
                ValidateSummary summary;
                PbField field;

                while (pb_next(&reader, &field)) {
                        size_t size = (size_t)(reader.at - field.start);
                        if (field.number != CONTEXT_TAGS ||
                            validate_span(&summary, field.start, size, false, NULL))
                                continue;
                        if (n_tags == context->session->limits.attributes) {
                                context->n_left_out++;
                                continue;
                        }
                        n_tags++;
                        r = buffer_append(out, field.start, size);
                        if (r)
                                return error_trace(r);
                        if (summary.unknown || validate_bloom_meet(&context->keys, &summary.keys))
                                context->conflict = true;
                        validate_bloom_merge(&context->keys, &summary.keys);
                }
        }
        return 0;
}

static int context_put_attributes(Context *context, Buffer *out, const Catena__V1__Context *m) {
        int r;

        r = context_put_string(context, out, "workflow.id",
                               *m->workflow_id ? m->workflow_id : "unknown");
        if (!r)
                r = context_put_string(context, out, "workflow.session_id",
                                       *m->session_id ? m->session_id : "unknown");
        if (!r && *m->correlation_id)
                r = context_put_string(context, out, "workflow.correlation_id", m->correlation_id);
        if (!r && m->n_causation_ids)
                r = context_put_string(context, out, "workflow.causation_id", m->causation_ids[0]);
        if (!r && m->n_causation_ids > 1)
                r = context_put_strings(context, out, "workflow.causation_ids", m->causation_ids,
                                        m->n_causation_ids);
        if (!r && *m->context_id)
                r = context_put_string(context, out, "workflow.context_id", m->context_id);
        if (!r)
                r = context_put_tags(context, out);
        return r ? error_trace(r) : 0;
}

/* Reads the fragments as one message, for attributes and the chain. */
static int context_unpack(const Context *context, Catena__V1__Context **messagep) {
        const Fragments *fragments = &context->fragments;
        Buffer merged = BUFFER_NULL;
        int r = 0;

        for (uint32_t i = 0; i < fragments->n_fragments && !r; i++) {
                const SessionHold *hold = &fragments->list[i].hold;
                r = buffer_append(&merged, journal_at(context->session->journal, hold->position),
                                  hold->size);
        }
        if (!r) {
                *messagep = catena__v1__context__unpack(NULL, merged.size, merged.data);
                if (!*messagep)
                        r = error_origin(-ENOMEM); /* it was validated */
        }
        buffer_deinit(&merged);
        return r ? error_trace(r) : 0;
}

static int context_make_attributes(Context *context, const Catena__V1__Context *message) {
        Buffer out = BUFFER_NULL;
        int r;

        context_forget_attributes(context);
        r = context_put_attributes(context, &out, message);
        if (r) {
                buffer_deinit(&out);
                return error_trace(r);
        }
        context->attributes = out.data;
        context->n_bytes = out.size;
        session_charge(context->session, out.size);
        return 0;
}

/* ---- records ---- */

static const char *context_text(const char *text) {
        return *text ? text : NULL;
}

static int context_tell_chain(Context *context, Chains *chains, const Catena__V1__Context *m) {
        ChainsContextStart start = {
                .context_id = context_text(m->context_id),
                .correlation_id = context_text(m->correlation_id),
                .workflow_id = context_text(m->workflow_id),
                .session_id = context_text(m->session_id),
                .service = context->session->service,
                .causation_ids = (const char *const *)m->causation_ids,
                .n_causes = m->n_causation_ids,
                .pid = context->session->credentials.pid,
                .start_unix_ns = m->start_time_unix_nano,
        };
        int r;

        chains_forget(&context->chain, NULL);
        r = chains_context_start(chains, &context->chain, &start);
        context->nameless = r == CHAINS_E_NAMELESS;
        return r < 0 ? error_trace(r) : 0;
}

static int context_tell_checkpoints(Context *context, Chains *chains,
                                    const Catena__V1__Context *message) {
        int r = 0;

        for (size_t i = 0; i < message->n_checkpoints && !r; i++) {
                const char *name = message->checkpoints[i]->name;
                r = chains_context_checkpoint(chains, context->chain, name, strlen(name),
                                              message->checkpoints[i]->time_unix_nano);
        }
        return r ? error_trace(r) : 0;
}

/* The first one says where the context stands among all of its session. */
static int context_add_fragment(Context *context, const Fragment *fragment) {
        if (!context->fragments.n_fragments) {
                list_unlink(&context->link);
                list_append(&context->session->all_contexts, &context->link);
        }
        return error_trace(fragments_add(&context->fragments, context->session, fragment));
}

/* A START stands before what was read of the context already. */
static int context_add_start(Context *context, const Fragment *start) {
        Fragments *fragments = &context->fragments;
        int r;

        if (context->known)
                fragments_deinit(fragments, context->session);
        r = context_add_fragment(context, start);
        if (r)
                return error_trace(r);
        memmove(fragments->list + 1, fragments->list,
                (fragments->n_fragments - 1) * sizeof *fragments->list);
        fragments->list[0] = *start;
        return 0;
}

int context_start(Context *context, Chains *chains, const Fragment *fragment) {
        Catena__V1__Context *message = NULL;
        int r;

        r = context_add_start(context, fragment);
        context->known = true;
        if (context->ended)
                context->end_unix_ns = 0;
        context->ended = false;
        if (!r)
                r = context_unpack(context, &message);
        if (!r)
                r = context_make_attributes(context, message);
        if (!r)
                r = context_tell_chain(context, chains, message);
        if (!r)
                r = context_tell_checkpoints(context, chains, message);
        if (message)
                catena__v1__context__free_unpacked(message, NULL);
        return r ? error_trace(r) : 0;
}

int context_update(Context *context, Chains *chains, const Fragment *fragment) {
        const uint8_t *data = journal_at(context->session->journal, fragment->hold.position);
        Catena__V1__Context *added = NULL, *whole = NULL;
        int r;

        r = context_add_fragment(context, fragment);
        if (r || !context->known)
                return error_trace(r);
        added = catena__v1__context__unpack(NULL, fragment->hold.size, data);
        if (!added)
                return error_origin(-ENOMEM);
        r = context_tell_checkpoints(context, chains, added);
        /* Checkpoints are for the chain alone; anything else shows on the spans. */
        if (!r && (added->n_tags || added->n_causation_ids || *added->workflow_id ||
                   *added->session_id || *added->correlation_id || *added->context_id)) {
                r = context_unpack(context, &whole);
                if (!r)
                        r = context_make_attributes(context, whole);
        }
        catena__v1__context__free_unpacked(added, NULL);
        if (whole)
                catena__v1__context__free_unpacked(whole, NULL);
        return r ? error_trace(r) : 0;
}

void context_set_pending(Context *context, bool second_cut) {
        list_unlink(&context->pending_link);
        context->second_cut = second_cut;
        list_append(&context->session->pending_contexts, &context->pending_link);
}

void context_pass_end(Context *context, Chains *chains) {
        if (context->second_cut) {
                context->second_cut = false;
                return;
        }
        list_unlink(&context->pending_link);
        if (!context->known)
                fragments_deinit(&context->fragments, context->session);
        else if (context->end_unix_ns && !context->ended)
                context_end(context, chains, context->end_unix_ns);
        context_settle(context);
}

void context_end(Context *context, Chains *chains, uint64_t end_unix_ns) {
        list_unlink(&context->pending_link);
        context->ended = true;
        chains_context_end(chains, &context->chain, end_unix_ns);
}

int context_move(Context *context, const Fragment *fragment) {
        fragments_deinit(&context->fragments, context->session);
        return error_trace(context_add_fragment(context, fragment));
}
