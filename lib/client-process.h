#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process
 *
 * Starts the library once, reads the environment, and notices a fork. Each process has an epoch, a
 * small number that differs from its parent's; a lock or a span that carries another epoch belongs
 * to a process before the fork. The resource is encoded here, with what the kernel and the
 * environment tell.
 *
 * I/O: reads its environment and name.  Clock: none.  Threads: any.
 */

#include "lib/catena.h"
#include "proto/pb.h"

#include <stdbool.h>
#include <stdint.h>

/* Thread-local data: initial-exec, so that a signal handler never allocates it; under 64 bytes. */
typedef struct ProcessThread {
        uint64_t random[4];
        uint32_t random_epoch; /* of the seed; 0: none */
        uint16_t chunk;        /* of the arena, that it wrote to last */
        uint16_t lane;         /* the thread's number, 0: none yet; apart from its neighbours' */
        catena_context *context;
        const catena_options *options; /* while catena_start() runs on this thread */
} ProcessThread;

_Static_assert(sizeof(ProcessThread) < 64, "static TLS is scarce in a process that loads us late");

extern _Thread_local ProcessThread catena__thread __attribute__((tls_model("initial-exec")));

/* Starts the library where that has not happened. Whether it records. Not in signal handlers. */
bool catena__process_start(void);
/* Whether it has started and records: neither disabled nor stopped. */
bool catena__process_on(void);
void catena__process_stop(void);

/* Numbers the thread. */
unsigned catena__process_lane(void);

/* This process's epoch, 1 to 65535. After the start. */
uint32_t catena__process_epoch(void);
/* Whether the library was used in this process, not only in one before a fork. */
bool catena__process_used(void);

/* The daemon's socket; NULL: none can be named. */
const char *catena__process_socket(void);
/* A catena.v1.Hello; token: of RECORD_TOKEN_SIZE, or NULL. Fit for signal handlers. */
void catena__process_hello(PbWriter *writer, const uint8_t *token);
