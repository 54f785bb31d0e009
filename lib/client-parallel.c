/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-primitive.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

typedef struct Fan Fan;

typedef struct FanBranch {
        Fan *fan;
        catena_primitive *primitive;
        catena_context *context; /* its own */
        PrimitiveOutput output;
        int result;
        bool elsewhere; /* not on the calling thread */
        pthread_t thread;
} FanBranch;

/* One run of a parallel primitive. */
struct Fan {
        const catena_primitive *parallel;
        void *input;
        pthread_mutex_t mutex;
        pthread_cond_t returned;
        size_t n_submitted; /* to the executor, and not yet returned; under the mutex */
        size_t n_branches;
        FanBranch branches[];
};

/* ---- branches ---- */

static void branch_run(FanBranch *branch) {
        branch->result = catena__primitive_execute(branch->primitive, branch->context,
                                                   branch->fan->input, &branch->output);
}

static void *branch_run_in_thread(void *argument) {
        branch_run(argument);
        return NULL;
}

static void branch_run_as_task(void *argument) {
        FanBranch *branch = argument;
        Fan *fan = branch->fan;

        branch_run(branch);
        pthread_mutex_lock(&fan->mutex);
        if (!--fan->n_submitted)
                pthread_cond_signal(&fan->returned);
        pthread_mutex_unlock(&fan->mutex);
}

static bool branch_submit(FanBranch *branch) {
        const catena_executor *executor = &branch->fan->parallel->executor;
        Fan *fan = branch->fan;
        bool taken;

        pthread_mutex_lock(&fan->mutex);
        fan->n_submitted++;
        pthread_mutex_unlock(&fan->mutex);
        taken = executor->submit(branch_run_as_task, branch, executor->data);
        if (taken)
                return true;
        pthread_mutex_lock(&fan->mutex);
        fan->n_submitted--;
        pthread_mutex_unlock(&fan->mutex);
        return false;
}

/* ---- all of them ---- */

static Fan *fan_new(const catena_primitive *parallel, catena_context *context, void *input) {
        Fan *fan = calloc(1, sizeof *fan + parallel->n_parts * sizeof *fan->branches);

        if (!fan)
                return NULL;
        fan->parallel = parallel;
        fan->input = input;
        fan->n_branches = parallel->n_parts;
        pthread_mutex_init(&fan->mutex, NULL);
        pthread_cond_init(&fan->returned, NULL);
        for (size_t i = 0; i < fan->n_branches; i++)
                fan->branches[i] = (FanBranch){
                        .fan = fan,
                        .primitive = parallel->parts[i],
                        .context = context ? catena_context_child(context) : NULL,
                        .result = -ECANCELED,
                };
        return fan;
}

static void fan_free(Fan *fan) {
        for (size_t i = 0; i < fan->n_branches; i++)
                catena_context_free(fan->branches[i].context);
        pthread_cond_destroy(&fan->returned);
        pthread_mutex_destroy(&fan->mutex);
        free(fan);
}

/* Signals go to the program's threads, but for those that a fault in this one raises. */
static void fan_block_signals(sigset_t *before) {
        static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
        sigset_t set;

        sigfillset(&set);
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
                sigdelset(&set, faults[i]);
        pthread_sigmask(SIG_BLOCK, &set, before);
}

