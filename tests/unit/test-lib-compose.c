/* SPDX-License-Identifier: Apache-2.0 */

/* Primitives that are made of primitives. */

#include "tests/unit/primitive-work.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { N = 3 };

/* ---- outputs ---- */

/* Something that is made, and released once. */
typedef struct Thing {
        char name;
        unsigned n_released;
} Thing;

static Thing things[26];

static Thing *thing(char name) {
        things[name - 'a'].name = name;
        return &things[name - 'a'];
}

static void release_thing(void *what) {
        ((Thing *)what)->n_released++;
}

/* Of all things, those that were released; twice: in capitals. */
static const char *released(void) {
        static char text[sizeof things / sizeof *things + 1];
        size_t n = 0;

        for (size_t i = 0; i < sizeof things / sizeof *things; i++)
                if (things[i].n_released)
                        text[n++] = (char)((things[i].n_released > 1 ? 'A' : 'a') + (char)i);
        text[n] = 0;
        memset(things, 0, sizeof things);
        return text;
}

static int hand_on(catena_context *of, void *input, void **outputp, void *data) {
        (void)of;
        (void)data;
        *outputp = input;
        return 0;
}

static catena_primitive *maker(char name) {
        return catena_primitive_new(&(catena_primitive_options){
                .name = "make",
                .type = "Maker",
                .run = succeed,
                .release = release_thing,
                .data = thing(name),
        });
}

static catena_primitive *failing(void) {
        return primitive_of("fail", "Failing", refuse, "no money");
}

static catena_primitive *passing(void) {
        return primitive_of("pass", "Passing", hand_on, NULL);
}

/* Gives the references of the parts away. */
static catena_primitive *compose(bool parallel, size_t n, catena_primitive *const *parts) {
        catena_primitive *whole =
                parallel ? catena_parallel(parts, n, NULL) : catena_sequential(parts, n);

        ck_assert_ptr_nonnull(whole);
        for (size_t i = 0; i < n; i++)
                catena_primitive_unref(parts[i]);
        return whole;
}

#define PARTS(...)                                                                                 \
        sizeof((catena_primitive *[]){__VA_ARGS__}) / sizeof(catena_primitive *),                  \
                (catena_primitive *[]) {                                                           \
                __VA_ARGS__                                                                        \
        }
#define SEQUENTIAL(...) compose(false, PARTS(__VA_ARGS__))
#define PARALLEL(...)   compose(true, PARTS(__VA_ARGS__))

/* ---- sequential ---- */

