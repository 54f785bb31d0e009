/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/dot.h"

#include "daemon/base/error.h"
#include "lib/cli/text.h"
#include "lib/cli/tree-text.h"

#include <errno.h>
#include <stdlib.h>

enum { DOT_COLUMNS = 60 }; /* of a line of a label */

typedef struct DotGraph {
        FILE *out;
        TreeNodes nodes;
        bool *is_drawn; /* [nodes.n] */
} DotGraph;

/*
 * What is shown of a text, within the quotes of a label: a backslash or a quote of its own stands
 * behind a backslash, and an ampersand begins no HTML entity.
 */
static int dot_text(FILE *out, const char *text, size_t columns) {
        char *shown = NULL;
        size_t size;
        FILE *memory = open_memstream(&shown, &size);

        if (!memory)
                return error_origin(-ENOMEM);
        text_print(memory, text, columns);
        if (fclose(memory)) {
                free(shown);
                return error_origin(-ENOMEM);
        }
        for (const char *at = shown; *at; at++) {
                if (*at == '"' || *at == '\\')
                        fputc('\\', out);
                fputs(*at == '&' ? "&amp;" : (char[]){*at, '\0'}, out);
        }
        free(shown);
        return 0;
}

static size_t dot_number(const DotGraph *graph, const TreeNode *node) {
        return (size_t)(node - graph->nodes.nodes);
}

static int dot_line(const DotGraph *graph, const char *text) {
        if (!*text)
                return 0;
        fputs("\\n", graph->out);
        return error_trace(dot_text(graph->out, text, DOT_COLUMNS));
}

static int dot_label(const DotGraph *graph, const TreeNode *node) {
        const char *name = tree_text_name(node);
        char tag[TREE_TEXT_MAX] = "", duration[TREE_TEXT_MAX];
        bool is_error = node->span && node->span->is_error;
        int r;

        if (!node->checkpoint)
                tree_text_tag(tag, node);
        tree_text_duration(duration, node);
        fprintf(graph->out, "%s%s", node->checkpoint ? "◇ " : "", is_error ? "✗ " : "");
        r = dot_text(graph->out, *name ? name : tag, DOT_COLUMNS);
        if (!r && *name)
                r = dot_line(graph, tag);
        if (!r && is_error && node->span->message)
                r = dot_line(graph, node->span->message);
        if (!r)
                r = dot_line(graph, duration);
        return error_trace(r);
}

static int dot_node(DotGraph *graph, const TreeNode *node) {
        size_t number = dot_number(graph, node);
        int r;

        fprintf(graph->out, "  n%zu [label=\"", number);
        r = dot_label(graph, node);
        fprintf(graph->out, "\"%s%s];\n",
                node->checkpoint ? ", shape=plaintext"
                : node->context  ? ", style=bold"
                                 : "",
                node->span && node->span->is_error ? ", color=red" : "");
        if (node->parent->parent)
                fprintf(graph->out, "  n%zu -> n%zu%s;\n", dot_number(graph, node->parent), number,
                        node->checkpoint ? " [arrowhead=none]" : "");
        graph->is_drawn[number] = true;
        return error_trace(r);
}

/* A cause that is not here is a node named as its id, which no other begins with. */
static int dot_absent_cause(const DotGraph *graph, const TreeNode *node, const char *id) {
        int r;

        fputs("  \"?", graph->out);
        r = dot_text(graph->out, id, SIZE_MAX);
        fputs("\" [label=\"", graph->out);
        if (!r)
                r = dot_text(graph->out, id, DOT_COLUMNS);
        fputs("\\nnot here\", style=dashed];\n  \"?", graph->out);
        if (!r)
                r = dot_text(graph->out, id, SIZE_MAX);
        fprintf(graph->out, "\" -> n%zu [style=dashed];\n", dot_number(graph, node));
        return error_trace(r);
}

/* The first cause that is here is where the node hangs, unless that is the root. */
static int dot_causes(const DotGraph *graph, const TreeNode *node) {
        bool is_shown = !node->parent->parent;
        int r = 0;

        for (size_t i = 0; !r && i < node->context->n_causes; i++) {
                const char *id = node->context->causes[i];
                const TreeNode *cause = tree_nodes_context(&graph->nodes, id);

                if (!cause)
                        r = id ? dot_absent_cause(graph, node, id) : 0;
                else if (is_shown && graph->is_drawn[dot_number(graph, cause)])
                        fprintf(graph->out, "  n%zu -> n%zu [style=dashed];\n",
                                dot_number(graph, cause), dot_number(graph, node));
                is_shown = is_shown || cause;
        }
        return error_trace(r);
}

static int dot_body(DotGraph *graph) {
        size_t depth = 0;
        int r = 0;

        for (const TreeNode *node = graph->nodes.nodes;
             !r && (node = tree_node_next(node, &depth));)
                r = dot_node(graph, node);
        for (const TreeNode *node = graph->nodes.nodes;
             !r && (node = tree_node_next(node, &depth));)
                if (node->context && graph->is_drawn[dot_number(graph, node)])
                        r = dot_causes(graph, node);
        return error_trace(r);
}

int dot_write(FILE *out, const TreeChain *chain) {
        DotGraph graph = {.out = out};
        size_t n_left;
        int r;

        r = tree_nodes_init(&graph.nodes, chain);
        if (r)
                return error_trace(r);
        n_left = tree_nodes_cut(&graph.nodes, DOT_NODES_MAX);
        graph.is_drawn = calloc(graph.nodes.n, sizeof *graph.is_drawn);
        if (!graph.is_drawn)
                r = error_origin(-ENOMEM);
        fputs("digraph chain {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n"
              "  labelloc=t;\n  label=\"chain ",
              out);
        if (!r)
                r = dot_text(out, chain->id ? chain->id : "", SIZE_MAX);
        fputs("\";\n", out);
        if (!r)
                r = dot_body(&graph);
        if (n_left)
                fprintf(out, "  left [label=\"%zu more are not drawn\", shape=plaintext];\n",
                        n_left);
        fputs("}\n", out);
        free(graph.is_drawn);
        tree_nodes_deinit(&graph.nodes);
        return error_trace(r);
}
