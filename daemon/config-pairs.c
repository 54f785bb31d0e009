/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config-pairs.h"

#include "daemon/base/error.h"
#include "daemon/export/exporter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int config_pairs_add(ConfigPair **pairsp, unsigned *n_pairsp, const char *name, const char *value) {
        ConfigPair *pairs = realloc(*pairsp, (*n_pairsp + 1) * sizeof *pairs);
        ConfigPair pair;

        if (!pairs)
                return error_origin(-ENOMEM);
        *pairsp = pairs;
        pair = (ConfigPair){strdup(name), strdup(value)};
        if (!pair.name || !pair.value) {
                free(pair.name);
                free(pair.value);
                return error_origin(-ENOMEM);
        }
        pairs[(*n_pairsp)++] = pair;
        return 0;
}

void config_pairs_deinit(ConfigPair *pairs, unsigned n_pairs) {
        for (unsigned i = 0; i < n_pairs; i++) {
                free(pairs[i].name);
                free(pairs[i].value);
        }
        free(pairs);
}

int config_pairs_check_header(const ConfigPair *pairs, unsigned n_pairs, const char *name,
                              const char *value) {
        if (exporter_check_header(&(ExporterHeader){name, value}))
                return CONFIG_PAIRS_E_HEADER;
        for (unsigned i = 0; i < n_pairs; i++)
                if (!strcasecmp(name, pairs[i].name))
                        return CONFIG_PAIRS_E_TWICE;
        return 0;
}

const char *config_pairs_strerror(int r) {
        if (r == CONFIG_PAIRS_E_TWICE)
                return "this name stands in the list already";
        return "not a header that can be sent: its name has letters, digits and "
               "!#$%&'*+-.^_`|~, its value no control characters, and Content-Type, "
               "Content-Encoding, Content-Length, Transfer-Encoding, Connection, Host and "
               "User-Agent are the exporter's own";
}
