/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A random life of three clients and two exporters, told in steps. The daemon dies now and then and
 * stands up where it stood: it counts and holds the same, and in the end it has exported what it
 * exports in a life without a break.
 */

#include "tests/unit/folder.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <fcntl.h>

enum { SEEDS = 3, STEPS = 400, CLIENTS = 3, OPEN_MAX = 40, USERS = 3, NEVER = STEPS };

static const uint64_t HOUR = UINT64_C(3600000000000);

enum {
        BLOCK_HEADER = 48,
        HEADER = 64,
        POSITION_BITS = 21,
        SEGMENT_PATH_SIZE = FOLDER_PATH_SIZE + 32
};

typedef struct Life {
        Script script;
        unsigned state;    /* of the random numbers */
        unsigned chance;   /* of what is no part of the life itself */
        bool hard;         /* small shares, and collectors that are away for long */
        unsigned n_breaks; /* with whole passes */
        unsigned n_cuts;   /* in the midst of a compaction */
        uint8_t token[CLIENTS][RECORD_TOKEN_SIZE];
        uint32_t uid[CLIENTS];
        unsigned n_sessions;
        uint64_t next_id;
        uint64_t open[CLIENTS][OPEN_MAX];
        unsigned n_open[CLIENTS];
        uint64_t detached[OPEN_MAX]; /* of whatever user */
        unsigned n_detached;
        bool pass_open[CLIENTS];
        uint32_t context[CLIENTS];
        uint32_t flags; /* of the span that starts next */
} Life;

static char filler[18001];

static unsigned draw(unsigned *state, unsigned n) {
        *state = *state * 1664525 + 1013904223;
        return (*state >> 12) % n;
}

static unsigned life_random(Life *life, unsigned n) {
        return draw(&life->state, n);
}

/* ---- what is done ---- */

static Session *life_session(Life *life, unsigned client) {
        Session *session = recorder_session_by_token(life->script.recorder, life->token[client],
                                                     life->uid[client]);

        if (session)
                return session;
        life->n_open[client] = 0;
        life->context[client] = 0;
        life->pass_open[client] = false;
        session = script_session(&life->script, ++life->n_sessions, client ? "shop" : "bank");
        if (!session)
                return NULL;
        memcpy(life->token[client], session->token, RECORD_TOKEN_SIZE);
        life->uid[client] = session->credentials.uid;
        return session;
}

static void life_say_context(Life *life, unsigned client) {
        Script *script = &life->script;
        char id[32];

        if (life->context[client])
                script_context_end(script, life->context[client]);
        life->context[client] = (uint32_t)++life->next_id;
        snprintf(id, sizeof id, "ctx-%llu", (unsigned long long)life->next_id++);
        script_context(script, life->context[client], id, "corr", "cause");
        if (life_random(life, 2)) /* a tag */
                script_say_raw(script, RECORD_CONTEXT, 0, life->context[client], 0,
                               "\x4a\x08\x0a\x01k\x12\x03\x0a\x01t", 10);
}

static void life_say_oddity(Life *life) {
        switch (life_random(life, 4)) {
        case 0:
                script_say_raw(&life->script, RECORD_SPAN, RECORD_START, 0, 1, "\x0b", 1);
                break;
        case 1:
                script_span_end(&life->script, 1); /* an orphan */
                break;
        case 2:
                script_say_raw(&life->script, RECORD_LOST, 0, 0, 0, "\x18\x01", 2);
                break;
        default:
                script_say_raw(&life->script, RECORD_SCOPE, 0, 0, 0,
                               "\x0a\x03"
                               "app",
                               5);
        }
}

/* Also of what is another user's, or has expired. */
static void life_say_detached(Life *life, unsigned client) {
        Script *script = &life->script;
        unsigned i = life->n_detached ? life_random(life, life->n_detached) : 0;
        uint64_t *detached = life->detached;
        char key[16];

        script->span_flags = RECORD_DETACHED;
        switch (life_random(life, 4)) {
        case 0:
                if (life->n_detached == OPEN_MAX)
                        break;
                detached[life->n_detached++] = ++life->next_id;
                script_span_start(script, life->context[client], life->next_id, "detached");
                break;
        case 1:
        case 2:
                snprintf(key, sizeof key, "k%u", life_random(life, 20));
                if (life->n_detached)
                        script_span_attribute(script, detached[i], key, filler + 12000);
                break;
        default:
                if (!life->n_detached)
                        break;
                script_span_end(script, detached[i]);
                /* Who is late, and who in time, depends on where passes end. */
                if (!life->hard || life_random(life, 2))
                        detached[i] = detached[--life->n_detached];
        }
        script->span_flags = 0;
}