START_TEST(steps_are_told) {
        Thing *input = thing('z');
        void *output = NULL;
        FakeLog *log;

        ck_assert_int_eq(execute_once(SEQUENTIAL(maker('a'), passing()), input, &output), 0);
        ck_assert_ptr_eq(output, thing('a'));
        ck_assert_str_eq(said_checkpoints(),
                         "sequential_start step_0_Maker step_1_Passing sequential_end ");
        for (size_t i = 0; i < 2; i++) {
                log = said_log("sequential_step_start", i);
                ck_assert_uint_eq(log->n_attributes, 5);
                ck_assert_int_eq(SAID_VALUE(log, "step")->int_value, (int64_t)i);
                ck_assert_int_eq(SAID_VALUE(log, "total_steps")->int_value, 2);
                ck_assert_str_eq(SAID_STRING(log, "primitive"), i ? "Passing" : "Maker");
                ck_assert_str_eq(SAID_STRING(log, "workflow_id"), "flow");
                fake_log_free(log);
                log = said_log("sequential_step_complete", i);
                ck_assert_uint_eq(log->n_attributes, 6);
                ck_assert_int_eq(SAID_VALUE(log, "step")->int_value, (int64_t)i);
                ck_assert_int_eq(SAID_VALUE(log, "total_steps")->int_value, 2);
                ck_assert_str_eq(SAID_STRING(log, "primitive"), i ? "Passing" : "Maker");
                ck_assert_str_eq(SAID_STRING(log, "workflow_id"), "flow");
                ck_assert_double_gt(SAID_VALUE(log, "elapsed_ms")->double_value, 0);
                fake_log_free(log);
        }
        ck_assert_ptr_null(find_log("sequential_step_start", 2));
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

START_TEST(steps_are_siblings) {
        FakeSpan *whole, *first, *second;

        ck_assert_int_eq(execute_once(SEQUENTIAL(maker('a'), passing()), NULL, NULL), 0);
        whole = said_span("SequentialPrimitive.execute");
        first = said_span("make.execute");
        second = said_span("pass.execute");
        ck_assert_uint_eq(whole->parent_span_id.len, 0);
        ck_assert_mem_eq(first->parent_span_id.data, whole->span_id.data, 8);
        ck_assert_mem_eq(second->parent_span_id.data, whole->span_id.data, 8);
        ck_assert_mem_eq(second->trace_id.data, whole->trace_id.data, 16);
        ck_assert_uint_le(first->end_time_unix_nano, second->start_time_unix_nano);
        ck_assert_uint_le(second->end_time_unix_nano, whole->end_time_unix_nano);
        fake_span_free(whole);
        fake_span_free(first);
        fake_span_free(second);
        ck_assert_ptr_null(catena_context_span_id(context));
}
END_TEST

START_TEST(a_failing_step_ends_it) {
        void *output = thing('z');
        FakeSpan *span;

        ck_assert_int_eq(execute_once(SEQUENTIAL(maker('a'), failing(), maker('b')), NULL, &output),
                         -7);
        ck_assert_ptr_eq(output, thing('z'));
        ck_assert_str_eq(released(), "a");
        ck_assert_str_eq(said_checkpoints(), "sequential_start step_0_Maker ");
        span = said_span("SequentialPrimitive.execute");
        ck_assert_str_eq(SAID_STRING(span, "error.type"), "Refused");
        ck_assert_str_eq(SAID_STRING(span, "error.message"), "no money");
        ck_assert_uint_eq(span->n_events, 3); /* behind the checkpoints */
        ck_assert_str_eq(span->events[2]->name, "exception");
        fake_span_free(span);
        ck_assert_ptr_null(find_log("sequential_step_start", 2));
        fake_log_free(said_log("SequentialPrimitive failed", 0));
}
END_TEST

START_TEST(outputs_are_released_by_who_made_them) {
        Thing *input = thing('z');
        void *output = NULL;

        /* The input is never released, nor is the last output. */
        ck_assert_int_eq(execute_once(SEQUENTIAL(maker('a'), maker('b')), input, &output), 0);
        ck_assert_ptr_eq(output, thing('b'));
        ck_assert_str_eq(released(), "a");
        /* What is handed on lives on, through a step and through a sequence. */
        ck_assert_int_eq(execute_once(SEQUENTIAL(passing(), maker('a'), passing(),
                                                 SEQUENTIAL(passing()), maker('b')),
                                      input, &output),
                         0);
        ck_assert_str_eq(released(), "a");
        /* What a sequence made is released by its maker, behind a step that handed it on too. */
        ck_assert_int_eq(
                execute_once(SEQUENTIAL(SEQUENTIAL(maker('a'), maker('b'), passing()), maker('c')),
                             input, NULL),
                0);
        ck_assert_str_eq(released(), "abc");
        /* The input is handed on by all: it stays the caller's. */
        ck_assert_int_eq(execute_once(SEQUENTIAL(passing(), SEQUENTIAL(passing())), input, NULL),
                         0);
        ck_assert_int_eq(execute_once(SEQUENTIAL(passing(), failing()), input, NULL), -7);
        ck_assert_str_eq(released(), "");
}
END_TEST

START_TEST(of_nothing_comes_the_input) {
        Thing *input = thing('z');
        void *output = NULL;

        ck_assert_int_eq(execute_once(catena_sequential(NULL, 0), input, &output), 0);
        ck_assert_ptr_eq(output, input);
        ck_assert_str_eq(said_checkpoints(), "sequential_start sequential_end ");
        ck_assert_int_eq(execute_once(catena_parallel(NULL, 0, NULL), input, &output), 0);
        free(output);
        ck_assert_str_eq(released(), "");
}
END_TEST

START_TEST(sequences_nest_deeply) {
        enum { DEEP = 200 };
        catena_primitive *whole = maker('a');
        void *output = NULL;

        for (unsigned i = 0; i < DEEP; i++)
                whole = SEQUENTIAL(whole);
        ck_assert_int_eq(execute_once(whole, NULL, &output), 0);
        ck_assert_ptr_eq(output, thing('a'));
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), DEEP + 1);
}
END_TEST

/* ---- parallel ---- */

