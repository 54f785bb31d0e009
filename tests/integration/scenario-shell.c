/* SPDX-License-Identifier: Apache-2.0 */

/* Scripts that start, change and end spans, and what they run. */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"
#include "tests/unit/shell.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SKIPPED = 77, SOMEBODY_UID = 12345 };

static Harness harness;

static void set_up_with(const char *more) {
        static const char *const variables[] = {"TRACEPARENT", "TRACESTATE", "BAGGAGE",
                                                "OTEL_SERVICE_NAME"};

        for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
                unsetenv(variables[i]);
        harness_open(&harness, &(HarnessOptions){.more = more});
        setenv("CATENA_SOCKET", harness.socket, 1);
        setenv("CATENA_CONTROL", harness.control, 1);
        setenv("F", harness.folder, 1);
        setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
        setenv("STEP", CHAIN_STEP, 1);
        setenv("WIRE", WIRE_STEP " --venv " PYTHON_VENV, 1);
}

static void set_up(void) {
        set_up_with(NULL);
}

static void run(const char *script) {
        int status = shell(script);

        ck_assert_msg(!status, "exit status %d:\n%s", status, shell_output);
}

/* ---- what arrived ---- */

static const BackendSpan *arrived(const char *name) {
        const BackendSpan *span = backend_find(harness.backend, name);

        ck_assert_msg(span, "no span %s", name);
        return span;
}

static const char *attribute(const BackendSpan *span, const char *key) {
        return backend_string(span->span->attributes, span->span->n_attributes, key);
}

static const char *service(const BackendSpan *span) {
        return backend_string(span->resource->attributes, span->resource->n_attributes,
                              "service.name");
}

/* The second is the first's child: in one trace, in one chain, and caused by its context. */
static void is_under(const char *parent_name, const char *child_name) {
        const BackendSpan *parent = arrived(parent_name), *child = arrived(child_name);

        ck_assert_mem_eq(child->span->trace_id.data, parent->span->trace_id.data, ID_TRACE_SIZE);
        ck_assert_uint_eq(child->span->parent_span_id.len, ID_SPAN_SIZE);
        ck_assert_mem_eq(child->span->parent_span_id.data, parent->span->span_id.data,
                         ID_SPAN_SIZE);
        ck_assert_ptr_nonnull(attribute(parent, "workflow.correlation_id"));
        ck_assert_str_eq(attribute(child, "workflow.correlation_id"),
                         attribute(parent, "workflow.correlation_id"));
        ck_assert_str_eq(attribute(child, "workflow.causation_id"),
                         attribute(parent, "workflow.context_id"));
}

/* ---- chains of processes ---- */

START_TEST(four_processes_are_one_trace_and_one_chain) {
        int status;

        set_up();
        status = shell("eval \"$($C span start --export --kind producer --attr role=db shell)\" &&"
                       "$STEP first $WIRE second $STEP third; status=$?;"
                       "$C span event \"$TRACEPARENT\" 'half way' --attr a=b;"
                       "$C span set \"$TRACEPARENT\" --attr status=$status;"
                       "$C span end \"$TRACEPARENT\"; exit $status");
        if (status == SKIPPED) {
                fputs("skipped: no OTLP classes for Python\n", stderr);
                harness_finish(&harness);
                return;
        }
        ck_assert_msg(!status, "exit status %d:\n%s", status, shell_output);
        harness_await(&harness, "counters.spans_finished", 4);
        is_under("shell", "first");
        is_under("first", "second");
        is_under("second", "third");
        ck_assert_uint_eq(arrived("shell")->span->parent_span_id.len, 0);
        ck_assert_ptr_null(attribute(arrived("shell"), "workflow.causation_id"));
        ck_assert_ptr_null(arrived("shell")->span->status);
        ck_assert_int_eq(arrived("shell")->span->kind, CATENA_KIND_PRODUCER);
        ck_assert_str_eq(attribute(arrived("shell"), "role"), "db");
        ck_assert_str_eq(attribute(arrived("shell"), "status"), "0");
        ck_assert_ptr_nonnull(backend_event(arrived("shell")->span, "half way"));
        ck_assert_str_eq(service(arrived("second")), "second");
        run("$C chain --json $($C chains --json | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/')");
        ck_assert_ptr_nonnull(strstr(shell_output, "\"third\""));
        run("test $($C chains --json | wc -l) = 1");
        harness_finish(&harness);
}
END_TEST

