#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Catena: what goes from process to process
 *
 * <catena.h> includes this. A request carries its sender's trace as traceparent and tracestate (W3C
 * Trace Context, Level 2), and its chain, with whatever else is to go along, as baggage (W3C
 * Baggage). A server extracts them, a client injects them; a carrier is whatever holds the headers.
 *
 *     static const char *get(void *carrier, const char *name, size_t index) {
 *             return request_header(carrier, name, index);
 *     }
 *
 *     catena_context *order = catena_context_extract(get, request, 0);
 *     catena_span serve = catena_span_start(order, "POST /order", CATENA_KIND_SERVER);
 *
 *     catena_inject(order, serve, set, request_to_the_bank);
 */

#include "catena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- in ---- */

/* Flags of the extracting calls. */
enum {
        /*
         * The sender is not trusted: its ids name nothing here and its baggage is dropped. The
         * context is the root of a new trace and a new chain; spans without a parent that start in
         * it link to the sender's span.
         */
        CATENA_UNTRUSTED = 1,
};

/*
 * A value of the header `name` (lower case: "traceparent", "tracestate", "baggage") that a request
 * came with: the first for `index` 0, then the next; NULL past the last. The text need only last
 * until the next call. A header of more than 256 values or 64 KiB is ignored.
 */
typedef const char *catena_carrier_get(void *carrier, const char *name, size_t index);

/*
 * Goes on with what a request says: traceparent, tracestate (W3C Trace Context, Level 2) and
 * baggage (W3C Baggage). The sender's context becomes the cause; its span the first span's parent,
 * which OTLP then shows as remote. What is missing or not valid is left out and counted
 * (headers_refused); with nothing valid this is a root.
 *
 * A traceparent that is malformed, or that comes twice, is ignored, and the tracestate with it. A
 * tracestate that is malformed or of more than 32 members is ignored. It is kept to 512 characters:
 * members of more than 128 go first, then those at the end. Of the baggage, members that are
 * malformed are passed over; 64 of others, and 8192 bytes, are kept and passed on as they came,
 * the last one of a name.
 *
 * NULL only as catena_context_new(). To be freed with catena_context_free().
 */
CATENA_API catena_context *catena_context_extract(catena_carrier_get *get, void *carrier,
                                                  unsigned flags);

/* The same of headers at hand, each of which may be NULL. */
CATENA_API catena_context *catena_context_extract_strings(const char *traceparent,
                                                          const char *tracestate,
                                                          const char *baggage, unsigned flags);

/* The same of the environment: TRACEPARENT, TRACESTATE and BAGGAGE. */
CATENA_API catena_context *catena_context_extract_environ(unsigned flags);

/*
 * What starts in the context next continues `span`: its trace, its flags, a child of it. For spans
 * of other tracers (see catena_span) and of this one; the chain stays as it is. False, and nothing
 * changed: the span is all zero, or the context NULL or freed.
 */
CATENA_API bool catena_context_set_parent(catena_context *context, catena_span span);

/* ---- out ---- */

/* Sets a header of a request to be sent. */
typedef void catena_carrier_set(void *carrier, const char *name, const char *value);

/*
 * Calls `set` for "traceparent", "tracestate" and "baggage", for each that has something to say,
 * with text that lives until `set` returns. `span` all zero: the context's current span. `context`
 * NULL: no baggage. Baggage says the workflow, the session, the chain, this context as the cause
 * (workflow.id, .session_id, .correlation_id, .context_id), and then the context's own: at most 64
 * members and 8192 bytes, never a part of a member. True when there was a traceparent.
 */
CATENA_API bool catena_inject(catena_context *context, catena_span span, catena_carrier_set *set,
                              void *carrier);

enum {
        CATENA_HEADER_TRACEPARENT = 0, /* takes 56 bytes */
        CATENA_HEADER_TRACESTATE = 1,  /* at most 513 */
        CATENA_HEADER_BAGGAGE = 2,     /* at most 8193 */
};

/*
 * One header as text, like snprintf(): returns its length without the NUL, 0 where there is nothing
 * to say. Where `size` does not exceed the length, `buffer` gets an empty text (never a part of a
 * header); it may be NULL when `size` is 0.
 */
CATENA_API size_t catena_inject_string(catena_context *context, catena_span span, int header,
                                       char *buffer, size_t size);

/*
 * Sets TRACEPARENT, TRACESTATE and BAGGAGE of this process's environment for a program that is to
 * be executed, and removes those with nothing to say. True when TRACEPARENT was set. Like setenv(),
 * not while other threads read the environment.
 */
CATENA_API bool catena_inject_environ(catena_context *context, catena_span span);

#ifdef __cplusplus
}
#endif
