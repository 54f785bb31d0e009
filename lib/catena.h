#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Catena: tell a sidecar what your program does
 *
 *     #include <catena.h>
 *
 *     int main(void) {
 *             catena_context *order = catena_context_new("order-4711", NULL);
 *             catena_span pay = catena_span_start(order, "pay", CATENA_KIND_INTERNAL);
 *
 *             catena_span_set_int(pay, "order.total", 4711);
 *             if (charge() < 0)
 *                     catena_span_error(pay, "timeout", "no answer in 3 s", NULL);
 *             catena_span_end(pay);
 *             catena_context_free(order);
 *     }
 *
 *     cc shop.c $(pkg-config --cflags --libs catena)
 *
 * What the program says goes over a Unix socket to catenad, which keeps it when the program dies,
 * and exports it as OTLP. Three things are said: a context is a unit of work that can cause others,
 * a span is a timed piece of it, and the chain is all contexts that share a correlation id, linked
 * by which caused which.
 *
 * Manners. The library lives in other people's processes. It never aborts, prints, raises a signal,
 * leaves a descriptor to a program that is executed, or starts a thread but for the branches of
 * catena_parallel(). Only catena_flush(), catena_stop() and catena_execute() wait. A daemon that is
 * away, slow or full costs records, never time: what cannot be handed over at once is dropped and
 * counted (catena_stats_get(), and the daemon is told). NULL, a span that has ended, a context that
 * was freed are harmless and counted; CATENA_DEBUG tells which.
 *
 * Threads. A call that is given a span may come from any thread, many at once, also after the
 * span's context was freed. A call that is given a context: from one thread at a time. Make the
 * child before you hand it to another thread. Everything else may be called from any thread.
 *
 * Signal handlers may set attributes of spans, add events and links to them, set their name and
 * status, log under them (catena_span_log()), and end them, also when they interrupt this library.
 * Nothing else may be called there.
 *
 * Fork. A child process may call at once; its first call opens a session of its own. Contexts and
 * spans it inherited stay good as parents, as links and to be injected; only the process that
 * started a span may change or end it, unless it is detached. (A child of vfork() may call
 * nothing.)
 *
 * Exit. Nothing need be called: a destructor says goodbye. Spans that are open then are ended as
 * "abandoned" by the daemon, those of a process that crashed or called _exit() as errors.
 *
 * Text is UTF-8 and ends with a NUL unless a size is given; what is not UTF-8 is replaced by
 * U+FFFD. Text and attributes are read during the call and never kept by address. Trace and span
 * ids are lower-case hex (W3C Trace Context). The ids of a chain (correlation, causes) are text: 1
 * to 256 bytes of UTF-8 without control characters and U+FFFD; any other is refused, as if it had
 * not been given, and counted. Workflow and session ids are text of at most 256 bytes; what is
 * longer is cut. Times are nanoseconds since 1970 (Unix time, UTC). A span's duration is measured
 * with the monotonic clock.
 *
 * Growth. catena_span and catena_attribute never change. The options end in a reserve that must be
 * zero; write them with designated initializers. New members take from the reserve.
 *
 * Environment, read at the first use: CATENA_SOCKET (default /run/catena/catena.sock);
 * OTEL_SERVICE_NAME; OTEL_RESOURCE_ATTRIBUTES (k1=v1,k2=v2, percent-encoded); OTEL_SDK_DISABLED
 * (true: nothing is recorded, contexts and propagation still work); OTEL_PROPAGATORS (what is
 * extracted and injected: tracecontext, baggage, both by default, or none); CATENA_DEBUG (stderr or
 * a file: each kind of misuse is told there once); OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG;
 * OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and the other limits below. A program with raised privileges
 * ignores them. A value that is not valid is passed over, told where CATENA_DEBUG says, and counted
 * as misuse.
 *
 * Sampling. A trace is recorded as OTEL_TRACES_SAMPLER says: always_on, always_off, traceidratio
 * (ARG: from 0 to 1, default 1), and parentbased_always_on (the default), parentbased_always_off,
 * parentbased_traceidratio, which go on with what the sender's traceparent says. A ratio p keeps
 * the traces whose id ends in 7 bytes of at least (1 - p) * 2^56, and tells so in tracestate
 * (ot=th:8 for one half; OpenTelemetry's probability sampling). What the daemon says is a ceiling.
 * A span that is not sampled costs next to nothing and is not sent, unless the daemon wants to
 * decide itself; its ids and its context's causes chain all the same.
 *
 * Limits. OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SPAN_EVENT_COUNT_LIMIT, OTEL_SPAN_LINK_COUNT_LIMIT,
 * OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT, OTEL_LINK_ATTRIBUTE_COUNT_LIMIT,
 * OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT (attributes of one; for all of these that are not set:
 * OTEL_ATTRIBUTE_COUNT_LIMIT), OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT and
 * OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT (characters; else OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT).
 * The daemon keeps them, below its own (`limits`): the first ones stay, the others are counted in
 * the span's dropped counts.
 *
 * Off. OTEL_SDK_DISABLED=true at run time; -DCATENA_DISABLE compiles it all away: every function is
 * empty and inline, and there is nothing to link (catena-disabled.h). Primitives still work.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define CATENA_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define CATENA_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#if defined(CATENA_DISABLE)
#define CATENA_API static inline /* in catena-disabled.h */
#elif defined(__GNUC__)
#define CATENA_API __attribute__((visibility("default")))
#else
#define CATENA_API
#endif

/* ---- types ---- */

/* One unit of work. Not an address: a handle kept after catena_context_free() is harmless. */
typedef struct catena_context catena_context;

/* Who instruments: a library's name and version. Never freed. NULL is the application itself. */
typedef struct catena_scope catena_scope;

/*
 * A span: a plain value of 48 bytes. Copy it, hand it on, forget it; there is nothing to free. All
 * zero is "no span". One that is made by hand, from the ids of another tracer, needs `trace_id`,
 * `span_id` and `flags`, the rest zero; it serves as a parent, a link, and to be injected.
 */
typedef struct catena_span {
        uint8_t trace_id[16];
        uint8_t span_id[8];
        uint8_t parent_id[8]; /* all zero: a root */
        uint64_t context;     /* the library's */
        uint8_t flags;        /* W3C trace flags: 0x01 sampled, 0x02 random */
        uint8_t reserved[7];  /* the library's */
} catena_span;

CATENA_STATIC_ASSERT(sizeof(catena_span) == 48, "catena_span is frozen");

/* What an attribute's value is. */
enum {
        CATENA_TYPE_STRING = 0,   /* value.string, NUL-terminated */
        CATENA_TYPE_INT = 1,      /* value.integer */
        CATENA_TYPE_DOUBLE = 2,   /* value.real */
        CATENA_TYPE_BOOL = 3,     /* value.boolean */
        CATENA_TYPE_STRING_N = 4, /* value.string, `size` bytes */
        CATENA_TYPE_BYTES = 5,    /* value.bytes, `size` bytes */
        CATENA_TYPE_ARRAY = 6,    /* value.list, `size` elements, their keys unused */
        CATENA_TYPE_MAP = 7,      /* value.list, `size` elements */
};

/*
 * A key and a value: { .key = "http.route", .value.string = "/cart" } or
 * { .key = "http.response.status_code", .type = CATENA_TYPE_INT, .value.integer = 200 }.
 * An attribute without a key, a NULL where text or a list is due, an unknown type, and values
 * nested deeper than 24 (maps: 20) are left out and counted. When a key is set again, the last
 * value stands.
 */
typedef struct catena_attribute {
        const char *key;
        uint32_t key_size; /* bytes; 0: the key ends with a NUL */
        uint32_t type;     /* CATENA_TYPE_* */
        union {
                const char *string;
                const void *bytes;
                int64_t integer;
                double real;
                bool boolean;
                const struct catena_attribute *list;
        } value;
        size_t size; /* of STRING_N and BYTES in bytes, of ARRAY and MAP in elements */
} catena_attribute;

CATENA_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(catena_attribute) == 32,
                     "catena_attribute is frozen");

