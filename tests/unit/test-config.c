/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/log.h"
#include "daemon/config.h"
#include "daemon/export/endpoint.h"
#include "daemon/export/exporter.h"
#include "daemon/trace/batch.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN UNIT_GOLDEN "/config"
#define NOT_A_HEADER                                                                               \
        "not a header that can be sent: its name has letters, digits and !#$%&'*+-.^_`|~, its "    \
        "value no control characters, and Content-Type, Content-Encoding, Content-Length, "        \
        "Transfer-Encoding, Connection, Host and User-Agent are the exporter's own"
#define DEFAULT UNIT_GOLDEN "/../../config/catenad.yaml"
#define MANUAL  UNIT_GOLDEN "/../../config/catenad.yaml.5"

/* ---- a folder of its own for each test ---- */

static char folder[FOLDER_PATH_SIZE];

static void setup(void) {
        folder_make(folder);
        ck_assert_int_eq(chdir(folder), 0);
        ck_assert_int_eq(clearenv(), 0);
}

static void teardown(void) {
        folder_remove(folder);
}

static void write_bytes(const char *file, const void *data, size_t size) {
        int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
        close(fd);
}

static void write_text(const char *file, const char *text) {
        write_bytes(file, text, strlen(text));
}

static Config *load(const char *file) {
        Config *config = NULL;
        ConfigError error = {0};
        int r = config_load(&config, file, false, &error);

        ck_assert_msg(r == 0, "%s", error.text);
        return config;
}

static Config *load_text(const char *text) {
        write_text("catenad.yaml", text);
        return load("catenad.yaml");
}

static void assert_refused(const char *file, const char *expected) {
        Config *config = NULL;
        ConfigError error = {0};

        ck_assert_int_eq(config_load(&config, file, true, &error), CONFIG_E_INVALID);
        ck_assert_ptr_null(config);
        ck_assert_str_eq(error.text, expected);
}

static char *dump(const Config *config) {
        Buffer out = BUFFER_NULL;

        ck_assert_int_eq(config_dump(config, &out), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        return (char *)out.data;
}

static void assert_same(const Config *a, const Config *b) {
        char *a_text = dump(a), *b_text = dump(b);

        ck_assert_str_eq(a_text, b_text);
        free(a_text);
        free(b_text);
}

/* ---- what is read ---- */

START_TEST(defaults_without_a_file) {
        Config *config = load("nothing-here.yaml");

        ck_assert_str_eq(config->listen.socket, "/run/catena/catena.sock");
        ck_assert_uint_eq(config->listen.mode, 0666);
        ck_assert_ptr_null(config->listen.group);
        ck_assert_uint_eq(config->listen.max_clients, 4096);
        ck_assert_uint_eq(config->control.mode, 0660);
        ck_assert_uint_eq(config->log.level, LOG_LEVEL_INFO);
        ck_assert(config->sampling.ratio == 1);
        ck_assert_uint_eq(config->sampling.keep_errors, false);
        ck_assert_uint_eq(config->sampling.keep_slower_than_ns, 0);
        ck_assert_uint_eq(config->batch.delay_ns, 1000000000);
        ck_assert_uint_eq(config->batch.max_bytes, 1048576);
        ck_assert_uint_eq(config->journal.max_bytes, 48 * 1048576);
        ck_assert_uint_eq(config->limits.bytes_per_uid, 32 * 1048576);
        ck_assert_uint_eq(config->limits.value_length, UINT32_MAX);
        ck_assert_uint_eq(config->shutdown.timeout_ns, 10000000000);
        ck_assert_uint_eq(config->n_exporters, 1);
        ck_assert_str_eq(config->exporters[0].name, "default");
        ck_assert_str_eq(config->exporters[0].endpoint, "http://localhost:4318");
        ck_assert_uint_eq(config->exporters[0].compression, EXPORTER_COMPRESSION_GZIP);
        ck_assert_uint_eq(config->exporters[0].signals,
                          1 << BATCH_TRACES | 1 << BATCH_LOGS | 1 << ENDPOINT_METRICS);
        ck_assert_ptr_null(config->metrics.prometheus);
        ck_assert_uint_eq(config->metrics.interval_ns, 60000000000);
        config_free(config);
}
END_TEST

START_TEST(annotated_file_equals_the_defaults) {
        Config *annotated = load(DEFAULT), *defaults = load("nothing-here.yaml");

        assert_same(annotated, defaults);
        config_free(annotated);
        config_free(defaults);
}
END_TEST

/* Each key that the dump knows, so that nothing goes untold. */
static void assert_names_every_key(const char *path, const char *before, const char *after) {
        static char text[65536];
        Config *defaults = load("nothing-here.yaml");
        char *keys = dump(defaults), key[64];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof text - 1);

        ck_assert_int_gt(n, 0);
        close(fd);
        text[n] = 0;
        for (char *rest = keys, *line; (line = strsep(&rest, "\n"));) {
                char *colon = strchr(line, ':');

                line += strspn(line, " -");
                if (colon && colon > line) {
                        *colon = 0;
                        snprintf(key, sizeof key, "%s%s%s", before, line, after);
                        ck_assert_msg(strstr(text, key) != NULL, "%s", key);
                }
        }
        free(keys);
        config_free(defaults);
}