START_TEST(branches_are_told) {
        void *output = NULL;
        FakeLog *log;

        ck_assert_int_eq(
                execute_once(PARALLEL(maker('a'), passing(), maker('c')), thing('z'), &output), 0);
        ck_assert_ptr_eq(((void **)output)[0], thing('a'));
        ck_assert_ptr_eq(((void **)output)[1], thing('z'));
        ck_assert_ptr_eq(((void **)output)[2], thing('c'));
        free(output);
        ck_assert_str_eq(released(), "");
        ck_assert_str_eq(said_checkpoints(), "parallel_start parallel_end ");
        log = said_log("parallel_execution_start", 0);
        ck_assert_uint_eq(log->n_attributes, 3);
        ck_assert_int_eq(SAID_VALUE(log, "branch_count")->int_value, N);
        ck_assert_str_eq(SAID_STRING(log, "workflow_id"), "flow");
        fake_log_free(log);
        log = said_log("parallel_execution_complete", 0);
        ck_assert_uint_eq(log->n_attributes, 4);
        ck_assert_int_eq(log->severity_number, CATENA_SEVERITY_INFO);
        ck_assert_int_eq(SAID_VALUE(log, "branch_count")->int_value, N);
        ck_assert_double_gt(SAID_VALUE(log, "elapsed_ms")->double_value, 0);
        ck_assert_str_eq(SAID_STRING(log, "workflow_id"), "flow");
        fake_log_free(log);
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

START_TEST(branches_are_children) {
        char correlation[64], id[64];
        FakeSpan *whole;
        size_t n_contexts = 0;

        snprintf(correlation, sizeof correlation, "%s", catena_context_correlation_id(context));
        snprintf(id, sizeof id, "%s", catena_context_id(context));
        ck_assert_int_eq(execute_once(PARALLEL(maker('a'), maker('b'), maker('c')), NULL, NULL), 0);
        whole = said_span("ParallelPrimitive.execute");
        for (size_t i = 0; i < N; i++) {
                FakeSpan *branch = find_span("make.execute", i);

                ck_assert_mem_eq(branch->parent_span_id.data, whole->span_id.data, 8);
                ck_assert_mem_eq(branch->trace_id.data, whole->trace_id.data, 16);
                ck_assert_uint_ge(branch->start_time_unix_nano, whole->start_time_unix_nano);
                ck_assert_uint_le(branch->end_time_unix_nano, whole->end_time_unix_nano);
                fake_span_free(branch);
        }
        fake_span_free(whole);
        for (size_t i = 0; i < fake.n_records; i++) {
                Catena__V1__Context *said;

                if (fake.records[i].header.type != RECORD_CONTEXT ||
                    !(fake.records[i].header.flags & RECORD_START))
                        continue;
                said = fake_context(&fake.records[i]);
                ck_assert_str_eq(said->correlation_id, correlation);
                if (n_contexts++)
                        ck_assert_str_eq(said->causation_ids[0], id);
                catena__v1__context__free_unpacked(said, NULL);
        }
        ck_assert_uint_eq(n_contexts, 1 + N);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, RECORD_END), N);
}
END_TEST

static pthread_barrier_t barrier;
static atomic_uint n_ran;

static int fail_with(catena_context *of, void *input, void **outputp, void *data) {
        (void)input;
        (void)outputp;
        catena_context_fail(of, "Refused", data);
        n_ran++;
        return -(int)strlen((const char *)data);
}

START_TEST(the_first_failure_by_index_is_reported) {
        void *output = thing('z');
        FakeSpan *span;
        FakeLog *log;

        n_ran = 0;
        ck_assert_int_eq(
                execute_once(PARALLEL(maker('a'), primitive_of("x", "X", fail_with, "one"),
                                      maker('b'), primitive_of("y", "Y", fail_with, "second")),
                             NULL, &output),
                -3);
        ck_assert_uint_eq(n_ran, 2);
        ck_assert_ptr_eq(output, thing('z'));
        ck_assert_str_eq(released(), "ab");
        ck_assert_str_eq(said_checkpoints(), "parallel_start ");
        span = said_span("ParallelPrimitive.execute");
        ck_assert_str_eq(SAID_STRING(span, "error.type"), "Refused");
        ck_assert_str_eq(SAID_STRING(span, "error.message"), "one");
        ck_assert_uint_eq(span->n_events, 2);
        ck_assert_str_eq(span->events[1]->name, "exception");
        fake_span_free(span);
        log = said_log("parallel_execution_failed", 0);
        ck_assert_int_eq(log->severity_number, CATENA_SEVERITY_ERROR);
        ck_assert_uint_eq(log->n_attributes, 4);
        ck_assert_int_eq(SAID_VALUE(log, "failed_count")->int_value, 2);
        ck_assert_int_eq(SAID_VALUE(log, "total_count")->int_value, 4);
        ck_assert_str_eq(SAID_STRING(log, "workflow_id"), "flow");
        fake_log_free(log);
        ck_assert_ptr_null(find_log("parallel_execution_complete", 0));
}
END_TEST

