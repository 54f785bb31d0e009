/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/buffer.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

START_TEST(appends_and_consumes) {
        Buffer buffer = BUFFER_NULL;

        ck_assert_int_eq(buffer_append_string(&buffer, "one "), 0);
        ck_assert_int_eq(buffer_printf(&buffer, "%d %s", 2, "three"), 0);
        ck_assert_uint_eq(buffer.size, strlen("one 2 three"));
        buffer_consume(&buffer, 4);
        ck_assert_mem_eq(buffer.data, "2 three", buffer.size);
        buffer_consume(&buffer, buffer.size);
        ck_assert_uint_eq(buffer.size, 0);
        buffer_deinit(&buffer);
}
END_TEST

START_TEST(reserve_makes_room) {
        Buffer buffer = BUFFER_NULL;
        uint8_t *room;

        ck_assert_int_eq(buffer_append(&buffer, "x", 1), 0);
        ck_assert_int_eq(buffer_reserve(&buffer, &room, 100000), 0);
        ck_assert_ptr_eq(room, buffer.data + 1);
        memset(room, 1, 100000);
        ck_assert_int_eq(buffer_reserve(&buffer, NULL, SIZE_MAX), -ENOMEM);
        buffer_deinit(&buffer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("buffer");
        TCase *tcase = tcase_create("buffer");

        tcase_add_test(tcase, appends_and_consumes);
        tcase_add_test(tcase, reserve_makes_room);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
