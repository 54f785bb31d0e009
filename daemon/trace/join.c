/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/join.h"

#include "daemon/base/error.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "proto/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- attributes by key ---- */

typedef struct JoinAttribute {
        ValidateText key;
        PbField field; /* the last one of that key */
} JoinAttribute;

/* In the order in which their keys first stood; `slots` finds them by key. */
typedef struct JoinAttributes {
        JoinAttribute *all;
        size_t n;
        uint32_t *slots; /* index + 1; 0: free */
        size_t n_slots;  /* a power of two over n */
} JoinAttributes;

static ValidateText join_key(const PbField *attribute) {
        PbReader reader = pb_reader(attribute->data, attribute->size);
        ValidateText key = {"", 0};
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == OTLP_KEY_VALUE_KEY)
                        key = (ValidateText){(const char *)field.data, field.size};
        return key;
}

/* The slot that holds the key, or the free one where it would stand. */
static uint32_t *join_probe(const JoinAttributes *attributes, ValidateText key) {
        size_t mask = attributes->n_slots - 1, i = validate_hash(key.data, key.size) & mask;

        for (;; i = (i + 1) & mask) {
                uint32_t *slot = &attributes->slots[i];
                const JoinAttribute *there = *slot ? &attributes->all[*slot - 1] : NULL;

                if (!there || (there->key.size == key.size &&
                               memcmp(there->key.data, key.data, key.size) == 0))
                        return slot;
        }
}

static void join_add(JoinAttributes *attributes, uint32_t *slot, ValidateText key,
                     const PbField *field) {
        attributes->all[attributes->n++] = (JoinAttribute){key, *field};
        *slot = (uint32_t)attributes->n;
}

bool join_keys_repeat(const JoinPiece *pieces, size_t n_pieces) {
        JoinAttribute all[JOIN_KEYS_MAX];
        uint32_t slots[2 * JOIN_KEYS_MAX] = {0};
        JoinAttributes attributes = {.all = all, .slots = slots, .n_slots = 2 * JOIN_KEYS_MAX};

        for (size_t i = 0; i < n_pieces; i++) {
                PbReader reader = pb_reader(pieces[i].data, pieces[i].size);
                PbField field;

                while (pb_next(&reader, &field)) {
                        ValidateText key;
                        uint32_t *slot;

                        if (field.number != OTLP_SPAN_ATTRIBUTES)
                                continue;
                        key = join_key(&field);
                        slot = join_probe(&attributes, key);
                        if (*slot || attributes.n == JOIN_KEYS_MAX)
                                return true;
                        join_add(&attributes, slot, key, &field);
                }
        }
        return false;
}

/* ---- the copy ---- */

size_t join_size(const JoinPiece *pieces, size_t n_pieces) {
        size_t size = 0;

        for (size_t i = 0; i < n_pieces; i++)
                size += pieces[i].size;
        return size;
}

int join_copy(Buffer *out, const JoinPiece *pieces, size_t n_pieces) {
        int r;

        r = buffer_reserve(out, NULL, join_size(pieces, n_pieces));
        for (size_t i = 0; !r && i < n_pieces; i++)
                r = buffer_append(out, pieces[i].data, pieces[i].size);
        return error_trace(r);
}

/* ---- the rebuild ---- */

enum { JOIN_FEW = 64 }; /* attributes: so many need no memory but the stack */

typedef struct JoinStatus {
        uint64_t code;
        PbField message; /* size 0: none */
} JoinStatus;

typedef struct Join {
        Buffer *out;
        JoinReport *report;
        const JoinLimits *limits;
        bool verbatim;       /* nothing in the pieces is unknown or over a limit */
        OtlpMessage message; /* OTLP_SPAN or OTLP_LOG */
        const JoinPiece *pieces;
        size_t n_pieces;

        PbField fields[OTLP_NUMBER_MAX + 1];     /* the last one of each singular field */
        uint32_t seen;                           /* bit n: field n is there */
        uint64_t n_dropped[OTLP_NUMBER_MAX + 1]; /* here, by the field that counts them */
        JoinStatus status;
        JoinAttributes attributes;
        size_t n_limited; /* attributes that the limit is about */
} Join;

