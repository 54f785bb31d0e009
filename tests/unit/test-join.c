/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/join.h"
#include "proto/id.h"
#include "proto/pb.h"
#include "tests/unit/fragment.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include "otlp/logs.pb-c.h"
#include "otlp/trace.pb-c.h"

typedef Opentelemetry__Proto__Trace__V1__Span PbSpan;
typedef Opentelemetry__Proto__Logs__V1__LogRecord PbLog;
typedef Opentelemetry__Proto__Common__V1__KeyValue PbKeyValue;

static const uint8_t trace_id[16] = {0x4b, 0xf9, 15};
static const uint8_t span_id[8] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
static const JoinLimits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX,
                                     UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

static unsigned random_below(unsigned n) {
        static unsigned state = 1;

        state = state * 1664525 + 1013904223;
        return (state >> 8) % n;
}

static JoinPiece fragment_piece(const Fragment *fragment) {
        ck_assert(!fragment->writer.failed);
        return (JoinPiece){fragment->data, (size_t)(fragment->writer.at - fragment->data), false};
}

/* ---- comparing ---- */

static PbSpan *decode(const Buffer *buffer) {
        PbSpan *span =
                opentelemetry__proto__trace__v1__span__unpack(NULL, buffer->size, buffer->data);

        ck_assert(span != NULL);
        return span;
}

static int compare_messages(const void *a, const void *b) {
        const ProtobufCMessage *one = *(ProtobufCMessage *const *)a,
                               *other = *(ProtobufCMessage *const *)b;
        uint8_t one_data[4096], other_data[4096];
        size_t one_size = protobuf_c_message_pack(one, one_data);
        size_t other_size = protobuf_c_message_pack(other, other_data);

        if (one_size != other_size)
                return one_size < other_size ? -1 : 1;
        return memcmp(one_data, other_data, one_size);
}

/* The span as one message of which nothing depends on the order of attributes, events, links. */
static Buffer canonical(const Buffer *buffer, bool sort) {
        PbSpan *span = decode(buffer);
        Buffer packed = BUFFER_NULL;
        uint8_t *room;

        if (sort) {
                qsort(span->attributes, span->n_attributes, sizeof(void *), compare_messages);
                qsort(span->events, span->n_events, sizeof(void *), compare_messages);
                qsort(span->links, span->n_links, sizeof(void *), compare_messages);
        }
        buffer_reserve(&packed, &room,
                       opentelemetry__proto__trace__v1__span__get_packed_size(span));
        packed.size = opentelemetry__proto__trace__v1__span__pack(span, room);
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        return packed;
}

static void assert_same(const Buffer *one, const Buffer *other, bool sort) {
        Buffer a = canonical(one, sort), b = canonical(other, sort);

        ck_assert_uint_eq(a.size, b.size);
        ck_assert_mem_eq(a.data, b.data, a.size);
        buffer_deinit(&a);
        buffer_deinit(&b);
}

static Buffer rebuild(JoinReport *report, const JoinPiece *pieces, size_t n,
                      const JoinLimits *limits) {
        ValidateSummary summary;
        Buffer out = BUFFER_NULL;
        int r;

        ck_assert_int_eq(join_rebuild_span(&out, report, pieces, n, limits), 0);
        r = validate_span(&summary, out.data, out.size, false, span_id);
        ck_assert(r == 0 || r == VALIDATE_E_ID);
        ck_assert(!summary.repeated_field && !summary.unknown);
        ck_assert(!summary.repeated_key || summary.n_attributes > JOIN_KEYS_MAX);
        return out;
}

/* ---- properties ---- */

