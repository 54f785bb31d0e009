/* SPDX-License-Identifier: Apache-2.0 */

/* What comes in with a request, and what becomes of it in the next. */

#include "lib/catena.h"
#include "tests/unit/carrier.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#define TRACE       "0af7651916cd43dd8448eb211c80319c"
#define SPAN        "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE "-" SPAN "-01"

static FakeDaemon fake;

static void start(void) {
        fake_daemon_open(&fake);
}

static void stop(void) {
        fake_daemon_close(&fake);
}

static catena_stats stats(void) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        return stats;
}

/* ---- golden ---- */

static const char *const header_names[] = {"traceparent", "tracestate", "baggage"};

/* The headers that came in: name="value" name="value". */
static void read_headers(Carrier *carrier, char *text) {
        while (*text) {
                char *equals = strchr(text, '='), *end;

                ck_assert_ptr_nonnull(equals);
                *equals = 0;
                end = strchr(equals + 2, '"');
                ck_assert_msg(equals[1] == '"' && end, "not quoted: %s", equals + 1);
                if (end[1])
                        *++end = 0;
                end++;
                carrier->names[carrier->n] = text;
                carrier->values[carrier->n] = equals + 1;
                carrier->values[carrier->n][golden_text(equals + 1)] = 0;
                carrier->values[carrier->n] = strdup(carrier->values[carrier->n]);
                carrier->n++;
                text = end;
        }
}

/* Whether no header came twice: for carriers that hold but one of each. */
static bool are_single(const Carrier *carrier) {
        for (unsigned i = 1; i < carrier->n; i++)
                for (unsigned j = 0; j < i; j++)
                        if (strcmp(carrier->names[i], carrier->names[j]) == 0)
                                return false;
        return true;
}

static void assert_passed_on(const Golden *golden, catena_context *context) {
        const char *came = golden->columns[1];
        bool is_new = strcmp(came, "new") == 0;
        Carrier out = {0};
        catena_span span = {0};
        const char *passed;

        if (is_new) /* then it has no span yet */
                span = catena_span_start(context, "s", 0);
        ck_assert(catena_inject(context, span, carrier_set, &out));
        passed = carrier_value(&out, "traceparent");
        if (is_new)
                ck_assert_msg(strncmp(passed + 3, "4bf92f", 6) != 0 &&
                                      strcmp(passed + 52, "-03") == 0 &&
                                      !catena_context_parent_span_id(context),
                              "%s: %s", golden->columns[0], passed);
        else
                ck_assert_msg(strcmp(passed, came) == 0, "%s: %s", golden->columns[0], passed);
        passed = carrier_value(&out, "tracestate");
        ck_assert_msg(strcmp(passed ? passed : "", golden->columns[2]) == 0, "%s: %s",
                      golden->columns[0], passed);
        passed = foreign(carrier_value(&out, "baggage"));
        ck_assert_msg(strcmp(passed, golden->columns[3]) == 0, "%s: %s", golden->columns[0],
                      passed);
        carrier_clear(&out);
        catena_context_free(context);
}

static void assert_all_carriers(const Golden *golden, Carrier *in) {
        const char *values[3];

        assert_passed_on(golden, catena_context_extract(carrier_get, in, 0));
        if (!are_single(in))
                return;
        for (size_t i = 0; i < 3; i++) {
                const char *variable = ((const char *[]){"TRACEPARENT", "TRACESTATE",
                                                         "BAGGAGE"})[i];

                values[i] = carrier_value(in, header_names[i]);
                if (values[i])
                        setenv(variable, values[i], 1);
                else
                        unsetenv(variable);
        }
        assert_passed_on(golden,
                         catena_context_extract_strings(values[0], values[1], values[2], 0));
        assert_passed_on(golden, catena_context_extract_environ(0));
}

