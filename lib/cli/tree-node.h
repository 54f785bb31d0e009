#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The nodes of a chain's tree
 *
 * Finds what hangs under what, whatever the chain says, in O(n log n) and without recursion.
 *
 * Owns: its nodes.  Borrows: the chain.  I/O: none.
 */

#include "lib/cli/tree.h"

typedef struct TreeNode TreeNode;
struct TreeNode {
        const TreeContext *context; /* one of the three is set, or context and span: */
        const TreeSpan *span;       /* the context's line is its only span's */
        const TreeCheckpoint *checkpoint;
        uint64_t start_unix_ns, end_unix_ns; /* end 0: it is open */
        TreeNode *parent;                    /* NULL only of the root */
        TreeNode *child;                     /* the earliest */
        TreeNode *next;                      /* sibling */
        TreeNode *shared;                    /* of a context: the span whose line it shares */
        bool is_settled;                     /* its ancestors are known to end at the root */
};

typedef struct TreeNodes {
        TreeNode *nodes; /* [n]; the first is the root, which is not drawn */
        size_t n;
        TreeNode **contexts; /* [n_contexts], by id */
        size_t n_contexts;
} TreeNodes;

int tree_nodes_init(TreeNodes *nodes, const TreeChain *chain);
void tree_nodes_deinit(TreeNodes *nodes);
/* Keeps the first `max` that are drawn; returns how many others there are. */
size_t tree_nodes_cut(TreeNodes *nodes, size_t max);
/* The node that stands for the context of that id; NULL: it is not here. */
const TreeNode *tree_nodes_context(const TreeNodes *nodes, const char *id);
/* The node drawn after this one; NULL: it was the last. *depthp follows; the root's is 0. */
const TreeNode *tree_node_next(const TreeNode *node, size_t *depthp);