/* The count of what was dropped of a repeated field has the next number, in every message. */
static bool join_counts_dropped(OtlpMessage message, uint32_t number) {
        return number && otlp_field(message, number).kind == OTLP_VARINT &&
               otlp_field(message, number - 1).repeated;
}

static uint64_t join_add_dropped(Join *join, uint64_t count, uint64_t n_dropped) {
        join->report->n_dropped += n_dropped;
        count = (uint32_t)count + n_dropped;
        return count > UINT32_MAX ? UINT32_MAX : count;
}

/* ---- writing ---- */

static int join_put(Buffer *out, const PbField *field) {
        size_t size = pb_bytes_size(field->number, PB_VARINT_MAX);
        PbWriter writer;
        uint8_t *room;
        int r;

        if (field->wire == PB_BYTES)
                size = pb_bytes_size(field->number, field->size);
        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        writer = pb_writer(room, size);
        switch (field->wire) {
        case PB_VARINT:
                pb_put_varint(&writer, field->number, field->value);
                break;
        case PB_FIXED64:
                pb_put_fixed64(&writer, field->number, field->value);
                break;
        case PB_FIXED32:
                pb_put_fixed32(&writer, field->number, (uint32_t)field->value);
                break;
        case PB_BYTES:
                pb_put_bytes(&writer, field->number, field->data, field->size);
                break;
        }
        assert(!writer.failed);
        out->size += (size_t)(writer.at - room);
        return 0;
}

static int join_put_varint(Buffer *out, uint32_t number, uint64_t value) {
        return join_put(out, &(PbField){.number = number, .wire = PB_VARINT, .value = value});
}

/* Makes what was appended since `start` a message: its tag and length are put in front. */
static int join_put_prefix(Buffer *out, size_t start, uint32_t number) {
        size_t size = out->size - start, prefix_size = pb_bytes_size(number, size) - size;
        PbWriter writer;
        int r;

        r = buffer_reserve(out, NULL, prefix_size);
        if (r)
                return error_trace(r);
        memmove(out->data + start + prefix_size, out->data + start, size);
        writer = pb_writer(out->data + start, prefix_size);
        pb_put_prefix(&writer, number, size);
        assert(!writer.failed);
        out->size += prefix_size;
        return 0;
}

static int join_write_nested(Join *join, const PbField *field, OtlpMessage message,
                             uint32_t value_length);

/* A field of a nested message: as it is, but without what we do not know and what is too long. */
static int join_write_field(Join *join, const PbField *field, OtlpMessage message,
                            uint32_t value_length) {
        OtlpField known = otlp_field(message, field->number);
        PbField cut = *field;

        if (known.kind == OTLP_UNKNOWN) {
                join->report->n_unknown_fields++;
                return 0;
        }
        if (known.kind == OTLP_MESSAGE)
                return join_write_nested(join, field, known.message, value_length);
        if (message == OTLP_ANY_VALUE && value_length != UINT32_MAX) {
                if (known.kind == OTLP_STRING)
                        cut.size = utf8_prefix(cut.data, cut.size, value_length);
                else if (known.kind == OTLP_BYTES && cut.size > value_length)
                        cut.size = value_length;
        }
        return join_put(join->out, &cut);
}

static int join_write_nested(Join *join, const PbField *field, OtlpMessage message,
                             uint32_t value_length) {
        bool limited = message == OTLP_EVENT || message == OTLP_LINK;
        uint32_t limit = message == OTLP_EVENT ? join->limits->event_attributes
                                               : join->limits->link_attributes;
        PbReader reader = pb_reader(field->data, field->size);
        uint64_t n_attributes = 0, n_dropped = 0, count = 0;
        size_t start = join->out->size;
        uint32_t count_number = 0;
        PbField inner;
        int r;

        if (join->verbatim)
                return error_trace(join_put(join->out, field));
        while (pb_next(&reader, &inner)) {
                if (limited && join_counts_dropped(message, inner.number)) {
                        count_number = inner.number;
                        count = inner.value;
                        continue;
                }
                if (limited && otlp_field(message, inner.number).message == OTLP_KEY_VALUE &&
                    n_attributes++ >= limit) {
                        count_number = inner.number + 1;
                        n_dropped++;
                        continue;
                }
                r = join_write_field(join, &inner, message, value_length);
                if (r)
                        return error_trace(r);
        }
        assert(!reader.failed);
        if (count_number) {
                r = join_put_varint(join->out, count_number,
                                    join_add_dropped(join, count, n_dropped));
                if (r)
                        return error_trace(r);
        }
        return error_trace(join_put_prefix(join->out, start, field->number));
}

