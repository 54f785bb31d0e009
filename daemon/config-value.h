#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values of the configuration: from their text in YAML to what the daemon uses, and back.
 *
 * I/O: the group database.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ConfigKind {
        CONFIG_KIND_PATH,
        CONFIG_KIND_GROUP,
        CONFIG_KIND_ADDRESS,
        CONFIG_KIND_NAME,
        CONFIG_KIND_ENDPOINT,
        CONFIG_KIND_MODE,
        CONFIG_KIND_COUNT,
        CONFIG_KIND_LIMIT,
        CONFIG_KIND_SIZE,
        CONFIG_KIND_TIME,
        CONFIG_KIND_TIME_OR_NULL,
        CONFIG_KIND_RATIO,
        CONFIG_KIND_BOOL,
        CONFIG_KIND_LEVEL,
        CONFIG_KIND_FORMAT,
        CONFIG_KIND_SYNC,
        CONFIG_KIND_PROTOCOL,
        CONFIG_KIND_COMPRESSION,
} ConfigKind;

enum {
        _CONFIG_VALUE_E_SUCCESS,

        CONFIG_VALUE_E_INVALID, /* not of its kind, or out of bounds: `why` tells what is allowed */
};

enum { CONFIG_VALUE_WHY_MAX = 512 };

/*
 * Stores the text's value at `target`, of the type that config.h gives the kind. A string that
 * stood there is freed.
 */
int config_value_parse(void *target, ConfigKind kind, uint64_t least, uint64_t most,
                       const char *text, char why[CONFIG_VALUE_WHY_MAX]);
/* *textp is the caller's; NULL where there is none. */
int config_value_print(char **textp, ConfigKind kind, const void *value);
/* Whether there may be none: null. */
bool config_value_is_optional(ConfigKind kind);
/* Frees what the value owns, and makes it none, if its kind does or can. */
void config_value_clear(ConfigKind kind, void *value);
