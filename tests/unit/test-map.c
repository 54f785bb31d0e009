/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/map.h"
#include "tests/unit/unit.h"

START_TEST(finds_what_was_put) {
        Map map;
        int values[1000];

        map_init(&map, 7);
        ck_assert_ptr_null(map_find(&map, 1));
        for (uint64_t i = 0; i < 1000; i++)
                ck_assert_int_eq(map_put(&map, i * 8, &values[i]), 0);
        ck_assert_uint_eq(map.n_entries, 1000);
        for (uint64_t i = 0; i < 1000; i++)
                ck_assert_ptr_eq(map_find(&map, i * 8), &values[i]);
        ck_assert_ptr_null(map_find(&map, 4));
        map_deinit(&map);
}
END_TEST

START_TEST(put_replaces) {
        Map map;
        int a, b;

        map_init(&map, 0);
        ck_assert_int_eq(map_put(&map, 0, &a), 0);
        ck_assert_int_eq(map_put(&map, 0, &b), 0);
        ck_assert_uint_eq(map.n_entries, 1);
        ck_assert_ptr_eq(map_remove(&map, 0), &b);
        ck_assert_ptr_null(map_remove(&map, 0));
        map_deinit(&map);
}
END_TEST

/* Random puts and removals against an array that holds the same. */
START_TEST(agrees_with_a_model) {
        enum { KEYS = 512, ROUNDS = 200000 };
        static void *model[KEYS];
        unsigned state = 1;
        size_t n = 0;
        Map map;

        map_init(&map, 99);
        for (unsigned i = 0; i < ROUNDS; i++) {
                unsigned key = (state = state * 1664525 + 1013904223) >> 23;
                void *value = &model[i % KEYS];

                if (state & 0x1000) {
                        n += !model[key];
                        ck_assert_int_eq(map_put(&map, key, value), 0);
                        model[key] = value;
                } else {
                        n -= !!model[key];
                        ck_assert_ptr_eq(map_remove(&map, key), model[key]);
                        model[key] = NULL;
                }
                ck_assert_uint_eq(map.n_entries, n);
        }
        for (unsigned key = 0; key < KEYS; key++)
                ck_assert_ptr_eq(map_find(&map, key), model[key]);
        map_for_each(slot, &map) ck_assert_ptr_eq(model[slot->key], slot->value);
        map_deinit(&map);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("map");
        TCase *tcase = tcase_create("map");

        tcase_add_test(tcase, finds_what_was_put);
        tcase_add_test(tcase, put_replaces);
        tcase_add_test(tcase, agrees_with_a_model);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