START_TEST(annotated_file_names_every_key) {
        assert_names_every_key(DEFAULT, "", ":");
}
END_TEST

START_TEST(manual_names_every_key) {
        assert_names_every_key(MANUAL, " ", "\n");
}
END_TEST

START_TEST(every_key_is_read) {
        Config *config = load_text(
                "listen: { socket: /a, mode: \"0600\", group: root, max_clients: 7 }\n"
                "control: { socket: /b, mode: \"0640\", group: root }\n"
                "metrics: { prometheus: \":9465\", interval: 5s }\n"
                "log: { level: debug, format: json }\n"
                "resource:\n  attributes: [ { name: n, value: v }, { name: \"null\", value: ~x } "
                "]\n"
                "batch: { delay: 20ms, max_spans: 9, max_bytes: 2KiB }\n"
                "journal: { path: /c, max_size: 1GiB, sync: never }\n"
                "exporters:\n"
                "  - name: one\n"
                "    endpoint: http://one:1/base\n"
                "    protocol: http/protobuf\n"
                "    compression: none\n"
                "    timeout: 1m\n"
                "    signals: [logs]\n"
                "    headers: [ { name: X-Key, value: secret }, { name: X-Empty, value: \"\" } ]\n"
                "    retry: { initial: 2s, max: 1h }\n"
                "limits: { clients_per_uid: 1, bytes_per_uid: 1048577B, attributes: 0,\n"
                "          events: 2, links: 3, value_length: 4 }\n"
                "sampling: { ratio: 0.25, keep_errors: true, keep_slower_than: 1s }\n"
                "shutdown: { timeout: 0s }\n");
        const ConfigExporter *exporter = &config->exporters[0];

        ck_assert_str_eq(config->listen.socket, "/a");
        ck_assert_uint_eq(config->listen.mode, 0600);
        ck_assert_str_eq(config->listen.group, "root");
        ck_assert_uint_eq(config->listen.max_clients, 7);
        ck_assert_str_eq(config->control.socket, "/b");
        ck_assert_uint_eq(config->control.mode, 0640);
        ck_assert_str_eq(config->control.group, "root");
        ck_assert_str_eq(config->metrics.prometheus, ":9465");
        ck_assert_uint_eq(config->metrics.interval_ns, 5000000000);
        ck_assert_uint_eq(config->log.level, LOG_LEVEL_DEBUG);
        ck_assert_uint_eq(config->log.format, LOG_FORMAT_JSON);
        ck_assert_uint_eq(config->resource.n_attributes, 2);
        ck_assert_str_eq(config->resource.attributes[0].name, "n");
        ck_assert_str_eq(config->resource.attributes[0].value, "v");
        ck_assert_str_eq(config->resource.attributes[1].name, "null");
        ck_assert(config->sampling.ratio == 0.25);
        ck_assert_uint_eq(config->sampling.keep_errors, true);
        ck_assert_uint_eq(config->sampling.keep_slower_than_ns, 1000000000);
        ck_assert_uint_eq(config->batch.delay_ns, 20000000);
        ck_assert_uint_eq(config->batch.max_spans, 9);
        ck_assert_uint_eq(config->batch.max_bytes, 2048);
        ck_assert_str_eq(config->journal.path, "/c");
        ck_assert_uint_eq(config->journal.max_bytes, 1 << 30);
        ck_assert_uint_eq(config->n_exporters, 1);
        ck_assert_str_eq(exporter->name, "one");
        ck_assert_str_eq(exporter->endpoint, "http://one:1/base");
        ck_assert_uint_eq(exporter->compression, EXPORTER_COMPRESSION_NONE);
        ck_assert_uint_eq(exporter->timeout_ns, 60000000000);
        ck_assert_uint_eq(exporter->signals, 1 << BATCH_LOGS);
        ck_assert_uint_eq(exporter->n_headers, 2);
        ck_assert_str_eq(exporter->headers[0].name, "X-Key");
        ck_assert_str_eq(exporter->headers[0].value, "secret");
        ck_assert_str_eq(exporter->headers[1].value, "");
        ck_assert_uint_eq(exporter->retry.initial_ns, 2000000000);
        ck_assert_uint_eq(exporter->retry.max_ns, 3600000000000);
        ck_assert_uint_eq(config->limits.clients_per_uid, 1);
        ck_assert_uint_eq(config->limits.bytes_per_uid, 1048577);
        ck_assert_uint_eq(config->limits.attributes, 0);
        ck_assert_uint_eq(config->limits.events, 2);
        ck_assert_uint_eq(config->limits.links, 3);
        ck_assert_uint_eq(config->limits.value_length, 4);
        ck_assert_uint_eq(config->shutdown.timeout_ns, 0);
        config_free(config);
}
END_TEST

