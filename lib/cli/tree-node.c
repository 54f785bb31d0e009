/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/tree-node.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding nodes by id ---- */

static const char *tree_node_id(const TreeNode *node) {
        const char *id = node->span ? node->span->id : node->context->id;

        return id ? id : "";
}

static int tree_node_compare_ids(const void *a, const void *b) {
        const TreeNode *left = *(TreeNode *const *)a, *right = *(TreeNode *const *)b;
        int order = strcmp(tree_node_id(left), tree_node_id(right));

        return order ? order : left < right ? -1 : left > right;
}

typedef struct TreeIndex {
        TreeNode **nodes; /* by id */
        size_t n;
} TreeIndex;

static int tree_index_init(TreeIndex *index, TreeNode *nodes, size_t n) {
        index->nodes = malloc((n ? n : 1) * sizeof *index->nodes);
        if (!index->nodes)
                return error_origin(-ENOMEM);
        index->n = n;
        for (size_t i = 0; i < n; i++)
                index->nodes[i] = &nodes[i];
        qsort(index->nodes, n, sizeof *index->nodes, tree_node_compare_ids);
        return 0;
}

static TreeNode *tree_index_find(const TreeIndex *index, const char *id) {
        size_t low = 0, high = index->n;

        if (!id || !*id)
                return NULL;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(id, tree_node_id(index->nodes[middle]));

                if (!order)
                        return index->nodes[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

/* ---- what hangs under what ---- */

typedef struct TreeBuilder {
        TreeNodes *nodes;
        TreeNode *contexts, *spans, *checkpoints; /* within nodes */
        const TreeChain *chain;
        TreeIndex contexts_by_id, spans_by_id;
} TreeBuilder;

static void tree_builder_fill(TreeBuilder *builder) {
        const TreeChain *chain = builder->chain;
        TreeNode *checkpoint = builder->checkpoints;

        for (size_t i = 0; i < chain->n_contexts; i++) {
                const TreeContext *context = &chain->contexts[i];

                builder->contexts[i] = (TreeNode){.context = context,
                                                  .start_unix_ns = context->start_unix_ns,
                                                  .end_unix_ns = context->end_unix_ns};
                for (size_t j = 0; j < context->n_checkpoints; j++)
                        *checkpoint++ = (TreeNode){
                                .checkpoint = &context->checkpoints[j],
                                .start_unix_ns = context->checkpoints[j].time_unix_ns,
                                .end_unix_ns = context->checkpoints[j].time_unix_ns,
                                .parent = &builder->contexts[i],
                        };
        }
        for (size_t i = 0; i < chain->n_spans; i++)
                builder->spans[i] = (TreeNode){.span = &chain->spans[i],
                                               .start_unix_ns = chain->spans[i].start_unix_ns,
                                               .end_unix_ns = chain->spans[i].end_unix_ns};
}

static TreeNode *tree_builder_context(const TreeBuilder *builder, const TreeNode *span) {
        return tree_index_find(&builder->contexts_by_id, span->span->context_id);
}

static TreeNode *tree_builder_cause(const TreeBuilder *builder, const TreeNode *node) {
        TreeNode *cause = NULL;

        for (size_t i = 0; i < node->context->n_causes && !cause; i++)
                cause = tree_index_find(&builder->contexts_by_id, node->context->causes[i]);
        return cause;
}

/*
 * Spans first: under their parent where it is of the same context, else under the context. The
 * earliest span that a context got from elsewhere tells which span the context hangs under; that
 * span waits in context.child meanwhile.
 */
static void tree_builder_link(TreeBuilder *builder) {
        const TreeChain *chain = builder->chain;
        TreeNode *root = builder->nodes->nodes;

        for (TreeNode *span = builder->spans; span < builder->spans + chain->n_spans; span++) {
                TreeNode *context = tree_builder_context(builder, span);
                TreeNode *parent = tree_index_find(&builder->spans_by_id, span->span->parent_id);

                if (!context) {
                        span->parent = parent ? parent : root;
                } else if (parent && tree_builder_context(builder, parent) == context) {
                        span->parent = parent;
                } else {
                        span->parent = context;
                        if (!context->child || span->start_unix_ns < context->child->start_unix_ns)
                                context->child = span;
                }
        }
        for (TreeNode *node = builder->contexts; node < builder->contexts + chain->n_contexts;
             node++) {
                TreeNode *cause = tree_builder_cause(builder, node), *maker = NULL;

                if (node->child)
                        maker = tree_index_find(&builder->spans_by_id,
                                                node->child->span->parent_id);
                if (maker && cause && tree_builder_context(builder, maker) != cause)
                        maker = NULL;
                node->parent = maker ? maker : cause ? cause : root;
        }
        for (TreeNode *node = builder->contexts; node < builder->contexts + chain->n_contexts;
             node++)
                node->child = NULL;
}

/* Walks up from every node; who is met twice on the way is on a circle, which is cut. */
static void tree_nodes_cut_circles(TreeNodes *nodes) {
        TreeNode *root = nodes->nodes;

        root->is_settled = true;
        for (TreeNode *node = root + 1; node < root + nodes->n; node++) {
                TreeNode *slow = node, *fast = node, *earliest;

                while (!fast->is_settled && !fast->parent->is_settled) {
                        slow = slow->parent;
                        fast = fast->parent->parent;
                        if (slow == fast)
                                break;
                }
                if (!fast->is_settled && !fast->parent->is_settled) {
                        earliest = slow;
                        for (TreeNode *at = slow->parent; at != slow; at = at->parent)
                                if (at->start_unix_ns < earliest->start_unix_ns)
                                        earliest = at;
                        earliest->parent = root;
                }
                for (TreeNode *at = node; !at->is_settled; at = at->parent)
                        at->is_settled = true;
        }
}

/* A context with one outermost span shares its line: what hung under it hangs under the span. */
static void tree_builder_share_lines(TreeBuilder *builder) {
        const TreeChain *chain = builder->chain;
        TreeNode *root = builder->nodes->nodes;

        for (TreeNode *span = builder->spans; span < builder->spans + chain->n_spans; span++) {
                TreeNode *context = span->parent;

                if (context->context && !context->span) {
                        context->shared = context->child ? NULL : span;
                        context->child = span;
                }
        }
        for (TreeNode *node = root + 1; node < root + builder->nodes->n; node++)
                if (node->parent->shared && node->parent->shared != node)
                        node->parent = node->parent->shared;
        for (TreeNode *node = builder->contexts; node < builder->contexts + chain->n_contexts;
             node++) {
                if (node->shared) {
                        node->shared->context = node->context;
                        node->shared->parent = node->parent;
                }
                node->child = NULL;
        }
}

static int tree_node_compare_times(const void *a, const void *b) {
        const TreeNode *left = *(TreeNode *const *)a, *right = *(TreeNode *const *)b;

        if (left->start_unix_ns != right->start_unix_ns)
                return left->start_unix_ns < right->start_unix_ns ? -1 : 1;
        return left < right ? -1 : left > right;
}

static int tree_nodes_sort(TreeNodes *nodes) {
        TreeNode **sorted = malloc(nodes->n * sizeof *sorted);

        if (!sorted)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < nodes->n; i++)
                sorted[i] = &nodes->nodes[i];
        qsort(sorted + 1, nodes->n - 1, sizeof *sorted, tree_node_compare_times);
        for (size_t i = nodes->n - 1; i; i--)
                if (!sorted[i]->shared) {
                        sorted[i]->next = sorted[i]->parent->child;
                        sorted[i]->parent->child = sorted[i];
                }
        free(sorted);
        return 0;
}

int tree_nodes_init(TreeNodes *nodes, const TreeChain *chain) {
        TreeBuilder builder = {.nodes = nodes, .chain = chain};
        int r;

        nodes->n = 1 + chain->n_contexts + chain->n_spans;
        for (size_t i = 0; i < chain->n_contexts; i++)
                nodes->n += chain->contexts[i].n_checkpoints;
        nodes->nodes = calloc(nodes->n, sizeof *nodes->nodes);
        if (!nodes->nodes)
                return error_origin(-ENOMEM);
        builder.contexts = nodes->nodes + 1;
        builder.spans = builder.contexts + chain->n_contexts;
        builder.checkpoints = builder.spans + chain->n_spans;
        tree_builder_fill(&builder);
        r = tree_index_init(&builder.contexts_by_id, builder.contexts, chain->n_contexts);
        if (!r)
                r = tree_index_init(&builder.spans_by_id, builder.spans, chain->n_spans);
        if (!r) {
                tree_builder_link(&builder);
                tree_nodes_cut_circles(nodes);
                tree_builder_share_lines(&builder);
                r = tree_nodes_sort(nodes);
        }
        nodes->contexts = builder.contexts_by_id.nodes;
        nodes->n_contexts = chain->n_contexts;
        free(builder.spans_by_id.nodes);
        if (r)
                tree_nodes_deinit(nodes);
        return error_trace(r);
}

void tree_nodes_deinit(TreeNodes *nodes) {
        free(nodes->nodes);
        free(nodes->contexts);
        *nodes = (TreeNodes){0};
}

const TreeNode *tree_nodes_context(const TreeNodes *nodes, const char *id) {
        const TreeIndex index = {nodes->contexts, nodes->n_contexts};
        const TreeNode *node = tree_index_find(&index, id);

        return node && node->shared ? node->shared : node;
}

const TreeNode *tree_node_next(const TreeNode *node, size_t *depthp) {
        if (node->child) {
                ++*depthp;
                return node->child;
        }
        while (node->parent && !node->next) {
                node = node->parent;
                --*depthp;
        }
        return node->next;
}

size_t tree_nodes_cut(TreeNodes *nodes, size_t max) {
        const TreeNode *node = nodes->nodes, *last = node;
        size_t depth = 0, n = 0;

        while ((node = tree_node_next(node, &depth)))
                if (n++ < max)
                        last = node;
        if (n <= max)
                return 0;
        nodes->nodes[last - nodes->nodes].child = NULL;
        for (TreeNode *at = &nodes->nodes[last - nodes->nodes]; at; at = at->parent)
                at->next = NULL;
        return n - max;
}
