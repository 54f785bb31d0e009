/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/validate.h"

#include "proto/id.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "proto/utf8.h"

#include <string.h>

enum {
        VALIDATE_OBJECT_DEPTH = 3, /* of a span or log record: request, resource, scope, it */
        VALIDATE_KEYS_MAX = 256,   /* keys of one fragment that are told apart */
};

typedef struct Validator {
        ValidateSummary *summary;
        unsigned depth;       /* of the message that is read */
        unsigned value_depth; /* AnyValues around it, itself included */
        ValidateText key;     /* of the KeyValue read last */
        unsigned n_keys;
        uint32_t hashes[VALIDATE_KEYS_MAX]; /* [n_keys] of the attributes' keys */
} Validator;

const char *validate_error_text(int error) {
        switch (error) {
#define VALIDATE_ERROR_X(symbol, text)                                                             \
        case VALIDATE_E_##symbol:                                                                  \
                return text;
                VALIDATE_ERRORS(VALIDATE_ERROR_X)
#undef VALIDATE_ERROR_X
        default:
                return "unknown error";
        }
}

/* ---- keys ---- */

/* Words of eight bytes, the last one overlapping; short keys as one word of two halves. */
uint64_t validate_hash(const char *key, size_t size) {
        const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
        uint64_t hash = size * factor, word = 0;
        uint32_t half, last_half;

        if (size < sizeof half) {
                for (size_t i = 0; i < size; i++)
                        word = word << 8 | (uint8_t)key[i];
        } else if (size < sizeof word) {
                memcpy(&half, key, sizeof half);
                memcpy(&last_half, key + size - sizeof half, sizeof half);
                word = (uint64_t)half << 32 | last_half;
        } else {
                for (size_t i = 0; i < size - sizeof word; i += sizeof word) {
                        memcpy(&word, key + i, sizeof word);
                        hash = (hash ^ word) * factor;
                        hash ^= hash >> 32;
                }
                memcpy(&word, key + size - sizeof word, sizeof word);
        }
        hash = (hash ^ word) * factor;
        return hash ^ hash >> 32;
}

static bool validate_bloom_test_set(ValidateBloom *bloom, uint64_t hash) {
        uint64_t *bits = &bloom->bits[hash >> 6 & 3], bit = UINT64_C(1) << (hash & 63);
        bool was = *bits & bit;

        *bits |= bit;
        return was;
}

void validate_bloom_add(ValidateBloom *bloom, const char *key, size_t size) {
        validate_bloom_test_set(bloom, validate_hash(key, size));
}

/*
 * Two keys of one hash, and those past the table, count as the same: a span that is rebuilt for
 * nothing is still itself.
 */
static void validate_add_key(Validator *validator, ValidateText key) {
        uint64_t hash = validate_hash(key.data, key.size);
        uint32_t high = (uint32_t)(hash >> 32);

        if (validate_bloom_test_set(&validator->summary->keys, hash))
                for (unsigned i = 0; i < validator->n_keys; i++)
                        if (validator->hashes[i] == high)
                                validator->summary->repeated_key = true;
        if (validator->n_keys < VALIDATE_KEYS_MAX)
                validator->hashes[validator->n_keys++] = high;
        else
                validator->summary->repeated_key = true;
}

/* ---- any message ---- */

/* Why a reader stopped: nothing, or what is wrong with the field where it stands. */
static int validate_stop(const PbReader *reader) {
        const uint8_t *at = reader->at;
        uint64_t tag = 0;

        if (!reader->failed)
                return 0;
        for (unsigned shift = 0; shift < 35 && at < reader->end; shift += 7) {
                tag |= (uint64_t)(*at & 0x7f) << shift;
                if (*at++ & 0x80)
                        continue;
                if (tag >> 3 < 1 || tag >> 3 > PB_FIELD_MAX)
                        return VALIDATE_E_FIELD_NUMBER;
                return (tag & 7) == 3 || (tag & 7) == 4 ? VALIDATE_E_GROUP : VALIDATE_E_ENCODING;
        }
        return VALIDATE_E_ENCODING;
}

static int validate_message(Validator *validator, OtlpMessage message, const uint8_t *data,
                            size_t size);

static int validate_nested(Validator *validator, OtlpMessage message, const PbField *field) {
        unsigned value = message == OTLP_ANY_VALUE;
        int r;

        validator->depth++;
        validator->value_depth += value;
        if (validator->depth > PB_DEPTH_MAX || validator->value_depth > PB_VALUE_DEPTH_MAX)
                return VALIDATE_E_DEPTH;
        r = validate_message(validator, message, field->data, field->size);
        validator->depth--;
        validator->value_depth -= value;
        return r;
}

