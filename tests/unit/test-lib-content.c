/* SPDX-License-Identifier: Apache-2.0 */

/* What contexts carry: tags, metadata, state, baggage; and what they say of themselves. */

#include "lib/catena.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

#include <pthread.h>

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

static catena_stats stats(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats;
}

typedef struct ListCalls {
        bool (*set)(catena_context *context, const char *key, const char *value);
        const char *(*get)(catena_context *context, const char *key);
        bool (*next)(catena_context *context, size_t *iterator, const char **key,
                     const char **value);
        unsigned max;
} ListCalls;

static const ListCalls lists[] = {
        {catena_context_set_tag, catena_context_get_tag, catena_context_next_tag, 64},
        {catena_context_set_metadata, catena_context_get_metadata, catena_context_next_metadata,
         1024},
        {catena_context_set_state, catena_context_get_state, catena_context_next_state, 1024},
        {catena_context_set_baggage, catena_context_get_baggage, catena_context_next_baggage, 64},
};

enum { N_LISTS = sizeof lists / sizeof *lists };

/* All entries, "key=value,key=value". */
static const char *all_of(const ListCalls *list, catena_context *context) {
        static char text[4096];
        const char *key, *value;
        size_t iterator = 0, size = 0;

        *text = 0;
        while (list->next(context, &iterator, &key, &value))
                size += (size_t)snprintf(text + size, sizeof text - size, "%s%s=%s",
                                         size ? "," : "", key, value);
        return text;
}

START_TEST(entries_are_set_and_taken_away) {
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL);
        size_t iterator = 0;

        ck_assert_str_eq(all_of(list, context), "");
        ck_assert_ptr_null(list->get(context, "a"));
        ck_assert(list->set(context, "a", "1"));
        ck_assert(list->set(context, "b", ""));
        ck_assert(list->set(context, "c", "3 \xc3\xa4,;=%"));
        ck_assert_str_eq(all_of(list, context), "a=1,b=,c=3 \xc3\xa4,;=%");
        ck_assert_str_eq(list->get(context, "b"), "");
        ck_assert(list->set(context, "a", "one"));
        ck_assert_str_eq(all_of(list, context), "a=one,b=,c=3 \xc3\xa4,;=%");
        ck_assert(list->set(context, "b", NULL));
        ck_assert(list->set(context, "absent", NULL));
        ck_assert_ptr_null(list->get(context, "b"));
        ck_assert_str_eq(all_of(list, context), "a=one,c=3 \xc3\xa4,;=%");
        ck_assert(list->next(context, &iterator, NULL, NULL));
        ck_assert(list->set(context, "a", NULL));
        ck_assert(list->set(context, "c", NULL));
        ck_assert_str_eq(all_of(list, context), "");
        ck_assert(!list->next(context, &iterator, NULL, NULL)); /* wherever it stands */
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(context);
}
END_TEST

START_TEST(a_child_begins_with_its_parents_and_goes_its_own_way) {
        const ListCalls *list = &lists[_i];
        catena_context *parent = catena_context_new("w", NULL), *child, *grandchild;

        list->set(parent, "a", "1");
        list->set(parent, "b", "2");
        child = catena_context_child(parent);
        ck_assert_str_eq(all_of(list, child), "a=1,b=2");
        list->set(child, "a", "child");
        list->set(parent, "b", NULL);
        list->set(parent, "p", "3");
        grandchild = catena_context_child(child);
        ck_assert_str_eq(all_of(list, parent), "a=1,p=3");
        ck_assert_str_eq(all_of(list, child), "a=child,b=2");
        catena_context_free(parent);
        list->set(child, "a", NULL);
        catena_context_free(child);
        ck_assert_str_eq(all_of(list, grandchild), "a=child,b=2");
        catena_context_free(grandchild);
}
END_TEST

START_TEST(a_list_of_one_kind_is_not_another) {
        catena_context *context = catena_context_new("w", NULL);

        for (unsigned i = 0; i < N_LISTS; i++)
                lists[i].set(context, "k", (const char *[]){"0", "1", "2", "3"}[i]);
        for (unsigned i = 0; i < N_LISTS; i++)
                ck_assert_str_eq(lists[i].get(context, "k"),
                                 ((const char *[]){"0", "1", "2", "3"})[i]);
        catena_context_free(context);
}
END_TEST

/* ---- bad input ---- */

