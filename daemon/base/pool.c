/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"

#include <assert.h>
#include <stdlib.h>

struct PoolItem {
        PoolItem *next;
};

void pool_init(Pool *pool, size_t size, size_t max_kept) {
        assert(size >= sizeof(PoolItem));
#ifdef __SANITIZE_ADDRESS__
        max_kept = 0; /* so that it sees who uses an object that was given back */
#endif
        *pool = (Pool){.size = size, .max_kept = max_kept};
}

void pool_deinit(Pool *pool) {
        while (pool->kept)
                free(pool_take(pool));
}

void *pool_take(Pool *pool) {
        PoolItem *item = pool->kept;

        if (!item)
                return malloc(pool->size);
        pool->kept = item->next;
        pool->n_kept--;
        if (pool->kept)
                __builtin_prefetch(pool->kept, 1); /* the next one to be taken */
        return item;
}

void pool_give(Pool *pool, void *object) {
        PoolItem *item = object;

        if (pool->n_kept == pool->max_kept) {
                free(object);
                return;
        }
        item->next = pool->kept;
        pool->kept = item;
        pool->n_kept++;
}
