/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/render.h"
#include "tests/unit/unit.h"

#include <string.h>

static void finishes_as(Render *render, const char *expected) {
        Buffer out = BUFFER_NULL;

        ck_assert_int_eq(render_finish(render, &out), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_str_eq((const char *)out.data, expected);
        buffer_deinit(&out);
}

START_TEST(members_come_in_the_order_they_were_given) {
        uint8_t id[8] = {0xab, 0, 0, 0, 0, 0, 0, 1};
        Render render;

        render_init(&render);
        render_u64(&render, "all", UINT64_MAX);
        render_number(&render, "some", UINT32_MAX);
        render_bool(&render, "yes", true);
        render_hex(&render, "id", id, sizeof id);
        render_text(&render, "absent", NULL);
        render_open_array(&render, "list");
        render_open_object(&render, NULL);
        render_close(&render);
        render_text(&render, NULL, "last");
        render_close(&render);
        finishes_as(&render, "{\"v\":1,\"all\":\"18446744073709551615\",\"some\":4294967295,"
                             "\"yes\":true,\"id\":\"ab00000000000001\",\"list\":[{},\"last\"]}\n");
}
END_TEST

START_TEST(text_is_escaped_and_made_utf8) {
        Render render;

        render_init(&render);
        render_text(&render, "quoted", "a \"b\" \\ \n \x01 \xe2\x82\xac");
        render_text(&render, "bad", "x\xff\xfey");
        render_text_sized(&render, "sized", "a\0b", 3);
        render_text(&render, "empty", "");
        finishes_as(&render, "{\"v\":1,\"quoted\":\"a \\\"b\\\" \\\\ \\n \\u0001 \xe2\x82\xac\","
                             "\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbdy\",\"sized\":\"a\\u0000b\","
                             "\"empty\":\"\"}\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("render");
        TCase *tcase = tcase_create("render");

        tcase_add_test(tcase, members_come_in_the_order_they_were_given);
        tcase_add_test(tcase, text_is_escaped_and_made_utf8);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