/* ---- collecting ---- */

static unsigned join_status_rank(uint64_t code) {
        return code == 1 ? 2 : code == 2 ? 1 : 0; /* Ok, Error, Unset */
}

bool join_status_wins(uint32_t before, uint32_t status) {
        return join_status_rank(before) < 2 && join_status_rank(status) >= join_status_rank(before);
}

static void join_collect_status(Join *join, const PbField *field, bool closes) {
        PbReader reader = pb_reader(field->data, field->size);
        JoinStatus status = {0};
        PbField inner;

        while (pb_next(&reader, &inner))
                if (inner.number == OTLP_STATUS_CODE)
                        status.code = (uint32_t)inner.value;
                else if (inner.number == OTLP_STATUS_MESSAGE)
                        status.message = inner;
                else
                        join->report->n_unknown_fields++;
        if (closes || join_status_wins(join->status.code, status.code))
                join->status = status;
}

static void join_collect_attribute(Join *join, const PbField *field, bool exempt) {
        ValidateText key = join_key(field);
        uint32_t *slot = join_probe(&join->attributes, key);

        if (*slot) {
                join->attributes.all[*slot - 1].field = *field;
        } else if (exempt || join->n_limited < join->limits->attributes) {
                join->n_limited += !exempt;
                join_add(&join->attributes, slot, key, field);
        } else {
                join->n_dropped[field->number + 1]++;
        }
}

static void join_collect(Join *join) {
        for (size_t i = 0; i < join->n_pieces; i++) {
                PbReader reader = pb_reader(join->pieces[i].data, join->pieces[i].size);
                bool exempt = join->pieces[i].exempt || join->pieces[i].closes;
                PbField field;

                while (pb_next(&reader, &field)) {
                        OtlpField known = otlp_field(join->message, field.number);

                        if (known.kind == OTLP_UNKNOWN) {
                                join->report->n_unknown_fields++;
                                continue;
                        }
                        join->seen |= UINT32_C(1) << field.number;
                        if (known.message == OTLP_KEY_VALUE) {
                                join_collect_attribute(join, &field, exempt);
                        } else if (known.message == OTLP_STATUS) {
                                join_collect_status(join, &field, join->pieces[i].closes);
                        } else if (!known.repeated) {
                                join->fields[field.number] = field;
                        }
                }
                assert(!reader.failed);
        }
}

/* ---- the parts of the object ---- */

