/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/render.h"
#include "tests/unit/unit.h"

#include <math.h>
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

START_TEST(numbers_and_bytes_are_as_otlp_has_them) {
        const uint8_t bytes[] = {0xff, 0, 0x10, 0x83, 'M'};
        Render render;

        render_init(&render);
        render_i64(&render, "least", INT64_MIN);
        render_real(&render, "half", 0.5);
        render_real(&render, "tenth", 0.1);
        render_real(&render, "big", 1e300);
        render_real(&render, "nan", (double)NAN);
        render_real(&render, "inf", -(double)INFINITY);
        render_open_array(&render, "bytes");
        for (size_t n = 0; n <= sizeof bytes; n++)
                render_base64(&render, NULL, bytes, n);
        render_close(&render);
        finishes_as(&render,
                    "{\"v\":1,\"least\":\"-9223372036854775808\",\"half\":0.5,"
                    "\"tenth\":0.10000000000000001,\"big\":1.0000000000000001e+300,"
                    "\"nan\":\"NaN\",\"inf\":\"-Infinity\","
                    "\"bytes\":[\"\",\"/w==\",\"/wA=\",\"/wAQ\",\"/wAQgw==\",\"/wAQg00=\"]}\n");
}
END_TEST

START_TEST(nests_deep) {
        Buffer out = BUFFER_NULL;
        Render render;

        render_init(&render);
        render_open_array(&render, "deep");
        for (unsigned i = 2; i < RENDER_DEPTH_MAX; i++)
                render_open_array(&render, NULL);
        for (unsigned i = 1; i < RENDER_DEPTH_MAX; i++)
                render_close(&render);
        render_number(&render, "last", 0);
        ck_assert_int_eq(render_finish(&render, &out), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_ptr_nonnull(strstr((const char *)out.data, "[[[]]]"));
        ck_assert_ptr_nonnull(strstr((const char *)out.data, "],\"last\":0}\n"));
        buffer_deinit(&out);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("render");
        TCase *tcase = tcase_create("render");

        tcase_add_test(tcase, members_come_in_the_order_they_were_given);
        tcase_add_test(tcase, text_is_escaped_and_made_utf8);
        tcase_add_test(tcase, numbers_and_bytes_are_as_otlp_has_them);
        tcase_add_test(tcase, nests_deep);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
