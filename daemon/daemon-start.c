/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/daemon-internal.h"
#include "daemon/export/endpoint.h"
#include "daemon/resource.h"
#include "proto/arena.h"
#include "proto/sampling.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define DAEMON_USER_AGENT "catenad/" CATENA_VERSION " OTel-OTLP-Exporter-C/" CATENA_VERSION

/* The folder that a path lies in, so that a first start needs no preparation. */
static void daemon_make_parent(const char *path) {
        char parent[CONFIG_PATH_MAX + 1];
        char *slash;

        snprintf(parent, sizeof parent, "%s", path);
        slash = strrchr(parent, '/');
        *slash = 0;
        /* Where it fails, who opens the path tells. */
        if (slash > parent && mkdir(parent, 0755) == 0)
                (void)chmod(parent, 0755); /* whatever the umask: clients must come through */
}

/* The recorder is made of the journal, and the journal asks it for its state. */
static size_t daemon_checkpoint(void *user, uint8_t *data, size_t size) {
        Daemon *daemon = user;

        return daemon->recorder ? recorder_checkpoint(daemon->recorder, data, size) : 0;
}

static void daemon_report_journal(const Daemon *daemon) {
        const JournalReport *report = &daemon->journal_report;
        const char *path = daemon->config->journal.path;

        if (!report->on_tmpfs)
                log_warning("the journal's folder %s is not on tmpfs: expect pauses", path);
        if (report->n_lost_segments || report->n_lost_blocks)
                log_warning("the journal was damaged: %" PRIu64 " segments and %" PRIu64
                            " blocks, %" PRIu64 " bytes, are lost",
                            report->n_lost_segments, report->n_lost_blocks, report->lost_bytes);
        if (report->newer_version)
                log_warning("the journal has segments of format %" PRIu32 ", which is newer: they "
                            "are set aside in %s",
                            report->newer_version, path);
}

static int daemon_open_journal(Daemon *daemon) {
        const char *path = daemon->config->journal.path;
        JournalOptions options = {
                .path = path,
                .max_bytes = daemon->config->journal.max_bytes,
                .checkpoint = daemon_checkpoint,
                .user = daemon,
        };
        int r;

        if (getrandom(options.key, sizeof options.key, 0) < 0 ||
            getrandom(&daemon->seed, sizeof daemon->seed, 0) < 0)
                return error_origin(-errno);
        daemon_make_parent(path);
        r = journal_open(&daemon->journal, &options, &daemon->journal_report);
        if (r < 0)
                return error_trace(r);
        if (r == JOURNAL_E_LOCKED)
                log_error("another daemon holds the journal %s", path);
        else if (r)
                log_error("the journal %s cannot be opened: %s", path, strerror(errno));
        if (r)
                return DAEMON_E_START;
        daemon_report_journal(daemon);
        return 0;
}

RecorderSampling daemon_sampling(const Config *config) {
        return (RecorderSampling){
                .threshold = sampling_threshold(config->sampling.ratio),
                .keep_errors = config->sampling.keep_errors,
                .keep_slower_than_ns = config->sampling.keep_slower_than_ns,
        };
}

static int daemon_open_recorder(Daemon *daemon) {
        const Config *config = daemon->config;
        RecorderOptions options = {
                .journal = daemon->journal,
                .limits =
                        {
                                .attributes = config->limits.attributes,
                                .events = config->limits.events,
                                .links = config->limits.links,
                                .value_length = config->limits.value_length,
                                .event_attributes = config->limits.attributes,
                                .link_attributes = config->limits.attributes,
                                .log_attributes = config->limits.attributes,
                                .log_value_length = config->limits.value_length,
                        },
                .uid_share_bytes = config->limits.bytes_per_uid,
                .seed = daemon->seed,
                .batch_delay_ns = config->batch.delay_ns,
                .batch_spans_max = config->batch.max_spans,
                .batch_bytes_max = config->batch.max_bytes,
                .sampling = daemon_sampling(config),
        };
        RecorderView view;
        int r = chains_new(&daemon->chains, CHAINS_MAX_BYTES, daemon->seed);

        if (!r)
                r = metrics_new(&daemon->metrics, daemon->seed);
        if (!r)
                r = resource_encode_added(&daemon->resource, &config->resource);
        if (!r)
                r = resource_encode_own(&daemon->own_resource, &config->resource);
        options.metrics = daemon->metrics;
        options.chains = daemon->chains;
        options.resource = daemon->resource.data;
        options.resource_size = daemon->resource.size;
        if (!r)
                r = recorder_new(&daemon->recorder, &options);
        if (!r)
                r = recorder_recover(daemon->recorder);
        if (r)
                return error_trace(r);
        recorder_view(daemon->recorder, &view);
        if (daemon->journal_report.n_blocks)
                log_info("recovered from the journal: %zu sessions, %zu open spans, %zu spans and "
                         "%zu logs to send",
                         view.n_sessions_alive, view.n_spans_open,
                         view.n_unsealed[BATCH_TRACES] + view.n_sealed[BATCH_TRACES],
                         view.n_unsealed[BATCH_LOGS] + view.n_sealed[BATCH_LOGS]);
        return 0;
}

