/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-text.h"

#include "proto/utf8.h"

#include <stdlib.h>
#include <string.h>

char *catena__text_copy(const char *text, size_t max) {
        size_t n, size = strlen(text);
        bool fits = size <= max && utf8_is_valid(text, size);
        char *copy;

        if (size > max)
                size = max + 4; /* what is cut off cannot matter beyond a character */
        copy = malloc((fits ? size : utf8_replace(NULL, text, size)) + 1);
        if (!copy)
                return NULL;
        if (fits) {
                memcpy(copy, text, size);
                n = size;
        } else {
                n = utf8_truncate(copy, utf8_replace(copy, text, size), max);
        }
        copy[n] = 0;
        return copy;
}