static int validate_id(const PbField *field, size_t size) {
        return field->size != size || id_is_zero(field->data, size) ? VALIDATE_E_ID : 0;
}

static int validate_field(Validator *validator, OtlpField known, const PbField *field) {
        static const uint8_t wires[_OTLP_KINDS_N] = {
                [OTLP_VARINT] = PB_VARINT, [OTLP_FIXED64] = PB_FIXED64, [OTLP_FIXED32] = PB_FIXED32,
                [OTLP_STRING] = PB_BYTES,  [OTLP_BYTES] = PB_BYTES,     [OTLP_TRACE_ID] = PB_BYTES,
                [OTLP_SPAN_ID] = PB_BYTES, [OTLP_MESSAGE] = PB_BYTES,
        };

        if (known.kind == OTLP_UNKNOWN) {
                validator->summary->unknown = true;
                return 0;
        }
        if (field->wire != wires[known.kind])
                return VALIDATE_E_WIRE_TYPE;
        switch (known.kind) {
        case OTLP_STRING:
                return utf8_is_valid(field->data, field->size) ? 0 : VALIDATE_E_UTF8;
        case OTLP_TRACE_ID:
                return validate_id(field, ID_TRACE_SIZE);
        case OTLP_SPAN_ID:
                return validate_id(field, ID_SPAN_SIZE);
        case OTLP_MESSAGE:
                return validate_nested(validator, known.message, field);
        default:
                return 0;
        }
}

/* Whether these bytes are one varint, of at most nine bytes. */
static bool validate_is_varint(const uint8_t *data, size_t size) {
        size_t i = 0;

        while (i < size && data[i] & 0x80)
                i++;
        return i + 1 == size && size < PB_VARINT_MAX;
}

/* Whether these bytes are all of an AnyValue with one plain member, whose length takes one byte. */
static bool validate_plain_value(Validator *validator, const uint8_t *data, size_t size) {
        switch (data[0]) {
        case OTLP_ANY_VALUE_STRING << 3 | PB_BYTES:
                if (data[1] > 0x7f || data[1] + 2u != size || !utf8_is_ascii(data + 2, data[1]))
                        return false;
                if (data[1] > validator->summary->longest_value_bytes)
                        validator->summary->longest_value_bytes = data[1];
                return true;
        case OTLP_ANY_VALUE_BOOL << 3 | PB_VARINT:
        case OTLP_ANY_VALUE_INT << 3 | PB_VARINT:
                return validate_is_varint(data + 1, size - 1);
        case OTLP_ANY_VALUE_DOUBLE << 3 | PB_FIXED64:
                return size == 1 + sizeof(double);
        default:
                return false;
        }
}

/*
 * Most attributes are a key and a plain value, in ASCII and of short lengths: all that is judged in
 * one go. False: this one is something else, or not valid; it is read field by field.
 */
static bool validate_plain_key_value(Validator *validator, const uint8_t *data, size_t size) {
        const uint8_t *key, *value;
        size_t key_size, value_size;

        if (size < 2 || data[0] != (OTLP_KEY_VALUE_KEY << 3 | PB_BYTES) || data[1] > 0x7f)
                return false;
        key_size = data[1];
        if (size < 2 + key_size + 2 + 2)
                return false;
        key = data + 2;
        value = key + key_size + 2;
        value_size = size - 2 - key_size - 2;
        if (value[-2] != (OTLP_KEY_VALUE_VALUE << 3 | PB_BYTES) || value[-1] > 0x7f ||
            value[-1] != value_size || !utf8_is_ascii(key, key_size) ||
            !validate_plain_value(validator, value, value_size))
                return false;
        validator->key = (ValidateText){(const char *)key, key_size};
        return true;
}

static int validate_any_value(Validator *validator, const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        bool has_member = false;
        PbField field;
        int r;

        while (pb_next(&reader, &field)) {
                OtlpField known = otlp_field(OTLP_ANY_VALUE, field.number);

                r = validate_field(validator, known, &field);
                if (r)
                        return r;
                if (known.kind == OTLP_UNKNOWN)
                        continue;
                if (has_member)
                        return VALIDATE_E_ANY_VALUE;
                has_member = true;
                if ((known.kind == OTLP_STRING || known.kind == OTLP_BYTES) &&
                    field.size > validator->summary->longest_value_bytes)
                        validator->summary->longest_value_bytes = (uint32_t)field.size;
        }
        return validate_stop(&reader);
}

