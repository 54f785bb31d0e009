/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/w3c.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

START_TEST(traceparents_are_read_or_ignored) {
        Golden golden;

        golden_open(&golden, "traceparent.txt");
        while (golden_next(&golden, 3)) {
                size_t size = golden_text(golden.columns[2]);
                char text[W3C_TRACEPARENT_TEXT + 1] = "ignored";
                char *header = memcpy(malloc(size + !size), golden.columns[2], size);
                W3cTraceparent read;

                if (w3c_traceparent_read(&read, header, size))
                        w3c_traceparent_write(text, &read);
                ck_assert_msg(strcmp(text, golden.columns[1]) == 0, "%s: %s", golden.columns[0],
                              text);
                free(header);
        }
}
END_TEST

START_TEST(an_ignored_traceparent_writes_nothing) {
        W3cTraceparent read = {.flags = 77};

        ck_assert(!w3c_traceparent_read(
                &read, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", 55));
        ck_assert_uint_eq(read.flags, 77);
        ck_assert(id_is_zero(read.trace_id, sizeof read.trace_id));
}
END_TEST

START_TEST(tracestates_are_judged) {
        Golden golden;

        golden_open(&golden, "tracestate.txt");
        while (golden_next(&golden, 3)) {
                size_t size = golden_text(golden.columns[2]);
                char *header = memcpy(malloc(size + !size), golden.columns[2], size);

                ck_assert_msg(w3c_tracestate_is_valid(header, size) ==
                                      (strcmp(golden.columns[1], "valid") == 0),
                              "%s", golden.columns[0]);
                free(header);
        }
}
END_TEST

START_TEST(baggage_is_read_by_members) {
        Golden golden;

        golden_open(&golden, "baggage.txt");
        while (golden_next(&golden, 3)) {
                size_t size = golden_text(golden.columns[2]), n = 0;
                size_t expected_size = golden_text(golden.columns[1]);
                char *header = memcpy(malloc(size + !size), golden.columns[2], size);
                W3cBaggageReader reader = w3c_baggage_reader(header, size);
                W3cBaggageMember member;
                char text[256];

                while (w3c_baggage_next(&reader, &member))
                        n += (size_t)snprintf(text + n, sizeof text - n, "[%.*s=%.*s%s%.*s]",
                                              (int)member.name_size, member.name,
                                              (int)member.value_size, member.value,
                                              member.properties ? ";" : "",
                                              (int)member.properties_size,
                                              member.properties ? member.properties : "");
                ck_assert_msg(n == expected_size && memcmp(text, golden.columns[1], n) == 0,
                              "%s: %.*s", golden.columns[0], (int)n, text);
                free(header);
        }
}
END_TEST

static void decodes(const char *value, const char *expected) {
        char out[256];
        size_t n = w3c_baggage_decode(NULL, value, strlen(value));

        ck_assert_uint_eq(n, strlen(expected));
        ck_assert_uint_eq(w3c_baggage_decode(out, value, strlen(value)), n);
        ck_assert_mem_eq(out, expected, n);
}

START_TEST(values_are_percent_decoded) {
        decodes("", "");
        decodes("plain=", "plain=");
        decodes("%20a%2C%2c", " a,,");
        decodes("%E2%82%AC!", "\xe2\x82\xac!");
        decodes("%F0%9F%94%97", "\xf0\x9f\x94\x97");
        decodes("a%00b", "a\xef\xbf\xbd"
                         "b");
        decodes("%", "%");
        decodes("%4", "%4");
        decodes("%zz%4g", "%zz%4g");
        decodes("%FFa", "\xef\xbf\xbd"
                        "a");
        decodes("%E2%82", "\xef\xbf\xbd");
        decodes("%E2%82%41%80%80%80%80%80", "\xef\xbf\xbd"
                                            "A"
                                            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                            "\xef\xbf\xbd");
}
END_TEST

START_TEST(malformed_members_are_counted) {
        static const char header[] = "a=1, ,b,=c, ,d=\x01,e=2,";
        W3cBaggageReader reader = w3c_baggage_reader(header, sizeof header - 1);
        W3cBaggageMember member;
        unsigned n = 0;

        while (w3c_baggage_next(&reader, &member))
                n++;
        ck_assert_uint_eq(n, 2);
        ck_assert_uint_eq(reader.n_malformed, 3);
}
END_TEST

/* Keys upper-cased, other characters '_', a leading digit gets '_'. */
START_TEST(headers_have_names_in_the_environment) {
        static const struct {
                const char *header, *variable;
        } cases[] = {
                {"traceparent", "TRACEPARENT"},
                {"tracestate", "TRACESTATE"},
                {"baggage", "BAGGAGE"},
                {"x-B3.TraceId", "X_B3_TRACEID"},
                {"1st", "_1ST"},
                {"\xc3\xa4", "__"},
                {"", ""},
        };
        char name[W3C_ENVIRON_NAME_SIZE], longer[200];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                w3c_environ_name(name, cases[i].header);
                ck_assert_str_eq(name, cases[i].variable);
        }
        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = 0;
        w3c_environ_name(name, longer);
        ck_assert_uint_eq(strlen(name), W3C_ENVIRON_NAME_SIZE - 1);
}
END_TEST

START_TEST(what_is_encoded_is_decoded) {
        char all[255], encoded[3 * 255], decoded[3 * 3 * 255];
        size_t n;

        ck_assert_uint_eq(w3c_baggage_encode(NULL, "a b", 3), 5);
        n = w3c_baggage_encode(encoded, "a b%,;\"\\\xc3\xa9=", 11);
        ck_assert_uint_eq(n, strlen("a%20b%25%2C%3B%22%5C%C3%A9="));
        ck_assert_mem_eq(encoded, "a%20b%25%2C%3B%22%5C%C3%A9=", n);

        for (unsigned i = 0; i < 127; i++)
                all[i] = (char)(i + 1);
        n = w3c_baggage_encode(encoded, all, 127);
        for (size_t i = 0; i < n; i++)
                ck_assert(encoded[i] > ' ' && encoded[i] < 0x7f && !strchr("\",;\\", encoded[i]));
        ck_assert_uint_eq(w3c_baggage_decode(decoded, encoded, n), 127);
        ck_assert_mem_eq(decoded, all, 127);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("w3c");
        TCase *tcase = tcase_create("w3c");

        tcase_add_test(tcase, traceparents_are_read_or_ignored);
        tcase_add_test(tcase, an_ignored_traceparent_writes_nothing);
        tcase_add_test(tcase, tracestates_are_judged);
        tcase_add_test(tcase, baggage_is_read_by_members);
        tcase_add_test(tcase, malformed_members_are_counted);
        tcase_add_test(tcase, values_are_percent_decoded);
        tcase_add_test(tcase, headers_have_names_in_the_environment);
        tcase_add_test(tcase, what_is_encoded_is_decoded);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
