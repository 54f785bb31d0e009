/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/duration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool duration_read(uint64_t *nsp, const char *text) {
        static const struct {
                const char *name;
                uint64_t ns;
        } units[] = {
                {"ms", 1000000},
                {"s", 1000000000},
                {"m", 60000000000},
                {"h", 3600000000000},
        };
        const uint64_t year_ns = 365 * 24 * units[3].ns;
        unsigned long long number;
        char *unit;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        number = strtoull(text, &unit, 10);
        if (errno)
                return false;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
                if (!strcmp(unit, units[i].name) && number <= year_ns / units[i].ns) {
                        *nsp = number * units[i].ns;
                        return true;
                }
        return false;
}