/* One of the fields of a span that has them all; `n` fields in all. */
static void put_field(PbWriter *writer, unsigned i) {
        char text[16];

        snprintf(text, sizeof text, "t%u", i);
        switch (i) {
        case 0:
                put_text(writer, 3, "a=1");
                break;
        case 1:
                put_text(writer, 5, "GET /cart");
                break;
        case 2:
                pb_put_varint(writer, 6, 3);
                break;
        case 3:
                pb_put_fixed64(writer, 7, 100);
                break;
        case 4:
                pb_put_fixed64(writer, 8, 200);
                break;
        case 5:
                pb_put_varint(writer, 10, 1);
                break;
        case 6:
                pb_put_varint(writer, 12, 2);
                break;
        case 7:
                pb_put_varint(writer, 14, 3);
                break;
        case 8:
                put_status(writer, 2, "timeout");
                break;
        case 9:
                pb_put_fixed32(writer, 16, 0x101);
                break;
        default:
                if (i % 3 == 0)
                        put_event(writer, text, i % 5);
                else if (i % 3 == 1)
                        put_text(writer, 13, "\x1a\x03x=1");
                else
                        put_attribute(writer, 9, text, "value");
        }
}

/* Deals the fields at random over fragments, in random order, the first one with the ids. */
static size_t deal(Fragment *fragments, JoinPiece *pieces, size_t n_max) {
        size_t n = 1 + random_below((unsigned)n_max);
        unsigned order[40];

        for (unsigned i = 0; i < 40; i++) {
                unsigned j = random_below(i + 1);

                order[i] = order[j];
                order[j] = i;
        }
        for (size_t i = 0; i < n; i++)
                fragment_begin(&fragments[i]);
        pb_put_bytes(&fragments[0].writer, 1, trace_id, 16);
        pb_put_bytes(&fragments[0].writer, 2, span_id, 8);
        for (unsigned i = 0; i < 40; i++)
                put_field(&fragments[random_below((unsigned)n)].writer, order[i]);
        for (size_t i = 0; i < n; i++)
                pieces[i] = fragment_piece(&fragments[i]);
        for (size_t i = 1; i < n; i++) {
                size_t j = random_below((unsigned)i + 1);
                JoinPiece piece = pieces[i];

                pieces[i] = pieces[j];
                pieces[j] = piece;
        }
        return n;
}

START_TEST(any_interleaving_is_the_same_span) {
        static Fragment fragments[8];
        Buffer first = BUFFER_NULL;
        JoinPiece pieces[8];
        JoinReport report;

        for (unsigned round = 0; round < 400; round++) {
                size_t n = deal(fragments, pieces, 8);
                Buffer copy = BUFFER_NULL, rebuilt;

                ck_assert(!join_keys_repeat(pieces, n));
                ck_assert_int_eq(join_copy(&copy, pieces, n), 0);
                ck_assert_uint_eq(copy.size, join_size(pieces, n));
                rebuilt = rebuild(&report, pieces, n, &no_limits);
                ck_assert(!report.n_dropped && !report.n_unknown_fields);
                assert_same(&copy, &rebuilt, false);
                if (round)
                        assert_same(&copy, &first, true);
                else
                        ck_assert_int_eq(buffer_append(&first, copy.data, copy.size), 0);
                buffer_deinit(&copy);
                buffer_deinit(&rebuilt);
        }
        buffer_deinit(&first);
}
END_TEST

/* Where there is nothing to trim, keys that meet give the same span without a look at values. */
START_TEST(without_limits_nested_messages_are_copied) {
        static Fragment fragments[8];
        JoinPiece pieces[9];
        JoinReport report;
        Fragment again;

        for (unsigned round = 0; round < 400; round++) {
                size_t n = deal(fragments, pieces, 8);
                Buffer copied, trimmed;
                char key[16];

                fragment_begin(&again);
                for (unsigned i = 0; i < 5; i++) {
                        snprintf(key, sizeof key, "t%u", 11 + 3 * random_below(9));
                        put_attribute(&again.writer, 9, key, "a later value");
                }
                put_status(&again.writer, 1, "");
                pieces[n] = fragment_piece(&again);
                ck_assert(join_keys_repeat(pieces, n + 1));
                copied = rebuild(&report, pieces, n + 1, NULL);
                ck_assert(!report.n_dropped && !report.n_unknown_fields);
                trimmed = rebuild(&report, pieces, n + 1, &no_limits);
                assert_same(&copied, &trimmed, false);
                buffer_deinit(&copied);
                buffer_deinit(&trimmed);
        }
}
END_TEST

