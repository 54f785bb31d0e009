/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client that is killed at any instruction of what it writes to its arena: the library in a
 * process of its own, that is led through a call one instruction at a time (ptrace). What stands
 * published is looked at before each instruction. At some of them, all over the call, a client
 * dies; with KILLED_STRIDE=1 at all. The daemon is the real one, from the socket to what an
 * exporter sends.
 */

#include "daemon/ingest/arena-reader.h"
#include "lib/catena.h"
#include "tests/unit/arena-writer.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/trace-script.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
        USUAL_KILLS = 20, /* in a call */
        FLUSH_MS = 60000,
        INSTRUCTIONS_MAX = 1000000, /* of one call, also of a build that watches itself */
};

/* Each says one record. */
typedef enum Call {
        CALL_START,
        CALL_SET,
        CALL_EVENT,
        CALL_END,
        _CALLS_N,
} Call;

static Script script;
static Writer neighbour;
static int neighbour_fd;
static uint64_t n_lives;

static RecorderView view(void) {
        RecorderView seen;

        recorder_view(script.recorder, &seen);
        return seen;
}

/*
 * The kernel's clock without a system call tries again while it is updated, which in some virtual
 * machines it is at each single step: never does it come to an end.
 */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now) {
        return (int)syscall(SYS_clock_gettime, clock, now);
}

/* ---- the client ---- */

static void call(Call which, catena_context *context, catena_span *span) {
        if (which == CALL_START)
                *span = catena_span_start(context, "stepped", CATENA_KIND_INTERNAL);
        else if (which == CALL_SET)
                catena_span_set_string(*span, "key", "value");
        else if (which == CALL_EVENT)
                catena_span_event(*span, "event", NULL, 0);
        else
                catena_span_end(*span);
}

/* Stops before the call, and after it. */
static void live(Call which) {
        catena_context *context = catena_context_new("life", NULL);
        catena_span span;

        catena_span_end(catena_span_start(context, "before", CATENA_KIND_INTERNAL));
        if (!catena_flush(FLUSH_MS)) /* by now it has its arena */
                _exit(1);
        for (Call done = CALL_START; done < which; done++)
                call(done, context, &span);
        if (!catena_flush(FLUSH_MS))
                _exit(1);
        raise(SIGSTOP);
        call(which, context, &span);
        raise(SIGSTOP);
        _exit(1);
}

static pid_t client_born(Call which) {
        pid_t parent = getpid(), pid = fork();
        int status;

        if (!pid) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() == parent && ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
                        live(which);
                _exit(1);
        }
        ck_assert_int_gt(pid, 0);
        while (waitpid(pid, &status, WNOHANG) == 0) {
                uv_run(&loop, UV_RUN_NOWAIT);
                sched_yield();
        }
        ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "wait status %#x", status);
        return pid;
}

/* One instruction; false: the call is done. */
static bool client_step(pid_t pid) {
        int status;

        ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFSTOPPED(status), "wait status %#x", status);
        if (WSTOPSIG(status) == SIGSTOP)
                return false;
        ck_assert_int_eq(WSTOPSIG(status), SIGTRAP);
        return true;
}

static void client_dies(pid_t pid) {
        int status;

        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
}

/* ---- its arena ---- */

static ArenaReader *arena_of(pid_t pid) {
        RecorderView seen = view();

        list_for_each (link, seen.sessions) {
                Session *session = list_entry(link, Session, link);

                if (session->credentials.pid == (uint32_t)pid && session->arena)
                        return session->arena;
        }
        ck_abort_msg("the client has no arena");
        return NULL;
}

/* Spans' records that are published and not read; all that is published is whole. */
static unsigned n_published(const ArenaReader *arena) {
        static uint8_t data[ARENA_CHUNK_SIZE];
        unsigned n = 0;

        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                uint64_t word = atomic_load(&arena->header->words[chunk].value);
                uint32_t at = arena->cursors[chunk].offset, size = arena_word_end(word) - at;
                FakeRecord record;

                ck_assert_uint_eq(arena_word_generation(word), arena->cursors[chunk].generation);
                ck_assert_uint_le(at + size, ARENA_CHUNK_SIZE);
                at = (uint32_t)arena_chunk_offset(chunk) + at;
                ck_assert_int_eq(pread(arena->fd, data, size, at), size);
                for (at = 0; at < size; at += (uint32_t)record_stride(record.header.size)) {
                        ck_assert_int_eq(record_frame(&record.header, data + at, size - at), 0);
                        record.body = data + at + RECORD_HEADER_SIZE;
                        record.size = record.header.size - RECORD_HEADER_SIZE;
                        fake_daemon_judge(&record);
                        n += record.header.type == RECORD_SPAN;
                }
                ck_assert_uint_eq(at, size);
        }
        return n;
}

/* ---- what becomes of it ---- */

static const char *exported(const char *name) {
        const char *found = NULL;

        for (size_t i = 0; i < script.n_spans; i++) {
                if (!strstr(script.spans[i], name))
                        continue;
                ck_assert_ptr_null(found);
                found = script.spans[i];
        }
        return found;
}

