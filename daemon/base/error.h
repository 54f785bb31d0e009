#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Errors
 *
 * A function returns 0 when it did its work; a positive MODULE_E_*, documented at its enum and
 * handled by the direct caller, for whatever a client, a collector, a disk or a YAML author can
 * cause; a negative errno when our own code or the kernel failed. A negative result is noted where
 * it arises with error_origin(), handed up unchanged with error_trace(), and ends the daemon;
 * error_print() then tells the way it came.
 *
 * I/O: only error_print().  Threads: the event loop's only.
 */

#include <stdio.h>

#define error_origin(r) error_note((r), 1, __FILE__, __LINE__)
#define error_trace(r) error_note((r), 0, __FILE__, __LINE__)

/* Returns r; a negative one is remembered with its place. An origin forgets what came before. */
int error_note(int r, int origin, const char *file, int line);
void error_print(FILE *out);

/* Where callbacks of the event loop, which return nothing, end with a negative result. */
typedef struct ErrorSink {
        void (*fail)(void *user, int r); /* keeps the first one and stops the loop */
        void *user;
} ErrorSink;
