#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A chain as a tree
 *
 * Draws a chain: contexts (◆) hang under what caused them, spans under their parents, checkpoints
 * (◇) under their context, siblings in the order of time. A context with one outermost span shares
 * its line. A child context hangs under the very span that made it, where that is known. Missing
 * causes and parents make roots; where causes or parents go round in a circle, its earliest member
 * does. A line names its process where that is another than the line's above it. Causes that the
 * place of a context does not show stand below it: all of several, one that is not here, one that
 * it goes round to.
 *
 * Borrows: the chain.  I/O: only to `out`.  Bound: TREE_LINES_MAX contexts, spans and checkpoints;
 * what is left out is counted.  Clock: none; times are relative to the chain's start.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TREE_LINES_MAX = 50000 };

typedef struct TreeCheckpoint {
        const char *name;
        uint64_t time_unix_ns;
} TreeCheckpoint;

/* Strings that are not set are NULL. */
typedef struct TreeContext {
        const char *id, *workflow_id, *service;
        const char **causes; /* [n_causes]: ids of contexts */
        size_t n_causes;
        uint32_t pid;                        /* 0: unknown */
        uint64_t start_unix_ns, end_unix_ns; /* end 0: it runs */
        TreeCheckpoint *checkpoints;         /* [n_checkpoints] */
        size_t n_checkpoints;
} TreeContext;

typedef struct TreeSpan {
        const char *id, *parent_id, *context_id, *name, *service, *message;
        uint32_t pid; /* 0: unknown */
        bool is_error;
        uint64_t start_unix_ns, end_unix_ns; /* end 0: it is open */
} TreeSpan;

typedef struct TreeChain {
        const char *id;
        TreeContext *contexts; /* [n_contexts] */
        size_t n_contexts;
        TreeSpan *spans; /* [n_spans] */
        size_t n_spans;
        uint64_t n_left_out; /* contexts and spans that the daemon had no room for */
} TreeChain;

typedef struct TreeStyle {
        unsigned width; /* columns; bars are left out where they do not fit */
        bool colour;
} TreeStyle;

int tree_draw(FILE *out, const TreeChain *chain, const TreeStyle *style);
