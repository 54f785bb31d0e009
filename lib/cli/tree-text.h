#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is said of a node of a chain's tree
 *
 * I/O: none.
 */

#include "lib/cli/tree-node.h"

enum { TREE_TEXT_MAX = 1024 };

/* "pay", "(unnamed)"; "": a context that is no span's. */
const char *tree_text_name(const TreeNode *node);
/* "◆ ": a context; "◇ ": a checkpoint; "" */
const char *tree_text_mark(const TreeNode *node);
/* "service[pid] workflow W", whatever of it is known and the lines above do not say. */
void tree_text_tag(char tag[TREE_TEXT_MAX], const TreeNode *node);
/* "1.24 s", "open"; "": of a checkpoint. */
void tree_text_duration(char text[TREE_TEXT_MAX], const TreeNode *node);
/* Whether it has causes that its place in the tree does not show: all of them are told, then. */
bool tree_text_has_causes(const TreeNodes *nodes, const TreeNode *node);
/* "caused by pay (ID)", "caused by ID, not here": its cause i. */
void tree_text_cause(char text[TREE_TEXT_MAX], const TreeNodes *nodes, const TreeNode *node,
                     size_t i);
