/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/intake.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Whether the last block of a cut completes the pass. */
typedef enum IntakeCompletes {
        INTAKE_NEVER,
        INTAKE_IF_EMPTY, /* if the socket holds nothing more */
        INTAKE_ALWAYS,
} IntakeCompletes;

typedef struct IntakeCut {
        size_t size; /* bytes still to be read */
        uint16_t flags;
        IntakeCompletes completes;
        uint64_t now_unix_ns;
} IntakeCut;

void intake_init(Intake *intake, Recorder *recorder, int fd) {
        *intake = (Intake){.recorder = recorder, .fd = fd};
}

/* What waits in memory for the rest of its record is on the user's account. */
static void intake_charge(Intake *intake, Session *session) {
        session_discharge(session, intake->charged_bytes);
        intake->charged_bytes = intake->partial.capacity;
        session_charge(session, intake->charged_bytes);
}

void intake_deinit(Intake *intake, Session *session) {
        buffer_deinit(&intake->partial);
        buffer_deinit(&intake->flushes);
        if (session)
                intake_charge(intake, session);
}

/* ---- the socket ---- */

static size_t intake_unread(const Intake *intake) {
        int n = 0;

        return ioctl(intake->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static bool intake_is_at_end(const Intake *intake) {
        char byte;
        ssize_t n = recv(intake->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

        return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/*
 * Reads up to `size` bytes; *np tells how many, also when it is an end or a fault. Without room for
 * control data the kernel closes descriptors that come along, and says so.
 */
static int intake_receive(Intake *intake, size_t *np, uint8_t *data, size_t size) {
        size_t n_read = 0;
        int r = 0;

        while (n_read < size && !r) {
                struct iovec part = {.iov_base = data + n_read, .iov_len = size - n_read};
                struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
                ssize_t n = recvmsg(intake->fd, &message, MSG_DONTWAIT);

                if (n > 0) {
                        n_read += (size_t)n;
                        if (message.msg_flags & MSG_CTRUNC) {
                                intake->fault = "descriptors, which nobody has asked for";
                                r = INTAKE_E_FAULT;
                        }
                } else if (n < 0 && errno == EAGAIN) {
                        break;
                } else if (n == 0 || errno != EINTR) {
                        r = INTAKE_E_END;
                }
        }
        intake->n_bytes += n_read;
        *np = n_read;
        return r;
}

/* Bytes that are missing of the record in `partial`: of its header first. */
static size_t intake_missing(const Intake *intake) {
        const Buffer *partial = &intake->partial;

        if (partial->size < RECORD_HEADER_SIZE)
                return RECORD_HEADER_SIZE - partial->size;
        return record_stride(record_header_read(partial->data).size) - partial->size;
}

static int intake_receive_partial(Intake *intake, size_t *np, size_t size) {
        uint8_t *room;
        int r;

        r = buffer_reserve(&intake->partial, &room, size);
        if (r)
                return error_trace(r);
        r = intake_receive(intake, np, room, size);
        intake->partial.size += *np;
        return r;
}

/* ---- the HELLO ---- */

int intake_hello(Intake *intake, const uint8_t **bodyp, size_t *sizep) {
        RecordHeader header;
        size_t n;
        int r;

        for (;;) {
                size_t missing;

                if (intake->partial.size >= RECORD_HEADER_SIZE) {
                        r = record_frame(&header, intake->partial.data, intake->partial.size);
                        if (r && r != RECORD_E_PARTIAL)
                                intake->fault = record_error_text(r);
                        else if (header.type != RECORD_HELLO)
                                intake->fault = "the first record is not a HELLO";
                        else if (header.size > RECORD_HEADER_SIZE + SESSION_HELLO_MAX)
                                intake->fault = "the HELLO is larger than 64 KiB";
                        if (intake->fault)
                                return INTAKE_E_FAULT;
                        if (!r)
                                break;
                }
                missing = intake_missing(intake);
                r = intake_receive_partial(intake, &n, missing);
                if (r)
                        return error_trace(r);
                if (n < missing)
                        return INTAKE_E_OPEN;
        }
        *bodyp = intake->partial.data + RECORD_HEADER_SIZE;
        *sizep = header.size - RECORD_HEADER_SIZE;
        return 0;
}

void intake_greeted(Intake *intake) {
        buffer_deinit(&intake->partial);
}

/* ---- records ---- */

/* Notes what concerns the connection itself. */
static int intake_note(Intake *intake, const RecordHeader *header) {
        switch (header->type) {
        case RECORD_HELLO:
                intake->fault = "a second HELLO";
                return INTAKE_E_FAULT;
        case RECORD_FLUSH:
                if (intake->flushes.size == INTAKE_FLUSHES_MAX * sizeof header->id) {
                        intake->fault = "too many FLUSH at once";
                        return INTAKE_E_FAULT;
                }
                return buffer_append(&intake->flushes, &header->id, sizeof header->id);
        case RECORD_BYE:
                intake->said_bye = true;
                return 0;
        default:
                return 0;
        }
}

/* Finds the whole records among the bytes of a block; the start of one more is set aside. */
static int intake_frame(Intake *intake, JournalBlock *block, size_t size) {
        size_t at = 0;
        int r = 0;

        while (at < size) {
                RecordHeader header;

                r = record_frame(&header, block->records + at, size - at);
                if (r) {
                        if (r != RECORD_E_PARTIAL)
                                intake->fault = record_error_text(r);
                        break;
                }
                r = intake_note(intake, &header);
                if (r)
                        break;
                at += record_stride(header.size);
        }
        block->size = at;
        if (r < 0)
                return error_trace(r);
        if (intake->fault)
                return INTAKE_E_FAULT;
        if (at < size) {
                intake->n_partials++;
                r = buffer_append(&intake->partial, block->records + at, size - at);
        }
        return error_trace(r);
}

/* Reads into a block, of which block->size bytes are to be taken, whatever is returned. */
static int intake_fill(Intake *intake, JournalBlock *block, IntakeCut *cut) {
        Buffer *partial = &intake->partial;
        size_t size = cut->size, missing = intake_missing(intake), n = 0, fitting;
        int r, framed;

        block->size = 0;
        if (!size)
                return 0;
        if (partial->size && size < missing) {
                cut->size = 0;
                return error_trace(intake_receive_partial(intake, &n, size));
        }
        if (size > JOURNAL_BLOCK_MAX - partial->size)
                size = JOURNAL_BLOCK_MAX - partial->size;
        fitting = recorder_fitting(intake->recorder, record_stride(partial->size + size));
        if (fitting < partial->size + size && fitting >= partial->size + missing)
                size = fitting - partial->size;
        r = recorder_reserve(intake->recorder, block, record_stride(partial->size + size));
        if (r)
                return r < 0 ? error_trace(r) : INTAKE_E_FULL;
        if (partial->size)
                memcpy(block->records, partial->data, partial->size);
        r = intake_receive(intake, &n, block->records + partial->size, size);
        cut->size -= size;
        n += partial->size;
        buffer_deinit(partial);
        framed = intake_frame(intake, block, n);
        return framed ? error_trace(framed) : r;
}

static int intake_take(Intake *intake, Session *session, JournalBlock *block) {
        bool completes = block->flags & JOURNAL_PASS_END;
        int r;

        if (!block->size) {
                if (!completes || !(intake->open || recorder_session_unsettled(session)))
                        return 0;
                r = recorder_reserve(intake->recorder, block, 0);
                if (r)
                        return r < 0 ? error_trace(r) : INTAKE_E_FULL;
        }
        r = recorder_take(intake->recorder, session, block);
        if (r)
                return error_trace(r);
        intake->open = !completes;
        return 0;
}

static JournalBlock intake_block(const Session *session, uint64_t now_unix_ns) {
        return (JournalBlock){
                .session = session->number,
                .source = JOURNAL_SOURCE_STREAM,
                .time_unix_ns = now_unix_ns,
        };
}

static int intake_cut(Intake *intake, Session *session, IntakeCut *cut) {
        int filled, taken = 0;

        do {
                JournalBlock block = intake_block(session, cut->now_unix_ns);

                filled = intake_fill(intake, &block, cut);
                if (filled < 0 || filled == INTAKE_E_FULL)
                        break;
                block.flags = cut->flags;
                if (!cut->size && (cut->completes == INTAKE_ALWAYS ||
                                   (cut->completes == INTAKE_IF_EMPTY && !intake_unread(intake))))
                        block.flags |= JOURNAL_PASS_END;
                taken = intake_take(intake, session, &block);
        } while (cut->size && !filled && !taken);
        intake_charge(intake, session);
        return error_trace(taken ? taken : filled);
}

/* ---- the pass ---- */

int intake_pass(Intake *intake, Session *session, size_t *budgetp, uint64_t now_unix_ns) {
        size_t size = intake_unread(intake), within = size < *budgetp ? size : *budgetp;
        IntakeCut cut = {
                .size = within,
                .completes = within == size ? INTAKE_IF_EMPTY : INTAKE_NEVER,
                .now_unix_ns = now_unix_ns,
        };
        int r;

        *budgetp -= within;
        r = intake_cut(intake, session, &cut);
        if (r)
                return error_trace(r);
        if (!size && intake_is_at_end(intake))
                return INTAKE_E_END;
        if (within < size)
                return INTAKE_E_OPEN;
        if (!intake->open)
                return 0;
        cut = (IntakeCut){
                .size = intake_unread(intake),
                .flags = JOURNAL_CUT_2,
                .completes = INTAKE_ALWAYS,
                .now_unix_ns = now_unix_ns,
        };
        if (cut.size > *budgetp)
                return INTAKE_E_OPEN;
        *budgetp -= cut.size;
        return error_trace(intake_cut(intake, session, &cut));
}

int intake_drain(Intake *intake, Session *session, uint64_t now_unix_ns) {
        IntakeCut cut = {
                .size = intake_unread(intake),
                .completes = INTAKE_ALWAYS,
                .now_unix_ns = now_unix_ns,
        };
        int r;

        r = intake_cut(intake, session, &cut);
        if (r)
                return error_trace(r);
        return intake_is_at_end(intake) ? INTAKE_E_END : 0;
}

int intake_settle(Intake *intake, Session *session, uint64_t now_unix_ns) {
        /* The first completes the pass, the second settles what lay in its cut 2. */
        for (unsigned i = 0; i < 2; i++) {
                JournalBlock block = intake_block(session, now_unix_ns);
                int r;

                block.flags = JOURNAL_PASS_END;
                r = intake_take(intake, session, &block);
                if (r)
                        return error_trace(r);
        }
        return 0;
}
