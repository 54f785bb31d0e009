/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-span.h"

#include "lib/client-clock.h"
#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-fragment.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "proto/id.h"
#include "proto/w3c.h"

#include <string.h>

_Static_assert(sizeof(SpanStamp) <= sizeof(((catena_span *)NULL)->reserved), "it must fit");

bool catena__span_is(const catena_span *span) {
        return !id_is_zero(span->trace_id, ID_TRACE_SIZE) &&
               !id_is_zero(span->span_id, ID_SPAN_SIZE);
}

SpanStamp catena__span_stamp(const catena_span *span) {
        SpanStamp stamp;

        memcpy(&stamp, span->reserved, sizeof stamp);
        return stamp;
}

static uint32_t span_otlp_flags(uint8_t flags, bool remote) {
        return flags | FRAGMENT_HAS_IS_REMOTE | (remote ? FRAGMENT_IS_REMOTE : 0);
}

uint32_t catena__span_flags(const catena_span *span) {
        return span_otlp_flags(span->flags, !catena__span_stamp(span).epoch);
}

/* Whether this process started it and may change it. */
static bool span_is_ours(const catena_span *span) {
        uint32_t epoch = catena__span_stamp(span).epoch;

        /* One with an epoch tells that the library has been started. */
        if (epoch && catena__span_is(span) && epoch == catena__process_epoch())
                return true;
        catena__misuse(MISUSE_SPAN);
        return false;
}

static bool span_may_change(const catena_span *span) {
        return span_is_ours(span) && catena__span_stamp(span).recording && catena__process_on();
}

bool catena_span_recording(catena_span span) {
        SpanStamp stamp = catena__span_stamp(&span);

        return stamp.recording && catena__process_on() && stamp.epoch == catena__process_epoch();
}

/* ---- starting ---- */

/* Where a new span stands: its trace, its parent, its context. */
static bool span_place(catena_span *span, bool *remotep, catena_context *context,
                       const catena_span *parent) {
        bool given = catena__span_is(parent);
        ContextBody *body = NULL;
        SlotHandle handle = 0;
        uint64_t current;

        if (context || !given) {
                body = catena__context_body(context, &handle);
                if (!body)
                        return false;
        }
        *span = (catena_span){.context = body ? handle : parent->context};
        if (given) {
                memcpy(span->trace_id, parent->trace_id, sizeof span->trace_id);
                memcpy(span->parent_id, parent->span_id, sizeof span->parent_id);
                span->flags = parent->flags;
                *remotep = !catena__span_stamp(parent).epoch;
                return true;
        }
        current = atomic_load(&catena__slot_find(handle)->span);
        memcpy(span->trace_id, body->trace_id, sizeof span->trace_id);
        memcpy(span->parent_id, &current, sizeof span->parent_id);
        span->flags = body->flags;
        *remotep = body->remote && current == body->parent_span;
        return true;
}

static void span_name_itself(catena_span *span, const catena_span *parent) {
        SpanStamp stamp = {
                .recording = span->flags & W3C_FLAG_SAMPLED || catena__link_records_all(),
                .epoch = (uint16_t)catena__process_epoch(),
        };
        SpanStamp parents = catena__span_stamp(parent);

        /* Under a parent at hand, in its era, so that their times agree. */
        stamp.era = parents.epoch ? parents.era : catena__clock_era();
        memcpy(span->reserved, &stamp, sizeof stamp);
        do
                catena__random(span->span_id, sizeof span->span_id);
        while (id_is_zero(span->span_id, sizeof span->span_id));
}

static void span_say_start(const catena_span *span, bool remote, const char *name,
                           const catena_span_options *options) {
        ContextBody *body = catena__slot_hold(span->context);
        Fragment fragment = {
                .flags = RECORD_START,
                .scope = options->scope,
                .kind = options->kind ? options->kind : CATENA_KIND_INTERNAL,
                .span_flags = span_otlp_flags(span->flags, remote),
                .start_unix_ns = options->start_unix_ns,
                .tracestate = body ? body->tracestate : NULL,
                .name = name,
                .attributes = options->attributes,
                .n_attributes = options->attributes ? options->n_attributes : 0,
                .links = options->links,
                .n_links = options->links ? options->n_links : 0,
        };

        if (!fragment.start_unix_ns)
                fragment.start_unix_ns =
                        catena__clock_unix_ns(catena__span_stamp(span).era, catena__clock_ns());
        if (fragment.kind > CATENA_KIND_CONSUMER) {
                catena__misuse(MISUSE_FLAGS);
                fragment.kind = CATENA_KIND_INTERNAL;
        }
        catena__fragment_send(span, &fragment);
        if (body)
                catena__slot_release();
        catena__count(COUNT(spans_started), 1);
}

catena_span catena_span_start_with(catena_context *context, const char *name,
                                   const catena_span_options *options) {
        static const catena_span_options none;
        catena_span span;
        bool remote;
        Slot *slot;

        if (!options)
                options = &none;
        if (!name) {
                catena__misuse(MISUSE_NAME);
                name = "";
        }
        if (!catena__process_start() || !span_place(&span, &remote, context, &options->parent))
                return (catena_span){0};
        span_name_itself(&span, &options->parent);
        slot = catena__span_is(&options->parent) ? NULL : catena__slot_find(span.context);
        if (slot)
                atomic_store(&slot->span, id_span_key(span.span_id));
        if (catena__span_stamp(&span).recording)
                span_say_start(&span, remote, name, options);
        return span;
}

