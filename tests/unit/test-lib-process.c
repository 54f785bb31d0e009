/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifdef __SANITIZE_THREAD__
/* A forked child has none of its parent's threads, and so cannot join them. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
        return "report_thread_leaks=0";
}
#endif

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static catena_stats stats(void) {
        catena_stats known;

        catena_stats_get(&known, sizeof known);
        return known;
}

/* ---- threads ---- */

enum { N_THREADS = 8, N_ROUNDS = 2000 };

static void *work(void *user) {
        catena_context *context = catena_context_child(user);

        for (unsigned i = 0; i < N_ROUNDS; i++) {
                catena_span span = catena_span_start(context, "s", 0);

                catena_span_set_int(span, "i", i);
                catena_span_end(span);
        }
        catena_context_free(context);
        return NULL;
}

START_TEST(what_threads_say_arrives_or_is_counted) {
        catena_context *context = catena_context_new("w", NULL);
        pthread_t threads[N_THREADS];
        struct pollfd fd = {.events = POLLIN};

        catena_span_end(catena_span_start(context, "first", 0));
        for (unsigned i = 0; i < N_THREADS; i++)
                ck_assert_int_eq(
                        pthread_create(&threads[i], NULL, work, catena_context_child(context)), 0);
        while (stats().spans_ended < 1 + N_THREADS * N_ROUNDS) {
                fake_daemon_take(&fake);
                fd.fd = fake.connections[0].fd;
                (void)poll(&fd, 1, 1);
        }
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(stats().connections, 1);
        ck_assert_uint_eq(stats().dropped_not_connected, 0);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_START) +
                                  stats().dropped_starts,
                          1 + N_THREADS * N_ROUNDS);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END) + stats().dropped_ends,
                          1 + N_THREADS * N_ROUNDS);
}
END_TEST

static void *start_one(void *user) {
        catena_span_end(catena_span_start(catena_context_child(user), "s", 0));
        return NULL;
}

START_TEST(threads_that_begin_together_lose_nothing) {
        catena_context *context = catena_context_new(NULL, NULL);
        pthread_t threads[N_THREADS];

        for (unsigned i = 0; i < N_THREADS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, start_one, context), 0);
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_connections, 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 2 * N_THREADS);
}
END_TEST

static void *use_contexts(void *user) {
        for (unsigned i = 0; i < N_ROUNDS; i++) {
                catena_context *context = catena_context_child(user);
                catena_span span = catena_span_start(context, "s", 0);

                catena_context_free(context);
                catena_span_set_int(span, "i", i);
                catena_span_end(span);
        }
        return NULL;
}

START_TEST(contexts_come_and_go_under_many_threads) {
        catena_context *context = catena_context_new("w", NULL);
        pthread_t threads[N_THREADS];

        for (unsigned i = 0; i < N_THREADS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, use_contexts,
                                                catena_context_child(context)),
                                 0);
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_eq(stats().misuse, 0);
        ck_assert_uint_eq(stats().spans_ended, N_THREADS * N_ROUNDS);
        fake_daemon_take(&fake);
        catena_context_free(context);
}
END_TEST

/* ---- signals ---- */

enum { N_SPANS = 4000 };

static catena_span prepared[N_SPANS];
static atomic_uint n_ended;

static void end_some(int signal_number) {
        (void)signal_number;
        if (n_ended < N_SPANS) {
                catena_span_set_string(prepared[n_ended], "by", "handler");
                catena_span_event(prepared[n_ended], "interrupted", NULL, 0);
                catena_span_end(prepared[n_ended]);
                n_ended++;
        }
}

