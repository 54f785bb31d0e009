/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"
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
        {"empty", "empty", {80, false}},
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
        ck_assert_uint_eq(count(text, "<s>"), N_SPANS);
        ck_assert_uint_eq(count(text, "<p>"), N_CONTEXTS);
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

        tcase_add_loop_test(tcase, draws_as_written_down, 0, sizeof goldens / sizeof *goldens);
        tcase_add_loop_test(tcase, draws_every_span_of_any_chain_once, 0, 200);
        tcase_add_test(tcase, a_deep_chain_is_no_trouble);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