START_TEST(commands_spans_and_programs_nest) {
        set_up();
        run("$C exec --name outer -- sh -c '"
            "eval \"$($C span start --export middle)\";"
            "( eval \"$($C span start --export inner)\"; $C exec --name command $STEP program;"
            "  $C span end \"$TRACEPARENT\" --error \"no tape\" );"
            "$STEP after; $C span end \"$TRACEPARENT\"'");
        harness_await(&harness, "counters.spans_finished", 6);
        is_under("outer", "middle");
        is_under("middle", "inner");
        is_under("inner", "command");
        is_under("command", "program");
        is_under("middle", "after");
        ck_assert_int_eq(arrived("inner")->span->status->code, CATENA_STATUS_ERROR);
        ck_assert_str_eq(arrived("inner")->span->status->message, "no tape");
        ck_assert_ptr_nonnull(backend_event(arrived("inner")->span, "exception"));
        ck_assert_ptr_null(arrived("middle")->span->status);
        harness_finish(&harness);
}
END_TEST

/* Baggage that is there already keeps the chain; the trace is that of the handle. */
START_TEST(a_handle_alone_makes_one_trace) {
        const BackendSpan *middle, *program;

        set_up();
        run("$C exec --name outer -- sh -c 'export TRACEPARENT=$($C span start middle);"
            "$STEP program; $C span end \"$TRACEPARENT\"'");
        harness_await(&harness, "counters.spans_finished", 3);
        is_under("outer", "middle");
        middle = arrived("middle");
        program = arrived("program");
        ck_assert_mem_eq(program->span->parent_span_id.data, middle->span->span_id.data, 8);
        ck_assert_mem_eq(program->span->trace_id.data, middle->span->trace_id.data, 16);
        ck_assert_str_eq(attribute(program, "workflow.correlation_id"),
                         attribute(middle, "workflow.correlation_id"));
        harness_finish(&harness);
}
END_TEST

START_TEST(log_records_stand_under_the_span) {
        const BackendLog *log;
        const BackendSpan *span;

        set_up();
        run("eval \"$($C span start --export job)\"; $C log --severity warn --attr a=b 'no tape';"
            "$C span end \"$TRACEPARENT\"; unset TRACEPARENT BAGGAGE; $C log alone");
        harness_await(&harness, "conservation.logs.finished", 2);
        harness_await(&harness, "counters.spans_finished", 1);
        span = arrived("job");
        log = backend_find_log(harness.backend, "no tape");
        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log->log->severity_number, CATENA_SEVERITY_WARN);
        ck_assert_mem_eq(log->log->span_id.data, span->span->span_id.data, 8);
        ck_assert_mem_eq(log->log->trace_id.data, span->span->trace_id.data, 16);
        ck_assert_str_eq(backend_string(log->log->attributes, log->log->n_attributes, "a"), "b");
        ck_assert_str_eq(backend_string(log->log->attributes, log->log->n_attributes,
                                        "workflow.correlation_id"),
                         attribute(span, "workflow.correlation_id"));
        log = backend_find_log(harness.backend, "alone");
        ck_assert_ptr_nonnull(log);
        ck_assert_uint_eq(log->log->trace_id.len, 0);
        harness_finish(&harness);
}
END_TEST

START_TEST(a_handle_as_json_is_read_by_anything) {
        const BackendSpan *span;

        set_up();
        run("T=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01;"
            "TRACESTATE='a=\"b\"' TRACEPARENT=$T $C --json span start job >$F/json;"
            "python3 -c 'import json, sys\n"
            "said = json.load(open(sys.argv[1]))\n"
            "assert said[\"v\"] == 1 and said[\"baggage\"]\n"
            "assert said[\"tracestate\"] == \"a=\\\"b\\\"\"\n"
            "print(said[\"traceparent\"])' $F/json >$F/handle && $C span end $(cat $F/handle)");
        harness_await(&harness, "counters.spans_finished", 1);
        span = arrived("job");
        ck_assert_str_eq(span->span->trace_state, "a=\"b\"");
        harness_finish(&harness);
}
END_TEST

