#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Configuration
 *
 * What catenad.yaml says, else the defaults. The tables below are the one place where a key is
 * named, with its kind, its bounds and its default: the struct, the schema of the YAML, the check
 * of values and the dump are made of them.
 *
 * Files are read in order: FILE, then FILE.d/ *.yaml by name. A section in a later file replaces
 * the earlier one whole; an exporter replaces the one of its name. Where no file has `exporters`,
 * one named `default` is made, of OTEL_EXPORTER_OTLP_* where they are set.
 *
 * Owns: its strings.  Bound: 1 MiB a file.  I/O: files, the environment, the group database.
 */

#include "daemon/base/buffer.h"
#include "daemon/config-error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_DEFAULT_FILE     "/etc/catena/catenad.yaml"
#define CONFIG_DEFAULT_ENDPOINT "http://localhost:4318"

/* The type that a value of each kind has here. In YAML each is a text. */
#define CONFIG_TYPE_PATH         char * /* absolute; most: bytes */
#define CONFIG_TYPE_GROUP        char * /* of this machine, or NULL */
#define CONFIG_TYPE_ADDRESS      char * /* that socket_parse_tcp() takes, or NULL */
#define CONFIG_TYPE_NAME         char * /* letters, digits, '.', '_', '-' */
#define CONFIG_TYPE_ENDPOINT     char * /* an URL that exporters take */
#define CONFIG_TYPE_MODE         mode_t /* "0660" */
#define CONFIG_TYPE_COUNT        uint32_t
#define CONFIG_TYPE_LIMIT        uint32_t /* a count; UINT32_MAX: unlimited */
#define CONFIG_TYPE_SIZE         uint64_t /* bytes, "48MiB" */
#define CONFIG_TYPE_TIME         uint64_t /* nanoseconds, "10s" */
#define CONFIG_TYPE_TIME_OR_NULL uint64_t /* the same; 0: null */
#define CONFIG_TYPE_RATIO        double /* from 0 to 1 */
#define CONFIG_TYPE_BOOL         uint32_t /* "true" or "false" */
#define CONFIG_TYPE_LEVEL        uint32_t /* LogLevel */
#define CONFIG_TYPE_FORMAT       uint32_t /* LogFormat */
#define CONFIG_TYPE_SYNC         uint32_t /* ConfigSync */
#define CONFIG_TYPE_PROTOCOL     uint32_t /* ConfigProtocol */
#define CONFIG_TYPE_COMPRESSION  uint32_t /* ExporterCompression */

typedef enum ConfigSync {
        CONFIG_SYNC_NEVER,
} ConfigSync;

typedef enum ConfigProtocol {
        CONFIG_PROTOCOL_HTTP_PROTOBUF,
} ConfigProtocol;

enum {
        CONFIG_FILE_MAX = 1024 * 1024,
        CONFIG_SOCKET_MAX = 107, /* sockaddr_un */
        CONFIG_PATH_MAX = 3072,  /* leaves room for the names of files inside */
        CONFIG_EXPORTERS_MAX = 16,
        CONFIG_HEADERS_MAX = 64,
        CONFIG_ATTRIBUTES_MAX = 128,
};

#define CONFIG_MS     UINT64_C(1000000)
#define CONFIG_SECOND (1000 * CONFIG_MS)
#define CONFIG_HOUR   (3600 * CONFIG_SECOND)
#define CONFIG_KIB    UINT64_C(1024)
#define CONFIG_MIB    (1024 * CONFIG_KIB)
#define CONFIG_GIB    (1024 * CONFIG_MIB)

/* X(S, member, key, kind, least, most, default); S names the section's struct. NULL: must be given,
 * or where there may be none: that. */
#define CONFIG_KEYS_LISTEN(X, S)                                                                   \
        X(S, socket, "socket", PATH, 2, CONFIG_SOCKET_MAX, "/run/catena/catena.sock")              \
        X(S, mode, "mode", MODE, 0, 0777, "0666")                                                  \
        X(S, group, "group", GROUP, 0, 0, NULL)                                                    \
        X(S, max_clients, "max_clients", COUNT, 1, 65536, "4096")
#define CONFIG_KEYS_CONTROL(X, S)                                                                  \
        X(S, socket, "socket", PATH, 2, CONFIG_SOCKET_MAX, "/run/catena/control.sock")             \
        X(S, mode, "mode", MODE, 0, 0777, "0660")                                                  \
        X(S, group, "group", GROUP, 0, 0, NULL)
#define CONFIG_KEYS_METRICS(X, S)                                                                  \
        X(S, prometheus, "prometheus", ADDRESS, 0, 64, NULL)                                       \
        X(S, interval_ns, "interval", TIME, 100 * CONFIG_MS, CONFIG_HOUR, "60s")
#define CONFIG_KEYS_LOG(X, S)                                                                      \
        X(S, level, "level", LEVEL, 0, 0, "info")                                                  \
        X(S, format, "format", FORMAT, 0, 0, "text")
#define CONFIG_KEYS_SAMPLING(X, S)                                                                 \
        X(S, ratio, "ratio", RATIO, 0, 1, "1.0")                                                   \
        X(S, keep_errors, "keep_errors", BOOL, 0, 0, "false")                                      \
        X(S, keep_slower_than_ns, "keep_slower_than", TIME_OR_NULL, CONFIG_MS, CONFIG_HOUR, NULL)
