/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "lib/cli/answer.h"
#include "lib/cli/command-request.h"
#include "lib/cli/table.h"
#include "lib/cli/text.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

enum {
        COMMAND_STATUS_WATCH_S = 1,
        COMMAND_STATUS_SCREEN = 64 * 1024, /* bytes */
};

#define COMMAND_STATUS_CLEAR "\033[H\033[2J"

static const uint64_t command_status_timeout_ns = 10000000000;

static void command_status_counts(const AnswerCounts *counts) {
        for (size_t i = 0; i < counts->n_counts; i++) {
                fputs(i ? ", " : " (", stdout);
                printf("%" PRIu64 " ", counts->counts[i].n);
                text_print(stdout, counts->counts[i].name, 40);
        }
        if (counts->n_counts)
                putchar(')');
}

static void command_status_sums(const char *name, const AnswerSums *sums) {
        printf("%-9s %" PRIu64 " accepted: %" PRIu64 " finished, %" PRIu64 " open, %" PRIu64
               " in memory",
               name, sums->n_accepted, sums->n_finished, sums->n_open, sums->n_in_memory);
        if (sums->n_unsampled)
                printf(", %" PRIu64 " dropped by sampling", sums->n_unsampled);
        if (sums->n_damaged)
                printf(", %" PRIu64 " damaged", sums->n_damaged);
        if (sums->n_without_exporter)
                printf("; %" PRIu64 " dropped (no exporter)", sums->n_without_exporter);
        putchar('\n');
}

static void command_status_totals(const AnswerStatus *status) {
        char uptime[TEXT_DURATION_MAX];

        text_duration(uptime, status->uptime_ns);
        fputs("catenad ", stdout);
        text_print(stdout, status->version ? status->version : "?", 40);
        printf(", pid %" PRIu64 ", up %s\n\n", status->pid, uptime);
        command_status_sums("spans", &status->spans);
        if (status->logs.n_accepted)
                command_status_sums("logs", &status->logs);
        printf("refused   %" PRIu64 " records", status->refused.sum);
        command_status_counts(&status->refused);
        printf("\nlost      %" PRIu64 " by the clients themselves\n", status->n_lost);
        printf("journal   %.1f of %.1f MiB", (double)status->journal_used_bytes / 1048576,
               (double)status->journal_max_bytes / 1048576);
        if (status->journal_lost_bytes)
                printf(", %" PRIu64 " bytes lost at the last start", status->journal_lost_bytes);
        printf("\nchains    %" PRIu64 "\n", status->n_chains);
        if (status->n_tail_readers || status->n_tail_cut_off)
                printf("tail      %" PRIu64 " reading, %" PRIu64 " cut off\n",
                       status->n_tail_readers, status->n_tail_cut_off);
}

static int command_status_exporters(const AnswerStatus *status) {
        Table table;
        int r;

        printf("\n");
        table_init(&table, "llrrr");
        for (size_t i = 0; i < 5; i++)
                table_add(&table, ((const char *[]){"EXPORTER", "STATE", "DELIVERED", "IN MEMORY",
                                                    "DROPPED"})[i]);
        for (size_t i = 0; i < status->n_exporters; i++) {
                const AnswerExporter *exporter = &status->exporters[i];

                table_add(&table, exporter->name);
                table_add(&table, exporter->state);
                table_add_number(&table, exporter->n_delivered);
                table_add_number(&table, exporter->n_in_memory);
                table_add_number(&table, exporter->dropped.sum);
        }
        r = table_print(&table, stdout);
        table_deinit(&table);
        for (size_t i = 0; i < status->n_exporters; i++) {
                const AnswerExporter *exporter = &status->exporters[i];

                if (!exporter->dropped.sum)
                        continue;
                text_print(stdout, exporter->name ? exporter->name : "", 40);
                printf(" dropped %" PRIu64, exporter->dropped.sum);
                command_status_counts(&exporter->dropped);
                putchar('\n');
        }
        return error_trace(r);
}