static int join_write_attributes(Join *join) {
        for (size_t i = 0; i < join->attributes.n; i++) {
                int r = join_write_nested(join, &join->attributes.all[i].field, OTLP_KEY_VALUE,
                                          join->limits->value_length);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

/* Events or links: those that come first. */
static int join_write_repeated(Join *join, uint32_t number, OtlpMessage message, uint32_t limit) {
        uint32_t n = 0;
        int r;

        for (size_t i = 0; i < join->n_pieces; i++) {
                PbReader reader = pb_reader(join->pieces[i].data, join->pieces[i].size);
                PbField field;

                while (pb_next(&reader, &field)) {
                        if (field.number != number)
                                continue;
                        if (n == limit) {
                                join->n_dropped[number + 1]++;
                                continue;
                        }
                        n++;
                        r = join_write_nested(join, &field, message, join->limits->value_length);
                        if (r)
                                return error_trace(r);
                }
        }
        return 0;
}

static int join_write_status(Join *join) {
        size_t start = join->out->size;
        int r = 0;

        if (!join->status.code)
                return 0;
        if (join->status.message.size && join_status_rank(join->status.code) == 1)
                r = join_put(join->out, &join->status.message);
        if (!r)
                r = join_put_varint(join->out, OTLP_STATUS_CODE, join->status.code);
        if (!r)
                r = join_put_prefix(join->out, start, OTLP_SPAN_STATUS);
        return error_trace(r);
}

static int join_write_count(Join *join, uint32_t number) {
        uint64_t count = join->seen & UINT32_C(1) << number ? join->fields[number].value : 0;

        count = join_add_dropped(join, count, join->n_dropped[number]);
        return count ? error_trace(join_put_varint(join->out, number, count)) : 0;
}

/* Writes a field of the object; the counts of what was dropped follow what they count. */
static int join_write(Join *join, uint32_t number) {
        OtlpField known = otlp_field(join->message, number);

        if (join_counts_dropped(join->message, number))
                return join_write_count(join, number);
        if (!(join->seen & UINT32_C(1) << number))
                return 0;
        if (known.message == OTLP_KEY_VALUE)
                return join_write_attributes(join);
        if (known.message == OTLP_EVENT)
                return join_write_repeated(join, number, OTLP_EVENT, join->limits->events);
        if (known.message == OTLP_LINK)
                return join_write_repeated(join, number, OTLP_LINK, join->limits->links);
        if (known.message == OTLP_STATUS)
                return join_write_status(join);
        if (known.kind == OTLP_MESSAGE) /* a log's body, whose length has no limit */
                return join_write_nested(join, &join->fields[number], known.message, UINT32_MAX);
        return join_put(join->out, &join->fields[number]);
}

/* ---- whole objects ---- */

static size_t join_count_attributes(const Join *join) {
        size_t n = 0;

        for (size_t i = 0; i < join->n_pieces; i++) {
                PbReader reader = pb_reader(join->pieces[i].data, join->pieces[i].size);
                PbField field;

                while (pb_next(&reader, &field))
                        n += otlp_field(join->message, field.number).message == OTLP_KEY_VALUE;
        }
        return n;
}

static int join_rebuild_with(Join *join) {
        int r = 0;

        join_collect(join);
        for (uint32_t number = 1; !r && number <= OTLP_NUMBER_MAX; number++)
                r = join_write(join, number);
        return error_trace(r);
}

static int join_rebuild_few(Join *join) {
        JoinAttribute all[JOIN_FEW];
        uint32_t slots[2 * JOIN_FEW] = {0};

        join->attributes = (JoinAttributes){.all = all, .slots = slots, .n_slots = 2 * JOIN_FEW};
        return error_trace(join_rebuild_with(join));
}

static int join_rebuild_many(Join *join, size_t n) {
        JoinAttributes *attributes = &join->attributes;
        int r = 0;

        attributes->n_slots = 2;
        while (attributes->n_slots < 2 * n)
                attributes->n_slots *= 2;
        attributes->all = calloc(n, sizeof *attributes->all);
        attributes->slots = calloc(attributes->n_slots, sizeof *attributes->slots);
        if (!attributes->all || !attributes->slots)
                r = error_origin(-ENOMEM);
        if (!r)
                r = join_rebuild_with(join);
        free(attributes->all);
        free(attributes->slots);
        return error_trace(r);
}

static int join_rebuild(Join *join, const JoinLimits *limits) {
        static const JoinLimits none = {
                .attributes = UINT32_MAX,
                .events = UINT32_MAX,
                .links = UINT32_MAX,
                .value_length = UINT32_MAX,
        };
        size_t n = join_count_attributes(join);

        *join->report = (JoinReport){0};
        join->verbatim = !limits;
        join->limits = limits ? limits : &none;
        return n <= JOIN_FEW ? join_rebuild_few(join) : join_rebuild_many(join, n);
}

int join_rebuild_span(Buffer *out, JoinReport *report, const JoinPiece *pieces, size_t n_pieces,
                      const JoinLimits *limits) {
        Join join = {
                .out = out,
                .report = report,
                .message = OTLP_SPAN,
                .pieces = pieces,
                .n_pieces = n_pieces,
        };

        return join_rebuild(&join, limits);
}

int join_rebuild_log(Buffer *out, JoinReport *report, const JoinPiece *piece,
                     const JoinLimits *limits) {
        JoinLimits of_log = {0};
        Join join = {
                .out = out,
                .report = report,
                .message = OTLP_LOG,
                .pieces = piece,
                .n_pieces = 1,
        };

        if (limits) {
                of_log.attributes = limits->log_attributes;
                of_log.value_length = limits->log_value_length;
        }
        return join_rebuild(&join, limits ? &of_log : NULL);
}
