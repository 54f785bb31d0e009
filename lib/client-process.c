/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-process.h"

#include "lib/client-arena.h"
#include "lib/client-count.h"
#include "lib/client-limits.h"
#include "lib/client-propagation.h"
#include "lib/client-resource.h"
#include "lib/client-sampler.h"
#include "proto/record.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        HELLO_VERSION = 1,
        HELLO_RESOURCE = 2,
        HELLO_TOKEN = 3,
        HELLO_LIMITS = 4,
        HELLO_ARENA = 5,
        EPOCH_MAX = 0xffff,
};

_Thread_local ProcessThread catena__thread __attribute__((tls_model("initial-exec")));

static struct {
        pthread_once_t once;
        atomic_bool started;
        atomic_bool off;        /* disabled or stopped */
        _Atomic uint32_t *page; /* the epoch, on a page that a fork wipes */
        _Atomic uint32_t epoch; /* of this process, or of the one before a fork */
        _Atomic uint32_t n_lanes;
        char socket[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* "": none */
} process = {.once = PTHREAD_ONCE_INIT};

static void process_wipe(void) {
        atomic_store(process.page, 0);
}

static int process_map(void) {
        size_t size = (size_t)sysconf(_SC_PAGESIZE);
        void *page;

        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return -errno;
        process.page = page;
        if (madvise(page, size, MADV_WIPEONFORK) < 0)
                return -pthread_atfork(NULL, NULL, process_wipe);
        return 0;
}

static void process_set_socket(const char *path) {
        if (!path || !*path)
                path = "/run/catena/catena.sock";
        if (strlen(path) < sizeof process.socket)
                memcpy(process.socket, path, strlen(path) + 1);
        else
                catena__misuse(MISUSE_SOCKET);
}

static void process_init(void) {
        const catena_options *options = catena__thread.options;
        const char *disabled = secure_getenv("OTEL_SDK_DISABLED");
        static const catena_options none;

        catena__misuse_tell(secure_getenv("CATENA_DEBUG"));
        if (!options)
                options = &none;
        process_set_socket(options->socket ? options->socket : secure_getenv("CATENA_SOCKET"));
        catena__propagators_set(secure_getenv("OTEL_PROPAGATORS"));
        catena__resource_build(options);
        catena__sampler_init();
        catena__limits_init();
        if (process_map() < 0 || (disabled && strcasecmp(disabled, "true") == 0))
                atomic_store(&process.off, true);
        if (process.page)
                atomic_store(process.page, 1);
        atomic_store(&process.epoch, 1);
        catena__thread.options = NULL;
        atomic_store(&process.started, true);
}

bool catena__process_start(void) {
        if (!atomic_load_explicit(&process.started, memory_order_acquire))
                pthread_once(&process.once, process_init);
        return !atomic_load_explicit(&process.off, memory_order_relaxed);
}

bool catena__process_on(void) {
        return atomic_load(&process.started) && !atomic_load(&process.off);
}

void catena__process_stop(void) {
        atomic_store(&process.off, true);
}

bool catena_start(const catena_options *options) {
        static const catena_options none;
        bool first;

        catena__thread.options = options ? options : &none;
        (void)catena__process_start();
        first = !catena__thread.options;
        catena__thread.options = NULL;
        return first;
}

/* The first to see the page wiped gives the child its epoch. */
__attribute__((cold, noinline)) static uint32_t process_forked(void) {
        uint32_t seen = 0, next = atomic_load(&process.epoch) % EPOCH_MAX + 1;

        if (!atomic_compare_exchange_strong(process.page, &seen, next))
                return seen;
        atomic_store(&process.epoch, next);
        catena__count_reset();
        return next;
}

uint32_t catena__process_epoch(void) {
        uint32_t epoch;

        if (!process.page)
                return 1;
        epoch = atomic_load_explicit(process.page, memory_order_relaxed);
        return epoch ? epoch : process_forked();
}

unsigned catena__process_lane(void) {
        catena__thread.lane = (uint16_t)(atomic_fetch_add(&process.n_lanes, 1) | 0x8000);
        return catena__thread.lane;
}

bool catena__process_used(void) {
        return atomic_load(&process.started) && process.page && atomic_load(process.page);
}

const char *catena__process_socket(void) {
        return *process.socket ? process.socket : NULL;
}

void catena__process_hello(PbWriter *writer, const uint8_t *token) {
        pb_put_varint(writer, HELLO_VERSION, RECORD_VERSION);
        pb_put_prefix(writer, HELLO_RESOURCE, catena__resource_size());
        catena__resource_write(writer);
        if (token)
                pb_put_bytes(writer, HELLO_TOKEN, token, RECORD_TOKEN_SIZE);
        catena__limits_write(writer, HELLO_LIMITS);
        if (catena__arena_is_possible())
                pb_put_varint(writer, HELLO_ARENA, true);
}

const char *catena_version(void) {
        return CATENA_VERSION;
}

int catena_abi(void) {
        return CATENA_ABI;
}
