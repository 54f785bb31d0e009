/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/id-index.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(finds_the_newest_of_those_with_the_same_id) {
        IdIndexEntry entries[3] = {0};
        IdIndex index;

        id_index_init(&index, 1);
        ck_assert_ptr_null(id_index_find(&index, 1, "a", 1));
        for (size_t i = 0; i < 3; i++)
                ck_assert_int_eq(id_index_put(&index, &entries[i], 1, "a", 1), 0);
        ck_assert_ptr_eq(id_index_find(&index, 1, "a", 1), &entries[2]);
        id_index_remove(&index, &entries[1]);
        ck_assert_ptr_eq(id_index_find(&index, 1, "a", 1), &entries[2]);
        id_index_remove(&index, &entries[2]);
        ck_assert_ptr_eq(id_index_find(&index, 1, "a", 1), &entries[0]);
        id_index_remove(&index, &entries[0]);
        id_index_remove(&index, &entries[0]);
        ck_assert_ptr_null(id_index_find(&index, 1, "a", 1));
        id_index_deinit(&index);
}
END_TEST

START_TEST(scopes_are_apart) {
        IdIndexEntry one = {0}, two = {0};
        IdIndex index;

        id_index_init(&index, 1);
        ck_assert_int_eq(id_index_put(&index, &one, 1, "same", 4), 0);
        ck_assert_int_eq(id_index_put(&index, &two, 2, "same", 4), 0);
        ck_assert_ptr_eq(id_index_find(&index, 1, "same", 4), &one);
        ck_assert_ptr_eq(id_index_find(&index, 2, "same", 4), &two);
        ck_assert_ptr_null(id_index_find(&index, 3, "same", 4));
        ck_assert_ptr_null(id_index_find(&index, 1, "sam", 3));
        ck_assert_ptr_null(id_index_find(&index, 1, "same\0", 5));
        id_index_deinit(&index);
}
END_TEST

/* What cannot be made on purpose, with a secret seed: other ids under the same hash. */
START_TEST(a_collision_finds_the_right_one) {
        IdIndexEntry real = {0}, other = {0};
        IdIndex index;

        id_index_init(&index, 1);
        ck_assert_int_eq(id_index_put(&index, &real, 1, "real", 4), 0);
        ck_assert_int_eq(id_index_put(&index, &other, 1, "real", 4), 0);
        other.id = "fake";
        ck_assert_ptr_eq(id_index_find(&index, 1, "real", 4), &real);
        real.id = "fake";
        ck_assert_ptr_null(id_index_find(&index, 1, "real", 4));
        id_index_deinit(&index);
}
END_TEST

START_TEST(grows_by_no_more_than_it_says) {
        enum { N = 1000 };
        static IdIndexEntry entries[N];
        static char ids[N][8];
        IdIndex index;

        id_index_init(&index, 1);
        for (size_t i = 0; i < N; i++) {
                size_t before = id_index_bytes(&index), growth = id_index_growth(&index, 1);

                memcpy(ids[i], &i, sizeof ids[i]);
                ck_assert_int_eq(id_index_put(&index, &entries[i], 0, ids[i], 8), 0);
                ck_assert_uint_le(id_index_bytes(&index), growth ? growth : before);
        }
        for (size_t i = 0; i < N; i++)
                ck_assert_ptr_eq(id_index_find(&index, 0, ids[i], 8), &entries[i]);
        id_index_deinit(&index);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("id-index");
        TCase *tcase = tcase_create("id-index");

        tcase_add_test(tcase, finds_the_newest_of_those_with_the_same_id);
        tcase_add_test(tcase, scopes_are_apart);
        tcase_add_test(tcase, a_collision_finds_the_right_one);
        tcase_add_test(tcase, grows_by_no_more_than_it_says);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