static void life_say(Life *life, unsigned client) {
        Script *script = &life->script;
        unsigned *n_open = &life->n_open[client], i;
        uint64_t *open = life->open[client];
        char key[16];

        switch (life_random(life, 13)) {
        case 0:
                life_say_context(life, client);
                break;
        case 1:
        case 2:
        case 3:
                if (*n_open == OPEN_MAX)
                        break;
                open[(*n_open)++] = ++life->next_id;
                life->flags = life_random(life, 3) ? 0x101 : 0x100;
                script_span_start(script, life->context[client], life->next_id,
                                  life_random(life, 3) ? filler : "short");
                break;
        case 4:
        case 5:
                if (!*n_open)
                        break;
                if (!life_random(life, 4))
                        script_span_error(script, open[life_random(life, *n_open)]);
                snprintf(key, sizeof key, "k%u", life_random(life, 20));
                script_span_attribute(script, open[life_random(life, *n_open)], key, filler + 9000);
                break;
        case 6:
        case 7:
                if (!*n_open)
                        break;
                i = life_random(life, *n_open);
                script_span_end(script, open[i]);
                open[i] = open[--*n_open];
                break;
        case 8:
                script_log(script, life_random(life, 4) ? "INFO" : filler + 4000);
                break;
        case 9:
        case 10:
        case 11:
                life_say_detached(life, client);
                break;
        default:
                life_say_oddity(life);
        }
}

static void life_talk(Life *life, unsigned client) {
        bool ends = life_random(life, 3);
        Session *session = life_session(life, client);
        unsigned n = life_random(life, 24);
        uint16_t flags;

        if (!session)
                return;
        while (n--)
                life_say(life, client);
        flags = life->pass_open[client] ? JOURNAL_CUT_2 | JOURNAL_PASS_END
                : ends                  ? JOURNAL_PASS_END
                                        : 0;
        if (script_take(&life->script, session, flags)) {
                ck_assert(life->hard);
                life->script.records.size = 0;
                return;
        }
        life->pass_open[client] = !flags;
}

static void life_end_session(Life *life, unsigned client, SessionState how) {
        Session *session = life_session(life, client);

        if (session)
                ck_assert_int_eq(recorder_session_end(life->script.recorder, &session, how,
                                                      life->script.now++),
                                 0);
}

static void life_wait(Life *life, uint64_t ns) {
        int r;

        life->script.now += ns;
        r = recorder_expire(life->script.recorder, life->script.now++);
        ck_assert(!r || (life->hard && r == RECORDER_E_FULL));
}

static void life_step(Life *life) {
        Script *script = &life->script;
        unsigned client = life_random(life, CLIENTS);
        /* In a hard life the exporters answer seldom, but then for all. */
        bool away = life->hard && life_random(life, 64);

        switch (life_random(life, 24)) {
        case 0:
                life_end_session(life, client,
                                 life_random(life, 2) ? SESSION_EXITED : SESSION_SAID_BYE);
                break;
        case 1:
        case 2:
                if (!away)
                        script_deliver(script);
                break;
        case 3:
                ck_assert_int_eq(recorder_seal(script->recorder, script->now++, true), 0);
                break;
        case 4:
                script_deliver_to(script, script->exporters[away]);
                break;
        case 5:
                life_wait(life, (uint64_t)life_random(life, 9) * HOUR);
                break;
        default:
                life_talk(life, client);
        }
}

/* ---- the break ---- */

typedef struct State {
        RecorderView view;
        RecorderExporter exporters[BATCH_EXPORTERS_MAX];
        size_t user_bytes[USERS];
        bool whole; /* no pass is open */
} State;

