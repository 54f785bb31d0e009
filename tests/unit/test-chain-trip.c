/* SPDX-License-Identifier: Apache-2.0 */

/* From what processes say, in any order, through JSON, to the tree that is drawn. */

#include "daemon/control/chain-view.h"
#include "lib/cli/answer.h"
#include "lib/cli/tree-node.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum {
        N_CONTEXTS = 40,
        N_CAUSES = 3,
        N_SPANS = 80,
        N_PROCESSES = 5,
        MANY = 1000000,
};

static unsigned state;

static unsigned draw(unsigned below) {
        return ((state = state * 1664525 + 1013904223) >> 8) % below;
}

/* ---- a chain: each context was caused by earlier ones, each span is in a context ---- */

static struct {
        unsigned causes[N_CAUSES], n_causes;
        char id[8];
        ChainContext *handle;
} contexts[N_CONTEXTS];

static struct {
        unsigned context;
        int parent; /* a span of the same context, or -1 */
        char name[8];
        ChainSpan *handle;
} spans[N_SPANS];

static void make(unsigned seed) {
        state = seed;
        for (unsigned i = 0; i < N_CONTEXTS; i++) {
                contexts[i].n_causes = i ? 1 + (draw(4) ? 0 : draw(N_CAUSES)) : 0;
                for (unsigned k = 0; k < contexts[i].n_causes; k++)
                        contexts[i].causes[k] = draw(i);
                snprintf(contexts[i].id, sizeof contexts[i].id, "c%u", i);
                contexts[i].handle = NULL;
        }
        for (unsigned i = 0; i < N_SPANS; i++) {
                spans[i].context = draw(N_CONTEXTS);
                spans[i].parent = -1;
                for (unsigned k = 0; k < i; k++)
                        if (spans[k].context == spans[i].context && draw(2))
                                spans[i].parent = (int)k;
                snprintf(spans[i].name, sizeof spans[i].name, "s%u", i);
                spans[i].handle = NULL;
        }
}

static void tell_context(Chains *chains, unsigned i) {
        const char *causes[N_CAUSES];
        ChainsContextStart start = {
                .context_id = contexts[i].id,
                .correlation_id = contexts[0].id,
                .causation_ids = causes,
                .n_causes = contexts[i].n_causes,
                .pid = 1 + i % N_PROCESSES,
                .start_unix_ns = 1000 + i,
        };

        for (unsigned k = 0; k < contexts[i].n_causes; k++)
                causes[k] = contexts[contexts[i].causes[k]].id;
        ck_assert_int_eq(chains_context_start(chains, &contexts[i].handle, &start), 0);
}

static void tell_span(Chains *chains, unsigned i) {
        static const uint8_t trace_id[ID_TRACE_SIZE] = {7};
        uint8_t id[ID_SPAN_SIZE] = {1, (uint8_t)i}, parent[ID_SPAN_SIZE] = {1};
        ValidateSummary summary = {
                .trace_id = trace_id,
                .span_id = id,
                .parent_span_id = spans[i].parent >= 0 ? parent : NULL,
                .name = {spans[i].name, strlen(spans[i].name)},
                .start_unix_ns = 2000 + i,
        };

        parent[1] = (uint8_t)spans[i].parent;
        ck_assert_int_eq(chains_span_start(chains, &spans[i].handle,
                                           contexts[spans[i].context].handle, &summary, "svc",
                                           1 + spans[i].context % N_PROCESSES),
                         0);
        if (draw(2))
                chains_span_end(chains, &spans[i].handle, 3000 + i, NULL);
}

/* Contexts in any order, each span somewhere behind its context. */
static void tell(Chains *chains) {
        unsigned order[N_CONTEXTS];
        bool is_told[N_SPANS] = {false};

        for (unsigned i = 0; i < N_CONTEXTS; i++) {
                unsigned k = draw(i + 1);

                order[i] = order[k];
                order[k] = i;
        }
        for (unsigned i = 0; i < N_CONTEXTS; i++) {
                tell_context(chains, order[i]);
                for (unsigned k = N_SPANS; k--;)
                        if (!is_told[k] && contexts[spans[k].context].handle && draw(3)) {
                                tell_span(chains, k);
                                is_told[k] = true;
                        }
        }
        for (unsigned k = 0; k < N_SPANS; k++)
                if (!is_told[k])
                        tell_span(chains, k);
        for (unsigned i = 0; i < N_CONTEXTS; i++)
                if (draw(2))
                        chains_context_end(chains, &contexts[i].handle, 4000 + i);
        for (unsigned k = 0; k < N_SPANS; k++)
                chains_forget(NULL, &spans[k].handle);
        for (unsigned i = 0; i < N_CONTEXTS; i++)
                chains_forget(&contexts[i].handle, NULL);
}

