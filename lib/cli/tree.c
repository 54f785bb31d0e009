/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/tree.h"

#include "daemon/base/error.h"
#include "lib/cli/text.h"
#include "lib/cli/tree-text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
        TREE_INDENT = 3,
        TREE_LEVELS_MAX = 64, /* deeper ones are drawn at this depth */
        TREE_LABEL_MIN = 24,  /* columns kept for names, however narrow the terminal */
        TREE_BAR_MIN = 10,
        TREE_BAR_MAX = 40,
        TREE_GAP = 2,
};

#define TREE_PLAIN "\033[0m"
#define TREE_BOLD  "\033[1m"
#define TREE_DIM   "\033[2m"
#define TREE_RED   "\033[31m"
#define TREE_CYAN  "\033[36m"

typedef struct TreeDrawing {
        FILE *out;
        TreeStyle style;
        TreeNodes nodes;
        uint64_t start_unix_ns, end_unix_ns;   /* of what is drawn */
        unsigned label, offset, duration, bar; /* columns */
        size_t n_levels;                       /* drawn at most */
        bool goes_on[TREE_LEVELS_MAX + 1];     /* by depth: the node there has a later sibling */
} TreeDrawing;

static void tree_colour(const TreeDrawing *drawing, const char *colour) {
        if (drawing->out && drawing->style.colour)
                fputs(colour, drawing->out);
}

static void tree_repeat(FILE *out, const char *text, size_t n) {
        while (n--)
                fputs(text, out);
}

static void tree_times(char *offset, char *duration, const TreeDrawing *drawing,
                       const TreeNode *node) {
        uint64_t after = node->start_unix_ns > drawing->start_unix_ns
                                 ? node->start_unix_ns - drawing->start_unix_ns
                                 : 0;

        if (after) {
                *offset = '+';
                text_duration(offset + 1, after);
        } else {
                strcpy(offset, "0");
        }
        tree_text_duration(duration, node);
}

/* ---- lines ---- */

static size_t tree_level(const TreeDrawing *drawing, size_t depth) {
        return depth - 1 < drawing->n_levels ? depth - 1 : drawing->n_levels;
}

/* The lines that lead to a node at `depth`; `below`: to what is said under its own line. */
static size_t tree_prefix(const TreeDrawing *drawing, size_t depth, bool below) {
        size_t levels = tree_level(drawing, depth);

        if (!drawing->out || !levels)
                return levels * TREE_INDENT;
        tree_colour(drawing, TREE_DIM);
        for (size_t level = 1; level <= levels; level++) {
                bool goes_on = drawing->goes_on[level];

                if (level == levels && !below)
                        fputs(goes_on ? "├─ " : "└─ ", drawing->out);
                else
                        fputs(goes_on ? "│  " : "   ", drawing->out);
        }
        tree_colour(drawing, TREE_PLAIN);
        return levels * TREE_INDENT;
}

/* Draws a label, or measures it when there is no `out`. Returns its columns. */
static size_t tree_label(const TreeDrawing *drawing, const TreeNode *node, size_t depth) {
        bool is_error = node->span && node->span->is_error;
        const char *name = tree_text_name(node), *mark = tree_text_mark(node);
        char tag[TREE_TEXT_MAX] = "";
        size_t used = tree_prefix(drawing, depth, false);

        tree_colour(drawing, is_error ? TREE_RED : node->context ? TREE_BOLD : "");
        used += text_print(drawing->out, mark, drawing->label - used);
        if (is_error)
                used += text_print(drawing->out, "✗ ", drawing->label - used);
        used += text_print(drawing->out, name, drawing->label - used);
        tree_colour(drawing, TREE_PLAIN);
        if (!node->checkpoint)
                tree_text_tag(tag, node);
        if (!*tag)
                return used;
        tree_colour(drawing, TREE_DIM);
        if (*name)
                used += text_print(drawing->out, *tag == '[' ? " " : "  ", drawing->label - used);
        used += text_print(drawing->out, tag, drawing->label - used);
        tree_colour(drawing, TREE_PLAIN);
        return used;
}

