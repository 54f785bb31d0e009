/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/otlp-json.h"
#include "tests/unit/fragment.h"
#include "tests/unit/unit.h"

static Buffer out;

static void set_up(void) {
        out = BUFFER_NULL;
}

static void tear_down(void) {
        buffer_deinit(&out);
}

static void shows(const PbWriter *writer, const uint8_t *data, const char *expected) {
        Render render;

        ck_assert(!writer->failed);
        render_init(&render);
        otlp_json_members(&render, OTLP_SPAN, data, (size_t)(writer->at - data));
        out.size = 0;
        ck_assert_int_eq(render_finish(&render, &out), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_str_eq((const char *)out.data, expected);
}

START_TEST(every_field_of_a_span) {
        static const uint8_t trace_id[16] = {0x4b, 1}, span_id[8] = {0xb7, 2}, parent[8] = {0, 3};
        Fragment fragment;
        PbWriter *writer = fragment_begin(&fragment);

        pb_put_bytes(writer, 1, trace_id, sizeof trace_id);
        pb_put_bytes(writer, 2, span_id, sizeof span_id);
        put_text(writer, 3, "a=b");
        pb_put_bytes(writer, 4, parent, sizeof parent);
        put_text(writer, 5, "pay \"now\"");
        pb_put_varint(writer, 6, 3);
        pb_put_fixed64(writer, 7, 1700000000000000000);
        pb_put_fixed64(writer, 8, UINT64_MAX);
        put_attribute(writer, 9, "a", "1");
        pb_put_varint(writer, 10, 5);
        put_event(writer, "retry", 1);
        pb_put_varint(writer, 12, 6);
        /* links: trace id, span id, flags */
        pb_put_prefix(writer, 13, 18 + 10);
        pb_put_bytes(writer, 1, trace_id, sizeof trace_id);
        pb_put_bytes(writer, 2, span_id, sizeof span_id);
        pb_put_varint(writer, 14, 7);
        put_status(writer, 2, "no");
        /* unknown: left out; then what belongs to an array above */
        pb_put_varint(writer, 99, 1);
        put_attribute(writer, 9, "b", "2");
        shows(writer, fragment.data,
              "{\"v\":1,\"traceId\":\"4b010000000000000000000000000000\","
              "\"spanId\":\"b702000000000000\",\"traceState\":\"a=b\","
              "\"parentSpanId\":\"0003000000000000\",\"name\":\"pay \\\"now\\\"\",\"kind\":3,"
              "\"startTimeUnixNano\":\"1700000000000000000\","
              "\"endTimeUnixNano\":\"18446744073709551615\","
              "\"attributes\":[{\"key\":\"a\",\"value\":{\"stringValue\":\"1\"}},"
              "{\"key\":\"b\",\"value\":{\"stringValue\":\"2\"}}],\"droppedAttributesCount\":5,"
              "\"events\":[{\"timeUnixNano\":\"1\",\"name\":\"retry\",\"attributes\":["
              "{\"key\":\"e0\",\"value\":{\"stringValue\":\"v\"}}]}],\"droppedEventsCount\":6,"
              "\"links\":[{\"traceId\":\"4b010000000000000000000000000000\","
              "\"spanId\":\"b702000000000000\"}],\"droppedLinksCount\":7,"
              "\"status\":{\"message\":\"no\",\"code\":2}}\n");
}
END_TEST

/* An attribute "k" whose AnyValue is given. */
static void put_value(PbWriter *writer, const uint8_t *value, size_t size) {
        pb_put_prefix(writer, 9, pb_bytes_size(1, 1) + pb_bytes_size(2, size));
        put_text(writer, 1, "k");
        pb_put_bytes(writer, 2, value, size);
}

START_TEST(every_kind_of_value) {
        static const struct {
                uint8_t bytes[16];
                size_t size;
                const char *json;
        } cases[] = {
                {{0}, 0, "{}"},
                {{0x0a, 2, 0xc3, 0xa4}, 4, "{\"stringValue\":\"\xc3\xa4\"}"},
                {{0x10, 1}, 2, "{\"boolValue\":true}"},
                {{0x10, 0}, 2, "{\"boolValue\":false}"},
                {{0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
                 11,
                 "{\"intValue\":\"-1\"}"},
                {{0x21, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f}, 9, "{\"doubleValue\":0.5}"},
                {{0x2a, 4, 0x0a, 2, 0x18, 7},
                 6,
                 "{\"arrayValue\":{\"values\":[{\"intValue\":\"7\"}]}}"},
                {{0x32, 9, 0x0a, 7, 0x0a, 1, 'x', 0x12, 2, 0x10, 1},
                 11,
                 "{\"kvlistValue\":{\"values\":[{\"key\":\"x\",\"value\":{\"boolValue\":true}}]}}"},
                {{0x3a, 3, 0xff, 0, 1}, 5, "{\"bytesValue\":\"/wAB\"}"},
        };
        Fragment fragment;
        char expected[256];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                PbWriter *writer = fragment_begin(&fragment);

                put_value(writer, cases[i].bytes, cases[i].size);
                snprintf(expected, sizeof expected,
                         "{\"v\":1,\"attributes\":[{\"key\":\"k\",\"value\":%s}]}\n",
                         cases[i].json);
                shows(writer, fragment.data, expected);
        }
}
END_TEST

/* As deep as validation lets values be, in events, where they begin deepest. */
START_TEST(values_nested_as_deep_as_they_may_be) {
        uint8_t value[1024], attribute[1024], event[1024];
        size_t size = 0;
        Fragment fragment;
        PbWriter *writer = fragment_begin(&fragment), inner;
        Render render;

        for (unsigned i = 0; i < PB_VALUE_DEPTH_MAX; i++) {
                /* kvlist_value { values { key "" value { … } } } */
                uint8_t outer[1024];

                inner = pb_writer(outer, sizeof outer);
                pb_put_prefix(&inner, 6, pb_bytes_size(1, pb_bytes_size(2, size)));
                pb_put_prefix(&inner, 1, pb_bytes_size(2, size));
                pb_put_bytes(&inner, 2, value, size);
                ck_assert(!inner.failed);
                size = (size_t)(inner.at - outer);
                memcpy(value, outer, size);
        }
        inner = pb_writer(attribute, sizeof attribute);
        pb_put_bytes(&inner, 2, value, size);
        size = (size_t)(inner.at - attribute);
        inner = pb_writer(event, sizeof event);
        pb_put_bytes(&inner, 3, attribute, size);
        ck_assert(!inner.failed);
        pb_put_bytes(writer, 11, event, (size_t)(inner.at - event));
        ck_assert(!writer->failed);
        render_init(&render);
        otlp_json_members(&render, OTLP_SPAN, fragment.data, (size_t)(writer->at - fragment.data));
        ck_assert_int_eq(render_finish(&render, &out), 0);
        ck_assert_uint_gt(out.size, PB_VALUE_DEPTH_MAX * 20);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("otlp-json");
        TCase *tcase = tcase_create("otlp-json");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, every_field_of_a_span);
        tcase_add_test(tcase, every_kind_of_value);
        tcase_add_test(tcase, values_nested_as_deep_as_they_may_be);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
