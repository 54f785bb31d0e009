/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program outside: only the public header, the real library, every call. No daemon is there. With
 * -DCATENA_DISABLE it only compiles and links: without the library.
 */

#include <catena.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CATENA_DISABLE
#define CHECK(condition) ((void)(0 && (condition)))
#else
#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        exit(EXIT_FAILURE);                                                        \
                }                                                                                  \
        } while (0)
#endif

enum {
        N_SPANS = 3 + 4, /* and those of four executions */
        N_LOGS = 3 + 8,
};

static void use_contexts(void) {
        catena_context *order = catena_context_new("order", "session"), *before;
        catena_context *child = catena_context_child(order), *given, *received;

        given = catena_context_new_with(&(catena_context_options){.correlation_id = "ticket"});
        CHECK(strlen(catena_context_id(order)) == 36);
        CHECK(strcmp(catena_context_correlation_id(child), catena_context_id(order)) == 0);
        CHECK(strcmp(catena_context_causation_id(given), "ticket") == 0);
        CHECK(strcmp(catena_context_workflow_id(child), "order") == 0);
        CHECK(strcmp(catena_context_session_id(child), "session") == 0);
        CHECK(strlen(catena_context_trace_id(order)) == 32);
        CHECK(!catena_context_span_id(order));
        CHECK(!catena_context_parent_span_id(child));
        CHECK(catena_context_trace_flags(order) == 3);
        CHECK(catena_context_elapsed_ms(order) >= 0);
        CHECK(catena_context_start_unix_ns(order) > 0);

        before = catena_context_attach(order);
        CHECK(catena_context_current() == order);
        catena_context_detach(before);

        CHECK(!catena_inject_environ(order, (catena_span){0}));
        received = catena_context_extract_environ(0);
        CHECK(strcmp(catena_context_causation_id(received), catena_context_id(order)) == 0);
        catena_context_free(received);
        catena_context_free(given);
        catena_context_free(child);
        catena_context_free(order);
}

static void count_attribute(const catena_attribute *attribute, void *user) {
        CHECK(attribute->key);
        ++*(unsigned *)user;
}

static void use_what_contexts_carry(void) {
        catena_context *order = catena_context_new("order", "session");
        size_t tags = 0, metadata = 0, state = 0, baggage = 0, checkpoints = 0;
        const char *key, *value, *name;
        unsigned n_attributes = 0;
        uint64_t unix_ns;

        CHECK(catena_context_set_tag(order, "tier", "gold"));
        CHECK(catena_context_set_metadata(order, "cart", "7"));
        CHECK(catena_context_set_state(order, "step", "2"));
        CHECK(catena_context_set_baggage(order, "tenant", "t 1"));
        CHECK(strcmp(catena_context_get_tag(order, "tier"), "gold") == 0);
        CHECK(strcmp(catena_context_get_metadata(order, "cart"), "7") == 0);
        CHECK(strcmp(catena_context_get_state(order, "step"), "2") == 0);
        CHECK(strcmp(catena_context_get_baggage(order, "tenant"), "t 1") == 0);
        CHECK(catena_context_next_tag(order, &tags, &key, &value) && strcmp(key, "tier") == 0);
        CHECK(catena_context_next_metadata(order, &metadata, &key, &value));
        CHECK(catena_context_next_state(order, &state, &key, &value));
        CHECK(catena_context_next_baggage(order, &baggage, &key, &value));
        CHECK(!catena_context_next_baggage(order, &baggage, &key, &value));

        catena_context_checkpoint(order, "half");
        CHECK(catena_context_next_checkpoint(order, &checkpoints, &name, &unix_ns));
        CHECK(strcmp(name, "half") == 0 && unix_ns >= catena_context_start_unix_ns(order));
        catena_context_attributes(order, count_attribute, &n_attributes);
        CHECK(n_attributes == 6);
        catena_context_free(order);
}

static void set_header(void *carrier, const char *name, const char *value) {
        if (strcmp(name, "traceparent") == 0)
                strcpy(carrier, value);
}

static const char *get_header(void *carrier, const char *name, size_t index) {
        return index == 0 && strcmp(name, "traceparent") == 0 ? carrier : NULL;
}