START_TEST(headers_are_passed_on) {
        Golden golden;
        unsigned n = 0;

        golden_open(&golden, "propagation.txt");
        while (golden_next(&golden, 5)) {
                Carrier in = {0};

                for (unsigned i = 1; i < 4; i++)
                        golden.columns[i][golden_text(golden.columns[i])] = 0;
                read_headers(&in, golden.columns[4]);
                assert_all_carriers(&golden, &in);
                carrier_clear(&in);
                fake_daemon_take(&fake);
                n++;
        }
        ck_assert_uint_gt(n, 60);
        ck_assert_uint_eq(stats().misuse, 0);
        ck_assert_uint_gt(stats().headers_refused, 20);
}
END_TEST

/* ---- extracting ---- */

/* An extracted context is remote. */
START_TEST(an_extracted_parent_is_remote) {
        catena_context *context = catena_context_extract_strings(TRACEPARENT, "a=1", NULL, 0);
        catena_span first = catena_span_start(context, "first", 0);
        catena_span second = catena_span_start(context, "second", 0), third;
        catena_context *child;
        FakeSpan *said;

        catena_span_end(second);
        catena_span_end(first);
        ck_assert_str_eq(catena_context_span_id(context), SPAN);
        child = catena_context_child(context);
        third = catena_span_start(child, "third", 0);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, first.span_id);
        ck_assert_uint_eq(said->flags, 0x301);
        ck_assert_str_eq(said->trace_state, "a=1");
        fake_span_free(said);
        said = fake_daemon_span(&fake, second.span_id);
        ck_assert_uint_eq(said->flags, 0x101);
        ck_assert_str_eq(said->trace_state, "a=1");
        fake_span_free(said);
        said = fake_daemon_span(&fake, third.span_id);
        ck_assert_uint_eq(said->flags, 0x301);
        ck_assert_str_eq(said->trace_state, "a=1");
        fake_span_free(said);
        catena_context_free(child);
        catena_context_free(context);
}
END_TEST

/* Roots with random ids set the Random flag. */
START_TEST(roots_are_random) {
        catena_context *context = catena_context_new(NULL, NULL);
        char header[56];

        catena_span_start(context, "s", 0);
        ck_assert_uint_eq(catena_inject_string(context, (catena_span){0},
                                               CATENA_HEADER_TRACEPARENT, header, sizeof header),
                          55);
        ck_assert_str_eq(header + 52, "-03");
        catena_context_free(context);
}
END_TEST

START_TEST(of_the_untrusted_only_a_link_remains) {
        catena_context *context = catena_context_extract_strings(
                TRACEPARENT, "a=1",
                "user=7,workflow.id=w,workflow.correlation_id=chain,workflow.context_id=sender",
                CATENA_UNTRUSTED);
        catena_span first, second, third;
        FakeSpan *said;
        char baggage[512];

        ck_assert_str_ne(catena_context_trace_id(context), TRACE);
        ck_assert_ptr_null(catena_context_parent_span_id(context));
        ck_assert_str_eq(catena_context_correlation_id(context), catena_context_id(context));
        ck_assert_ptr_null(catena_context_causation_id(context));
        ck_assert_ptr_null(catena_context_workflow_id(context));
        first = catena_span_start(context, "first", 0);
        second = catena_span_start(context, "second", 0);
        ck_assert_uint_eq(catena_inject_string(context, (catena_span){0}, CATENA_HEADER_TRACESTATE,
                                               baggage, sizeof baggage),
                          0);
        ck_assert_uint_gt(catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE,
                                               baggage, sizeof baggage),
                          0);
        ck_assert_str_eq(foreign(baggage), "");
        catena_span_end(second);
        catena_span_end(first);
        third = catena_span_start(context, "third", 0);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, first.span_id);
        ck_assert_uint_eq(said->flags, 0x103);
        ck_assert_uint_eq(said->parent_span_id.len, 0);
        ck_assert_uint_eq(said->n_links, 1);
        ck_assert_uint_eq(said->links[0]->flags, 0x301);
        ck_assert_mem_eq(said->links[0]->span_id.data, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
        ck_assert_mem_eq(said->links[0]->trace_id.data, "\x0a\xf7\x65\x19", 4);
        fake_span_free(said);
        said = fake_daemon_span(&fake, second.span_id);
        ck_assert_uint_eq(said->n_links, 0);
        fake_span_free(said);
        said = fake_daemon_span(&fake, third.span_id);
        ck_assert_uint_eq(said->n_links, 1);
        fake_span_free(said);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(context);
}
END_TEST