START_TEST(a_list_is_bounded_by_entries) {
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL);
        char key[16];

        for (unsigned i = 0; i < list->max + 3; i++) {
                snprintf(key, sizeof key, "k%u", i);
                ck_assert_int_eq(list->set(context, key, "v"), i < list->max);
        }
        ck_assert_uint_eq(stats().misuse, 3);
        /* One that is there may change, and make room. */
        ck_assert(list->set(context, "k7", "other"));
        ck_assert(list->set(context, "k8", NULL));
        ck_assert(list->set(context, "new", "v"));
        ck_assert(!list->set(context, "k8", "v"));
        ck_assert_uint_eq(stats().misuse, 4);
        catena_context_free(context);
}
END_TEST

START_TEST(a_list_is_bounded_by_bytes) {
        static const size_t bounds[N_LISTS] = {4096, 65536, 65536, 8192};
        size_t room = bounds[_i] - 1 - (_i == 3 ? 2 : 0); /* beside its key; "=" and "," */
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL);
        char *value = calloc(1, bounds[_i] * 4);

        memset(value, 'v', bounds[_i] * 2);
        ck_assert(!list->set(context, "k", value));
        value[room + 1] = 0;
        ck_assert(!list->set(context, "k", value));
        value[room] = 0;
        ck_assert(list->set(context, "k", value));
        ck_assert(!list->set(context, "l", "v"));
        ck_assert_str_eq(list->get(context, "k"), value);
        /* What is not UTF-8 takes three bytes. */
        memset(value, 0xff, room / 2);
        ck_assert(!list->set(context, "k", value));
        ck_assert_uint_eq(stats().misuse, 4);
        free(value);
        catena_context_free(context);
}
END_TEST

START_TEST(bad_keys_are_refused) {
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL);
        char key[300];

        memset(key, 'k', sizeof key);
        key[257] = 0;
        ck_assert(!list->set(context, key, "v"));
        key[256] = 0;
        ck_assert(list->set(context, key, "v"));
        ck_assert(!list->set(context, NULL, "v"));
        ck_assert(!list->set(context, "", "v"));
        ck_assert(!list->set(context, "\xff", "v"));
        ck_assert_uint_eq(stats().misuse, 4);
        ck_assert_ptr_null(list->get(context, NULL));
        ck_assert(!list->next(context, NULL, NULL, NULL));
        ck_assert_uint_eq(stats().misuse, 6);
        catena_context_free(context);
}
END_TEST

START_TEST(baggage_has_tokens_for_keys_and_keeps_its_own) {
        static const char *const bad[] = {
                "a b",         "a,b",
                "a=b",         "\xc3\xa4",
                "workflow.id", "workflow.session_id",
                "workflow.correlation_id", "workflow.context_id",
        };
        catena_context *context = catena_context_new("w", NULL);

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                ck_assert_msg(!catena_context_set_baggage(context, bad[i], "v"), "%s", bad[i]);
        ck_assert(catena_context_set_baggage(context, "workflow.other", "v"));
        ck_assert_uint_eq(stats().misuse, sizeof bad / sizeof *bad);
        catena_context_free(context);
}
END_TEST

START_TEST(values_that_are_no_utf8_are_mended) {
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL);

        ck_assert(list->set(context, "k", "a\xff\xc3(\xe2\x82"));
        ck_assert_str_eq(list->get(context, "k"), "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd");
        catena_context_free(context);
}
END_TEST

START_TEST(of_a_freed_context_there_is_nothing) {
        const ListCalls *list = &lists[_i];
        catena_context *context = catena_context_new("w", NULL), *freed[2] = {context, NULL};
        size_t iterator = 0;

        list->set(context, "k", "v");
        catena_context_free(context);
        for (unsigned i = 0; i < 2; i++) {
                ck_assert(!list->set(freed[i], "k", "v"));
                ck_assert_ptr_null(list->get(freed[i], "k"));
                ck_assert(!list->next(freed[i], &iterator, NULL, NULL));
        }
        ck_assert_uint_eq(stats().misuse, 6);
}
END_TEST

/* ---- tags on the wire ---- */

/* The tags of the last announcement, "key=value,key=value". */
static const char *said_tags(void) {
        size_t n = fake_daemon_count(&fake, RECORD_CONTEXT, RECORD_START), size = 0;
        static char text[4096];
        Catena__V1__Context *said;

        ck_assert_uint_gt(n, 0);
        said = fake_context(fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, n - 1));
        *text = 0;
        for (size_t i = 0; i < said->n_tags; i++)
                size += (size_t)snprintf(text + size, sizeof text - size, "%s%s=%s",
                                         size ? "," : "", said->tags[i]->key,
                                         said->tags[i]->value->string_value);
        catena__v1__context__free_unpacked(said, NULL);
        return text;
}

