/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/tree-text.h"

#include "lib/cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *tree_text_name(const TreeNode *node) {
        const char *name = node->span         ? node->span->name
                           : node->checkpoint ? node->checkpoint->name
                                              : "";

        return name && *name ? name : node->context && !node->span ? "" : "(unnamed)";
}

static uint32_t tree_text_pid(const TreeNode *node) {
        if (node->span && node->span->pid)
                return node->span->pid;
        return node->context ? node->context->pid : 0;
}

/* The workflow, if it is not that of the lines above. */
static const char *tree_text_workflow(const TreeNode *node) {
        const char *workflow = node->context ? node->context->workflow_id : NULL;

        if (!workflow)
                return "";
        for (const TreeNode *above = node->parent; above; above = above->parent)
                if (above->context) {
                        const char *same = above->context->workflow_id;

                        return same && !strcmp(same, workflow) ? "" : workflow;
                }
        return workflow;
}

void tree_text_tag(char tag[TREE_TEXT_MAX], const TreeNode *node) {
        const char *name = tree_text_name(node);
        const char *service = node->context ? node->context->service
                              : node->span  ? node->span->service
                                            : NULL;
        const char *workflow = tree_text_workflow(node);
        uint32_t number = tree_text_pid(node);
        char pid[16] = "";

        if (*name && number == tree_text_pid(node->parent))
                service = NULL;
        else if (number)
                snprintf(pid, sizeof pid, "[%" PRIu32 "]", number);
        if (!service || !strcmp(service, name))
                service = "";
        snprintf(tag, TREE_TEXT_MAX, "%s%s%s%s", service, pid,
                 *workflow ? *service || *pid ? " workflow " : "workflow " : "", workflow);
}

const char *tree_text_mark(const TreeNode *node) {
        if (node->checkpoint)
                return "◇ ";
        return node->context ? "◆ " : "";
}

void tree_text_duration(char text[TREE_TEXT_MAX], const TreeNode *node) {
        uint64_t start = node->start_unix_ns, end = node->end_unix_ns;

        if (node->checkpoint)
                *text = '\0';
        else if (!end)
                strcpy(text, "open");
        else
                text_duration(text, end > start ? end - start : 0);
}

/* ---- causes ---- */

bool tree_text_has_causes(const TreeNodes *nodes, const TreeNode *node) {
        const TreeContext *context = node->context;
        bool is_root = !node->parent->parent;

        return context && context->n_causes &&
               (context->n_causes > 1 || is_root || !tree_nodes_context(nodes, context->causes[0]));
}

void tree_text_cause(char text[TREE_TEXT_MAX], const TreeNodes *nodes, const TreeNode *node,
                     size_t i) {
        const char *id = node->context->causes[i] ? node->context->causes[i] : "";
        const TreeNode *cause = tree_nodes_context(nodes, id);
        const char *name = cause ? tree_text_name(cause) : "";

        if (cause && !*name && cause->context->service)
                name = cause->context->service;
        if (!cause)
                snprintf(text, TREE_TEXT_MAX, "caused by %s, not here", id);
        else if (cause == node)
                snprintf(text, TREE_TEXT_MAX, "caused by itself");
        else if (*name)
                snprintf(text, TREE_TEXT_MAX, "caused by %s (%s)", name, id);
        else
                snprintf(text, TREE_TEXT_MAX, "caused by %s", id);
}