START_TEST(file_that_says_nothing) {
        static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "~\n", "{}\n"};
        Config *defaults = load("nothing-here.yaml");

        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                Config *config = load_text(texts[i]);

                assert_same(config, defaults);
                config_free(config);
        }
        config_free(defaults);
}
END_TEST

START_TEST(no_exporters_is_legal) {
        Config *config = load_text("exporters: []\n");

        ck_assert_uint_eq(config->n_exporters, 0);
        config_free(config);
}
END_TEST

START_TEST(later_sections_replace_whole) {
        Config *config;

        ck_assert_int_eq(mkdir("catenad.yaml.d", 0700), 0);
        write_text("catenad.yaml.d/10-first.yaml", "batch: { delay: 3s }\n");
        write_text("catenad.yaml.d/20-second.yaml", "batch: { max_spans: 4 }\n");
        write_text("catenad.yaml.d/30-note.txt", "not: read\n");
        write_text("catenad.yaml.d/.hidden.yaml", "not: read\n");
        config = load_text("batch: { delay: 2s, max_bytes: 2KiB }\nlog: { level: debug }\n");
        ck_assert_uint_eq(config->batch.delay_ns, 1000000000);
        ck_assert_uint_eq(config->batch.max_bytes, 1048576);
        ck_assert_uint_eq(config->batch.max_spans, 4);
        ck_assert_uint_eq(config->log.level, LOG_LEVEL_DEBUG);
        config_free(config);
}
END_TEST

START_TEST(later_exporters_replace_by_name) {
        Config *config;

        ck_assert_int_eq(mkdir("catenad.yaml.d", 0700), 0);
        write_text("catenad.yaml.d/a.yaml",
                   "exporters:\n  - { name: b, endpoint: \"http://new\" }\n"
                   "  - { name: c, endpoint: \"http://c\" }\n");
        config = load_text("exporters:\n  - { name: a, endpoint: \"http://a\" }\n"
                           "  - { name: b, endpoint: \"http://old\", timeout: 1s }\n");
        ck_assert_uint_eq(config->n_exporters, 3);
        ck_assert_str_eq(config->exporters[0].endpoint, "http://a");
        ck_assert_str_eq(config->exporters[1].endpoint, "http://new");
        ck_assert_uint_eq(config->exporters[1].timeout_ns, 10000000000);
        ck_assert_str_eq(config->exporters[2].endpoint, "http://c");
        config_free(config);
}
END_TEST

