/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "lib/client-span.h"
#include "proto/id.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <time.h>

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void start_with_arena(void) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, ARENA_CHUNKS);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static uint64_t wall_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

START_TEST(start_and_end_say_a_span) {
        uint64_t before = wall_ns(), after;
        catena_context *context = catena_context_new("order", NULL);
        catena_span span = catena_span_start(context, "pay", CATENA_KIND_CLIENT);
        FakeRecord *record;
        FakeSpan *said;

        ck_assert(catena_span_recording(span));
        catena_span_end(span);
        after = wall_ns();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.records[0].header.type, RECORD_HELLO);
        ck_assert_uint_eq(fake.records[1].header.type, RECORD_CONTEXT);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 2);
        record = fake_daemon_record(&fake, RECORD_SPAN, RECORD_START, 0);
        ck_assert_uint_eq(record->header.context, fake.records[1].header.context);
        ck_assert_uint_ne(record->header.context, 0);
        fake_daemon_record(&fake, RECORD_SPAN, RECORD_END, 0);

        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_str_eq(said->name, "pay");
        ck_assert_int_eq(said->kind, CATENA_KIND_CLIENT);
        ck_assert_mem_eq(said->trace_id.data, span.trace_id, 16);
        ck_assert_uint_eq(said->parent_span_id.len, 0);
        ck_assert_uint_eq(said->flags, 0x103);
        /* The two clocks may be some milliseconds apart. */
        ck_assert_uint_ge(said->start_time_unix_nano, before - 50000000);
        ck_assert_uint_le(said->end_time_unix_nano, after + 50000000);
        ck_assert_uint_ge(said->end_time_unix_nano, said->start_time_unix_nano);
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(spans_of_a_context_nest_and_follow) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span first = catena_span_start(context, "first", 0), second;

        ck_assert_mem_eq(first.parent_id, outer.span_id, 8);
        catena_span_end(first);
        second = catena_span_start(context, "second", 0);
        ck_assert_mem_eq(second.parent_id, outer.span_id, 8);
        ck_assert_mem_eq(second.trace_id, outer.trace_id, 16);
        catena_span_end(second);
        catena_span_end(outer);
        ck_assert_ptr_null(catena_context_span_id(context));
        ck_assert(id_is_zero(catena_span_start(context, "root", 0).parent_id, 8));
        catena_context_free(context);
}
END_TEST

START_TEST(an_end_out_of_order_leaves_the_current_span) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span inner = catena_span_start(context, "inner", 0);
        char hex[ID_SPAN_HEX + 1];

        catena_span_end(outer);
        id_to_hex(hex, inner.span_id, 8);
        ck_assert_str_eq(catena_context_span_id(context), hex);
        catena_context_free(context);
}
END_TEST

START_TEST(children_touch_no_context) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span child = catena_span_child(outer, "child", CATENA_KIND_SERVER);
        catena_span with =
                catena_span_start_with(context, "with", &(catena_span_options){.parent = child});
        char hex[ID_SPAN_HEX + 1];
        FakeSpan *said;

        ck_assert_mem_eq(child.parent_id, outer.span_id, 8);
        ck_assert_mem_eq(with.parent_id, child.span_id, 8);
        ck_assert_uint_eq(child.context, outer.context);
        id_to_hex(hex, outer.span_id, 8);
        ck_assert_str_eq(catena_context_span_id(context), hex);
        catena_span_end(with);
        catena_span_end(child);
        ck_assert_str_eq(catena_context_span_id(context), hex);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, child.span_id);
        ck_assert_mem_eq(said->parent_span_id.data, outer.span_id, 8);
        ck_assert_uint_eq(said->flags, 0x103);
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(a_parent_made_by_hand_is_remote) {
        catena_span parent = {.trace_id = {1}, .span_id = {2}, .flags = 1}, child;
        FakeSpan *said;

        child = catena_span_start_with(NULL, "child", &(catena_span_options){.parent = parent});
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, child.span_id);
        ck_assert_mem_eq(said->trace_id.data, parent.trace_id, 16);
        ck_assert_uint_eq(said->flags, 0x301);
        fake_span_free(said);
        catena_span_end(parent); /* nobody's to end */
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 0);
}
END_TEST

