/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/batch.h"

#include "daemon/base/error.h"
#include "daemon/trace/context.h"
#include "daemon/trace/span.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The same numbers in trace.proto and logs.proto and their services. */
enum {
        REQUEST_RESOURCES = 1,
        RESOURCE_RESOURCE = 1,
        RESOURCE_SCOPES = 2,
        SCOPE_SCOPE = 1,
        SCOPE_OBJECTS = 2,
};

enum {
        /* A tag of one byte and the longest length, for each message that an object stands in. */
        BATCH_FRAME_MAX = 4 * 6,
        BATCH_SCOPE_BITS = 32, /* of a group */
};

const char *batch_drop_name(BatchDrop drop) {
        switch (drop) {
#define BATCH_DROP_X(symbol, value, name, meaning)                                                 \
        case BATCH_DROP_##symbol:                                                                  \
                return name;
                BATCH_DROPS(BATCH_DROP_X)
#undef BATCH_DROP_X
        default:
                return "unknown";
        }
}

const char *batch_signal_name(BatchSignal signal) {
        return signal == BATCH_TRACES ? "traces" : "logs";
}

/* An object of the request, and its bytes where joining made new ones. */
typedef struct BatchItem {
        Object *object;
        uint64_t group; /* the number of its session, and behind that of its scope */
        size_t size;
        size_t framed_size; /* with its tag and length */
        size_t rebuilt;     /* offset in the rebuilt bytes, if object->rebuild */
        size_t order;
} BatchItem;

struct BatchEncoder {
        BatchItem *items; /* of the request that is made */
        size_t n_items, n_allocated;
        bool in_order; /* as they came, which they are unless sessions or scopes mix */
        Buffer rebuilt;
        ObjectPieces pieces;
};

int batch_encoder_new(BatchEncoder **encoderp) {
        BatchEncoder *encoder = calloc(1, sizeof *encoder);

        if (!encoder)
                return error_origin(-ENOMEM);
        *encoderp = encoder;
        return 0;
}

BatchEncoder *batch_encoder_free(BatchEncoder *encoder) {
        if (!encoder)
                return NULL;
        free(encoder->items);
        buffer_deinit(&encoder->rebuilt);
        object_pieces_deinit(&encoder->pieces);
        free(encoder);
        return NULL;
}

static int batch_encoder_begin(BatchEncoder *encoder, size_t n_items) {
        BatchItem *items = encoder->items;

        if (encoder->n_allocated < n_items) {
                items = realloc(items, n_items * sizeof *items);
                if (!items)
                        return error_origin(-ENOMEM);
                encoder->items = items;
                encoder->n_allocated = n_items;
        }
        encoder->n_items = 0;
        encoder->in_order = true;
        encoder->rebuilt.size = 0;
        return 0;
}

static int batch_item_size(BatchEncoder *encoder, BatchItem *item) {
        Object *object = item->object;
        JoinReport report = {0};
        int r;

        /* Its context may know more by now than when the span was closed. */
        if (object->context && object->signal == BATCH_TRACES) {
                r = span_settle(span_of(object), &encoder->pieces);
                if (r)
                        return error_trace(r);
        }
        if (!object->rebuild) {
                item->size = object->fragments.n_bytes;
                if (object->context && object->signal == BATCH_TRACES)
                        item->size += object->context->n_bytes;
                return 0;
        }
        item->rebuilt = encoder->rebuilt.size;
        r = object_pieces_in_context(object, &encoder->pieces);
        if (!r)
                r = object_join(object, &encoder->pieces, &encoder->rebuilt, &report);
        if (r)
                return error_trace(r);
        item->size = encoder->rebuilt.size - item->rebuilt;
        return 0;
}

static uint64_t batch_group(const Object *object) {
        return (uint64_t)object->session->number << BATCH_SCOPE_BITS | object->scope;
}

static int batch_compare(const void *ap, const void *bp) {
        const BatchItem *a = ap, *b = bp;

        if (a->group != b->group)
                return a->group < b->group ? -1 : 1;
        return a->order < b->order ? -1 : 1;
}

/* Takes objects from the cursor on until the request is full. */
static int batch_collect(BatchEncoder *encoder, const Batch *batch, BatchCursor *cursor) {
        size_t size = 0, scope_size = 0;
        uint64_t group = 0; /* of the item before; there is no session 0 */
        int r;

        r = batch_encoder_begin(encoder, batch->n_objects - cursor->next + 1);
        if (r)
                return error_trace(r);
        for (; cursor->next < batch->n_objects; cursor->next++) {
                BatchItem *item = &encoder->items[encoder->n_items];
                Object *object = batch->objects[cursor->next];

                context_prefetch_walk(batch->objects, batch->n_objects, cursor->next);
                *item = (BatchItem){.object = object,
                                    .group = batch_group(object),
                                    .order = encoder->n_items};
                r = batch_item_size(encoder, item);
                if (r)
                        return error_trace(r);
                item->framed_size = pb_bytes_size(SCOPE_OBJECTS, item->size);
                size += item->size + BATCH_FRAME_MAX;
                if (item->group >> BATCH_SCOPE_BITS != group >> BATCH_SCOPE_BITS)
                        size += object->session->resource_size;
                if (item->group != group)
                        session_scope(object->session, object->scope, &scope_size);
                size += scope_size;
                if (size > BATCH_REQUEST_MAX && encoder->n_items)
                        return 0;
                if (item->group < group)
                        encoder->in_order = false;
                group = item->group;
                encoder->n_items++;
        }
        cursor->done = true;
        return 0;
}

