#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What goes from process to process
 *
 * By which headers, and under which names in the baggage: what extracting and injecting share.
 *
 * Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>

/* By their names; as catena_inject_string() has them. */
extern const char *const catena__headers[];

/* What of a chain travels in baggage, by the names that spans show. */
typedef enum BaggageOwn {
        BAGGAGE_WORKFLOW,
        BAGGAGE_SESSION,
        BAGGAGE_CORRELATION,
        BAGGAGE_CONTEXT,
        _BAGGAGE_OWN_N,
} BaggageOwn;

extern const char *const catena__baggage_names[_BAGGAGE_OWN_N];

/* _BAGGAGE_OWN_N: none of these. */
BaggageOwn catena__baggage_own(const char *name, size_t size);

/* ---- what is propagated ---- */

typedef enum Propagator {
        PROPAGATOR_TRACECONTEXT = 1,
        PROPAGATOR_BAGGAGE = 2,
} Propagator;

/* OTEL_PROPAGATORS; NULL or empty: both. Before any thread may ask. */
void catena__propagators_set(const char *names);
bool catena__propagates(Propagator propagator);
