#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recovery
 *
 * Reads what the journal's folder holds: maps the segments, finds where each one ends, sets aside
 * what it cannot read, removes spares. It damages nothing further and needs nothing whole.
 *
 * Borrows: the descriptor of the folder.  I/O: files and maps.
 */

#include "daemon/journal/segment.h"

typedef struct Recovery {
        Segment *segments; /* oldest first; the caller's from then on */
        size_t n_segments;
        uint64_t next_number;   /* above that of every file that is or was a segment */
        uint64_t next_sequence; /* above that of every block */
} Recovery;

/* JOURNAL_E_SPACE, JOURNAL_E_PATH: nothing is mapped, *recoveryp untouched. */
int recovery_run(Recovery *recoveryp, JournalReport *report, int folder);
