#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client without the library: records by hand, good ones and others
 *
 * Every call waits, at most HARNESS_PATIENCE_S; false: the daemon has hung up.
 *
 * Owns: its descriptor.
 */

#include "proto/record.h"

typedef struct RawClient {
        int fd;
        uint8_t token[RECORD_TOKEN_SIZE];
        uint64_t n_flushes;
} RawClient;

/* Connects, and says nothing. */
bool raw_client_connect(RawClient *client, const char *socket);
/* HELLO and WELCOME; `again`: with the token that the client has. */
bool raw_client_hello(RawClient *client, const char *service, bool again);
void raw_client_close(RawClient *client);

bool raw_client_send(RawClient *client, const void *data, size_t size);
/* A record with its padding. */
bool raw_client_record(RawClient *client, uint16_t type, uint16_t flags, uint64_t id,
                       const void *body, size_t size);

/* A span whose id is `id`: a START or START | END names it, an END gives the end time. */
bool raw_client_span(RawClient *client, uint64_t id, uint16_t flags, const char *name);
/* A FLUSH for `journaled`, answered. */
bool raw_client_flush(RawClient *client);
/* Reads on to the ERROR and the end of the stream: what the daemon said. */
bool raw_client_farewell(RawClient *client, char *text, size_t size);