START_TEST(mistake_in_an_addition_names_that_file) {
        ck_assert_int_eq(mkdir("catenad.yaml.d", 0700), 0);
        write_text("catenad.yaml", "log: { level: debug }\n");
        write_text("catenad.yaml.d/a.yaml", "\nlog: { level: loud }\n");
        assert_refused("catenad.yaml", "catenad.yaml.d/a.yaml:2: log.level: \"loud\" is not known: "
                                       "allowed is error, warning, info, debug");
}
END_TEST

START_TEST(file_that_was_asked_for_must_be_there) {
        assert_refused("nothing-here.yaml",
                       "nothing-here.yaml: cannot be read: No such file or directory");
        assert_refused("/", "/: cannot be read: Is a directory");
}
END_TEST

/* ---- mistakes ---- */

/* Each tests/golden/config/X.yaml is refused with the line in X.err. */
START_TEST(every_mistake_is_told) {
        struct dirent **entries;
        unsigned n_mistakes = 0;
        int n;

        ck_assert_int_eq(chdir(GOLDEN), 0);
        n = scandir(".", &entries, NULL, alphasort);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
                char expected[2048] = "", name[NAME_MAX + sizeof ".yaml"], *dot;
                FILE *file;

                strcpy(name, entries[i]->d_name);
                dot = strrchr(name, '.');
                if (dot && !strcmp(dot, ".err")) {
                        file = fopen(name, "re");
                        ck_assert_ptr_nonnull(file);
                        ck_assert_ptr_nonnull(fgets(expected, sizeof expected, file));
                        fclose(file);
                        expected[strcspn(expected, "\n")] = 0;
                        strcpy(dot, ".yaml");
                        assert_refused(name, expected);
                        n_mistakes++;
                } else if (dot && !strcmp(dot, ".yaml")) {
                        strcpy(dot, ".err");
                        ck_assert_msg(!access(name, R_OK), "%s", name);
                }
                free(entries[i]);
        }
        free(entries);
        ck_assert_uint_gt(n_mistakes, 60);
}
END_TEST

START_TEST(hostile_files_are_bounded) {
        enum { SIZE = 1024 * 1024 };
        static char data[SIZE + 1];

        memset(data, '#', sizeof data);
        write_bytes("large.yaml", data, sizeof data);
        assert_refused("large.yaml", "large.yaml: too large for a configuration: at most 1 MiB");
        assert_refused("/dev/zero", "/dev/zero: too large for a configuration: at most 1 MiB");

        memset(data, '[', SIZE);
        write_bytes("deep.yaml", data, SIZE);
        assert_refused("deep.yaml", "deep.yaml:1: [0][0][0][0][0][0][0]: nested too deep");

        memcpy(data, "exporters: [", 12);
        for (size_t i = 12; i < SIZE; i += 2)
                memcpy(data + i, "a,", 2);
        write_bytes("wide.yaml", data, SIZE);
        assert_refused("wide.yaml", "wide.yaml:1: exporters: too many values for a configuration");
}
END_TEST

