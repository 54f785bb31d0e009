/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/span.h"

#include "daemon/base/error.h"
#include "daemon/trace/context.h"
#include "proto/otlp.h"

#include <errno.h>

Map *span_map(Session *session, bool detached) {
        return detached ? &session->user->detached : &session->spans;
}

int span_new(Span **spanp, Session *session, uint64_t key, bool detached) {
        Span *span;
        int r;

        span = pool_take(session->span_pool);
        if (!span)
                return error_origin(-ENOMEM);
        *span = (Span){
                .object = {.signal = BATCH_TRACES, .session = session},
                .key = key,
                .detached = detached,
        };
        fragments_init(&span->object.fragments);
        list_init(&span->object.link);
        list_init(&span->pending_link);
        list_init(&span->held_link);
        r = map_put(span_map(session, detached), key, span);
        if (r) {
                pool_give(session->span_pool, span);
                return error_trace(r);
        }
        list_append(&session->held, &span->held_link);
        session_charge(session, sizeof *span);
        *spanp = span;
        return 0;
}

Span *span_free(Span *span) {
        Session *session = span->object.session;
        Context *context = span->object.context;

        chains_forget(NULL, &span->chain);
        fragments_deinit(&span->object.fragments, session);
        map_remove(span_map(session, span->detached), span->key);
        list_unlink(&span->object.link);
        list_unlink(&span->pending_link);
        list_unlink(&span->held_link);
        session_discharge(session, sizeof *span);
        if (context) {
                context->n_objects--;
                context_settle(context);
        }
        pool_give(session->span_pool, span);
        return NULL;
}

/* What wins where fragments differ: a START comes before all others, whenever it arrives. */
static void span_merge(Span *span, const Fragment *fragment, const ValidateSummary *summary) {
        const uint8_t *data = journal_at(span->object.session->journal, fragment->hold.position);
        bool start = fragment->flags & FRAGMENT_START;

        if (summary->name.data && !(start && span->name)) {
                span->name = fragment->hold.position +
                             (size_t)((const uint8_t *)summary->name.data - data);
                span->name_size = (uint32_t)summary->name.size;
        }
        if (summary->seen & 1u << OTLP_SPAN_KIND && !(start && span->seen & 1u << OTLP_SPAN_KIND))
                span->kind = summary->kind;
        if (summary->seen & 1u << OTLP_SPAN_STATUS &&
            (fragment->flags & FRAGMENT_CLOSES ||
             join_status_wins(span->status_code, summary->status_code)))
                span->status_code = summary->status_code;
        if (summary->start_unix_ns)
                span->start_unix_ns = summary->start_unix_ns;
}

/* Of one event or link, or a value. */
static bool span_is_over(const ValidateSummary *summary, const JoinLimits *limits) {
        return summary->longest_value_bytes > limits->value_length ||
               summary->most_event_attributes > limits->event_attributes ||
               summary->most_link_attributes > limits->link_attributes;
}

int span_add(Span *span, const Fragment *fragment, const ValidateSummary *summary) {
        int r;

        r = fragments_add(&span->object.fragments, span->object.session, fragment);
        if (r)
                return error_trace(r);
        if (summary->unknown || span_is_over(summary, &span->object.session->limits))
                span->object.trim = true;
        if (span->object.trim || summary->repeated_field || (span->seen & summary->seen))
                span->object.rebuild = true;
        if (summary->repeated_key || validate_bloom_meet(&span->keys, &summary->keys))
                span->keys_meet = true;
        span_merge(span, fragment, summary);
        validate_bloom_merge(&span->keys, &summary->keys);
        span->seen |= summary->seen;
        span->n_attributes += summary->n_attributes;
        span->n_events += summary->n_events;
        span->n_links += summary->n_links;
        return 0;
}

int span_replace(Span *span, const Fragment *fragment, const ValidateSummary *summary) {
        fragments_deinit(&span->object.fragments, span->object.session);
        span->object.rebuild = span->object.trim = span->keys_meet = false;
        span->keys = (ValidateBloom){0};
        span->seen = span->n_attributes = span->n_events = span->n_links = 0;
        span->name = span->kind = span->status_code = 0;
        list_unlink(&span->held_link);
        list_append(&span->object.session->held, &span->held_link);
        return span_add(span, fragment, summary);
}

int span_settle(Span *span, ObjectPieces *pieces) {
        const Context *context = span->object.context;
        const JoinLimits *limits = &span->object.session->limits;
        bool settled = span->object.fragments.list[0].flags & FRAGMENT_SETTLED;
        bool meet = span->keys_meet;
        int r;

        if (context && validate_bloom_meet(&span->keys, &context->keys))
                meet = true;
        if (context && context->conflict)
                span->object.trim = true;
        if (!settled && (span->n_attributes > limits->attributes ||
                         span->n_events > limits->events || span->n_links > limits->links))
                span->object.trim = true;
        if (span->object.trim)
                span->object.rebuild = true;
        if (span->object.rebuild || !meet)
                return 0;
        r = object_pieces_in_context(&span->object, pieces);
        if (r)
                return error_trace(r);
        span->object.rebuild = join_keys_repeat(pieces->list, pieces->n_pieces);
        return 0;
}

bool span_fragment_summary(const Span *span, const Fragment *fragment, ValidateSummary *summary) {
        const Journal *journal = span->object.session->journal;

        return validate_span(summary, journal_at(journal, fragment->hold.position),
                             fragment->hold.size, fragment->flags & FRAGMENT_START,
                             (const uint8_t *)&span->key) == 0;
}

bool span_summary(const Span *span, ValidateSummary *summary) {
        const Fragments *fragments = &span->object.fragments;

        for (uint32_t i = 0; i < fragments->n_fragments; i++)
                if (fragments->list[i].flags & FRAGMENT_START)
                        return span_fragment_summary(span, &fragments->list[i], summary);
        return false;
}
