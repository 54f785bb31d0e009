#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A client of the library, with a context, and the fake daemon that it speaks to: a fixture. */

#include "lib/catena.h"
#include "tests/unit/fake-daemon.h"

static FakeDaemon fake;
static catena_context *context;

static inline void start(void) {
        fake_daemon_open(&fake);
        context = catena_context_new("w", NULL);
}

static inline void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
        context = catena_context_new("w", NULL);
}

static inline void stop(void) {
        catena_context_free(context);
        fake_daemon_close(&fake);
}

static inline catena_stats stats(void) {
        catena_stats known;

        catena_stats_get(&known, sizeof known);
        return known;
}