START_TEST(options_are_said_in_the_start) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span other = catena_span_start(context, "other", 0), span;
        const catena_scope *scope = catena_scope_get("libpay", "2.1", NULL);
        catena_attribute attributes[] = {
                {.key = "a", .value.string = "x"},
                {.key = "b", .type = CATENA_TYPE_INT, .value.integer = -1},
        };
        catena_link link = {.span = other, .attributes = attributes, .n_attributes = 1};
        FakeRecord *record;
        FakeSpan *said;

        ck_assert_ptr_eq(scope, catena_scope_get("libpay", "2.1", NULL));
        ck_assert_ptr_ne(scope, catena_scope_get("libpay", "2.2", NULL));
        ck_assert_ptr_null(catena_scope_get("", NULL, NULL));
        span = catena_span_start_with(context, "all",
                                      &(catena_span_options){
                                              .scope = scope,
                                              .kind = CATENA_KIND_PRODUCER,
                                              .start_unix_ns = 12345,
                                              .attributes = attributes,
                                              .n_attributes = 2,
                                              .links = &link,
                                              .n_links = 1,
                                      });
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->start_time_unix_nano, 12345);
        ck_assert_int_eq(said->kind, CATENA_KIND_PRODUCER);
        ck_assert_uint_eq(said->n_attributes, 2);
        ck_assert_int_eq(said->attributes[1]->value->int_value, -1);
        ck_assert_uint_eq(said->n_links, 1);
        ck_assert_mem_eq(said->links[0]->span_id.data, other.span_id, 8);
        ck_assert_uint_eq(said->links[0]->flags, 0x103);
        ck_assert_str_eq(said->links[0]->attributes[0]->value->string_value, "x");
        fake_span_free(said);

        record = fake_daemon_record(&fake, RECORD_SCOPE, 0, 0);
        ck_assert_uint_eq(record->header.id, 1);
        ck_assert_uint_eq(fake_daemon_record(&fake, RECORD_SPAN, RECORD_START, 1)->header.scope, 1);
        ck_assert_mem_eq(record->body, "\n\6libpay\22\0032.1", record->size);
        catena_context_free(context);
}
END_TEST

START_TEST(every_type_of_value_arrives) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "s", 0);
        catena_attribute inner[] = {
                {.key = "n", .type = CATENA_TYPE_INT, .value.integer = INT64_MIN},
                {.key = "m", .type = CATENA_TYPE_BOOL, .value.boolean = true},
        };
        catena_attribute attributes[] = {
                {.key = "string", .value.string = ""},
                {.key = "key with size", .key_size = 3, .value.string = "short key"},
                {.key = "n", .type = CATENA_TYPE_STRING_N, .value.string = "abcdef", .size = 3},
                {.key = "bytes", .type = CATENA_TYPE_BYTES, .value.bytes = "\0\xff", .size = 2},
                {.key = "double", .type = CATENA_TYPE_DOUBLE, .value.real = -0.5},
                {.key = "false", .type = CATENA_TYPE_BOOL},
                {.key = "array", .type = CATENA_TYPE_ARRAY, .value.list = inner, .size = 2},
                {.key = "map", .type = CATENA_TYPE_MAP, .value.list = inner, .size = 2},
                {.key = "bad\xff", .value.string = "a\xc3"},
        };
        const Opentelemetry__Proto__Common__V1__AnyValue *value;
        FakeSpan *said;

        catena_span_set(span, attributes, sizeof attributes / sizeof *attributes);
        catena_span_set_string(span, "one", "1");
        catena_span_set_int(span, "two", 2);
        catena_span_set_double(span, "three", 3.0);
        catena_span_set_bool(span, "four", true);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->n_attributes, 13);
#define VALUE(key) (value = fake_attribute(said->attributes, said->n_attributes, key))
        ck_assert_str_eq(VALUE("string")->string_value, "");
        ck_assert_str_eq(VALUE("key")->string_value, "short key");
        ck_assert_str_eq(VALUE("n")->string_value, "abc");
        ck_assert_uint_eq(VALUE("bytes")->bytes_value.len, 2);
        ck_assert_double_eq(VALUE("double")->double_value, -0.5);
        ck_assert_int_eq(VALUE("false")->value_case,
                         OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE);
        ck_assert(!value->bool_value);
        ck_assert_uint_eq(VALUE("array")->array_value->n_values, 2);
        ck_assert_int_eq(value->array_value->values[0]->int_value, INT64_MIN);
        ck_assert_str_eq(VALUE("map")->kvlist_value->values[1]->key, "m");
        ck_assert_str_eq(VALUE("bad\xef\xbf\xbd")->string_value, "a\xef\xbf\xbd");
        ck_assert_str_eq(VALUE("one")->string_value, "1");
        ck_assert_int_eq(VALUE("two")->int_value, 2);
        ck_assert_double_eq(VALUE("three")->double_value, 3.0);
        ck_assert(VALUE("four")->bool_value);