/* Changed at random, the annotated file is read or refused with a message; nothing else. */
START_TEST(damaged_files_are_read_or_refused) {
        static const char bytes[] = "\n :-#[]{},\"'&*!|>%@`\t\xff~09azAZ";
        static uint8_t data[16384], copy[sizeof data];
        int fd = open(DEFAULT, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, data, sizeof data);
        unsigned state = 1, n_refused = 0;

        close(fd);
        ck_assert_int_gt(n, 0);
        for (unsigned round = 0; round < 1000; round++) {
                Config *config = NULL;
                ConfigError error = {0};
                int r;

                memcpy(copy, data, sizeof data);
                for (unsigned i = 0; i <= round % 4; i++) {
                        state = state * 1664525 + 1013904223;
                        copy[(state >> 8) % (unsigned)n] =
                                (uint8_t)bytes[(state >> 20) % sizeof bytes];
                }
                write_bytes("damaged.yaml", copy, (size_t)n);
                r = config_load(&config, "damaged.yaml", true, &error);
                ck_assert_int_ge(r, 0);
                ck_assert(r ? !!*error.text : !!config);
                n_refused += !!r;
                config_free(config);
        }
        ck_assert_uint_gt(n_refused, 100);
}
END_TEST

/* ---- the environment ---- */

START_TEST(environment_makes_the_default_exporter) {
        const ConfigExporter *exporter;
        Config *config;

        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", 1);
        setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
        setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none", 1);
        setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2500", 1);
        setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b%3D, X-Other = c ,", 1);
        config = load_text("log: { level: debug }\n");
        exporter = &config->exporters[0];
        ck_assert_uint_eq(config->n_exporters, 1);
        ck_assert_str_eq(exporter->name, "default");
        ck_assert_str_eq(exporter->endpoint, "http://collector:4318");
        ck_assert_uint_eq(exporter->compression, EXPORTER_COMPRESSION_NONE);
        ck_assert_uint_eq(exporter->timeout_ns, 2500000000);
        ck_assert_uint_eq(exporter->n_headers, 2);
        ck_assert_str_eq(exporter->headers[0].name, "X-Key");
        ck_assert_str_eq(exporter->headers[0].value, "a b=");
        ck_assert_str_eq(exporter->headers[1].name, "X-Other");
        ck_assert_str_eq(exporter->headers[1].value, "c");
        config_free(config);

        config = load_text("exporters: [ { name: default, endpoint: \"http://file\" } ]\n");
        ck_assert_uint_eq(config->n_exporters, 1);
        ck_assert_str_eq(config->exporters[0].endpoint, "http://file");
        ck_assert_uint_eq(config->exporters[0].n_headers, 0);
        config_free(config);

        config = load_text("exporters: []\n");
        ck_assert_uint_eq(config->n_exporters, 0);
        config_free(config);
}
END_TEST

START_TEST(mistakes_in_the_environment_are_told) {
        static const char *const cases[][3] = {
                {"ENDPOINT", "https://c",
                 "not an endpoint: an http:// URL with a host, without user and query, as "
                 "\"http://localhost:4318\""},
                {"PROTOCOL", "grpc", "\"grpc\" is not known: allowed is http/protobuf"},
                {"COMPRESSION", "zstd", "\"zstd\" is not known: allowed is none, gzip"},
                {"TIMEOUT", "10s", "\"10s\" is not a number of milliseconds"},
                {"TIMEOUT", "9999999999999999",
                 "\"9999999999999999ms\" is out of range: from 1ms to 1h"},
                {"HEADERS", "X-Key:secret", "not headers: name=value,name=value"},
                {"HEADERS", "X-Key=secret%2",
                 "\"X-Key\": '%' must be followed by two hexadecimal digits, not 00"},
                {"HEADERS", "X-Key=secret%00",
                 "\"X-Key\": '%' must be followed by two hexadecimal digits, not 00"},
                {"HEADERS", "X-Key=secret%0aX", "\"X-Key\": " NOT_A_HEADER},
                {"HEADERS", "Host=secret", "\"Host\": " NOT_A_HEADER},
                {"TRACES_ENDPOINT", "http://c/v1/traces",
                 "is not supported: name an exporter for the signal in a file"},
                {"METRICS_ENDPOINT", "http://c/v1/metrics",
                 "is not supported: name an exporter for the signal in a file"},
        };
        char variable[64], expected[512];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                snprintf(variable, sizeof variable, "OTEL_EXPORTER_OTLP_%s", cases[i][0]);
                snprintf(expected, sizeof expected, "environment: %s: %s", variable, cases[i][2]);
                setenv(variable, cases[i][1], 1);
                write_text("catenad.yaml", "log: { level: info }\n");
                assert_refused("catenad.yaml", expected);
                unsetenv(variable);
        }
}
END_TEST

