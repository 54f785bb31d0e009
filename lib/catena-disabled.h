#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Catena, compiled away
 *
 * With -DCATENA_DISABLE, <catena.h> includes this instead of declaring what is in the library:
 * there is nothing to link, and nothing is said. Contexts are NULL, spans all zero, what is asked
 * for is NULL, 0 or false. catena_start(), catena_flush() and catena_stop() return true, since
 * nothing is lost.
 *
 * Primitives still do their work, with the same outputs and the same first failure; the branches of
 * a parallel one run one after the other on the calling thread, whatever its executor.
 */

#pragma GCC system_header /* parameters that nobody uses */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- contexts, spans, logs, the process ---- */

static inline catena_context *catena_context_new(const char *workflow_id, const char *session_id) {
        return NULL;
}

static inline catena_context *catena_context_new_with(const catena_context_options *options) {
        return NULL;
}

static inline catena_context *catena_context_child(catena_context *parent) {
        return NULL;
}

static inline catena_context *catena_context_extract(catena_carrier_get *get, void *carrier,
                                                     unsigned flags) {
        return NULL;
}

static inline catena_context *catena_context_extract_strings(const char *traceparent,
                                                             const char *tracestate,
                                                             const char *baggage, unsigned flags) {
        return NULL;
}

static inline catena_context *catena_context_extract_environ(unsigned flags) {
        return NULL;
}

static inline void catena_context_free(catena_context *context) {
}

static inline void catena_context_checkpoint(catena_context *context, const char *name) {
}

static inline bool catena_context_set_parent(catena_context *context, catena_span span) {
        return false;
}

static inline bool catena_context_next_checkpoint(catena_context *context, size_t *iterator,
                                                  const char **name, uint64_t *unix_ns) {
        return false;
}

static inline uint64_t catena_context_start_unix_ns(catena_context *context) {
        return 0;
}

static inline bool catena_context_set_tag(catena_context *context, const char *key,
                                          const char *value) {
        return false;
}

static inline const char *catena_context_get_tag(catena_context *context, const char *key) {
        return NULL;
}

static inline bool catena_context_next_tag(catena_context *context, size_t *iterator,
                                           const char **key, const char **value) {
        return false;
}

static inline bool catena_context_set_metadata(catena_context *context, const char *key,
                                               const char *value) {
        return false;
}

static inline const char *catena_context_get_metadata(catena_context *context, const char *key) {
        return NULL;
}

static inline bool catena_context_next_metadata(catena_context *context, size_t *iterator,
                                                const char **key, const char **value) {
        return false;
}

static inline bool catena_context_set_state(catena_context *context, const char *key,
                                            const char *value) {
        return false;
}

static inline const char *catena_context_get_state(catena_context *context, const char *key) {
        return NULL;
}

static inline bool catena_context_next_state(catena_context *context, size_t *iterator,
                                             const char **key, const char **value) {
        return false;
}

static inline bool catena_context_set_baggage(catena_context *context, const char *key,
                                              const char *value) {
        return false;
}

static inline const char *catena_context_get_baggage(catena_context *context, const char *key) {
        return NULL;
}

static inline bool catena_context_next_baggage(catena_context *context, size_t *iterator,
                                               const char **key, const char **value) {
        return false;
}

static inline void catena_context_attributes(catena_context *context,
                                             void (*each)(const catena_attribute *attribute,
                                                          void *user),
                                             void *user) {
}

static inline double catena_context_elapsed_ms(catena_context *context) {
        return 0;
}

static inline const char *catena_context_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_correlation_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_causation_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_workflow_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_session_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_trace_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_span_id(catena_context *context) {
        return NULL;
}

static inline const char *catena_context_parent_span_id(catena_context *context) {
        return NULL;
}

static inline uint8_t catena_context_trace_flags(catena_context *context) {
        return 0;
}

static inline catena_context *catena_context_attach(catena_context *context) {
        return NULL;
}

static inline void catena_context_detach(catena_context *before) {
}

static inline catena_context *catena_context_current(void) {
        return NULL;
}

static inline bool catena_inject(catena_context *context, catena_span span, catena_carrier_set *set,
                                 void *carrier) {
        return false;
}

static inline size_t catena_inject_string(catena_context *context, catena_span span, int header,
                                          char *buffer, size_t size) {
        if (size)
                *buffer = 0;
        return 0;
}

static inline bool catena_inject_environ(catena_context *context, catena_span span) {
        return false;
}