/* OTLP's SpanKind. 0 is taken as internal. */
enum {
        CATENA_KIND_INTERNAL = 1,
        CATENA_KIND_SERVER = 2,
        CATENA_KIND_CLIENT = 3,
        CATENA_KIND_PRODUCER = 4,
        CATENA_KIND_CONSUMER = 5,
};

/* OTLP's StatusCode. */
enum {
        CATENA_STATUS_UNSET = 0,
        CATENA_STATUS_OK = 1,    /* final */
        CATENA_STATUS_ERROR = 2, /* stands until OK is set */
};

/* A link from a span to another, in this trace or any. */
typedef struct catena_link {
        catena_span span;
        const catena_attribute *attributes;
        size_t n_attributes;
} catena_link;

/* ---- contexts ---- */

typedef struct catena_context_options {
        const char *workflow_id;    /* NULL: the parent's, or none */
        const char *session_id;     /* NULL: the parent's, or none */
        const char *correlation_id; /* NULL: the parent's, or this context's own id */
        const char *const *causes;  /* ids of the contexts that caused this one; the first counts */
        size_t n_causes;            /* at most 32 are kept */
        catena_context *parent; /* whose trace, chain and lists go on; NULL: a new trace */
        uint64_t reserved[6];
} catena_context_options;

/*
 * A root: a new chain and a new trace. Either id may be NULL or empty: none. Its id is its
 * correlation id, and it has no cause. NULL only when memory is out, or at 65,535 contexts where
 * pointers have 32 bits. To be freed with catena_context_free().
 */
