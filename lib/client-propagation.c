/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-propagation.h"

#include "lib/catena.h"
#include "lib/client-count.h"

#include <string.h>

const char *const catena__headers[] = {
        [CATENA_HEADER_TRACEPARENT] = "traceparent",
        [CATENA_HEADER_TRACESTATE] = "tracestate",
        [CATENA_HEADER_BAGGAGE] = "baggage",
};

const char *const catena__baggage_names[_BAGGAGE_OWN_N] = {
        [BAGGAGE_WORKFLOW] = "workflow.id",
        [BAGGAGE_SESSION] = "workflow.session_id",
        [BAGGAGE_CORRELATION] = "workflow.correlation_id",
        [BAGGAGE_CONTEXT] = "workflow.context_id",
};

static unsigned propagators = PROPAGATOR_TRACECONTEXT | PROPAGATOR_BAGGAGE;

static bool propagation_is(const char *text, const char *name, size_t size) {
        return strlen(text) == size && memcmp(text, name, size) == 0;
}

BaggageOwn catena__baggage_own(const char *name, size_t size) {
        unsigned i;

        for (i = 0; i < _BAGGAGE_OWN_N; i++)
                if (propagation_is(catena__baggage_names[i], name, size))
                        break;
        return (BaggageOwn)i;
}

static unsigned propagator_named(const char *name, size_t size) {
        if (propagation_is("tracecontext", name, size))
                return PROPAGATOR_TRACECONTEXT;
        if (propagation_is("baggage", name, size))
                return PROPAGATOR_BAGGAGE;
        if (size && !propagation_is("none", name, size))
                catena__misuse(MISUSE_PROPAGATORS);
        return 0;
}

void catena__propagators_set(const char *names) {
        if (!names || !*names)
                return;
        propagators = 0;
        for (;;) {
                size_t size;

                names += strspn(names, " \t,");
                if (!*names)
                        return;
                size = strcspn(names, " \t,");
                propagators |= propagator_named(names, size);
                names += size;
        }
}

bool catena__propagates(Propagator propagator) {
        return propagators & propagator;
}
