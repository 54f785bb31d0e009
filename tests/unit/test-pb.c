/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/pb.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(what_is_written_is_read) {
        uint8_t data[128];
        PbWriter writer = pb_writer(data, sizeof data);
        PbReader reader;
        PbField field;
        double real;

        pb_put_varint(&writer, 1, UINT64_MAX);
        pb_put_fixed64(&writer, 2, UINT64_C(0x0102030405060708));
        pb_put_fixed32(&writer, 16, 0x01020304);
        pb_put_double(&writer, PB_FIELD_MAX, -0.5);
        pb_put_bytes(&writer, 3, "abc", 3);
        pb_put_bytes(&writer, 4, NULL, 0);
        ck_assert(!writer.failed);

        reader = pb_reader(data, (size_t)(writer.at - data));
        ck_assert(pb_next(&reader, &field));
        ck_assert(field.number == 1 && field.wire == PB_VARINT && field.value == UINT64_MAX);
        ck_assert_ptr_eq(field.start, data);
        ck_assert(pb_next(&reader, &field));
        ck_assert(field.number == 2 && field.wire == PB_FIXED64);
        ck_assert(field.value == UINT64_C(0x0102030405060708));
        ck_assert_uint_eq(field.start[1], 8);
        ck_assert(pb_next(&reader, &field));
        ck_assert(field.number == 16 && field.wire == PB_FIXED32 && field.value == 0x01020304);
        ck_assert(pb_next(&reader, &field));
        ck_assert_uint_eq(field.number, PB_FIELD_MAX);
        memcpy(&real, &field.value, sizeof real);
        ck_assert(real == -0.5);
        ck_assert(pb_next(&reader, &field));
        ck_assert(field.number == 3 && field.wire == PB_BYTES && field.size == 3);
        ck_assert_mem_eq(field.data, "abc", 3);
        ck_assert(pb_next(&reader, &field));
        ck_assert(field.number == 4 && field.size == 0);
        ck_assert(!pb_next(&reader, &field));
        ck_assert(!reader.failed);
}
END_TEST

START_TEST(sizes_agree_with_what_is_written) {
        static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384};
        static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, PB_FIELD_MAX};
        static uint8_t data[16384 + 16];

        for (size_t i = 0; i < 6; i++)
                for (size_t j = 0; j < 6; j++) {
                        PbWriter writer = pb_writer(data, sizeof data);

                        pb_put_prefix(&writer, numbers[j], sizes[i]);
                        ck_assert_uint_eq((size_t)(writer.at - data) + sizes[i],
                                          pb_bytes_size(numbers[j], sizes[i]));
                }
        for (unsigned bit = 0; bit < 64; bit++)
                ck_assert_uint_eq(pb_varint_size(UINT64_C(1) << bit), bit / 7 + 1);
        ck_assert_uint_eq(pb_varint_size(0), 1);
}
END_TEST

START_TEST(what_does_not_fit_is_not_begun) {
        uint8_t whole[64], data[64];
        PbWriter writer = pb_writer(whole, sizeof whole);
        size_t ends[6], size;

        pb_put_varint(&writer, 1, 300), ends[0] = (size_t)(writer.at - whole);
        pb_put_bytes(&writer, 2, "text", 4), ends[1] = (size_t)(writer.at - whole);
        pb_put_fixed64(&writer, 3, 3), ends[2] = (size_t)(writer.at - whole);
        pb_put_fixed32(&writer, 4, 4), ends[3] = (size_t)(writer.at - whole);
        pb_put_prefix(&writer, 5, 1), ends[4] = (size_t)(writer.at - whole);
        pb_put_raw(&writer, "x", 1), ends[5] = (size_t)(writer.at - whole);
        size = ends[5];
        for (size_t room = 0; room <= size; room++) {
                size_t fit = 0;

                writer = pb_writer(data, room);
                pb_put_varint(&writer, 1, 300);
                pb_put_bytes(&writer, 2, "text", 4);
                pb_put_fixed64(&writer, 3, 3);
                pb_put_fixed32(&writer, 4, 4);
                pb_put_prefix(&writer, 5, 1);
                pb_put_raw(&writer, "x", 1);
                for (unsigned i = 0; i < 6; i++)
                        if (ends[i] <= room)
                                fit = ends[i];
                ck_assert_int_eq(writer.failed, room < size);
                ck_assert_uint_eq((size_t)(writer.at - data), fit);
                ck_assert_mem_eq(data, whole, fit);
        }
}
END_TEST

