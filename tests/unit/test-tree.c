/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"
#include "lib/cli/dot.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* ---- golden: NAME.json, as the daemon answers, is drawn as NAME.txt ---- */

static char *read_golden(size_t *sizep, const char *name, const char *suffix) {
        char path[512], *data = NULL, chunk[4096];
        FILE *file, *memory;
        size_t n;

        snprintf(path, sizeof path, "%s/tree/%s%s", UNIT_GOLDEN, name, suffix);
        file = fopen(path, "r");
        ck_assert_msg(file, "cannot open %s", path);
        memory = open_memstream(&data, sizep);
        while ((n = fread(chunk, 1, sizeof chunk, file)))
                fwrite(chunk, 1, n, memory);
        fclose(memory);
        fclose(file);
        return data;
}

static const struct {
        const char *name, *input;
        TreeStyle style;
} goldens[] = {
        {"shop", "shop", {100, false}},     {"shop-narrow", "shop", {60, false}},
        {"shop-tiny", "shop", {1, false}},  {"shop-colour", "shop", {100, true}},
        {"broken", "broken", {100, false}}, {"hostile", "hostile", {80, false}},
        {"empty", "empty", {80, false}},    {"fan-in", "fan-in", {90, false}},
};

START_TEST(draws_as_written_down) {
        char *json, *expected, *drawn;
        size_t json_size, expected_size, drawn_size;
        AnswerChain *answer;
        FILE *out = open_memstream(&drawn, &drawn_size);

        json = read_golden(&json_size, goldens[_i].input, ".json");
        expected = read_golden(&expected_size, goldens[_i].name, ".txt");
        ck_assert_int_eq(answer_chain_new(&answer, json, json_size), 0);
        ck_assert_int_eq(tree_draw(out, answer_chain_tree(answer), &goldens[_i].style), 0);
        fclose(out);
        if (strcmp(drawn, expected))
                fprintf(stderr, "%s is drawn as:\n%s", goldens[_i].name, drawn);
        ck_assert_msg(!strcmp(drawn, expected), "%s", goldens[_i].name);
        answer_chain_free(answer);
        free(json);
        free(expected);
        free(drawn);
}
END_TEST

/* The same for Graphviz: NAME.dot. */
static const char *const dot_goldens[] = {"shop", "broken", "hostile", "empty", "fan-in"};

START_TEST(is_written_for_graphviz_as_written_down) {
        const char *name = dot_goldens[_i];
        size_t json_size, expected_size, size;
        char *json = read_golden(&json_size, name, ".json"), *written;
        char *expected = read_golden(&expected_size, name, ".dot");
        FILE *out = open_memstream(&written, &size);
        AnswerChain *answer;

        ck_assert_int_eq(answer_chain_new(&answer, json, json_size), 0);
        ck_assert_int_eq(dot_write(out, answer_chain_tree(answer)), 0);
        fclose(out);
        if (strcmp(written, expected))
                fprintf(stderr, "%s is written as:\n%s", name, written);
        ck_assert_msg(!strcmp(written, expected), "%s", name);
        answer_chain_free(answer);
        free(json);
        free(expected);
        free(written);
}
END_TEST