/* The span of which so many calls were published. */
static void assert_exported(unsigned n_calls) {
        const char *span = exported(" stepped ");

        ck_assert_ptr_nonnull(exported(" before status=0"));
        ck_assert_ptr_nonnull(exported(" neighbour status=0"));
        ck_assert_uint_eq(script.n_spans, 2 + !!n_calls);
        if (!n_calls)
                return;
        ck_assert_ptr_nonnull(span);
        ck_assert_int_eq(!!strstr(span, " key=value"), n_calls > CALL_SET);
        ck_assert_int_eq(!!strstr(span, " [event]"), n_calls > CALL_EVENT);
        ck_assert_int_eq(!!strstr(span, " status=0"), n_calls > CALL_END);
        ck_assert_int_eq(!!strstr(span, " catena.end=process exited"), n_calls <= CALL_END);
}

static void neighbour_speaks(void) {
        script_span_start(&script, 0, ++n_lives, "neighbour");
        script_span_end(&script, n_lives);
        ck_assert(writer_put(&neighbour, 0, script.records.data, script.records.size));
        script.records.size = 0;
        if (writer_must_wake(&neighbour))
                client_wake(neighbour_fd);
}

static void settle(unsigned n_calls) {
        uint64_t n_closed = view().counters.spans_closed + 1 + !!n_calls;

        neighbour_speaks();
        RUN_UNTIL(view().n_sessions_alive == 1 && view().counters.spans_closed == n_closed);
        script_deliver(&script);
        assert_exported(n_calls);
        script_forget(&script);
        ck_assert_int_ge(recorder_reclaim(script.recorder, script.now++), 0);
}

/*
 * Leads a client so many instructions into its call, or to the end of it, and kills it there; how
 * many there were. `rings`: it finds the daemon asleep.
 */
static unsigned a_life(Call which, bool rings, unsigned n_steps, bool looks) {
        pid_t pid = client_born(which);
        ArenaReader *arena = arena_of(pid);
        unsigned n = 0, n_now, i;
        bool done = false;

        ck_assert_uint_eq(n_published(arena), 0);
        arena_reader_set_waiting(arena, rings);
        for (i = 0; i < n_steps && !done; i++) {
                done = !client_step(pid);
                if (!looks)
                        continue;
                n_now = n_published(arena);
                ck_assert_uint_ge(n_now, n);
                n = n_now;
        }
        client_dies(pid);
        n = n_published(arena);
        ck_assert_uint_le(n, 1);
        ck_assert(n || !done);
        settle(which + n);
        return i;
}

/* ---- the tests ---- */

static unsigned n_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void start(void) {
        script_init(&script);
        script_open(&script);
        setup(script.recorder);
        options.arena_bytes_per_uid = SIZE_MAX;
        open_listener();
        setenv("CATENA_SOCKET", path, 1);
        neighbour_fd = client_open_arena(&neighbour, NULL);
}

static void stop(void) {
        RecorderCounters counters = view().counters;

        ck_assert_uint_eq(counters.refused_malformed + counters.refused_spans, 0);
        ck_assert_uint_eq(counters.orphans + counters.late, 0);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 0);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_partial, 0);
        script_assert_conservation(&script);
        close(neighbour_fd);
        writer_deinit(&neighbour);
        teardown();
        script_deinit(&script);
}

START_TEST(a_kill_at_any_instruction_loses_nothing_published) {
        Call which = (Call)(_i % _CALLS_N);
        unsigned n_steps, stride, n_fds, n_killed = 1;
        bool rings = _i >= _CALLS_N;

        n_steps = a_life(which, rings, INSTRUCTIONS_MAX, true);
        ck_assert_uint_lt(n_steps, INSTRUCTIONS_MAX);
        stride = (unsigned)unit_amount("KILLED_STRIDE", 1 + n_steps / USUAL_KILLS);
        ck_assert_uint_gt(stride, 0);
        n_fds = n_descriptors();
        for (unsigned k = 0; k < n_steps; k += stride, n_killed++)
                (void)a_life(which, rings, k, false);
        ck_assert_uint_eq(n_descriptors(), n_fds);
        printf("# call %d%s: %u instructions, killed at %u of them\n", which,
               rings ? " with the doorbell" : "", n_steps, n_killed);
        fflush(stdout);
}
END_TEST

/* Whether one process may lead another. */
static bool may_step(void) {
        pid_t pid = fork();
        int status;
        bool may;

        if (!pid) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
                        raise(SIGSTOP);
                _exit(1);
        }
        may = waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
              ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
              WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
        if (WIFSTOPPED(status)) {
                kill(pid, SIGKILL);
                waitpid(pid, &status, 0);
        }
        return may;
}

int main(void) {
        Suite *suite = suite_create("lib-arena-killed");
        TCase *tcase = tcase_create("lib-arena-killed");

#ifdef __SANITIZE_THREAD__
        puts("1..0 # SKIP one thread, and fifty instructions of ThreadSanitizer's for each");
        return EXIT_SUCCESS;
#endif
        if (!may_step()) {
                puts("1..0 # SKIP this system lets no process lead another by single steps");
                return EXIT_SUCCESS;
        }
        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 0);
        tcase_add_loop_test(tcase, a_kill_at_any_instruction_loses_nothing_published, 0,
                            2 * _CALLS_N);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
