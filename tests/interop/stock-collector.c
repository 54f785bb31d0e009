/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/interop/stock-collector.h"

#include "tests/integration/harness.h"
#include "tests/integration/people.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { STOCK_COLLECTOR_TRIES = 3000, STOCK_COLLECTOR_TRY_MS = 20 };

typedef struct StockCollectorStart {
        const char *binary, *folder;
} StockCollectorStart;

static void stock_collector_path(char path[FOLDER_PATH_SIZE * 2], const char *folder,
                                 const char *name) {
        snprintf(path, FOLDER_PATH_SIZE * 2, "%s/%s", folder, name);
}

/* ---- the process ---- */

static void stock_collector_address(struct sockaddr_in *address, unsigned port) {
        *address = (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                .sin_port = htons((uint16_t)port),
        };
}

/* A port that nobody listens on. */
static unsigned stock_collector_choose_port(void) {
        struct sockaddr_in address;
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        stock_collector_address(&address, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static bool stock_collector_listens(unsigned port) {
        struct sockaddr_in address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool listens;

        stock_collector_address(&address, port);
        listens = !connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        return listens;
}

static void stock_collector_exec(void *user) {
        const StockCollectorStart *start = user;
        char config[FOLDER_PATH_SIZE * 2], log[FOLDER_PATH_SIZE * 2];
        int fd;

        stock_collector_path(config, start->folder, "config.yaml");
        stock_collector_path(log, start->folder, "log");
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execl(start->binary, start->binary, "--config", config, NULL);
        _exit(127);
}

static void stock_collector_write_config(const StockCollector *collector) {
        char path[FOLDER_PATH_SIZE * 2];
        FILE *file;

        stock_collector_path(path, collector->folder, "config.yaml");
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fprintf(file,
                "receivers: { otlp: { protocols: { http: { endpoint: \"127.0.0.1:%u\" } } } }\n"
                "exporters: { file: { path: \"%s/otlp.json\" } }\n"
                "service:\n"
                "  telemetry: { metrics: { level: none } }\n"
                "  pipelines:\n"
                "    traces: { receivers: [otlp], exporters: [file] }\n"
                "    logs: { receivers: [otlp], exporters: [file] }\n"
                "    metrics: { receivers: [otlp], exporters: [file] }\n",
                collector->port, collector->folder);
        ck_assert_int_eq(fclose(file), 0);
}

void stock_collector_open(StockCollector *collector, const char *binary) {
        StockCollectorStart start = {binary, collector->folder};

        *collector = (StockCollector){.port = stock_collector_choose_port()};
        folder_make(collector->folder);
        stock_collector_write_config(collector);
        collector->pid = people_fork(stock_collector_exec, &start);
        for (unsigned i = 0; !stock_collector_listens(collector->port); i++) {
                ck_assert_uint_lt(i, STOCK_COLLECTOR_TRIES);
                ck_assert_int_eq(waitpid(collector->pid, NULL, WNOHANG), 0);
                poll(NULL, 0, STOCK_COLLECTOR_TRY_MS);
        }
}

void stock_collector_stop(StockCollector *collector) {
        char path[FOLDER_PATH_SIZE * 2];
        json_t *request;
        FILE *file;

        ck_assert_int_eq(kill(collector->pid, SIGTERM), 0);
        ck_assert_int_eq(people_await(collector->pid), 0);
        stock_collector_path(path, collector->folder, "otlp.json");
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        collector->requests = json_array();
        while ((request = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)))
                json_array_append_new(collector->requests, request);
        fclose(file);
}

void stock_collector_close(StockCollector *collector) {
        json_decref(collector->requests);
        folder_remove(collector->folder);
}

/* ---- what it wrote ---- */

typedef void (*StockCollectorEach)(void *user, json_t *scope, json_t *record);

static void stock_collector_each(const StockCollector *collector, StockCollectorKind kind,
                                 StockCollectorEach each, void *user) {
        static const char *const names[][3] = {
                [STOCK_COLLECTOR_SPANS] = {"resourceSpans", "scopeSpans", "spans"},
                [STOCK_COLLECTOR_LOGS] = {"resourceLogs", "scopeLogs", "logRecords"},
                [STOCK_COLLECTOR_METRICS] = {"resourceMetrics", "scopeMetrics", "metrics"},
        };
        json_t *request, *of_resource, *of_scope, *record;
        size_t i, j, k, l;

        json_array_foreach(collector->requests, i, request) {
                json_array_foreach(json_object_get(request, names[kind][0]), j, of_resource) {
                        json_array_foreach(json_object_get(of_resource, names[kind][1]), k,
                                           of_scope) {
                                json_array_foreach(json_object_get(of_scope, names[kind][2]), l,
                                                   record)
                                        each(user, json_object_get(of_scope, "scope"), record);
                        }
                }
        }
}

static void stock_collector_count(void *user, json_t *scope, json_t *record) {
        (void)scope;
        (void)record;
        ++*(size_t *)user;
}

size_t stock_collector_n(const StockCollector *collector, StockCollectorKind kind) {
        size_t n = 0;

        stock_collector_each(collector, kind, stock_collector_count, &n);
        return n;
}

const char *stock_collector_string(const json_t *record, const char *key) {
        json_t *attribute;
        size_t i;

        json_array_foreach(json_object_get(record, "attributes"), i, attribute) {
                if (!strcmp(json_string_value(json_object_get(attribute, "key")), key))
                        return json_string_value(json_object_get(
                                json_object_get(attribute, "value"), "stringValue"));
        }
        return NULL;
}

const char *stock_collector_service(const StockCollector *collector) {
        json_t *of_resource = json_array_get(
                json_object_get(json_array_get(collector->requests, 0), "resourceSpans"), 0);

        return stock_collector_string(json_object_get(of_resource, "resource"), "service.name");
}

typedef struct StockCollectorSearch {
        const char *name;
        json_t *record, *scope;
        size_t n_found;
} StockCollectorSearch;

static void stock_collector_compare(void *user, json_t *scope, json_t *record) {
        json_t *body = json_object_get(json_object_get(record, "body"), "stringValue");
        json_t *name = body ? body : json_object_get(record, "name");
        StockCollectorSearch *search = user;

        if (strcmp(json_string_value(name), search->name))
                return;
        search->record = record;
        search->scope = scope;
        search->n_found++;
}

json_t *stock_collector_last(const StockCollector *collector, StockCollectorKind kind,
                             const char *name) {
        StockCollectorSearch search = {.name = name};

        stock_collector_each(collector, kind, stock_collector_compare, &search);
        return search.record;
}

static const char *stock_collector_key(json_t *attributes, size_t i) {
        return json_string_value(json_object_get(json_array_get(attributes, i), "key"));
}

void stock_collector_sort(json_t *attributes) {
        for (size_t i = 0; i < json_array_size(attributes); i++) {
                size_t least = i;
                json_t *moved;

                for (size_t k = i + 1; k < json_array_size(attributes); k++)
                        if (strcmp(stock_collector_key(attributes, k),
                                   stock_collector_key(attributes, least)) < 0)
                                least = k;
                moved = json_incref(json_array_get(attributes, least));
                json_array_remove(attributes, least);
                json_array_insert_new(attributes, i, moved);
        }
}

json_t *stock_collector_find(const StockCollector *collector, const char *name, const char *scope,
                             const char *version) {
        StockCollectorSearch search = {.name = name};
        const char *its_name, *its_version;

        stock_collector_each(collector, STOCK_COLLECTOR_SPANS, stock_collector_compare, &search);
        ck_assert_msg(search.n_found == 1, "%zu spans %s", search.n_found, name);
        its_name = json_string_value(json_object_get(search.scope, "name"));
        its_version = json_string_value(json_object_get(search.scope, "version"));
        ck_assert_pstr_eq(its_name, scope);
        ck_assert_pstr_eq(its_version, version);
        stock_collector_sort(json_object_get(search.record, "attributes"));
        return json_incref(search.record);
}
