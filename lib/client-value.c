/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-value.h"

#include "lib/client-count.h"
#include "proto/record.h"
#include "proto/utf8.h"

#include <endian.h>
#include <string.h>

enum {
        KEY_VALUE_KEY = 1,
        KEY_VALUE_VALUE = 2,
        ANY_STRING = 1,
        ANY_BOOL = 2,
        ANY_INT = 3,
        ANY_DOUBLE = 4,
        ANY_ARRAY = 5,
        ANY_MAP = 6,
        ANY_BYTES = 7,
        LIST_VALUES = 1, /* of ArrayValue and KeyValueList */

        VALUE_SHORT = 0x80,        /* from here on a length takes two bytes */
        VALUE_AROUND = 2 + 2 + 11, /* bytes around key and text, or around the key an integer */
};

#define TEXT_HIGH_BITS UINT64_C(0x8080808080808080)

/* ---- text ---- */

/* Copies text; whether all of it is ASCII. By words, the last of which overlaps. */
static inline bool text_copy(uint8_t *into, const char *text, size_t size) {
        uint64_t word, seen = 0;
        uint32_t half;

        if (size >= sizeof word) {
                for (size_t i = 0; i < size - sizeof word; i += sizeof word) {
                        memcpy(&word, text + i, sizeof word);
                        memcpy(into + i, &word, sizeof word);
                        seen |= word;
                }
                memcpy(&word, text + size - sizeof word, sizeof word);
                memcpy(into + size - sizeof word, &word, sizeof word);
                return !((seen | word) & TEXT_HIGH_BITS);
        }
        if (size >= sizeof half) {
                memcpy(&half, text, sizeof half);
                memcpy(into, &half, sizeof half);
                seen = half;
                memcpy(&half, text + size - sizeof half, sizeof half);
                memcpy(into + size - sizeof half, &half, sizeof half);
                return !((seen | half) & TEXT_HIGH_BITS);
        }
        for (size_t i = 0; i < size; i++) {
                into[i] = (uint8_t)text[i];
                seen |= into[i];
        }
        return seen < 0x80;
}

/* What text takes as UTF-8; what no record can hold is not even read. */
static size_t text_bytes(const char *text, size_t size) {
        if (size > RECORD_SIZE_MAX || utf8_is_valid(text, size))
                return size;
        return utf8_replace(NULL, text, size);
}

size_t catena__text_size(uint32_t number, const char *text, size_t size) {
        return pb_bytes_size(number, text_bytes(text, size));
}

void catena__text_write(PbWriter *writer, uint32_t number, const char *text, size_t size) {
        size_t bytes;

        if (size > (size_t)(writer->end - writer->at))
                writer->failed = true; /* it is not even read */
        if (writer->failed)
                return;
        if (utf8_is_valid(text, size)) {
                pb_put_bytes(writer, number, text, size);
                return;
        }
        bytes = utf8_replace(NULL, text, size);
        pb_put_prefix(writer, number, bytes);
        if (bytes > (size_t)(writer->end - writer->at))
                writer->failed = true;
        if (!writer->failed)
                writer->at += utf8_replace((char *)writer->at, text, size);
}

uint8_t *catena__text_write_short(uint8_t *at, const uint8_t *end, uint32_t number,
                                  const char *text) {
        size_t size = strlen(text);

        if (size >= VALUE_SHORT || (size_t)(end - at) < 2 + size || !text_copy(at + 2, text, size))
                return NULL;
        at[0] = (uint8_t)(number << 3 | PB_BYTES);
        at[1] = (uint8_t)size;
        return at + 2 + size;
}

/* ---- values ---- */

/* How deep an AnyValue lies. */
typedef struct ValueDepth {
        unsigned values;   /* with those around it */
        unsigned messages; /* counted from the request */
} ValueDepth;

static bool value_is_valid(const catena_attribute *attribute, ValueDepth depth);

static size_t key_bytes(const catena_attribute *attribute) {
        if (!attribute->key)
                return 0;
        return attribute->key_size ? attribute->key_size : strlen(attribute->key);
}

static bool list_is_valid(const catena_attribute *attribute, ValueDepth depth) {
        bool map = attribute->type == CATENA_TYPE_MAP;

        if (!attribute->value.list && attribute->size)
                return false;
        depth.values++;
        depth.messages += map ? 3 : 2; /* the list, in a map the pair, and the value */
        for (size_t i = 0; i < attribute->size; i++) {
                const catena_attribute *element = &attribute->value.list[i];

                if ((map && !key_bytes(element)) || !value_is_valid(element, depth))
                        return false;
        }
        return true;
}