static inline const catena_scope *catena_scope_get(const char *name, const char *version,
                                                   const char *schema_url) {
        return NULL;
}

static inline catena_span catena_span_start(catena_context *context, const char *name,
                                            uint32_t kind) {
        catena_span none;

        memset(&none, 0, sizeof none);
        return none;
}

static inline catena_span catena_span_start_with(catena_context *context, const char *name,
                                                 const catena_span_options *options) {
        catena_span none;

        memset(&none, 0, sizeof none);
        return none;
}

static inline catena_span catena_span_child(catena_span parent, const char *name, uint32_t kind) {
        catena_span none;

        memset(&none, 0, sizeof none);
        return none;
}

static inline catena_span catena_span_detached(const char *traceparent) {
        catena_span none;

        memset(&none, 0, sizeof none);
        return none;
}

static inline void catena_span_set(catena_span span, const catena_attribute *attributes, size_t n) {
}

static inline void catena_span_set_string(catena_span span, const char *key, const char *value) {
}

static inline void catena_span_set_int(catena_span span, const char *key, int64_t value) {
}

static inline void catena_span_set_double(catena_span span, const char *key, double value) {
}

static inline void catena_span_set_bool(catena_span span, const char *key, bool value) {
}

static inline void catena_span_set_name(catena_span span, const char *name) {
}

static inline void catena_span_set_status(catena_span span, uint32_t status, const char *message) {
}

static inline void catena_span_link(catena_span span, catena_span other,
                                    const catena_attribute *attributes, size_t n) {
}

static inline void catena_span_event(catena_span span, const char *name,
                                     const catena_attribute *attributes, size_t n) {
}

static inline void catena_span_event_at(catena_span span, const char *name, uint64_t unix_ns,
                                        const catena_attribute *attributes, size_t n) {
}

static inline void catena_span_error(catena_span span, const char *type, const char *message,
                                     const char *stacktrace) {
}

static inline void catena_span_end(catena_span span) {
}

static inline void catena_span_end_at(catena_span span, uint64_t unix_ns) {
}

static inline bool catena_span_recording(catena_span span) {
        return false;
}

static inline void catena_log(catena_context *context, uint32_t severity, const char *text,
                              const catena_attribute *attributes, size_t n) {
}

static inline void catena_logf(catena_context *context, uint32_t severity, const char *format,
                               ...) {
}

static inline void catena_span_log(catena_span span, uint32_t severity, const char *text,
                                   const catena_attribute *attributes, size_t n) {
}

static inline bool catena_start(const catena_options *options) {
        return true;
}

static inline bool catena_flush(unsigned timeout_ms) {
        return true;
}

static inline bool catena_flush_to(int level, unsigned timeout_ms) {
        return true;
}

static inline bool catena_stop(unsigned timeout_ms) {
        return true;
}

static inline size_t catena_stats_get(catena_stats *stats, size_t size) {
        if (stats)
                memset(stats, 0, size < sizeof *stats ? size : sizeof *stats);
        return sizeof *stats;
}

static inline const char *catena_version(void) {
        return "";
}

static inline int catena_abi(void) {
        return CATENA_ABI;
}

/* ---- primitives ---- */

/* An output and its maker; NULL: it is the input, handed on. */
typedef struct catena__output {
        void *value;
        catena_primitive *maker;
} catena__output;

struct catena_primitive {
        size_t n_references;
        int (*work)(catena_primitive *primitive, catena_context *context, void *input,
                    catena__output *outputp);
        void (*discard)(catena_primitive *primitive, void *output);
        catena_primitive_options options;
        catena_primitive **parts;
        size_t n_parts;
};

static inline void catena__discard(catena__output output) {
        if (output.value && output.maker)
                output.maker->discard(output.maker, output.value);
}

static inline void catena__release(catena_primitive *primitive, void *output) {
        if (primitive->options.release)
                primitive->options.release(output);
}

static inline int catena__run(catena_primitive *primitive, catena_context *context, void *input,
                              catena__output *outputp) {
        void *output = NULL;
        int r = primitive->options.run(context, input, &output, primitive->options.data);

        if (r)
                return r;
        outputp->value = output;
        outputp->maker = output == input ? NULL : primitive;
        return 0;
}