static void tree_bar(const TreeDrawing *drawing, const TreeNode *node) {
        uint64_t total = drawing->end_unix_ns - drawing->start_unix_ns;
        uint64_t after = node->start_unix_ns > drawing->start_unix_ns
                                 ? node->start_unix_ns - drawing->start_unix_ns
                                 : 0;
        uint64_t end = node->end_unix_ns ? node->end_unix_ns : drawing->end_unix_ns;
        double scale = total ? (double)drawing->bar / (double)total : 0;
        unsigned from = (unsigned)((double)after * scale), to;
        const char *cell = node->checkpoint ? "◇" : !node->end_unix_ns ? "┄" : "━";

        end = end > drawing->start_unix_ns ? end - drawing->start_unix_ns : 0;
        to = (unsigned)((double)end * scale + 0.5);
        if (from >= drawing->bar)
                from = drawing->bar - 1;
        if (to > drawing->bar)
                to = drawing->bar;
        if (to <= from)
                to = from + 1;
        tree_repeat(drawing->out, " ", from + TREE_GAP);
        tree_colour(drawing, node->span && node->span->is_error ? TREE_RED : TREE_CYAN);
        tree_repeat(drawing->out, cell, to - from);
        tree_colour(drawing, TREE_PLAIN);
}

static void tree_line(const TreeDrawing *drawing, const TreeNode *node, size_t depth) {
        char offset[TEXT_DURATION_MAX + 1], duration[TREE_TEXT_MAX];
        size_t used = tree_label(drawing, node, depth), width;

        tree_times(offset, duration, drawing, node);
        width = text_print(NULL, offset, SIZE_MAX);
        tree_repeat(drawing->out, " ", drawing->label - used + TREE_GAP + drawing->offset - width);
        fputs(offset, drawing->out);
        width = text_print(NULL, duration, SIZE_MAX);
        if (*duration || drawing->bar)
                tree_repeat(drawing->out, " ", TREE_GAP + drawing->duration - width);
        fputs(duration, drawing->out);
        if (drawing->bar)
                tree_bar(drawing, node);
        fputc('\n', drawing->out);
}

/* A line under a node's own line. */
static void tree_note(const TreeDrawing *drawing, const TreeNode *node, size_t depth,
                      const char *colour, const char *text) {
        size_t used = (tree_level(drawing, depth) + 1) * TREE_INDENT + 1;
        size_t room = drawing->style.width > used ? drawing->style.width - used : 0;

        tree_prefix(drawing, depth, true);
        tree_colour(drawing, TREE_DIM);
        fputs(node->child ? "│   " : "    ", drawing->out);
        tree_colour(drawing, TREE_PLAIN);
        tree_colour(drawing, colour);
        text_print(drawing->out, text, room > TREE_LABEL_MIN ? room : TREE_LABEL_MIN);
        tree_colour(drawing, TREE_PLAIN);
        fputc('\n', drawing->out);
}

/* What a line has no room for: an error's message, and causes that the tree does not show. */
static void tree_notes(const TreeDrawing *drawing, const TreeNode *node, size_t depth) {
        const TreeSpan *span = node->span;
        char text[TREE_TEXT_MAX];

        if (span && span->is_error && span->message && *span->message)
                tree_note(drawing, node, depth, TREE_RED, span->message);
        if (!tree_text_has_causes(&drawing->nodes, node))
                return;
        for (size_t i = 0; i < node->context->n_causes; i++) {
                tree_text_cause(text, &drawing->nodes, node, i);
                tree_note(drawing, node, depth, TREE_DIM, text);
        }
}

/* ---- the whole ---- */

static unsigned tree_max(unsigned a, size_t b) {
        return b > a ? (unsigned)b : a;
}

/* The time that the drawn nodes span, and the columns that each part of a line needs. */
static void tree_measure(TreeDrawing *drawing) {
        char offset[TEXT_DURATION_MAX + 1], duration[TREE_TEXT_MAX];
        size_t depth = 0, room;

        drawing->start_unix_ns = UINT64_MAX;
        for (const TreeNode *node = drawing->nodes.nodes; (node = tree_node_next(node, &depth));) {
                if (node->start_unix_ns && node->start_unix_ns < drawing->start_unix_ns)
                        drawing->start_unix_ns = node->start_unix_ns;
                if (node->start_unix_ns > drawing->end_unix_ns)
                        drawing->end_unix_ns = node->start_unix_ns;
                if (node->end_unix_ns > drawing->end_unix_ns)
                        drawing->end_unix_ns = node->end_unix_ns;
        }
        if (drawing->start_unix_ns > drawing->end_unix_ns)
                drawing->start_unix_ns = drawing->end_unix_ns;
        for (const TreeNode *node = drawing->nodes.nodes; (node = tree_node_next(node, &depth));) {
                tree_times(offset, duration, drawing, node);
                drawing->offset = tree_max(drawing->offset, text_print(NULL, offset, SIZE_MAX));
                drawing->duration =
                        tree_max(drawing->duration, text_print(NULL, duration, SIZE_MAX));
        }
        room = drawing->offset + drawing->duration + 2 * TREE_GAP;
        room = drawing->style.width > room + TREE_LABEL_MIN ? drawing->style.width - room
                                                            : TREE_LABEL_MIN;
        drawing->n_levels = room / 2 / TREE_INDENT;
        if (drawing->n_levels > TREE_LEVELS_MAX)
                drawing->n_levels = TREE_LEVELS_MAX;
        for (const TreeNode *node = drawing->nodes.nodes; (node = tree_node_next(node, &depth));) {
                TreeDrawing measure = {.label = (unsigned)room, .n_levels = drawing->n_levels};

                drawing->label = tree_max(drawing->label, tree_label(&measure, node, depth));
        }
        if (room >= drawing->label + TREE_GAP + TREE_BAR_MIN)
                drawing->bar = (unsigned)room - drawing->label - TREE_GAP;
        if (drawing->bar > TREE_BAR_MAX)
                drawing->bar = TREE_BAR_MAX;
}

