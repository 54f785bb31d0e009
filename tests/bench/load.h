#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The load generator's parts
 *
 * load.c paces and measures; a transport says spans, which are encoded already but for ids and
 * times. What fails ends the program.
 */

#include "tests/bench/page.h"
#include "tests/bench/template.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct LoadOptions {
        const char *socket; /* catenad's; or: */
        uint16_t http_port; /* of an OTLP/HTTP receiver */
        bool arena;         /* asks catenad for arenas; where it gives none, the stream */
        const char *page;
        pid_t pid; /* who is measured */
        uint64_t n_spans;
        unsigned n_clients;
        TemplatePart part;  /* of an END; TEMPLATE_WHOLE: spans are whole */
        unsigned n_a_send;  /* records in one send */
        unsigned n_open;    /* spans that are open all the time */
        unsigned n_chains;  /* contexts, each a chain of its own */
        unsigned n_request; /* spans in an HTTP request */
        uint64_t rate;      /* spans a second; 0: as fast as they are taken */
        uint64_t window;    /* spans that may be under way */
        uint64_t rest_ns;   /* of nothing said, at the end */
} LoadOptions;

typedef struct Load {
        LoadOptions options;
        uint64_t random;
        unsigned n_arenas;
        uint64_t n_refused; /* requests answered by anything but 200, each sent again */
} Load;

void load_next_span(Load *load, TemplateSpan *span);
void load_send_all(int fd, const void *data, size_t size);

typedef struct LoadStream LoadStream;

/* Connects, announces contexts, and opens the spans that stay open. */
LoadStream *load_stream_open(Load *load);
/* Says n spans through the next client. */
void load_stream_say(LoadStream *stream, unsigned n);

typedef struct LoadHttp LoadHttp;

LoadHttp *load_http_open(Load *load);
/* Posts a request on each connection and waits for the answers. Returns the spans said. */
unsigned load_http_say(LoadHttp *http);