/* All that validation takes comes out of a rebuild without conflict, and does so twice. */
START_TEST(every_valid_fragment_is_rebuilt) {
        Golden golden;

        golden_open(&golden, "validate.txt");
        while (golden_next(&golden, 4)) {
                size_t size = golden_bytes(golden.columns[3]);
                JoinPiece piece = {(const uint8_t *)golden.columns[3], size, false};
                bool unknown = strcmp(golden.columns[2], "ok unknown") == 0;
                JoinReport report;
                Buffer once, twice;

                if (strncmp(golden.columns[2], "ok", 2) != 0 ||
                    (strcmp(golden.columns[1], "start") != 0 &&
                     strcmp(golden.columns[1], "update") != 0))
                        continue;
                once = rebuild(&report, &piece, 1, &no_limits);
                ck_assert_msg(report.n_unknown_fields == unknown, "%s", golden.columns[0]);
                piece = (JoinPiece){once.data, once.size, false};
                twice = rebuild(&report, &piece, 1, &no_limits);
                ck_assert(!report.n_unknown_fields && once.size == twice.size);
                if (once.size)
                        ck_assert_mem_eq(once.data, twice.data, once.size);
                buffer_deinit(&once);
                buffer_deinit(&twice);
        }
}
END_TEST

/* ---- keys ---- */

START_TEST(repeated_keys_are_found) {
        static Fragment one, other;
        JoinPiece pieces[2];
        char key[16];

        fragment_begin(&one);
        fragment_begin(&other);
        for (unsigned i = 0; i < 128; i++) {
                snprintf(key, sizeof key, "k%u", i);
                put_attribute(&one.writer, 9, key, "v");
                snprintf(key, sizeof key, "j%u", i);
                put_attribute(&other.writer, 9, key, "v");
        }
        pieces[0] = fragment_piece(&one);
        pieces[1] = fragment_piece(&other);
        ck_assert(!join_keys_repeat(pieces, 2));
        put_attribute(&other.writer, 9, "one more", "v");
        pieces[1] = fragment_piece(&other);
        ck_assert(join_keys_repeat(pieces, 2)); /* more than are told apart */
        ck_assert(!join_keys_repeat(&pieces[1], 1));
        fragment_begin(&other);
        put_attribute(&other.writer, 9, "k127", "other value");
        pieces[1] = fragment_piece(&other);
        ck_assert(join_keys_repeat(pieces, 2));
        ck_assert(!join_keys_repeat(pieces, 0));
}
END_TEST

static bool attribute_is(const PbKeyValue *attribute, const char *key, const char *value) {
        return strcmp(attribute->key, key) == 0 &&
               strcmp(attribute->value->string_value, value) == 0;
}

START_TEST(the_last_value_wins) {
        Fragment one, other;
        JoinPiece pieces[2];
        JoinReport report;
        Buffer out;
        PbSpan *span;

        fragment_begin(&one);
        put_text(&one.writer, 5, "first");
        pb_put_fixed64(&one.writer, 8, 1);
        put_attribute(&one.writer, 9, "a", "1");
        put_attribute(&one.writer, 9, "b", "2");
        put_attribute(&one.writer, 9, "a", "3");
        fragment_begin(&other);
        put_text(&other.writer, 5, "last");
        put_attribute(&other.writer, 9, "c", "4");
        put_attribute(&other.writer, 9, "b", "5");
        pb_put_fixed64(&other.writer, 8, 2);
        pieces[0] = fragment_piece(&one);
        pieces[1] = fragment_piece(&other);

        out = rebuild(&report, pieces, 2, &no_limits);
        span = decode(&out);
        ck_assert_str_eq(span->name, "last");
        ck_assert_uint_eq(span->end_time_unix_nano, 2);
        ck_assert_uint_eq(span->n_attributes, 3);
        ck_assert(attribute_is(span->attributes[0], "a", "3"));
        ck_assert(attribute_is(span->attributes[1], "b", "5"));
        ck_assert(attribute_is(span->attributes[2], "c", "4"));
        ck_assert(!report.n_dropped);
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        buffer_deinit(&out);
}
END_TEST

