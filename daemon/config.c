/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config.h"

#include "daemon/base/error.h"
#include "daemon/config-environment.h"
#include "daemon/config-pairs.h"
#include "daemon/config-schema.h"
#include "daemon/export/endpoint.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_SIGNALS_ALL = (1 << _ENDPOINT_SIGNALS_N) - 1 };

/* One file on its way into the configuration. */
typedef struct ConfigLoad {
        Config *config;
        const char *file;
        const ConfigNode *root;
        ConfigError *error;
} ConfigLoad;

/* ---- sections ---- */

static int config_section_reset(const ConfigSection *section, void *target) {
        char why[CONFIG_VALUE_WHY_MAX];

        for (const ConfigKey *key = section->keys; key < section->keys + section->n_keys; key++) {
                void *value = (char *)target + key->offset;
                int r;

                config_value_clear(key->kind, value);
                if (!key->initial)
                        continue;
                r = config_value_parse(value, key->kind, key->least, key->most, key->initial, why);
                assert(r <= 0);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static void config_section_clear(const ConfigSection *section, void *target) {
        for (size_t i = 0; i < section->n_keys; i++)
                config_value_clear(section->keys[i].kind, (char *)target + section->keys[i].offset);
}

static int config_section_apply(const ConfigLoad *load, const ConfigSection *section,
                                const void *raw, void *target, const ConfigNode *node) {
        char why[CONFIG_VALUE_WHY_MAX];
        int r = config_section_reset(section, target);

        if (r)
                return error_trace(r);
        for (const ConfigKey *key = section->keys; key < section->keys + section->n_keys; key++) {
                const char *text = *(char *const *)((const char *)raw + key->raw_offset);

                if (!text && (key->initial || config_value_is_optional(key->kind)))
                        continue;
                if (!text)
                        return config_tree_refuse(node, load->file, load->error,
                                                  "the key \"%s\" is missing", key->name);
                r = config_value_parse((char *)target + key->offset, key->kind, key->least,
                                       key->most, text, why);
                if (r > 0)
                        return config_tree_refuse(config_tree_entry(node, key->name), load->file,
                                                  load->error, "%s", why);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

/* ---- pairs ---- */

static int config_attributes_apply(const ConfigLoad *load, const ConfigResource *raw) {
        ConfigResource *resource = &load->config->resource;
        const ConfigNode *nodes =
                config_tree_entry(config_tree_entry(load->root, "resource"), "attributes");

        config_pairs_deinit(resource->attributes, resource->n_attributes);
        *resource = (ConfigResource){0};
        for (unsigned i = 0; i < raw->n_attributes; i++) {
                const ConfigPair *pair = &raw->attributes[i];
                const ConfigNode *node = config_tree_nth(nodes, i);
                int r;

                if (!pair->name || !*pair->name || !pair->value)
                        return config_tree_refuse(node, load->file, load->error,
                                                  "an attribute has a \"name\" and a \"value\"");
                for (unsigned j = 0; j < i; j++)
                        if (!strcmp(raw->attributes[j].name, pair->name))
                                return config_tree_refuse(
                                        node, load->file, load->error, "%s",
                                        config_pairs_strerror(CONFIG_PAIRS_E_TWICE));
                r = config_pairs_add(&resource->attributes, &resource->n_attributes, pair->name,
                                     pair->value);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int config_headers_apply(const ConfigLoad *load, ConfigExporter *exporter,
                                const ConfigRawExporter *raw, const ConfigNode *nodes) {
        for (unsigned i = 0; i < raw->n_headers; i++) {
                const ConfigPair *pair = &raw->headers[i];
                const ConfigNode *node = config_tree_nth(nodes, i);
                int r;

                if (!pair->name || !pair->value)
                        return config_tree_refuse(node, load->file, load->error,
                                                  "a header has a \"name\" and a \"value\"");
                r = config_pairs_check_header(exporter->headers, exporter->n_headers, pair->name,
                                              pair->value);
                if (r)
                        return config_tree_refuse(node, load->file, load->error, "%s",
                                                  config_pairs_strerror(r));
                r = config_pairs_add(&exporter->headers, &exporter->n_headers, pair->name,
                                     pair->value);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

/* ---- exporters ---- */

static void config_exporter_deinit(ConfigExporter *exporter) {
        config_section_clear(&config_exporter_section, exporter);
        config_pairs_deinit(exporter->headers, exporter->n_headers);
}

static int config_exporter_init(ConfigExporter *exporter) {
        int r;

        *exporter = (ConfigExporter){.signals = CONFIG_SIGNALS_ALL};
        r = config_section_reset(&config_exporter_section, exporter);
        if (!r)
                r = config_section_reset(&config_retry_section, &exporter->retry);
        if (r)
                config_exporter_deinit(exporter);
        return error_trace(r);
}

/* Takes the exporter in, in the place of one of its name. */
static int config_exporter_put(Config *config, ConfigExporter *exporter) {
        ConfigExporter *exporters;

        for (unsigned i = 0; i < config->n_exporters; i++) {
                if (strcmp(config->exporters[i].name, exporter->name))
                        continue;
                config_exporter_deinit(&config->exporters[i]);
                config->exporters[i] = *exporter;
                return 0;
        }
        exporters = realloc(config->exporters, (config->n_exporters + 1) * sizeof *exporters);
        if (!exporters)
                return error_origin(-ENOMEM);
        config->exporters = exporters;
        exporters[config->n_exporters++] = *exporter;
        return 0;
}

static int config_exporter_fill(const ConfigLoad *load, ConfigExporter *exporter,
                                const ConfigRawExporter *raw, const ConfigNode *node) {
        const ConfigNode *retry = config_tree_entry(node, "retry");
        int r = config_section_apply(load, &config_exporter_section, raw, exporter, node);

        if (!r && raw->retry)
                r = config_section_apply(load, &config_retry_section, raw->retry, &exporter->retry,
                                         retry);
        if (!r && exporter->retry.initial_ns > exporter->retry.max_ns)
                return config_tree_refuse(retry, load->file, load->error,
                                          "\"initial\" must not be longer than \"max\"");
        if (!r)
                r = config_headers_apply(load, exporter, raw, config_tree_entry(node, "headers"));
        if (raw->signals)
                exporter->signals = raw->signals;
        return error_trace(r);
}

static int config_exporter_apply(const ConfigLoad *load, const ConfigRaw *raw, unsigned i) {
        const ConfigNode *node = config_tree_nth(config_tree_entry(load->root, "exporters"), i);
        ConfigExporter exporter;
        int r = config_exporter_init(&exporter);

        if (r)
                return error_trace(r);
        r = config_exporter_fill(load, &exporter, &raw->exporters[i], node);
        for (unsigned j = 0; !r && j < i; j++)
                if (!strcmp(raw->exporters[j].name, exporter.name))
                        r = config_tree_refuse(config_tree_entry(node, "name"), load->file,
                                               load->error, "two exporters are named \"%s\"",
                                               exporter.name);
        if (!r)
                r = config_exporter_put(load->config, &exporter);
        if (r)
                config_exporter_deinit(&exporter);
        else if (load->config->n_exporters > CONFIG_EXPORTERS_MAX)
                r = config_tree_refuse(node, load->file, load->error,
                                       "too many, with those of earlier files: at most %d",
                                       CONFIG_EXPORTERS_MAX);
        return error_trace(r);
}

static int config_exporter_default(Config *config, ConfigError *error) {
        ConfigExporter exporter;
        int r = config_exporter_init(&exporter);

        if (r)
                return error_trace(r);
        exporter.name = strdup("default");
        exporter.endpoint = strdup(CONFIG_DEFAULT_ENDPOINT);
        if (!exporter.name || !exporter.endpoint)
                r = error_origin(-ENOMEM);
        if (!r)
                r = config_environment_apply(&exporter, error);
        if (!r)
                r = config_exporter_put(config, &exporter);
        if (r)
                config_exporter_deinit(&exporter);
        return error_trace(r);
}

/* ---- files ---- */

static int config_apply(const ConfigLoad *load, const ConfigRaw *raw) {
        int r = 0;

        for (size_t i = 0; !r && i < CONFIG_SECTIONS_N; i++) {
                const ConfigSection *section = &config_sections[i];
                const void *from = *(void *const *)((const char *)raw + section->raw_offset);

                if (from)
                        r = config_section_apply(load, section, from,
                                                 (char *)load->config + section->offset,
                                                 config_tree_entry(load->root, section->name));
        }
        if (!r && raw->resource)
                r = config_attributes_apply(load, raw->resource);
        for (unsigned i = 0; !r && i < raw->n_exporters; i++)
                r = config_exporter_apply(load, raw, i);
        return error_trace(r);
}

static int config_read(Buffer *data, const char *file, bool required, ConfigError *error) {
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        uint8_t *room;
        ssize_t n = -1;
        int r;

        if (fd < 0 && errno == ENOENT && !required)
                return 0;
        while (fd >= 0) {
                r = buffer_reserve(data, &room, 16384);
                if (r) {
                        close(fd);
                        return error_trace(r);
                }
                n = read(fd, room, 16384);
                if (n > 0)
                        data->size += (size_t)n;
                if (n <= 0 || data->size > CONFIG_FILE_MAX)
                        break;
        }
        if (n < 0)
                r = config_error_set(error, file, 0, NULL, "cannot be read: %s", strerror(errno));
        else if (n > 0)
                r = config_error_set(error, file, 0, NULL,
                                     "too large for a configuration: at most "
                                     "1 MiB");
        else
                r = 0;
        if (fd >= 0)
                close(fd);
        return r;
}

static int config_parse(ConfigLoad *load, const Buffer *data, bool *exportersp) {
        ConfigNode *root = NULL;
        ConfigRaw *raw = NULL;
        int r = config_tree_new(&root, data->data, data->size, load->file, load->error);

        if (r || !root)
                return error_trace(r);
        load->root = root;
        r = config_schema_check(root, load->file, load->error);
        if (!r)
                r = config_schema_load(&raw, data->data, data->size, load->file, load->error);
        if (!r)
                r = config_apply(load, raw);
        *exportersp |= config_tree_entry(root, "exporters") != NULL;
        config_schema_free(raw);
        config_tree_free(root);
        return error_trace(r);
}

static int config_load_file(ConfigLoad *load, const char *file, bool required, bool *exportersp) {
        Buffer data = BUFFER_NULL;
        int r = config_read(&data, file, required, load->error);

        load->file = file;
        if (!r && data.size)
                r = config_parse(load, &data, exportersp);
        buffer_deinit(&data);
        return error_trace(r);
}

static int config_is_addition(const struct dirent *entry) {
        size_t size = strlen(entry->d_name);

        return entry->d_name[0] != '.' && size > 5 && !strcmp(entry->d_name + size - 5, ".yaml");
}

/* The files of FILE.d, by name. */
static int config_load_additions(ConfigLoad *load, const char *file, bool *exportersp) {
        char path[4096];
        struct dirent **entries;
        int n, n_folder, r = 0;

        n_folder = snprintf(path, sizeof path, "%s.d", file);
        if ((size_t)n_folder >= sizeof path - NAME_MAX - 2)
                return config_error_set(load->error, "catenad", 0, NULL, "the path is too long");
        n = scandir(path, &entries, config_is_addition, alphasort);
        if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (n < 0 && errno == ENOMEM)
                return error_origin(-ENOMEM);
        if (n < 0)
                return config_error_set(load->error, path, 0, NULL, "cannot be read: %s",
                                        strerror(errno));
        for (int i = 0; i < n; i++) {
                snprintf(path + n_folder, sizeof path - (size_t)n_folder, "/%s",
                         entries[i]->d_name);
                if (!r)
                        r = config_load_file(load, path, true, exportersp);
                free(entries[i]);
        }
        free(entries);
        return error_trace(r);
}

static int config_fill(Config *config, const char *file, bool required, ConfigError *error) {
        ConfigLoad load = {.config = config, .error = error};
        bool exporters = false;
        int r = 0;

        for (size_t i = 0; !r && i < CONFIG_SECTIONS_N; i++)
                r = config_section_reset(&config_sections[i],
                                         (char *)config + config_sections[i].offset);
        if (!r)
                r = config_load_file(&load, file, required, &exporters);
        if (!r)
                r = config_load_additions(&load, file, &exporters);
        if (!r && !exporters)
                r = config_exporter_default(config, error);
        if (!r && !strcmp(config->listen.socket, config->control.socket))
                r = config_error_set(error, file, 0, "control.socket",
                                     "must not be the socket of \"listen\"");
        return error_trace(r);
}

int config_load(Config **configp, const char *file, bool required, ConfigError *error) {
        Config *config = calloc(1, sizeof *config);
        int r;

        if (!config)
                return error_origin(-ENOMEM);
        config->required = required;
        config->file = strdup(file);
        r = config->file ? config_fill(config, file, required, error) : error_origin(-ENOMEM);
        if (r) {
                config_free(config);
                return error_trace(r);
        }
        *configp = config;
        return 0;
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        for (size_t i = 0; i < CONFIG_SECTIONS_N; i++)
                config_section_clear(&config_sections[i],
                                     (char *)config + config_sections[i].offset);
        config_pairs_deinit(config->resource.attributes, config->resource.n_attributes);
        for (unsigned i = 0; i < config->n_exporters; i++)
                config_exporter_deinit(&config->exporters[i]);
        free(config->exporters);
        free(config->file);
        free(config);
        return NULL;
}