START_TEST(a_handler_may_interrupt_the_library) {
        catena_context *context = catena_context_new("w", NULL);
        struct sigaction action = {.sa_handler = end_some};
        struct itimerval often = {{0, 50}, {0, 50}}, never = {0};
        catena_span parent = catena_span_start(context, "parent", 0);
        uint64_t n_spans = 1 + N_SPANS;

        for (unsigned i = 0; i < N_SPANS; i++) {
                prepared[i] = catena_span_child(parent, "s", 0);
                if (i % 64 == 0)
                        fake_daemon_take(&fake);
        }
        sigemptyset(&action.sa_mask);
        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        for (unsigned i = 0; n_ended < N_SPANS / 4; i++) {
                catena_span span = catena_span_start(context, "main", 0);

                catena_span_set_int(span, "i", i);
                catena_span_end(span);
                n_spans++;
                if (i % 64 == 0)
                        fake_daemon_take(&fake);
        }
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(stats().spans_started, n_spans);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_START) +
                                  stats().dropped_starts,
                          n_spans);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END) + stats().dropped_ends,
                          n_spans - 1 - N_SPANS + n_ended);
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

/* ---- fork and exit ---- */

static void wait_for(pid_t child) {
        int status;

        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
}

START_TEST(a_forked_child_has_its_own_session) {
        catena_context *context = catena_context_new("w", NULL);
        catena_span parents = catena_span_start(context, "parent", 0), own;
        Catena__V1__Context *said;
        Catena__V1__Hello *hello;
        FakeRecord *record;
        pid_t child;

        fake_daemon_take(&fake);
        fake_daemon_welcome(&fake, "0123456789abcdef", 0);
        catena_span_set_int(parents, "n", 1);
        fake_daemon_take(&fake);
        fake_daemon_forget(&fake);
        child = fork();
        if (child == 0) {
                own = catena_span_start(context, "child", 0);
                catena_span_end(parents); /* not the child's to end */
                catena_span_end(own);
                _exit(memcmp(own.parent_id, parents.span_id, 8) != 0 || stats().misuse != 1 ||
                      stats().spans_started != 1 || catena_span_recording(parents));
        }
        wait_for(child);
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 0);
        ck_assert_uint_eq(hello->token.len, 0);
        ck_assert_int_eq(fake_attribute(hello->resource->attributes, hello->resource->n_attributes,
                                        "process.pid")
                                 ->int_value,
                         child);
        catena__v1__hello__free_unpacked(hello, NULL);
        record = fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, 0);
        ck_assert_uint_eq(record->connection, 2);
        said = fake_context(record);
        ck_assert_str_eq(said->context_id, catena_context_id(context));
        catena__v1__context__free_unpacked(said, NULL);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_BYE, 0), 0);

        /* The parent goes on where it was. */
        ck_assert_int_ge(fake.connections[0].fd, 0);
        catena_span_end(parents);
        fake_daemon_take(&fake);
        record = fake_daemon_record(&fake, RECORD_SPAN, RECORD_END, 1);
        ck_assert_uint_eq(record->connection, 1);
        ck_assert_uint_eq(stats().connections, 1);
        catena_context_free(context);
}
END_TEST

static void *speak(void *user) {
        for (unsigned i = 0; i < N_ROUNDS; i++) {
                catena_span_end(catena_span_child(*(catena_span *)user, "s", 0));
                if (i % 16 == 0)
                        (void)poll(NULL, 0, 0);
        }
        return NULL;
}

START_TEST(a_fork_while_threads_speak_is_whole) {
        enum { N_FORKS = 20 };
        catena_context *context = catena_context_new("w", NULL);
        catena_span span = catena_span_start(context, "parent", 0);
        pthread_t threads[2];
        pid_t children[N_FORKS];

        for (unsigned i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, speak, &span), 0);
        for (unsigned i = 0; i < N_FORKS; i++) {
                fake_daemon_take(&fake);
                children[i] = fork();
                if (children[i] == 0) {
                        catena_span_end(catena_span_child(span, "child", 0));
                        _exit(stats().dropped_starts + stats().dropped_ends != 0);
                }
                ck_assert_int_gt(children[i], 0);
        }
        for (unsigned i = 0; i < N_FORKS; i++)
                wait_for(children[i]);
        for (unsigned i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_HELLO, 0), 1 + N_FORKS);
        ck_assert_uint_eq(fake.n_connections, 1 + N_FORKS);
}
END_TEST

