/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-span.h"

#include "lib/client-clock.h"
#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-fragment.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "lib/client-sampler.h"
#include "proto/id.h"
#include "proto/w3c.h"

#include <stdatomic.h>
#include <string.h>

enum { SPAN_LOOK_NS = 10 * 1000 * 1000 };

/* Set in the ids of detached spans, clear in those of others: so the current span's id tells. */
static const uint64_t SPAN_ID_DETACHED = 1;

static _Atomic uint64_t look_ns; /* monotonic: when to look at the link and the era again */

_Static_assert(sizeof(SpanStamp) <= sizeof(((catena_span *)NULL)->reserved), "it must fit");

bool catena__span_is(const catena_span *span) {
        uint64_t trace[2];

        memcpy(trace, span->trace_id, sizeof trace);
        return (trace[0] | trace[1]) && id_span_key(span->span_id);
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

bool catena__span_current(catena_span *span, const ContextBody *body, SlotHandle handle) {
        Slot *slot = catena__slot_find(handle);
        uint64_t current = slot ? atomic_load(&slot->span) : 0;
        SpanStamp stamp = {
                .recording = body->flags & W3C_FLAG_SAMPLED || catena__link_records_all(),
                .era = catena__clock_last_era(),
                .epoch = (uint16_t)catena__process_epoch(),
                .detached = current & SPAN_ID_DETACHED,
        };

        *span = (catena_span){.context = handle, .flags = body->flags};
        context_trace_id(body, span->trace_id);
        memcpy(span->span_id, &current, sizeof current);
        if (current != body->parent_span && body->epoch == stamp.epoch)
                memcpy(span->reserved, &stamp, sizeof stamp);
        return current;
}

/* Whether this process may change it: it started it, or it is detached. */
static bool span_is_ours(const catena_span *span) {
        SpanStamp stamp = catena__span_stamp(span);

        /* One with an epoch, or detached, tells that the library has been started. */
        if ((stamp.epoch || stamp.detached) && catena__span_is(span) &&
            (stamp.epoch == catena__process_epoch() || stamp.detached))
                return true;
        catena__misuse(MISUSE_SPAN);
        return false;
}

/* Also that there is somebody to tell. */
static bool span_may_change(const catena_span *span) {
        if (!span_is_ours(span) || !catena__span_stamp(span).recording || !catena__process_on())
                return false;
        if (!catena__link_is_away())
                return true;
        catena__lost(LOST_NOT_CONNECTED, LOST_UPDATES);
        return false;
}

/* Says what changes. */
static void span_say(const catena_span *span, Fragment *change) {
        change->slot = catena__slot_find(span->context);
        if (catena__span_stamp(span).detached)
                change->flags |= RECORD_DETACHED;
        catena__fragment_send(span, change);
}

bool catena_span_recording(catena_span span) {
        SpanStamp stamp = catena__span_stamp(&span);

        return stamp.recording && catena__process_on() &&
               (stamp.epoch == catena__process_epoch() || stamp.detached);
}

/* ---- starting ---- */

/* The flags of a child of another tracer's span. */
static uint8_t span_sample(const catena_span *parent) {
        bool sampled = catena__sampler_ask(parent->trace_id, &parent->flags).sampled;

        return (uint8_t)((parent->flags & ~W3C_FLAG_SAMPLED) | (sampled ? W3C_FLAG_SAMPLED : 0));
}

/* Where a new span stands: its trace, its parent, its context. `parent` NULL: the current span. */
static bool span_place(catena_span *span, Fragment *start, catena_context *context,
                       const catena_span *parent) {
        ContextBody *body = NULL;
        uint64_t current;
        bool remote;

        if (context || !parent) {
                start->slot = catena__context_slot(&span->context, context);
                if (!start->slot)
                        return false;
                body = atomic_load_explicit(&start->slot->body, memory_order_acquire);
        } else {
                span->context = parent->context;
                start->slot = catena__slot_find(span->context);
        }
        if (parent) {
                memcpy(span->trace_id, parent->trace_id, sizeof span->trace_id);
                memcpy(span->parent_id, parent->span_id, sizeof span->parent_id);
                remote = !catena__span_stamp(parent).epoch;
                span->flags = remote ? span_sample(parent) : parent->flags;
        } else {
                current = atomic_load_explicit(&start->slot->span, memory_order_acquire);
                context_trace_id(body, span->trace_id);
                memcpy(span->parent_id, &current, sizeof span->parent_id);
                span->flags = body->flags;
                remote = body->remote && current == body->parent_span;
                if (!current && catena__span_is(&body->sender))
                        start->sender = &body->sender;
        }
        start->span_flags = span_otlp_flags(span->flags, remote);
        return true;
}

/* Its id and its stamp; the era is that of a parent at hand, so that their times agree. */
static void span_name_itself(catena_span *span, bool recording, bool detached,
                             const catena_span *parent) {
        SpanStamp parents = parent ? catena__span_stamp(parent) : (SpanStamp){0};
        SpanStamp stamp = {
                .recording = recording,
                .era = parents.epoch ? parents.era : catena__clock_last_era(),
                .epoch = (uint16_t)catena__process_epoch(),
                .detached = detached,
        };
        uint64_t id;

        memcpy(span->reserved, &stamp, sizeof stamp);
        do
                id = catena__random_word() & ~SPAN_ID_DETACHED;
        while (!id);
        if (detached)
                id |= SPAN_ID_DETACHED;
        memcpy(span->span_id, &id, sizeof id);
}

/* Every few milliseconds a look at what moves slowly. */
static void span_look(uint64_t now) {
        uint64_t due = atomic_load_explicit(&look_ns, memory_order_relaxed);

        if (now >= due && atomic_compare_exchange_strong(&look_ns, &due, now + SPAN_LOOK_NS)) {
                (void)catena__clock_era();
                catena__link_look();
        }
}

uint64_t catena__span_clock(void) {
        uint64_t now = catena__clock_ns();

        span_look(now);
        return now;
}

static uint8_t span_kind(uint32_t kind) {
        if (kind > CATENA_KIND_CONSUMER) {
                catena__misuse(MISUSE_FLAGS);
                kind = 0;
        }
        return kind ? (uint8_t)kind : CATENA_KIND_INTERNAL;
}

static void span_say_start(const catena_span *span, Fragment *start) {
        ContextBody *body = NULL;
        Shared *tracestate = NULL;

        if (start->slot && atomic_load_explicit(&start->slot->has_tracestate, memory_order_relaxed))
                body = catena__slot_hold(span->context);
        if (body)
                tracestate = atomic_load(&body->tracestate);
        if (tracestate)
                start->tracestate = tracestate->text;
        catena__fragment_send(span, start);
        if (body)
                catena__slot_release();
        if (start->sender)
                catena_span_link(*span, *start->sender, NULL, 0);
}

/* Starts a span with what `start` says of it; leaves it all zero where that cannot be. */
static void span_start(catena_span *span, catena_context *context, const catena_span *parent,
                       Fragment *start) {
        bool recording, away;
        uint64_t now = 0;

        if (!start->name) {
                catena__misuse(MISUSE_NAME);
                start->name = "";
        }
        if (!catena__process_start() || !span_place(span, start, context, parent))
                return;
        recording = span->flags & W3C_FLAG_SAMPLED || catena__link_records_all();
        away = recording && catena__link_is_away();
        if (!recording)
                span_look(catena__clock_coarse_ns()); /* the daemon may want all of them */
        else if (!away)
                now = catena__span_clock();
        span_name_itself(span, recording, start->flags & RECORD_DETACHED, parent);
        if (start->slot && !parent)
                atomic_store_explicit(&start->slot->span, id_span_key(span->span_id),
                                      memory_order_release);
        if (away)
                catena__lost(LOST_NOT_CONNECTED, LOST_STARTS);
        if (away || !recording)
                return;
        if (!start->unix_ns)
                start->unix_ns = catena__clock_unix_ns(catena__span_stamp(span).era, now);
        span_say_start(span, start);
}

catena_span catena_span_start_with(catena_context *context, const char *name,
                                   const catena_span_options *options) {
        static const catena_span_options none;
        catena_span span = {0};
        Fragment start;

        if (!options)
                options = &none;
        if (options->flags & ~(uint32_t)CATENA_DETACHED)
                catena__misuse(MISUSE_FLAGS);
        fragment_init(&start, RECORD_START);
        if (options->flags & CATENA_DETACHED)
                start.flags |= RECORD_DETACHED;
        start.name = name;
        start.kind = span_kind(options->kind);
        start.scope = options->scope;
        start.unix_ns = options->start_unix_ns;
        start.attributes = options->attributes;
        start.n_attributes = options->attributes ? options->n_attributes : 0;
        start.links = options->links;
        start.n_links = options->links ? options->n_links : 0;
        span_start(&span, context, catena__span_is(&options->parent) ? &options->parent : NULL,
                   &start);
        return span;
}

catena_span catena_span_start(catena_context *context, const char *name, uint32_t kind) {
        catena_span span = {0};
        Fragment start;

        fragment_init(&start, RECORD_START);
        start.name = name;
        start.kind = span_kind(kind);
        span_start(&span, context, NULL, &start);
        return span;
}

catena_span catena_span_child(catena_span parent, const char *name, uint32_t kind) {
        catena_span span = {0};
        Fragment start;

        fragment_init(&start, RECORD_START);
        start.name = name;
        start.kind = span_kind(kind);
        if (catena__span_is(&parent))
                span_start(&span, NULL, &parent, &start);
        else
                catena__misuse(MISUSE_SPAN);
        return span;
}

catena_span catena_span_detached(const char *traceparent) {
        SpanStamp stamp = {.era = catena__clock_last_era(), .detached = true};
        catena_span span = {0};
        W3cTraceparent given;

        if (!traceparent || !w3c_traceparent_read(&given, traceparent, strlen(traceparent))) {
                catena__misuse(MISUSE_SPAN);
                return span;
        }
        memcpy(span.trace_id, given.trace_id, sizeof span.trace_id);
        memcpy(span.span_id, given.span_id, sizeof span.span_id);
        span.flags = given.flags;
        stamp.recording = catena__process_start() &&
                          (given.flags & W3C_FLAG_SAMPLED || catena__link_records_all());
        if (!stamp.recording && catena__process_on())
                span_look(catena__clock_coarse_ns()); /* the daemon may want all of them */
        memcpy(span.reserved, &stamp, sizeof stamp);
        return span;
}

/* ---- changing ---- */

void catena_span_set(catena_span span, const catena_attribute *attributes, size_t n) {
        Fragment change;

        if (!span_may_change(&span))
                return;
        if (!attributes && n)
                catena__misuse(MISUSE_ATTRIBUTE);
        fragment_init(&change, 0);
        change.attributes = attributes;
        change.n_attributes = attributes ? n : 0;
        span_say(&span, &change);
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
        Fragment change;

        fragment_init(&change, 0);
        change.name = name;
        if (!name)
                catena__misuse(MISUSE_NAME);
        else if (span_may_change(&span))
                span_say(&span, &change);
}

void catena_span_set_status(catena_span span, uint32_t status, const char *message) {
        Fragment change;

        fragment_init(&change, 0);
        change.status = (uint8_t)status;
        change.status_message = status == CATENA_STATUS_ERROR ? message : NULL;
        if (status > CATENA_STATUS_ERROR)
                catena__misuse(MISUSE_FLAGS);
        else if (span_may_change(&span) && status != CATENA_STATUS_UNSET)
                span_say(&span, &change);
}

void catena_span_link(catena_span span, catena_span other, const catena_attribute *attributes,
                      size_t n) {
        catena_link link = {other, attributes, attributes ? n : 0};
        Fragment change;

        fragment_init(&change, 0);
        change.links = &link;
        change.n_links = 1;
        if (span_may_change(&span))
                span_say(&span, &change);
}

static uint64_t span_now(const catena_span *span) {
        return catena__clock_unix_ns(catena__span_stamp(span).era, catena__clock_ns());
}

void catena_span_event_at(catena_span span, const char *name, uint64_t unix_ns,
                          const catena_attribute *attributes, size_t n) {
        FragmentEvent event = {
                .name = name,
                .attributes = attributes,
                .n_attributes = attributes ? n : 0,
        };
        Fragment change;

        if (!name)
                catena__misuse(MISUSE_NAME);
        if (!span_may_change(&span))
                return;
        event.unix_ns = unix_ns ? unix_ns : span_now(&span);
        fragment_init(&change, 0);
        change.event = &event;
        span_say(&span, &change);
}

void catena_span_event(catena_span span, const char *name, const catena_attribute *attributes,
                       size_t n) {
        catena_span_event_at(span, name, 0, attributes, n);
}

void catena_span_error(catena_span span, const char *type, const char *message,
                       const char *stacktrace) {
        catena_attribute attributes[3];
        FragmentEvent event = {.name = "exception", .attributes = attributes};
        Fragment change;

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
        fragment_init(&change, 0);
        change.status = CATENA_STATUS_ERROR;
        change.status_message = message;
        change.event = &event;
        span_say(&span, &change);
}

/* ---- ending ---- */

/* Its parent is current again, if it is current. */
static void span_leave(const catena_span *span, Slot *slot) {
        uint64_t parent, id = id_span_key(span->span_id);

        if (atomic_load_explicit(&slot->span, memory_order_relaxed) != id)
                return;
        memcpy(&parent, span->parent_id, sizeof parent);
        (void)atomic_compare_exchange_strong(&slot->span, &id, parent);
}

/* `unix_ns` 0: now, which is read first, so that what was written before has time to leave. */
static void span_end(const catena_span *span, uint64_t unix_ns) {
        SpanStamp stamp = catena__span_stamp(span);
        bool recording, away = false;
        Fragment end;

        if (!span_is_ours(span))
                return;
        recording = stamp.recording && catena__process_on();
        if (recording) {
                away = catena__link_is_away();
                if (!away && !unix_ns)
                        unix_ns = catena__clock_unix_ns(stamp.era, catena__span_clock());
        }
        fragment_init(&end, stamp.detached ? RECORD_END | RECORD_DETACHED : RECORD_END);
        end.unix_ns = unix_ns;
        end.slot = catena__slot_find(span->context);
        if (end.slot)
                span_leave(span, end.slot);
        if (away)
                catena__lost(LOST_NOT_CONNECTED, LOST_ENDS);
        else if (recording)
                catena__fragment_send(span, &end);
}

void catena_span_end_at(catena_span span, uint64_t unix_ns) {
        span_end(&span, unix_ns);
}

void catena_span_end(catena_span span) {
        span_end(&span, 0);
}