START_TEST(many_attributes_are_rebuilt) {
        static uint8_t data[64 * 1024];
        PbWriter writer = pb_writer(data, sizeof data);
        JoinReport report;
        JoinPiece piece;
        Buffer out;
        PbSpan *span;
        char key[16];

        for (unsigned i = 0; i < 4000; i++) {
                snprintf(key, sizeof key, "k%u", i % 2000);
                put_attribute(&writer, 9, key, i < 2000 ? "1" : "2");
        }
        ck_assert(!writer.failed);
        piece = (JoinPiece){data, (size_t)(writer.at - data), false};
        out = rebuild(&report, &piece, 1, &no_limits);
        span = decode(&out);
        ck_assert_uint_eq(span->n_attributes, 2000);
        ck_assert(attribute_is(span->attributes[1999], "k1999", "2"));
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        buffer_deinit(&out);
}
END_TEST

/* ---- limits ---- */

START_TEST(limits_leave_dropped_counts) {
        static const JoinLimits limits = {2, 1, 3, UINT32_MAX, 2, 0, 0, 0};
        Fragment one, other;
        JoinPiece pieces[2];
        JoinReport report;
        Buffer out;
        PbSpan *span;

        fragment_begin(&one);
        put_attribute(&one.writer, 9, "a", "1");
        put_attribute(&one.writer, 9, "b", "2");
        put_attribute(&one.writer, 9, "c", "3");
        pb_put_varint(&one.writer, 10, 10);
        put_event(&one.writer, "kept", 5);
        put_event(&one.writer, "dropped", 0);
        fragment_begin(&other);
        put_attribute(&other.writer, 9, "a", "4");
        put_attribute(&other.writer, 9, "d", "5");
        put_event(&other.writer, "dropped too", 9);
        for (unsigned i = 0; i < 3; i++)
                pb_put_bytes(&other.writer, 13, NULL, 0);
        pieces[0] = fragment_piece(&one);
        pieces[1] = fragment_piece(&other);

        out = rebuild(&report, pieces, 2, &limits);
        span = decode(&out);
        ck_assert_uint_eq(span->n_attributes, 2);
        ck_assert(attribute_is(span->attributes[0], "a", "4"));
        ck_assert(attribute_is(span->attributes[1], "b", "2"));
        ck_assert_uint_eq(span->dropped_attributes_count, 12);
        ck_assert_uint_eq(span->n_events, 1);
        ck_assert_str_eq(span->events[0]->name, "kept");
        ck_assert_uint_eq(span->events[0]->n_attributes, 2);
        ck_assert_uint_eq(span->events[0]->dropped_attributes_count, 3);
        ck_assert_uint_eq(span->dropped_events_count, 2);
        ck_assert_uint_eq(span->n_links, 3);
        ck_assert_uint_eq(span->dropped_links_count, 0);
        ck_assert_uint_eq(report.n_dropped, 2 + 2 + 3);
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        buffer_deinit(&out);
}
END_TEST

START_TEST(a_dropped_count_does_not_wrap) {
        static const JoinLimits limits = {0};
        Fragment fragment;
        JoinReport report;
        JoinPiece piece;
        Buffer out;
        PbSpan *span;

        fragment_begin(&fragment);
        put_attribute(&fragment.writer, 9, "a", "1");
        put_attribute(&fragment.writer, 9, "b", "1");
        pb_put_varint(&fragment.writer, 10, UINT32_MAX - 1);
        piece = fragment_piece(&fragment);
        out = rebuild(&report, &piece, 1, &limits);
        span = decode(&out);
        ck_assert_uint_eq(span->n_attributes, 0);
        ck_assert_uint_eq(span->dropped_attributes_count, UINT32_MAX);
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        buffer_deinit(&out);
}
END_TEST

