#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Primitives whose work succeeds, or is declined. */

#include "lib/catena.h"

static inline int succeed(catena_context *context, void *input, void **outputp, void *data) {
        (void)context;
        (void)data;
        *outputp = input;
        return 0;
}

static inline int decline(catena_context *context, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        (void)data;
        catena_context_fail(context, "CardDeclined", "the bank said no");
        return 1;
}

/* `type` NULL: none in particular. */
static inline catena_primitive *primitive_of(const char *name, const char *type,
                                             int (*run)(catena_context *, void *, void **,
                                                        void *)) {
        return catena_primitive_new(
                &(catena_primitive_options){.name = name, .type = type, .run = run});
}
