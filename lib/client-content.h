#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a context carries
 *
 * Its lists within their bounds.
 *
 * Threads: the context's.
 */

#include "lib/client-context.h"

enum {
        _CONTENT_E_SUCCESS,

        CONTENT_E_BOUND,  /* more than the list may hold */
        CONTENT_E_MEMORY, /* there is none */
};

/* Puts another list in the place of *listp, which keeps its references. 0 or CONTENT_E_*. */
int catena__content_put(Shared **listp, ContextList which, const SharedEntry *entry);
