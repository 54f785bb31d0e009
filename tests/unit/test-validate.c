/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/pb.h"
#include "proto/validate.h"
#include "tests/unit/fragment.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include "otlp/logs.pb-c.h"
#include "otlp/trace.pb-c.h"

static const uint8_t span_id[8] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};

static const char *const error_names[_VALIDATE_E_N] = {
        [VALIDATE_E_ENCODING] = "encoding",
        [VALIDATE_E_GROUP] = "group",
        [VALIDATE_E_FIELD_NUMBER] = "field_number",
        [VALIDATE_E_WIRE_TYPE] = "wire_type",
        [VALIDATE_E_UTF8] = "utf8",
        [VALIDATE_E_ID] = "id",
        [VALIDATE_E_DEPTH] = "depth",
        [VALIDATE_E_ANY_VALUE] = "any_value",
};

/* What validation says of an object of a golden case, and how protobuf-c calls it. */
static int judge(ValidateSummary *summary, const ProtobufCMessageDescriptor **messagep,
                 const char *object, const uint8_t *data, size_t size) {
        *summary = (ValidateSummary){0};
        if (strcmp(object, "log") == 0) {
                *messagep = &opentelemetry__proto__logs__v1__log_record__descriptor;
                return validate_log(summary, data, size);
        }
        if (strcmp(object, "scope") == 0) {
                *messagep = &opentelemetry__proto__common__v1__instrumentation_scope__descriptor;
                return validate_scope(data, size);
        }
        if (strcmp(object, "resource") == 0) {
                *messagep = &opentelemetry__proto__resource__v1__resource__descriptor;
                return validate_resource(data, size);
        }
        *messagep = &opentelemetry__proto__trace__v1__span__descriptor;
        return validate_span(summary, data, size, strcmp(object, "start") == 0, span_id);
}

static void describe(char *text, size_t size, int r, const ValidateSummary *summary) {
        if (r)
                snprintf(text, size, "%s", error_names[r]);
        else
                snprintf(text, size, "ok%s%s%s%s", summary->repeated_key ? " repeated_key" : "",
                         summary->repeated_field ? " repeated_field" : "",
                         summary->unknown ? " unknown" : "",
                         summary->most_event_attributes > 128  ? " event_attributes"
                         : summary->most_link_attributes > 128 ? " link_attributes"
                                                               : "");
}

START_TEST(the_matrix_of_poison_is_told_apart) {
        const ProtobufCMessageDescriptor *message;
        ValidateSummary summary;
        Golden golden;
        char result[80];
        size_t n = 0;

        golden_open(&golden, "validate.txt");
        for (; golden_next(&golden, 4); n++) {
                size_t size = golden_bytes(golden.columns[3]);
                /* A copy of the right size, so that a sanitizer sees a step too far. */
                uint8_t *data = memcpy(malloc(size + !size), golden.columns[3], size);
                int r = judge(&summary, &message, golden.columns[1], data, size);

                describe(result, sizeof result, r, &summary);
                ck_assert_msg(strcmp(result, golden.columns[2]) == 0, "%s: %s, not %s",
                              golden.columns[0], result, golden.columns[2]);
                if (!r) {
                        ProtobufCMessage *decoded =
                                protobuf_c_message_unpack(message, NULL, size, data);

                        ck_assert_msg(decoded != NULL, "%s: not decoded", golden.columns[0]);
                        protobuf_c_message_free_unpacked(decoded, NULL);
                }
                free(data);
        }
        ck_assert_uint_gt(n, 250);
}
END_TEST

/* Every prefix of every golden case is judged, and harms nothing. */
START_TEST(every_prefix_is_judged) {
        const ProtobufCMessageDescriptor *message;
        ValidateSummary summary;
        Golden golden;

        golden_open(&golden, "validate.txt");
        while (golden_next(&golden, 4)) {
                size_t size = golden_bytes(golden.columns[3]);

                for (size_t n = 0; n < size; n++) {
                        uint8_t *data = memcpy(malloc(n + !n), golden.columns[3], n);
                        int r = judge(&summary, &message, golden.columns[1], data, n);

                        ck_assert(r >= 0 && r < _VALIDATE_E_N);
                        free(data);
                }
        }
}
END_TEST

