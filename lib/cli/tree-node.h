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
        bool lacks_cause;                    /* the context has causes, none of them here */
        bool is_hidden;                      /* a context that shares its span's line */
        bool is_settled;                     /* its ancestors are known to end at the root */
};

typedef struct TreeNodes {
        TreeNode *nodes; /* [n]; the first is the root, which is not drawn */
        size_t n;
} TreeNodes;

int tree_nodes_init(TreeNodes *nodes, const TreeChain *chain);
void tree_nodes_deinit(TreeNodes *nodes);
/* The node drawn after this one; NULL: it was the last. *depthp follows; the root's is 0. */
const TreeNode *tree_node_next(const TreeNode *node, size_t *depthp);
