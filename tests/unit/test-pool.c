/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/pool.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SIZE = 40, MAX = 3 };

START_TEST(what_is_given_back_is_taken_again) {
        void *one, *two;
        Pool pool;

        pool_init(&pool, SIZE, MAX);
        one = pool_take(&pool);
        two = pool_take(&pool);
        memset(one, 1, SIZE);
        memset(two, 2, SIZE);
        pool_give(&pool, one);
        pool_give(&pool, two);
        if (pool.max_kept) { /* none is kept under AddressSanitizer */
                ck_assert_ptr_eq(pool_take(&pool), two);
                ck_assert_ptr_eq(pool_take(&pool), one);
                pool_give(&pool, one);
                pool_give(&pool, two);
        }
        pool_deinit(&pool);
        ck_assert_uint_eq(pool.n_kept, 0);
}
END_TEST

START_TEST(keeps_no_more_than_its_bound) {
        void *objects[2 * MAX];
        Pool pool;

        pool_init(&pool, SIZE, MAX);
        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < 2 * MAX; i++)
                        objects[i] = memset(pool_take(&pool), (int)i, SIZE);
                for (unsigned i = 0; i < 2 * MAX; i++)
                        pool_give(&pool, objects[i]);
                ck_assert_uint_le(pool.n_kept, MAX);
        }
        pool_deinit(&pool);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pool");
        TCase *tcase = tcase_create("pool");

        tcase_add_test(tcase, what_is_given_back_is_taken_again);
        tcase_add_test(tcase, keeps_no_more_than_its_bound);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