static void fan_start_threads(Fan *fan) {
        sigset_t before;

        fan_block_signals(&before);
        for (size_t i = 0; i < fan->n_branches; i++) {
                FanBranch *branch = &fan->branches[i];

                branch->elsewhere =
                        pthread_create(&branch->thread, NULL, branch_run_in_thread, branch) == 0;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void fan_await(Fan *fan) {
        if (!fan->parallel->executor.submit) {
                for (size_t i = 0; i < fan->n_branches; i++)
                        if (fan->branches[i].elsewhere)
                                pthread_join(fan->branches[i].thread, NULL);
                return;
        }
        pthread_mutex_lock(&fan->mutex);
        while (fan->n_submitted)
                pthread_cond_wait(&fan->returned, &fan->mutex);
        pthread_mutex_unlock(&fan->mutex);
}

/* Returns when all branches have. The thread cannot be cancelled meanwhile: they use its work. */
static void fan_run(Fan *fan) {
        int before;

        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        if (fan->parallel->executor.submit)
                for (size_t i = 0; i < fan->n_branches; i++)
                        fan->branches[i].elsewhere = branch_submit(&fan->branches[i]);
        else
                fan_start_threads(fan);
        for (size_t i = 0; i < fan->n_branches; i++)
                if (!fan->branches[i].elsewhere)
                        branch_run(&fan->branches[i]);
        fan_await(fan);
        pthread_setcancelstate(before, NULL);
}

static size_t fan_n_failed(const Fan *fan) {
        size_t n = 0;

        for (size_t i = 0; i < fan->n_branches; i++)
                n += fan->branches[i].result != 0;
        return n;
}

/* ---- the primitive ---- */

static catena_attribute parallel_count(const char *key, size_t n) {
        return (catena_attribute){
                .key = key,
                .type = CATENA_TYPE_INT,
                .value.integer = (int64_t)n,
        };
}

/* The first failure, by index; what others made is released. */
static int parallel_fail(Fan *fan, catena_context *context, size_t n_failed) {
        catena_attribute attributes[3] = {
                parallel_count("failed_count", n_failed),
                parallel_count("total_count", fan->n_branches),
        };
        int result = 0;

        for (size_t i = 0; i < fan->n_branches; i++) {
                const FanBranch *branch = &fan->branches[i];

                if (!branch->result) {
                        catena__primitive_discard(&branch->output);
                } else if (!result) {
                        result = branch->result;
                        catena__failure_inherit(context, branch->context, result);
                }
        }
        catena__primitive_log(context, CATENA_SEVERITY_ERROR, "parallel_execution_failed",
                              attributes, 2);
        return result;
}

/* The outputs, and behind them, for whoever releases them, their makers. */
static void parallel_complete(const Fan *fan, catena_context *context, void **values) {
        size_t n = fan->n_branches;
        catena_attribute attributes[3] = {
                parallel_count("branch_count", n),
                {
                        .key = "elapsed_ms",
                        .type = CATENA_TYPE_DOUBLE,
                        .value.real = catena_context_elapsed_ms(context),
                },
        };

        for (size_t i = 0; i < n; i++) {
                values[i] = fan->branches[i].output.value;
                values[n + i] = fan->branches[i].output.maker;
        }
        catena_context_checkpoint(context, "parallel_end");
        catena__primitive_log(context, CATENA_SEVERITY_INFO, "parallel_execution_complete",
                              attributes, 2);
}

static void parallel_discard(catena_primitive *parallel, void *output) {
        size_t n = parallel->n_parts;
        void **values = output;

        for (size_t i = 0; i < n; i++)
                catena__primitive_discard(&(PrimitiveOutput){values[i], values[n + i]});
        free(values);
}

static int parallel_work(catena_primitive *parallel, catena_context *context, void *input,
                         PrimitiveOutput *outputp) {
        catena_attribute attributes[2] = {parallel_count("branch_count", parallel->n_parts)};
        void **values = calloc(2 * parallel->n_parts + 1, sizeof *values);
        Fan *fan = values ? fan_new(parallel, context, input) : NULL;
        size_t n_failed;
        int r = 0;

        if (!fan) {
                free(values);
                return -ENOMEM;
        }
        catena_context_checkpoint(context, "parallel_start");
        catena__primitive_log(context, CATENA_SEVERITY_INFO, "parallel_execution_start", attributes,
                              1);
        fan_run(fan);
        n_failed = fan_n_failed(fan);
        if (n_failed) {
                r = parallel_fail(fan, context, n_failed);
                free(values);
        } else {
                parallel_complete(fan, context, values);
                *outputp = (PrimitiveOutput){values, parallel};
        }
        fan_free(fan);
        return r;
}

catena_primitive *catena_parallel(catena_primitive *const *branches, size_t n,
                                  const catena_executor *executor) {
        catena_primitive *parallel = catena__primitive_compose("ParallelPrimitive", branches, n);

        if (!parallel)
                return NULL;
        parallel->work = parallel_work;
        parallel->discard = parallel_discard;
        if (executor)
                parallel->executor = *executor;
        return parallel;
}
