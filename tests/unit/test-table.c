/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/table.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(columns_are_as_wide_as_they_need) {
        Table table;
        size_t size;
        char *text;
        FILE *out = open_memstream(&text, &size);

        table_init(&table, "lrl");
        for (size_t i = 0; i < 3; i++)
                table_add(&table, ((const char *[]){"CLIENT", "SPANS", "STATE"})[i]);
        table_add(&table, "größer");
        table_add_number(&table, 1234567);
        table_add(&table, "alive");
        table_add(&table, NULL);
        table_add_number(&table, 0);
        table_add(&table, "\033[2J");
        ck_assert_int_eq(table_print(&table, out), 0);
        fclose(out);
        ck_assert_str_eq(text, "CLIENT    SPANS  STATE\n"
                               "größer  1234567  alive\n"
                               "              0  \\x1b[2J\n");
        free(text);
        table_deinit(&table);
}
END_TEST

START_TEST(colours_take_no_room) {
        Table table;
        size_t size;
        char *text;
        FILE *out = open_memstream(&text, &size);

        table_init(&table, "lrl");
        table_paint(&table, "\033[31m");
        for (size_t i = 0; i < 6; i++) {
                table_add(&table, ((const char *[]){"a", "b", "c", "long", "long", "long"})[i]);
                table_paint(&table, i == 1 || i == 3 ? "\033[31m" : NULL);
        }
        ck_assert_int_eq(table_print(&table, out), 0);
        fclose(out);
        ck_assert_str_eq(text, "a        \033[31mb\033[0m  c\n"
                               "\033[31mlong\033[0m  long  long\n");
        free(text);
        table_deinit(&table);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("table");
        TCase *tcase = tcase_create("table");

        tcase_add_test(tcase, columns_are_as_wide_as_they_need);
        tcase_add_test(tcase, colours_take_no_room);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
