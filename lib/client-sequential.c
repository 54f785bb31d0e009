/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-context.h"
#include "lib/client-primitive.h"

#include <stdio.h>

/* `more`: also how much time has gone by. */
static void sequential_log(const catena_primitive *sequential, catena_context *context, size_t i,
                           const char *text, bool more) {
        catena_attribute attributes[5] = {
                {.key = "step", .type = CATENA_TYPE_INT, .value.integer = (int64_t)i},
                {
                        .key = "total_steps",
                        .type = CATENA_TYPE_INT,
                        .value.integer = (int64_t)sequential->n_parts,
                },
                {.key = "primitive", .value.string = sequential->parts[i]->type},
        };
        size_t n = 3;

        if (more)
                attributes[n++] = (catena_attribute){
                        .key = "elapsed_ms",
                        .type = CATENA_TYPE_DOUBLE,
                        .value.real = catena_context_elapsed_ms(context),
                };
        catena__primitive_log(context, CATENA_SEVERITY_INFO, text, attributes, n);
}

static int sequential_step(catena_primitive *sequential, catena_context *context, size_t i,
                           PrimitiveOutput *valuep) {
        catena_primitive *step = sequential->parts[i];
        char checkpoint[CONTEXT_TEXT_MAX + 32];
        PrimitiveOutput output;
        int r;

        sequential_log(sequential, context, i, "sequential_step_start", false);
        r = catena__primitive_execute(step, context, valuep->value, &output);
        if (r)
                return r;
        if (output.maker) {
                catena__primitive_discard(valuep);
                *valuep = output;
        }
        snprintf(checkpoint, sizeof checkpoint, "step_%zu_%s", i, step->type);
        catena_context_checkpoint(context, checkpoint);
        sequential_log(sequential, context, i, "sequential_step_complete", true);
        return 0;
}

static int sequential_work(catena_primitive *sequential, catena_context *context, void *input,
                           PrimitiveOutput *outputp) {
        PrimitiveOutput value = {.value = input};
        int r;

        catena_context_checkpoint(context, "sequential_start");
        for (size_t i = 0; i < sequential->n_parts; i++) {
                r = sequential_step(sequential, context, i, &value);
                if (r) {
                        catena__primitive_discard(&value);
                        return r;
                }
        }
        catena_context_checkpoint(context, "sequential_end");
        *outputp = value;
        return 0;
}

catena_primitive *catena_sequential(catena_primitive *const *steps, size_t n) {
        catena_primitive *sequential = catena__primitive_compose("SequentialPrimitive", steps, n);

        if (sequential)
                sequential->work = sequential_work;
        return sequential;
}