CATENA_API catena_context *catena_context_new(const char *workflow_id, const char *session_id);

/*
 * The same with choices. A correlation id from outside names a root that was not seen here: the
 * context gets an id of its own and, unless `causes` are given, that root as its cause.
 */
CATENA_API catena_context *catena_context_new_with(const catena_context_options *options);

/*
 * A context that `parent` caused: same chain, workflow, session, trace and trace flags; its
 * causation id is the parent's id, and its first span a child of the parent's current span. Tags,
 * metadata, state and baggage are as they are now: a change in one context is not seen in another.
 * Of NULL or a freed context: a root.
 */
CATENA_API catena_context *catena_context_child(catena_context *parent);

/* The work is done. Spans of the context may live on. NULL is fine. */
CATENA_API void catena_context_free(catena_context *context);

/*
 * Records that the work has come to a point, and when: in the chain, and as an event of the current
 * span, where that was started in this context. The name is cut to 256 bytes.
 */
CATENA_API void catena_context_checkpoint(catena_context *context, const char *name);

/*
 * The checkpoints in their order, from *iterator 0 on: false past the last. `name` and `unix_ns`
 * may be NULL. The context keeps the first 4 KiB of them (13 bytes and the name each); those beyond
 * are recorded all the same, and counted as misuse.
 */
CATENA_API bool catena_context_next_checkpoint(catena_context *context, size_t *iterator,
                                               const char **name, uint64_t *unix_ns);

/* When the context was made; 0 of NULL. */
CATENA_API uint64_t catena_context_start_unix_ns(catena_context *context);
/* Milliseconds since then, by the monotonic clock; 0 of NULL. */
CATENA_API double catena_context_elapsed_ms(catena_context *context);

/*
 * What a context carries, in four lists of keys and values:
 *
 *   tags      go to the daemon, which puts them on the context's spans, those that end from then on
 *             and those that it has not exported yet
 *   metadata  stays in the process: what the work is about
 *   state     stays in the process: how far it has come
 *   baggage   (W3C) goes wherever the context is injected; keys are tokens of HTTP
 *
 * set: replaces the value of the key, or adds it; NULL takes it away. False, counted, and nothing
 * changed: no key, one over 256 bytes or not UTF-8; a baggage key that is no token, or one of the
 * library's own (workflow.id, .session_id, .correlation_id, .context_id); over the list's bound,
 * which is 64 entries for tags and baggage, 1024 for the others, and in bytes of all keys and
 * values 4 KiB for tags, 8 KiB for baggage (as injected), 64 KiB for the others.
 *
 * get: the value, or NULL. next: the entries in the order they were first set, from *iterator 0 on;
 * false past the last; `key` and `value` may be NULL. What they return lives until that list of
 * that context changes, or the context is freed. While one iterates, the list must not change.
 */
CATENA_API bool catena_context_set_tag(catena_context *context, const char *key, const char *value);
CATENA_API bool catena_context_set_metadata(catena_context *context, const char *key,
                                            const char *value);
