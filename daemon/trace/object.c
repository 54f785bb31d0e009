/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/object.h"

#include "daemon/base/error.h"
#include "daemon/trace/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fragments_init(Fragments *fragments) {
        fragments->list = fragments->first;
        fragments->n_fragments = 0;
        fragments->n_allocated = sizeof fragments->first / sizeof *fragments->first;
        fragments->n_bytes = 0;
}

void fragments_deinit(Fragments *fragments, Session *session) {
        for (uint32_t i = 0; i < fragments->n_fragments; i++)
                session_release(session, &fragments->list[i].hold);
        if (fragments->list != fragments->first) {
                session_discharge(session, fragments->n_allocated * sizeof *fragments->list);
                free(fragments->list);
        }
        fragments_init(fragments);
}

int fragments_add(Fragments *fragments, Session *session, const Fragment *fragment) {
        if (fragments->n_fragments == fragments->n_allocated) {
                bool grown = fragments->list != fragments->first;
                uint32_t n = fragments->n_allocated * 2;
                Fragment *list;

                list = realloc(grown ? fragments->list : NULL, n * sizeof *list);
                if (!list)
                        return error_origin(-ENOMEM);
                if (!grown)
                        memcpy(list, fragments->first, sizeof fragments->first);
                session_charge(session, (grown ? n / 2 : n) * sizeof *list);
                fragments->list = list;
                fragments->n_allocated = n;
        }
        fragments->list[fragments->n_fragments++] = *fragment;
        fragments->n_bytes += fragment->hold.size;
        session_hold(session, &fragment->hold);
        return 0;
}

JournalPosition fragments_begin(const Fragments *fragments) {
        JournalPosition begin = fragments->n_fragments ? fragments->list[0].hold.position : 0;

        for (uint32_t i = 1; i < fragments->n_fragments; i++)
                if (fragments->list[i].hold.position < begin)
                        begin = fragments->list[i].hold.position;
        return begin;
}

/* START goes first, an END without START last. */
static unsigned fragment_rank(const Fragment *fragment) {
        if (fragment->flags & FRAGMENT_START)
                return 0;
        return fragment->flags & FRAGMENT_END ? 2 : 1;
}

void object_pieces_deinit(ObjectPieces *pieces) {
        free(pieces->list);
        *pieces = (ObjectPieces){0};
}

static void object_add_piece(const Object *object, ObjectPieces *pieces, const Fragment *fragment) {
        pieces->list[pieces->n_pieces++] = (JoinPiece){
                .data = journal_at(object->session->journal, fragment->hold.position),
                .size = fragment->hold.size,
                .closes = fragment->flags & FRAGMENT_CLOSES,
                .exempt = fragment->flags & FRAGMENT_SETTLED,
        };
}

/* As they came, if that is the order in which they are joined. */
static bool object_add_in_order(const Object *object, ObjectPieces *pieces) {
        const Fragments *fragments = &object->fragments;
        unsigned rank = 0;

        for (uint32_t i = 0; i < fragments->n_fragments; i++) {
                const Fragment *fragment = &fragments->list[i];
                unsigned own = fragment_rank(fragment);

                if (own < rank)
                        return false;
                rank = own;
                object_add_piece(object, pieces, fragment);
        }
        return true;
}

int object_pieces(const Object *object, ObjectPieces *pieces) {
        const Fragments *fragments = &object->fragments;
        size_t n_max = fragments->n_fragments + 1; /* the context's */

        if (pieces->n_allocated < n_max) {
                JoinPiece *list = realloc(pieces->list, n_max * sizeof *list);
                if (!list)
                        return error_origin(-ENOMEM);
                pieces->list = list;
                pieces->n_allocated = n_max;
        }
        pieces->n_pieces = 0;
        if (object_add_in_order(object, pieces))
                return 0;
        pieces->n_pieces = 0;
        for (unsigned rank = 0; pieces->n_pieces < fragments->n_fragments; rank++)
                for (uint32_t i = 0; i < fragments->n_fragments; i++)
                        if (fragment_rank(&fragments->list[i]) == rank)
                                object_add_piece(object, pieces, &fragments->list[i]);
        return 0;
}

int object_pieces_in_context(const Object *object, ObjectPieces *pieces) {
        const Context *context = object->signal == BATCH_TRACES ? object->context : NULL;
        int r;

        r = object_pieces(object, pieces);
        if (r)
                return error_trace(r);
        if (context && context->n_bytes)
                pieces->list[pieces->n_pieces++] = (JoinPiece){
                        .data = context->attributes, .size = context->n_bytes, .exempt = true};
        return 0;
}

int object_join(const Object *object, const ObjectPieces *pieces, Buffer *out, JoinReport *report) {
        const JoinLimits *limits = object->trim ? &object->session->limits : NULL;
        int r;

        if (!object->rebuild)
                r = join_copy(out, pieces->list, pieces->n_pieces);
        else if (object->signal == BATCH_TRACES)
                r = join_rebuild_span(out, report, pieces->list, pieces->n_pieces, limits);
        else
                r = join_rebuild_log(out, report, pieces->list, limits);
        return r ? error_trace(r) : 0;
}