/* The manual's example is what people paste. */
START_TEST(the_manuals_script_works) {
        set_up();
        run("PATH=$(dirname $C):$PATH; export PATH;"
            "awk '/^#!\\/bin\\/sh$/ { inside = 1 } /^\\.Ed$/ { inside = 0 } inside' " MANUAL
            " | sed 's/\\\\e/\\\\/g' >$F/script && sh -e $F/script");
        harness_await(&harness, "counters.spans_finished", 3);
        harness_await(&harness, "conservation.logs.finished", 1);
        is_under("nightly", "dump");
        is_under("dump", "tar");
        ck_assert_str_eq(attribute(arrived("nightly"), "host.role"), "db");
        ck_assert_ptr_nonnull(attribute(arrived("dump"), "bytes"));
        ck_assert_ptr_nonnull(backend_event(arrived("nightly")->span, "half way"));
        harness_finish(&harness);
}
END_TEST

/* ---- sampling ---- */

/* Each command is over before it could have heard by itself that the daemon wants everything. */
START_TEST(an_error_keeps_a_script_that_nobody_sampled) {
        set_up_with("sampling: { keep_errors: true }\n");
        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        run("eval \"$($C span start --export bad)\"; $C span event $TRACEPARENT 'half way';"
            "$C exec --name program true; $C span end $TRACEPARENT --error 'no tape'");
        harness_await_exactly(&harness, "conservation.traces.finished", 2);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_kept"), 2);
        ck_assert_ptr_nonnull(backend_event(arrived("bad")->span, "half way"));
        ck_assert_int_eq(arrived("bad")->span->flags & 1, 0);
        is_under("bad", "program");
        run("h=$($C span start good); $C span set $h --attr a=b; $C span end $h");
        harness_await_exactly(&harness, "conservation.traces.unsampled", 1);
        harness_await_exactly(&harness, "conservation.traces.undecided", 0);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.finished"), 2);
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        unsetenv("OTEL_TRACES_SAMPLER");
        harness_finish(&harness);
}
END_TEST

START_TEST(what_nobody_wants_is_not_even_said) {
        set_up();
        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        run("h=$($C span start none); $C span set $h --attr a=b; $C span end $h --error no");
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        unsetenv("OTEL_TRACES_SAMPLER");
        harness_finish(&harness);
}
END_TEST

/* ---- who may, and how long ---- */

/* The session's process is gone, and so is the daemon. */
START_TEST(a_span_outlives_the_daemon) {
        set_up();
        run("$C span start job >$F/handle");
        harness_await_exactly(&harness, "conservation.traces.open", 1);
        harness_kill(&harness);
        harness_start(&harness);
        harness_await_exactly(&harness, "conservation.traces.open", 1);
        run("$C span set $(cat $F/handle) --attr said=between");
        harness_stop(&harness);
        harness_start(&harness);
        run("$C span end $(cat $F/handle)");
        harness_await(&harness, "counters.spans_finished", 1);
        ck_assert_str_eq(attribute(arrived("job"), "said"), "between");
        ck_assert_ptr_null(attribute(arrived("job"), "catena.end"));
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_exited"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_abandoned"), 0);
        harness_finish(&harness);
}
END_TEST

static void end_as_somebody(void *user) {
        const uint64_t *id = user;
        RawClient client;

        if (setgid(SOMEBODY_UID) || setuid(SOMEBODY_UID))
                _exit(1);
        if (!raw_client_connect(&client, harness.socket) ||
            !raw_client_hello(&client, "somebody", false) ||
            !raw_client_span(&client, *id, RECORD_END | RECORD_DETACHED, NULL) ||
            !raw_client_flush(&client))
                _exit(2);
}

