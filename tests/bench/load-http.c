/* SPDX-License-Identifier: Apache-2.0 */

/* The same spans as OTLP/HTTP requests, as an SDK's exporter sends them: for the peers. */

#include "daemon/base/error.h"
#include "daemon/http/http1.h"
#include "proto/pb.h"
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        LOAD_HTTP_REFUSED_PAUSE_US = 2000,
        LOAD_HTTP_SCOPE_SPANS = 2,
        LOAD_HTTP_SPANS = 2,
};

typedef struct LoadHttpClient {
        int fd;
        Http1 *http;
        uint8_t *request; /* head and body */
} LoadHttpClient;

struct LoadHttp {
        Load *load;
        Template span;
        LoadHttpClient *clients; /* [n_clients] */
        size_t spans_at;         /* the first span's bytes in a request */
        size_t stride;           /* from a span's bytes to the next one's */
        size_t size;
};

/* The head, and all that is around the spans; then the tags and lengths of the spans. */
static void load_http_make(LoadHttp *http, uint8_t *request) {
        static const uint8_t resource[] = "\x0a\x1a\x0a\x18\x0a\x0cservice.name\x12\x08\x0a\x06"
                                          "bench!";
        unsigned n = http->load->options.n_request;
        size_t spans = n * http->stride, scope = pb_bytes_size(LOAD_HTTP_SCOPE_SPANS, spans);
        size_t inner = sizeof resource - 1 + scope, total = pb_bytes_size(1, inner);
        int head = sprintf((char *)request,
                           "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Content-Type: application/x-protobuf\r\n"
                           "Content-Length: %zu\r\n\r\n",
                           total);
        PbWriter writer = pb_writer(request + head, total);

        pb_put_prefix(&writer, 1, inner);
        pb_put_raw(&writer, resource, sizeof resource - 1);
        pb_put_prefix(&writer, LOAD_HTTP_SCOPE_SPANS, spans);
        http->spans_at = (size_t)(writer.at - request) + http->stride - http->span.size;
        for (unsigned i = 0; i < n; i++)
                pb_put_bytes(&writer, LOAD_HTTP_SPANS, http->span.data, http->span.size);
        http->size = (size_t)(writer.at - request);
}

static void load_http_connect(LoadHttp *http, LoadHttpClient *client) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons(http->load->options.http_port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        int one = 1;

        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0)
                err(EXIT_FAILURE, "port %u", http->load->options.http_port);
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->request = malloc(1024 + http->load->options.n_request * (http->stride + 8));
        if (!client->request || http1_new(&client->http, HTTP1_RESPONSE, 65536))
                err(EXIT_FAILURE, "memory");
        load_http_make(http, client->request);
}

LoadHttp *load_http_open(Load *load) {
        LoadHttp *http = calloc(1, sizeof *http);

        if (!http)
                err(EXIT_FAILURE, "memory");
        http->load = load;
        template_make(&http->span, TEMPLATE_WHOLE);
        http->stride = pb_bytes_size(LOAD_HTTP_SPANS, http->span.size);
        http->clients = calloc(load->options.n_clients, sizeof *http->clients);
        if (!http->clients)
                err(EXIT_FAILURE, "memory");
        for (unsigned i = 0; i < load->options.n_clients; i++)
                load_http_connect(http, &http->clients[i]);
        return http;
}

static unsigned load_http_answer(LoadHttpClient *client) {
        uint8_t data[4096];
        size_t used;
        unsigned status;

        while (!http1_message(client->http)) {
                ssize_t n = recv(client->fd, data, sizeof data, 0);

                if (n <= 0 || http1_feed(client->http, &used, data, (size_t)n))
                        errx(EXIT_FAILURE, "no answer over HTTP");
        }
        status = http1_message(client->http)->status;
        http1_next(client->http);
        return status;
}

unsigned load_http_say(LoadHttp *http) {
        const LoadOptions *options = &http->load->options;

        for (unsigned c = 0; c < options->n_clients; c++) {
                LoadHttpClient *client = &http->clients[c];

                for (unsigned i = 0; i < options->n_request; i++) {
                        TemplateSpan span;

                        load_next_span(http->load, &span);
                        template_write(client->request + http->spans_at + i * http->stride,
                                       &http->span, &span);
                }
                load_send_all(client->fd, client->request, http->size);
        }
        for (unsigned c = 0; c < options->n_clients; c++) {
                while (load_http_answer(&http->clients[c]) != 200) {
                        http->load->n_refused++;
                        usleep(LOAD_HTTP_REFUSED_PAUSE_US);
                        load_send_all(http->clients[c].fd, http->clients[c].request, http->size);
                }
        }
        return options->n_clients * options->n_request;
}
