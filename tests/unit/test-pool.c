/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SIZE = 40, MIN = 3 };

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

START_TEST(keeps_as_many_as_are_taken_or_its_least) {
        void *objects[10 * MIN];
        Pool pool;

        pool_init(&pool, SIZE, MIN);
        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < 10 * MIN; i++)
                        objects[i] = memset(pool_take(&pool), (int)i, SIZE);
                ck_assert_uint_eq(pool.n_taken, 10 * MIN);
                for (unsigned i = 0; i < 10 * MIN; i++) {
                        size_t n_left = 10 * MIN - i - 1;

                        pool_give(&pool, objects[i]);
                        ck_assert_uint_le(pool.n_kept, n_left > MIN ? n_left : MIN);
                }
                ck_assert_uint_eq(pool.n_taken, 0);
        }
        pool_deinit(&pool);
        ck_assert_uint_eq(pool.n_kept, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pool");
        TCase *tcase = tcase_create("pool");

        tcase_add_test(tcase, what_is_given_back_is_taken_again);
        tcase_add_test(tcase, keeps_as_many_as_are_taken_or_its_least);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
