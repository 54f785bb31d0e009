/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-tree.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { CONFIG_TREE_PATH_MAX = 128 };

typedef struct ConfigTreeBuild {
        ConfigNode *root;
        ConfigNode *last; /* added */
        ConfigNode *at;   /* the mapping or sequence that is open, or NULL */
        char *key;        /* read, its value is next */
        unsigned key_line;
        unsigned depth, n_nodes, n_documents;
        const char *file;
        ConfigError *error;
} ConfigTreeBuild;

static ConfigNode *config_node_free(ConfigNode *node) {
        list_for_each_safe (link, &node->children)
                config_node_free(list_entry(link, ConfigNode, link));
        list_unlink(&node->link);
        free(node->key);
        free(node->text);
        free(node);
        return NULL;
}

ConfigNode *config_tree_free(ConfigNode *root) {
        return root ? config_node_free(root) : NULL;
}

static size_t config_tree_path(const ConfigNode *node, char *path, size_t size) {
        unsigned index = 0;
        size_t n;

        if (!node->parent) {
                *path = 0;
                return 0;
        }
        n = config_tree_path(node->parent, path, size);
        if (node->parent->kind == CONFIG_NODE_MAPPING) {
                snprintf(path + n, size - n, "%s%s", n ? "." : "", node->key);
        } else {
                for (const List *link = node->link.previous; link != &node->parent->children;
                     link = link->previous)
                        index++;
                snprintf(path + n, size - n, "[%u]", index);
        }
        return strlen(path);
}

static int config_tree_fault(ConfigTreeBuild *build, const yaml_event_t *event, const char *why) {
        char path[CONFIG_TREE_PATH_MAX] = "";
        size_t n = build->at ? config_tree_path(build->at, path, sizeof path) : 0;

        if (build->key)
                snprintf(path + n, sizeof path - n, "%s%s", n ? "." : "", build->key);
        return config_error_set(build->error, build->file, (unsigned)event->start_mark.line + 1,
                                *path ? path : NULL, "%s", why);
}

/* Not of libyaml's words alone: where the thing began, too; and it gives no line for bad bytes. */
static int config_tree_syntax(ConfigTreeBuild *build, const yaml_parser_t *parser,
                              const uint8_t *data) {
        unsigned line = (unsigned)parser->problem_mark.line + 1;

        if (parser->error == YAML_MEMORY_ERROR)
                return error_origin(-ENOMEM);
        if (parser->error == YAML_READER_ERROR) {
                line = 1;
                for (size_t i = 0; i < parser->problem_offset; i++)
                        line += data[i] == '\n';
        }
        if (!parser->context)
                return config_error_set(build->error, build->file, line, NULL,
                                        "this is not YAML: %s", parser->problem);
        return config_error_set(build->error, build->file, line, NULL,
                                "this is not YAML: %s, %s begun in line %u", parser->problem,
                                parser->context, (unsigned)parser->context_mark.line + 1);
}

static bool config_tree_is_null(const yaml_event_t *event) {
        const char *text = (const char *)event->data.scalar.value;

        return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
               (!*text || !strcmp(text, "~") || !strcasecmp(text, "null"));
}

static int config_tree_text(ConfigTreeBuild *build, char **textp, const yaml_event_t *event) {
        const char *value = (const char *)event->data.scalar.value;

        if (strlen(value) != event->data.scalar.length)
                return config_tree_fault(build, event, "a text must not hold a NUL byte");
        *textp = strdup(value);
        return *textp ? 0 : error_origin(-ENOMEM);
}

/* Hangs a new node where the next value belongs, and opens it unless it is a scalar. */
static int config_tree_add(ConfigTreeBuild *build, const yaml_event_t *event, ConfigNodeKind kind) {
        ConfigNode *node;

        if (++build->n_nodes > CONFIG_TREE_NODES_MAX)
                return config_tree_fault(build, event, "too many values for a configuration");
        if (kind != CONFIG_NODE_SCALAR && build->depth == CONFIG_TREE_DEPTH_MAX)
                return config_tree_fault(build, event, "nested too deep");
        node = calloc(1, sizeof *node);
        if (!node)
                return error_origin(-ENOMEM);
        node->kind = kind;
        node->line = build->key ? build->key_line : (unsigned)event->start_mark.line + 1;
        node->key = build->key;
        node->parent = build->at;
        list_init(&node->children);
        list_init(&node->link);
        build->key = NULL;
        if (build->at)
                list_append(&build->at->children, &node->link);
        else
                build->root = node;
        if (kind != CONFIG_NODE_SCALAR) {
                build->at = node;
                build->depth++;
        }
        build->last = node;
        return 0;
}

