/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What programs do around the library: they load and unload it, run others, close what is not
 * theirs to close, and have threads come and go.
 */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLUSH_MS = 60000 };

/* In a process of its own, where nothing may be asserted. */
#define EXPECT(condition)                                                                          \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
                        _exit(1);                                                                  \
                }                                                                                  \
        } while (0)

static Harness harness;
/* What a program has said, in memory that outlives it. */
static struct { uint64_t n_started, n_dropped_starts; } *account;

static void account_for(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        EXPECT(stats.misuse == 0);
        account->n_started = stats.spans_started;
        account->n_dropped_starts = stats.dropped_starts;
}

static void account_open(void) {
        account = mmap(NULL, sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
        ck_assert_ptr_ne(account, MAP_FAILED);
}

static void say(catena_context *context, const char *name) {
        catena_span_end(catena_span_start(context, name, CATENA_KIND_INTERNAL));
}

static size_t n_exported(const char *name) {
        const BackendSpan *span;
        size_t n = 0;

        for (size_t i = 0; (span = backend_span(harness.backend, i)); i++)
                n += !strcmp(span->span->name, name);
        return n;
}

/* ---- loading and unloading ---- */

static void load(void *user) {
        (void)user;
        setenv("CATENA_SOCKET", harness.socket, 1);
        execl(LOADER, LOADER, LIBCATENA, NULL);
        _exit(127);
}

START_TEST(a_library_that_is_unloaded_has_said_all) {
        enum { TIMES = 50 }; /* the loader's */

        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(load, NULL)), 0);
        harness_await_exactly(&harness, "conservation.traces.finished", TIMES + 3);
        ck_assert_uint_eq(n_exported("first"), 1);
        ck_assert_uint_eq(n_exported("of a thread"), 1);
        ck_assert_uint_eq(n_exported("of a child"), 1);
        ck_assert_uint_eq(n_exported("again"), TIMES);
        ck_assert_uint_eq(harness_get(&harness, "counters.sessions"), 2);
        harness_finish(&harness);
}
END_TEST

/* ---- running others ---- */

static void run_others(void *user) {
        enum { OTHERS = 50 };
        char *argv[] = {(char *)"true", NULL};
        catena_context *context;
        int status;

        (void)user;
        people_speak(&harness, "shell");
        context = catena_context_new(NULL, NULL);
        for (int i = 0; i < 2 * OTHERS; i++) {
                catena_span span = catena_span_start(context, "other", CATENA_KIND_CLIENT);
                pid_t pid = 0;

                if (i % 2)
                        EXPECT(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0);
                else if ((pid = vfork()) == 0)
                        _exit(execv("/bin/true", argv));
                EXPECT(pid > 0);
                catena_span_set_int(span, "pid", pid);
                EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
                catena_span_end(span);
        }
        EXPECT(catena_stop(FLUSH_MS));
        account_for();
}

START_TEST(others_that_are_executed_take_nothing_along) {
        account_open();
        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(run_others, NULL)), 0);
        ck_assert_uint_eq(account->n_dropped_starts, 0);
        harness_await_exactly(&harness, "conservation.traces.finished", account->n_started);
        ck_assert_uint_eq(n_exported("other"), account->n_started);
        ck_assert_uint_eq(harness_get(&harness, "counters.sessions"), 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        harness_finish(&harness);
}
END_TEST

/* ---- closing what is not theirs ---- */

enum { STRANGERS_END = 64 }; /* descriptors from 3 on */

/* Bytes on their way to the program lie in each socket: they are not the library's to read. */
static void open_sockets(int pair[2]) {
        EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
        EXPECT(write(pair[1], "theirs", 6) == 6);
        for (int fd = 5; fd < STRANGERS_END; fd++)
                EXPECT(dup2(pair[0], fd) == fd);
}

static void expect_sockets_untouched(const int pair[2]) {
        char bytes[16];

        EXPECT(recv(pair[1], bytes, sizeof bytes, 0) == -1);
        EXPECT(recv(pair[0], bytes, sizeof bytes, 0) == 6);
        EXPECT(!memcmp(bytes, "theirs", 6));
}

static void open_files(void) {
        int first = memfd_create("theirs", 0);

        EXPECT(first == 3);
        for (int fd = first + 1; fd < STRANGERS_END; fd++)
                EXPECT(dup2(first, fd) == fd);
}

