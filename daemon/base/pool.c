/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum {
        POOL_SLAB_SIZE = 64 * 1024, /* and its alignment: so an object finds its slab */
        POOL_LINE = 64,             /* of the cache: no object touches one more than it must */
};

typedef struct PoolItem PoolItem;
struct PoolItem {
        PoolItem *next;
};

typedef struct PoolSlab {
        List link; /* pool.slabs, unless it is full */
        size_t n_taken;
        PoolItem *kept;
        uint8_t *fresh; /* what was never taken follows here */
} PoolSlab;

void pool_init(Pool *pool, size_t size, size_t min_kept) {
        assert(size >= sizeof(PoolItem) && size <= POOL_SLAB_SIZE / 2);
        *pool = (Pool){.size = (size + POOL_LINE - 1) / POOL_LINE * POOL_LINE};
        pool->n_per_slab = (POOL_SLAB_SIZE - POOL_LINE) / pool->size;
        pool->min_kept = min_kept;
        list_init(&pool->slabs);
}

#ifdef __SANITIZE_ADDRESS__

/* It shall see who uses an object that was given back. */

void pool_deinit(Pool *pool) {
        assert(!pool->n_taken);
}

void pool_empty(Pool *pool) {
        (void)pool;
}

void *pool_take(Pool *pool) {
        void *object = malloc(pool->size);

        pool->n_taken += object != NULL;
        return object;
}

void pool_give(Pool *pool, void *object) {
        free(object);
        pool->n_taken--;
}

#else

static PoolSlab *pool_slab_new(Pool *pool) {
        PoolSlab *slab = aligned_alloc(POOL_SLAB_SIZE, POOL_SLAB_SIZE);

        if (!slab)
                return NULL;
        *slab = (PoolSlab){.fresh = (uint8_t *)slab + POOL_LINE};
        list_init(&slab->link);
        list_append(&pool->slabs, &slab->link);
        pool->n_kept += pool->n_per_slab;
        return slab;
}

static void pool_slab_free(Pool *pool, PoolSlab *slab) {
        list_unlink(&slab->link);
        pool->n_kept -= pool->n_per_slab;
        free(slab);
}

/* A slab without an object that is taken, or NULL. */
static PoolSlab *pool_idle_slab(const Pool *pool) {
        PoolSlab *slab = list_entry(pool->slabs.previous, PoolSlab, link);

        return list_is_empty(&pool->slabs) || slab->n_taken ? NULL : slab;
}

void pool_empty(Pool *pool) {
        PoolSlab *slab;

        while ((slab = pool_idle_slab(pool)))
                pool_slab_free(pool, slab);
}

void pool_deinit(Pool *pool) {
        assert(!pool->n_taken);
        pool_empty(pool);
}

void *pool_take(Pool *pool) {
        List *first = list_first(&pool->slabs);
        PoolSlab *slab = first ? list_entry(first, PoolSlab, link) : pool_slab_new(pool);
        void *object;

        if (!slab)
                return NULL;
        if (slab->kept) {
                object = slab->kept;
                slab->kept = slab->kept->next;
                if (slab->kept)
                        __builtin_prefetch(slab->kept, 1); /* the next one to be taken */
        } else {
                object = slab->fresh;
                slab->fresh += pool->size;
        }
        pool->n_taken++;
        pool->n_kept--;
        if (++slab->n_taken == pool->n_per_slab)
                list_unlink(&slab->link);
        return object;
}

void pool_give(Pool *pool, void *object) {
        PoolSlab *slab = (PoolSlab *)((uintptr_t)object & ~(uintptr_t)(POOL_SLAB_SIZE - 1));
        PoolItem *item = object;

        if (slab->n_taken-- == pool->n_per_slab)
                list_append(pool->slabs.next, &slab->link); /* as the first */
        item->next = slab->kept;
        slab->kept = item;
        pool->n_taken--;
        pool->n_kept++;
        if (!slab->n_taken) {
                list_unlink(&slab->link);
                list_append(&pool->slabs, &slab->link);
        }
        if (pool->n_kept > pool->min_kept + pool->n_per_slab &&
            pool->n_kept > pool->n_taken + pool->n_per_slab && (slab = pool_idle_slab(pool)))
                pool_slab_free(pool, slab);
}

#endif
