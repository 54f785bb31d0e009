/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load: says spans to a daemon, and measures what they cost it
 *
 * It keeps no more spans under way than --window allows, as the sink's page tells, waits until
 * all have arrived there, and prints one line of JSON: the CPU time that the process --pid took
 * meanwhile, its memory, and what was lost. With --rest it then says nothing for so many
 * milliseconds, twice: memory after that, and the CPU time of the second rest, are printed, too.
 */

#include "tests/bench/load.h"

#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
        LOAD_TURN = 32, /* spans of a client before the next one has its turn */
        LOAD_NAP_NS = 100 * 1000,
        LOAD_NS_A_MS = 1000 * 1000,
        LOAD_NS_A_S = 1000 * LOAD_NS_A_MS,
        LOAD_SPAN_NS = 1000 * 1000, /* how long spans say they took */
};

#define LOAD_PATIENCE_NS UINT64_C(5000000000)

void load_next_span(Load *load, TemplateSpan *span) {
        uint64_t trace_id[2] = {template_random(&load->random), template_random(&load->random)};

        memcpy(span->trace_id, trace_id, sizeof trace_id);
        span->span_id = template_random(&load->random);
        span->end_unix_ns = page_now_ns();
        span->start_unix_ns = span->end_unix_ns - LOAD_SPAN_NS;
}

void load_send_all(int fd, const void *data, size_t size) {
        while (size) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        err(EXIT_FAILURE, "the other side hung up");
                data = (const char *)data + n;
                size -= (size_t)n;
        }
}

/* ---- the one that is measured ---- */

typedef struct LoadUsage {
        uint64_t wall_ns, cpu_ns;
        uint64_t rss_kib, shared_kib, peak_kib;
} LoadUsage;

static uint64_t load_clock(clockid_t clock) {
        struct timespec now;

        if (clock_gettime(clock, &now) < 0)
                err(EXIT_FAILURE, "its clock");
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static LoadUsage load_usage(pid_t pid) {
        LoadUsage usage = {.wall_ns = load_clock(CLOCK_MONOTONIC)};
        char path[64], line[256];
        clockid_t clock;
        FILE *file;

        if (clock_getcpuclockid(pid, &clock))
                errx(EXIT_FAILURE, "no process %d", (int)pid);
        usage.cpu_ns = load_clock(clock);
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file)) {
                sscanf(line, "VmRSS: %" SCNu64, &usage.rss_kib);
                sscanf(line, "RssShmem: %" SCNu64, &usage.shared_kib);
                sscanf(line, "VmHWM: %" SCNu64, &usage.peak_kib);
        }
        if (file)
                fclose(file);
        return usage;
}

/* ---- saying ---- */

static void load_nap(uint64_t ns) {
        struct timespec nap = {.tv_sec = (time_t)(ns / LOAD_NS_A_S),
                               .tv_nsec = (long)(ns % LOAD_NS_A_S)};

        nanosleep(&nap, NULL);
}

/* Waits until at most `n_more` of the spans said are under way; false: they are lost. */
static bool load_wait(const Page *page, uint64_t n_said, uint64_t n_more) {
        uint64_t n_seen = page->n_spans, since_ns = load_clock(CLOCK_MONOTONIC);

        while (page->n_spans + n_more < n_said) {
                uint64_t now_ns = load_clock(CLOCK_MONOTONIC);

                if (n_seen != page->n_spans) {
                        n_seen = page->n_spans;
                        since_ns = now_ns;
                }
                if (now_ns - since_ns > LOAD_PATIENCE_NS)
                        return false;
                load_nap(LOAD_NAP_NS);
        }
        return true;
}

/* How many spans are due now; naps while there are none. */
static unsigned load_pace(const LoadOptions *options, uint64_t begin_ns, uint64_t n_said) {
        for (;;) {
                uint64_t ns = load_clock(CLOCK_MONOTONIC) - begin_ns;
                uint64_t due =
                        options->rate ? ns * options->rate / 1000000000 + 1 : n_said + LOAD_TURN;

                if (due > n_said) {
                        uint64_t n = due - n_said, left = options->n_spans - n_said;

                        n = n < LOAD_TURN ? n : LOAD_TURN;
                        return (unsigned)(n < left ? n : left);
                }
                load_nap(LOAD_NAP_NS);
        }
}

static uint64_t load_say(Load *load, const Page *page, LoadStream *stream, LoadHttp *http) {
        uint64_t base = page->n_spans, n_said = 0, begin_ns = load_clock(CLOCK_MONOTONIC);

        while (n_said < load->options.n_spans) {
                if (http) {
                        n_said += load_http_say(http);
                } else {
                        unsigned n = load_pace(&load->options, begin_ns, n_said);

                        load_stream_say(stream, n);
                        n_said += n;
                }
                if (!load_wait(page, base + n_said, load->options.window))
                        break;
        }
        load_wait(page, base + n_said, 0);
        return n_said;
}

