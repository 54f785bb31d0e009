/* SPDX-License-Identifier: Apache-2.0 */

#include "catena.pb-c.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

static Script script;

static void setup(void) {
        script_init(&script);
        script_open(&script);
}

static void teardown(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static RecorderView view(void) {
        RecorderView out;

        recorder_view(script.recorder, &out);
        return out;
}

START_TEST(an_update_read_after_the_end_still_counts) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "first");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        script_span_attribute(&script, 1, "late", "yes");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop first status=0 late=yes");
}
END_TEST

START_TEST(an_end_behind_the_first_cut_waits_for_the_next_pass) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "first");
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().n_spans_open, 1);
        ck_assert(recorder_session_unsettled(session));
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().n_spans_open, 0);
        ck_assert(!recorder_session_unsettled(session));
}
END_TEST

START_TEST(a_start_may_come_after_the_end) {
        Session *session = script_session(&script, 1, "shop");

        script_span_end(&script, 9);
        script_span_attribute(&script, 9, "k", "v");
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        script_span_start(&script, 0, 9, "odd");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 9), "shop odd status=0 k=v");
}
END_TEST

static void say_context_tag(uint32_t number, const char *key, const char *text) {
        Catena__V1__Context context = CATENA__V1__CONTEXT__INIT;
        Opentelemetry__Proto__Common__V1__AnyValue value =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
        Opentelemetry__Proto__Common__V1__KeyValue
                pair = OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT,
                *pairs = &pair;

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)text;
        pair.key = (char *)key;
        pair.value = &value;
        context.n_tags = 1;
        context.tags = &pairs;
        script_say(&script, RECORD_CONTEXT, 0, number, 0, &context);
}

/* What threads say of a context, in the order in which their chunks are read. */
START_TEST(a_pass_reads_what_concerns_a_context_in_any_order) {
        Session *session = script_session(&script, 1, "shop");

        script_context_end(&script, 5);
        say_context_tag(5, "tag", "early");
        script_span_end(&script, 77);
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        script_span_start(&script, 5, 77, "pay");
        script_context(&script, 5, "ctx-1", "corr-1", NULL);
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        script_span_start(&script, 5, 78, "late");
        script_span_end(&script, 78);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert(!recorder_session_unsettled(session));
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 77),
                         "shop pay status=0 workflow.id=unknown workflow.session_id=unknown "
                         "workflow.correlation_id=corr-1 workflow.context_id=ctx-1 tag=early");
        ck_assert_str_eq(script_exported(&script, 78),
                         "shop late status=0 workflow.id=unknown workflow.session_id=unknown "
                         "workflow.correlation_id=corr-1 workflow.context_id=ctx-1 tag=early");
        ck_assert_uint_eq(view().counters.spans_without_context, 0);
        ck_assert_uint_eq(view().n_contexts, 0);
}
END_TEST

/* Of a span whose context is announced behind it, and of one whose context never is. */
START_TEST(a_pass_shows_a_span_in_its_context_in_any_order) {
        Session *session = script_session(&script, 1, "shop");
        const ChainSpan *span;
        Chain *chain;

        script_span_start(&script, 5, 77, "pay");
        script_span_attribute(&script, 77, "k", "v");
        script_span_end(&script, 77);
        script_span_start(&script, 5, 78, "ship");
        script_span_start(&script, 6, 79, "lost");
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        ck_assert_ptr_null(chains_newest(script.chains));
        script_context(&script, 5, "ctx-1", "corr-1", NULL);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        chain = chains_find(script.chains, "corr-1");
        ck_assert_ptr_nonnull(chain);
        ck_assert_uint_eq(chain->n_spans, 2);
        span = list_entry(list_first(&chain->spans), ChainSpan, link);
        ck_assert_str_eq(span->name, "pay");
        ck_assert_str_eq(span->context->context_id, "ctx-1");
        ck_assert_uint_ne(span->end_unix_ns, 0);
        span = list_entry(span->link.next, ChainSpan, link);
        ck_assert_str_eq(span->name, "ship");
        ck_assert_uint_eq(span->end_unix_ns, 0);
        chain = chains_before(script.chains, chain);
        if (!chain)
                chain = chains_newest(script.chains);
        ck_assert_uint_eq(chain->n_spans, 1);
        ck_assert_str_eq(list_entry(list_first(&chain->spans), ChainSpan, link)->name, "lost");
}
END_TEST

START_TEST(what_is_said_of_a_context_that_never_starts_goes_with_its_pass) {
        Session *session = script_session(&script, 1, "shop");
        size_t before = session->user->n_bytes;

        say_context_tag(5, "tag", "nobody's");
        script_context_end(&script, 6);
        ck_assert_int_eq(script_take(&script, session, 0), 0);
        ck_assert(recorder_session_unsettled(session));
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert(!recorder_session_unsettled(session));
        ck_assert_uint_eq(view().n_contexts, 0);
        ck_assert_uint_eq(session->user->n_bytes, before);
}
END_TEST

START_TEST(a_fragment_without_a_start_is_an_orphan) {
        Session *session = script_session(&script, 1, "shop");

        script_span_end(&script, 9);
        script_span_attribute(&script, 10, "k", "v");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.orphans, 2);
        ck_assert_uint_eq(view().counters.spans_accepted, 0);
}
END_TEST

START_TEST(a_fragment_after_the_end_is_late) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "done");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_span_attribute(&script, 1, "k", "v");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.late, 1);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop done status=0");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("reading");
        TCase *tcase = tcase_create("reading");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, an_update_read_after_the_end_still_counts);
        tcase_add_test(tcase, an_end_behind_the_first_cut_waits_for_the_next_pass);
        tcase_add_test(tcase, a_start_may_come_after_the_end);
        tcase_add_test(tcase, a_pass_reads_what_concerns_a_context_in_any_order);
        tcase_add_test(tcase, a_pass_shows_a_span_in_its_context_in_any_order);
        tcase_add_test(tcase, what_is_said_of_a_context_that_never_starts_goes_with_its_pass);
        tcase_add_test(tcase, a_fragment_without_a_start_is_an_orphan);
        tcase_add_test(tcase, a_fragment_after_the_end_is_late);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