static bool value_is_valid(const catena_attribute *attribute, ValueDepth depth) {
        if (depth.values > PB_VALUE_DEPTH_MAX || depth.messages > PB_DEPTH_MAX)
                return false;
        switch (attribute->type) {
        case CATENA_TYPE_STRING:
                return attribute->value.string;
        case CATENA_TYPE_STRING_N:
        case CATENA_TYPE_BYTES:
                return attribute->value.bytes || !attribute->size;
        case CATENA_TYPE_INT:
        case CATENA_TYPE_DOUBLE:
        case CATENA_TYPE_BOOL:
                return true;
        case CATENA_TYPE_ARRAY:
        case CATENA_TYPE_MAP:
                return depth.messages < PB_DEPTH_MAX && list_is_valid(attribute, depth);
        default:
                return false;
        }
}

static bool attribute_is_valid(const catena_attribute *attribute) {
        /* The deepest place: request, resource, scope, span, event, attribute, value. */
        return key_bytes(attribute) &&
               value_is_valid(attribute, (ValueDepth){.values = 1, .messages = 6});
}

/* The body of the AnyValue. */
static size_t value_size(const catena_attribute *attribute);
static void value_write(PbWriter *writer, const catena_attribute *attribute);

/* The body of the KeyValue. */
static size_t pair_size(const catena_attribute *attribute) {
        return catena__text_size(KEY_VALUE_KEY, attribute->key, key_bytes(attribute)) +
               pb_bytes_size(KEY_VALUE_VALUE, value_size(attribute));
}

static void pair_write(PbWriter *writer, const catena_attribute *attribute) {
        catena__text_write(writer, KEY_VALUE_KEY, attribute->key, key_bytes(attribute));
        pb_put_prefix(writer, KEY_VALUE_VALUE, value_size(attribute));
        value_write(writer, attribute);
}

/* The body of the ArrayValue or KeyValueList. */
static size_t list_size(const catena_attribute *attribute) {
        bool map = attribute->type == CATENA_TYPE_MAP;
        size_t size = 0;

        for (size_t i = 0; i < attribute->size; i++) {
                const catena_attribute *element = &attribute->value.list[i];

                size += pb_bytes_size(LIST_VALUES, map ? pair_size(element) : value_size(element));
        }
        return size;
}

static void list_write(PbWriter *writer, const catena_attribute *attribute) {
        bool map = attribute->type == CATENA_TYPE_MAP;

        for (size_t i = 0; i < attribute->size; i++) {
                const catena_attribute *element = &attribute->value.list[i];

                pb_put_prefix(writer, LIST_VALUES, map ? pair_size(element) : value_size(element));
                if (map)
                        pair_write(writer, element);
                else
                        value_write(writer, element);
        }
}

static size_t value_size(const catena_attribute *attribute) {
        switch (attribute->type) {
        case CATENA_TYPE_INT:
                return 1 + pb_varint_size((uint64_t)attribute->value.integer);
        case CATENA_TYPE_DOUBLE:
                return 1 + sizeof(double);
        case CATENA_TYPE_BOOL:
                return 2;
        case CATENA_TYPE_STRING:
                return catena__text_size(ANY_STRING, attribute->value.string,
                                         strlen(attribute->value.string));
        case CATENA_TYPE_STRING_N:
                return catena__text_size(ANY_STRING, attribute->value.string, attribute->size);
        case CATENA_TYPE_BYTES:
                return pb_bytes_size(ANY_BYTES, attribute->size);
        default:
                return pb_bytes_size(ANY_ARRAY, list_size(attribute));
        }
}

static void value_write(PbWriter *writer, const catena_attribute *attribute) {
        switch (attribute->type) {
        case CATENA_TYPE_INT:
                pb_put_varint(writer, ANY_INT, (uint64_t)attribute->value.integer);
                return;
        case CATENA_TYPE_DOUBLE:
                pb_put_double(writer, ANY_DOUBLE, attribute->value.real);
                return;
        case CATENA_TYPE_BOOL:
                pb_put_varint(writer, ANY_BOOL, attribute->value.boolean);
                return;
        case CATENA_TYPE_STRING:
                catena__text_write(writer, ANY_STRING, attribute->value.string,
                                   strlen(attribute->value.string));
                return;
        case CATENA_TYPE_STRING_N:
                catena__text_write(writer, ANY_STRING, attribute->value.string, attribute->size);
                return;
        case CATENA_TYPE_BYTES:
                pb_put_bytes(writer, ANY_BYTES, attribute->value.bytes, attribute->size);
                return;
        default:
                pb_put_prefix(writer, attribute->type == CATENA_TYPE_MAP ? ANY_MAP : ANY_ARRAY,
                              list_size(attribute));
                list_write(writer, attribute);
        }
}

