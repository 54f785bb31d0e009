/* SPDX-License-Identifier: Apache-2.0 */

/* What contexts carry arrives with their spans, and what caused what comes back as it was. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"
#include "tests/integration/status-query.h"

#include <check.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static Harness harness;

static const OtlpSpan *span_named(const char *name) {
        const BackendSpan *span = backend_find(harness.backend, name);

        ck_assert_msg(span, "no span %s", name);
        return span->span;
}

static const char *attribute_of(const OtlpSpan *span, const char *key) {
        return backend_string(span->attributes, span->n_attributes, key);
}

/* ---- tags and checkpoints ---- */

static void work_with_tags(void *user) {
        catena_context *order, *part;
        catena_span all, step;

        (void)user;
        people_speak(&harness, "shop");
        order = catena_context_new("order", NULL);
        catena_context_set_tag(order, "tier", "silver");
        catena_context_set_state(order, "secret", "s");
        all = catena_span_start(order, "all", CATENA_KIND_SERVER);
        step = catena_span_start(order, "step", CATENA_KIND_INTERNAL);
        catena_context_checkpoint(order, "half");
        catena_span_end(step);
        /* A span that has only just ended may show the tags of a moment later. */
        harness_await(&harness, "conservation.traces.finished", 1);
        part = catena_context_child(order);
        catena_context_set_tag(part, "part", "1");
        catena_span_end(catena_span_start(part, "part", CATENA_KIND_INTERNAL));
        catena_context_set_tag(order, "tier", "gold");
        catena_span_end(all);
        catena_context_free(part);
        catena_context_free(order);
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

START_TEST(tags_are_on_spans_as_they_end) {
        const OtlpSpan *all, *step, *part;

        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(work_with_tags, NULL)), 0);
        harness_await(&harness, "conservation.traces.finished", 3);
        all = span_named("all");
        step = span_named("step");
        part = span_named("part");
        ck_assert_str_eq(attribute_of(step, "tier"), "silver");
        ck_assert_str_eq(attribute_of(all, "tier"), "gold");
        ck_assert_str_eq(attribute_of(part, "tier"), "silver");
        ck_assert_str_eq(attribute_of(part, "part"), "1");
        ck_assert_ptr_null(attribute_of(all, "part"));
        ck_assert_ptr_null(attribute_of(all, "secret"));
        ck_assert_str_eq(attribute_of(all, "workflow.id"), "order");
        ck_assert_str_eq(attribute_of(all, "workflow.session_id"), "unknown");
        ck_assert_str_eq(attribute_of(part, "workflow.causation_id"),
                         attribute_of(all, "workflow.context_id"));
        ck_assert_ptr_nonnull(backend_event(step, "half"));
        ck_assert_ptr_null(backend_event(all, "half"));
        harness_finish(&harness);
}
END_TEST

/* ---- trees ---- */

enum {
        TREE_NODES = 40,
        TREE_PROCESSES = 4,
        TREE_ROUNDS = 6,
};

/* A context each, in one of several processes; a node is caused by one before it. */
typedef struct Tree {
        unsigned seed;
        unsigned parents[TREE_NODES], processes[TREE_NODES];
        /* What a node injects for those that it causes elsewhere, and when it is there. */
        char headers[TREE_NODES][3][1024];
        char chain[64];
        sem_t made[TREE_NODES];
} Tree;

typedef struct TreePart {
        Tree *tree;
        unsigned process;
} TreePart;

static unsigned below(unsigned *seed, unsigned n) {
        return (unsigned)rand_r(seed) % n;
}

static void tree_plant(Tree *tree, unsigned seed) {
        tree->seed = seed;
        for (unsigned i = 0; i < TREE_NODES; i++) {
                tree->parents[i] = i ? below(&seed, i) : 0;
                tree->processes[i] = below(&seed, TREE_PROCESSES);
                ck_assert_int_eq(sem_init(&tree->made[i], 1, 0), 0);
        }
}

static catena_context *tree_make(Tree *tree, unsigned i, catena_context *const *made) {
        unsigned parent = tree->parents[i];
        catena_context_options options = {0};
        catena_context *context, *elsewhere = NULL;
        char name[16];

        snprintf(name, sizeof name, "%u", i);
        if (!i) {
                context = catena_context_new(name, NULL);
                strcpy(tree->chain, catena_context_correlation_id(context));
                return context;
        }
        options.workflow_id = name;
        if (tree->processes[parent] == tree->processes[i]) {
                options.parent = made[parent];
                return catena_context_new_with(&options);
        }
        while (sem_wait(&tree->made[parent]))
                ;
        sem_post(&tree->made[parent]);
        /* The workflow of the one that is extracted is the sender's, so its name is set anew. */
        elsewhere = catena_context_extract_strings(tree->headers[parent][0],
                                                   tree->headers[parent][1],
                                                   tree->headers[parent][2], 0);
        options.correlation_id = catena_context_correlation_id(elsewhere);
        options.causes = (const char *const[]){catena_context_causation_id(elsewhere)};
        options.n_causes = 1;
        context = catena_context_new_with(&options);
        catena_context_free(elsewhere);
        return context;
}