START_TEST(an_untrusted_sender_of_nothing_is_a_root) {
        catena_context *context =
                catena_context_extract_strings("rubbish", NULL, NULL, CATENA_UNTRUSTED);
        catena_span span = catena_span_start(context, "s", 0);
        FakeSpan *said;

        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_eq(said->n_links, 0);
        fake_span_free(said);
        ck_assert_uint_eq(stats().headers_refused, 1);
        catena_context_free(context);
}
END_TEST

START_TEST(the_chain_comes_in_baggage) {
        catena_context *context = catena_context_extract_strings(
                NULL, NULL,
                "workflow.id=order%204711,workflow.session_id=s,workflow.correlation_id=chain,"
                "workflow.context_id=sender,tenant=t%20%C3%A4;p",
                0);

        ck_assert_str_eq(catena_context_workflow_id(context), "order 4711");
        ck_assert_str_eq(catena_context_session_id(context), "s");
        ck_assert_str_eq(catena_context_correlation_id(context), "chain");
        ck_assert_str_eq(catena_context_causation_id(context), "sender");
        ck_assert_str_eq(catena_context_get_baggage(context, "tenant"), "t \xc3\xa4");
        ck_assert_ptr_null(catena_context_get_baggage(context, "workflow.id"));
        ck_assert_uint_eq(stats().headers_refused, 0);
        catena_context_free(context);
}
END_TEST

START_TEST(ids_of_a_chain_that_are_rubbish_are_refused) {
        catena_context *context = catena_context_extract_strings(
                NULL, NULL, "workflow.correlation_id=%FF,workflow.context_id=%0A", 0);

        ck_assert_str_eq(catena_context_correlation_id(context), catena_context_id(context));
        ck_assert_ptr_null(catena_context_causation_id(context));
        ck_assert_uint_eq(stats().headers_refused, 2);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_context_free(context);
}
END_TEST

/* Invalid UTF-8 decodes to U+FFFD; what is passed on is as it came. */
START_TEST(baggage_decodes_to_utf8) {
        catena_context *context =
                catena_context_extract_strings(NULL, NULL, "a=%FFx,b=1%00%32,c=%E2%82", 0);
        char baggage[512];

        ck_assert_str_eq(catena_context_get_baggage(context, "a"), "\xef\xbf\xbdx");
        ck_assert_str_eq(catena_context_get_baggage(context, "b"), "1\xef\xbf\xbd"
                                                                   "2");
        ck_assert_str_eq(catena_context_get_baggage(context, "c"), "\xef\xbf\xbd");
        catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE, baggage,
                             sizeof baggage);
        ck_assert_str_eq(foreign(baggage), "a=%FFx,b=1%00%32,c=%E2%82");
        catena_context_free(context);
}
END_TEST

/* Percent-encoded is all outside baggage-octet, and '%' itself. */
START_TEST(baggage_that_is_set_is_encoded) {
        catena_context *context = catena_context_extract_strings(NULL, NULL, "a=1;p=1,b=2", 0);
        char baggage[512];

        ck_assert(catena_context_set_baggage(context, "a", " ,;\\\"%=\xc3\xa4\x01!~"));
        ck_assert(catena_context_set_baggage(context, "e", ""));
        catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE, baggage,
                             sizeof baggage);
        ck_assert_str_eq(foreign(baggage), "a=%20%2C%3B%5C%22%25=%C3%A4%01!~,b=2,e=");
        catena_context_free(context);
}
END_TEST

/* ---- bad input ---- */