CATENA_API bool catena_context_set_state(catena_context *context, const char *key,
                                         const char *value);
CATENA_API bool catena_context_set_baggage(catena_context *context, const char *key,
                                           const char *value);

CATENA_API const char *catena_context_get_tag(catena_context *context, const char *key);
CATENA_API const char *catena_context_get_metadata(catena_context *context, const char *key);
CATENA_API const char *catena_context_get_state(catena_context *context, const char *key);
CATENA_API const char *catena_context_get_baggage(catena_context *context, const char *key);

CATENA_API bool catena_context_next_tag(catena_context *context, size_t *iterator, const char **key,
                                        const char **value);
CATENA_API bool catena_context_next_metadata(catena_context *context, size_t *iterator,
                                             const char **key, const char **value);
CATENA_API bool catena_context_next_state(catena_context *context, size_t *iterator,
                                          const char **key, const char **value);
CATENA_API bool catena_context_next_baggage(catena_context *context, size_t *iterator,
                                            const char **key, const char **value);

/*
 * Calls `each` for what the context says of itself as attributes, for a span of another tracer or a
 * line of a log: workflow.id and workflow.session_id ("unknown" where unset),
 * workflow.correlation_id, workflow.causation_id (where there is a cause), workflow.causation_ids
 * (an array, where there are several), workflow.context_id, workflow.elapsed_ms (a double), and the
 * tags. The attribute lives until `each` returns. The daemon puts the same, without
 * workflow.elapsed_ms, on the context's own spans.
 */
CATENA_API void catena_context_attributes(catena_context *context,
                                          void (*each)(const catena_attribute *attribute,
                                                       void *user),
                                          void *user);

/*
 * Ids. NULL where there is none, and of NULL or a freed context. The text lives until the context
 * is freed; that of catena_context_span_id() until it is asked for again.
 */
CATENA_API const char *catena_context_id(catena_context *context); /* a UUID */
CATENA_API const char *catena_context_correlation_id(catena_context *context);
CATENA_API const char *catena_context_causation_id(catena_context *context); /* the first cause */
CATENA_API const char *catena_context_workflow_id(catena_context *context);
CATENA_API const char *catena_context_session_id(catena_context *context);
CATENA_API const char *catena_context_trace_id(catena_context *context); /* 32 hex digits */
CATENA_API const char *catena_context_span_id(catena_context *context);  /* the current span's */
CATENA_API const char *catena_context_parent_span_id(catena_context *context); /* it came with */
CATENA_API uint8_t catena_context_trace_flags(catena_context *context);        /* W3C; 0 of NULL */

/*
 * This thread's context, for code that is handed none. Attaching returns the one before, to be
 * given back to catena_context_detach(). Threads start with none (NULL).
 */
CATENA_API catena_context *catena_context_attach(catena_context *context);
CATENA_API void catena_context_detach(catena_context *before);
CATENA_API catena_context *catena_context_current(void);

/* ---- scopes ---- */

/*
 * The scope of an instrumented library. The same arguments give the same pointer. `version` and
 * `schema_url` may be NULL. (The schema URL tells scopes apart; this version does not send it.) An
 * empty or NULL name gives NULL, the application.
 */
CATENA_API const catena_scope *catena_scope_get(const char *name, const char *version,
                                                const char *schema_url);

/* ---- spans ---- */

/*
 * catena_span_options.flags: the span outlives its process. Nobody but its user's processes may
 * change and end it, but each of them may, by catena_span_detached(). If none has done so in 24
 * hours, the daemon ends it as "expired".
 */
enum { CATENA_DETACHED = 1 };

typedef struct catena_span_options {
        const catena_scope *scope; /* who instruments */
        catena_span parent;        /* all zero: the context's current span */
        uint32_t kind;             /* CATENA_KIND_* */
        uint32_t flags;            /* 0, or CATENA_DETACHED */
        uint64_t start_unix_ns;    /* 0: now */
        const catena_attribute *attributes;
        size_t n_attributes;
        const catena_link *links;
        size_t n_links;
        uint64_t reserved[6];
} catena_span_options;

