#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Intake
 *
 * The way from a client's socket and its arena into the journal. A pass takes what both held when
 * it began (cut 1), then what came meanwhile (cut 2), and is complete; the recorder closes only
 * spans whose END lies in cut 1, so that whatever was said before an END is in the span. Only whole
 * records enter the journal: on the stream, the start of one waits in a buffer for the rest.
 *
 * Owns: the buffer.  Borrows: the socket, the arena, the Recorder.  Bound: a record, 256 KiB.  I/O:
 * the socket and the arena, never blocking.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/ingest/arena-reader.h"
#include "daemon/ingest/protocol.h"
#include "daemon/trace/recorder.h"

enum {
        _INTAKE_E_SUCCESS,

        INTAKE_E_OPEN,  /* more is to be read: the pass stays open, or the HELLO is not whole */
        INTAKE_E_FULL,  /* the journal has no room; what is not read stays in the socket */
        INTAKE_E_END,   /* the other side has closed its end, and all of it is read */
        INTAKE_E_FAULT, /* not what a client may send; intake.fault says what */
};

enum { INTAKE_FLUSHES_MAX = 1024 }; /* FLUSH in one pass */

/* What is still to be read of the cut that a pass is at. */
typedef struct IntakeCut {
        bool begun, second;
        bool heard; /* the socket held something */
        size_t stream_size, arena_size;
        uint32_t ends[ARENA_CHUNKS]; /* of what there is in each chunk */
} IntakeCut;

/* A FLUSH that came in a pass. */
typedef struct IntakeFlush {
        uint64_t id;
        ProtocolLevel level; /* asked for */
        bool second_cut; /* so did, maybe, what it is about, which the next pass settles */
} IntakeFlush;

typedef struct Intake {
        Recorder *recorder;
        int fd;             /* -1: nothing comes by a socket */
        ArenaReader *arena; /* or NULL */
        IntakeCut cut;
        Buffer partial;       /* the start of a record, or of the HELLO until intake_greeted() */
        size_t charged_bytes; /* of it, to the session's user */
        uint64_t n_partials;  /* records so far that did not come in one piece */
        bool open;            /* records were taken that no pass has completed */
        bool said_bye;
        Buffer flushes; /* IntakeFlush, to be answered when the pass is complete */
        const char *fault;
        uint64_t n_bytes; /* received */
} Intake;

void intake_init(Intake *intake, Recorder *recorder, int fd);
void intake_deinit(Intake *intake, Session *session); /* NULL: it had none */

/* Reads the first record, and not a byte more; 0 when it is whole and a HELLO. */
int intake_hello(Intake *intake, const uint8_t **bodyp, size_t *sizep);
void intake_greeted(Intake *intake);

/* Whether the socket is open and has nothing to read, not even its end. */
bool intake_is_silent(const Intake *intake);
/* A pass, or more of it: about *budgetp bytes, which are taken off it. */
int intake_pass(Intake *intake, Session *session, size_t *budgetp, uint64_t now_unix_ns);
/* All that there is now, as a complete pass. INTAKE_E_END also where there is no socket. */
int intake_drain(Intake *intake, Session *session, uint64_t now_unix_ns);
/* Completes the pass without reading, and lets no END wait for another. */
int intake_settle(Intake *intake, Session *session, uint64_t now_unix_ns);