START_TEST(tags_are_announced) {
        catena_context *context = catena_context_new("w", NULL);

        catena_context_set_tag(context, "a", "1");
        catena_context_set_tag(context, "b", "2");
        catena_context_set_state(context, "secret", "s");
        catena_context_set_metadata(context, "secret", "s");
        fake_daemon_take(&fake);
        ck_assert(fake_daemon_is_silent(&fake)); /* as long as nothing else is said */
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 1);
        ck_assert_str_eq(said_tags(), "a=1,b=2");

        /* From then on each change is told at once. */
        catena_context_set_tag(context, "c", "3");
        catena_context_set_state(context, "more", "s");
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 2);
        ck_assert_str_eq(said_tags(), "a=1,b=2,c=3");
        catena_context_set_tag(context, "b", NULL);
        catena_context_set_tag(context, "a", "one");
        fake_daemon_take(&fake);
        ck_assert_str_eq(said_tags(), "a=one,c=3");
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 4);
        catena_span_end(catena_span_start(context, "t", 0));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, 0), 4);
        catena_context_free(context);
}
END_TEST

START_TEST(tags_of_a_child_are_its_own) {
        catena_context *parent = catena_context_new("w", NULL), *child;

        catena_context_set_tag(parent, "a", "1");
        child = catena_context_child(parent);
        catena_context_set_tag(child, "b", "2");
        catena_span_end(catena_span_start(child, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_str_eq(said_tags(), "a=1,b=2");
        catena_span_end(catena_span_start(parent, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_str_eq(said_tags(), "a=1");
        catena_context_free(child);
        catena_context_free(parent);
}
END_TEST

START_TEST(a_daemon_that_comes_back_is_told_the_tags_of_now) {
        catena_context *context = catena_context_new("w", NULL);

        catena_context_set_tag(context, "a", "1");
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        fake_daemon_die(&fake);
        catena_context_set_tag(context, "a", "2");
        fake_daemon_listen(&fake);
        for (unsigned i = 0; fake_daemon_count(&fake, RECORD_HELLO, 0) < 2 && i < 1000; i++) {
                catena_span_end(catena_span_start(context, "t", 0));
                fake_daemon_take(&fake);
                (void)poll(NULL, 0, 10); /* until the library tries again */
        }
        catena_span_end(catena_span_start(context, "t", 0));
        fake_daemon_take(&fake);
        ck_assert_str_eq(said_tags(), "a=2");
        catena_context_free(context);
}
END_TEST

/* Others start spans in the context while its owner sets tags. */
static void *starts_spans(void *user) {
        const catena_span *parent = user;

        for (unsigned i = 0; i < 300; i++)
                catena_span_end(catena_span_child(*parent, "child", 0));
        return NULL;
}

START_TEST(tags_change_under_the_eyes_of_other_threads) {
        catena_context *context = catena_context_new("w", NULL);
        catena_span span = catena_span_start(context, "s", 0);
        pthread_t threads[3];
        char value[16];

        for (size_t i = 0; i < 3; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, starts_spans, &span), 0);
        for (unsigned i = 0; i < 200; i++) {
                snprintf(value, sizeof value, "%u", i);
                ck_assert(catena_context_set_tag(context, "n", value));
                ck_assert(catena_context_set_tag(context, i % 2 ? "odd" : "even", value));
                ck_assert(catena_context_set_tag(context, i % 2 ? "even" : "odd", NULL));
                fake_daemon_take(&fake);
                fake_daemon_forget(&fake);
        }
        for (size_t i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        fake_daemon_take(&fake);
        fake_daemon_forget(&fake);
        ck_assert(catena_context_set_tag(context, "n", "last"));
        catena_span_end(span);
        fake_daemon_take(&fake);
        ck_assert_str_eq(said_tags(), "n=last,odd=199");
        catena_context_free(context);
}
END_TEST

/* ---- as attributes ---- */

static char told[4096];

static void tell(const catena_attribute *attribute, void *user) {
        size_t size = strlen(told);

        ck_assert_ptr_eq(user, told);
        switch (attribute->type) {
        case CATENA_TYPE_STRING:
                snprintf(told + size, sizeof told - size, "%s=%s\n", attribute->key,
                         attribute->value.string);
                break;
        case CATENA_TYPE_DOUBLE:
                ck_assert_double_ge(attribute->value.real, 0);
                snprintf(told + size, sizeof told - size, "%s=.\n", attribute->key);
                break;
        case CATENA_TYPE_ARRAY:
                snprintf(told + size, sizeof told - size, "%s=[%zu]%s…\n", attribute->key,
                         attribute->size, attribute->value.list[0].value.string);
                break;
        default:
                ck_abort_msg("type %u", attribute->type);
        }
}

START_TEST(a_context_says_what_it_is) {
        static const char *const causes[] = {"one", "two"};
        catena_context *context = catena_context_new_with(&(catena_context_options){
                .workflow_id = "order",
                .session_id = "s",
                .correlation_id = "chain",
                .causes = causes,
                .n_causes = 2,
        });
        char expected[1024];

        catena_context_set_tag(context, "tier", "gold");
        catena_context_set_tag(context, "region", "eu");
        catena_context_set_state(context, "hidden", "s");
        catena_context_attributes(context, tell, told);
        snprintf(expected, sizeof expected,
                 "workflow.id=order\nworkflow.session_id=s\nworkflow.correlation_id=chain\n"
                 "workflow.causation_id=one\nworkflow.causation_ids=[2]one…\n"
                 "workflow.context_id=%s\nworkflow.elapsed_ms=.\ntier=gold\nregion=eu\n",
                 catena_context_id(context));
        ck_assert_str_eq(told, expected);
        catena_context_free(context);
}
END_TEST

START_TEST(what_is_unset_is_unknown) {
        catena_context *context = catena_context_new(NULL, "");
        char expected[1024];

        catena_context_attributes(context, tell, told);
        snprintf(expected, sizeof expected,
                 "workflow.id=unknown\nworkflow.session_id=unknown\nworkflow.correlation_id=%s\n"
                 "workflow.context_id=%s\nworkflow.elapsed_ms=.\n",
                 catena_context_id(context), catena_context_id(context));
        ck_assert_str_eq(told, expected);
        catena_context_attributes(context, NULL, NULL);
        catena_context_free(context);
        catena_context_attributes(context, tell, told);
        ck_assert_str_eq(told, expected);
        ck_assert_uint_eq(stats().misuse, 2);
}
END_TEST

/* Changing the context from within is harmless. */
static void change(const catena_attribute *attribute, void *user) {
        (void)attribute;
        catena_context_set_tag(user, "a", NULL);
        catena_context_set_tag(user, "b", NULL);
        catena_context_set_tag(user, "c", "new");
}

START_TEST(who_is_told_may_change_the_tags) {
        catena_context *context = catena_context_new(NULL, NULL);

        catena_context_set_tag(context, "a", "1");
        catena_context_set_tag(context, "b", "2");
        catena_context_attributes(context, change, context);
        ck_assert_str_eq(all_of(&lists[0], context), "c=new");
        catena_context_free(context);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_loop_test(tcase, entries_are_set_and_taken_away, 0, N_LISTS);
        tcase_add_loop_test(tcase, a_child_begins_with_its_parents_and_goes_its_own_way, 0,
                            N_LISTS);
        tcase_add_test(tcase, a_list_of_one_kind_is_not_another);
        tcase_add_loop_test(tcase, a_list_is_bounded_by_entries, 0, N_LISTS);
        tcase_add_loop_test(tcase, a_list_is_bounded_by_bytes, 0, N_LISTS);
        tcase_add_loop_test(tcase, bad_keys_are_refused, 0, N_LISTS);
        tcase_add_test(tcase, baggage_has_tokens_for_keys_and_keeps_its_own);
        tcase_add_loop_test(tcase, values_that_are_no_utf8_are_mended, 0, N_LISTS);
        tcase_add_loop_test(tcase, of_a_freed_context_there_is_nothing, 0, N_LISTS);
        tcase_add_test(tcase, tags_are_announced);
        tcase_add_test(tcase, tags_of_a_child_are_its_own);
        tcase_add_test(tcase, a_daemon_that_comes_back_is_told_the_tags_of_now);
        tcase_add_test(tcase, tags_change_under_the_eyes_of_other_threads);
        tcase_add_test(tcase, a_context_says_what_it_is);
        tcase_add_test(tcase, what_is_unset_is_unknown);
        tcase_add_test(tcase, who_is_told_may_change_the_tags);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-content");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        return unit_run(suite);
}