START_TEST(values_are_cut_between_characters) {
        /* map = {"long key": "aé€🔗z"}, list = ["aé€🔗z", bytes 1 2 3 4 5] */
        static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x97z";
        static const size_t sizes[] = {0, 1, 3, 6, 10, 11, 11};
        uint8_t value[128], list[128];
        PbWriter writer;
        Fragment fragment;
        JoinPiece piece;

        fragment_begin(&fragment);
        put_attribute(&fragment.writer, 9, "string", text);
        writer = pb_writer(value, sizeof value); /* KeyValueList */
        put_attribute(&writer, 1, "long key", text);
        pb_put_prefix(&fragment.writer, 9, 5 + 2 + pb_bytes_size(6, (size_t)(writer.at - value)));
        put_text(&fragment.writer, 1, "map");
        pb_put_prefix(&fragment.writer, 2, pb_bytes_size(6, (size_t)(writer.at - value)));
        pb_put_bytes(&fragment.writer, 6, value, (size_t)(writer.at - value));
        writer = pb_writer(list, sizeof list); /* ArrayValue */
        pb_put_prefix(&writer, 1, pb_bytes_size(1, strlen(text)));
        put_text(&writer, 1, text);
        pb_put_prefix(&writer, 1, 7);
        pb_put_bytes(&writer, 7, "\1\2\3\4\5", 5);
        pb_put_prefix(&fragment.writer, 9, 6 + 2 + pb_bytes_size(5, (size_t)(writer.at - list)));
        put_text(&fragment.writer, 1, "list");
        pb_put_prefix(&fragment.writer, 2, pb_bytes_size(5, (size_t)(writer.at - list)));
        pb_put_bytes(&fragment.writer, 5, list, (size_t)(writer.at - list));
        piece = fragment_piece(&fragment);

        for (uint32_t length = 0; length < 7; length++) {
                JoinLimits limits = no_limits;
                JoinReport report;
                Buffer out;
                PbSpan *span;

                limits.value_length = length;
                out = rebuild(&report, &piece, 1, &limits);
                span = decode(&out);
                ck_assert_uint_eq(span->n_attributes, 3);
                ck_assert_uint_eq(strlen(span->attributes[0]->value->string_value), sizes[length]);
                ck_assert_str_eq(span->attributes[1]->value->kvlist_value->values[0]->key,
                                 "long key");
                ck_assert_uint_eq(strlen(span->attributes[1]
                                                 ->value->kvlist_value->values[0]
                                                 ->value->string_value),
                                  sizes[length]);
                ck_assert_uint_eq(
                        strlen(span->attributes[2]->value->array_value->values[0]->string_value),
                        sizes[length]);
                ck_assert_uint_eq(
                        span->attributes[2]->value->array_value->values[1]->bytes_value.len,
                        length < 5 ? length : 5);
                ck_assert(!report.n_dropped);
                opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
                buffer_deinit(&out);
        }
}
END_TEST

/* ---- status ---- */

enum { UNSET, OK, ERROR };

/* The status of a span of three pieces; a code below 0: no status in that piece. */
static void status_is(int first, int second, int closing, unsigned code, const char *message) {
        int codes[3] = {first, second, closing};
        const char *const messages[3] = {"first", "second", "closing"};
        Fragment fragments[3];
        JoinPiece pieces[3];
        JoinReport report;
        Buffer out;
        PbSpan *span;

        for (unsigned i = 0; i < 3; i++) {
                fragment_begin(&fragments[i]);
                if (codes[i] >= 0)
                        put_status(&fragments[i].writer, (unsigned)codes[i], messages[i]);
                pieces[i] = fragment_piece(&fragments[i]);
        }
        pieces[2].closes = true;
        out = rebuild(&report, pieces, 3, &no_limits);
        span = decode(&out);
        ck_assert_uint_eq(span->status ? (unsigned)span->status->code : UNSET, code);
        ck_assert_str_eq(span->status ? span->status->message : "", message);
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
        buffer_deinit(&out);
}

