/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-value.h"

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/base/socket.h"
#include "daemon/config.h"
#include "daemon/export/exporter.h"
#include "proto/sampling.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ConfigWord {
        const char *word;
        uint32_t value;
} ConfigWord;

typedef struct ConfigUnit {
        const char *unit;
        uint64_t factor;
} ConfigUnit;

/* Each ends with an entry that is zero. */
static const ConfigWord config_levels[] = {{"error", LOG_LEVEL_ERROR},
                                           {"warning", LOG_LEVEL_WARNING},
                                           {"info", LOG_LEVEL_INFO},
                                           {"debug", LOG_LEVEL_DEBUG},
                                           {0}};
static const ConfigWord config_formats[] = {
        {"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {0}};
static const ConfigWord config_bools[] = {{"false", false}, {"true", true}, {0}};
static const ConfigWord config_syncs[] = {{"never", CONFIG_SYNC_NEVER}, {0}};
static const ConfigWord config_protocols[] = {{"http/protobuf", CONFIG_PROTOCOL_HTTP_PROTOBUF},
                                              {0}};
static const ConfigWord config_compressions[] = {
        {"none", EXPORTER_COMPRESSION_NONE}, {"gzip", EXPORTER_COMPRESSION_GZIP}, {0}};

/* Smallest first, so that the last that divides a value is the one to print. */
static const ConfigUnit config_sizes[] = {
        {"B", 1}, {"KiB", CONFIG_KIB}, {"MiB", CONFIG_MIB}, {"GiB", CONFIG_GIB}, {0}};
static const ConfigUnit config_times[] = {{"ms", CONFIG_MS},         {"s", CONFIG_SECOND},
                                          {"m", 60 * CONFIG_SECOND}, {"h", CONFIG_HOUR},
                                          {"d", 24 * CONFIG_HOUR},   {0}};

static const ConfigWord *config_value_words(ConfigKind kind) {
        switch (kind) {
        case CONFIG_KIND_LEVEL:
                return config_levels;
        case CONFIG_KIND_FORMAT:
                return config_formats;
        case CONFIG_KIND_BOOL:
                return config_bools;
        case CONFIG_KIND_SYNC:
                return config_syncs;
        case CONFIG_KIND_PROTOCOL:
                return config_protocols;
        case CONFIG_KIND_COMPRESSION:
                return config_compressions;
        default:
                return NULL;
        }
}

static const ConfigUnit *config_value_units(ConfigKind kind) {
        return kind == CONFIG_KIND_SIZE ? config_sizes : config_times;
}

bool config_value_is_optional(ConfigKind kind) {
        return kind == CONFIG_KIND_GROUP || kind == CONFIG_KIND_ADDRESS ||
               kind == CONFIG_KIND_TIME_OR_NULL;
}

static bool config_value_owns(ConfigKind kind) {
        return kind == CONFIG_KIND_PATH || kind == CONFIG_KIND_NAME ||
               kind == CONFIG_KIND_ENDPOINT || kind == CONFIG_KIND_GROUP ||
               kind == CONFIG_KIND_ADDRESS;
}

__attribute__((format(printf, 2, 3))) static int config_value_refuse(char *why, const char *format,
                                                                     ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(why, CONFIG_VALUE_WHY_MAX, format, args);
        va_end(args);
        return CONFIG_VALUE_E_INVALID;
}

static int config_value_check_group(const char *text, char *why) {
        char room[16384];
        struct group group, *found;

        /* ERANGE: a group of very many members, so there is one. */
        if (getgrnam_r(text, &group, room, sizeof room, &found) != ERANGE && !found)
                return config_value_refuse(why, "\"%.64s\" is no group of this machine", text);
        return 0;
}

static int config_value_check_text(ConfigKind kind, uint64_t most, const char *text, char *why) {
        struct sockaddr_storage parsed;
        size_t size = strlen(text);

        if (kind == CONFIG_KIND_GROUP)
                return config_value_check_group(text, why);
        if (kind == CONFIG_KIND_PATH && *text != '/')
                return config_value_refuse(
                        why, "\"%.64s\" is not an absolute path: it must begin with '/'", text);
        if (kind == CONFIG_KIND_NAME &&
            (!size || text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789._-")]))
                return config_value_refuse(why,
                                           "\"%.64s\" is not a name: letters, digits, '.', '_' "
                                           "and '-' are allowed",
                                           text);
        if (kind == CONFIG_KIND_ADDRESS && !socket_parse_tcp(text, &parsed))
                return config_value_refuse(why,
                                           "\"%.64s\" is not an address: a numeric one and a port, "
                                           "as \"127.0.0.1:9465\" or \"[::1]:9465\"; without the "
                                           "first, loopback",
                                           text);
        if (size > most)
                return config_value_refuse(
                        why, "\"%.32s...\" is too long: at most %" PRIu64 " bytes", text, most);
        /* Not quoted: people put passwords into URLs. */
        if (kind == CONFIG_KIND_ENDPOINT && exporter_check_endpoint(text))
                return config_value_refuse(why, "not an endpoint: an http:// URL with a host, "
                                                "without user and query, as "
                                                "\"" CONFIG_DEFAULT_ENDPOINT "\"");
        return 0;
}

static int config_value_set_text(char **target, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return error_origin(-ENOMEM);
        free(*target);
        *target = copy;
        return 0;
}

static int config_value_set_word(uint32_t *target, const ConfigWord *words, const char *text,
                                 char *why) {
        char known[128] = "";

        for (const ConfigWord *word = words; word->word; word++) {
                if (!strcmp(word->word, text)) {
                        *target = word->value;
                        return 0;
                }
                if (*known)
                        strcat(known, ", ");
                strcat(known, word->word);
        }
        return config_value_refuse(why, "\"%.64s\" is not known: allowed is %s", text, known);
}

static int config_value_set_mode(mode_t *target, uint64_t most, const char *text, char *why) {
        unsigned long value = 0;
        size_t n = strspn(text, "01234567");

        if (n == 4 && !text[n] && *text == '0')
                value = strtoul(text, NULL, 8);
        else
                value = ULONG_MAX;
        if (value > most)
                return config_value_refuse(
                        why, "\"%.64s\" is not a mode: four octal digits, as \"0660\"", text);
        *target = (mode_t)value;
        return 0;
}

/* Leading digits; false where there are none or they pass 64 bits. */
static bool config_value_digits(uint64_t *valuep, const char **restp, const char *text) {
        char *end;

        if (!isdigit((unsigned char)*text))
                return false;
        errno = 0;
        *valuep = strtoull(text, &end, 10);
        *restp = end;
        return !errno;
}

static int config_value_set_count(uint32_t *target, uint64_t least, uint64_t most, const char *text,
                                  char *why) {
        uint64_t value;
        const char *rest;

        if (!config_value_digits(&value, &rest, text) || *rest || value < least || value > most)
                return config_value_refuse(why,
                                           "\"%.64s\" is not allowed: a whole number from %" PRIu64
                                           " to %" PRIu64,
                                           text, least, most);
        *target = (uint32_t)value;
        return 0;
}

static int config_value_set_limit(uint32_t *target, uint64_t least, uint64_t most, const char *text,
                                  char *why) {
        if (!strcmp(text, "unlimited")) {
                *target = UINT32_MAX;
                return 0;
        }
        if (config_value_set_count(target, least, most, text, why)) {
                strcat(why, ", or unlimited"); /* there is room: the text is quoted up to 64 */
                return CONFIG_VALUE_E_INVALID;
        }
        return 0;
}

static int config_value_set_ratio(double *target, const char *text, char *why) {
        if (!sampling_ratio_read(target, text))
                return config_value_refuse(
                        why, "\"%.64s\" is not allowed: a number from 0 to 1, as 0.25", text);
        return 0;
}

/* As few digits as say the number. */
static void config_value_print_ratio(char *text, size_t size, double value) {
        double read = -1;

        for (int digits = 1; digits <= 17 && read != value; digits++) {
                snprintf(text, size, "%.*g", digits, value);
                (void)sampling_ratio_read(&read, text);
        }
}

static void config_value_print_units(char *text, size_t size, const ConfigUnit *units,
                                     uint64_t value) {
        const ConfigUnit *best = units;

        for (const ConfigUnit *unit = units; unit->unit; unit++)
                if (value && value % unit->factor == 0)
                        best = unit;
        snprintf(text, size, "%" PRIu64 "%s", value / best->factor, best->unit);
}

static int config_value_set_units(uint64_t *target, ConfigKind kind, const uint64_t *bounds,
                                  const char *text, char *why) {
        const ConfigUnit *units = config_value_units(kind);
        const char *allowed = kind == CONFIG_KIND_SIZE ? "B, KiB, MiB or GiB" : "ms, s, m, h or d";
        const char *rest;
        char least[32], most[32];
        uint64_t value;

        if (!config_value_digits(&value, &rest, text))
                return config_value_refuse(why, "\"%.64s\" is not a whole number with a unit: %s",
                                           text, allowed);
        if (!*rest)
                return config_value_refuse(why, "\"%.64s\" has no unit: %s", text, allowed);
        for (; units->unit && strcmp(units->unit, rest); units++)
                ;
        if (!units->unit)
                return config_value_refuse(why, "\"%.64s\" has a unit that is not known: %s", text,
                                           allowed);
        if (__builtin_mul_overflow(value, units->factor, &value) || value < bounds[0] ||
            value > bounds[1]) {
                units = config_value_units(kind);
                config_value_print_units(least, sizeof least, units, bounds[0]);
                config_value_print_units(most, sizeof most, units, bounds[1]);
                return config_value_refuse(why, "\"%.64s\" is out of range: from %s to %s", text,
                                           least, most);
        }
        *target = value;
        return 0;
}

int config_value_parse(void *target, ConfigKind kind, uint64_t least, uint64_t most,
                       const char *text, char why[CONFIG_VALUE_WHY_MAX]) {
        int r;

        if (config_value_words(kind))
                return config_value_set_word(target, config_value_words(kind), text, why);
        switch (kind) {
        case CONFIG_KIND_MODE:
                return config_value_set_mode(target, most, text, why);
        case CONFIG_KIND_COUNT:
                return config_value_set_count(target, least, most, text, why);
        case CONFIG_KIND_LIMIT:
                return config_value_set_limit(target, least, most, text, why);
        case CONFIG_KIND_RATIO:
                return config_value_set_ratio(target, text, why);
        case CONFIG_KIND_SIZE:
        case CONFIG_KIND_TIME:
        case CONFIG_KIND_TIME_OR_NULL:
                return config_value_set_units(target, kind, (uint64_t[]){least, most}, text, why);
        default:
                r = config_value_check_text(kind, most, text, why);
                return r ? r : error_trace(config_value_set_text(target, text));
        }
}

int config_value_print(char **textp, ConfigKind kind, const void *value) {
        const ConfigWord *word = config_value_words(kind);
        const char *string;
        char text[64];

        if (word) {
                while (word->value != *(const uint32_t *)value)
                        word++;
                string = word->word;
        } else if (config_value_owns(kind)) {
                string = *(char *const *)value;
        } else if (kind == CONFIG_KIND_TIME_OR_NULL && !*(const uint64_t *)value) {
                string = NULL;
        } else {
                string = text;
                if (kind == CONFIG_KIND_RATIO)
                        config_value_print_ratio(text, sizeof text, *(const double *)value);
                else if (kind == CONFIG_KIND_MODE)
                        snprintf(text, sizeof text, "%04o", (unsigned)*(const mode_t *)value);
                else if (kind == CONFIG_KIND_SIZE || kind == CONFIG_KIND_TIME ||
                         kind == CONFIG_KIND_TIME_OR_NULL)
                        config_value_print_units(text, sizeof text, config_value_units(kind),
                                                 *(const uint64_t *)value);
                else if (kind == CONFIG_KIND_LIMIT && *(const uint32_t *)value == UINT32_MAX)
                        string = "unlimited";
                else
                        snprintf(text, sizeof text, "%" PRIu32, *(const uint32_t *)value);
        }
        *textp = NULL;
        if (string && !(*textp = strdup(string)))
                return error_origin(-ENOMEM);
        return 0;
}

void config_value_clear(ConfigKind kind, void *value) {
        if (config_value_owns(kind)) {
                free(*(char **)value);
                *(char **)value = NULL;
        } else if (kind == CONFIG_KIND_TIME_OR_NULL) {
                *(uint64_t *)value = 0;
        }
}
