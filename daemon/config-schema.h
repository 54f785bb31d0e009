#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The schema of catenad.yaml
 *
 * One table for libcyaml, made of the tables in config.h. What it loads is raw: the shape of the
 * file with every value still a text, NULL where it says nothing.
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/config-tree.h"
#include "daemon/config-value.h"
#include "daemon/config.h"

#define CONFIG_RAW_MEMBER(S, member, key, kind, least, most, initial) char *member;
#define CONFIG_RAW_STRUCT(S, member, keys)                                                         \
        typedef struct ConfigRaw##S {                                                              \
                keys(CONFIG_RAW_MEMBER, S)                                                         \
        } ConfigRaw##S;
CONFIG_SECTIONS(CONFIG_RAW_STRUCT)
CONFIG_RAW_STRUCT(Retry, retry, CONFIG_KEYS_RETRY)
#undef CONFIG_RAW_STRUCT

typedef struct ConfigRawExporter {
        CONFIG_KEYS_EXPORTER(CONFIG_RAW_MEMBER, Exporter)
        uint32_t signals; /* as ConfigExporter's; 0: not given */
        ConfigPair *headers;
        unsigned n_headers;
        ConfigRawRetry *retry;
} ConfigRawExporter;

typedef struct ConfigRaw {
#define CONFIG_RAW_SECTION(S, member, keys) ConfigRaw##S *member;
        CONFIG_SECTIONS(CONFIG_RAW_SECTION)
#undef CONFIG_RAW_SECTION
        ConfigResource *resource;
        ConfigRawExporter *exporters;
        unsigned n_exporters;
} ConfigRaw;
#undef CONFIG_RAW_MEMBER

/* How a section's values go between its raw struct and its own. */
typedef struct ConfigKey {
        const char *name;
        ConfigKind kind;
        uint64_t least, most;
        const char *initial;
        size_t raw_offset, offset;
} ConfigKey;

typedef struct ConfigSection {
        const char *name;
        const ConfigKey *keys;
        size_t n_keys;
        size_t raw_offset; /* in ConfigRaw, of the pointer to its raw struct */
        size_t raw_size;
        size_t offset; /* in Config */
} ConfigSection;

#define CONFIG_SECTION_ONE(S, member, keys) +1
enum { CONFIG_SECTIONS_N = CONFIG_SECTIONS(CONFIG_SECTION_ONE) };
#undef CONFIG_SECTION_ONE
extern const ConfigSection config_sections[CONFIG_SECTIONS_N];
extern const ConfigSection config_exporter_section; /* without offsets */
extern const ConfigSection config_retry_section;

/* Keys that are not known, values of the wrong shape: told with line, key and what is allowed. */
int config_schema_check(const ConfigNode *root, const char *file, ConfigError *error);
/* Of a document that was checked. */
int config_schema_load(ConfigRaw **rawp, const uint8_t *data, size_t size, const char *file,
                       ConfigError *error);
ConfigRaw *config_schema_free(ConfigRaw *raw);
int config_schema_save(const ConfigRaw *raw, Buffer *out);
