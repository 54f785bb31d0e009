/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-environment.h"

#include "daemon/base/error.h"
#include "daemon/config-pairs.h"
#include "daemon/config-schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_ENVIRONMENT_PREFIX "OTEL_EXPORTER_OTLP_"

static const char *config_environment_get(const char *variable) {
        const char *text = getenv(variable);

        return text && *text ? text : NULL;
}

static int config_environment_set(ConfigExporter *exporter, const char *key, const char *text,
                                  const char *variable, ConfigError *error) {
        const ConfigKey *entry = config_exporter_section.keys;
        char why[CONFIG_VALUE_WHY_MAX];
        int r;

        while (strcmp(entry->name, key))
                entry++;
        r = config_value_parse((char *)exporter + entry->offset, entry->kind, entry->least,
                               entry->most, text, why);
        if (r > 0)
                return config_error_set(error, "environment", 0, variable, "%s", why);
        return error_trace(r);
}

/* Decodes %XX in place; false where it is not two hexadecimal digits, or a NUL. */
static bool config_environment_unescape(char *text) {
        char *to = text;

        for (; *text; text++) {
                unsigned byte;
                char digits[3];

                if (*text != '%') {
                        *to++ = *text;
                        continue;
                }
                snprintf(digits, sizeof digits, "%s", text + 1);
                if (strspn(digits, "0123456789abcdefABCDEF") != 2 ||
                    !(byte = (unsigned)strtoul(digits, NULL, 16)))
                        return false;
                *to++ = (char)byte;
                text += 2;
        }
        *to = 0;
        return true;
}

static char *config_environment_trim(char *text) {
        char *end = text + strlen(text);

        text += strspn(text, " \t");
        while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
                *--end = 0;
        return text;
}

/* One "name=value", percent-encoded as in W3C baggage. */
static int config_environment_header(ConfigExporter *exporter, char *item, const char *variable,
                                     ConfigError *error) {
        char *value = strchr(item, '=');
        char *name;
        int r;

        if (!value) /* not quoted: it may be a secret */
                return config_error_set(error, "environment", 0, variable,
                                        "not headers: name=value,name=value");
        *value++ = 0;
        name = config_environment_trim(item);
        value = config_environment_trim(value);
        if (!config_environment_unescape(name) || !config_environment_unescape(value))
                return config_error_set(error, "environment", 0, variable,
                                        "\"%.64s\": '%%' must be followed by two hexadecimal "
                                        "digits, not 00",
                                        name);
        r = config_pairs_check_header(exporter->headers, exporter->n_headers, name, value);
        if (r)
                return config_error_set(error, "environment", 0, variable, "\"%.64s\": %s", name,
                                        config_pairs_strerror(r));
        if (exporter->n_headers == CONFIG_HEADERS_MAX)
                return config_error_set(error, "environment", 0, variable,
                                        "too many headers: at most %d", CONFIG_HEADERS_MAX);
        return error_trace(config_pairs_add(&exporter->headers, &exporter->n_headers, name, value));
}

static int config_environment_headers(ConfigExporter *exporter, const char *text,
                                      const char *variable, ConfigError *error) {
        char *copy = strdup(text), *rest = copy, *item;
        int r = 0;

        if (!copy)
                return error_origin(-ENOMEM);
        while (!r && (item = strsep(&rest, ",")))
                if (*config_environment_trim(item))
                        r = config_environment_header(exporter, item, variable, error);
        free(copy);
        return error_trace(r);
}

int config_environment_apply(ConfigExporter *exporter, ConfigError *error) {
        static const char *const plain[][2] = {
                {CONFIG_ENVIRONMENT_PREFIX "ENDPOINT", "endpoint"},
                {CONFIG_ENVIRONMENT_PREFIX "PROTOCOL", "protocol"},
                {CONFIG_ENVIRONMENT_PREFIX "COMPRESSION", "compression"},
        };
        static const char timeout[] = CONFIG_ENVIRONMENT_PREFIX "TIMEOUT";
        static const char headers[] = CONFIG_ENVIRONMENT_PREFIX "HEADERS";
        /* These hold a whole URL for one signal; an exporter has one for all of its signals. */
        static const char *const refused[] = {
                CONFIG_ENVIRONMENT_PREFIX "TRACES_ENDPOINT",
                CONFIG_ENVIRONMENT_PREFIX "LOGS_ENDPOINT",
                CONFIG_ENVIRONMENT_PREFIX "METRICS_ENDPOINT",
        };
        const char *text;
        char with_unit[32];
        int r = 0;

        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
                if (config_environment_get(refused[i]))
                        return config_error_set(error, "environment", 0, refused[i],
                                                "is not supported: name an exporter for the signal "
                                                "in a file");
        for (size_t i = 0; !r && i < sizeof plain / sizeof *plain; i++)
                if ((text = config_environment_get(plain[i][0])))
                        r = config_environment_set(exporter, plain[i][1], text, plain[i][0], error);
        if (!r && (text = config_environment_get(timeout))) {
                if (text[strspn(text, "0123456789")] || strlen(text) > 16)
                        return config_error_set(error, "environment", 0, timeout,
                                                "\"%.64s\" is not a number of milliseconds", text);
                snprintf(with_unit, sizeof with_unit, "%sms", text);
                r = config_environment_set(exporter, "timeout", with_unit, timeout, error);
        }
        if (!r && (text = config_environment_get(headers)))
                r = config_environment_headers(exporter, text, headers, error);
        return error_trace(r);
}