/* Returns only when all others are here too. */
static int meet(catena_context *of, void *input, void **outputp, void *data) {
        sigset_t blocked;

        (void)input;
        (void)data;
        pthread_barrier_wait(&barrier);
        ck_assert_ptr_eq(catena_context_current(), of);
        ck_assert_ptr_ne(of, context);
        pthread_sigmask(SIG_SETMASK, NULL, &blocked);
        ck_assert(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD));
        ck_assert(!sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGBUS));
        *outputp = malloc(sizeof(pthread_t));
        *(pthread_t *)*outputp = pthread_self();
        return 0;
}

START_TEST(branches_run_at_the_same_time) {
        sigset_t blocked;
        void *output = NULL;
        pthread_t **threads;

        pthread_barrier_init(&barrier, NULL, N);
        ck_assert_int_eq(execute_once(PARALLEL(primitive_of("a", "A", meet, NULL),
                                               primitive_of("b", "B", meet, NULL),
                                               primitive_of("c", "C", meet, NULL)),
                                      NULL, &output),
                         0);
        threads = output;
        for (size_t i = 0; i < N; i++) {
                ck_assert(!pthread_equal(*threads[i], pthread_self()));
                ck_assert(!pthread_equal(*threads[i], *threads[(i + 1) % N]));
        }
        for (size_t i = 0; i < N; i++)
                free(threads[i]);
        free(threads);
        pthread_sigmask(SIG_SETMASK, NULL, &blocked);
        ck_assert(!sigismember(&blocked, SIGTERM));
        pthread_barrier_destroy(&barrier);
}
END_TEST

static int end_thread(catena_context *of, void *input, void **outputp, void *data) {
        (void)of;
        (void)input;
        (void)outputp;
        (void)data;
        pthread_exit(NULL);
}

START_TEST(a_branch_that_ends_its_thread_has_failed) {
        ck_assert_int_eq(
                execute_once(PARALLEL(maker('a'), primitive_of("x", "X", end_thread, NULL)), NULL,
                             NULL),
                -ECANCELED);
        ck_assert_str_eq(released(), "a");
        fake_log_free(said_log("parallel_execution_failed", 0));
}
END_TEST

static int on_calling_thread(catena_context *of, void *input, void **outputp, void *data) {
        (void)of;
        (void)outputp;
        (void)data;
        ck_assert(pthread_equal(*(pthread_t *)input, pthread_self()));
        n_ran++;
        return 0;
}

START_TEST(without_threads_the_calling_thread_runs_them) {
        pthread_t self = pthread_self();
        pthread_attr_t attributes;

        n_ran = 0;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, (size_t)1 << 46);
        ck_assert_int_eq(pthread_setattr_default_np(&attributes), 0);
        ck_assert_int_eq(execute_once(PARALLEL(primitive_of("a", "A", on_calling_thread, NULL),
                                               primitive_of("b", "B", on_calling_thread, NULL)),
                                      &self, NULL),
                         0);
        ck_assert_uint_eq(n_ran, 2);
}
END_TEST

START_TEST(compositions_compose) {
        void *output = NULL;
        FakeSpan *whole, *inner;

        /* What a parallel step made is released with all that it holds, when the next returns. */
        ck_assert_int_eq(
                execute_once(SEQUENTIAL(PARALLEL(maker('a'), SEQUENTIAL(maker('b'), maker('c')),
                                                 PARALLEL(maker('d'), passing())),
                                        maker('e')),
                             thing('z'), &output),
                0);
        ck_assert_ptr_eq(output, thing('e'));
        ck_assert_str_eq(released(), "abcd");
        whole = find_span("SequentialPrimitive.execute", 0);
        inner = find_span("ParallelPrimitive.execute", 0);
        ck_assert_mem_eq(inner->parent_span_id.data, whole->span_id.data, 8);
        fake_span_free(whole);
        fake_span_free(inner);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 10);

        /* A failure is told all the way up. */
        ck_assert_int_eq(
                execute_once(PARALLEL(PARALLEL(maker('a'), SEQUENTIAL(failing()))), NULL, NULL),
                -7);
        ck_assert_str_eq(released(), "a");
        for (size_t i = 1; i < 3; i++) {
                inner = find_span("ParallelPrimitive.execute", i + 1);
                ck_assert_str_eq(SAID_STRING(inner, "error.message"), "no money");
                fake_span_free(inner);
        }
}
END_TEST

START_TEST(without_a_context_branches_run) {
        catena_primitive *whole = PARALLEL(maker('a'), SEQUENTIAL(maker('b')));
        void *output = NULL;

        ck_assert_int_eq(catena_execute(whole, NULL, NULL, &output), 0);
        ck_assert_ptr_eq(((void **)output)[1], thing('b'));
        free(output);
        catena_primitive_unref(whole);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 0);
}
END_TEST

