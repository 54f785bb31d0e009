/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/config-schema.h"
#include "daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_DUMP_HIDDEN "(hidden)"

/* What is made here is freed by config_schema_free(), also when it is not complete. */

static int config_dump_section(void *raw, const ConfigSection *section, const void *values) {
        for (const ConfigKey *key = section->keys; key < section->keys + section->n_keys; key++) {
                int r = config_value_print((char **)((char *)raw + key->raw_offset), key->kind,
                                           (const char *)values + key->offset);

                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int config_dump_pairs(ConfigPair **pairsp, unsigned *n_pairsp, const ConfigPair *from,
                             unsigned n, bool hidden) {
        *pairsp = calloc(n ? n : 1, sizeof **pairsp);
        if (!*pairsp)
                return error_origin(-ENOMEM);
        *n_pairsp = n;
        for (unsigned i = 0; i < n; i++) {
                ConfigPair *pair = &(*pairsp)[i];

                pair->name = strdup(from[i].name);
                pair->value = strdup(hidden ? CONFIG_DUMP_HIDDEN : from[i].value);
                if (!pair->name || !pair->value)
                        return error_origin(-ENOMEM);
        }
        return 0;
}

static int config_dump_exporter(ConfigRawExporter *raw, const ConfigExporter *exporter) {
        int r;

        raw->signals = exporter->signals;
        raw->retry = calloc(1, sizeof *raw->retry);
        if (!raw->retry)
                return error_origin(-ENOMEM);
        r = config_dump_section(raw, &config_exporter_section, exporter);
        if (!r)
                r = config_dump_section(raw->retry, &config_retry_section, &exporter->retry);
        if (!r)
                r = config_dump_pairs(&raw->headers, &raw->n_headers, exporter->headers,
                                      exporter->n_headers, true);
        return error_trace(r);
}

static int config_dump_fill(ConfigRaw *raw, const Config *config) {
        int r = 0;

        for (size_t i = 0; !r && i < CONFIG_SECTIONS_N; i++) {
                const ConfigSection *section = &config_sections[i];
                void **partp = (void **)((char *)raw + section->raw_offset);

                *partp = calloc(1, section->raw_size);
                if (!*partp)
                        return error_origin(-ENOMEM);
                r = config_dump_section(*partp, section, (const char *)config + section->offset);
        }
        if (r)
                return error_trace(r);
        raw->resource = calloc(1, sizeof *raw->resource);
        raw->exporters =
                calloc(config->n_exporters ? config->n_exporters : 1, sizeof *raw->exporters);
        if (!raw->resource || !raw->exporters)
                return error_origin(-ENOMEM);
        r = config_dump_pairs(&raw->resource->attributes, &raw->resource->n_attributes,
                              config->resource.attributes, config->resource.n_attributes, false);
        raw->n_exporters = config->n_exporters;
        for (unsigned i = 0; !r && i < config->n_exporters; i++)
                r = config_dump_exporter(&raw->exporters[i], &config->exporters[i]);
        return error_trace(r);
}

int config_dump(const Config *config, Buffer *out) {
        ConfigRaw *raw = calloc(1, sizeof *raw);
        int r;

        if (!raw)
                return error_origin(-ENOMEM);
        r = config_dump_fill(raw, config);
        if (!r)
                r = config_schema_save(raw, out);
        config_schema_free(raw);
        return error_trace(r);
}
