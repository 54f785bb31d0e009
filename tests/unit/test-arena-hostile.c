/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients that do to their arenas whatever they like, in HOSTILE_ROUNDS rounds, while another
 * thread writes at random all over the one that is being read. Nobody else notices.
 */

#include "tests/unit/arena-writer.h"
#include "tests/unit/trace-script.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>

enum { ROUNDS = 400, TURNS = 6 };

static Script script;
static uint32_t state = 1;
static pthread_mutex_t target_lock = PTHREAD_MUTEX_INITIALIZER;
static Writer *target; /* of the scribbler */
static bool scribbler_leaves;

static uint32_t next_random(uint32_t *of, uint32_t below) {
        *of = *of * 1664525 + 1013904223;
        return (uint32_t)((uint64_t)(*of) * below >> 32);
}

static uint32_t any(uint32_t below) {
        return next_random(&state, below);
}

static uint64_t wild_word(uint32_t *of) {
        switch (next_random(of, 4)) {
        case 0:
                return arena_word(next_random(of, 3), next_random(of, ARENA_CHUNK_SIZE) & ~7u,
                                  next_random(of, 2));
        case 1:
                return arena_word(0, next_random(of, 40) * 8, next_random(of, 2));
        case 2:
                return arena_word(UINT32_MAX, UINT32_MAX & ~1u, true);
        default:
                return (uint64_t)next_random(of, UINT32_MAX) << 32 | next_random(of, UINT32_MAX);
        }
}

/* Races with the daemon on purpose; only with itself it does not. */
__attribute__((no_sanitize("thread"))) static void *scribble(void *user) {
        uint32_t of = 7;
        bool leaves = false;

        (void)user;
        while (!leaves) {
                pthread_mutex_lock(&target_lock);
                for (unsigned i = 0; target && i < 200; i++) {
                        uint32_t at = next_random(&of, ARENA_CHUNKS * ARENA_CHUNK_SIZE / 8);
                        uint64_t value = next_random(&of, 2) ? next_random(&of, 400) : 0x500000020;

                        ((volatile uint64_t *)(void *)target->chunks)[at % 256] = value;
                        ((volatile uint64_t *)(void *)target->chunks)[at] = value;
                        if (next_random(&of, 2000) == 0)
                                atomic_store(&target->header->words[at % ARENA_CHUNKS].value,
                                             wild_word(&of));
                }
                leaves = scribbler_leaves;
                pthread_mutex_unlock(&target_lock);
                sched_yield();
        }
        return NULL;
}

static void set_target(Writer *writer) {
        pthread_mutex_lock(&target_lock);
        target = writer;
        pthread_mutex_unlock(&target_lock);
}

static void act(Writer *writer, int fd) {
        uint32_t chunk = any(ARENA_CHUNKS);
        uint64_t id = any(1000);
        int seals = F_SEAL_WRITE;

        switch (any(12)) {
        case 0:
                atomic_store(&writer->header->words[chunk].value, wild_word(&state));
                break;
        case 1:
                for (uint32_t i = 0; i < ARENA_CHUNKS; i++)
                        atomic_fetch_or(&writer->header->words[i].value, 1);
                break;
        case 2:
                (void)fallocate(writer->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                any(ARENA_SIZE / 4096) * 4096, 4096 * (1 + any(40)));
                break;
        case 3:
                atomic_store(&writer->header->waiting, any(3));
                atomic_store(&writer->header->lost[any(4)], any(2) ? UINT64_MAX : any(9));
                break;
        case 4:
                ck_assert_int_lt(ftruncate(writer->memfd, 4096), 0);
                ck_assert_int_lt(fcntl(writer->memfd, F_ADD_SEALS, seals), 0);
                break;
        case 5:
                memset(writer->header, (int)any(256), any(16));
                break;
        case 6:
                (void)send(fd, "\x18\0\0\0\x08\0\0\0........\1\0\0\0\0\0\0\0", 24,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
                break;
        default:
                script_span_start(&script, any(3), id, "span");
                script_span_attribute(&script, id, "a", "b");
                script_span_end(&script, id);
                (void)writer_put(writer, chunk, script.records.data, script.records.size);
                script.records.size = 0;
        }
}

static void a_hostile_life(void) {
        Writer writer;
        int fd = client_open_arena(&writer, NULL);
        uint32_t n_turns = any(TURNS);

        if (any(2))
                set_target(&writer);
        for (uint32_t turn = 0; turn < n_turns; turn++) {
                for (uint32_t n = any(8); n; n--)
                        act(&writer, fd);
                if (any(2))
                        (void)send(fd, "\x18\0\0\0\x0a\0\0\0................", 24,
                                   MSG_NOSIGNAL | MSG_DONTWAIT); /* WAKE */
                /* Where it is hung up on there may be nothing to wait for. */
                if (any(8) || !listener_counters(listener)->n_clients)
                        uv_run(&loop, UV_RUN_NOWAIT);
                else
                        uv_run(&loop, UV_RUN_ONCE);
        }
        set_target(NULL);
        close(fd);
        writer_deinit(&writer);
}

static unsigned n_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void); /* which has a heap of its own */
#endif

