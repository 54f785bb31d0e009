/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/gzip.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint8_t *sample_new(size_t size) {
        uint8_t *data = malloc(size ? size : 1);
        unsigned state = 1;

        for (size_t i = 0; i < size; i++) {
                state = state * 1664525 + 1013904223;
                data[i] = state & 0x10000 ? 'x' : state >> 24;
        }
        return data;
}

static void compress(Buffer *out, const void *data, size_t size) {
        uint8_t *room;
        Gzip *gzip;

        ck_assert_int_eq(gzip_new(&gzip), 0);
        ck_assert_int_eq(buffer_reserve(out, &room, gzip_bound(gzip, size)), 0);
        out->size += gzip_compress(gzip, room, data, size);
        gzip_free(gzip);
}

START_TEST(comes_back_the_same) {
        static const size_t sizes[] = {0, 1, 4096, 4097, 300000};
        Buffer packed = BUFFER_NULL, plain = BUFFER_NULL;
        uint8_t *data = sample_new(sizes[_i]);

        compress(&packed, data, sizes[_i]);
        ck_assert_uint_eq(packed.data[0], 0x1f);
        ck_assert_uint_eq(packed.data[1], 0x8b);
        ck_assert_int_eq(gzip_decompress(&plain, packed.data, packed.size, 1 << 20), 0);
        ck_assert_uint_eq(plain.size, sizes[_i]);
        ck_assert(!plain.size || !memcmp(plain.data, data, plain.size));
        buffer_deinit(&plain);
        buffer_deinit(&packed);
        free(data);
}
END_TEST

START_TEST(members_follow_each_other) {
        Buffer packed = BUFFER_NULL, plain = BUFFER_NULL;

        compress(&packed, "hello ", 6);
        compress(&packed, "world", 5);
        ck_assert_int_eq(buffer_append_string(&plain, "> "), 0);
        ck_assert_int_eq(gzip_decompress(&plain, packed.data, packed.size, 13), 0);
        ck_assert_uint_eq(plain.size, 13);
        ck_assert_mem_eq(plain.data, "> hello world", 13);
        buffer_deinit(&plain);
        buffer_deinit(&packed);
}
END_TEST

START_TEST(a_bomb_is_bounded) {
        Buffer packed = BUFFER_NULL, plain = BUFFER_NULL;
        uint8_t *zeros = calloc(1, 8 << 20);

        compress(&packed, zeros, 8 << 20);
        ck_assert_uint_lt(packed.size, 16384);
        ck_assert_int_eq(gzip_decompress(&plain, packed.data, packed.size, 4 << 20),
                         GZIP_E_TOO_LARGE);
        ck_assert_uint_eq(plain.size, 0);
        ck_assert_uint_le(plain.capacity, 4 << 20);
        ck_assert_int_eq(gzip_decompress(&plain, packed.data, packed.size, 8 << 20), 0);
        ck_assert_uint_eq(plain.size, 8 << 20);
        buffer_deinit(&plain);
        buffer_deinit(&packed);
        free(zeros);
}
END_TEST

START_TEST(damage_is_told) {
        Buffer packed = BUFFER_NULL, plain = BUFFER_NULL;

        ck_assert_int_eq(gzip_decompress(&plain, "", 0, 100), GZIP_E_MALFORMED);
        ck_assert_int_eq(gzip_decompress(&plain, "not gzip at all, but text", 25, 100),
                         GZIP_E_MALFORMED);
        compress(&packed, "some text, some text, some text", 31);
        for (size_t size = 0; size < packed.size; size++)
                ck_assert_int_eq(gzip_decompress(&plain, packed.data, size, 100), GZIP_E_MALFORMED);
        packed.data[packed.size - 8] ^= 1; /* the checksum */
        ck_assert_int_eq(gzip_decompress(&plain, packed.data, packed.size, 100), GZIP_E_MALFORMED);
        ck_assert_uint_eq(plain.size, 0);
        buffer_deinit(&plain);
        buffer_deinit(&packed);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("gzip");
        TCase *tcase = tcase_create("gzip");

        tcase_add_loop_test(tcase, comes_back_the_same, 0, 5);
        tcase_add_test(tcase, members_follow_each_other);
        tcase_add_test(tcase, a_bomb_is_bounded);
        tcase_add_test(tcase, damage_is_told);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
