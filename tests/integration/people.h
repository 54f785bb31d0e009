#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes of a scenario: one that does something and is waited for or killed, and a well-behaved
 * client in the test's own process, who must lose nothing whatever the others do.
 */

#include "tests/integration/harness.h"

#include <sys/types.h>

/*
 * Runs `act` in a process of its own, which ends with it unless `act` ends it otherwise. Nothing is
 * asserted there: the backend's thread may have held Check's lock when it was forked.
 */
pid_t people_fork(void (*act)(void *user), void *user);
/* Waits for its end: a wait status. */
int people_await(pid_t pid);
void people_kill(pid_t pid);
/* KiB of memory that no file backs, of any process; 0: it is not there. */
unsigned long people_anonymous_kb(pid_t pid);
/* In such a process: starts libcatena. */
void people_speak(const Harness *harness, const char *service);

/* Starts libcatena here, and a span that stays open. */
void people_neighbour_begins(const Harness *harness);
/* Of that span, as in a record's header. */
uint64_t people_neighbour_span_id(void);
/* Says more, ends the span, and asserts that all of it has arrived in the journal. */
void people_neighbour_ends(const Harness *harness);
/* Asserts that all that the neighbour has said is at the backend. */
void people_neighbour_lost_nothing(const Harness *harness);
