/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-schema.h"

#include "daemon/base/error.h"
#include "daemon/export/endpoint.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

#define CONFIG_KEY(S, member, key, kind, least, most, initial)                                     \
        {key,                                                                                      \
         CONFIG_KIND_##kind,                                                                       \
         least,                                                                                    \
         most,                                                                                     \
         initial,                                                                                  \
         offsetof(ConfigRaw##S, member),                                                           \
         offsetof(Config##S, member)},
#define CONFIG_KEYS_TABLE(S, member, keys)                                                         \
        static const ConfigKey config_keys_##member[] = {keys(CONFIG_KEY, S)};
CONFIG_SECTIONS(CONFIG_KEYS_TABLE)
CONFIG_KEYS_TABLE(Exporter, exporter, CONFIG_KEYS_EXPORTER)
CONFIG_KEYS_TABLE(Retry, retry, CONFIG_KEYS_RETRY)

#define CONFIG_SECTION_OF(S, member)                                                               \
        .name = #member, .keys = config_keys_##member,                                             \
        .n_keys = sizeof config_keys_##member / sizeof *config_keys_##member,                      \
        .raw_size = sizeof(ConfigRaw##S)
#define CONFIG_SECTION(S, member, keys)                                                            \
        {CONFIG_SECTION_OF(S, member), .raw_offset = offsetof(ConfigRaw, member),                  \
         .offset = offsetof(Config, member)},
const ConfigSection config_sections[] = {CONFIG_SECTIONS(CONFIG_SECTION)};
const ConfigSection config_exporter_section = {CONFIG_SECTION_OF(Exporter, exporter)};
const ConfigSection config_retry_section = {CONFIG_SECTION_OF(Retry, retry)};

/*
 * Only a group, an address and some times can be null. The others are always quoted, so that no
 * text is taken for null.
 */
#define CONFIG_FLAGS_PATH         CONFIG_FLAGS_QUOTED
#define CONFIG_FLAGS_GROUP        CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR
#define CONFIG_FLAGS_ADDRESS      CONFIG_FLAGS_GROUP
#define CONFIG_FLAGS_NAME         CONFIG_FLAGS_QUOTED
#define CONFIG_FLAGS_ENDPOINT     CONFIG_FLAGS_QUOTED
#define CONFIG_FLAGS_MODE         CONFIG_FLAGS_QUOTED
#define CONFIG_FLAGS_COUNT        CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_LIMIT        CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_SIZE         CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_TIME         CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_TIME_OR_NULL CONFIG_FLAGS_GROUP
#define CONFIG_FLAGS_RATIO        CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_BOOL         CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_LEVEL        CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_FORMAT       CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_SYNC         CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_PROTOCOL     CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_COMPRESSION  CONFIG_FLAGS_PLAIN
#define CONFIG_FLAGS_PLAIN        CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER
#define CONFIG_FLAGS_QUOTED       CONFIG_FLAGS_PLAIN | CYAML_FLAG_SCALAR_QUOTE_DOUBLE

#define CONFIG_FIELD(S, member, key, kind, least, most, initial)                                   \
        CYAML_FIELD_STRING_PTR(key, CONFIG_FLAGS_##kind, ConfigRaw##S, member, 0, CYAML_UNLIMITED),
#define CONFIG_FIELDS_TABLE(S, member, keys)                                                       \
        static const cyaml_schema_field_t config_fields_##member[] = {keys(CONFIG_FIELD, S)        \
                                                                              CYAML_FIELD_END};
CONFIG_SECTIONS(CONFIG_FIELDS_TABLE)
CONFIG_FIELDS_TABLE(Retry, retry, CONFIG_KEYS_RETRY)

static const cyaml_schema_field_t config_fields_pair[] = {
        CYAML_FIELD_STRING_PTR("name", CONFIG_FLAGS_QUOTED, ConfigPair, name, 0, CYAML_UNLIMITED),
        CYAML_FIELD_STRING_PTR("value", CONFIG_FLAGS_QUOTED, ConfigPair, value, 0, CYAML_UNLIMITED),
        CYAML_FIELD_END};
static const cyaml_schema_value_t config_pair_schema = {
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, ConfigPair, config_fields_pair)};

static const cyaml_schema_field_t config_fields_resource[] = {
        CYAML_FIELD_SEQUENCE_COUNT("attributes", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,
                                   ConfigResource, attributes, n_attributes, &config_pair_schema, 0,
                                   CONFIG_ATTRIBUTES_MAX),
        CYAML_FIELD_END};

static const cyaml_strval_t config_signals[] = {{"traces", 1 << BATCH_TRACES},
                                                {"logs", 1 << BATCH_LOGS},
                                                {"metrics", 1 << ENDPOINT_METRICS}};
static const cyaml_schema_field_t config_fields_exporter[] = {
        CONFIG_KEYS_EXPORTER(CONFIG_FIELD, Exporter) /* values first, then what holds some */
        CYAML_FIELD_FLAGS("signals", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT | CYAML_FLAG_FLOW,
                          ConfigRawExporter, signals, config_signals,
                          CYAML_ARRAY_LEN(config_signals)),
        CYAML_FIELD_SEQUENCE_COUNT("headers", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,
                                   ConfigRawExporter, headers, n_headers, &config_pair_schema, 0,
                                   CONFIG_HEADERS_MAX),
        CYAML_FIELD_MAPPING_PTR("retry", CYAML_FLAG_OPTIONAL, ConfigRawExporter, retry,
                                config_fields_retry),
        CYAML_FIELD_END};
static const cyaml_schema_value_t config_exporter_schema = {
        CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, ConfigRawExporter, config_fields_exporter)};

#define CONFIG_SECTION_FIELD(S, member, keys)                                                      \
        CYAML_FIELD_MAPPING_PTR(#member, CYAML_FLAG_OPTIONAL, ConfigRaw, member,                   \
                                config_fields_##member),
static const cyaml_schema_field_t config_fields[] = {
        CONFIG_SECTIONS(CONFIG_SECTION_FIELD) CYAML_FIELD_MAPPING_PTR(
                "resource", CYAML_FLAG_OPTIONAL, ConfigRaw, resource, config_fields_resource),
        CYAML_FIELD_SEQUENCE_COUNT("exporters", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, ConfigRaw,
                                   exporters, n_exporters, &config_exporter_schema, 0,
                                   CONFIG_EXPORTERS_MAX),
        CYAML_FIELD_END};
static const cyaml_schema_value_t config_schema = {
        CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, ConfigRaw, config_fields)};

static const cyaml_config_t config_cyaml = {
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_STYLE_BLOCK,
};

/* ---- the check ---- */

typedef struct ConfigCheck {
        const char *file;
        ConfigError *error;
} ConfigCheck;

static int config_check_value(const ConfigCheck *check, const cyaml_schema_value_t *schema,
                              const ConfigNode *node);

/* How many letters must be changed, added or removed; both are short. */
static unsigned config_check_distance(const char *a, const char *b) {
        size_t n = strlen(b);
        unsigned row[32];

        if (strlen(a) >= 32 || n >= 32)
                return UINT32_MAX;
        for (unsigned j = 0; j <= n; j++)
                row[j] = j;
        for (unsigned i = 0; a[i]; i++) {
                unsigned corner = row[0];

                row[0] = i + 1;
                for (unsigned j = 0; j < n; j++) {
                        unsigned best = corner + (a[i] != b[j]);

                        corner = row[j + 1];
                        if (corner + 1 < best)
                                best = corner + 1;
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        row[j + 1] = best;
                }
        }
        return row[n];
}

static int config_check_unknown(const ConfigCheck *check, const cyaml_schema_field_t *fields,
                                const ConfigNode *node) {
        const char *nearest = NULL;
        char known[256] = "", hint[64] = "";
        unsigned least = 3; /* beyond that it is another word */
        size_t n = 0;

        for (const cyaml_schema_field_t *field = fields; field->key; field++) {
                unsigned distance = config_check_distance(node->key, field->key);

                if (distance < least) {
                        least = distance;
                        nearest = field->key;
                }
                n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "",
                                      field->key);
        }
        if (nearest)
                snprintf(hint, sizeof hint, "; did you mean \"%s\"?", nearest);
        return config_tree_refuse(node, check->file, check->error, "unknown key%s Allowed here: %s",
                                  *hint ? hint : ".", known);
}

static int config_check_mapping(const ConfigCheck *check, const cyaml_schema_field_t *fields,
                                const ConfigNode *node) {
        int r;

        list_for_each (link, &node->children) {
                const ConfigNode *child = list_entry(link, ConfigNode, link);
                const cyaml_schema_field_t *field = fields;

                while (field->key && strcmp(field->key, child->key))
                        field++;
                if (!field->key)
                        return config_check_unknown(check, fields, child);
                if (config_tree_entry(node, child->key) != child)
                        return config_tree_refuse(child, check->file, check->error,
                                                  "this key stands here already, in line %u",
                                                  config_tree_entry(node, child->key)->line);
                r = config_check_value(check, &field->value, child);
                if (r)
                        return r;
        }
        return 0;
}

static int config_check_sequence(const ConfigCheck *check, const cyaml_schema_value_t *schema,
                                 const ConfigNode *node) {
        unsigned n = 0;
        int r;

        list_for_each (link, &node->children) {
                const ConfigNode *child = list_entry(link, ConfigNode, link);

                if (n++ == schema->sequence.max)
                        return config_tree_refuse(child, check->file, check->error,
                                                  "too many: at most %u", schema->sequence.max);
                r = config_check_value(check, schema->sequence.entry, child);
                if (r)
                        return r;
        }
        return 0;
}

static int config_check_flags(const ConfigCheck *check, const cyaml_schema_value_t *schema,
                              const ConfigNode *node) {
        char known[64] = "";
        size_t n = 0;

        for (unsigned i = 0; i < schema->enumeration.count; i++)
                n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "",
                                      schema->enumeration.strings[i].str);
        if (list_is_empty(&node->children))
                return config_tree_refuse(node, check->file, check->error,
                                          "must name at least one of: %s", known);
        list_for_each (link, &node->children) {
                const ConfigNode *child = list_entry(link, ConfigNode, link);
                bool found = false;

                for (unsigned i = 0; i < schema->enumeration.count; i++)
                        found |= child->kind == CONFIG_NODE_SCALAR &&
                                 !strcmp(schema->enumeration.strings[i].str, child->text);
                if (!found)
                        return config_tree_refuse(child, check->file, check->error,
                                                  "\"%.64s\" is not known: allowed are %s",
                                                  child->text ? child->text : "[...]", known);
        }
        return 0;
}