#define CONFIG_KEYS_BATCH(X, S)                                                                    \
        X(S, delay_ns, "delay", TIME, CONFIG_MS, CONFIG_HOUR, "1s")                                \
        X(S, max_spans, "max_spans", COUNT, 1, 65536, "8192")                                      \
        X(S, max_bytes, "max_bytes", SIZE, CONFIG_KIB, 3 * CONFIG_MIB, "1MiB")
#define CONFIG_KEYS_JOURNAL(X, S)                                                                  \
        X(S, path, "path", PATH, 2, CONFIG_PATH_MAX, "/run/catena/journal")                        \
        X(S, max_bytes, "max_size", SIZE, 16 * CONFIG_MIB, 16 * CONFIG_GIB, "48MiB")               \
        X(S, sync, "sync", SYNC, 0, 0, "never")
#define CONFIG_KEYS_LIMITS(X, S)                                                                   \
        X(S, clients_per_uid, "clients_per_uid", COUNT, 1, 65536, "1024")                          \
        X(S, bytes_per_uid, "bytes_per_uid", SIZE, CONFIG_MIB, 16 * CONFIG_GIB, "32MiB")           \
        X(S, attributes, "attributes", COUNT, 0, 65536, "128")                                     \
        X(S, events, "events", COUNT, 0, 65536, "128")                                             \
        X(S, links, "links", COUNT, 0, 65536, "128")                                               \
        X(S, value_length, "value_length", LIMIT, 0, 1048576, "unlimited")
#define CONFIG_KEYS_SHUTDOWN(X, S) X(S, timeout_ns, "timeout", TIME, 0, CONFIG_HOUR, "10s")
#define CONFIG_KEYS_EXPORTER(X, S)                                                                 \
        X(S, name, "name", NAME, 1, 64, NULL)                                                      \
        X(S, endpoint, "endpoint", ENDPOINT, 1, 1024, NULL)                                        \
        X(S, protocol, "protocol", PROTOCOL, 0, 0, "http/protobuf")                                \
        X(S, compression, "compression", COMPRESSION, 0, 0, "gzip")                                \
        X(S, timeout_ns, "timeout", TIME, CONFIG_MS, CONFIG_HOUR, "10s")
#define CONFIG_KEYS_RETRY(X, S)                                                                    \
        X(S, initial_ns, "initial", TIME, CONFIG_MS, CONFIG_HOUR, "1s")                            \
        X(S, max_ns, "max", TIME, CONFIG_MS, CONFIG_HOUR, "30s")

/* The sections that hold nothing but values. X(S, member, keys) */
#define CONFIG_SECTIONS(X)                                                                         \
        X(Listen, listen, CONFIG_KEYS_LISTEN)                                                      \
        X(Control, control, CONFIG_KEYS_CONTROL)                                                   \
        X(Metrics, metrics, CONFIG_KEYS_METRICS)                                                   \
        X(Log, log, CONFIG_KEYS_LOG)                                                               \
        X(Sampling, sampling, CONFIG_KEYS_SAMPLING)                                                \
        X(Batch, batch, CONFIG_KEYS_BATCH)                                                         \
        X(Journal, journal, CONFIG_KEYS_JOURNAL)                                                   \
        X(Limits, limits, CONFIG_KEYS_LIMITS)                                                      \
        X(Shutdown, shutdown, CONFIG_KEYS_SHUTDOWN)

#define CONFIG_MEMBER(S, member, key, kind, least, most, initial) CONFIG_TYPE_##kind member;
#define CONFIG_SECTION_STRUCT(S, member, keys)                                                     \
        typedef struct Config##S {                                                                 \
                keys(CONFIG_MEMBER, S)                                                             \
        } Config##S;
CONFIG_SECTIONS(CONFIG_SECTION_STRUCT)
CONFIG_SECTION_STRUCT(Retry, retry, CONFIG_KEYS_RETRY)
#undef CONFIG_SECTION_STRUCT

typedef struct ConfigPair {
        char *name, *value;
} ConfigPair;

typedef struct ConfigResource {
        ConfigPair *attributes;
        unsigned n_attributes;
} ConfigResource;

typedef struct ConfigExporter {
        CONFIG_KEYS_EXPORTER(CONFIG_MEMBER, Exporter)
        uint32_t signals; /* bit BatchSignal or ENDPOINT_METRICS */
        ConfigPair *headers;
        unsigned n_headers;
        ConfigRetry retry;
} ConfigExporter;

typedef struct Config {
#define CONFIG_SECTION_MEMBER(S, member, keys) Config##S member;
        CONFIG_SECTIONS(CONFIG_SECTION_MEMBER)
#undef CONFIG_SECTION_MEMBER
        ConfigResource resource;
        ConfigExporter *exporters;
        unsigned n_exporters;
        char *file; /* config_load()'s */
        bool required;
} Config;
#undef CONFIG_MEMBER

/*
 * Reads `file` and what lies in its folder of additions; a file that is missing counts as empty,
 * or as a mistake with `required`. CONFIG_E_INVALID: the error says where and what is allowed.
 */
int config_load(Config **configp, const char *file, bool required, ConfigError *error);
Config *config_free(Config *config);

/* Appends the whole configuration as YAML that loads to the same; values of headers are hidden. */
int config_dump(const Config *config, Buffer *out);