START_TEST(errors_have_texts) {
        for (int r = VALIDATE_E_ENCODING; r < _VALIDATE_E_N; r++)
                ck_assert_str_ne(validate_error_text(r), "unknown error");
        ck_assert_str_eq(validate_error_text(0), "unknown error");
}
END_TEST

/* ---- the summary ---- */

static void put_exception(PbWriter *writer, const char *type, const char *message) {
        uint8_t event[512];
        PbWriter inner = pb_writer(event, sizeof event);

        put_attribute(&inner, 3, "exception.type", type);
        pb_put_bytes(&inner, 2, "exception", 9);
        if (message)
                put_attribute(&inner, 3, "exception.message", message);
        pb_put_bytes(writer, 11, event, (size_t)(inner.at - event));
}

static bool text_is(ValidateText text, const char *expected) {
        return text.data && text.size == strlen(expected) &&
               memcmp(text.data, expected, text.size) == 0;
}

START_TEST(a_span_is_summed_up) {
        static const uint8_t trace_id[16] = {1}, parent_id[8] = {2};
        uint8_t data[1024];
        PbWriter writer = pb_writer(data, sizeof data);
        ValidateSummary summary;

        pb_put_bytes(&writer, 1, trace_id, 16);
        pb_put_bytes(&writer, 2, span_id, 8);
        pb_put_bytes(&writer, 4, parent_id, 8);
        pb_put_bytes(&writer, 5, "first", 5);
        pb_put_bytes(&writer, 5, "last", 4);
        pb_put_varint(&writer, 6, 3);
        pb_put_fixed64(&writer, 7, 100);
        pb_put_fixed64(&writer, 8, 200);
        put_attribute(&writer, 9, "a", "1");
        put_attribute(&writer, 9, "b", "four");
        put_exception(&writer, "Old", "gone");
        put_exception(&writer, "Timeout", NULL);
        pb_put_bytes(&writer, 13, NULL, 0);
        pb_put_bytes(&writer, 15, "\x12\x02no\x18\x02", 6);

        ck_assert_int_eq(validate_span(&summary, data, (size_t)(writer.at - data), true, span_id),
                         0);
        ck_assert_mem_eq(summary.trace_id, trace_id, 16);
        ck_assert_mem_eq(summary.span_id, span_id, 8);
        ck_assert_mem_eq(summary.parent_span_id, parent_id, 8);
        ck_assert(text_is(summary.name, "last"));
        ck_assert(text_is(summary.status_message, "no"));
        ck_assert(text_is(summary.exception_type, "Timeout"));
        ck_assert_ptr_null(summary.exception_message.data);
        ck_assert(summary.start_unix_ns == 100 && summary.end_unix_ns == 200);
        ck_assert(summary.kind == 3 && summary.status_code == 2);
        ck_assert(summary.n_attributes == 2 && summary.n_events == 2 && summary.n_links == 1);
        ck_assert_uint_eq(summary.seen,
                          1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 15);
        ck_assert_uint_eq(summary.longest_value_bytes, strlen("Timeout"));
        ck_assert(summary.repeated_field && !summary.repeated_key && !summary.unknown);
}
END_TEST

START_TEST(a_log_record_is_summed_up) {
        static const uint8_t trace_id[16] = {1};
        uint8_t data[256];
        PbWriter writer = pb_writer(data, sizeof data);
        ValidateSummary summary;

        pb_put_fixed64(&writer, 1, 100);
        pb_put_varint(&writer, 2, 17);
        put_attribute(&writer, 6, "a", "1");
        pb_put_bytes(&writer, 9, trace_id, 16);
        pb_put_bytes(&writer, 10, span_id, 8);
        pb_put_fixed64(&writer, 11, 200);
        pb_put_bytes(&writer, 12, "paid", 4);
        ck_assert_int_eq(validate_log(&summary, data, (size_t)(writer.at - data)), 0);
        ck_assert_mem_eq(summary.trace_id, trace_id, 16);
        ck_assert_mem_eq(summary.span_id, span_id, 8);
        ck_assert(text_is(summary.name, "paid"));
        ck_assert(summary.start_unix_ns == 100 && summary.end_unix_ns == 200);
        ck_assert(summary.severity == 17 && summary.n_attributes == 1);
}
END_TEST

