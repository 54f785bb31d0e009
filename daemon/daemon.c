/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/daemon.h"

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/daemon-internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
        DAEMON_RETRY_MS = 100, /* while the journal has no room for somebody */
        DAEMON_EXPIRY_LOOK_MS = 60 * 1000,
        DAEMON_REST_MS = 1000,
};

uint64_t daemon_now_unix_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void daemon_fail(void *user, int r) {
        Daemon *daemon = user;

        if (!daemon->failure)
                daemon->failure = r;
        uv_stop(&daemon->loop);
}

static void daemon_check(Daemon *daemon, int r) {
        if (r < 0)
                daemon_fail(daemon, error_trace(r));
}

static void daemon_notify(const char *state) {
        if (notify_send(state) == NOTIFY_E_SOCKET)
                log_warning("the service manager cannot be told %s: %s", state, strerror(errno));
}

/* ---- the end ---- */

static void daemon_close_handle(uv_handle_t *handle, void *user) {
        (void)user;
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

/* Closes one part, and is called again when it is closed. */
static void daemon_close_next(void *user) {
        Daemon *daemon = user;
        Control *control = daemon->control;
        Control *prometheus = daemon->prometheus;
        Listener *listener = daemon->listener;

        if (control) {
                daemon->control = NULL;
                daemon->metrics_view.tail = NULL;
                control_close(control, daemon_close_next, daemon);
        } else if (prometheus) {
                daemon->prometheus = NULL;
                control_close(prometheus, daemon_close_next, daemon);
        } else if (listener) {
                daemon->listener = NULL;
                daemon->metrics_view.listener = NULL;
                listener_close(listener, daemon_close_next, daemon);
        } else if (daemon->state == DAEMON_STOPPING) {
                daemon->state = DAEMON_DRAINING;
                for (size_t i = 0; i < daemon->n_exporters; i++)
                        exporter_hurry(daemon->exporters[i]);
        } else if (daemon->n_exporters) {
                exporter_close(daemon->exporters[--daemon->n_exporters], daemon_close_next, daemon);
        } else {
                uv_walk(&daemon->loop, daemon_close_handle, NULL);
        }
}

static void daemon_leave(Daemon *daemon) {
        daemon->state = DAEMON_LEAVING;
        uv_prepare_stop(&daemon->turn);
        uv_timer_stop(&daemon->deadline);
        uv_timer_stop(&daemon->wake);
        uv_timer_stop(&daemon->rest);
        daemon_close_next(daemon);
}

static void daemon_on_deadline(uv_timer_t *timer) {
        Daemon *daemon = timer->data;

        if (daemon->state == DAEMON_DRAINING)
                daemon_leave(daemon);
        else
                uv_timer_start(timer, daemon_on_deadline, 1, 0); /* the last records come first */
}

static void daemon_stop(Daemon *daemon) {
        daemon_notify("STOPPING=1");
        daemon->state = DAEMON_STOPPING;
        uv_timer_start(&daemon->deadline, daemon_on_deadline,
                       daemon->config->shutdown.timeout_ns / CONFIG_MS, 0);
        daemon_close_next(daemon);
}

/* So far only what clients are to record; a configuration that is wrong changes nothing. */
static void daemon_reload(Daemon *daemon) {
        RecorderSampling sampling;
        ConfigError error;
        Config *config;
        int r = config_load(&config, daemon->config->file, daemon->config->required, &error);

        daemon_check(daemon, r);
        if (r > 0)
                log_error("SIGHUP: the configuration stays as it was: %s", error.text);
        if (r)
                return;
        sampling = daemon_sampling(config);
        recorder_set_sampling(daemon->recorder, &sampling);
        listener_set_sampling(daemon->listener, &sampling);
        log_info("SIGHUP: the section \"sampling\" is in force, the others are at a restart");
        config_free(config);
}

static void daemon_on_signal(uv_signal_t *handle, int number) {
        Daemon *daemon = handle->data;

        if (number == SIGHUP) {
                if (daemon->listener)
                        daemon_reload(daemon);
        } else if (daemon->state == DAEMON_RUNNING) {
                log_info("%s: sending what was received, then leaving",
                         number == SIGTERM ? "SIGTERM" : "SIGINT");
                daemon_stop(daemon);
        } else if (daemon->state == DAEMON_DRAINING) {
                log_info("asked again: leaving at once");
                daemon_leave(daemon);
        }
}

/* ---- a turn ---- */

static void daemon_on_wake(uv_timer_t *timer) {
        (void)timer; /* that there is a turn is enough */
}

/* Sleeps no longer than until a batch is due, nor for long while somebody waits for room. */
static void daemon_set_wake(Daemon *daemon, uint64_t now_unix_ns, bool retry) {
        uint64_t due_unix_ns = recorder_seal_due_unix_ns(daemon->recorder);
        uint64_t expiry_unix_ns = recorder_expiry_due_unix_ns(daemon->recorder);
        uint64_t delay_max_ns = daemon->config->batch.delay_ns, delay_ns = 0;

        if (expiry_unix_ns < due_unix_ns) {
                due_unix_ns = expiry_unix_ns;
                delay_max_ns = DAEMON_EXPIRY_LOOK_MS * CONFIG_MS;
        }

        if (retry)
                due_unix_ns = now_unix_ns + DAEMON_RETRY_MS * CONFIG_MS;
        if (due_unix_ns == UINT64_MAX) {
                uv_timer_stop(&daemon->wake);
                return;
        }
        if (due_unix_ns == daemon->wake_unix_ns && uv_is_active((uv_handle_t *)&daemon->wake))
                return;
        daemon->wake_unix_ns = due_unix_ns;
        if (due_unix_ns > now_unix_ns)
                delay_ns = due_unix_ns - now_unix_ns;
        if (!retry && delay_ns > delay_max_ns)
                delay_ns = delay_max_ns; /* the clock was set back, or may be */
        uv_timer_start(&daemon->wake, daemon_on_wake, (delay_ns + CONFIG_MS - 1) / CONFIG_MS, 0);
}

/* What a burst left behind, of which the allocator keeps most, goes back to the system. */
static void daemon_on_rest(uv_timer_t *timer) {
        Daemon *daemon = timer->data;

        recorder_rest(daemon->recorder);
        malloc_trim(0);
        daemon->rested = true;
}

/* Rests once, when all was delivered and nothing came for a while. */
static void daemon_set_rest(Daemon *daemon) {
        if (!recorder_is_drained(daemon->recorder)) {
                daemon->rested = false;
                uv_timer_stop(&daemon->rest);
        } else if (!daemon->rested && !uv_is_active((uv_handle_t *)&daemon->rest)) {
                uv_timer_start(&daemon->rest, daemon_on_rest, DAEMON_REST_MS, 0);
        }
}

/* The last metrics go when all else has gone, so that they tell of it. */
static bool daemon_has_measured(Daemon *daemon) {
        bool measuring = false;

        for (size_t i = 0; i < daemon->n_exporters; i++) {
                if (!daemon->measured)
                        exporter_measure(daemon->exporters[i]);
                measuring |= exporter_is_measuring(daemon->exporters[i]);
        }
        daemon->measured = true;
        return !measuring;
}

static void daemon_on_turn(uv_prepare_t *handle) {
        Daemon *daemon = handle->data;
        uint64_t now_unix_ns = daemon_now_unix_ns();
        bool retry = false;
        int r;

        daemon_check(daemon, recorder_reclaim(daemon->recorder, now_unix_ns));
        if (daemon->listener)
                retry = listener_resume(daemon->listener);
        r = recorder_expire(daemon->recorder, now_unix_ns);
        if (!r)
                r = recorder_seal(daemon->recorder, now_unix_ns, daemon->state == DAEMON_DRAINING);
        daemon_check(daemon, r);
        for (size_t i = 0; i < daemon->n_exporters; i++)
                exporter_wake(daemon->exporters[i]);
        if (daemon->listener)
                listener_answer_deliveries(daemon->listener);
        if (daemon->control)
                control_turn(daemon->control);
        if (daemon->failure)
                return;
        daemon_set_wake(daemon, now_unix_ns, retry || r == RECORDER_E_FULL);
        daemon_set_rest(daemon);
        if (daemon->state == DAEMON_DRAINING && recorder_is_drained(daemon->recorder) &&
            daemon_has_measured(daemon))
                daemon_leave(daemon);
}

/* ---- the start ---- */

static int daemon_open_loop(Daemon *daemon) {
        static const int signals[DAEMON_SIGNALS_N] = {SIGTERM, SIGINT, SIGHUP};
        int r;

        uv_prepare_init(&daemon->loop, &daemon->turn);
        uv_timer_init(&daemon->loop, &daemon->wake);
        uv_timer_init(&daemon->loop, &daemon->rest);
        uv_timer_init(&daemon->loop, &daemon->deadline);
        daemon->turn.data = daemon->wake.data = daemon->rest.data = daemon->deadline.data = daemon;
        for (size_t i = 0; i < DAEMON_SIGNALS_N; i++) {
                r = uv_signal_init(&daemon->loop, &daemon->signals[i]);
                if (r)
                        return error_origin(r);
                daemon->signals[i].data = daemon;
                r = uv_signal_start(&daemon->signals[i], daemon_on_signal, signals[i]);
                if (r)
                        return error_origin(r);
        }
        return 0;
}

static int daemon_open(Daemon *daemon) {
        int r = daemon_open_loop(daemon);

        if (!r)
                r = daemon_open_parts(daemon);
        if (!r)
                uv_prepare_start(&daemon->turn, daemon_on_turn);
        return error_trace(r);
}

/* ---- the whole ---- */

static void daemon_say_what_stays(Daemon *daemon) {
        RecorderView view;

        recorder_view(daemon->recorder, &view);
        log_info("leaving: %zu spans and %zu logs that are not delivered, and %zu open spans, stay "
                 "in the journal",
                 view.n_unsealed[BATCH_TRACES] + view.n_sealed[BATCH_TRACES],
                 view.n_unsealed[BATCH_LOGS] + view.n_sealed[BATCH_LOGS], view.n_spans_open);
}

/* After a failure nothing is touched any more: the journal holds what there is. */
static int daemon_go(Daemon *daemon) {
        char state[256];
        int r = daemon_open(daemon);

        if (r < 0)
                return error_trace(r);
        if (r) {
                daemon_leave(daemon);
        } else {
                log_info("catenad " CATENA_VERSION " listens on %s", daemon->config->listen.socket);
                snprintf(state, sizeof state, "READY=1\nSTATUS=Listening on %s",
                         daemon->config->listen.socket);
                daemon_notify(state);
        }
        uv_run(&daemon->loop, UV_RUN_DEFAULT);
        if (daemon->failure)
                return error_trace(daemon->failure);
        if (!r)
                daemon_say_what_stays(daemon);
        return r;
}

int daemon_run(const Config *config) {
        Daemon daemon = {.config = config, .start_unix_ns = daemon_now_unix_ns()};
        int r = notify_kept_init(&daemon.kept);

        if (r)
                return error_trace(r);
        r = uv_loop_init(&daemon.loop);
        if (r)
                return error_origin(r);
        signal(SIGPIPE, SIG_IGN);
        r = daemon_go(&daemon);
        if (r < 0)
                return error_trace(r);
        recorder_free(daemon.recorder);
        journal_free(daemon.journal);
        chains_free(daemon.chains);
        metrics_free(daemon.metrics);
        notify_kept_deinit(&daemon.kept);
        buffer_deinit(&daemon.resource);
        buffer_deinit(&daemon.own_resource);
        uv_loop_close(&daemon.loop);
        return r;
}