static void tree_inject(Tree *tree, unsigned i, catena_context *context) {
        for (int header = 0; header <= CATENA_HEADER_BAGGAGE; header++)
                (void)catena_inject_string(context, (catena_span){0}, header,
                                           tree->headers[i][header],
                                           sizeof tree->headers[i][header]);
        sem_post(&tree->made[i]);
}

/* One process: makes its contexts, and has the daemon hear of them in any order. */
static void tree_grow(void *user) {
        const TreePart *part = user;
        catena_context *made[TREE_NODES] = {NULL};
        unsigned own[TREE_NODES], n = 0, seed = part->tree->seed + part->process;
        char service[16];

        snprintf(service, sizeof service, "process-%u", part->process);
        people_speak(&harness, service);
        for (unsigned i = 0; i < TREE_NODES; i++) {
                if (part->tree->processes[i] != part->process)
                        continue;
                made[i] = tree_make(part->tree, i, made);
                if (below(&seed, 2)) /* some are heard of at once */
                        catena_context_checkpoint(made[i], "made");
                tree_inject(part->tree, i, made[i]);
                own[n++] = i;
        }
        for (unsigned left = n; left; left--) {
                unsigned k = below(&seed, left), i = own[k];

                own[k] = own[left - 1];
                catena_span_end(catena_span_start(made[i], "node", CATENA_KIND_INTERNAL));
                catena_context_free(made[i]);
        }
        if (!catena_stop(HARNESS_PATIENCE_S * 1000))
                _exit(1);
}

/* The chain, as it comes back, is the tree. */
static void tree_compare(const Tree *tree) {
        const char *ids[TREE_NODES] = {NULL}, *causes[TREE_NODES] = {NULL}, *text;
        char path[128];
        StatusQuery *query;
        unsigned n = 0;

        snprintf(path, sizeof path, "/v1/chains/%s", tree->chain);
        query = status_query_new(harness.control, "GET", path);
        ck_assert_ptr_nonnull(query);
        for (;; n++) {
                unsigned i;

                snprintf(path, sizeof path, "chain.contexts.%u.workflow_id", n);
                text = status_query_text(query, path);
                if (!text)
                        break;
                i = (unsigned)strtoul(text, NULL, 10);
                ck_assert_uint_lt(i, TREE_NODES);
                ck_assert_msg(!ids[i], "seed %u: node %u twice", tree->seed, i);
                snprintf(path, sizeof path, "chain.contexts.%u.context_id", n);
                ids[i] = status_query_text(query, path);
                snprintf(path, sizeof path, "chain.contexts.%u.causation_ids.0", n);
                causes[i] = status_query_text(query, path);
        }
        ck_assert_msg(n == TREE_NODES, "seed %u: %u nodes", tree->seed, n);
        ck_assert_ptr_null(causes[0]);
        for (unsigned i = 1; i < TREE_NODES; i++)
                ck_assert_msg(strcmp(causes[i], ids[tree->parents[i]]) == 0,
                              "seed %u: node %u is caused by %s", tree->seed, i, causes[i]);
        status_query_free(query);
}

START_TEST(random_trees_come_back_whatever_the_order) {
        Tree *tree = mmap(NULL, sizeof *tree, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);

        ck_assert_ptr_ne(tree, MAP_FAILED);
        harness_open(&harness, NULL);
        for (unsigned round = 0; round < TREE_ROUNDS; round++) {
                TreePart parts[TREE_PROCESSES];
                pid_t pids[TREE_PROCESSES];

                tree_plant(tree, 1000 * round + 7);
                for (unsigned i = 0; i < TREE_PROCESSES; i++) {
                        parts[i] = (TreePart){tree, i};
                        pids[i] = people_fork(tree_grow, &parts[i]);
                }
                for (unsigned i = 0; i < TREE_PROCESSES; i++)
                        ck_assert_int_eq(people_await(pids[i]), 0);
                tree_compare(tree);
        }
        harness_await(&harness, "conservation.traces.finished", TREE_ROUNDS * TREE_NODES);
        harness_finish(&harness);
        munmap(tree, sizeof *tree);
}
END_TEST

SCENARIO_RUN("contexts", tags_are_on_spans_as_they_end, random_trees_come_back_whatever_the_order)