/* ---- the dump ---- */

START_TEST(dump_loads_to_the_same) {
        Config *config, *again;
        char *text;

        config = load_text(
                "listen: { group: root, mode: \"0007\" }\n"
                "resource: { attributes: [ { name: \"a: b # c\", value: \"null\" },\n"
                "  { name: \"\\\"\\u00e9\", value: \"\" }, { name: x, value: \"a\\nb\\t\" } ] }\n"
                "exporters:\n  - { name: a, endpoint: \"http://[::1]:1\", timeout: 90s }\n"
                "  - { name: b, endpoint: \"http://b/c\", signals: [logs] }\n"
                "limits: { bytes_per_uid: 1025KiB, value_length: 0 }\n"
                "metrics: { prometheus: \"[::1]:9465\" }\n"
                "sampling: { ratio: 0.3333333333333333, keep_slower_than: 90s }\n"
                "shutdown: { timeout: 1500ms }\n");
        text = dump(config);
        ck_assert_ptr_nonnull(strstr(text, "timeout: 90s\n"));
        ck_assert_ptr_nonnull(strstr(text, "timeout: 1500ms\n"));
        ck_assert_ptr_nonnull(strstr(text, "bytes_per_uid: 1025KiB\n"));
        ck_assert_ptr_nonnull(strstr(text, "ratio: 0.3333333333333333\n"));
        again = load_text(text);
        assert_same(config, again);
        ck_assert_str_eq(again->resource.attributes[0].value, "null");
        ck_assert_str_eq(again->metrics.prometheus, "[::1]:9465");
        ck_assert_str_eq(again->resource.attributes[2].value, "a\nb\t");
        free(text);
        config_free(config);
        config_free(again);

        config = load_text("exporters: []\n");
        text = dump(config);
        again = load_text(text);
        ck_assert_uint_eq(again->n_exporters, 0);
        free(text);
        config_free(config);
        config_free(again);
}
END_TEST

START_TEST(dump_hides_the_values_of_headers) {
        Config *config = load_text("exporters:\n  - name: a\n    endpoint: http://a\n"
                                   "    headers: [ { name: X-Key, value: canary } ]\n");
        char *text = dump(config);

        ck_assert_ptr_null(strstr(text, "canary"));
        ck_assert_ptr_nonnull(strstr(text, "\"X-Key\""));
        ck_assert_ptr_nonnull(strstr(text, "\"(hidden)\""));
        free(text);
        config_free(config);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("config");
        TCase *tcase = tcase_create("config");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, defaults_without_a_file);
        tcase_add_test(tcase, annotated_file_equals_the_defaults);
        tcase_add_test(tcase, annotated_file_names_every_key);
        tcase_add_test(tcase, manual_names_every_key);
        tcase_add_test(tcase, every_key_is_read);
        tcase_add_test(tcase, file_that_says_nothing);
        tcase_add_test(tcase, no_exporters_is_legal);
        tcase_add_test(tcase, later_sections_replace_whole);
        tcase_add_test(tcase, later_exporters_replace_by_name);
        tcase_add_test(tcase, mistake_in_an_addition_names_that_file);
        tcase_add_test(tcase, file_that_was_asked_for_must_be_there);
        tcase_add_test(tcase, every_mistake_is_told);
        tcase_add_test(tcase, hostile_files_are_bounded);
        tcase_add_test(tcase, damaged_files_are_read_or_refused);
        tcase_add_test(tcase, environment_makes_the_default_exporter);
        tcase_add_test(tcase, mistakes_in_the_environment_are_told);
        tcase_add_test(tcase, dump_loads_to_the_same);
        tcase_add_test(tcase, dump_hides_the_values_of_headers);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}