/* ---- attributes ---- */

size_t catena__attribute_size(uint32_t number, const catena_attribute *attribute) {
        if (!attribute_is_valid(attribute))
                return 0;
        return pb_bytes_size(number, pair_size(attribute));
}

bool catena__attribute_write(PbWriter *writer, uint32_t number, const catena_attribute *attribute) {
        if (!attribute_is_valid(attribute))
                return false;
        pb_put_prefix(writer, number, pair_size(attribute));
        pair_write(writer, attribute);
        return true;
}

/* Whether the value may be short and plain; the bytes of text in it. */
static bool value_is_short(size_t *textp, const catena_attribute *attribute) {
        *textp = 0;
        switch (attribute->type) {
        case CATENA_TYPE_STRING:
                if (attribute->value.string)
                        *textp = strlen(attribute->value.string);
                return attribute->value.string;
        case CATENA_TYPE_STRING_N:
                *textp = attribute->size;
                return attribute->value.string;
        case CATENA_TYPE_INT:
        case CATENA_TYPE_DOUBLE:
        case CATENA_TYPE_BOOL:
                return true;
        default:
                return false;
        }
}

/* The AnyValue of such a value; NULL: it is not plain text. */
static uint8_t *value_write_short(uint8_t *at, const catena_attribute *attribute, size_t text) {
        uint64_t integer;

        switch (attribute->type) {
        case CATENA_TYPE_INT:
                integer = (uint64_t)attribute->value.integer;
                *at++ = ANY_INT << 3 | PB_VARINT;
                for (; integer >= 0x80; integer >>= 7)
                        *at++ = (uint8_t)(integer | 0x80);
                *at++ = (uint8_t)integer;
                return at;
        case CATENA_TYPE_DOUBLE:
                memcpy(&integer, &attribute->value.real, sizeof integer);
                integer = htole64(integer);
                *at++ = ANY_DOUBLE << 3 | PB_FIXED64;
                memcpy(at, &integer, sizeof integer);
                return at + sizeof integer;
        case CATENA_TYPE_BOOL:
                *at++ = ANY_BOOL << 3 | PB_VARINT;
                *at++ = attribute->value.boolean;
                return at;
        default:
                at[0] = ANY_STRING << 3 | PB_BYTES;
                at[1] = (uint8_t)text;
                return text_copy(at + 2, attribute->value.string, text) ? at + 2 + text : NULL;
        }
}

/* Its tag, its length, then key and value with theirs, all lengths of one byte. */
static uint8_t *attribute_write_short(uint8_t *at, uint32_t number,
                                      const catena_attribute *attribute, size_t key_size,
                                      size_t text) {
        uint8_t *start = at, *value;

        at[0] = (uint8_t)(number << 3 | PB_BYTES);
        at[2] = KEY_VALUE_KEY << 3 | PB_BYTES;
        at[3] = (uint8_t)key_size;
        if (!text_copy(at + 4, attribute->key, key_size))
                return NULL;
        value = at + 4 + key_size;
        value[0] = KEY_VALUE_VALUE << 3 | PB_BYTES;
        at = value_write_short(value + 2, attribute, text);
        if (!at)
                return NULL;
        value[1] = (uint8_t)(at - value - 2);
        start[1] = (uint8_t)(at - start - 2);
        return at;
}

uint8_t *catena__attribute_write_short(uint8_t *at, const uint8_t *end, uint32_t number,
                                       const catena_attribute *attribute) {
        size_t text, key_size = key_bytes(attribute);

        if (!key_size || !value_is_short(&text, attribute) || text >= VALUE_SHORT ||
            key_size + text + VALUE_AROUND >= VALUE_SHORT || end - at < 2 + VALUE_SHORT)
                return NULL;
        return attribute_write_short(at, number, attribute, key_size, text);
}

size_t catena__attributes_size(uint32_t number, const catena_attribute *attributes, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += catena__attribute_size(number, &attributes[i]);
        return size;
}

unsigned catena__attributes_write(PbWriter *writer, uint32_t number,
                                  const catena_attribute *attributes, size_t n) {
        unsigned n_bad = 0;

        for (size_t i = 0; i < n; i++)
                n_bad += !catena__attribute_write(writer, number, &attributes[i]);
        return n_bad;
}