static void expect_files_untouched(void) {
        EXPECT(lseek(3, 0, SEEK_CUR) == 0);
        EXPECT(lseek(3, 0, SEEK_END) == 0);
}

/* Bit 0: by which call; bit 1: what is opened then. */
static void close_all_and_go_on(void *user) {
        enum { SPANS = 2000, FLUSH_EVERY = 100 };
        unsigned how = (unsigned)(uintptr_t)user;
        catena_context *context;
        int pair[2];

        people_speak(&harness, "closing");
        context = catena_context_new(NULL, NULL);
        say(context, "before");
        EXPECT(catena_flush(FLUSH_MS));
        if (how & 1)
                closefrom(3);
        else
                EXPECT(close_range(3, ~0U, 0) == 0);
        if (how & 2)
                open_sockets(pair);
        else
                open_files();
        for (unsigned i = 0; i < SPANS; i++) {
                say(context, "after");
                if (i % FLUSH_EVERY == 0)
                        catena_flush(FLUSH_MS);
        }
        catena_stop(FLUSH_MS);
        if (how & 2)
                expect_sockets_untouched(pair);
        else
                expect_files_untouched();
        account_for();
        EXPECT(account->n_started == 1 + SPANS);
}

START_TEST(a_program_that_closes_all_keeps_its_own_to_itself) {
        uint64_t n = 0, n_dropped = 0;

        account_open();
        harness_open(&harness, NULL);
        for (uintptr_t how = 0; how < 4; how++) {
                ck_assert_int_eq(people_await(people_fork(close_all_and_go_on, (void *)how)), 0);
                n += account->n_started - account->n_dropped_starts;
                n_dropped += account->n_dropped_starts;
                harness_await_exactly(&harness, "conservation.traces.finished", n);
        }
        printf("# all descriptors closed 4 times: %ju spans exported, %ju counted as dropped\n",
               (uintmax_t)n, (uintmax_t)n_dropped);
        harness_finish(&harness);
}
END_TEST

/* ---- threads that end ---- */

static unsigned n_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        EXPECT(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void *say_one(void *user) {
        catena_context *context = catena_context_child(user);

        say(context, "brief");
        catena_context_free(context);
        return NULL;
}

static void have_brief_threads(catena_context *context, unsigned n) {
        enum { AT_ONCE = 8 };
        pthread_t threads[AT_ONCE];

        for (unsigned done = 0; done < n; done += AT_ONCE) {
                for (unsigned i = 0; i < AT_ONCE; i++)
                        EXPECT(!pthread_create(&threads[i], NULL, say_one, context));
                for (unsigned i = 0; i < AT_ONCE; i++)
                        pthread_join(threads[i], NULL);
                if (done % (32 * AT_ONCE) == 0)
                        EXPECT(catena_flush(FLUSH_MS));
        }
}

#ifdef __SANITIZE_ADDRESS__
enum { GROWTH_MAX_KB = 256 * 1024 }; /* what was freed is kept, to see who still uses it */
#else
enum { GROWTH_MAX_KB = 1024 };
#endif

static void outlive_threads(void *user) {
        enum { SOME = 1000, MANY = 8000 };
        catena_context *context;
        unsigned long anonymous_kb;
        unsigned n_fds;

        (void)user;
        people_speak(&harness, "threads");
        context = catena_context_new(NULL, NULL);
        have_brief_threads(context, SOME);
        n_fds = n_descriptors();
        anonymous_kb = people_anonymous_kb(getpid());
        EXPECT(anonymous_kb > 0);
        have_brief_threads(context, MANY);
        EXPECT(n_descriptors() == n_fds);
        EXPECT(people_anonymous_kb(getpid()) <= anonymous_kb + GROWTH_MAX_KB);
        EXPECT(catena_stop(FLUSH_MS));
        account_for();
        EXPECT(account->n_started == SOME + MANY);
}

START_TEST(threads_that_end_leave_nothing_behind) {
        account_open();
        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(outlive_threads, NULL)), 0);
        ck_assert_uint_eq(account->n_dropped_starts, 0);
        harness_await_exactly(&harness, "conservation.traces.finished", account->n_started);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("programs", a_library_that_is_unloaded_has_said_all,
             others_that_are_executed_take_nothing_along,
             a_program_that_closes_all_keeps_its_own_to_itself,
             threads_that_end_leave_nothing_behind)
