#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stock OpenTelemetry Collector
 *
 * Receives OTLP over HTTP on loopback and writes it to a file, which is read when it has stopped.
 *
 * Owns: the process, its folder, what it wrote.
 */

#include "tests/unit/folder.h"

#include <jansson.h>
#include <sys/types.h>

typedef struct StockCollector {
        char folder[FOLDER_PATH_SIZE];
        unsigned port;
        pid_t pid;
        json_t *requests; /* an array of OTLP/JSON, once it has stopped */
} StockCollector;

typedef enum StockCollectorKind {
        STOCK_COLLECTOR_SPANS,
        STOCK_COLLECTOR_LOGS,
        STOCK_COLLECTOR_METRICS,
} StockCollectorKind;

/* Starts it, and waits until it listens. */
void stock_collector_open(StockCollector *collector, const char *binary);
void stock_collector_stop(StockCollector *collector);
void stock_collector_close(StockCollector *collector);

size_t stock_collector_n(const StockCollector *collector, StockCollectorKind kind);
/* The service.name of the first resource. */
const char *stock_collector_service(const StockCollector *collector);
/*
 * The one span of that name, its attributes sorted, which must be under that scope (NULL: without
 * a name or version). A new reference.
 */
json_t *stock_collector_find(const StockCollector *collector, const char *name, const char *scope,
                             const char *version);
/*
 * The last span or metric of that name, or log record of that text; NULL: there is none. Borrowed
 * from the collector.
 */
json_t *stock_collector_last(const StockCollector *collector, StockCollectorKind kind,
                             const char *name);
/* The value of a record's or data point's string attribute, or NULL. */
const char *stock_collector_string(const json_t *record, const char *key);
/* Sorts key-value pairs by their keys. */
void stock_collector_sort(json_t *attributes);