/* At least 64 members and 8192 bytes in all; never a partial member. */
START_TEST(two_hundred_members_of_baggage) {
        char header[200 * 8], passed[8193];
        catena_context *context;
        size_t size = 0, iterator = 0, n = 0;
        unsigned n_members = 1;

        for (unsigned i = 0; i < 200; i++)
                size += (size_t)sprintf(header + size, "%sk%u=v", i ? "," : "", i);
        context = catena_context_extract_strings(NULL, NULL, header, 0);
        while (catena_context_next_baggage(context, &iterator, NULL, NULL))
                n++;
        ck_assert_uint_eq(n, 64);
        ck_assert_uint_eq(stats().headers_refused, 136);
        size = catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE, passed,
                                    sizeof passed);
        ck_assert_uint_eq(size, strlen(passed));
        for (const char *at = passed; (at = strchr(at, ',')); at++)
                n_members++;
        ck_assert_uint_eq(n_members, 64);
        ck_assert_str_eq(passed + size - 5, "k61=v");
        catena_context_free(context);
}
END_TEST

START_TEST(baggage_of_8192_bytes_is_passed_on) {
        char header[8193], passed[8193];
        catena_context *context;
        size_t size;

        memset(header, 'v', sizeof header);
        memcpy(header, "k=", 2);
        header[8190] = 0;
        context = catena_context_extract_strings(NULL, NULL, header, 0);
        ck_assert_ptr_nonnull(catena_context_get_baggage(context, "k"));
        /* The chain's own come first, so then there is no room for it. */
        size = catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE, passed,
                                    sizeof passed);
        ck_assert_uint_lt(size, 200);
        ck_assert_str_eq(foreign(passed), "");
        catena_context_free(context);

        header[8000] = 0;
        context = catena_context_extract_strings(NULL, NULL, header, 0);
        ck_assert_uint_gt(catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE,
                                               passed, sizeof passed),
                          8000);
        ck_assert_str_eq(foreign(passed), header);
        catena_context_free(context);
}
END_TEST

START_TEST(a_tracestate_of_8_kib) {
        char header[8192] = "", passed[513];
        catena_context *context;
        size_t size = 0;

        for (unsigned i = 0; i < 31; i++)
                size += (size_t)sprintf(header + size, "%sk%02u=%0254u", i ? "," : "", i, i);
        context = catena_context_extract_strings(TRACEPARENT, header, NULL, 0);
        size = catena_inject_string(context, (catena_span){0}, CATENA_HEADER_TRACESTATE, passed,
                                    sizeof passed);
        ck_assert_uint_eq(size, 258); /* with a second one it would be 517 */
        ck_assert_mem_eq(passed, header, size);
        ck_assert_uint_eq(stats().headers_refused, 1);
        catena_context_free(context);

        memset(header, 'x', sizeof header - 1);
        header[sizeof header - 1] = 0;
        header[1] = '=';
        context = catena_context_extract_strings(TRACEPARENT, header, NULL, 0);
        ck_assert_uint_eq(catena_inject_string(context, (catena_span){0}, CATENA_HEADER_TRACESTATE,
                                               passed, sizeof passed),
                          0);
        ck_assert_str_eq(catena_context_trace_id(context), TRACE);
        ck_assert_uint_eq(stats().headers_refused, 2);
        catena_context_free(context);
}
END_TEST

static unsigned n_asked;

static const char *get_endless(void *carrier, const char *name, size_t index) {
        (void)index;
        n_asked++;
        return strcmp(name, "traceparent") == 0 ? NULL : carrier;
}

