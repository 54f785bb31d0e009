#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A request's headers: any number of each, as extracting gets and injecting sets them. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 16 };

typedef struct Carrier {
        const char *names[HEADERS_MAX];
        char *values[HEADERS_MAX];
        unsigned n;
        char *given; /* the last one that was got: text lasts no longer */
} Carrier;

static inline const char *carrier_get(void *user, const char *name, size_t index) {
        Carrier *carrier = user;

        free(carrier->given);
        carrier->given = NULL;
        for (unsigned i = 0; i < carrier->n && !carrier->given; i++)
                if (strcmp(carrier->names[i], name) == 0 && index-- == 0)
                        carrier->given = strdup(carrier->values[i]);
        return carrier->given;
}

static inline void carrier_set(void *user, const char *name, const char *value) {
        Carrier *carrier = user;

        ck_assert_uint_lt(carrier->n, HEADERS_MAX);
        carrier->names[carrier->n] = name;
        carrier->values[carrier->n++] = strdup(value);
}

/* Of one that was set; NULL: it was not. */
static inline const char *carrier_value(const Carrier *carrier, const char *name) {
        for (unsigned i = 0; i < carrier->n; i++)
                if (strcmp(carrier->names[i], name) == 0)
                        return carrier->values[i];
        return NULL;
}

static inline void carrier_clear(Carrier *carrier) {
        for (unsigned i = 0; i < carrier->n; i++)
                free(carrier->values[i]);
        free(carrier->given);
        *carrier = (Carrier){0};
}

/* The baggage without the chain's own members, which come first. */
static inline const char *foreign(const char *baggage) {
        const char *own = baggage ? strstr(baggage, "workflow.context_id=") : NULL;

        ck_assert_ptr_nonnull(own);
        own += strlen("workflow.context_id=") + 36;
        return own + (*own == ',');
}