/* Reads all fields; whether that ended in a fault. *n_readp: how many came before. */
static bool faults(const void *data, size_t size, size_t *n_readp) {
        PbReader reader = pb_reader(data, size);
        PbField field;
        size_t n = 0;

        while (pb_next(&reader, &field))
                n++;
        ck_assert(!pb_next(&reader, &field));
        ck_assert(reader.failed || reader.at == reader.end);
        if (n_readp)
                *n_readp = n;
        return reader.failed;
}

#define FAULTS(literal) faults(literal, sizeof(literal) - 1, NULL)

START_TEST(faults_are_seen) {
        ck_assert(FAULTS("\x00\x01"));                 /* field 0 */
        ck_assert(FAULTS("\x80\x80\x80\x80\x10\x01")); /* field 2^29 */
        ck_assert(FAULTS("\xf8\xff\xff\xff\x1f\x01"));
        ck_assert(FAULTS("\x88\x80\x80\x80\x80\x00\x01")); /* a tag of six bytes */
        ck_assert(FAULTS("\x0b\x0c"));                     /* a group */
        ck_assert(FAULTS("\x0e\x01"));                     /* wire types that do not exist */
        ck_assert(FAULTS("\x0f\x01"));
        ck_assert(FAULTS("\x08"));
        ck_assert(FAULTS("\x88"));
        ck_assert(FAULTS("\x08\x80"));
        ck_assert(FAULTS("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
        ck_assert(FAULTS("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"));
        ck_assert(FAULTS("\x09"
                         "1234567"));
        ck_assert(FAULTS("\x0d"
                         "123"));
        ck_assert(FAULTS("\x0a\x01"));
        ck_assert(FAULTS("\x0a\x80\x80\x80\x80\x80\x00")); /* a length of six bytes */
        ck_assert(FAULTS("\x0a\xff\xff\xff\xff\x7f"
                         "x"));
}
END_TEST

START_TEST(odd_but_sound_encodings_are_read) {
        ck_assert(!FAULTS(""));
        ck_assert(!FAULTS("\xf8\xff\xff\xff\x0f\x01")); /* field 2^29 - 1 */
        ck_assert(!FAULTS("\x88\x80\x80\x80\x00\x01")); /* padded tag, value, length */
        ck_assert(!FAULTS("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"));
        ck_assert(!FAULTS("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
        ck_assert(!FAULTS("\x0a\x81\x80\x80\x80\x00"
                          "x"));
}
END_TEST

START_TEST(a_fault_leaves_the_reader_at_its_field) {
        static const uint8_t data[] = {0x08, 0x01, 0x0a, 0x05, 'x'};
        PbReader reader = pb_reader(data, sizeof data);
        PbField field;
        size_t n;

        ck_assert(pb_next(&reader, &field));
        ck_assert(!pb_next(&reader, &field));
        ck_assert_ptr_eq(reader.at, data + 2);
        ck_assert(faults(data, sizeof data, &n));
        ck_assert_uint_eq(n, 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pb");
        TCase *tcase = tcase_create("pb");

        tcase_add_test(tcase, what_is_written_is_read);
        tcase_add_test(tcase, sizes_agree_with_what_is_written);
        tcase_add_test(tcase, what_does_not_fit_is_not_begun);
        tcase_add_test(tcase, faults_are_seen);
        tcase_add_test(tcase, odd_but_sound_encodings_are_read);
        tcase_add_test(tcase, a_fault_leaves_the_reader_at_its_field);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