static void state_take(State *state, const Life *life) {
        *state = (State){.whole = true};
        recorder_view(life->script.recorder, &state->view);
        memcpy(state->exporters, state->view.exporters,
               state->view.n_exporters * sizeof *state->exporters);
        for (unsigned i = 0; i < BATCH_EXPORTERS_MAX; i++)
                state->exporters[i].name = NULL;
        list_for_each (link, state->view.sessions) {
                const Session *session = list_entry(link, Session, link);
                state->user_bytes[session->credentials.uid] = session->user->n_bytes;
                if (recorder_session_unsettled(session))
                        state->whole = false;
        }
}

static void state_check(const State *before, State *after) {
        const RecorderView *a = &before->view, *b = &after->view;

        ck_assert_uint_eq(b->n_exporters, a->n_exporters);
        ck_assert_mem_eq(after->exporters, before->exporters, sizeof after->exporters);
        ck_assert_uint_eq(b->n_sessions_alive, a->n_sessions_alive);
        if (before->whole) {
                /*
                 * What comes when a span is gone is an orphan, or late where a replay does not know
                 * before its end that the span was delivered.
                 */
                ck_assert_uint_eq(b->counters.late + b->counters.orphans,
                                  a->counters.late + a->counters.orphans);
                after->view.counters.late = a->counters.late;
                after->view.counters.orphans = a->counters.orphans;
                ck_assert_mem_eq(&b->counters, &a->counters, sizeof a->counters);
                ck_assert_uint_eq(b->n_spans_open, a->n_spans_open);
                ck_assert_uint_eq(b->n_spans_undecided, a->n_spans_undecided);
                ck_assert_uint_eq(b->n_contexts, a->n_contexts);
                ck_assert_uint_eq(b->n_unsealed[BATCH_TRACES], a->n_unsealed[BATCH_TRACES]);
        } else {
                /* A pass that was cut short is ended, so that spans may close here. */
                after->view.counters.spans_closed = a->counters.spans_closed;
                after->view.counters.orphans = a->counters.orphans;
                after->view.counters.late = a->counters.late;
                after->view.counters.spans_rebuilt = a->counters.spans_rebuilt;
                after->view.counters.spans_without_context = a->counters.spans_without_context;
                after->view.counters.over_limit = a->counters.over_limit;
                ck_assert_mem_eq(&b->counters, &a->counters, sizeof a->counters);
        }
        ck_assert_uint_eq(b->n_unsealed[BATCH_LOGS], a->n_unsealed[BATCH_LOGS]);
        ck_assert_mem_eq(b->n_sealed, a->n_sealed, sizeof a->n_sealed);
}

static void life_stand_up(Life *life, const State *before, bool moved) {
        Script *script = &life->script;
        State after;

        script_open(script);
        ck_assert_uint_eq(script->report.n_lost_blocks + script->report.n_lost_segments, 0);
        state_take(&after, life);
        state_check(before, &after);
        if (before->whole && !moved) {
                ck_assert_uint_eq(after.view.journal.live_bytes, before->view.journal.live_bytes);
                ck_assert_mem_eq(after.user_bytes, before->user_bytes, sizeof after.user_bytes);
                life->n_breaks++;
        }
        script_assert_conservation(script);
        for (unsigned i = 0; i < CLIENTS; i++)
                life->pass_open[i] = false;
}

typedef struct Blocks {
        uint64_t time_unix_ns;
        JournalPosition list[256]; /* of that time */
        unsigned n;
} Blocks;

static int blocks_note(void *user, JournalBlock *block) {
        Blocks *blocks = user;

        if (block->time_unix_ns == blocks->time_unix_ns && blocks->n < 256)
                blocks->list[blocks->n++] = block->position;
        return 0;
}

static void segment_path(char path[SEGMENT_PATH_SIZE], const char *folder, uint64_t number) {
        snprintf(path, SEGMENT_PATH_SIZE, "%s/%016llx.segment", folder, (unsigned long long)number);
}

/* As if the daemon had died before it wrote the block at the position. */
static void cut_journal(const char *folder, JournalPosition position) {
        uint64_t number = position >> POSITION_BITS;
        off_t place = (off_t)(position % JOURNAL_SEGMENT_SIZE) - BLOCK_HEADER;
        char path[SEGMENT_PATH_SIZE];
        static const uint8_t zeros[JOURNAL_SEGMENT_SIZE];
        int fd;

        segment_path(path, folder, number);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_gt(pwrite(fd, zeros, (size_t)(JOURNAL_SEGMENT_SIZE - HEADER - place), place),
                         0);
        close(fd);
        do
                segment_path(path, folder, ++number);
        while (!unlink(path));
}

