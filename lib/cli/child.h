#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Running other programs
 *
 * While a ChildGuard is in force no signal that asks this process to do something ends it: such
 * signals wait, and child_wait() hands them on to the child, so that what was begun is also cleaned
 * up. What the terminal sends reaches the child by itself; when it stops the child, this process
 * stops too, as one job. Children start with the signals as they were before the guard.
 *
 * Owns: nothing.  I/O: processes and signals of this process.  Threads: one.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
        _CHILD_E_SUCCESS,

        CHILD_E_NOT_FOUND,    /* no such program */
        CHILD_E_NOT_RUNNABLE, /* it is there and cannot be executed; errno tells why */
};

typedef struct ChildGuard {
        sigset_t handed_on, mask; /* mask: before the guard */
        struct sigaction child, pipe;
} ChildGuard;

void child_guard_init(ChildGuard *guard);
void child_guard_deinit(ChildGuard *guard);

typedef struct ChildOptions {
        char *const *argv; /* found along PATH */
        int output_fd;     /* its stdout and stderr, with nothing to read; -1: as here */
        bool is_servant;   /* out of the terminal's reach, told to end when this process is gone */
} ChildOptions;

int child_spawn(pid_t *pidp, const ChildGuard *guard, const ChildOptions *options);
/* For what runs in a forked child before it may be ended like any process. */
void child_become(const ChildGuard *guard, pid_t parent, int death_signal);
/* Waits for the end; *statusp is as waitpid() gives it. */
int child_wait(int *statusp, pid_t pid, const ChildGuard *guard);
