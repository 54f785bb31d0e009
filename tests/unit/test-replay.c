/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A random life of three clients, told in steps, is lived twice: once without a break, and once
 * with the daemon dying after some step and standing up again. Both export the same.
 */

#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 400, CLIENTS = 3, OPEN_MAX = 40 };

typedef struct Life {
        unsigned state; /* of the random numbers */
        uint8_t token[CLIENTS][RECORD_TOKEN_SIZE];
        uint32_t uid[CLIENTS];
        unsigned n_sessions;
        uint64_t next_id;
        uint64_t open[CLIENTS][OPEN_MAX];
        unsigned n_open[CLIENTS];
        bool pass_open[CLIENTS];
        uint32_t context[CLIENTS];
} Life;

static char filler[18001];

static unsigned life_random(Life *life, unsigned n) {
        life->state = life->state * 1664525 + 1013904223;
        return (life->state >> 12) % n;
}

static Session *life_session(Life *life, Script *script, unsigned client) {
        Session *session =
                recorder_session_by_token(script->recorder, life->token[client], life->uid[client]);

        if (session)
                return session;
        life->n_open[client] = 0;
        life->context[client] = 0;
        life->pass_open[client] = false;
        session = script_session(script, ++life->n_sessions, client ? "shop" : "bank");
        memcpy(life->token[client], session->token, RECORD_TOKEN_SIZE);
        life->uid[client] = session->credentials.uid;
        return session;
}

static void life_say(Life *life, Script *script, unsigned client) {
        unsigned *n_open = &life->n_open[client];
        uint64_t *open = life->open[client];
        char key[16];
        unsigned i;

        switch (life_random(life, 8)) {
        case 0:
                if (life->context[client])
                        script_context_end(script, life->context[client]);
                life->context[client] = (uint32_t)++life->next_id;
                snprintf(key, sizeof key, "ctx-%llu", (unsigned long long)life->next_id++);
                script_context(script, life->context[client], key, "corr", "cause");
                break;
        case 1:
        case 2:
        case 3:
                if (*n_open == OPEN_MAX)
                        break;
                open[(*n_open)++] = ++life->next_id;
                script_span_start(script, life->context[client], life->next_id,
                                  life_random(life, 3) ? filler : "short");
                break;
        case 4:
                if (!*n_open)
                        break;
                snprintf(key, sizeof key, "k%u", life_random(life, 20));
                script_span_attribute(script, open[life_random(life, *n_open)], key, filler + 9000);
                break;
        case 5:
        case 6:
                if (!*n_open)
                        break;
                i = life_random(life, *n_open);
                script_span_end(script, open[i]);
                open[i] = open[--*n_open];
                break;
        case 7:
                if (life_random(life, 2))
                        script_say_raw(script, RECORD_SPAN, RECORD_START, 0, 1, "\x0b", 1);
                else
                        script_span_end(script, 1); /* an orphan */
        }
}

static void life_step(Life *life, Script *script) {
        unsigned client = life_random(life, CLIENTS);
        bool ends = life_random(life, 3);
        Session *session;
        uint16_t flags;

        switch (life_random(life, 24)) {
        case 0:
                session = life_session(life, script, client);
                ck_assert_int_eq(recorder_session_end(script->recorder, &session,
                                                      life_random(life, 2) ? SESSION_EXITED
                                                                           : SESSION_SAID_BYE,
                                                      script->now++),
                                 0);
                break;
        case 1:
        case 2:
                script_deliver(script);
                break;
        case 3:
        case 4:
                ck_assert_int_eq(recorder_seal(script->recorder, script->now++, true), 0);
                break;
        default:
                session = life_session(life, script, client);
                for (unsigned n = life_random(life, 24); n; n--)
                        life_say(life, script, client);
                flags = life->pass_open[client] ? JOURNAL_CUT_2 | JOURNAL_PASS_END
                        : ends                  ? JOURNAL_PASS_END
                                                : 0;
                life->pass_open[client] = !flags;
                ck_assert_int_eq(script_take(script, session, flags), 0);
        }
        ck_assert_int_eq(recorder_reclaim(script->recorder, script->now++), 0);
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lives it, with a break after the step named. */
static void life_live(Script *script, unsigned seed, unsigned break_after) {
        Life life = {.state = seed, .next_id = 1000};

        script_init(script);
        script_open(script);
        for (unsigned step = 0; step < STEPS; step++) {
                life_step(&life, script);
                if (step == break_after) {
                        RecorderView before, after;

                        recorder_view(script->recorder, &before);
                        script_crash(script);
                        script_open(script);
                        recorder_view(script->recorder, &after);
                        /* A pass that was cut short is ended, so that spans may close here. */
                        after.counters.spans_closed = before.counters.spans_closed;
                        after.counters.orphans = before.counters.orphans;
                        after.counters.spans_rebuilt = before.counters.spans_rebuilt;
                        after.counters.spans_without_context =
                                before.counters.spans_without_context;
                        ck_assert_mem_eq(&before.counters, &after.counters, sizeof before.counters);
                        script_assert_conservation(script);
                        for (unsigned i = 0; i < CLIENTS; i++)
                                life.pass_open[i] = false;
                }
        }
        for (unsigned client = 0; client < CLIENTS; client++) {
                Session *session = life_session(&life, script, client);
                ck_assert_int_eq(recorder_session_end(script->recorder, &session, SESSION_EXITED,
                                                      script->now++),
                                 0);
        }
        script_deliver(script);
        script_assert_conservation(script);
        qsort(script->spans, script->n_spans, sizeof *script->spans, compare_texts);
}

START_TEST(a_life_with_a_break_exports_the_same) {
        Script whole, broken;
        RecorderView view;

        memset(filler, 'f', sizeof filler - 1);
        life_live(&whole, (unsigned)_i, STEPS);
        recorder_view(whole.recorder, &view);
        ck_assert_uint_gt(whole.n_spans, 100);
        ck_assert_uint_eq(view.counters.spans_finished, view.counters.spans_accepted);
        for (unsigned step = (unsigned)_i % 7; step < STEPS; step += 19) {
                life_live(&broken, (unsigned)_i, step);
                ck_assert_uint_eq(broken.report.n_lost_blocks, 0);
                ck_assert_uint_eq(broken.n_spans, whole.n_spans);
                for (size_t i = 0; i < whole.n_spans; i++)
                        ck_assert_str_eq(broken.spans[i], whole.spans[i]);
                script_deinit(&broken);
        }
        script_deinit(&whole);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("replay");
        TCase *tcase = tcase_create("replay");

        tcase_set_timeout(tcase, 300);
        tcase_add_loop_test(tcase, a_life_with_a_break_exports_the_same, 1, 12);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