/*
 * Starts a span, a child of the context's current span, and makes it the current one until it ends.
 * No span (all zero) comes back of a context that is NULL or freed, and where the library is
 * disabled or stopped. When a daemon is missing the span is the same, and is dropped.
 */
CATENA_API catena_span catena_span_start(catena_context *context, const char *name, uint32_t kind);

/*
 * The same with choices. With `.parent` the span is that span's child and does not become the
 * context's current span; `context` may then be NULL and any thread may call: the span belongs to
 * the parent's context. `options` may be NULL.
 */
CATENA_API catena_span catena_span_start_with(catena_context *context, const char *name,
                                              const catena_span_options *options);

/* A child of a span: touches no context, any thread, many at once. */
CATENA_API catena_span catena_span_child(catena_span parent, const char *name, uint32_t kind);

/*
 * The detached span that a traceparent names (W3C Trace Context, Level 2), as its starter injected
 * it: to be changed and ended here, and a parent like any. No span (all zero) of what is not valid.
 * The daemon must have its start before it hears more: flush before you hand the traceparent on.
 * What is said of a span that is over, is not detached or is another user's, is dropped there and
 * counted: catena_stats.orphans tells after a flush. Any thread.
 */
CATENA_API catena_span catena_span_detached(const char *traceparent);

/* Sets attributes: n of them cost one record. */
CATENA_API void catena_span_set(catena_span span, const catena_attribute *attributes, size_t n);
CATENA_API void catena_span_set_string(catena_span span, const char *key, const char *value);
CATENA_API void catena_span_set_int(catena_span span, const char *key, int64_t value);
CATENA_API void catena_span_set_double(catena_span span, const char *key, double value);
CATENA_API void catena_span_set_bool(catena_span span, const char *key, bool value);

CATENA_API void catena_span_set_name(catena_span span, const char *name);

/* `message` counts with CATENA_STATUS_ERROR and may be NULL. UNSET changes nothing. */
CATENA_API void catena_span_set_status(catena_span span, uint32_t status, const char *message);

/* Adds a link to another span. */
CATENA_API void catena_span_link(catena_span span, catena_span other,
                                 const catena_attribute *attributes, size_t n);

/* Adds an event, now or at a given time (0: now). */
CATENA_API void catena_span_event(catena_span span, const char *name,
                                  const catena_attribute *attributes, size_t n);
CATENA_API void catena_span_event_at(catena_span span, const char *name, uint64_t unix_ns,
                                     const catena_attribute *attributes, size_t n);

/*
 * One `exception` event (exception.type, .message, .stacktrace; each may be NULL) and the status
 * ERROR with the message.
 */
CATENA_API void catena_span_error(catena_span span, const char *type, const char *message,
                                  const char *stacktrace);

/*
 * Ends the span, now or at a given time (0: now). If it is its context's current span, its parent
 * is current again. What is said of it later is dropped by the daemon and counted.
 */
CATENA_API void catena_span_end(catena_span span);
CATENA_API void catena_span_end_at(catena_span span, uint64_t unix_ns);

/*
 * Whether it was decided at the start to record the span: whether attributes are worth making. One
 * that is not sampled is recorded only where the daemon has been heard to want it, which takes a
 * moment from the first span on: a program that does not live so long may catena_flush() after it.
 */
CATENA_API bool catena_span_recording(catena_span span);

/* ---- logs ---- */

/* OTLP's SeverityNumber. The three above each are finer steps: CATENA_SEVERITY_INFO + 1 is INFO2.
 */
enum {
        CATENA_SEVERITY_UNSPECIFIED = 0,
        CATENA_SEVERITY_TRACE = 1,
        CATENA_SEVERITY_DEBUG = 5,
        CATENA_SEVERITY_INFO = 9,
        CATENA_SEVERITY_WARN = 13,
        CATENA_SEVERITY_ERROR = 17,
        CATENA_SEVERITY_FATAL = 21,
};

/*
 * Says a log record now, an OTLP LogRecord: severity, text, attributes, and where it belongs: the
 * trace and flags of the context, its current span if there is one, and the attribute
 * workflow.correlation_id. Logs do not depend on sampling. Of a context that is NULL (harmless) or
 * was freed (counted) it belongs nowhere, and is said all the same.
 */
CATENA_API void catena_log(catena_context *context, uint32_t severity, const char *text,
                           const catena_attribute *attributes, size_t n);