START_TEST(ids_differ_after_a_fork) {
        catena_context *context = catena_context_new(NULL, NULL);
        uint8_t theirs[16] = {0};
        catena_span mine;
        int ends[2];
        pid_t child;

        catena_span_end(catena_span_start(context, "s", 0));
        ck_assert_int_eq(pipe(ends), 0);
        child = fork();
        mine = catena_span_start(context, "s", 0);
        if (child == 0)
                _exit(write(ends[1], mine.span_id, 8) != 8);
        wait_for(child);
        ck_assert_int_eq(read(ends[0], theirs, 8), 8);
        ck_assert_mem_ne(mine.span_id, theirs, 8);
        close(ends[0]);
        close(ends[1]);
        catena_context_free(context);
}
END_TEST

START_TEST(an_exit_says_goodbye_and_a_silent_child_does_not) {
        unsigned n_before = fake.n_connections;
        pid_t child = fork();

        if (child == 0) {
                (void)catena_span_start(catena_context_new(NULL, NULL), "open", 0);
                child = fork();
                if (child == 0)
                        exit(0); /* it said nothing, and so takes no leave */
                waitpid(child, NULL, 0);
                exit(0);
        }
        wait_for(child);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_connections, n_before + 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_BYE, 0), 1);
        ck_assert_uint_eq(fake.records[fake.n_records - 1].header.type, RECORD_BYE);
}
END_TEST

/* ---- who speaks ---- */

static const char *resource_string(Catena__V1__Hello *hello, const char *key) {
        return fake_attribute_string(hello->resource->attributes, hello->resource->n_attributes,
                                     key);
}

static Catena__V1__Hello *hello_of_a_span(void) {
        catena_context *context = catena_context_new(NULL, NULL);

        catena_span_end(catena_span_start(context, "s", 0));
        catena_context_free(context);
        fake_daemon_take(&fake);
        return fake_daemon_hello(&fake, 0);
}

START_TEST(the_resource_tells_who_speaks) {
        Catena__V1__Hello *hello = hello_of_a_span();

        ck_assert_str_eq(resource_string(hello, "service.name"),
                         "unknown_service:test-lib-process");
        ck_assert_str_eq(resource_string(hello, "process.executable.name"), "test-lib-process");
        ck_assert_str_eq(resource_string(hello, "telemetry.sdk.name"), "catena");
        ck_assert_str_eq(resource_string(hello, "telemetry.sdk.language"), "c");
        ck_assert_str_eq(resource_string(hello, "telemetry.sdk.version"), catena_version());
        ck_assert_ptr_nonnull(resource_string(hello, "host.name"));
        catena__v1__hello__free_unpacked(hello, NULL);
}
END_TEST

START_TEST(the_environment_names_the_service) {
        Catena__V1__Hello *hello;

        setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=less, region = eu%2Cwest,process.pid=1",
               1);
        setenv("OTEL_SERVICE_NAME", "shop", 1);
        hello = hello_of_a_span();
        ck_assert_str_eq(resource_string(hello, "service.name"), "shop");
        ck_assert_str_eq(resource_string(hello, "region"), "eu,west");
        ck_assert_uint_eq(hello->resource->n_attributes, 8);
        catena__v1__hello__free_unpacked(hello, NULL);
}
END_TEST

START_TEST(an_error_discards_the_whole_variable) {
        static const char *const bad[] = {"a=1,b", "a=1,=2", "a=1,b=%4", "a=1,b=c=d", "a=1,b=%00"};
        Catena__V1__Hello *hello;

        setenv("OTEL_RESOURCE_ATTRIBUTES", bad[_i], 1);
        hello = hello_of_a_span();
        ck_assert_ptr_null(resource_string(hello, "a"));
        ck_assert_uint_eq(stats().misuse, 1);
        catena__v1__hello__free_unpacked(hello, NULL);
}
END_TEST