static void use_propagation(void) {
        catena_span span = {.trace_id = {1}, .span_id = {2}, .flags = 1};
        catena_context *order = catena_context_new(NULL, NULL), *received;
        char carrier[56] = "", header[56];

        CHECK(catena_context_set_parent(order, span));
        CHECK(catena_inject(order, (catena_span){0}, set_header, carrier));
        CHECK(catena_inject_string(order, span, CATENA_HEADER_TRACEPARENT, header,
                                   sizeof header) == 55);
        CHECK(strcmp(carrier, header) == 0);
        received = catena_context_extract(get_header, carrier, 0);
        CHECK(strcmp(catena_context_trace_id(received), catena_context_trace_id(order)) == 0);
        catena_context_free(received);
        received = catena_context_extract_strings(header, NULL, NULL, CATENA_UNTRUSTED);
        CHECK(strcmp(catena_context_trace_id(received), catena_context_trace_id(order)) != 0);
        catena_context_free(received);
        catena_context_free(order);
}

static void use_spans(void) {
        catena_context *context = catena_context_new(NULL, NULL);
        const catena_scope *scope = catena_scope_get("api", "1", NULL);
        catena_attribute attribute = {.key = "k", .value.string = "v"};
        catena_span span, child, with;

        span = catena_span_start(context, "span", CATENA_KIND_CLIENT);
        child = catena_span_child(span, "child", CATENA_KIND_INTERNAL);
        with = catena_span_start_with(context, "with", &(catena_span_options){.scope = scope});
        CHECK(memcmp(child.parent_id, span.span_id, 8) == 0);
        CHECK(memcmp(with.parent_id, span.span_id, 8) == 0);
        CHECK(catena_span_recording(span));
        catena_span_end(
                catena_span_detached("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        catena_span_set(span, &attribute, 1);
        catena_span_set_string(span, "s", "v");
        catena_span_set_int(span, "i", 1);
        catena_span_set_double(span, "d", 0.5);
        catena_span_set_bool(span, "b", true);
        catena_span_set_name(span, "renamed");
        catena_span_set_status(span, CATENA_STATUS_OK, NULL);
        catena_span_link(span, child, &attribute, 1);
        catena_span_event(span, "event", &attribute, 1);
        catena_span_event_at(span, "event", 1, NULL, 0);
        catena_span_error(span, "type", "message", NULL);
        catena_log(context, CATENA_SEVERITY_INFO, "text", &attribute, 1);
        catena_logf(context, CATENA_SEVERITY_WARN, "%d", 1);
        catena_span_log(span, CATENA_SEVERITY_ERROR, "text", NULL, 0);
        catena_span_end_at(with, 1);
        catena_span_end(child);
        catena_span_end(span);
        catena_context_free(context);
}

static int work(catena_context *context, void *input, void **outputp, void *data) {
        CHECK(input == data);
        *outputp = input;
        catena_context_fail(context, "Type", "not after all");
        return 0;
}

static void use_primitives(void) {
        catena_context *context = catena_context_new(NULL, NULL);
        int it;
        catena_primitive *all, *both[2],
                *one = catena_primitive_new(
                        &(catena_primitive_options){.name = "work", .run = work, .data = &it});
        void *output = NULL;

        both[0] = catena_primitive_ref(one);
        both[1] = catena_sequential(both, 1);
        all = catena_parallel(both, 2, NULL);
        CHECK(catena_execute(all, context, &it, &output) == 0);
        CHECK(((void **)output)[0] == &it && ((void **)output)[1] == &it);
        free(output);
        catena_primitive_unref(all);
        catena_primitive_unref(both[1]);
        catena_primitive_unref(both[0]);
        catena_primitive_unref(one);
        catena_context_free(context);
}

int main(void) {
        catena_stats stats = {0};

        CHECK(catena_start(&(catena_options){.socket = "/nowhere/catena.sock"}));
        use_contexts();
        use_what_contexts_carry();
        use_propagation();
        use_spans();
        use_primitives();
        CHECK(!catena_flush(10000));
        CHECK(!catena_flush_to(CATENA_DELIVERED, 0));
        CHECK(catena_stats_get(&stats, sizeof stats) == sizeof stats);
        CHECK(stats.spans_started == N_SPANS && stats.dropped_starts == N_SPANS);
        CHECK(stats.logs == N_LOGS && stats.dropped_logs == N_LOGS && stats.misuse == 0);
        CHECK(strcmp(catena_version(), CATENA_EXPECTED_VERSION) == 0);
        CHECK(catena_abi() == CATENA_ABI);
        (void)catena_stop(0);
        return EXIT_SUCCESS;
}