/* A second value would be merged into the first: two members in one AnyValue. */
static int validate_key_value(Validator *validator, const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        ValidateText key = {"", 0};
        bool has_value = false;
        PbField field;
        int r;

        while (pb_next(&reader, &field)) {
                r = validate_field(validator, otlp_field(OTLP_KEY_VALUE, field.number), &field);
                if (r)
                        return r;
                if (field.number == OTLP_KEY_VALUE_KEY) {
                        key = (ValidateText){(const char *)field.data, field.size};
                } else if (field.number == OTLP_KEY_VALUE_VALUE) {
                        if (has_value)
                                return VALIDATE_E_ANY_VALUE;
                        has_value = true;
                }
        }
        validator->key = key;
        return validate_stop(&reader);
}

static void validate_count_most(uint32_t *mostp, unsigned n) {
        if (n > *mostp)
                *mostp = n;
}

static int validate_message(Validator *validator, OtlpMessage message, const uint8_t *data,
                            size_t size) {
        PbReader reader = pb_reader(data, size);
        unsigned n_attributes = 0;
        PbField field;
        int r;

        if (message == OTLP_KEY_VALUE)
                return validate_key_value(validator, data, size);
        if (message == OTLP_ANY_VALUE)
                return validate_any_value(validator, data, size);
        while (pb_next(&reader, &field)) {
                OtlpField known = otlp_field(message, field.number);

                r = validate_field(validator, known, &field);
                if (r)
                        return r;
                n_attributes += known.message == OTLP_KEY_VALUE;
        }
        if (message == OTLP_EVENT || message == OTLP_LINK)
                validate_count_most(message == OTLP_EVENT
                                            ? &validator->summary->most_event_attributes
                                            : &validator->summary->most_link_attributes,
                                    n_attributes);
        return validate_stop(&reader);
}

/* ---- what is indexed ---- */

static ValidateText validate_text(const PbField *field) {
        return (ValidateText){(const char *)field->data, field->size};
}

static bool validate_text_is(ValidateText text, const char *string) {
        return text.size == strlen(string) && memcmp(text.data, string, text.size) == 0;
}

/* The last field `number` of a message that is known to be valid; false where there is none. */
static bool validate_find(PbField *fieldp, const PbField *message, uint32_t number) {
        PbReader reader = pb_reader(message->data, message->size);
        bool found = false;
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == number) {
                        *fieldp = field;
                        found = true;
                }
        return found;
}

static void validate_index_exception(ValidateSummary *summary, const PbField *event) {
        PbReader reader = pb_reader(event->data, event->size);
        PbField attribute, key, value, string;

        while (pb_next(&reader, &attribute)) {
                if (attribute.number != OTLP_EVENT_ATTRIBUTES ||
                    !validate_find(&key, &attribute, OTLP_KEY_VALUE_KEY) ||
                    !validate_find(&value, &attribute, OTLP_KEY_VALUE_VALUE) ||
                    !validate_find(&string, &value, OTLP_ANY_VALUE_STRING))
                        continue;
                if (validate_text_is(validate_text(&key), "exception.type"))
                        summary->exception_type = validate_text(&string);
                else if (validate_text_is(validate_text(&key), "exception.message"))
                        summary->exception_message = validate_text(&string);
        }
}

static void validate_index_event(ValidateSummary *summary, const PbField *event) {
        PbField name;

        summary->n_events++;
        if (validate_find(&name, event, OTLP_EVENT_NAME) &&
            validate_text_is(validate_text(&name), "exception")) {
                summary->exception_type = summary->exception_message = (ValidateText){0};
                validate_index_exception(summary, event);
        }
}

static void validate_index_status(ValidateSummary *summary, const PbField *status) {
        PbReader reader = pb_reader(status->data, status->size);
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == OTLP_STATUS_CODE)
                        summary->status_code = (uint32_t)field.value;
                else if (field.number == OTLP_STATUS_MESSAGE)
                        summary->status_message = validate_text(&field);
}

static void validate_index_attribute(Validator *validator) {
        validator->summary->n_attributes++;
        validate_add_key(validator, validator->key);
}

static void validate_index_span(Validator *validator, const PbField *field) {
        ValidateSummary *summary = validator->summary;

        switch (field->number) {
        case OTLP_SPAN_TRACE_ID:
                summary->trace_id = field->data;
                break;
        case OTLP_SPAN_SPAN_ID:
                summary->span_id = field->data;
                break;
        case OTLP_SPAN_PARENT_SPAN_ID:
                summary->parent_span_id = field->data;
                break;
        case OTLP_SPAN_NAME:
                summary->name = validate_text(field);
                break;
        case OTLP_SPAN_KIND:
                summary->kind = (uint32_t)field->value;
                break;
        case OTLP_SPAN_START_TIME:
                summary->start_unix_ns = field->value;
                break;
        case OTLP_SPAN_END_TIME:
                summary->end_unix_ns = field->value;
                break;
        case OTLP_SPAN_ATTRIBUTES:
                validate_index_attribute(validator);
                break;
        case OTLP_SPAN_EVENTS:
                validate_index_event(summary, field);
                break;
        case OTLP_SPAN_LINKS:
                summary->n_links++;
                break;
        case OTLP_SPAN_STATUS:
                validate_index_status(summary, field);
                break;
        }
}

