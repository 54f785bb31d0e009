/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/text.h"

#include <string.h>

/* ---- characters ---- */

typedef struct TextRange {
        uint32_t first, last;
} TextRange;

static const TextRange text_escaped[] = {
        {0x0, 0x1f},      {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f},   {0x2028, 0x202e},
        {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
};

static const TextRange text_combining[] = {
        {0x300, 0x36f},
        {0x200b, 0x200d},
        {0x20d0, 0x20ff},
        {0xfe00, 0xfe0f},
};

static const TextRange text_wide[] = {
        {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
        {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

#define TEXT_IN(character, ranges) text_in(character, ranges, sizeof(ranges) / sizeof *(ranges))

static bool text_in(uint32_t character, const TextRange *ranges, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (character >= ranges[i].first && character <= ranges[i].last)
                        return true;
        return false;
}

/* The bytes of the well-formed character at `text`, which ends with NUL; 0: it is none. */
static size_t text_decode(uint32_t *characterp, const char *text) {
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        uint8_t first = (uint8_t)*text;
        size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
        uint32_t character = size == 1 ? first : first & (0xffu >> (size + 1));

        if (size == 4 && first >> 3 != 30)
                return 0;
        for (size_t i = 1; i < size; i++) {
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
                character = character << 6 | (text[i] & 0x3f);
        }
        if (character < smallest[size] || character > 0x10ffff || character >> 11 == 0x1b)
                return 0;
        *characterp = character;
        return size;
}

enum { TEXT_SHOWN_MAX = 16 };

/* Writes how the character at `text` is shown, and returns the bytes that it has there. */
static size_t text_show(char shown[TEXT_SHOWN_MAX], size_t *widthp, const char *text) {
        uint32_t character;
        size_t size = text_decode(&character, text);

        if (!size || TEXT_IN(character, text_escaped)) {
                if (!size || character < 0x80)
                        snprintf(shown, TEXT_SHOWN_MAX, "\\x%02x", (uint8_t)*text);
                else
                        snprintf(shown, TEXT_SHOWN_MAX, "\\u%04x", character);
                *widthp = strlen(shown);
                return size ? size : 1;
        }
        memcpy(shown, text, size);
        shown[size] = '\0';
        *widthp = TEXT_IN(character, text_combining) ? 0 : TEXT_IN(character, text_wide) ? 2 : 1;
        return size;
}

static size_t text_fit(FILE *out, const char *text, size_t columns, bool *cutp) {
        char shown[TEXT_SHOWN_MAX];
        size_t width, used = 0;

        *cutp = false;
        while (*text) {
                size_t size = text_show(shown, &width, text);

                if (width > columns - used) {
                        *cutp = true;
                        break;
                }
                if (out)
                        fputs(shown, out);
                used += width;
                text += size;
        }
        return used;
}

size_t text_print(FILE *out, const char *text, size_t columns) {
        size_t width;
        bool cut;

        width = text_fit(NULL, text, columns, &cut);
        if (!cut) {
                if (out)
                        text_fit(out, text, columns, &cut);
                return width;
        }
        if (!columns)
                return 0;
        width = text_fit(out, text, columns - 1, &cut);
        if (out)
                fputs("…", out);
        return width + 1;
}

void text_print_json(FILE *out, const char *text) {
        uint32_t character;
        size_t size;

        putc('"', out);
        for (; *text; text += size ? size : 1) {
                size = text_decode(&character, text);
                if (!size) {
                        fputs("\xef\xbf\xbd", out);
                } else if (character < 0x20) {
                        fprintf(out, "\\u%04x", character);
                } else {
                        if (character == '"' || character == '\\')
                                putc('\\', out);
                        fwrite(text, 1, size, out);
                }
        }
        putc('"', out);
}

/* ---- durations ---- */

void text_duration(char text[TEXT_DURATION_MAX], uint64_t ns) {
        static const struct {
                uint64_t below_ns;
                double unit_ns;
                int digits;
                const char *name;
        } units[] = {
                {1000, 1, 0, "ns"},         {999500, 1e3, 0, "µs"},    {9995000, 1e6, 2, "ms"},
                {99950000, 1e6, 1, "ms"},   {999500000, 1e6, 0, "ms"}, {9995000000, 1e9, 2, "s"},
                {59950000000, 1e9, 1, "s"},
        };
        uint64_t seconds = ns / 1000000000 + (ns % 1000000000 >= 500000000);

        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
                if (ns < units[i].below_ns) {
                        snprintf(text, TEXT_DURATION_MAX, "%.*f %s", units[i].digits,
                                 (double)ns / units[i].unit_ns, units[i].name);
                        return;
                }
        if (seconds < 3600)
                snprintf(text, TEXT_DURATION_MAX, "%u min %u s", (unsigned)(seconds / 60),
                         (unsigned)(seconds % 60));
        else if (seconds < 86400)
                snprintf(text, TEXT_DURATION_MAX, "%u h %u min", (unsigned)(seconds / 3600),
                         (unsigned)(seconds / 60 % 60));
        else
                snprintf(text, TEXT_DURATION_MAX, "%llu d %u h",
                         (unsigned long long)(seconds / 86400), (unsigned)(seconds / 3600 % 24));
}

/* ---- the nearest word ---- */

enum { TEXT_WORD_MAX = 32 };

/* How many letters were left out, added, changed or swapped with their neighbour. */
static size_t text_distance(const char *a, const char *b) {
        size_t cost[TEXT_WORD_MAX + 1][TEXT_WORD_MAX + 1];
        size_t n_a = strlen(a), n_b = strlen(b);

        if (n_a > TEXT_WORD_MAX || n_b > TEXT_WORD_MAX)
                return SIZE_MAX;
        for (size_t i = 0; i <= n_a; i++)
                for (size_t j = 0; j <= n_b; j++) {
                        size_t least = i + j;

                        if (i && j) {
                                least = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                                if (cost[i - 1][j] + 1 < least)
                                        least = cost[i - 1][j] + 1;
                                if (cost[i][j - 1] + 1 < least)
                                        least = cost[i][j - 1] + 1;
                        }
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            cost[i - 2][j - 2] + 1 < least)
                                least = cost[i - 2][j - 2] + 1;
                        cost[i][j] = least;
                }
        return cost[n_a][n_b];
}

const char *text_nearest(const char *word, const char *const *words) {
        const char *nearest = NULL;
        size_t least = strlen(word) / 3 + 2; /* a third of the letters, and one, may be wrong */

        for (; *words; words++) {
                size_t n = strlen(word), distance = text_distance(word, *words);

                if (n > 1 && !strncmp(word, *words, n))
                        return *words;
                if (distance < least && distance < strlen(*words)) {
                        least = distance;
                        nearest = *words;
                }
        }
        return nearest;
}