START_TEST(graphviz_renders_it) {
        char command[1024];

        if (system("command -v dot >/dev/null 2>&1")) {
                fprintf(stderr, "Graphviz is not installed: nothing is rendered\n");
                return;
        }
        snprintf(command, sizeof command,
                 "test -z \"$(dot -Tsvg '%s/tree/%s.dot' 2>&1 >/dev/null)\"", UNIT_GOLDEN,
                 dot_goldens[_i]);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

/* ---- any chain: every span once, whatever hangs under what ---- */

enum { N_CONTEXTS = 12, N_SPANS = 40 };

static unsigned draw(unsigned *state, unsigned below) {
        return ((*state = *state * 1664525 + 1013904223) >> 8) % below;
}

static size_t count(const char *text, const char *word) {
        size_t n = 0;

        while ((text = strstr(text, word))) {
                n++;
                text++;
        }
        return n;
}

START_TEST(draws_every_span_of_any_chain_once) {
        static char ids[N_CONTEXTS + N_SPANS + 1][8];
        TreeCheckpoint checkpoint = {"<p>", 3};
        TreeContext contexts[N_CONTEXTS];
        TreeSpan spans[N_SPANS];
        const char *causes[N_CONTEXTS];
        TreeChain chain = {"c", contexts, N_CONTEXTS, spans, N_SPANS};
        unsigned state = (unsigned)_i + 1;
        size_t size;
        char *text;
        FILE *out = open_memstream(&text, &size);

        for (size_t i = 0; i < N_CONTEXTS + N_SPANS + 1; i++)
                snprintf(ids[i], sizeof ids[i], "i%zu", i);
        for (unsigned i = 0; i < N_CONTEXTS; i++) {
                causes[i] = ids[draw(&state, N_CONTEXTS + 1)];
                contexts[i] = (TreeContext){.id = ids[i], .causes = &causes[i], .n_causes = 1};
                contexts[i].start_unix_ns = draw(&state, 20);
                contexts[i].checkpoints = &checkpoint;
                contexts[i].n_checkpoints = 1;
        }
        for (unsigned i = 0; i < N_SPANS; i++)
                spans[i] = (TreeSpan){
                        .id = ids[N_CONTEXTS + i],
                        .parent_id = ids[N_CONTEXTS + draw(&state, N_SPANS + 1)],
                        .context_id = draw(&state, 4) ? ids[draw(&state, N_CONTEXTS + 1)] : NULL,
                        .name = "<s>",
                        .start_unix_ns = draw(&state, 20),
                        .end_unix_ns = draw(&state, 40),
                };
        ck_assert_int_eq(tree_draw(out, &chain, &(TreeStyle){200, false}), 0);
        fclose(out);
        ck_assert_uint_eq(count(text, "<s>") - count(text, "caused by <s>"), N_SPANS);
        ck_assert_uint_eq(count(text, "<p>"), N_CONTEXTS);
        free(text);
}
END_TEST

enum { MANY = 1000000 };

static TreeContext many_contexts[MANY];
static const char *many_causes[MANY];
static char many_ids[MANY][8];

/* A million contexts, each caused by the one before it (long), or all by the first (wide). */
START_TEST(a_million_contexts_are_no_trouble) {
        TreeChain chain = {"many", many_contexts, MANY, NULL, 0};
        bool is_long = _i;
        size_t size;
        char *text;
        FILE *out = open_memstream(&text, &size);

        for (size_t i = 0; i < MANY; i++) {
                snprintf(many_ids[i], sizeof many_ids[i], "%zu", i);
                many_causes[i] = many_ids[is_long && i ? i - 1 : 0];
                many_contexts[i] = (TreeContext){.id = many_ids[i],
                                                 .causes = &many_causes[i],
                                                 .n_causes = i > 0,
                                                 .start_unix_ns = 1 + i,
                                                 .end_unix_ns = 2 + i};
        }
        ck_assert_int_eq(tree_draw(out, &chain, &(TreeStyle){100, false}), 0);
        ck_assert_int_eq(dot_write(out, &chain), 0);
        fclose(out);
        ck_assert_ptr_nonnull(strstr(text, "\n… 950000 more are not drawn\n"));
        ck_assert_ptr_nonnull(strstr(text, "label=\"990000 more are not drawn\""));
        ck_assert_uint_lt(size, (size_t)32 * 1024 * 1024);
        free(text);
}
END_TEST

START_TEST(a_deep_chain_is_no_trouble) {
        enum { DEEP = 20000 };
        static TreeSpan spans[DEEP];
        static char ids[DEEP][8];
        TreeChain chain = {"deep", NULL, 0, spans, DEEP};
        size_t size;
        char *text;
        FILE *out = open_memstream(&text, &size);

        for (size_t i = 0; i < DEEP; i++) {
                snprintf(ids[i], sizeof ids[i], "%zu", i);
                spans[i] = (TreeSpan){.id = ids[i],
                                      .parent_id = i ? ids[i - 1] : NULL,
                                      .name = "s",
                                      .start_unix_ns = 1 + i,
                                      .end_unix_ns = 100000};
        }
        ck_assert_int_eq(tree_draw(out, &chain, &(TreeStyle){100, false}), 0);
        fclose(out);
        ck_assert_uint_eq(count(text, "━ "), 0);
        ck_assert_uint_eq(count(text, "\n"), DEEP + 3);
        ck_assert_uint_lt(size, (size_t)DEEP * 400);
        free(text);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tree");
        TCase *tcase = tcase_create("tree");

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, draws_as_written_down, 0, sizeof goldens / sizeof *goldens);
        tcase_add_loop_test(tcase, draws_every_span_of_any_chain_once, 0, 200);
        tcase_add_loop_test(tcase, is_written_for_graphviz_as_written_down, 0,
                            sizeof dot_goldens / sizeof *dot_goldens);
        tcase_add_loop_test(tcase, graphviz_renders_it, 0,
                            sizeof dot_goldens / sizeof *dot_goldens);
        tcase_add_test(tcase, a_deep_chain_is_no_trouble);
        tcase_add_loop_test(tcase, a_million_contexts_are_no_trouble, 0, 2);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
