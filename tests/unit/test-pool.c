/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SIZE = 40, MIN = 100, N = 10000 };

START_TEST(what_is_given_back_is_taken_again) {
        void *one, *two;
        Pool pool;

        pool_init(&pool, SIZE, MIN);
        one = pool_take(&pool);
        two = pool_take(&pool);
        memset(one, 1, SIZE);
        memset(two, 2, SIZE);
        pool_give(&pool, one);
        pool_give(&pool, two);
        if (pool.n_kept) { /* none is kept under AddressSanitizer */
                ck_assert_ptr_eq(pool_take(&pool), two);
                ck_assert_ptr_eq(pool_take(&pool), one);
                pool_give(&pool, one);
                pool_give(&pool, two);
        }
        pool_deinit(&pool);
        ck_assert_uint_eq(pool.n_kept, 0);
}
END_TEST

/* Of several slabs: each object its own, and filled by its owner alone. */
static void fill(Pool *pool, uint8_t *objects[N]) {
        for (unsigned i = 0; i < N; i++)
                objects[i] = memset(pool_take(pool), (int)(i % 251), SIZE);
        for (unsigned i = 0; i < N; i++)
                for (unsigned k = 0; k < SIZE; k++)
                        ck_assert_uint_eq(objects[i][k], i % 251);
}

START_TEST(keeps_as_many_as_are_taken_or_its_least) {
        uint8_t *objects[N];
        Pool pool;

        pool_init(&pool, SIZE, MIN);
        for (unsigned round = 0; round < 3; round++) {
                fill(&pool, objects);
                ck_assert_uint_eq(pool.n_taken, N);
                for (unsigned i = 0; i < N; i++) {
                        size_t n_left = N - i - 1;

                        pool_give(&pool, objects[i]);
                        ck_assert_uint_le(pool.n_kept,
                                          (n_left > MIN ? n_left : MIN) + 2 * pool.n_per_slab);
                }
                ck_assert_uint_eq(pool.n_taken, 0);
        }
        pool_deinit(&pool);
        ck_assert_uint_eq(pool.n_kept, 0);
}
END_TEST

START_TEST(empties_what_holds_no_object_that_is_taken) {
        uint8_t *objects[N];
        Pool pool;

        pool_init(&pool, SIZE, N);
        fill(&pool, objects);
        for (unsigned i = 1; i < N; i++)
                pool_give(&pool, objects[i]);
        pool_empty(&pool);
        ck_assert_uint_lt(pool.n_kept, pool.n_per_slab + 1);
        for (unsigned k = 0; k < SIZE; k++)
                ck_assert_uint_eq(objects[0][k], 0);
        pool_give(&pool, objects[0]);
        pool_empty(&pool);
        ck_assert_uint_eq(pool.n_kept, 0);
        fill(&pool, objects); /* it goes on */
        for (unsigned i = 0; i < N; i++)
                pool_give(&pool, objects[N - 1 - i]);
        pool_deinit(&pool);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pool");
        TCase *tcase = tcase_create("pool");

        tcase_add_test(tcase, what_is_given_back_is_taken_again);
        tcase_add_test(tcase, keeps_as_many_as_are_taken_or_its_least);
        tcase_add_test(tcase, empties_what_holds_no_object_that_is_taken);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