/* ---- what comes back ---- */

static void is_as_it_was_made(const TreeNodes *nodes) {
        unsigned n_contexts = 0, n_spans = 0;
        size_t depth = 0;

        for (const TreeNode *node = nodes->nodes; (node = tree_node_next(node, &depth));) {
                if (node->span) {
                        unsigned i = (unsigned)atoi(node->span->name + 1);

                        n_spans++;
                        if (spans[i].parent >= 0)
                                ck_assert_str_eq(node->parent->span->name,
                                                 spans[spans[i].parent].name);
                        else
                                ck_assert_str_eq((node->context ? node : node->parent)->context->id,
                                                 contexts[spans[i].context].id);
                }
                if (node->context) {
                        unsigned i = (unsigned)atoi(node->context->id + 1);

                        n_contexts++;
                        ck_assert_uint_eq(node->context->n_causes, contexts[i].n_causes);
                        for (unsigned k = 0; k < contexts[i].n_causes; k++)
                                ck_assert_str_eq(node->context->causes[k],
                                                 contexts[contexts[i].causes[k]].id);
                        if (i)
                                ck_assert_str_eq(node->parent->context->id,
                                                 contexts[contexts[i].causes[0]].id);
                        else
                                ck_assert_ptr_eq(node->parent, nodes->nodes);
                }
        }
        ck_assert_uint_eq(n_contexts, N_CONTEXTS);
        ck_assert_uint_eq(n_spans, N_SPANS);
}

START_TEST(the_tree_that_was_made_comes_back) {
        Buffer out = BUFFER_NULL;
        AnswerChain *answer;
        TreeNodes nodes;
        Chains *chains;

        make((unsigned)_i + 1);
        ck_assert_int_eq(chains_new(&chains, CHAINS_MAX_BYTES, 1), 0);
        tell(chains);
        ck_assert_int_eq(chain_view_whole(&out, chains_find(chains, "c7")), 0);
        ck_assert_int_eq(answer_chain_new(&answer, out.data, out.size), 0);
        ck_assert_int_eq(tree_nodes_init(&nodes, answer_chain_tree(answer)), 0);
        is_as_it_was_made(&nodes);
        tree_nodes_deinit(&nodes);
        answer_chain_free(answer);
        buffer_deinit(&out);
        chains_free(chains);
}
END_TEST

/* Long: each caused by the one before it. Wide: all by the first. */
START_TEST(of_a_million_contexts_some_are_shown_and_the_others_counted) {
        const char *cause = "root";
        char id[16] = "root", last[16] = "root";
        ChainsContextStart start = {
                .context_id = id,
                .correlation_id = "root",
                .causation_ids = &cause,
                .start_unix_ns = 1,
        };
        ChainContext *handle = NULL;
        Buffer out = BUFFER_NULL;
        AnswerChain *answer;
        const TreeChain *tree;
        ChainsUsage usage;
        Chains *chains;

        ck_assert_int_eq(chains_new(&chains, CHAINS_MAX_BYTES, 1), 0);
        for (unsigned i = 0; i < MANY; i++) {
                ck_assert_int_eq(chains_context_start(chains, &handle, &start), 0);
                chains_context_end(chains, &handle, 2);
                strcpy(last, id);
                cause = _i ? last : "root";
                snprintf(id, sizeof id, "c%u", i);
                start.n_causes = 1;
        }
        chains_usage(chains, &usage);
        ck_assert_uint_le(usage.n_bytes, CHAINS_MAX_BYTES);
        ck_assert_int_eq(chain_view_whole(&out, chains_find(chains, "root")), 0);
        ck_assert_uint_le(out.size, 4 * CHAINS_MAX_BYTES);
        ck_assert_int_eq(answer_chain_new(&answer, out.data, out.size), 0);
        tree = answer_chain_tree(answer);
        ck_assert_uint_gt(tree->n_contexts, 1000);
        ck_assert_uint_eq(tree->n_contexts + tree->n_left_out, MANY);
        answer_chain_free(answer);
        buffer_deinit(&out);
        chains_free(chains);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("chain-trip");
        TCase *tcase = tcase_create("chain-trip");

        tcase_set_timeout(tcase, 120);
        tcase_add_loop_test(tcase, the_tree_that_was_made_comes_back, 0, 100);
        tcase_add_loop_test(tcase, of_a_million_contexts_some_are_shown_and_the_others_counted, 0,
                            2);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
