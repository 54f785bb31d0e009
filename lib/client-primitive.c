/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-primitive.h"

#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-text.h"

#include <errno.h>
#include <stdlib.h>

/* ---- what it does ---- */

static int primitive_run(catena_primitive *primitive, catena_context *context, void *input,
                         PrimitiveOutput *outputp) {
        void *output = NULL;
        int r;

        r = primitive->options.run(context, input, &output, primitive->options.data);
        if (r)
                return r;
        *outputp = (PrimitiveOutput){output, output == input ? NULL : primitive};
        return 0;
}

static void primitive_release(catena_primitive *primitive, void *output) {
        if (primitive->options.release)
                primitive->options.release(output);
}

void catena__primitive_discard(const PrimitiveOutput *output) {
        if (output->value && output->maker)
                output->maker->discard(output->maker, output->value);
}

int catena_execute(catena_primitive *primitive, catena_context *context, void *input,
                   void **outputp) {
        PrimitiveOutput output;
        int r;

        if (!primitive) {
                catena__misuse(MISUSE_PRIMITIVE);
                return -EINVAL;
        }
        r = catena__primitive_execute(primitive, context, input, &output);
        if (r)
                return r;
        if (outputp)
                *outputp = output.value;
        else
                catena__primitive_discard(&output);
        return 0;
}

/* ---- its life ---- */

catena_primitive *catena__primitive_make(const char *name, const char *type) {
        catena_primitive *primitive = calloc(1, sizeof *primitive);

        if (!primitive)
                return NULL;
        atomic_init(&primitive->n_references, 1);
        primitive->name = catena__text_copy(name, CONTEXT_TEXT_MAX);
        primitive->type = catena__text_copy(type, CONTEXT_TEXT_MAX);
        if (primitive->name && primitive->type)
                return primitive;
        catena_primitive_unref(primitive);
        return NULL;
}

catena_primitive *catena__primitive_compose(const char *type, catena_primitive *const *parts,
                                            size_t n) {
        catena_primitive *primitive;

        for (size_t i = 0; i < n; i++)
                if (!parts || !parts[i]) {
                        catena__misuse(MISUSE_PRIMITIVE);
                        return NULL;
                }
        primitive = catena__primitive_make(type, type);
        if (!primitive)
                return NULL;
        primitive->parts = calloc(n ? n : 1, sizeof(catena_primitive *));
        if (!primitive->parts) {
                catena_primitive_unref(primitive);
                return NULL;
        }
        for (; primitive->n_parts < n; primitive->n_parts++)
                primitive->parts[primitive->n_parts] =
                        catena_primitive_ref(parts[primitive->n_parts]);
        return primitive;
}

static const char *primitive_text(const char *text, const char *otherwise) {
        return text && *text ? text : otherwise;
}

catena_primitive *catena_primitive_new(const catena_primitive_options *options) {
        catena_primitive *primitive;
        const char *type;

        if (!options || !options->run) {
                catena__misuse(MISUSE_PRIMITIVE);
                return NULL;
        }
        type = primitive_text(options->type, "Primitive");
        primitive = catena__primitive_make(primitive_text(options->name, type), type);
        if (!primitive)
                return NULL;
        primitive->work = primitive_run;
        primitive->discard = primitive_release;
        primitive->options = *options;
        return primitive;
}

catena_primitive *catena_primitive_ref(catena_primitive *primitive) {
        if (primitive)
                atomic_fetch_add_explicit(&primitive->n_references, 1, memory_order_relaxed);
        return primitive;
}

void catena_primitive_unref(catena_primitive *primitive) {
        if (!primitive || atomic_fetch_sub(&primitive->n_references, 1) > 1)
                return;
        for (size_t i = 0; i < primitive->n_parts; i++)
                catena_primitive_unref(primitive->parts[i]);
        if (primitive->options.release_data)
                primitive->options.release_data(primitive->options.data);
        free(primitive->parts);
        free(primitive->name);
        free(primitive->type);
        free(primitive);
}