START_TEST(another_user_may_not_end_it) {
        uint64_t id;
        uint8_t span_id[ID_SPAN_SIZE];

        if (geteuid()) {
                fputs("skipped: only root can become another user\n", stderr);
                return;
        }
        set_up();
        ck_assert_int_eq(chmod(harness.folder, 0711), 0);
        ck_assert_int_eq(chmod(harness.socket, 0666), 0);
        run("$C span start job | tee $F/handle");
        for (size_t i = 0; i < ID_SPAN_SIZE; i++) {
                unsigned byte;

                ck_assert_int_eq(sscanf(shell_output + 36 + 2 * i, "%2x", &byte), 1);
                span_id[i] = (uint8_t)byte;
        }
        id = id_span_key(span_id);
        ck_assert_int_eq(people_await(people_fork(end_as_somebody, &id)), 0);
        harness_await_exactly(&harness, "counters.orphans", 1);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 1);
        run("$C span end $(cat $F/handle)");
        harness_await(&harness, "counters.spans_finished", 1);
        harness_finish(&harness);
}
END_TEST

/* What is refused is told: here a span that was given more than it may hold. */
START_TEST(what_the_daemon_refuses_is_told) {
        set_up();
        run("$C span start job >$F/handle");
        ck_assert_int_eq(shell("A=a=$(head -c 120000 /dev/zero | tr '\\0' x);"
                               "for i in 1 2 3; do $C span set $(cat $F/handle) --attr $A ||"
                               " exit; done"),
                         1);
        ck_assert_str_eq(shell_output, "catena: the daemon has refused it: see `catena status`\n");
        run("$C span end $(cat $F/handle)");
        harness_await(&harness, "counters.spans_finished", 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_too_large"), 1);
        harness_finish(&harness);
}
END_TEST

/* Every way to change it. */
static void is_not_there(const char *handle_file) {
        static const char *const says[] = {"event $H late", "set $H --attr a=b", "end $H",
                                           "end $H --error late"};
        char script[256];

        for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
                snprintf(script, sizeof script, "H=$(cat $F/%s); $C span %s", handle_file, says[i]);
                ck_assert_int_eq(shell(script), 1);
                ck_assert_str_eq(shell_output, "catena: there is no such span: it is over, was "
                                               "never started, or belongs to another user\n");
        }
}

START_TEST(a_span_that_is_not_there_is_told) {
        set_up();
        run("$C span start job >$F/handle; $C span end $(cat $F/handle)");
        is_not_there("handle");
        harness_await(&harness, "counters.spans_finished", 1);
        is_not_there("handle");
        run("echo 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 >$F/invented");
        is_not_there("invented");
        run("$C exec sh -c 'echo $TRACEPARENT >$F/own'");
        is_not_there("own");
        harness_finish(&harness);
}
END_TEST

static const char *handle;

static void keep_an_own_one_open(void *user) {
        catena_context *context;

        (void)user;
        people_speak(&harness, "mortal");
        context = catena_context_new("job", NULL);
        catena_span_start(context, "own", CATENA_KIND_INTERNAL);
        catena_span_set_string(catena_span_detached(handle), "said", "last");
        if (!catena_flush(HARNESS_PATIENCE_S * 1000))
                _exit(1);
        raise(SIGKILL);
}

/* A process that dies takes its own spans along, and not those it spoke of. */
START_TEST(who_speaks_of_it_may_die) {
        set_up();
        run("$C span start job");
        handle = shell_output;
        shell_output[strcspn(shell_output, "\n")] = '\0';
        people_await(people_fork(keep_an_own_one_open, NULL));
        harness_await(&harness, "counters.spans_exited", 1);
        ck_assert_uint_eq(harness_get(&harness, "conservation.traces.open"), 1);
        setenv("HANDLE", handle, 1);
        run("$C ps");
        ck_assert_ptr_nonnull(strstr(shell_output, "job"));
        run("$C span end $HANDLE");
        harness_await(&harness, "counters.spans_finished", 2);
        ck_assert_str_eq(attribute(arrived("job"), "said"), "last");
        ck_assert_str_eq(attribute(arrived("own"), "catena.end"), "process exited");
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("shell", four_processes_are_one_trace_and_one_chain, commands_spans_and_programs_nest,
             a_handle_alone_makes_one_trace, log_records_stand_under_the_span,
             a_handle_as_json_is_read_by_anything,
             the_manuals_script_works, an_error_keeps_a_script_that_nobody_sampled,
             what_nobody_wants_is_not_even_said, a_span_outlives_the_daemon,
             another_user_may_not_end_it, what_the_daemon_refuses_is_told,
             a_span_that_is_not_there_is_told, who_speaks_of_it_may_die)
