#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A chain for Graphviz
 *
 * Writes the tree that tree.h draws as a directed graph: contexts in bold boxes, spans in boxes,
 * checkpoints without, errors in red. What is dashed does not stand where the tree has it: further
 * causes, causes in a circle, and those that are not here.
 *
 * Borrows: the chain.  I/O: only to `out`.  Bound: DOT_NODES_MAX nodes; those left out are counted.
 */

#include "lib/cli/tree.h"

enum { DOT_NODES_MAX = 10000 };

int dot_write(FILE *out, const TreeChain *chain);