/* ---- executors ---- */

enum { POOL_MAX = 16 };

/* Takes every second task, and runs what it took on one thread of its own. */
typedef struct Pool {
        struct {
                void (*task)(void *argument);
                void *argument;
        } taken[POOL_MAX];
        unsigned n_offered, n_taken;
        bool all;
        pthread_t thread;
} Pool;

static void *pool_run(void *user) {
        Pool *pool = user;

        for (unsigned i = pool->n_taken; i--;)
                pool->taken[i].task(pool->taken[i].argument);
        return NULL;
}

static bool pool_submit(void (*task)(void *argument), void *argument, void *data) {
        Pool *pool = data;

        if (!pool->all && pool->n_offered++ % 2)
                return false;
        pool->taken[pool->n_taken].task = task;
        pool->taken[pool->n_taken++].argument = argument;
        if (pool->n_taken == (pool->all ? N : (N + 1) / 2))
                ck_assert_int_eq(pthread_create(&pool->thread, NULL, pool_run, pool), 0);
        return true;
}

static bool run_at_once(void (*task)(void *argument), void *argument, void *data) {
        (*(unsigned *)data)++;
        task(argument);
        return true;
}

START_TEST(an_executor_runs_branches) {
        catena_primitive *branches[] = {maker('a'), failing(), maker('c')};
        Pool pool = {.all = _i};
        catena_executor executor = {.submit = pool_submit, .data = &pool};
        catena_primitive *whole = catena_parallel(branches, N, &executor);

        ck_assert_int_eq(execute_once(whole, NULL, NULL), -7);
        pthread_join(pool.thread, NULL);
        ck_assert_uint_eq(pool.n_taken, pool.all ? 3 : 2);
        ck_assert_str_eq(released(), "ac");
        for (size_t i = 0; i < N; i++)
                catena_primitive_unref(branches[i]);
}
END_TEST

START_TEST(an_executor_may_run_them_at_once) {
        catena_primitive *branches[] = {maker('a'), maker('b'), maker('c')};
        unsigned n = 0;
        catena_primitive *whole =
                catena_parallel(branches, N, &(catena_executor){.submit = run_at_once, .data = &n});
        void *output = NULL;

        ck_assert_int_eq(execute_once(whole, NULL, &output), 0);
        ck_assert_uint_eq(n, N);
        ck_assert_ptr_eq(((void **)output)[2], thing('c'));
        free(output);
        for (size_t i = 0; i < N; i++)
                catena_primitive_unref(branches[i]);
}
END_TEST

/* ---- many ---- */

static void *execute_often(void *primitive) {
        catena_context *own = catena_context_new(NULL, NULL);

        for (unsigned i = 0; i < 20; i++) {
                void *output = NULL;

                ck_assert_int_eq(catena_execute(primitive, own, NULL, &output), 0);
                free(output);
        }
        catena_context_free(own);
        return NULL;
}

START_TEST(a_primitive_is_executed_by_many_at_once) {
        catena_primitive *whole = PARALLEL(passing(), SEQUENTIAL(passing()), passing());
        pthread_t threads[4];

        for (size_t i = 0; i < 4; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, execute_often, whole), 0);
        for (size_t i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        catena_primitive_unref(whole);
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, steps_are_told);
        tcase_add_test(tcase, steps_are_siblings);
        tcase_add_test(tcase, a_failing_step_ends_it);
        tcase_add_test(tcase, outputs_are_released_by_who_made_them);
        tcase_add_test(tcase, of_nothing_comes_the_input);
        tcase_add_test(tcase, sequences_nest_deeply);
        tcase_add_test(tcase, branches_are_told);
        tcase_add_test(tcase, branches_are_children);
        tcase_add_test(tcase, the_first_failure_by_index_is_reported);
        tcase_add_test(tcase, branches_run_at_the_same_time);
        tcase_add_test(tcase, a_branch_that_ends_its_thread_has_failed);
        tcase_add_test(tcase, without_threads_the_calling_thread_runs_them);
        tcase_add_test(tcase, compositions_compose);
        tcase_add_test(tcase, without_a_context_branches_run);
        tcase_add_loop_test(tcase, an_executor_runs_branches, 0, 2);
        tcase_add_test(tcase, an_executor_may_run_them_at_once);
        tcase_add_test(tcase, a_primitive_is_executed_by_many_at_once);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-compose");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        return unit_run(suite);
}
