#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A YAML document as a tree that knows its lines
 *
 * Made by one pass over libyaml's events. The schema is checked against it, so that every mistake
 * can be told with the line and the key where it stands. Aliases are refused: they buy nothing here
 * and make small files large.
 *
 * Owns: its nodes.  Bound: depth and number of nodes.  I/O: none.
 */

#include "daemon/base/list.h"
#include "daemon/config-error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        CONFIG_TREE_DEPTH_MAX = 8,
        CONFIG_TREE_NODES_MAX = 16384,
};

typedef enum ConfigNodeKind {
        CONFIG_NODE_SCALAR,
        CONFIG_NODE_MAPPING,
        CONFIG_NODE_SEQUENCE,
} ConfigNodeKind;

typedef struct ConfigNode ConfigNode;
struct ConfigNode {
        ConfigNodeKind kind;
        unsigned line; /* of the key, where it has one */
        char *key;     /* of an entry of a mapping */
        char *text;    /* of a scalar */
        bool null;     /* a scalar that says so: empty, ~ or null, without quotes */
        ConfigNode *parent;
        List children; /* ConfigNode.link */
        List link;     /* parent.children */
};

/* The root, or NULL of a document that holds nothing. `file` is for the error only. */
int config_tree_new(ConfigNode **rootp, const uint8_t *data, size_t size, const char *file,
                    ConfigError *error);
ConfigNode *config_tree_free(ConfigNode *root);

/* The entry of a mapping, or the n-th of a sequence; NULL where there is none, or no node. */
ConfigNode *config_tree_entry(const ConfigNode *node, const char *key);
ConfigNode *config_tree_nth(const ConfigNode *node, unsigned n);

/* Tells a mistake at the node, with its line and its path: "exporters[1].timeout". */
int config_tree_refuse(const ConfigNode *node, const char *file, ConfigError *error,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
