/* SPDX-License-Identifier: Apache-2.0 */

/* A program outside, with -DCATENA_DISABLE and no library: nothing is said, the work is done. */

#include <catena.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CATENA_DISABLE
#error "to be compiled with -DCATENA_DISABLE"
#endif

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        exit(EXIT_FAILURE);                                                        \
                }                                                                                  \
        } while (0)

static unsigned n_ran, n_released, n_data_released;

static void release(void *output) {
        CHECK(output);
        n_released++;
}

static void release_data(void *data) {
        CHECK(data);
        n_data_released++;
}

static int make(catena_context *context, void *input, void **outputp, void *data) {
        (void)input;
        CHECK(!context && !*outputp);
        n_ran++;
        *outputp = data;
        return 0;
}

static int pass(catena_context *context, void *input, void **outputp, void *data) {
        (void)context;
        (void)data;
        n_ran++;
        *outputp = input;
        return 0;
}

static int refuse(catena_context *context, void *input, void **outputp, void *data) {
        (void)input;
        n_ran++;
        *outputp = data; /* which nobody gets */
        catena_context_fail(context, "Refused", "no money");
        return *(int *)data;
}

static bool submit(void (*task)(void *argument), void *argument, void *data) {
        (void)task;
        (void)argument;
        (void)data;
        CHECK(false);
        return true;
}

static catena_primitive *primitive_of(int (*run)(catena_context *, void *, void **, void *),
                                      void *data) {
        catena_primitive *primitive = catena_primitive_new(&(catena_primitive_options){
                .run = run,
                .release = release,
                .data = data,
                .release_data = release_data,
        });

        CHECK(primitive);
        return primitive;
}

/* Gives the references away, and starts to count. */
static catena_primitive *compose(bool parallel, catena_primitive **parts, size_t n) {
        static const catena_executor executor = {.submit = submit};
        catena_primitive *whole =
                parallel ? catena_parallel(parts, n, &executor) : catena_sequential(parts, n);

        CHECK(whole);
        for (size_t i = 0; i < n; i++)
                catena_primitive_unref(parts[i]);
        n_ran = n_released = n_data_released = 0;
        return whole;
}

static void run_steps(void) {
        int a, b, given;
        catena_primitive *steps[] = {
                primitive_of(make, &a),
                primitive_of(pass, &given),
                primitive_of(make, &b),
        };
        catena_primitive *whole = compose(false, steps, 3);
        void *output = NULL;

        CHECK(catena_execute(whole, NULL, &given, &output) == 0);
        CHECK(output == &b && n_ran == 3 && n_released == 1);
        CHECK(catena_execute(whole, NULL, &given, NULL) == 0);
        CHECK(n_ran == 6 && n_released == 3);
        catena_primitive_unref(catena_primitive_ref(whole));
        CHECK(n_data_released == 0);
        catena_primitive_unref(whole);
        CHECK(n_data_released == 3);
}

static void run_branches(void) {
        int a, given;
        catena_primitive *branches[] = {primitive_of(make, &a), primitive_of(pass, &given)};
        catena_primitive *whole = compose(true, branches, 2);
        void *output = NULL;

        CHECK(catena_execute(whole, NULL, &given, &output) == 0);
        CHECK(((void **)output)[0] == &a && ((void **)output)[1] == &given);
        CHECK(n_released == 0);
        free(output);
        CHECK(catena_execute(whole, NULL, &given, NULL) == 0);
        CHECK(n_released == 1 && n_ran == 4);
        catena_primitive_unref(whole);
}

static void fail_somewhere(void) {
        int a, b, two = 2, three = 3;
        catena_primitive *branches[] = {
                primitive_of(make, &b),
                primitive_of(refuse, &two),
                primitive_of(refuse, &three),
        };
        catena_primitive *steps[] = {
                primitive_of(make, &a),
                compose(true, branches, 3),
                primitive_of(make, &a),
        };
        catena_primitive *whole = compose(false, steps, 3);
        void *output = &a;

        CHECK(catena_execute(whole, NULL, NULL, &output) == 2);
        CHECK(output == &a && n_ran == 4 && n_released == 2);
        catena_primitive_unref(whole);
        CHECK(n_data_released == 5);
}

static void refuse_nulls(void) {
        catena_primitive *hole = NULL;

        CHECK(!catena_primitive_new(NULL));
        CHECK(!catena_primitive_new(&(catena_primitive_options){.name = "idle"}));
        CHECK(!catena_sequential(&hole, 1) && !catena_parallel(NULL, 1, NULL));
        CHECK(catena_execute(NULL, NULL, NULL, NULL) == -EINVAL);
        CHECK(!catena_primitive_ref(NULL));
        catena_primitive_unref(NULL);
}

int main(void) {
        catena_stats stats;
        catena_span none = {0}, span;

        CHECK(catena_start(NULL) && catena_flush(0) && catena_stop(0));
        CHECK(!catena_context_new("order", NULL));
        span = catena_span_start(NULL, "span", CATENA_KIND_CLIENT);
        CHECK(!memcmp(&span, &none, sizeof span));
        memset(&stats, 1, sizeof stats);
        CHECK(catena_stats_get(&stats, sizeof stats) == sizeof stats && !stats.misuse);
        CHECK(catena_abi() == CATENA_ABI);
        run_steps();
        run_branches();
        fail_somewhere();
        refuse_nulls();
        return EXIT_SUCCESS;
}
