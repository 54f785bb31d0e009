#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pool of objects of one size
 *
 * They stand together in slabs: objects that come and go by the thousand would have the allocator
 * join and split its free memory each time, and lie among others that stay, so that nothing of it
 * could go back to the system. What is given back is taken again, the last of its slab first.
 *
 * Owns: the slabs.  Bound: of what was given back, as much is kept as is taken, or min_kept, and
 * what shares a slab with an object that is taken; slabs without one are freed beyond that.
 */

#include "daemon/base/list.h"

#include <stddef.h>

typedef struct Pool {
        size_t size; /* of an object */
        size_t n_per_slab, n_taken;
        size_t n_kept, min_kept;
        List slabs; /* that have room; those without an object that is taken come last */
} Pool;

void pool_init(Pool *pool, size_t size, size_t min_kept);
/* All that was taken has been given back. */
void pool_deinit(Pool *pool);
/* Frees every slab without an object that is taken. */
void pool_empty(Pool *pool);

/* Not zeroed; NULL: out of memory. */
void *pool_take(Pool *pool);
void pool_give(Pool *pool, void *object);
