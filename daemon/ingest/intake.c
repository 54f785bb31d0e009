/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/intake.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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

        if (intake->fd < 0)
                return 0;
        return ioctl(intake->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* As recv() would return, of one byte. */
static ssize_t intake_peek(const Intake *intake) {
        char byte;

        return recv(intake->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

static bool intake_is_at_end(const Intake *intake) {
        ssize_t n;

        if (intake->fd < 0)
                return false;
        n = intake_peek(intake);
        return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool intake_is_silent(const Intake *intake) {
        return intake->fd >= 0 && intake_peek(intake) < 0 && errno == EAGAIN;
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
static int intake_note(Intake *intake, const RecordHeader *header, const uint8_t *body) {
        IntakeFlush flush = {.id = header->id, .second_cut = intake->cut.second};

        switch (header->type) {
        case RECORD_HELLO:
                intake->fault = "a second HELLO";
                return INTAKE_E_FAULT;
        case RECORD_FLUSH:
                if (intake->flushes.size == INTAKE_FLUSHES_MAX * sizeof flush) {
                        intake->fault = "too many FLUSH at once";
                        return INTAKE_E_FAULT;
                }
                flush.level = protocol_read_flush(body, header->size - RECORD_HEADER_SIZE);
                return buffer_append(&intake->flushes, &flush, sizeof flush);
        case RECORD_BYE:
                intake->said_bye = true;
                return 0;
        default:
                return 0;
        }
}

/* Finds the whole records among the bytes of a block; block->size tells how many bytes they are. */
static int intake_frame(Intake *intake, JournalBlock *block, size_t size) {
        int r = 0;

        block->size = 0;
        while (!r && block->size < size) {
                const uint8_t *record = block->records + block->size;
                RecordHeader header;

                r = record_frame(&header, record, size - block->size);
                if (r == RECORD_E_PARTIAL)
                        return 0;
                if (r) {
                        intake->fault = record_error_text(r);
                        return INTAKE_E_FAULT;
                }
                r = intake_note(intake, &header, record + RECORD_HEADER_SIZE);
                if (!r)
                        block->size += record_stride(header.size);
        }
        return error_trace(r);
}

/* Of a block that is filled, block->size bytes are to be taken, whatever is returned. */
static int intake_fill_from_stream(Intake *intake, JournalBlock *block, size_t budget) {
        Buffer *partial = &intake->partial;
        size_t size = intake->cut.stream_size, missing = intake_missing(intake), n = 0, fitting;
        int r, framed;

        if (size > budget)
                size = budget;
        if (!size)
                return 0;
        if (partial->size && size < missing) {
                intake->cut.stream_size -= size;
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
        intake->cut.stream_size -= size;
        n += partial->size;
        buffer_deinit(partial);
        framed = intake_frame(intake, block, n);
        if (framed)
                return error_trace(framed);
        if (block->size < n) {
                /* The start of one more record is set aside. */
                intake->n_partials++;
                framed = buffer_append(partial, block->records + block->size, n - block->size);
        }
        return framed ? error_trace(framed) : r;
}

/* The next chunk that is not read up to the cut. */
static int intake_fill_from_arena(Intake *intake, JournalBlock *block) {
        ArenaReader *arena = intake->arena;
        IntakeCut *cut = &intake->cut;
        uint32_t chunk = 0;
        size_t size;
        int r;

        while (cut->ends[chunk] <= arena->cursors[chunk].offset)
                chunk++;
        size = cut->ends[chunk] - arena->cursors[chunk].offset;
        r = recorder_reserve(intake->recorder, block, size);
        if (r)
                return r < 0 ? error_trace(r) : INTAKE_E_FULL;
        r = arena_reader_read(arena, chunk, cut->ends[chunk], block->records);
        if (r)
                return error_trace(r);
        cut->arena_size -= size;
        cut->ends[chunk] = 0;
        intake->n_bytes += size;
        block->source = chunk;
        block->generation = arena->cursors[chunk].generation;
        block->offset = arena->cursors[chunk].offset;
        r = intake_frame(intake, block, size);
        if (!r && block->size < size) {
                intake->fault = record_error_text(RECORD_E_PARTIAL);
                r = INTAKE_E_FAULT;
        }
        return error_trace(r);
}

static int intake_take(Intake *intake, Session *session, JournalBlock *block) {
        bool completes = block->flags & JOURNAL_PASS_END;
        int r;

        if (!block->size && block->source >= ARENA_CHUNKS) {
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
        if (block->source < ARENA_CHUNKS)
                arena_reader_recycle(intake->arena, block->source);
        return 0;
}

static JournalBlock intake_block(const Session *session, uint64_t now_unix_ns) {
        return (JournalBlock){
                .session = session->number,
                .source = JOURNAL_SOURCE_STREAM,
                .time_unix_ns = now_unix_ns,
        };
}

/* ---- a cut ---- */

static bool intake_is_quiet(const Intake *intake) {
        return !intake_unread(intake) && !(intake->arena && arena_reader_has_news(intake->arena));
}

/* The socket first: what was published before a FLUSH or BYE is then in the same cut. */
static int intake_look(Intake *intake, bool second) {
        IntakeCut *cut = &intake->cut;
        size_t arena_size = 0;

        cut->begun = false;
        cut->stream_size = intake_unread(intake);
        if (intake->arena && arena_reader_look(intake->arena, cut->ends, &arena_size)) {
                intake->fault = "a word in its arena that no client may leave";
                return INTAKE_E_FAULT;
        }
        cut->heard = cut->stream_size || (second && cut->heard);
        cut->arena_size = arena_size;
        cut->second = second;
        cut->begun = true;
        return 0;
}

static size_t intake_left(const Intake *intake) {
        return intake->cut.stream_size + intake->cut.arena_size;
}

/* A block of the cut; the pass is complete with the last one of cut 2, or if that is empty. */
static int intake_read_block(Intake *intake, Session *session, size_t *budgetp,
                             uint64_t now_unix_ns) {
        JournalBlock block = intake_block(session, now_unix_ns);
        bool second = intake->cut.second;
        size_t left = intake_left(intake), size;
        int filled, taken;

        if (intake->cut.arena_size)
                filled = intake_fill_from_arena(intake, &block);
        else
                filled = intake_fill_from_stream(intake, &block, *budgetp);
        if (filled < 0 || filled == INTAKE_E_FULL)
                return error_trace(filled);
        size = left - intake_left(intake);
        *budgetp -= size < *budgetp ? size : *budgetp;
        if (second)
                block.flags |= JOURNAL_CUT_2;
        if (!intake_left(intake) && (second || intake_is_quiet(intake)))
                block.flags |= JOURNAL_PASS_END;
        taken = intake_take(intake, session, &block);
        return taken ? error_trace(taken) : filled;
}

static int intake_read_cut(Intake *intake, Session *session, size_t *budgetp,
                           uint64_t now_unix_ns) {
        int r;

        do
                r = intake_read_block(intake, session, budgetp, now_unix_ns);
        while (!r && intake_left(intake) && *budgetp);
        intake_charge(intake, session);
        if (r)
                return error_trace(r);
        return intake_left(intake) ? INTAKE_E_OPEN : 0;
}

/* What the client says in the arena's header that it could not say, as a record. */
static int intake_take_lost(Intake *intake, Session *session, uint64_t now_unix_ns) {
        JournalBlock block = intake_block(session, now_unix_ns);
        uint64_t lost[_ARENA_LOST_N];
        int r;

        if (!intake->arena || !arena_reader_lost(intake->arena, lost))
                return 0;
        r = recorder_reserve(intake->recorder, &block, PROTOCOL_LOST_MAX);
        if (r)
                return r < 0 ? error_trace(r) : INTAKE_E_FULL;
        block.size = protocol_write_lost(block.records, lost);
        r = intake_take(intake, session, &block);
        if (!r)
                arena_reader_counted(intake->arena, lost);
        return error_trace(r);
}

/* ---- the pass ---- */

static int intake_run(Intake *intake, Session *session, size_t *budgetp, uint64_t now_unix_ns) {
        int r = 0;

        if (!intake->cut.begun) {
                r = intake_take_lost(intake, session, now_unix_ns);
                if (!r)
                        r = intake_look(intake, false);
        }
        if (!r)
                r = intake_read_cut(intake, session, budgetp, now_unix_ns);
        if (!r && !intake->cut.second && intake->open) {
                r = intake_look(intake, true);
                if (!r)
                        r = intake_read_cut(intake, session, budgetp, now_unix_ns);
        }
        return error_trace(r);
}

int intake_pass(Intake *intake, Session *session, size_t *budgetp, uint64_t now_unix_ns) {
        int r;

        r = intake_run(intake, session, budgetp, now_unix_ns);
        if (r == INTAKE_E_OPEN || r == INTAKE_E_FULL)
                return r;
        intake->cut.begun = false;
        if (!r && !intake->cut.heard && intake_is_at_end(intake))
                return INTAKE_E_END;
        return error_trace(r);
}

int intake_drain(Intake *intake, Session *session, uint64_t now_unix_ns) {
        size_t budget = SIZE_MAX;
        int r;

        intake->cut.begun = false;
        r = intake_pass(intake, session, &budget, now_unix_ns);
        if (r)
                return error_trace(r);
        return intake->fd < 0 || intake_is_at_end(intake) ? INTAKE_E_END : 0;
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