static int config_tree_value(ConfigTreeBuild *build, const yaml_event_t *event) {
        char *text;
        int r = config_tree_text(build, &text, event);

        if (r)
                return error_trace(r);
        r = config_tree_add(build, event, CONFIG_NODE_SCALAR);
        if (r) {
                free(text);
                return error_trace(r);
        }
        build->last->text = text;
        build->last->null = config_tree_is_null(event);
        return 0;
}

static int config_tree_scalar(ConfigTreeBuild *build, const yaml_event_t *event) {
        if (!build->at || build->at->kind != CONFIG_NODE_MAPPING || build->key)
                return config_tree_value(build, event);
        build->key_line = (unsigned)event->start_mark.line + 1;
        return config_tree_text(build, &build->key, event);
}

static int config_tree_open(ConfigTreeBuild *build, const yaml_event_t *event,
                            ConfigNodeKind kind) {
        if (build->at && build->at->kind == CONFIG_NODE_MAPPING && !build->key)
                return config_tree_fault(build, event, "a key must be a plain text");
        return config_tree_add(build, event, kind);
}

static int config_tree_event(ConfigTreeBuild *build, const yaml_event_t *event) {
        switch (event->type) {
        case YAML_DOCUMENT_START_EVENT:
                if (build->n_documents++)
                        return config_tree_fault(build, event, "a second YAML document; one only");
                return 0;
        case YAML_ALIAS_EVENT:
                return config_tree_fault(build, event, "aliases (*name) are not supported");
        case YAML_SCALAR_EVENT:
                return config_tree_scalar(build, event);
        case YAML_SEQUENCE_START_EVENT:
                return config_tree_open(build, event, CONFIG_NODE_SEQUENCE);
        case YAML_MAPPING_START_EVENT:
                return config_tree_open(build, event, CONFIG_NODE_MAPPING);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                build->at = build->at->parent;
                build->depth--;
                return 0;
        default:
                return 0;
        }
}

static int config_tree_parse(ConfigTreeBuild *build, yaml_parser_t *parser, const uint8_t *data) {
        yaml_event_t event;
        bool end;
        int r;

        do {
                if (!yaml_parser_parse(parser, &event))
                        return config_tree_syntax(build, parser, data);
                end = event.type == YAML_STREAM_END_EVENT;
                r = config_tree_event(build, &event);
                yaml_event_delete(&event);
                if (r)
                        return error_trace(r);
        } while (!end);
        return 0;
}

int config_tree_new(ConfigNode **rootp, const uint8_t *data, size_t size, const char *file,
                    ConfigError *error) {
        ConfigTreeBuild build = {.file = file, .error = error};
        yaml_parser_t parser;
        int r;

        if (!yaml_parser_initialize(&parser))
                return error_origin(-ENOMEM);
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, data, size);
        r = config_tree_parse(&build, &parser, data);
        yaml_parser_delete(&parser);
        free(build.key);
        if (!r && build.root && build.root->null)
                build.root = config_tree_free(build.root);
        if (r) {
                config_tree_free(build.root);
                return error_trace(r);
        }
        *rootp = build.root;
        return 0;
}

ConfigNode *config_tree_entry(const ConfigNode *node, const char *key) {
        if (!node)
                return NULL;
        list_for_each (link, &node->children) {
                ConfigNode *child = list_entry(link, ConfigNode, link);

                if (child->key && !strcmp(child->key, key))
                        return child;
        }
        return NULL;
}

ConfigNode *config_tree_nth(const ConfigNode *node, unsigned n) {
        if (!node)
                return NULL;
        list_for_each (link, &node->children) {
                if (!n--)
                        return list_entry(link, ConfigNode, link);
        }
        return NULL;
}

int config_tree_refuse(const ConfigNode *node, const char *file, ConfigError *error,
                       const char *format, ...) {
        char path[CONFIG_TREE_PATH_MAX], message[768];
        va_list args;

        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        config_tree_path(node, path, sizeof path);
        return config_error_set(error, file, node->line, *path ? path : NULL, "%s", message);
}