START_TEST(a_carrier_without_end_is_left) {
        static char large[70000], nothing[] = "", member[] = "k=vvvvvvvvvvvvvvvvvvvvvvvvvvvv";
        catena_context *context;

        context = catena_context_extract(get_endless, nothing, 0);
        ck_assert_uint_lt(n_asked, 1000);
        ck_assert_uint_eq(stats().headers_refused, 1);
        catena_context_free(context);
        context = catena_context_extract(get_endless, member, 0);
        ck_assert_uint_lt(n_asked, 1000);
        ck_assert_ptr_null(catena_context_get_baggage(context, "k"));
        catena_context_free(context);
        memset(large, 'v', sizeof large - 1);
        memcpy(large, "k=1,l=", 6);
        context = catena_context_extract_strings(large, large, large, 0);
        ck_assert_ptr_null(catena_context_get_baggage(context, "k"));
        ck_assert_uint_eq(stats().headers_refused, 4);
        catena_context_free(context);
}
END_TEST

START_TEST(misuse_is_counted) {
        catena_span span = {.trace_id = {1}, .span_id = {1}};
        catena_context *context = catena_context_new("w", NULL), *root;
        char text[8] = "before";

        root = catena_context_extract(NULL, NULL, 0);
        ck_assert_ptr_nonnull(root);
        catena_context_free(root);
        catena_context_free(catena_context_extract_strings(NULL, NULL, NULL, 0x80));
        ck_assert(!catena_inject(context, span, NULL, NULL));
        ck_assert_uint_eq(catena_inject_string(context, span, 3, text, sizeof text), 0);
        ck_assert_str_eq(text, "");
        ck_assert_uint_eq(catena_inject_string(context, span, -1, NULL, 0), 0);
        ck_assert_uint_eq(catena_inject_string(context, span, 0, NULL, 4), 0);
        ck_assert(!catena_context_set_parent(context, (catena_span){0}));
        ck_assert_uint_eq(stats().misuse, 7);
        catena_context_free(context);
        ck_assert(!catena_context_set_parent(context, span));
        ck_assert(!catena_context_set_parent(NULL, span));
        ck_assert_uint_eq(catena_inject_string(context, (catena_span){0}, CATENA_HEADER_BAGGAGE,
                                               text, sizeof text),
                          0);
        ck_assert_uint_eq(stats().misuse, 10);
        /* Of a span that is there, the trace can still be told. */
        ck_assert_uint_eq(catena_inject_string(context, span, CATENA_HEADER_TRACEPARENT, NULL, 0),
                          55);
        ck_assert_uint_eq(stats().misuse, 11);
}
END_TEST

START_TEST(misuse_is_told_once) {
        char path[128], text[1024] = "";
        FILE *file;

        snprintf(path, sizeof path, "%s/debug", fake.folder);
        setenv("CATENA_DEBUG", path, 1);
        for (unsigned i = 0; i < 3; i++)
                catena_context_free(catena_context_extract_strings("x", NULL, NULL, 0));
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        (void)!fread(text, 1, sizeof text - 1, file);
        fclose(file);
        unlink(path);
        ck_assert_str_eq(text, "catena: a header that came in is malformed or over a limit\n");
        ck_assert_uint_eq(stats().headers_refused, 3);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lib-extract");
        TCase *tcase = tcase_create("extract");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, headers_are_passed_on);
        tcase_add_test(tcase, an_extracted_parent_is_remote);
        tcase_add_test(tcase, roots_are_random);
        tcase_add_test(tcase, of_the_untrusted_only_a_link_remains);
        tcase_add_test(tcase, an_untrusted_sender_of_nothing_is_a_root);
        tcase_add_test(tcase, the_chain_comes_in_baggage);
        tcase_add_test(tcase, ids_of_a_chain_that_are_rubbish_are_refused);
        tcase_add_test(tcase, baggage_decodes_to_utf8);
        tcase_add_test(tcase, baggage_that_is_set_is_encoded);
        tcase_add_test(tcase, two_hundred_members_of_baggage);
        tcase_add_test(tcase, baggage_of_8192_bytes_is_passed_on);
        tcase_add_test(tcase, a_tracestate_of_8_kib);
        tcase_add_test(tcase, a_carrier_without_end_is_left);
        tcase_add_test(tcase, misuse_is_counted);
        tcase_add_test(tcase, misuse_is_told_once);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