static int daemon_name_exporters(Daemon *daemon) {
        const Config *config = daemon->config;
        const char *names[CONFIG_EXPORTERS_MAX];
        uint32_t signals[CONFIG_EXPORTERS_MAX];
        int r;

        for (unsigned i = 0; i < config->n_exporters; i++) {
                names[i] = config->exporters[i].name;
                signals[i] = config->exporters[i].signals;
        }
        r = recorder_set_exporters(daemon->recorder, names, signals, config->n_exporters,
                                   daemon_now_unix_ns());
        if (r > 0) {
                log_error("the journal %s has no place for these exporters: too many that are gone "
                          "still have spans in it, or it is full",
                          config->journal.path);
                return DAEMON_E_START;
        }
        return error_trace(r);
}

static int daemon_encode_metrics(void *user, Buffer *out, size_t *n_pointsp) {
        Daemon *daemon = user;

        return error_trace(metrics_view_otlp(&daemon->metrics_view, out, n_pointsp,
                                             daemon_now_unix_ns()));
}

/* Spans are counted from here on if somebody will ask. */
static void daemon_begin_metrics(Daemon *daemon) {
        const Config *config = daemon->config;
        bool asked = config->metrics.prometheus;

        for (unsigned i = 0; i < config->n_exporters; i++)
                asked |= config->exporters[i].signals & 1u << ENDPOINT_METRICS;
        if (asked)
                metrics_start(daemon->metrics, daemon_now_unix_ns());
        daemon->metrics_view = (MetricsView){
                .metrics = daemon->metrics,
                .recorder = daemon->recorder,
                .chains = daemon->chains,
                .exporters = daemon->exporters,
                .n_exporters = &daemon->n_exporters,
                .resource = &daemon->own_resource,
                .start_unix_ns = daemon->start_unix_ns,
        };
        metrics_view_begin(&daemon->metrics_view);
}

static int daemon_open_exporter(Daemon *daemon, const ConfigExporter *exporter) {
        ExporterHeader headers[CONFIG_HEADERS_MAX];
        ExporterOptions options = {
                .name = exporter->name,
                .endpoint = exporter->endpoint,
                .compression = exporter->compression,
                .timeout_ns = exporter->timeout_ns,
                .headers = headers,
                .n_headers = exporter->n_headers,
                .retry_initial_ns = exporter->retry.initial_ns,
                .retry_max_ns = exporter->retry.max_ns,
                .user_agent = DAEMON_USER_AGENT,
                .metrics = daemon_encode_metrics,
                .metrics_user = daemon,
                .sink = {daemon_fail, daemon},
        };
        int r;

        if (exporter->signals & 1u << ENDPOINT_METRICS)
                options.metrics_interval_ns = daemon->config->metrics.interval_ns;
        for (unsigned i = 0; i < exporter->n_headers; i++)
                headers[i] =
                        (ExporterHeader){exporter->headers[i].name, exporter->headers[i].value};
        r = exporter_open(&daemon->exporters[daemon->n_exporters], &daemon->loop, daemon->recorder,
                          &options);
        assert(r <= 0); /* the configuration was checked */
        if (r)
                return error_trace(r);
        daemon->n_exporters++;
        return 0;
}

static int daemon_open_exporters(Daemon *daemon) {
        int r = daemon_name_exporters(daemon);

        if (!r)
                daemon_begin_metrics(daemon);
        for (unsigned i = 0; !r && i < daemon->config->n_exporters; i++)
                r = daemon_open_exporter(daemon, &daemon->config->exporters[i]);
        return error_trace(r);
}

