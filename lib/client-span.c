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

#include <stdatomic.h>
#include <string.h>

enum { SPAN_LOOK_NS = 10 * 1000 * 1000 };

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

/* Whether this process started it and may change it. */
static bool span_is_ours(const catena_span *span) {
        uint32_t epoch = catena__span_stamp(span).epoch;

        /* One with an epoch tells that the library has been started. */
        if (epoch && catena__span_is(span) && epoch == catena__process_epoch())
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
static void span_say(const catena_span *span, const Fragment *change) {
        Fragment fragment = *change;

        fragment.slot = catena__slot_find(span->context);
        catena__fragment_send(span, &fragment);
}

bool catena_span_recording(catena_span span) {
        SpanStamp stamp = catena__span_stamp(&span);

        return stamp.recording && catena__process_on() && stamp.epoch == catena__process_epoch();
}

/* ---- starting ---- */

/* What is known of a span that starts, beside the span. */
typedef struct SpanStart {
        const char *name;
        Slot *slot;  /* of its context; NULL: it was freed */
        bool remote; /* its parent is another process's */
        bool wanted; /* it is to be recorded */
        bool away;   /* there is nobody to tell */
} SpanStart;

/* Where a new span stands: its trace, its parent, its context. */
static bool span_place(catena_span *span, SpanStart *start, catena_context *context,
                       const catena_span *parent) {
        bool given = catena__span_is(parent);
        ContextBody *body = NULL;
        uint64_t current;

        if (context || !given) {
                body = catena__context_body(context, &span->context);
                if (!body)
                        return false;
        } else {
                span->context = parent->context;
        }
        start->slot = catena__slot_find(span->context);
        if (given) {
                memcpy(span->trace_id, parent->trace_id, sizeof span->trace_id);
                memcpy(span->parent_id, parent->span_id, sizeof span->parent_id);
                span->flags = parent->flags;
                start->remote = !catena__span_stamp(parent).epoch;
                return true;
        }
        if (!start->slot)
                return false;
        current = atomic_load_explicit(&start->slot->span, memory_order_acquire);
        memcpy(span->trace_id, body->trace_id, sizeof span->trace_id);
        memcpy(span->parent_id, &current, sizeof span->parent_id);
        span->flags = body->flags;
        start->remote = body->remote && current == body->parent_span;
        return true;
}

/* Its id and its stamp; the era is that of a parent at hand, so that their times agree. */
static void span_name_itself(catena_span *span, const SpanStart *start, const catena_span *parent) {
        SpanStamp parents = catena__span_stamp(parent);
        SpanStamp stamp = {
                .recording = start->wanted,
                .era = parents.epoch ? parents.era : catena__clock_last_era(),
                .epoch = (uint16_t)catena__process_epoch(),
        };

        memcpy(span->reserved, &stamp, sizeof stamp);
        do
                catena__random(span->span_id, sizeof span->span_id);
        while (!id_span_key(span->span_id));
}

/* Now; and every few milliseconds a look at what moves slowly. */
static uint64_t span_clock(void) {
        uint64_t due = atomic_load_explicit(&look_ns, memory_order_relaxed);
        uint64_t now = catena__clock_ns();

        if (now >= due && atomic_compare_exchange_strong(&look_ns, &due, now + SPAN_LOOK_NS)) {
                (void)catena__clock_era();
                catena__link_look();
        }
        return now;
}

static void span_say_start(const catena_span *span, const SpanStart *start, uint64_t unix_ns,
                           const catena_span_options *options) {
        ContextBody *body = NULL;
        Fragment fragment = {
                .flags = RECORD_START,
                .slot = start->slot,
                .scope = options->scope,
                .kind = options->kind ? options->kind : CATENA_KIND_INTERNAL,
                .span_flags = span_otlp_flags(span->flags, start->remote),
                .start_unix_ns = unix_ns,
                .name = start->name,
                .attributes = options->attributes,
                .n_attributes = options->attributes ? options->n_attributes : 0,
                .links = options->links,
                .n_links = options->links ? options->n_links : 0,
        };

        if (start->slot && atomic_load_explicit(&start->slot->has_tracestate, memory_order_relaxed))
                body = catena__slot_hold(span->context);
        if (body)
                fragment.tracestate = body->tracestate;
        if (fragment.kind > CATENA_KIND_CONSUMER) {
                catena__misuse(MISUSE_FLAGS);
                fragment.kind = CATENA_KIND_INTERNAL;
        }
        catena__fragment_send(span, &fragment);
        if (body)
                catena__slot_release();
}

static catena_span span_start(catena_context *context, const char *name,
                              const catena_span_options *options) {
        SpanStart start = {.name = name};
        catena_span span = {0};
        uint64_t now = 0;

        if (!name) {
                catena__misuse(MISUSE_NAME);
                start.name = "";
        }
        if (!catena__process_start() || !span_place(&span, &start, context, &options->parent))
                return (catena_span){0};
        start.wanted = span.flags & W3C_FLAG_SAMPLED || catena__link_records_all();
        start.away = start.wanted && catena__link_is_away();
        if (start.wanted && !start.away)
                now = span_clock();
        span_name_itself(&span, &start, &options->parent);
        if (start.slot && !catena__span_is(&options->parent))
                atomic_store_explicit(&start.slot->span, id_span_key(span.span_id),
                                      memory_order_release);
        if (start.away)
                catena__lost(LOST_NOT_CONNECTED, LOST_STARTS);
        else if (start.wanted)
                span_say_start(&span, &start,
                               options->start_unix_ns
                                       ? options->start_unix_ns
                                       : catena__clock_unix_ns(catena__span_stamp(&span).era, now),
                               options);
        return span;
}

catena_span catena_span_start_with(catena_context *context, const char *name,
                                   const catena_span_options *options) {
        static const catena_span_options none;

        return span_start(context, name, options ? options : &none);
}

catena_span catena_span_start(catena_context *context, const char *name, uint32_t kind) {
        return span_start(context, name, &(catena_span_options){.kind = kind});
}

catena_span catena_span_child(catena_span parent, const char *name, uint32_t kind) {
        if (!catena__span_is(&parent)) {
                catena__misuse(MISUSE_SPAN);
                return (catena_span){0};
        }
        return span_start(NULL, name, &(catena_span_options){.parent = parent, .kind = kind});
}

/* ---- changing ---- */

void catena_span_set(catena_span span, const catena_attribute *attributes, size_t n) {
        if (!span_may_change(&span))
                return;
        if (!attributes && n)
                catena__misuse(MISUSE_ATTRIBUTE);
        span_say(&span, &(Fragment){
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
                span_say(&span, &(Fragment){.name = name});
}

void catena_span_set_status(catena_span span, uint32_t status, const char *message) {
        if (status > CATENA_STATUS_ERROR)
                catena__misuse(MISUSE_FLAGS);
        else if (span_may_change(&span) && status != CATENA_STATUS_UNSET)
                span_say(&span,
                         &(Fragment){
                                 .status = status,
                                 .status_message = status == CATENA_STATUS_ERROR ? message : NULL,
                         });
}

void catena_span_link(catena_span span, catena_span other, const catena_attribute *attributes,
                      size_t n) {
        if (span_may_change(&span))
                span_say(&span, &(Fragment){
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
                span_say(&span, &(Fragment){.event = &event});
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
        span_say(&span, &(Fragment){
                                .status = CATENA_STATUS_ERROR,
                                .status_message = message,
                                .event = &event,
                        });
}

/* ---- ending ---- */

/* `unix_ns` 0: now. */
static void span_end(const catena_span *span, uint64_t unix_ns) {
        uint64_t parent, id = id_span_key(span->span_id);
        SpanStamp stamp = catena__span_stamp(span);
        Slot *slot;

        if (!span_is_ours(span))
                return;
        slot = catena__slot_find(span->context);
        if (slot && atomic_load_explicit(&slot->span, memory_order_relaxed) == id) {
                memcpy(&parent, span->parent_id, sizeof parent);
                (void)atomic_compare_exchange_strong(&slot->span, &id, parent);
        }
        if (!stamp.recording || !catena__process_on())
                return;
        if (catena__link_is_away()) {
                catena__lost(LOST_NOT_CONNECTED, LOST_ENDS);
                return;
        }
        if (!unix_ns)
                unix_ns = catena__clock_unix_ns(stamp.era, span_clock());
        catena__fragment_send(span, &(Fragment){
                                            .flags = RECORD_END,
                                            .slot = slot,
                                            .end_unix_ns = unix_ns,
                                    });
}

void catena_span_end_at(catena_span span, uint64_t unix_ns) {
        span_end(&span, unix_ns);
}

void catena_span_end(catena_span span) {
        span_end(&span, 0);
}
