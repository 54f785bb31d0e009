#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes
 *
 * Who is at the other end of a connection, from the kernel, and whether that process still lives.
 * A process is told from a later one with the same pid by its start time; a pidfd stays with the
 * process that it was opened for.
 *
 * I/O: sockets, /proc.
 */

#include "daemon/trace/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Field 22 of the text of /proc/PID/stat: the start time in clock ticks since boot. */
bool process_parse_stat(uint64_t *startp, const char *text, size_t size);

/*
 * The process that made the connection. *pidfdp is -1 where it cannot be watched: it is not visible
 * from here (pid 0), or gone already. Negative: the connection is of no use.
 */
int process_of_connection(SessionCredentials *credentialsp, int *pidfdp, int fd);
/* A pidfd of the process with these credentials, or -1 if it is gone. */
int process_open(const SessionCredentials *credentials);

/* Whether both are the same process, as far as can be told from here. */
static inline bool process_is_same(const SessionCredentials *a, const SessionCredentials *b) {
        return a->pid == b->pid && a->pid && a->process_start == b->process_start;
}
