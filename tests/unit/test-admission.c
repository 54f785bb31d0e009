/* SPDX-License-Identifier: Apache-2.0 */

/* What a client may make the daemon hold, whatever it says. */

#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { SHARE = 100 * 1024 };

static Script script;
static Session *session;
static char text[10001];

static void setup(void) {
        memset(text, 'x', sizeof text - 1);
        script_init(&script);
        script.uid_share_bytes = SHARE;
        script_open(&script);
        session = script_session(&script, 1, "shop");
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

static void take(uint16_t flags) {
        ck_assert_int_eq(script_take(&script, session, flags), 0);
}

/* The last record said is a START; now it is an END as well. */
static void make_whole(size_t at) {
        RecordHeader header = record_header_read(script.records.data + at);

        header.flags |= RECORD_END;
        record_header_write(script.records.data + at, &header);
}

/* Starts spans until the share is held. Returns the last id that was taken. */
static uint64_t hold_the_share(void) {
        uint64_t id = 0;

        while (!view().counters.refused_share) {
                id++;
                script_span_start(&script, 0, id, id % 8 ? "short" : text);
                take(JOURNAL_PASS_END);
        }
        return id - 1;
}

START_TEST(a_whole_span_counts_like_one_in_pieces) {
        for (uint64_t id = 1; id <= 1000; id++) {
                size_t at = script.records.size;
                script_span_start(&script, 0, id, "whole");
                make_whole(at);
        }
        take(JOURNAL_PASS_END);
        ck_assert_uint_gt(view().counters.spans_accepted, 50);
        ck_assert_uint_gt(view().counters.refused_share, 500);
        ck_assert_uint_lt(session->user->n_bytes, SHARE + 4096);
}
END_TEST

START_TEST(an_end_always_fits_where_a_span_waits_for_it) {
        uint64_t n = hold_the_share();

        for (uint64_t id = 1; id <= n; id++)
                script_span_end(&script, id);
        take(JOURNAL_PASS_END);
        ck_assert_uint_eq(view().counters.spans_closed, n);
}
END_TEST

START_TEST(ends_that_nothing_waits_for_count_like_all_else) {
        uint64_t n = hold_the_share();
        uint64_t refused = view().counters.refused_share;

        for (uint64_t id = n + 1; id <= n + 1000; id++)
                script_span_end(&script, id);
        take(0);
        ck_assert_uint_gt(view().counters.refused_share, refused + 900);
        ck_assert_uint_lt(session->user->n_bytes, SHARE + 4096);
        take(JOURNAL_PASS_END);
}
END_TEST

START_TEST(an_end_that_is_large_counts_like_all_else) {
        uint64_t n = hold_the_share();
        uint64_t refused = view().counters.refused_share;
        size_t at = script.records.size;
        RecordHeader header;

        script_span_attribute(&script, n, "k", text);
        header = record_header_read(script.records.data + at);
        header.flags = RECORD_END;
        record_header_write(script.records.data + at, &header);
        take(JOURNAL_PASS_END);
        ck_assert_uint_eq(view().counters.refused_share, refused + 1);
        ck_assert_uint_eq(view().counters.spans_closed, 0);
}
END_TEST

START_TEST(updates_without_a_body_come_to_an_end) {
        script_crash(&script);
        script.uid_share_bytes = SIZE_MAX;
        script_open(&script);
        session = script_session(&script, 2, "shop");
        script_span_start(&script, 0, 1, "many pieces");
        for (unsigned i = 0; i < 15000; i++)
                script_say_raw(&script, RECORD_SPAN, 0, 0, 1, NULL, 0);
        script_span_end(&script, 1);
        take(JOURNAL_PASS_END);
        ck_assert_uint_gt(view().counters.refused_too_large, 4000);
        ck_assert_uint_eq(view().counters.spans_closed, 1);
}
END_TEST

START_TEST(a_context_has_a_bound_of_its_own) {
        /* A checkpoint named "abcd". */
        static const char checkpoint[] = "\x52\x06\x0a\x04"
                                         "abcd";

        script_context(&script, 5, "ctx", "corr", NULL);
        for (unsigned i = 0; i < 2000; i++)
                script_say_raw(&script, RECORD_CONTEXT, 0, 5, 0, checkpoint, sizeof checkpoint - 1);
        take(JOURNAL_PASS_END);
        ck_assert_uint_gt(view().counters.refused_too_large, 900);
        ck_assert_uint_lt(view().counters.refused_too_large, 1100);
}
END_TEST

START_TEST(a_context_shows_no_more_tags_than_a_span_has_attributes) {
        const char *exported;
        char tags[130 * 14];
        unsigned n = 0;

        for (unsigned i = 0; i < 130; i++) {
                char *tag = tags + 12 * i;
                memcpy(tag, "\x4a\x0a\x0a\x03t00\x12\x03\x0a\x01v", 12);
                tag[4] = (char)('A' + i / 26);
                tag[5] = (char)('a' + i % 26);
                tag[6] = 'z';
        }
        script_say_raw(&script, RECORD_CONTEXT, RECORD_START, 5, 0, tags, 130 * 12);
        script_span_start(&script, 5, 1, "tagged");
        script_span_end(&script, 1);
        take(JOURNAL_PASS_END);
        script_deliver(&script);
        exported = script_exported(&script, 1);
        while ((exported = strstr(exported, "z=v"))) {
                exported++;
                n++;
        }
        ck_assert_uint_eq(n, 128);
        ck_assert_uint_eq(view().counters.over_limit, 2);
}
END_TEST

START_TEST(a_resource_counts_for_its_user) {
        size_t before = session->user->n_bytes;
        Session *other = script_session(&script, 4, text);

        ck_assert_ptr_eq(other->user, session->user);
        /* In the journal, and as the copy that is exported. */
        ck_assert_uint_gt(session->user->n_bytes, before + 2 * strlen(text));
}
END_TEST

START_TEST(nobody_new_comes_in_while_there_is_only_room_for_ends) {
        SessionCredentials credentials = {.pid = 9, .uid = 9};
        uint8_t token[RECORD_TOKEN_SIZE] = {9};
        Session *late;

        script_crash(&script);
        script.uid_share_bytes = SIZE_MAX;
        script_open(&script);
        session = script_session(&script, 2, "shop");
        for (uint64_t id = 1; view().journal.n_segments_free > 2; id++) {
                script_span_start(&script, 0, id, text);
                script_span_end(&script, id);
                take(JOURNAL_PASS_END);
        }
        ck_assert_int_eq(recorder_session_begin(script.recorder, &late, &credentials, token,
                                                (const uint8_t *)"\x08\x01", 2, script.now),
                         RECORDER_E_FULL);
        script_deliver(&script);
        ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
        ck_assert_int_eq(recorder_session_begin(script.recorder, &late, &credentials, token,
                                                (const uint8_t *)"\x08\x01", 2, script.now),
                         0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("admission");
        TCase *tcase = tcase_create("admission");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_whole_span_counts_like_one_in_pieces);
        tcase_add_test(tcase, an_end_always_fits_where_a_span_waits_for_it);
        tcase_add_test(tcase, ends_that_nothing_waits_for_count_like_all_else);
        tcase_add_test(tcase, an_end_that_is_large_counts_like_all_else);
        tcase_add_test(tcase, updates_without_a_body_come_to_an_end);
        tcase_add_test(tcase, a_context_has_a_bound_of_its_own);
        tcase_add_test(tcase, a_context_shows_no_more_tags_than_a_span_has_attributes);
        tcase_add_test(tcase, a_resource_counts_for_its_user);
        tcase_add_test(tcase, nobody_new_comes_in_while_there_is_only_room_for_ends);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
