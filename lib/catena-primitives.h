#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Catena: work that tells of itself
 *
 * <catena.h> includes this. A primitive is a piece of work with a name and a type; executed, it is
 * a span, a log record, and whatever it does, its result untouched. Sequences of primitives and
 * parallel ones are primitives too.
 *
 *     static int charge(catena_context *context, void *input, void **outputp, void *data) {
 *             *outputp = receipt_new(data, input);
 *             if (*outputp)
 *                     return 0;
 *             catena_context_fail(context, "CardDeclined", "the bank said no");
 *             return -1;
 *     }
 *
 *     catena_primitive *steps[] = {
 *             catena_primitive_new(&(catena_primitive_options){.name = "reserve", .run = reserve}),
 *             catena_primitive_new(&(catena_primitive_options){
 *                     .name = "charge", .run = charge, .release = free, .data = card}),
 *     };
 *     catena_primitive *checkout = catena_sequential(steps, 2);
 *
 *     if (catena_execute(checkout, order, cart, &receipt) == 0)
 *             print(receipt);
 *
 * The work runs whether or not there is a daemon, and also where the library is disabled or
 * stopped.
 *
 * Threads. A primitive never changes once it is made: any threads may execute, reference and
 * unreference it, many at once, each with a context of its own. catena_execute() waits for the
 * work.
 *
 * Leaving otherwise. `run` is to return. If it calls exit(), or leaves by longjmp() or a C++
 * exception where those lead out of catena_execute(), the work is left as it is: its span stays
 * open, and current, until the process ends, when the daemon ends it as "abandoned" (as an error
 * where the process crashed or called _exit()); what it had made is not released. The library and
 * the primitive stay usable, but an exception gets through only where C code has unwinding tables,
 * and neither way leads out of the threads of catena_parallel(). Better catch it, and tell it by
 * catena_context_fail().
 */

#include "catena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of work. Counted references; NULL is harmless. */
typedef struct catena_primitive catena_primitive;

typedef struct catena_primitive_options {
        const char *name; /* for people, in span and log; NULL: the type */
        const char *type; /* what kind of work it is; NULL: "Primitive" */
        /*
         * The work. Returns 0 and its output in *outputp (NULL where it puts nothing there), or its
         * own error, when nothing is to be in *outputp. The output is the caller's from then on; it
         * may be the input itself. The context is the caller's and not to be freed.
         */
        int (*run)(catena_context *context, void *input, void **outputp, void *data);
        void (*release)(void *output);    /* of an output that nobody gets; NULL: nothing is due */
        void *data;                       /* handed to `run` */
        void (*release_data)(void *data); /* when the primitive is gone; NULL: nothing is due */
        uint64_t reserved[6];
} catena_primitive_options;

/*
 * Makes a primitive, to be given back by catena_primitive_unref(). NULL when memory is out, or
 * there is nothing to run. Name and type are copied; at most 256 bytes, what is longer is cut.
 */
CATENA_API catena_primitive *catena_primitive_new(const catena_primitive_options *options);
CATENA_API catena_primitive *catena_primitive_ref(catena_primitive *primitive); /* returns it */
CATENA_API void catena_primitive_unref(catena_primitive *primitive);

/*
 * Does the work, in a span `{name}.execute` of the context with the attributes primitive.name,
 * primitive.type, primitive.duration_ms and primitive.status (success or error), and logs `{name}
 * completed` or `{name} failed` with primitive, duration_ms, trace_id and correlation_id. A failure
 * also has error.type and error.message (in the log error_type and error_message), one `exception`
 * event, and the status ERROR. While it runs, `context` is the thread's current one.
 *
 * Returns what the work returned, its errno untouched. On success the output is in *outputp, and
 * the caller's; `outputp` NULL: it is released. On failure *outputp is untouched. `context` NULL or
 * freed: the work runs without a span. -EINVAL of a primitive that is NULL.
 */
CATENA_API int catena_execute(catena_primitive *primitive, catena_context *context, void *input,
                              void **outputp);

/*
 * Why the work that runs in this context is about to return an error: what failed (a word, such as
 * an exception's class; at most 256 bytes) and how (at most 1,024). Either may be NULL. The last
 * one counts, for all primitives that hand the same error on. Without it the type is "error", the
 * message what was returned.
 */
CATENA_API void catena_context_fail(catena_context *context, const char *type, const char *message);

/*
 * One after the other: each is given the output of the one before, the first the input of all. The
 * output is the last one's (of no steps: the input); that of the others is released when the next
 * returns, unless that returned the same pointer. The first failure ends it. Takes references of
 * its own; NULL where one of the steps is, or memory is out.
 *
 * Checkpoints: sequential_start, step_{i}_{Type}, sequential_end. Logs: sequential_step_start and
 * sequential_step_complete with step, total_steps, primitive (the type), workflow_id (where there
 * is one), and the latter elapsed_ms. Name and type are SequentialPrimitive.
 */
CATENA_API catena_primitive *catena_sequential(catena_primitive *const *steps, size_t n);

/* Who runs the branches of catena_parallel(): a pool of your own. */
typedef struct catena_executor {
        /*
         * Has task(argument) run once, on any thread, now or later, also while others that it was
         * given wait for it; false: it cannot, and the calling thread runs it.
         */
        bool (*submit)(void (*task)(void *argument), void *argument, void *data);
        void *data; /* handed to `submit` */
        uint64_t reserved[6];
} catena_executor;

/*
 * All at the same time, all given the same input, each in a child of the context. The output is a
 * malloc()ed `void *[n]` in the order of the branches, for the caller to free after what it holds.
 * All of them are waited for; then the first failure by index is returned, and what the others made
 * is released. Takes references of its own, and a copy of `executor`; NULL where one of the
 * branches is, or memory is out.
 *
 * `executor` NULL: each branch has a thread, which is joined; where there can be none, the calling
 * thread runs it. In these threads all signals are blocked but those that a fault raises. A branch
 * that ends its thread fails with -ECANCELED. -ENOMEM when memory is out.
 *
 * Checkpoints: parallel_start, parallel_end. Logs: parallel_execution_start with branch_count and
 * workflow_id; parallel_execution_complete also with elapsed_ms; or parallel_execution_failed with
 * failed_count, total_count and workflow_id. Name and type are ParallelPrimitive.
 */
CATENA_API catena_primitive *catena_parallel(catena_primitive *const *branches, size_t n,
                                             const catena_executor *executor);

#ifdef __cplusplus
}
#endif