START_TEST(ok_is_final_and_error_beats_unset) {
        status_is(-1, -1, -1, UNSET, "");
        status_is(UNSET, -1, -1, UNSET, "");
        status_is(OK, -1, -1, OK, "");
        status_is(ERROR, -1, -1, ERROR, "first");
        status_is(OK, ERROR, -1, OK, "");
        status_is(OK, UNSET, -1, OK, "");
        status_is(ERROR, OK, -1, OK, "");
        status_is(ERROR, UNSET, -1, ERROR, "first");
        status_is(UNSET, ERROR, -1, ERROR, "second");
        status_is(ERROR, ERROR, -1, ERROR, "second");
        status_is(UNSET, OK, -1, OK, "");
}
END_TEST

START_TEST(a_closing_piece_overrides_the_status) {
        status_is(OK, -1, ERROR, ERROR, "closing");
        status_is(ERROR, OK, ERROR, ERROR, "closing");
        status_is(ERROR, -1, ERROR, ERROR, "closing");
        status_is(ERROR, -1, UNSET, UNSET, "");
}
END_TEST

/* ---- logs ---- */

START_TEST(a_log_record_is_rebuilt) {
        static const JoinLimits limits = {.log_attributes = 2, .log_value_length = 3};
        Fragment fragment;
        ValidateSummary summary;
        Buffer out = BUFFER_NULL;
        JoinReport report;
        JoinPiece piece;
        PbLog *log;

        fragment_begin(&fragment);
        pb_put_fixed64(&fragment.writer, 1, 7);
        put_text(&fragment.writer, 3, "INFO");
        put_text(&fragment.writer, 5,
                 "\x0a\x05"
                 "first");
        put_text(&fragment.writer, 5, "\x0a\x0blonger body");
        put_attribute(&fragment.writer, 6, "a", "value");
        put_attribute(&fragment.writer, 6, "b", "2");
        put_attribute(&fragment.writer, 6, "c", "3");
        put_attribute(&fragment.writer, 6, "b", "4");
        pb_put_bytes(&fragment.writer, 9, trace_id, 16);
        pb_put_bytes(&fragment.writer, 10, span_id, 8);
        pb_put_varint(&fragment.writer, 99, 1);
        piece = fragment_piece(&fragment);

        ck_assert_int_eq(join_rebuild_log(&out, &report, &piece, &limits), 0);
        ck_assert_int_eq(validate_log(&summary, out.data, out.size), 0);
        ck_assert(!summary.repeated_key && !summary.repeated_field && !summary.unknown);
        log = opentelemetry__proto__logs__v1__log_record__unpack(NULL, out.size, out.data);
        ck_assert_str_eq(log->body->string_value, "longer body");
        ck_assert_str_eq(log->severity_text, "INFO");
        ck_assert_uint_eq(log->n_attributes, 2);
        ck_assert(attribute_is(log->attributes[0], "a", "val"));
        ck_assert(attribute_is(log->attributes[1], "b", "4"));
        ck_assert_uint_eq(log->dropped_attributes_count, 1);
        ck_assert_mem_eq(log->span_id.data, span_id, 8);
        ck_assert(report.n_dropped == 1 && report.n_unknown_fields == 1);
        opentelemetry__proto__logs__v1__log_record__free_unpacked(log, NULL);
        buffer_deinit(&out);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("join");
        TCase *tcase = tcase_create("join");

        tcase_add_test(tcase, any_interleaving_is_the_same_span);
        tcase_add_test(tcase, without_limits_nested_messages_are_copied);
        tcase_add_test(tcase, every_valid_fragment_is_rebuilt);
        tcase_add_test(tcase, repeated_keys_are_found);
        tcase_add_test(tcase, the_last_value_wins);
        tcase_add_test(tcase, many_attributes_are_rebuilt);
        tcase_add_test(tcase, limits_leave_dropped_counts);
        tcase_add_test(tcase, a_dropped_count_does_not_wrap);
        tcase_add_test(tcase, values_are_cut_between_characters);
        tcase_add_test(tcase, ok_is_final_and_error_beats_unset);
        tcase_add_test(tcase, a_closing_piece_overrides_the_status);
        tcase_add_test(tcase, a_log_record_is_rebuilt);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
