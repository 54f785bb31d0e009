/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-value.h"

#include "lib/client-count.h"
#include "proto/record.h"
#include "proto/utf8.h"

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
};

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
        size_t bytes = text_bytes(text, size);

        if (utf8_is_valid(text, size)) {
                pb_put_bytes(writer, number, text, size);
                return;
        }
        pb_put_prefix(writer, number, bytes);
        if (bytes > (size_t)(writer->end - writer->at))
                writer->failed = true;
        if (!writer->failed)
                writer->at += utf8_replace((char *)writer->at, text, size);
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

void catena__attribute_write(PbWriter *writer, uint32_t number, const catena_attribute *attribute) {
        if (!attribute_is_valid(attribute))
                return;
        pb_put_prefix(writer, number, pair_size(attribute));
        pair_write(writer, attribute);
}

size_t catena__attributes_size(uint32_t number, const catena_attribute *attributes, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += catena__attribute_size(number, &attributes[i]);
        return size;
}

void catena__attributes_write(PbWriter *writer, uint32_t number, const catena_attribute *attributes,
                              size_t n) {
        for (size_t i = 0; i < n; i++) {
                if (!attribute_is_valid(&attributes[i]))
                        catena__misuse(MISUSE_ATTRIBUTE);
                catena__attribute_write(writer, number, &attributes[i]);
        }
}
