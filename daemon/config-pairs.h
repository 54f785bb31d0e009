#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pairs of name and value: attributes of the resource, headers of an exporter.
 *
 * Owns: the strings of the pairs in its array.
 */

#include "daemon/config.h"

enum {
        _CONFIG_PAIRS_E_SUCCESS,

        CONFIG_PAIRS_E_HEADER, /* not one that can be sent, or the exporter's own */
        CONFIG_PAIRS_E_TWICE,  /* the name stands in the array already */
};

/* Appends a copy; the array grows by one. */
int config_pairs_add(ConfigPair **pairsp, unsigned *n_pairsp, const char *name, const char *value);
void config_pairs_deinit(ConfigPair *pairs, unsigned n_pairs);

/* Whether a header may be added to those: 0 or CONFIG_PAIRS_E_*. */
int config_pairs_check_header(const ConfigPair *pairs, unsigned n_pairs, const char *name,
                              const char *value);
const char *config_pairs_strerror(int r);