#undef VALUE
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(bad_attributes_are_left_out_and_counted) {
        enum { DEEP = 30 };
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "s", 0);
        catena_attribute deep[DEEP];
        catena_attribute attributes[] = {
                {.key = NULL, .value.string = "no key"},
                {.key = "", .value.string = "no key"},
                {.key = "null"},
                {.key = "type", .type = 99},
                {.key = "list", .type = CATENA_TYPE_ARRAY, .size = 2},
                {.key = "deep", .type = CATENA_TYPE_ARRAY, .value.list = deep, .size = 1},
                {.key = "good", .value.string = "stays"},
        };
        catena_stats stats;
        FakeSpan *said;

        for (unsigned i = 0; i < DEEP; i++)
                deep[i] = (catena_attribute){
                        .type = CATENA_TYPE_ARRAY,
                        .value.list = &deep[i + 1],
                        .size = i + 1 < DEEP,
                };
        catena_span_set(span, attributes, sizeof attributes / sizeof *attributes);
        catena_span_set(span, NULL, 3);
        catena_span_set_string(span, NULL, "v");
        catena_span_link(span, (catena_span){0}, NULL, 0);
        catena_span_event(span, "e", attributes, 2);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 3);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->events[0]->n_attributes, 0);
        ck_assert_uint_eq(said->n_attributes, 1);
        ck_assert_str_eq(said->attributes[0]->key, "good");
        fake_span_free(said);
        ck_assert_uint_eq(catena_stats_get(&stats, sizeof stats), sizeof stats);
        ck_assert_uint_eq(stats.misuse, 11);
        catena_context_free(context);
}
END_TEST

START_TEST(values_nest_as_deep_as_the_format_allows) {
        static const struct {
                uint32_t type;
                unsigned n; /* values in each other */
        } cases[] = {{CATENA_TYPE_ARRAY, 24}, {CATENA_TYPE_MAP, 20}};
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "s", 0);
        unsigned n = cases[_i].n;
        catena_attribute deep[32];
        catena_stats stats;

        /* One too many, of which the outermost can be left off. */
        for (unsigned i = 0; i <= n; i++)
                deep[i] = (catena_attribute){
                        .key = "k",
                        .type = i < n ? cases[_i].type : CATENA_TYPE_INT,
                        .value.list = &deep[i + 1],
                        .size = 1,
                };
        catena_span_set(span, &deep[1], 1);
        catena_span_event(span, "e", &deep[1], 1);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.misuse, 0);
        catena_span_set(span, &deep[0], 1);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.misuse, 1);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 3);
        catena_context_free(context);
}
END_TEST

START_TEST(name_status_events_and_errors_are_said) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, "before", 0);
        catena_attribute attribute = {.key = "n", .type = CATENA_TYPE_INT, .value.integer = 3};
        FakeSpan *said;

        catena_span_set_name(span, "after");
        catena_span_set_status(span, CATENA_STATUS_UNSET, "nothing");
        catena_span_event(span, "retry", &attribute, 1);
        catena_span_event_at(span, "then", 77, NULL, 0);
        catena_span_error(span, "timeout", "no answer", "at line 1");
        catena_span_end_at(span, 99);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_str_eq(said->name, "after");
        ck_assert_uint_eq(said->n_events, 3);
        ck_assert_str_eq(said->events[0]->name, "retry");
        ck_assert_int_eq(said->events[0]->attributes[0]->value->int_value, 3);
        ck_assert_uint_ge(said->events[0]->time_unix_nano, said->start_time_unix_nano);
        ck_assert_uint_eq(said->events[1]->time_unix_nano, 77);
        ck_assert_str_eq(said->events[2]->name, "exception");
        ck_assert_uint_eq(said->events[2]->n_attributes, 3);
        ck_assert_str_eq(fake_attribute_string(said->events[2]->attributes, 3, "exception.type"),
                         "timeout");
        ck_assert_int_eq(said->status->code, CATENA_STATUS_ERROR);
        ck_assert_str_eq(said->status->message, "no answer");
        ck_assert_uint_eq(said->end_time_unix_nano, 99);
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(nulls_are_harmless) {
        catena_span none = {0};
        catena_stats stats;

        ck_assert(id_is_zero(catena_span_start(NULL, "s", 0).span_id, 8));
        ck_assert(id_is_zero(catena_span_child(none, "s", 0).span_id, 8));
        catena_span_set(none, NULL, 0);
        catena_span_set_name(none, NULL);
        catena_span_set_status(none, 77, NULL);
        catena_span_link(none, none, NULL, 1);
        catena_span_event(none, NULL, NULL, 1);
        catena_span_error(none, NULL, NULL, NULL);
        catena_span_end(none);
        ck_assert(!catena_span_recording(none));
        catena_context_free(NULL);
        catena_context_checkpoint(NULL, NULL);
        ck_assert_ptr_null(catena_context_id(NULL));
        ck_assert_double_eq(catena_context_elapsed_ms(NULL), 0);
        catena_stats_get(NULL, 0);
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_ge(stats.misuse, 10);
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake));
}
END_TEST