static int config_check_value(const ConfigCheck *check, const cyaml_schema_value_t *schema,
                              const ConfigNode *node) {
        static const char *const shapes[] = {
                [CONFIG_NODE_SCALAR] = "one value",
                [CONFIG_NODE_MAPPING] = "keys with values",
                [CONFIG_NODE_SEQUENCE] = "a list",
        };
        ConfigNodeKind kind = CONFIG_NODE_SCALAR;

        if (schema->type == CYAML_MAPPING)
                kind = CONFIG_NODE_MAPPING;
        else if (schema->type == CYAML_SEQUENCE || schema->type == CYAML_FLAGS)
                kind = CONFIG_NODE_SEQUENCE;
        if (node->kind == CONFIG_NODE_SCALAR && node->null &&
            (schema->flags & CYAML_FLAG_POINTER_NULL_STR) != CYAML_FLAG_POINTER_NULL_STR)
                return config_tree_refuse(node, check->file, check->error,
                                          "has no value: %s must stand here", shapes[kind]);
        if (node->kind != kind)
                return config_tree_refuse(node, check->file, check->error,
                                          "%s must stand here, not %s", shapes[kind],
                                          shapes[node->kind]);
        switch (schema->type) {
        case CYAML_MAPPING:
                return config_check_mapping(check, schema->mapping.fields, node);
        case CYAML_SEQUENCE:
                return config_check_sequence(check, schema, node);
        case CYAML_FLAGS:
                return config_check_flags(check, schema, node);
        default:
                return 0;
        }
}

int config_schema_check(const ConfigNode *root, const char *file, ConfigError *error) {
        return config_check_value(&(ConfigCheck){file, error}, &config_schema, root);
}

/* ---- through libcyaml ---- */

int config_schema_load(ConfigRaw **rawp, const uint8_t *data, size_t size, const char *file,
                       ConfigError *error) {
        void *raw = NULL;
        cyaml_err_t fault = cyaml_load_data(data, size, &config_cyaml, &config_schema, &raw, NULL);

        if (fault == CYAML_ERR_OOM)
                return error_origin(-ENOMEM);
        if (fault)
                return config_error_set(error, file, 0, NULL, "%s", cyaml_strerror(fault));
        *rawp = raw;
        return 0;
}

ConfigRaw *config_schema_free(ConfigRaw *raw) {
        cyaml_free(&config_cyaml, &config_schema, raw, 0);
        return NULL;
}

int config_schema_save(const ConfigRaw *raw, Buffer *out) {
        char *text;
        size_t size;
        int r;

        if (cyaml_save_data(&text, &size, &config_cyaml, &config_schema, raw, 0))
                return error_origin(-ENOMEM); /* what we made ourselves always fits the schema */
        r = buffer_append(out, text, size);
        free(text);
        return error_trace(r);
}