static int tree_compare_pids(const void *a, const void *b) {
        uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

        return left < right ? -1 : left > right;
}

static int tree_count_processes(size_t *n_processesp, const TreeChain *chain) {
        uint32_t *pids = calloc(chain->n_contexts + chain->n_spans + 1, sizeof *pids);
        size_t n_pids = 0, n = 0;

        if (!pids)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < chain->n_contexts; i++)
                pids[n_pids++] = chain->contexts[i].pid;
        for (size_t i = 0; i < chain->n_spans; i++)
                pids[n_pids++] = chain->spans[i].pid;
        qsort(pids, n_pids, sizeof *pids, tree_compare_pids);
        for (size_t i = 0; i < n_pids; i++)
                n += pids[i] && (!i || pids[i] != pids[i - 1]);
        free(pids);
        *n_processesp = n;
        return 0;
}

static void tree_plural(FILE *out, size_t n, const char *what, const char *plural) {
        fprintf(out, "%zu %s", n, n == 1 ? what : plural);
}

static int tree_head(const TreeDrawing *drawing, const TreeChain *chain) {
        time_t seconds = (time_t)(drawing->start_unix_ns / 1000000000);
        size_t n_processes = 0, n_errors = 0;
        char text[TEXT_DURATION_MAX];
        struct tm start;
        int r;

        r = tree_count_processes(&n_processes, chain);
        if (r)
                return error_trace(r);
        for (size_t i = 0; i < chain->n_spans; i++)
                n_errors += chain->spans[i].is_error;
        tree_colour(drawing, TREE_BOLD);
        fputs("chain ", drawing->out);
        text_print(drawing->out, chain->id ? chain->id : "", drawing->style.width);
        tree_colour(drawing, TREE_PLAIN);
        fputc('\n', drawing->out);
        if (n_processes) {
                tree_plural(drawing->out, n_processes, "process", "processes");
                fputs(" · ", drawing->out);
        }
        tree_plural(drawing->out, chain->n_spans, "span", "spans");
        fputs(" · ", drawing->out);
        tree_plural(drawing->out, n_errors, "error", "errors");
        if (chain->n_left_out)
                fprintf(drawing->out, " · %" PRIu64 " left out", chain->n_left_out);
        if (drawing->start_unix_ns) {
                text_duration(text, drawing->end_unix_ns - drawing->start_unix_ns);
                fprintf(drawing->out, " · %s", text);
        }
        if (drawing->start_unix_ns && gmtime_r(&seconds, &start) &&
            strftime(text, sizeof text, "%F %T UTC", &start))
                fprintf(drawing->out, " · %s", text);
        fputs(chain->n_contexts + chain->n_spans ? "\n\n" : "\n", drawing->out);
        return 0;
}

static void tree_lines(TreeDrawing *drawing) {
        size_t depth = 0;

        for (const TreeNode *node = drawing->nodes.nodes; (node = tree_node_next(node, &depth));) {
                drawing->goes_on[tree_level(drawing, depth)] = node->next;
                tree_line(drawing, node, depth);
                tree_notes(drawing, node, depth);
        }
}

int tree_draw(FILE *out, const TreeChain *chain, const TreeStyle *style) {
        TreeDrawing drawing = {.style = *style};
        size_t n_left;
        int r;

        r = tree_nodes_init(&drawing.nodes, chain);
        if (r)
                return error_trace(r);
        n_left = tree_nodes_cut(&drawing.nodes, TREE_LINES_MAX);
        tree_measure(&drawing);
        drawing.out = out;
        r = tree_head(&drawing, chain);
        if (!r)
                tree_lines(&drawing);
        if (n_left)
                fprintf(out, "… %zu more are not drawn\n", n_left);
        tree_nodes_deinit(&drawing.nodes);
        return error_trace(r);
}