catena_span catena_span_start(catena_context *context, const char *name, uint32_t kind) {
        return catena_span_start_with(context, name, &(catena_span_options){.kind = kind});
}

catena_span catena_span_child(catena_span parent, const char *name, uint32_t kind) {
        if (!catena__span_is(&parent)) {
                catena__misuse(MISUSE_SPAN);
                return (catena_span){0};
        }
        return catena_span_start_with(NULL, name,
                                      &(catena_span_options){.parent = parent, .kind = kind});
}

/* ---- changing ---- */

void catena_span_set(catena_span span, const catena_attribute *attributes, size_t n) {
        if (!span_may_change(&span))
                return;
        if (!attributes && n)
                catena__misuse(MISUSE_ATTRIBUTE);
        catena__fragment_send(&span, &(Fragment){
                                             .attributes = attributes,
                                             .n_attributes = attributes ? n : 0,
                                     });
}

void catena_span_set_string(catena_span span, const char *key, const char *value) {
        catena_span_set(span, &(catena_attribute){.key = key, .value.string = value}, 1);
}

void catena_span_set_int(catena_span span, const char *key, int64_t value) {
        catena_span_set(
                span,
                &(catena_attribute){.key = key, .type = CATENA_TYPE_INT, .value.integer = value},
                1);
}

void catena_span_set_double(catena_span span, const char *key, double value) {
        catena_span_set(
                span,
                &(catena_attribute){.key = key, .type = CATENA_TYPE_DOUBLE, .value.real = value},
                1);
}

void catena_span_set_bool(catena_span span, const char *key, bool value) {
        catena_span_set(
                span,
                &(catena_attribute){.key = key, .type = CATENA_TYPE_BOOL, .value.boolean = value},
                1);
}

void catena_span_set_name(catena_span span, const char *name) {
        if (!name)
                catena__misuse(MISUSE_NAME);
        else if (span_may_change(&span))
                catena__fragment_send(&span, &(Fragment){.name = name});
}

void catena_span_set_status(catena_span span, uint32_t status, const char *message) {
        if (status > CATENA_STATUS_ERROR)
                catena__misuse(MISUSE_FLAGS);
        else if (span_may_change(&span) && status != CATENA_STATUS_UNSET)
                catena__fragment_send(
                        &span,
                        &(Fragment){
                                .status = status,
                                .status_message = status == CATENA_STATUS_ERROR ? message : NULL,
                        });
}

void catena_span_link(catena_span span, catena_span other, const catena_attribute *attributes,
                      size_t n) {
        if (span_may_change(&span))
                catena__fragment_send(&span, &(Fragment){
                                                     .links =
                                                             &(catena_link){
                                                                     other,
                                                                     attributes,
                                                                     attributes ? n : 0,
                                                             },
                                                     .n_links = 1,
                                             });
}

void catena_span_event_at(catena_span span, const char *name, uint64_t unix_ns,
                          const catena_attribute *attributes, size_t n) {
        FragmentEvent event = {
                .name = name,
                .unix_ns = unix_ns,
                .attributes = attributes,
                .n_attributes = attributes ? n : 0,
        };

        if (!name)
                catena__misuse(MISUSE_NAME);
        if (span_may_change(&span))
                catena__fragment_send(&span, &(Fragment){.event = &event});
}

static uint64_t span_now(const catena_span *span) {
        return catena__clock_unix_ns(catena__span_stamp(span).era, catena__clock_ns());
}

void catena_span_event(catena_span span, const char *name, const catena_attribute *attributes,
                       size_t n) {
        catena_span_event_at(span, name, span_now(&span), attributes, n);
}

void catena_span_error(catena_span span, const char *type, const char *message,
                       const char *stacktrace) {
        catena_attribute attributes[3];
        FragmentEvent event = {.name = "exception", .attributes = attributes};

        if (!span_may_change(&span))
                return;
        if (!type && !message)
                type = "error"; /* an exception needs one of the two */
        if (type)
                attributes[event.n_attributes++] = (catena_attribute){
                        .key = "exception.type",
                        .value.string = type,
                };
        if (message)
                attributes[event.n_attributes++] = (catena_attribute){
                        .key = "exception.message",
                        .value.string = message,
                };
        if (stacktrace)
                attributes[event.n_attributes++] = (catena_attribute){
                        .key = "exception.stacktrace",
                        .value.string = stacktrace,
                };
        event.unix_ns = span_now(&span);
        catena__fragment_send(&span, &(Fragment){
                                             .status = CATENA_STATUS_ERROR,
                                             .status_message = message,
                                             .event = &event,
                                     });
}

/* ---- ending ---- */

void catena_span_end_at(catena_span span, uint64_t unix_ns) {
        uint64_t parent, id = id_span_key(span.span_id);
        Slot *slot;

        if (!span_is_ours(&span))
                return;
        slot = catena__slot_find(span.context);
        if (slot) {
                memcpy(&parent, span.parent_id, sizeof parent);
                (void)atomic_compare_exchange_strong(&slot->span, &id, parent);
        }
        if (!catena__span_stamp(&span).recording || !catena__process_on())
                return;
        catena__fragment_send(&span, &(Fragment){.flags = RECORD_END, .end_unix_ns = unix_ns});
        catena__count(COUNT(spans_ended), 1);
}

void catena_span_end(catena_span span) {
        catena_span_end_at(span, span_now(&span));
}