static void validate_index_log(Validator *validator, const PbField *field) {
        ValidateSummary *summary = validator->summary;

        switch (field->number) {
        case OTLP_LOG_TIME:
                summary->start_unix_ns = field->value;
                break;
        case OTLP_LOG_SEVERITY:
                summary->severity = (uint32_t)field->value;
                break;
        case OTLP_LOG_ATTRIBUTES:
                validate_index_attribute(validator);
                break;
        case OTLP_LOG_TRACE_ID:
                summary->trace_id = field->data;
                break;
        case OTLP_LOG_SPAN_ID:
                summary->span_id = field->data;
                break;
        case OTLP_LOG_OBSERVED_TIME:
                summary->end_unix_ns = field->value;
                break;
        case OTLP_LOG_EVENT_NAME:
                summary->name = validate_text(field);
                break;
        }
}

/* ---- whole fragments ---- */

/* Passes over those that are plain, as long as one comes after the other. */
static void validate_plain_attributes(Validator *validator, OtlpMessage message, PbReader *reader) {
        uint32_t number = message == OTLP_SPAN ? OTLP_SPAN_ATTRIBUTES : OTLP_LOG_ATTRIBUTES;
        const uint8_t *at = reader->at;

        while (reader->end - at >= 2 && at[0] == (number << 3 | PB_BYTES) && at[1] <= 0x7f &&
               at[1] <= reader->end - at - 2 &&
               validate_plain_key_value(validator, at + 2, at[1])) {
                validate_index_attribute(validator);
                at += 2 + at[1];
        }
        reader->at = at;
}

static int validate_object(Validator *validator, OtlpMessage message, const uint8_t *data,
                           size_t size) {
        ValidateSummary *summary = validator->summary;
        PbReader reader = pb_reader(data, size);
        PbField field;
        int r;

        for (;;) {
                OtlpField known;

                validate_plain_attributes(validator, message, &reader);
                if (!pb_next(&reader, &field))
                        return validate_stop(&reader);
                known = otlp_field(message, field.number);
                r = validate_field(validator, known, &field);
                if (r)
                        return r;
                if (known.kind == OTLP_UNKNOWN)
                        continue;
                if (!known.repeated) {
                        uint32_t bit = UINT32_C(1) << field.number;

                        summary->repeated_field |= (summary->seen & bit) != 0;
                        summary->seen |= bit;
                }
                if (message == OTLP_SPAN)
                        validate_index_span(validator, &field);
                else
                        validate_index_log(validator, &field);
        }
}

/* `validator` is not zeroed as a whole: its table of hashes would cost more than all the rest. */
static void validate_init(Validator *validator, ValidateSummary *summary, unsigned depth) {
        *summary = (ValidateSummary){0};
        validator->summary = summary;
        validator->depth = depth;
        validator->value_depth = 0;
        validator->n_keys = 0;
}

int validate_span(ValidateSummary *summary, const uint8_t *data, size_t size, bool start,
                  const uint8_t *span_id) {
        Validator validator;
        int r;

        validate_init(&validator, summary, VALIDATE_OBJECT_DEPTH);
        r = validate_object(&validator, OTLP_SPAN, data, size);
        if (r)
                return r;
        if (!start)
                return summary->trace_id || summary->span_id || summary->parent_span_id
                               ? VALIDATE_E_ID
                               : 0;
        if (!summary->trace_id || !summary->span_id ||
            memcmp(summary->span_id, span_id, ID_SPAN_SIZE) != 0)
                return VALIDATE_E_ID;
        return 0;
}

int validate_log(ValidateSummary *summary, const uint8_t *data, size_t size) {
        Validator validator;
        int r;

        validate_init(&validator, summary, VALIDATE_OBJECT_DEPTH);
        r = validate_object(&validator, OTLP_LOG, data, size);
        if (r)
                return r;
        return summary->span_id && !summary->trace_id ? VALIDATE_E_ID : 0;
}

int validate_scope(const uint8_t *data, size_t size) {
        ValidateSummary summary;
        Validator validator;

        validate_init(&validator, &summary, VALIDATE_OBJECT_DEPTH);
        return validate_message(&validator, OTLP_SCOPE, data, size);
}

int validate_resource(const uint8_t *data, size_t size) {
        ValidateSummary summary;
        Validator validator;

        validate_init(&validator, &summary, VALIDATE_OBJECT_DEPTH - 1);
        return validate_message(&validator, OTLP_RESOURCE, data, size);
}