static inline int catena__run_steps(catena_primitive *primitive, catena_context *context,
                                    void *input, catena__output *outputp) {
        catena__output value = {input, NULL}, output;
        size_t i;

        for (i = 0; i < primitive->n_parts; i++) {
                catena_primitive *step = primitive->parts[i];
                int r = step->work(step, context, value.value, &output);

                if (r) {
                        catena__discard(value);
                        return r;
                }
                if (output.maker) {
                        catena__discard(value);
                        value = output;
                }
        }
        *outputp = value;
        return 0;
}

static inline void catena__discard_branches(catena_primitive *primitive, void *output) {
        void **values = (void **)output;
        size_t i;

        for (i = 0; i < primitive->n_parts; i++) {
                catena__output value = {values[i], NULL};

                value.maker = (catena_primitive *)values[primitive->n_parts + i];
                catena__discard(value);
        }
        free(values);
}

static inline int catena__run_branches(catena_primitive *primitive, catena_context *context,
                                       void *input, catena__output *outputp) {
        void **values = (void **)calloc(2 * primitive->n_parts + 1, sizeof *values);
        int first = 0;
        size_t i;

        if (!values)
                return -ENOMEM;
        for (i = 0; i < primitive->n_parts; i++) {
                catena_primitive *branch = primitive->parts[i];
                catena__output output = {NULL, NULL};
                int r = branch->work(branch, context, input, &output);

                if (!first)
                        first = r;
                values[i] = output.value;
                values[primitive->n_parts + i] = output.maker;
        }
        if (first) {
                catena__discard_branches(primitive, values);
                return first;
        }
        outputp->value = values;
        outputp->maker = primitive;
        return 0;
}

static inline catena_primitive *catena_primitive_new(const catena_primitive_options *options) {
        catena_primitive *primitive;

        if (!options || !options->run)
                return NULL;
        primitive = (catena_primitive *)calloc(1, sizeof *primitive);
        if (!primitive)
                return NULL;
        primitive->n_references = 1;
        primitive->work = catena__run;
        primitive->discard = catena__release;
        primitive->options = *options;
        return primitive;
}

static inline catena_primitive *catena_primitive_ref(catena_primitive *primitive) {
        if (primitive)
                __atomic_add_fetch(&primitive->n_references, 1, __ATOMIC_RELAXED);
        return primitive;
}

static inline void catena_primitive_unref(catena_primitive *primitive) {
        size_t i;

        if (!primitive || __atomic_sub_fetch(&primitive->n_references, 1, __ATOMIC_ACQ_REL))
                return;
        for (i = 0; i < primitive->n_parts; i++)
                catena_primitive_unref(primitive->parts[i]);
        if (primitive->options.release_data)
                primitive->options.release_data(primitive->options.data);
        free(primitive->parts);
        free(primitive);
}

static inline catena_primitive *catena__compose(catena_primitive *const *parts, size_t n) {
        catena_primitive *primitive;
        size_t i;

        for (i = 0; i < n; i++)
                if (!parts || !parts[i])
                        return NULL;
        primitive = (catena_primitive *)calloc(1, sizeof *primitive);
        if (!primitive)
                return NULL;
        primitive->n_references = 1;
        primitive->parts = (catena_primitive **)calloc(n + 1, sizeof *primitive->parts);
        if (!primitive->parts) {
                free(primitive);
                return NULL;
        }
        for (i = 0; i < n; i++)
                primitive->parts[i] = catena_primitive_ref(parts[i]);
        primitive->n_parts = n;
        return primitive;
}

static inline catena_primitive *catena_sequential(catena_primitive *const *steps, size_t n) {
        catena_primitive *primitive = catena__compose(steps, n);

        if (primitive)
                primitive->work = catena__run_steps;
        return primitive;
}

static inline catena_primitive *catena_parallel(catena_primitive *const *branches, size_t n,
                                                const catena_executor *executor) {
        catena_primitive *primitive = catena__compose(branches, n);

        if (!primitive)
                return NULL;
        primitive->work = catena__run_branches;
        primitive->discard = catena__discard_branches;
        return primitive;
}

static inline int catena_execute(catena_primitive *primitive, catena_context *context, void *input,
                                 void **outputp) {
        catena__output output;
        int r = primitive ? primitive->work(primitive, context, input, &output) : -EINVAL;

        if (r)
                return r;
        if (outputp)
                *outputp = output.value;
        else
                catena__discard(output);
        return 0;
}

static inline void catena_context_fail(catena_context *context, const char *type,
                                       const char *message) {
}

#ifdef __cplusplus
}
#endif