/* As many attributes as asked for, their keys "k0", "k1", …; returns the summary. */
static ValidateSummary summary_of_keys(unsigned n, unsigned first) {
        static uint8_t data[64 * 1024];
        PbWriter writer = pb_writer(data, sizeof data);
        ValidateSummary summary;
        char key[16];

        for (unsigned i = 0; i < n; i++) {
                snprintf(key, sizeof key, "k%u", first + i);
                put_attribute(&writer, 9, key, "v");
        }
        ck_assert(!writer.failed);
        ck_assert_int_eq(validate_span(&summary, data, (size_t)(writer.at - data), false, span_id),
                         0);
        return summary;
}

START_TEST(keys_that_differ_are_no_repetition) {
        for (unsigned n = 0; n <= 256; n++)
                ck_assert(!summary_of_keys(n, 0).repeated_key);
        /* Past the table it is only known that they may. */
        ck_assert(summary_of_keys(257, 0).repeated_key);
}
END_TEST

START_TEST(blooms_of_shared_keys_meet) {
        ValidateSummary one = summary_of_keys(4, 0), other = summary_of_keys(4, 3);
        ValidateBloom bloom = {0};
        unsigned n_met = 0;

        ck_assert(validate_bloom_meet(&one.keys, &other.keys));
        for (unsigned i = 0; i < 4; i++) {
                char key[3] = {'k', (char)('0' + i), 0};

                bloom = (ValidateBloom){0};
                validate_bloom_add(&bloom, key, 2);
                ck_assert(validate_bloom_meet(&one.keys, &bloom));
        }
        validate_bloom_merge(&bloom, &other.keys);
        ck_assert(validate_bloom_meet(&bloom, &other.keys));
        /* Keys that are not shared meet seldom: 4 × 4 / 256 of the time. */
        for (unsigned i = 0; i < 1000; i++) {
                other = summary_of_keys(4, 100 + 4 * i);
                n_met += validate_bloom_meet(&one.keys, &other.keys);
        }
        ck_assert_uint_lt(n_met, 120);
}
END_TEST

/* An update with one attribute, whose length takes one byte or, longer than needed, two. */
static int judge_attribute(ValidateSummary *summary, const uint8_t *key_value, uint8_t size,
                           bool longer) {
        uint8_t data[160] = {9 << 3 | PB_BYTES, size};
        size_t at = 2;

        if (longer) {
                data[1] |= 0x80;
                data[at++] = 0;
        }
        memcpy(data + at, key_value, size);
        return validate_span(summary, data, at + size, false, span_id);
}

/* Short lengths, one byte each, have a way of their own through the validator. */
START_TEST(plain_attributes_are_judged_like_any_other) {
        static const char *const values[] = {
                "\x0a\x05hello",
                "\x0a\x04Z\xc3\xa9!",
                "\x10\x01",
                "\x18\x96\x01",
                "\x20\x01",
                "\x21\x01\x02\x03\x04\x05\x06\x07\x08",
                "\x3a\x03\x01\xff\x02",
                "",
                "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "\x18\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "\x0a\x01x\x18\x01",
        };

        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                uint8_t original[64], changed[64];
                PbWriter writer = pb_writer(original, sizeof original);
                ValidateSummary plain, any;
                size_t size;

                pb_put_bytes(&writer, 1, "http.key", 8);
                pb_put_bytes(&writer, 2, values[v], strlen(values[v]));
                size = (size_t)(writer.at - original);
                for (size_t at = 0; at < size; at++)
                        for (unsigned byte = 0; byte < 256; byte++) {
                                int r;

                                memcpy(changed, original, size);
                                changed[at] = (uint8_t)byte;
                                r = judge_attribute(&plain, changed, (uint8_t)size, false);
                                ck_assert_int_eq(
                                        r, judge_attribute(&any, changed, (uint8_t)size, true));
                                if (!r)
                                        ck_assert_mem_eq(&plain, &any, sizeof plain);
                        }
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("validate");
        TCase *tcase = tcase_create("validate");

        tcase_add_test(tcase, the_matrix_of_poison_is_told_apart);
        tcase_add_test(tcase, every_prefix_is_judged);
        tcase_add_test(tcase, errors_have_texts);
        tcase_add_test(tcase, a_span_is_summed_up);
        tcase_add_test(tcase, a_log_record_is_summed_up);
        tcase_add_test(tcase, keys_that_differ_are_no_repetition);
        tcase_add_test(tcase, blooms_of_shared_keys_meet);
        tcase_add_test(tcase, plain_attributes_are_judged_like_any_other);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