/* But for the chains, which are remembered up to a bound of their own: by their own account. */
static ssize_t n_bytes_allocated(void) {
        ChainsUsage chains;

        chains_usage(script.chains, &chains);
#ifdef __SANITIZE_ADDRESS__
        return (ssize_t)(__sanitizer_get_current_allocated_bytes() - chains.n_bytes);
#else
        return (ssize_t)(mallinfo2().uordblks - chains.n_bytes);
#endif
}

static void deliver(void) {
        script_deliver(&script);
        script_forget(&script);
        ck_assert_int_ge(recorder_reclaim(script.recorder, script.now++), 0);
}

/* The last life's session is over when its process says HELLO anew. */
static void settle(void) {
        int fd = client_connect(), memfd;

        client_hello_for_arena(fd, NULL);
        ck_assert(client_welcomed(fd, &memfd, NULL));
        close(memfd);
        client_put(fd, RECORD_BYE, 0, 0);
        expect_hang_up(fd, NULL);
        deliver();
}

START_TEST(hostile_clients_harm_nobody) {
        unsigned long n_rounds = unit_amount("HOSTILE_ROUNDS", ROUNDS);
        unsigned n_fds = 0;
        ssize_t n_bytes = 0, n_bytes_now;
        RecorderView view;
        pthread_t thread;

        script_init(&script);
        script_open(&script);
        script.any_times = true;
        setup(script.recorder);
        options.arena_bytes_per_uid = SIZE_MAX;
        open_listener();
        log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        ck_assert_int_eq(pthread_create(&thread, NULL, scribble, NULL), 0);
        for (unsigned long i = 0; i < n_rounds; i++) {
                a_hostile_life();
                if (i % 64)
                        continue;
                settle();
                if (i / 64 == n_rounds / 128) { /* when it has seen most of what there is */
                        n_fds = n_descriptors();
                        n_bytes = n_bytes_allocated();
                }
        }
        settle();
        n_bytes_now = n_bytes_allocated();
        recorder_view(script.recorder, &view);
        printf("# %lu rounds: %u descriptors after half of them and %u at the end, %zd bytes "
               "allocated beside chains and %zd; %ju clients hung up on, %ju spans accepted\n",
               n_rounds, n_fds, n_descriptors(), n_bytes, n_bytes_now,
               (uintmax_t)listener_counters(listener)->hung_up_protocol,
               (uintmax_t)view.counters.spans_accepted);
        fflush(stdout);
        ck_assert_uint_eq(n_descriptors(), n_fds);
        ck_assert_int_lt(n_bytes_now, n_bytes + 256 * 1024);
        ck_assert_uint_eq(view.n_sessions_alive, 0);
        ck_assert_uint_gt(view.counters.spans_accepted, n_rounds / 10);
        ck_assert_uint_gt(listener_counters(listener)->hung_up_protocol, n_rounds / 10);
        script_assert_conservation(&script);
        pthread_mutex_lock(&target_lock);
        scribbler_leaves = true;
        pthread_mutex_unlock(&target_lock);
        pthread_join(thread, NULL);
        teardown();
        script_deinit(&script);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("arena-hostile");
        TCase *tcase = tcase_create("arena-hostile");

        tcase_set_timeout(tcase, 0);
        tcase_add_test(tcase, hostile_clients_harm_nobody);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