START_TEST(a_long_record_is_split) {
        enum { N = 200 };
        static char text[1000];
        catena_context *context = catena_context_new(NULL, NULL);
        catena_attribute attributes[N];
        static char keys[N][8];
        catena_span span;
        FakeSpan *said;

        memset(text, 'x', sizeof text - 1);
        for (unsigned i = 0; i < N; i++) {
                snprintf(keys[i], sizeof keys[i], "k%u", i);
                attributes[i] = (catena_attribute){.key = keys[i], .value.string = text};
        }
        span = catena_span_start_with(
                context, "s", &(catena_span_options){.attributes = attributes, .n_attributes = N});
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_START), 1);
        ck_assert_uint_gt(fake_daemon_count(&fake, RECORD_SPAN, 0), 5);
        for (size_t i = 0; i < fake.n_records; i++)
                ck_assert_uint_le(fake.records[i].header.size, RECORD_SEND_MAX);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->n_attributes, N);
        for (unsigned i = 0; i < N; i++)
                ck_assert_str_eq(said->attributes[i]->key, keys[i]);
        fake_span_free(said);
        catena_context_free(context);
}
END_TEST

START_TEST(unsampled_spans_propagate_and_are_not_recorded) {
        catena_span span, child;
        catena_context *context;

        setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1);
        context = catena_context_extract_environ(0);
        span = catena_span_start(context, "s", 0);
        ck_assert(!catena_span_recording(span));
        ck_assert_uint_eq(span.flags, 0);
        child = catena_span_start(context, "child", 0);
        ck_assert_mem_eq(child.parent_id, span.span_id, 8);
        catena_span_end(child);
        catena_span_end(span);
        ck_assert_str_eq(catena_context_span_id(context), "b7ad6b7169203331");
        catena_context_free(context);
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake));
}
END_TEST

START_TEST(a_daemon_may_want_them_all) {
        catena_context *sampled = catena_context_new(NULL, NULL), *context;

        catena_span_end(catena_span_start(sampled, "s", 0));
        fake_daemon_take(&fake);
        fake_daemon_welcome(&fake, "0123456789abcdef", 1);
        catena_span_end(catena_span_start(sampled, "s", 0));
        setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1);
        context = catena_context_extract_environ(0);
        ck_assert(catena_span_recording(catena_span_start(context, "s", 0)));
        catena_context_free(context);
        catena_context_free(sampled);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, start_and_end_say_a_span);
        tcase_add_test(tcase, spans_of_a_context_nest_and_follow);
        tcase_add_test(tcase, an_end_out_of_order_leaves_the_current_span);
        tcase_add_test(tcase, children_touch_no_context);
        tcase_add_test(tcase, a_parent_made_by_hand_is_remote);
        tcase_add_test(tcase, options_are_said_in_the_start);
        tcase_add_test(tcase, every_type_of_value_arrives);
        tcase_add_test(tcase, bad_attributes_are_left_out_and_counted);
        tcase_add_loop_test(tcase, values_nest_as_deep_as_the_format_allows, 0, 2);
        tcase_add_test(tcase, name_status_events_and_errors_are_said);
        tcase_add_test(tcase, nulls_are_harmless);
        tcase_add_test(tcase, a_long_record_is_split);
        tcase_add_test(tcase, unsampled_spans_propagate_and_are_not_recorded);
        suite_add_tcase(suite, tcase);
}

/* What the daemon says after its WELCOME is heard at the next send. */
static void add_stream_tests(Suite *suite) {
        TCase *tcase = tcase_create("stream only");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, a_daemon_may_want_them_all);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-span");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        add_stream_tests(suite);
        return unit_run(suite);
}