/* The items from `i` on that share a session, or a scope as well. */
static size_t batch_group_end(const BatchEncoder *encoder, size_t i, bool scope) {
        unsigned shift = scope ? 0 : BATCH_SCOPE_BITS;
        uint64_t group = encoder->items[i].group >> shift;

        do
                i++;
        while (i < encoder->n_items && encoder->items[i].group >> shift == group);
        return i;
}

static size_t batch_scope_size(const BatchEncoder *encoder, size_t first, size_t end) {
        const Object *object = encoder->items[first].object;
        size_t scope_size, size = 0;

        session_scope(object->session, object->scope, &scope_size);
        if (scope_size)
                size += pb_bytes_size(SCOPE_SCOPE, scope_size);
        for (size_t i = first; i < end; i++)
                size += encoder->items[i].framed_size;
        return size;
}

static size_t batch_resource_size(const BatchEncoder *encoder, size_t first, size_t end) {
        const Session *session = encoder->items[first].object->session;
        size_t size = pb_bytes_size(RESOURCE_RESOURCE, session->resource_size);

        for (size_t i = first; i < end;) {
                size_t next = batch_group_end(encoder, i, true);
                size += pb_bytes_size(RESOURCE_SCOPES, batch_scope_size(encoder, i, next));
                i = next;
        }
        return size;
}

static int batch_put_item(BatchEncoder *encoder, PbWriter *writer, const BatchItem *item) {
        int r;

        pb_put_prefix(writer, SCOPE_OBJECTS, item->size);
        if (item->object->rebuild) {
                pb_put_raw(writer, encoder->rebuilt.data + item->rebuilt, item->size);
                return 0;
        }
        r = object_pieces_in_context(item->object, &encoder->pieces);
        if (r)
                return error_trace(r);
        for (size_t i = 0; i < encoder->pieces.n_pieces; i++)
                pb_put_raw(writer, encoder->pieces.list[i].data, encoder->pieces.list[i].size);
        return 0;
}

static int batch_put_scope(BatchEncoder *encoder, PbWriter *writer, size_t first, size_t end) {
        const Object *object = encoder->items[first].object;
        const uint8_t *scope;
        size_t scope_size;
        int r;

        pb_put_prefix(writer, RESOURCE_SCOPES, batch_scope_size(encoder, first, end));
        scope = session_scope(object->session, object->scope, &scope_size);
        if (scope_size)
                pb_put_bytes(writer, SCOPE_SCOPE, scope, scope_size);
        for (size_t i = first; i < end; i++) {
                r = batch_put_item(encoder, writer, &encoder->items[i]);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int batch_put_resource(BatchEncoder *encoder, PbWriter *writer, size_t first, size_t end) {
        const Session *session = encoder->items[first].object->session;
        int r;

        pb_put_prefix(writer, REQUEST_RESOURCES, batch_resource_size(encoder, first, end));
        pb_put_bytes(writer, RESOURCE_RESOURCE, session->resource, session->resource_size);
        for (size_t i = first; i < end;) {
                size_t next = batch_group_end(encoder, i, true);
                r = batch_put_scope(encoder, writer, i, next);
                if (r)
                        return error_trace(r);
                i = next;
        }
        return 0;
}

static int batch_put_request(BatchEncoder *encoder, Buffer *out) {
        size_t size = 0, i, next;
        PbWriter writer;
        uint8_t *room;
        int r;

        for (i = 0; i < encoder->n_items; i = next) {
                next = batch_group_end(encoder, i, false);
                size += pb_bytes_size(REQUEST_RESOURCES, batch_resource_size(encoder, i, next));
        }
        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        writer = pb_writer(room, size);
        for (i = 0; i < encoder->n_items; i = next) {
                next = batch_group_end(encoder, i, false);
                r = batch_put_resource(encoder, &writer, i, next);
                if (r)
                        return error_trace(r);
        }
        assert(!writer.failed && writer.at == writer.end);
        out->size += size;
        return 0;
}

int batch_encode(BatchEncoder *encoder, const Batch *batch, BatchCursor *cursor, Buffer *out,
                 size_t *n_objectsp) {
        int r;

        r = batch_collect(encoder, batch, cursor);
        if (r)
                return error_trace(r);
        if (!encoder->in_order)
                qsort(encoder->items, encoder->n_items, sizeof *encoder->items, batch_compare);
        r = batch_put_request(encoder, out);
        if (r)
                return error_trace(r);
        *n_objectsp = encoder->n_items;
        return 0;
}