static int command_status_clients(const AnswerStatus *status) {
        static const char *const titles[] = {"CLIENT",   "PID",     "UID",  "STATE",
                                             "ACCEPTED", "REFUSED", "LOST", "OPEN"};
        Table table;
        int r;

        printf("\n");
        table_init(&table, "lrrlrrrr");
        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
                table_add(&table, titles[i]);
        for (size_t i = 0; i < status->n_clients; i++) {
                const AnswerClient *client = &status->clients[i];

                table_add(&table, client->service);
                table_add_number(&table, client->pid);
                table_add_number(&table, client->uid);
                table_add(&table, client->state);
                table_add_number(&table, client->n_accepted);
                table_add_number(&table, client->n_refused);
                table_add_number(&table, client->n_lost);
                table_add_number(&table, client->n_open);
        }
        r = table_print(&table, stdout);
        table_deinit(&table);
        return error_trace(r);
}

/* Tells what is wrong, unless `is_quiet`; whether anything is. */
static bool command_status_is_unhealthy(const AnswerStatus *status, bool is_quiet) {
        bool is_unhealthy = !status->holds;

        if (!status->holds && !is_quiet)
                puts("\nunhealthy: the sums do not add up; please report this");
        for (size_t i = 0; i < status->n_exporters; i++) {
                const AnswerExporter *exporter = &status->exporters[i];
                const char *error = exporter->last_error ? exporter->last_error : "";

                if (!exporter->is_misconfigured && !*error)
                        continue;
                is_unhealthy = true;
                if (is_quiet)
                        continue;
                fputs("\nunhealthy: exporter ", stdout);
                text_print(stdout, exporter->name ? exporter->name : "", 40);
                fputs(" to ", stdout);
                text_print(stdout, exporter->endpoint ? exporter->endpoint : "?", SIZE_MAX);
                printf("%s", exporter->is_misconfigured ? " is misconfigured" : "");
                fputs(*error ? ": " : "", stdout);
                text_print(stdout, error, SIZE_MAX);
                putchar('\n');
        }
        return is_unhealthy;
}

static int command_status_print(const AnswerStatus *status) {
        int r = 0;

        command_status_totals(status);
        if (status->n_exporters)
                r = command_status_exporters(status);
        if (!r && status->n_clients)
                r = command_status_clients(status);
        return error_trace(r);
}

static int command_status_once(const CommandOptions *options) {
        Buffer body = BUFFER_NULL;
        AnswerStatus status;
        bool is_unhealthy;
        int exit_status, r;

        exit_status = command_request(&body, options->socket, "GET", "/v1/status",
                                      command_status_timeout_ns);
        if (exit_status)
                return exit_status;
        r = answer_status_init(&status, body.data, body.size);
        if (r) {
                buffer_deinit(&body);
                return command_request_unreadable(r);
        }
        if (options->watch && isatty(STDOUT_FILENO))
                fputs(COMMAND_STATUS_CLEAR, stdout);
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else
                r = command_status_print(&status);
        is_unhealthy = command_status_is_unhealthy(&status, options->json);
        answer_status_deinit(&status);
        buffer_deinit(&body);
        if (r)
                return command_request_unreadable(r);
        return is_unhealthy ? COMMAND_EXIT_NO : COMMAND_EXIT_YES;
}

static int command_status_run(const CommandOptions *options, char **words) {
        const struct timespec pause = {.tv_sec = COMMAND_STATUS_WATCH_S};
        int status;

        (void)words;
        if (!options->watch)
                return command_status_once(options);
        setvbuf(stdout, NULL, _IOFBF, COMMAND_STATUS_SCREEN); /* each is written at once */
        do {
                status = command_status_once(options);
                if (!options->json)
                        putchar('\n');
                if (fflush(stdout))
                        return COMMAND_EXIT_NO;
        } while ((status == COMMAND_EXIT_YES || status == COMMAND_EXIT_NO) &&
                 !nanosleep(&pause, NULL));
        return status;
}

static const Option command_status_options[] = {
        {"--watch", NULL, "print it again every second", OPTION_FLAG,
         offsetof(CommandOptions, watch)},
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_status = {
        .name = "status",
        .words = "",
        .summary = "Prints what came in, went out, is held and was dropped",
        .details = "Exits with 1 when something is wrong: an exporter that cannot deliver.\n",
        .options = command_status_options,
        .run = command_status_run,
};
