#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Primitives, inside
 *
 * What a primitive is made of. Each tells who made its output, so that whatever becomes of it, it
 * is released by the one that knows how: a step may have handed on what an earlier one made, or
 * what was nobody's here.
 *
 * Threads: any; a primitive stays as it was made.
 */

#include "lib/catena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* An output and its maker; NULL: it is the input, handed on. */
typedef struct PrimitiveOutput {
        void *value;
        catena_primitive *maker;
} PrimitiveOutput;

struct catena_primitive {
        atomic_size_t n_references;
        char *name, *type;
        int (*work)(catena_primitive *primitive, catena_context *context, void *input,
                    PrimitiveOutput *outputp);
        void (*discard)(catena_primitive *primitive, void *output); /* NULL: nothing is due */

        catena_primitive_options options; /* of one that was given its work */
        catena_executor executor;         /* of a parallel one */
        catena_primitive **parts;         /* of one that is made of others; references */
        size_t n_parts;
};

/* NULL: out of memory. */
catena_primitive *catena__primitive_make(const char *name, const char *type);
/* One that is made of others; NULL also where one of those is. */
catena_primitive *catena__primitive_compose(const char *type, catena_primitive *const *parts,
                                            size_t n);
int catena__primitive_execute(catena_primitive *primitive, catena_context *context, void *input,
                              PrimitiveOutput *outputp);
void catena__primitive_discard(const PrimitiveOutput *output);

/* Logs also the workflow's id, for which there is room behind the n attributes. */
void catena__primitive_log(catena_context *context, uint32_t severity, const char *text,
                           catena_attribute *attributes, size_t n);

/* The child's failure, if that is what `result` stands for, is the parent's too. */
void catena__failure_inherit(catena_context *parent, catena_context *child, int result);
