/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/id.h"

static const char id_digits[] = "0123456789abcdef";

void id_to_hex(char *hex, const uint8_t *id, size_t size) {
        for (size_t i = 0; i < size; i++) {
                *hex++ = id_digits[id[i] >> 4];
                *hex++ = id_digits[id[i] & 15];
        }
        *hex = '\0';
}

/* The value of a lower-case digit, or -1. */
static int id_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

bool id_from_hex(uint8_t *id, const char *hex, size_t size) {
        for (size_t i = 0; i < 2 * size; i++)
                if (id_digit(hex[i]) < 0)
                        return false;
        for (size_t i = 0; i < size; i++)
                id[i] = (uint8_t)(id_digit(hex[2 * i]) << 4 | id_digit(hex[2 * i + 1]));
        return true;
}

void id_to_uuid(char *text, const uint8_t random[16]) {
        uint8_t uuid[16];

        memcpy(uuid, random, sizeof uuid);
        uuid[6] = (uuid[6] & 0x0f) | 0x40; /* version 4 */
        uuid[8] = (uuid[8] & 0x3f) | 0x80; /* the variant of RFC 9562 */
        for (size_t i = 0; i < sizeof uuid; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *text++ = '-';
                *text++ = id_digits[uuid[i] >> 4];
                *text++ = id_digits[uuid[i] & 15];
        }
        *text = '\0';
}