static void load_run(Load *load) {
        Page *page = page_open(load->options.page);
        LoadHttp *http = load->options.http_port ? load_http_open(load) : NULL;
        LoadStream *stream = http ? NULL : load_stream_open(load);
        LoadUsage before = load_usage(load->options.pid), after, resting, rested;
        uint64_t base = page->n_spans, n_said, n_arrived;

        n_said = load_say(load, page, stream, http);
        after = load_usage(load->options.pid);
        n_arrived = page->n_spans - base;
        load_nap(load->options.rest_ns);
        resting = load_usage(load->options.pid);
        load_nap(load->options.rest_ns);
        rested = load_usage(load->options.pid);
        printf("{\"said\":%" PRIu64 ",\"arrived\":%" PRIu64 ",\"arenas\":%u,\"refused\":%" PRIu64
               ",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"rss_before_kib\":%" PRIu64
               ",\"rss_kib\":%" PRIu64 ",\"shared_kib\":%" PRIu64 ",\"peak_kib\":%" PRIu64
               ",\"rest_kib\":%" PRIu64 ",\"rest_shared_kib\":%" PRIu64 ",\"rest_cpu_ns\":%" PRIu64
               "}\n",
               n_said, n_arrived, load->n_arenas, load->n_refused, after.wall_ns - before.wall_ns,
               after.cpu_ns - before.cpu_ns, before.rss_kib, after.rss_kib, after.shared_kib,
               after.peak_kib, rested.rss_kib, rested.shared_kib, rested.cpu_ns - resting.cpu_ns);
}

/* ---- options ---- */

static TemplatePart load_part(const char *name) {
        if (!strcmp(name, "whole"))
                return TEMPLATE_WHOLE;
        if (!strcmp(name, "joined"))
                return TEMPLATE_END;
        if (!strcmp(name, "rebuilt"))
                return TEMPLATE_END_SET;
        errx(EXIT_FAILURE, "spans are whole, joined or rebuilt");
}

static void load_option(LoadOptions *options, int option, const char *value) {
        uint64_t number = value ? strtoull(value, NULL, 10) : 0;

        switch (option) {
        case 's':
                options->socket = value;
                break;
        case 'A':
                options->arena = true;
                break;
        case 'h':
                options->http_port = (uint16_t)number;
                break;
        case 'p':
                options->page = value;
                break;
        case 'P':
                options->pid = (pid_t)number;
                break;
        case 'n':
                options->n_spans = number;
                break;
        case 'c':
                options->n_clients = (unsigned)number;
                break;
        case 'k':
                options->part = load_part(value);
                break;
        case 'a':
                options->n_a_send = (unsigned)number;
                break;
        case 'o':
                options->n_open = (unsigned)number;
                break;
        case 'C':
                options->n_chains = (unsigned)number;
                break;
        case 'r':
                options->rate = number;
                break;
        case 'w':
                options->window = number;
                break;
        case 'R':
                options->rest_ns = number * LOAD_NS_A_MS;
                break;
        default:
                exit(EXIT_FAILURE);
        }
}

int main(int argc, char **argv) {
        static const struct option known[] = {
                {"socket", required_argument, NULL, 's'}, {"http", required_argument, NULL, 'h'},
                {"page", required_argument, NULL, 'p'},   {"pid", required_argument, NULL, 'P'},
                {"spans", required_argument, NULL, 'n'},  {"clients", required_argument, NULL, 'c'},
                {"kind", required_argument, NULL, 'k'},   {"a-send", required_argument, NULL, 'a'},
                {"open", required_argument, NULL, 'o'},   {"chains", required_argument, NULL, 'C'},
                {"rate", required_argument, NULL, 'r'},   {"window", required_argument, NULL, 'w'},
                {"arena", no_argument, NULL, 'A'},        {"rest", required_argument, NULL, 'R'},
                {0},
        };
        Load load = {
                .options = {.n_clients = 1, .n_a_send = 1, .n_request = 1000, .window = 40000},
                .random = page_now_ns(),
        };
        int option;

        while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
                load_option(&load.options, option, optarg);
        if (!load.options.page || !load.options.pid || !load.options.n_spans ||
            !load.options.socket == !load.options.http_port)
                errx(EXIT_FAILURE, "needs --page, --pid, --spans, and --socket or --http");
        if (load.options.n_open && (load.options.n_clients > 1 || !load.options.part))
                errx(EXIT_FAILURE, "spans that stay open are one client's, and not whole");
        load_run(&load);
        return EXIT_SUCCESS;
}
