#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pool of objects of one size
 *
 * What is given back is kept, the last first, to be taken again: objects that come and go by the
 * thousand would have the allocator join and split its free memory each time.
 *
 * Owns: what was given back.  Bound: as many objects as are taken, or min_kept; more are freed.
 */

#include <stddef.h>

typedef struct PoolItem PoolItem;

typedef struct Pool {
        size_t size; /* of an object */
        size_t n_taken;
        size_t n_kept, min_kept;
        PoolItem *kept;
} Pool;

void pool_init(Pool *pool, size_t size, size_t min_kept);
void pool_deinit(Pool *pool);

/* Not zeroed; NULL: out of memory. */
void *pool_take(Pool *pool);
void pool_give(Pool *pool, void *object);
