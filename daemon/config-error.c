/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

int config_error_set(ConfigError *error, const char *file, unsigned line, const char *key,
                     const char *format, ...) {
        char position[16] = "";
        char message[768];
        va_list args;

        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        if (line)
                snprintf(position, sizeof position, ":%u", line);
        snprintf(error->text, sizeof error->text, "%s%s: %.128s%s%s", file, position,
                 key ? key : "", key ? ": " : "", message);
        /* It goes to terminals and logs, and quotes the file. */
        for (char *c = error->text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        return CONFIG_E_INVALID;
}