START_TEST(options_come_before_the_environment) {
        catena_attribute attributes[] = {
                {.key = "region", .value.string = "us"},
                {.key = "cores", .type = CATENA_TYPE_INT, .value.integer = 2},
                {.key = NULL},
        };
        Catena__V1__Hello *hello;

        setenv("OTEL_RESOURCE_ATTRIBUTES", "region=eu,zone=1", 1);
        setenv("OTEL_SERVICE_NAME", "less", 1);
        setenv("CATENA_SOCKET", "/nowhere", 1);
        ck_assert(catena_start(&(catena_options){
                .service_name = "shop",
                .socket = fake.address.sun_path,
                .attributes = attributes,
                .n_attributes = 3,
        }));
        ck_assert(!catena_start(&(catena_options){.service_name = "late"}));
        ck_assert(!catena_start(NULL));
        hello = hello_of_a_span();
        ck_assert_str_eq(resource_string(hello, "service.name"), "shop");
        ck_assert_str_eq(resource_string(hello, "region"), "us");
        ck_assert_str_eq(resource_string(hello, "zone"), "1");
        ck_assert_int_eq(
                fake_attribute(hello->resource->attributes, hello->resource->n_attributes, "cores")
                        ->int_value,
                2);
        catena__v1__hello__free_unpacked(hello, NULL);
}
END_TEST

START_TEST(a_disabled_library_passes_on_what_came) {
        static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        catena_context *context;
        catena_span span;

        setenv("OTEL_SDK_DISABLED", "TRUE", 1);
        setenv("TRACEPARENT", traceparent, 1);
        setenv("BAGGAGE", "workflow.correlation_id=chain,workflow.context_id=sender", 1);
        context = catena_context_extract_environ(0);
        span = catena_span_start(context, "s", 0);
        ck_assert(id_is_zero(span.span_id, 8));
        ck_assert(!catena_span_recording(span));
        catena_context_checkpoint(context, "c");
        ck_assert(catena_inject_environ(context, span));
        ck_assert_str_eq(getenv("TRACEPARENT"), traceparent);
        ck_assert_ptr_nonnull(strstr(getenv("BAGGAGE"), "workflow.correlation_id=chain"));
        ck_assert(catena_flush(0));
        catena_context_free(context);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_connections, 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_told) {
        char path[200], log[128], text[512] = "";
        catena_context *context;
        int fd;

        memset(path, 'x', sizeof path);
        path[sizeof path - 1] = 0;
        snprintf(log, sizeof log, "%s/log", fake.folder);
        setenv("CATENA_SOCKET", path, 1);
        setenv("CATENA_DEBUG", log, 1);
        context = catena_context_new(NULL, NULL);
        catena_span_end(catena_span_start(context, NULL, 0));
        catena_span_end(catena_span_start(context, NULL, 0));
        ck_assert_uint_eq(stats().dropped_not_connected, 4);
        fd = open(log, O_RDONLY);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
        close(fd);
        unlink(log);
        ck_assert_str_eq(text, "catena: the path of the socket is too long\n"
                               "catena: NULL where a name is due\n");
        catena_context_free(context);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, what_threads_say_arrives_or_is_counted);
        tcase_add_test(tcase, threads_that_begin_together_lose_nothing);
        tcase_add_test(tcase, contexts_come_and_go_under_many_threads);
        tcase_add_test(tcase, a_handler_may_interrupt_the_library);
        tcase_add_test(tcase, a_forked_child_has_its_own_session);
        tcase_add_test(tcase, a_fork_while_threads_speak_is_whole);
        tcase_add_test(tcase, ids_differ_after_a_fork);
        tcase_add_test(tcase, an_exit_says_goodbye_and_a_silent_child_does_not);
        suite_add_tcase(suite, tcase);
}

/* What is settled when the library starts. */
static void add_starting_tests(Suite *suite) {
        TCase *tcase = tcase_create("stream only");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, the_resource_tells_who_speaks);
        tcase_add_test(tcase, the_environment_names_the_service);
        tcase_add_loop_test(tcase, an_error_discards_the_whole_variable, 0, 5);
        tcase_add_test(tcase, options_come_before_the_environment);
        tcase_add_test(tcase, a_disabled_library_passes_on_what_came);
        tcase_add_test(tcase, a_path_that_is_too_long_is_told);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-process");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        add_starting_tests(suite);
        return unit_run(suite);
}
