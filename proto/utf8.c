/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/utf8.h"

#include <string.h>

#define UTF8_HIGH_BITS UINT64_C(0x8080808080808080)

static bool utf8_continues(uint8_t byte) {
        return (byte & 0xc0) == 0x80;
}

size_t utf8_next(bool *validp, const void *text, size_t size) {
        const uint8_t *at = text;
        uint8_t lead = at[0], low = 0x80, high = 0xbf;
        size_t length, n;

        *validp = lead < 0x80;
        if (lead < 0xc2 || lead > 0xf4)
                return 1;
        length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (lead == 0xe0)
                low = 0xa0; /* else it were shorter */
        else if (lead == 0xed)
                high = 0x9f; /* surrogates */
        else if (lead == 0xf0)
                low = 0x90; /* else it were shorter */
        else if (lead == 0xf4)
                high = 0x8f; /* over U+10FFFF */
        if (size < 2 || at[1] < low || at[1] > high)
                return 1;
        for (n = 2; n < length; n++)
                if (n >= size || !utf8_continues(at[n]))
                        return n;
        *validp = true;
        return length;
}

static size_t utf8_ascii(const uint8_t *at, size_t left) {
        size_t n = 0;
        uint64_t word;

        for (; left - n >= sizeof word; n += sizeof word) {
                memcpy(&word, at + n, sizeof word);
                if (word & UTF8_HIGH_BITS)
                        break;
        }
        while (n < left && at[n] < 0x80)
                n++;
        return n;
}

bool utf8_is_valid_any(const void *text, size_t size) {
        const uint8_t *at = text;
        bool valid;

        for (;;) {
                size_t n = utf8_ascii(at, size);

                at += n;
                size -= n;
                if (!size)
                        return true;
                n = utf8_next(&valid, at, size);
                if (!valid)
                        return false;
                at += n;
                size -= n;
        }
}

size_t utf8_truncate(const void *text, size_t size, size_t max_bytes) {
        const uint8_t *bytes = text;
        size_t n = max_bytes;

        if (size <= max_bytes)
                return size;
        /* A character has at most three bytes behind its first. */
        while (n > 0 && max_bytes - n < 3 && utf8_continues(bytes[n]))
                n--;
        return n;
}

size_t utf8_prefix(const void *text, size_t size, size_t max_characters) {
        const uint8_t *bytes = text;

        if (size <= max_characters)
                return size;
        for (size_t i = 0; i < size; i++)
                if (!utf8_continues(bytes[i]) && max_characters-- == 0)
                        return i;
        return size;
}

size_t utf8_replace(char *out, const void *text, size_t size) {
        static const char replacement[3] = "\xef\xbf\xbd"; /* U+FFFD */
        const uint8_t *at = text;
        size_t total = 0;
        bool valid;

        while (size) {
                size_t n = utf8_ascii(at, size), n_out;

                valid = n > 0;
                if (!valid)
                        n = utf8_next(&valid, at, size);
                n_out = valid ? n : sizeof replacement;
                if (out)
                        memcpy(out + total, valid ? (const char *)at : replacement, n_out);
                total += n_out;
                at += n;
                size -= n;
        }
        return total;
}