/* The same with a text as printf() makes it; at most 2047 bytes, what is longer is cut. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
CATENA_API void
catena_logf(catena_context *context, uint32_t severity, const char *format, ...);

/* The same under a span, whoever started it, ended or not: any thread, many at once. */
CATENA_API void catena_span_log(catena_span span, uint32_t severity, const char *text,
                                const catena_attribute *attributes, size_t n);

/* ---- the process ---- */

typedef struct catena_options {
        const char *service_name; /* NULL: OTEL_SERVICE_NAME, or unknown_service:<executable> */
        const char *socket;       /* NULL: CATENA_SOCKET, or the default */
        const catena_attribute *attributes; /* of the resource; before those of the environment */
        size_t n_attributes;
        uint64_t reserved[8];
} catena_options;

/*
 * Optional, for main programs: the first use of the library starts it from the environment alone.
 * True if these options hold, false if it had been started before. `options` may be NULL.
 */
CATENA_API bool catena_start(const catena_options *options);

/* How far what was said has come. */
enum {
        CATENA_JOURNALED = 0, /* the daemon has it: it survives this process and the daemon */
        CATENA_SYNCED = 1,    /* and it is on a disk */
        CATENA_DELIVERED = 2, /* and every exporter has answered for it, or it was dropped */
};

/*
 * Waits until all that this process said is in the daemon's journal (synced, where it syncs), at
 * most `timeout_ms`. True when it is, and since the last flush nothing was dropped here or refused
 * by the daemon (it is full, the user's share is held, a record is not valid). By then it is known,
 * too, what the daemon wants recorded.
 */
CATENA_API bool catena_flush(unsigned timeout_ms);

/*
 * The same up to a level, CATENA_JOURNALED and so on. Delivery is waited for of log records and of
 * spans that have ended, not of those that are open. It takes as long as a batch waits to be full
 * (`batch.delay`, 1 s), and up to 10 s more where the daemon has yet to decide on a trace that
 * nobody sampled. What was dropped on the way (no exporter, the collector refuses it, sampling) is
 * counted by the daemon, and no reason to be false.
 */
CATENA_API bool catena_flush_to(int level, unsigned timeout_ms);

/* Flushes, says goodbye, and records nothing from then on. For main programs. */
CATENA_API bool catena_stop(unsigned timeout_ms);

/* Counters of this process since it started (a forked child: since its first call). */
typedef struct catena_stats {
        uint64_t spans_started; /* recorded ones */
        uint64_t spans_ended;
        uint64_t records; /* handed to the daemon, and their bytes */
        uint64_t bytes;
        uint64_t connections;
        uint64_t dropped_starts; /* what was dropped … */
        uint64_t dropped_updates;
        uint64_t dropped_ends;
        uint64_t dropped_socket_full; /* … and why */
        uint64_t dropped_not_connected;
        uint64_t dropped_too_large;
        uint64_t dropped_arena_full;
        uint64_t misuse; /* NULLs, freed contexts, spans of another process, bad attributes, ids */
        uint64_t logs;   /* records of logs, also dropped ones */
        uint64_t dropped_logs;
        uint64_t refused; /* records that the daemon refused, as it said at the last flush */
        uint64_t headers_refused; /* extracted: malformed or over a limit, as a whole or in part */
        uint64_t orphans; /* about spans that are over, were never started or are another user's, */
                          /* as the daemon said at the last flush */
} catena_stats;

/*
 * Fills the first `size` bytes, as far as this library knows them, and returns how many bytes it
 * knows: catena_stats_get(&stats, sizeof stats).
 */
CATENA_API size_t catena_stats_get(catena_stats *stats, size_t size);

/* The version of the library that runs, "0.1.0", and the number of its interface. */
CATENA_API const char *catena_version(void);
#define CATENA_ABI 0
CATENA_API int catena_abi(void);

#undef CATENA_STATIC_ASSERT

#ifdef __cplusplus
}
#endif

#include "catena-primitives.h"  /* work that tells of itself */
#include "catena-propagation.h" /* what goes from process to process */

#ifdef CATENA_DISABLE
#include "catena-disabled.h" /* every function once more, as nothing */
#endif
