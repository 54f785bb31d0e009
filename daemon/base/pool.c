/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

struct PoolItem {
        PoolItem *next;
};

void pool_init(Pool *pool, size_t size, size_t min_kept) {
        assert(size >= sizeof(PoolItem));
        *pool = (Pool){.size = size, .min_kept = min_kept};
}

static PoolItem *pool_pop(Pool *pool) {
        PoolItem *item = pool->kept;

        pool->kept = item->next;
        pool->n_kept--;
        if (pool->kept)
                __builtin_prefetch(pool->kept, 1); /* the next one to be taken */
        return item;
}

void pool_deinit(Pool *pool) {
        while (pool->kept)
                free(pool_pop(pool));
}

void *pool_take(Pool *pool) {
        void *object = pool->kept ? pool_pop(pool) : malloc(pool->size);

        pool->n_taken += object != NULL;
        return object;
}

static bool pool_is_over(const Pool *pool) {
#ifdef __SANITIZE_ADDRESS__
        return pool->n_kept; /* it shall see who uses an object that was given back */
#else
        return pool->n_kept > pool->min_kept && pool->n_kept > pool->n_taken;
#endif
}

void pool_give(Pool *pool, void *object) {
        PoolItem *item = object;

        item->next = pool->kept;
        pool->kept = item;
        pool->n_kept++;
        pool->n_taken--;
        /* Each one fewer that is taken is one fewer to be kept, too. */
        for (unsigned i = 0; i < 2 && pool_is_over(pool); i++)
                free(pool_pop(pool));
}