/* A compaction, of which the crash leaves some blocks, or all of them. */
static void life_break_reclaim(Life *life) {
        Script *script = &life->script;
        char kept[FOLDER_PATH_SIZE], from[SEGMENT_PATH_SIZE], to[SEGMENT_PATH_SIZE];
        JournalPosition first, end;
        Blocks blocks = {0};
        size_t live_bytes;
        uint64_t number;
        State before;
        unsigned cut;

        if (!journal_oldest(script->journal, &first, &end, &live_bytes) || !live_bytes)
                return;
        state_take(&before, life);
        folder_make(kept);
        number = first >> POSITION_BITS;
        for (uint64_t i = number;; i++) {
                segment_path(from, script->path, i);
                segment_path(to, kept, i);
                if (link(from, to))
                        break;
        }
        blocks.time_unix_ns = script->now++;
        ck_assert_int_eq(recorder_reclaim(script->recorder, blocks.time_unix_ns), 0);
        ck_assert_int_eq(journal_each_block(script->journal, blocks_note, &blocks), 0);
        if (!blocks.n) {
                folder_remove(kept);
                return;
        }
        script_crash(script);
        cut = draw(&life->chance, blocks.n + 1);
        if (cut < blocks.n) {
                /* Nothing is freed before the last of them. */
                for (uint64_t i = number;; i++) {
                        segment_path(from, kept, i);
                        segment_path(to, script->path, i);
                        if (access(from, F_OK))
                                break;
                        if (access(to, F_OK))
                                ck_assert_int_eq(link(from, to), 0);
                }
                cut_journal(script->path, blocks.list[cut]);
                life->n_cuts += cut > 0;
        }
        folder_remove(kept);
        life_stand_up(life, &before, true);
}

/* ---- the whole ---- */

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void life_begin(Life *life, unsigned seed, bool hard, unsigned chance) {
        Script *script = &life->script;

        *life = (Life){.state = seed, .chance = chance, .hard = hard, .next_id = 1000};
        script_init(script);
        script->limits.attributes = 12;
        script->sampling.keep_errors = true;
        script->flags = &life->flags;
        script->refuses_some = seed % 2;
        script->exporters[1] = "slow";
        script->n_exporters = 2;
        if (hard)
                script->uid_share_bytes = 5 * 1024 * 1024;
        script_open(script);
}

static void life_end(Life *life) {
        for (unsigned client = 0; client < CLIENTS; client++)
                life_end_session(life, client, SESSION_EXITED);
        life_wait(life, RECORDER_DETACHED_HOURS * HOUR);
        script_deliver(&life->script);
        script_assert_conservation(&life->script);
}

/* Lives it; it breaks at every so many steps, from `first` on. */
static void life_live(Life *life, unsigned seed, bool hard, unsigned first, unsigned every) {
        Script *script = &life->script;

        life_begin(life, seed, hard, first);
        for (unsigned step = 0; step < STEPS; step++) {
                life_step(life);
                if (every < NEVER && draw(&life->chance, 2))
                        life_break_reclaim(life);
                ck_assert_int_eq(recorder_reclaim(script->recorder, script->now++), 0);
                script_assert_conservation(script);
                if (step % every == first % every) {
                        State before;
                        state_take(&before, life);
                        script_crash(script);
                        life_stand_up(life, &before, false);
                }
        }
        life_end(life);
        qsort(script->spans, script->n_spans, sizeof *script->spans, compare_texts);
}

static RecorderView life_view(const Life *life) {
        RecorderView view;

        recorder_view(life->script.recorder, &view);
        return view;
}

/* Nothing is left, and each exporter has had each span once. */
static void life_check_end(const Life *life) {
        const Script *script = &life->script;
        RecorderView view = life_view(life);

        ck_assert_uint_eq(view.counters.spans_finished,
                          view.counters.spans_accepted - view.counters.spans_unsampled);
        ck_assert_uint_gt(view.counters.spans_unsampled, 0);
        ck_assert_uint_gt(view.counters.spans_kept, 0);
        ck_assert_uint_eq(view.counters.logs_finished, view.counters.logs_accepted);
        ck_assert_uint_eq(script->n_spans, 2 * view.counters.spans_finished);
        ck_assert_uint_eq(script->n_logs, 2 * view.counters.logs_accepted);
        ck_assert(list_is_empty(view.sessions));
        ck_assert_uint_eq(view.journal.live_bytes, 0);
}

