#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A mistake in the configuration, told to its author: "FILE:LINE: KEY: what is wrong and what is
 * allowed".
 */

enum {
        _CONFIG_E_SUCCESS,

        CONFIG_E_INVALID, /* a mistake of the author's: the ConfigError tells which */
};

typedef struct ConfigError {
        char text[1024];
} ConfigError;

/* Line 0 and key NULL are left out. Returns CONFIG_E_INVALID. */
int config_error_set(ConfigError *error, const char *file, unsigned line, const char *key,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));