static bool daemon_keep(void *user, const char *name, int fd) {
        (void)user;
        return notify_keep(name, fd) != NOTIFY_E_SOCKET || errno != EAGAIN;
}

static void daemon_forget(void *user, const char *name) {
        (void)user;
        (void)notify_forget(name);
}

static int daemon_take(void *user, const char *name) {
        Daemon *daemon = user;

        return notify_kept_take(&daemon->kept, name);
}

static int daemon_open_listener(Daemon *daemon) {
        const ConfigListen *listen = &daemon->config->listen;
        ListenerOptions options = {
                .socket = listen->socket,
                .mode = listen->mode,
                .group = listen->group,
                .max_clients = listen->max_clients,
                .clients_per_uid = daemon->config->limits.clients_per_uid,
                /* One for each client; next to nothing of them is in use at a time. */
                .arena_bytes_per_uid = (size_t)daemon->config->limits.clients_per_uid * ARENA_SIZE,
                .sampling = daemon_sampling(daemon->config),
                .store = {daemon_keep, daemon_forget, daemon_take, daemon},
                .sink = {daemon_fail, daemon},
        };
        int r;

        daemon_make_parent(listen->socket);
        r = listener_open(&daemon->listener, &daemon->loop, daemon->recorder, &options);
        switch (r) {
        case 0:
                daemon->metrics_view.listener = daemon->listener;
                notify_kept_forget(&daemon->kept);
                return 0;
        case LISTENER_E_IN_USE:
                log_error("another daemon answers on %s", listen->socket);
                return DAEMON_E_START;
        case LISTENER_E_PATH:
                log_error("cannot listen on %s: %s", listen->socket, strerror(errno));
                return DAEMON_E_START;
        case LISTENER_E_GROUP:
                log_error("cannot listen on %s: no group \"%s\"", listen->socket, listen->group);
                return DAEMON_E_START;
        default:
                return error_trace(r);
        }
}

static int daemon_open_control(Daemon *daemon) {
        const ConfigControl *control = &daemon->config->control;
        ControlOptions options = {
                .socket = control->socket,
                .mode = control->mode,
                .group = control->group,
                .metrics = &daemon->metrics_view,
                .recorder = daemon->recorder,
                .chains = daemon->chains,
                .listener = daemon->listener,
                .exporters = daemon->exporters,
                .n_exporters = daemon->n_exporters,
                .journal_report = &daemon->journal_report,
                .start_unix_ns = daemon->start_unix_ns,
                .sink = {daemon_fail, daemon},
        };
        int r;

        daemon_make_parent(control->socket);
        r = control_open(&daemon->control, &daemon->loop, &options);
        switch (r) {
        case 0:
                daemon->metrics_view.tail = control_tail(daemon->control);
                return 0;
        case CONTROL_E_IN_USE:
                log_error("another daemon answers on %s", control->socket);
                return DAEMON_E_START;
        case CONTROL_E_PATH:
                log_error("cannot listen on %s: %s", control->socket, strerror(errno));
                return DAEMON_E_START;
        case CONTROL_E_GROUP:
                log_error("cannot listen on %s: no group \"%s\"", control->socket, control->group);
                return DAEMON_E_START;
        default:
                return error_trace(r);
        }
}

static int daemon_open_prometheus(Daemon *daemon) {
        const char *address = daemon->config->metrics.prometheus;
        ControlOptions options = {
                .tcp = address,
                .metrics = &daemon->metrics_view,
                .sink = {daemon_fail, daemon},
        };
        int r = address ? control_open(&daemon->prometheus, &daemon->loop, &options) : 0;

        if (r <= 0)
                return error_trace(r);
        log_error("cannot listen on %s for metrics: %s", address, strerror(errno));
        return DAEMON_E_START;
}

int daemon_open_parts(Daemon *daemon) {
        static int (*const steps[])(Daemon * daemon) = {
                daemon_open_journal,  daemon_open_recorder, daemon_open_exporters,
                daemon_open_listener, daemon_open_control,  daemon_open_prometheus,
        };

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                int r = steps[i](daemon);

                if (r)
                        return error_trace(r);
        }
        return 0;
}