START_TEST(a_life_with_breaks_exports_the_same) {
        unsigned n_breaks = 0, n_cuts = 0;
        Life whole, broken;

        memset(filler, 'f', sizeof filler - 1);
        life_live(&whole, (unsigned)_i, false, 0, NEVER + 1);
        life_check_end(&whole);
        ck_assert_uint_gt(whole.script.n_spans, 200);
        ck_assert_uint_gt(life_view(&whole).counters.spans_expired, 0);
        for (unsigned first = (unsigned)_i; first < (unsigned)_i + 3; first++) {
                life_live(&broken, (unsigned)_i, false, 5 * first, 13);
                life_check_end(&broken);
                ck_assert_uint_eq(broken.script.n_spans, whole.script.n_spans);
                for (size_t i = 0; i < whole.script.n_spans; i++)
                        ck_assert_str_eq(broken.script.spans[i], whole.script.spans[i]);
                n_breaks += broken.n_breaks;
                n_cuts += broken.n_cuts;
                script_deinit(&broken.script);
        }
        ck_assert_uint_gt(n_breaks, 0);
        if (_i <= SEEDS) /* of others, few have none */
                ck_assert_uint_gt(n_cuts, 0);
        script_deinit(&whole.script);
}
END_TEST

/* What was refused depends on what the daemon has in memory; what was taken is not touched by it.
 */
START_TEST(a_hard_life_with_breaks_loses_nothing) {
        RecorderView view;
        Life life;

        memset(filler, 'f', sizeof filler - 1);
        life_live(&life, (unsigned)_i + 1, true, (unsigned)_i, 7); /* not all are hard enough */
        life_check_end(&life);
        view = life_view(&life);
        if (_i <= SEEDS)
                ck_assert_uint_gt(view.counters.refused_share + view.counters.refused_full, 0);
        script_deinit(&life.script);
}
END_TEST

/* A byte here and there is another: what it hit is lost and counted, and the rest lives on. */
START_TEST(a_life_with_damage_keeps_its_books) {
        char path[SEGMENT_PATH_SIZE];
        Script *script;
        Life life;

        memset(filler, 'f', sizeof filler - 1);
        life_begin(&life, (unsigned)_i, true, (unsigned)_i);
        script = &life.script;
        for (unsigned step = 0; step < STEPS; step++) {
                life_step(&life);
                ck_assert_int_eq(recorder_reclaim(script->recorder, script->now++), 0);
                script_assert_conservation(script);
                if (step % 40 != 39)
                        continue;
                script_crash(script);
                for (uint64_t i = 1; i < 64; i++) {
                        off_t place = (off_t)(draw(&life.chance, 1 << 20) * 2);
                        uint8_t byte;
                        int fd;

                        segment_path(path, script->path, i);
                        fd = open(path, O_RDWR | O_CLOEXEC);
                        if (fd < 0)
                                continue;
                        ck_assert_int_eq(pread(fd, &byte, 1, place), 1);
                        byte ^= 0x10;
                        ck_assert_int_eq(pwrite(fd, &byte, 1, place), 1);
                        close(fd);
                }
                script_open(script);
                script_assert_conservation(script);
        }
        life_end(&life);
        ck_assert_uint_eq(life_view(&life).n_spans_open, 0);
        ck_assert_uint_eq(life_view(&life).n_spans_undecided, 0);
        ck_assert_uint_eq(life_view(&life).n_sealed[BATCH_TRACES], 0);
        script_deinit(script);
}
END_TEST

int main(void) {
        int n = (int)unit_amount("REPLAY_SEEDS", SEEDS); /* more take longer */
        Suite *suite = suite_create("replay");
        TCase *tcase = tcase_create("replay");

        tcase_set_timeout(tcase, 300);
        tcase_add_loop_test(tcase, a_life_with_breaks_exports_the_same, 1, 1 + n);
        tcase_add_loop_test(tcase, a_hard_life_with_breaks_loses_nothing, 1, 1 + n);
        tcase_add_loop_test(tcase, a_life_with_damage_keeps_its_books, 1, 1 + 3 * n);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
