/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-link.h"

#include "lib/client-arena.h"
#include "lib/client-clock.h"
#include "lib/client-gate.h"
#include "lib/client-process.h"
#include "lib/client-socket.h"
#include "proto/pb.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
        LINK_E_BUSY = LINK_E_BROKEN + 1, /* somebody connects, or sends alone: for microseconds */

        LINK_BUFFERS = 32,
        LINK_BACKOFF_MIN_MS = 100,
        LINK_BACKOFF_MAX_MS = 6400,
        LINK_NS_PER_MS = 1000000,
        LINK_BIG_MAX = RECORD_SIZE_MAX + RECORD_SEND_MAX,
        LINK_TRIES = 1000, /* each a fraction of a microsecond, where nobody else has work */

        WELCOME_TOKEN = 2,
        WELCOME_RECORDING = 3,
        WELCOME_ARENA = 4,
        WELCOME_THRESHOLD = 5,
        FLUSH_LEVEL = 1,
        FLUSH_REFUSED = 2,
        FLUSH_ORPHANS = 3,
};

/* What came and is not understood yet. Records that do not fit are passed over. */
typedef struct LinkInput {
        uint8_t data[256];
        size_t size;
        size_t skip; /* bytes still to be passed over */
        bool mapped; /* an arena came along */
} LinkInput;

static struct {
        Gate gate;

        /* Written alone inside; read inside, and as hints outside. */
        Socket socket;
        _Atomic uint64_t connection; /* 0: none */
        atomic_bool broken;
        _Atomic size_t rest; /* bytes of big that the kernel has not taken */
        size_t rest_at;
        _Atomic uint64_t retry_ns; /* monotonic: not to be tried before */
        _Atomic uint32_t backoff_ms;
        _Atomic uint32_t tried_epoch; /* that retry_ns is about */
        uint32_t n_connections;

        /* Written by the one that reads. */
        Gate reading;
        LinkInput input;
        uint8_t token[RECORD_TOKEN_SIZE];
        uint32_t token_epoch; /* 0: there is no token */
        atomic_bool welcomed;
        atomic_bool records_all;
        _Atomic uint64_t threshold;

        atomic_bool owed;                    /* a WAKE, by whoever leaves the gate next */
        _Atomic uint32_t busy[LINK_BUFFERS]; /* by the epoch that has it */
} link_state;

static _Alignas(RECORD_ALIGNMENT) uint8_t link_buffers[LINK_BUFFERS][RECORD_SEND_MAX];
static _Alignas(RECORD_ALIGNMENT) uint8_t link_big[LINK_BIG_MAX];

static bool link_may_try(uint32_t epoch) {
        return atomic_load(&link_state.tried_epoch) != epoch ||
               catena__clock_coarse_ns() >= atomic_load(&link_state.retry_ns);
}

static bool link_is_up(uint32_t epoch) {
        return atomic_load(&link_state.connection) >> 32 == epoch &&
               !atomic_load(&link_state.broken);
}

static bool link_is_unconnected(uint32_t epoch) {
        return atomic_load(&link_state.connection) >> 32 != epoch;
}

/* Somebody may be connecting, and be done between two looks. */
bool catena__link_is_away(void) {
        uint32_t epoch = catena__process_epoch();

        return !catena__arena_is_open() && link_is_unconnected(epoch) && !link_may_try(epoch) &&
               gate_is_empty(&link_state.gate, epoch) && link_is_unconnected(epoch);
}

/* Inside the gate: the connection is gone, and its arena no longer to be written to. */
static void link_break(void) {
        atomic_store(&link_state.broken, true);
        catena__arena_close();
}

/* ---- reading ---- */

static void link_open_arena(bool mapped, bool same_session) {
        if (!mapped && !same_session)
                catena__arena_abandon();
        if (!catena__arena_is_mapped())
                return;
        catena__arena_open(atomic_load(&link_state.connection));
        if (atomic_load(&link_state.broken))
                catena__arena_close();
}

/* Of a WELCOME, or of a SAMPLING. What is not said has its default. */
static void link_sampling(const LinkInput *input, size_t size) {
        PbReader reader = pb_reader(input->data + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);
        uint64_t recording = 0, threshold = 0;
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == WELCOME_RECORDING && field.wire == PB_VARINT)
                        recording = field.value;
                else if (field.number == WELCOME_THRESHOLD && field.wire == PB_VARINT)
                        threshold = field.value;
        }
        atomic_store(&link_state.records_all, recording == 1);
        atomic_store(&link_state.threshold, threshold);
}

static void link_welcome(const LinkInput *input, size_t size) {
        PbReader reader = pb_reader(input->data + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);
        bool arena = false, same_session = false;
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == WELCOME_TOKEN && field.wire == PB_BYTES &&
                    field.size == RECORD_TOKEN_SIZE) {
                        same_session = link_state.token_epoch == catena__process_epoch() &&
                                       !memcmp(link_state.token, field.data, RECORD_TOKEN_SIZE);
                        memcpy(link_state.token, field.data, RECORD_TOKEN_SIZE);
                        link_state.token_epoch = catena__process_epoch();
                } else if (field.number == WELCOME_ARENA && field.wire == PB_VARINT) {
                        arena = field.value == 1;
                }
        }
        link_sampling(input, size);
        atomic_store(&link_state.backoff_ms, LINK_BACKOFF_MIN_MS);
        atomic_store(&link_state.retry_ns, 0);
        atomic_store(&link_state.welcomed, true);
        if (arena)
                link_open_arena(input->mapped, same_session);
        else
                catena__arena_abandon();
}

static void link_flushed(const RecordHeader *header, const uint8_t *body) {
        PbReader reader = pb_reader(body, header->size - RECORD_HEADER_SIZE);
        uint64_t level = 0;
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == FLUSH_LEVEL && field.wire == PB_VARINT)
                        level = field.value;
                else if (field.number == FLUSH_REFUSED && field.wire == PB_VARINT)
                        catena__count_refused(field.value);
                else if (field.number == FLUSH_ORPHANS && field.wire == PB_VARINT)
                        catena__count_orphans(field.value);
        catena__flush_answered(header->id, (uint32_t)level);
}

/* Takes whole records off the front; false at what is not one. */
static bool link_consume(LinkInput *input) {
        while (input->size >= RECORD_HEADER_SIZE) {
                RecordHeader header = record_header_read(input->data);
                size_t stride = record_stride(header.size);

                if (header.size < RECORD_HEADER_SIZE || header.size > RECORD_SIZE_MAX)
                        return false;
                if (stride > sizeof input->data) {
                        input->skip = stride - input->size;
                        input->size = 0;
                        return true;
                }
                if (stride > input->size)
                        return true;
                if (header.type == RECORD_WELCOME)
                        link_welcome(input, header.size);
                else if (header.type == RECORD_SAMPLING)
                        link_sampling(input, header.size);
                else if (header.type == RECORD_FLUSHED)
                        link_flushed(&header, input->data + RECORD_HEADER_SIZE);
                input->size -= stride;
                memmove(input->data, input->data + stride, input->size);
        }
        return true;
}

/* Inside the gate. */
static void link_receive(uint32_t epoch) {
        LinkInput *input = &link_state.input;
        uint8_t skipped[256];
        int passed;
        ssize_t n;

        if (!gate_enter_alone(&link_state.reading, epoch))
                return;
        for (;;) {
                uint8_t *into = input->skip ? skipped : input->data + input->size;
                size_t room = input->skip ? sizeof skipped : sizeof input->data - input->size;

                if (input->skip && input->skip < room)
                        room = input->skip;
                n = catena__socket_receive(&link_state.socket, into, room, &passed);
                if (n == -EAGAIN)
                        break;
                if (passed >= 0) {
                        input->mapped = catena__arena_map(passed);
                        close(passed);
                }
                if (n > 0 && input->skip)
                        input->skip -= (size_t)n;
                else if (n > 0)
                        input->size += (size_t)n;
                if (n <= 0 || !link_consume(input)) {
                        link_break();
                        break;
                }
        }
        gate_leave_alone(&link_state.reading, epoch);
}

/* ---- connecting, alone inside ---- */

static void link_drop(void) {
        catena__arena_close();
        if (atomic_load(&link_state.connection))
                catena__socket_close(&link_state.socket);
        atomic_store(&link_state.connection, 0);
        atomic_store(&link_state.broken, false);
        if (atomic_exchange(&link_state.rest, 0))
                catena__lost(LOST_NOT_CONNECTED, LOST_UPDATES);
        atomic_store(&link_state.welcomed, false);
        atomic_store(&link_state.owed, false);
        link_state.input = (LinkInput){0};
}

/* Says HELLO, through the big buffer. */
static int link_hello(uint32_t epoch) {
        bool known = link_state.token_epoch == epoch;
        PbWriter writer =
                pb_writer(link_big + RECORD_HEADER_SIZE, RECORD_SEND_MAX - RECORD_HEADER_SIZE);
        RecordHeader header = {.type = RECORD_HELLO};
        size_t stride;

        catena__process_hello(&writer, known ? link_state.token : NULL);
        header.size = (uint32_t)(writer.at - link_big);
        stride = record_stride(header.size);
        memset(writer.at, 0, stride - header.size);
        record_header_write(link_big, &header);
        if (catena__socket_send(&link_state.socket, link_big, stride) != (ssize_t)stride)
                return LINK_E_DOWN;
        return 0;
}

static int link_connect(uint32_t epoch) {
        uint32_t backoff_ms = atomic_load(&link_state.backoff_ms);
        const char *path = catena__process_socket();
        int r;

        if (!link_may_try(epoch))
                return LINK_E_DOWN;
        if (backoff_ms < LINK_BACKOFF_MIN_MS || atomic_load(&link_state.tried_epoch) != epoch)
                backoff_ms = LINK_BACKOFF_MIN_MS;
        atomic_store(&link_state.retry_ns,
                     catena__clock_ns() + (uint64_t)backoff_ms * LINK_NS_PER_MS);
        atomic_store(&link_state.tried_epoch, epoch);
        atomic_store(&link_state.backoff_ms,
                     backoff_ms < LINK_BACKOFF_MAX_MS ? backoff_ms * 2 : LINK_BACKOFF_MAX_MS);

        r = path ? catena__socket_connect(&link_state.socket, path) : -ENOENT;
        if (r == -EPERM)
                catena__misuse(MISUSE_DAEMON);
        if (r < 0)
                return LINK_E_DOWN;
        r = link_hello(epoch);
        if (r) {
                catena__socket_close(&link_state.socket);
                return r;
        }
        catena__count_connection();
        atomic_store(&link_state.connection, (uint64_t)epoch << 32 | ++link_state.n_connections);
        return 0;
}

/* Sends the rest of what was begun. */
static int link_push(void) {
        size_t rest = atomic_load(&link_state.rest);
        ssize_t n;

        while (rest) {
                n = catena__socket_send(&link_state.socket, link_big + link_state.rest_at, rest);
                if (n == -EAGAIN)
                        break;
                if (n <= 0) {
                        link_break();
                        return LINK_E_DOWN;
                }
                link_state.rest_at += (size_t)n;
                rest -= (size_t)n;
        }
        atomic_store(&link_state.rest, rest);
        return rest ? LINK_E_FULL : 0;
}

/* Makes the link fit for sending. */
static int link_repair(uint32_t epoch) {
        int r;

        if (catena__link_is_away())
                return LINK_E_DOWN;
        if (!gate_enter_alone(&link_state.gate, epoch))
                return LINK_E_BUSY;
        if (link_is_up(epoch)) {
                r = link_push();
        } else {
                link_drop();
                r = link_connect(epoch);
        }
        gate_leave_alone(&link_state.gate, epoch);
        return r;
}

/* ---- sending ---- */

/* Takes any free buffer; the hint keeps a thread on its own. */
static uint8_t *link_take_buffer(uint32_t epoch) {
        unsigned hint = (unsigned)((uintptr_t)&catena__thread >> 12);

        for (unsigned i = 0; i < LINK_BUFFERS; i++) {
                unsigned n = (hint + i) % LINK_BUFFERS;
                uint32_t holder = atomic_load_explicit(&link_state.busy[n], memory_order_relaxed);

                if (holder != epoch &&
                    atomic_compare_exchange_strong(&link_state.busy[n], &holder, epoch))
                        return link_buffers[n];
        }
        return NULL;
}

static void link_release(LinkTicket *ticket) {
        if (ticket->alone) {
                gate_leave_alone(&link_state.gate, ticket->epoch);
        } else if (ticket->buffer) {
                size_t n = (size_t)(ticket->buffer - link_buffers[0]) / RECORD_SEND_MAX;
                uint32_t mine = ticket->epoch;

                (void)atomic_compare_exchange_strong(&link_state.busy[n], &mine, 0);
        }
        if (!ticket->alone)
                gate_leave(&link_state.gate, ticket->epoch);
}

static void link_leave(LinkTicket *ticket) {
        link_release(ticket);
        if (atomic_load(&link_state.owed))
                catena__link_wake();
}

static bool link_is_fit(uint32_t epoch) {
        return link_is_up(epoch) && !atomic_load(&link_state.rest);
}

static int link_try(LinkTicket *ticket, uint32_t epoch, bool alone) {
        int r;

        if (!link_is_fit(epoch)) {
                r = link_repair(epoch);
                if (r)
                        return r;
        }
        if (alone ? !gate_enter_alone(&link_state.gate, epoch)
                  : !gate_enter(&link_state.gate, epoch))
                return LINK_E_BUSY;
        *ticket = (LinkTicket){
                .connection = atomic_load(&link_state.connection),
                .epoch = epoch,
                .alone = alone,
        };
        r = LINK_E_BUSY;
        if (link_is_fit(epoch)) {
                ticket->buffer = alone ? link_big : link_take_buffer(epoch);
                ticket->capacity = alone ? sizeof link_big : RECORD_SEND_MAX;
                r = ticket->buffer ? 0 : LINK_E_FULL;
        }
        if (r)
                link_release(ticket);
        return r;
}

/*
 * Gives the one that is busy a few turns of the processor, and no more: it may be this very thread,
 * interrupted by the handler that runs now.
 */
int catena__link_begin(LinkTicket *ticket, bool alone) {
        uint32_t epoch = catena__process_epoch();
        int r = LINK_E_BUSY;

        for (unsigned i = 0; r == LINK_E_BUSY && i < LINK_TRIES; i++) {
                if (i)
                        sched_yield();
                r = link_try(ticket, epoch, alone);
        }
        if (r == LINK_E_BUSY)
                r = link_is_up(epoch) ? LINK_E_FULL : LINK_E_DOWN;
        return r;
}

int catena__link_commit(LinkTicket *ticket, size_t size) {
        ssize_t n = catena__socket_send(&link_state.socket, ticket->buffer, size);
        int r = 0;

        if (n == -EAGAIN) {
                r = LINK_E_FULL;
        } else if (n > 0 && (size_t)n < size && ticket->alone) {
                link_state.rest_at = (size_t)n;
                atomic_store(&link_state.rest, size - (size_t)n);
        } else if (n != (ssize_t)size) {
                link_break();
                r = LINK_E_BROKEN;
        }
        /* Also of a connection that is gone: its token was the last it said. */
        if (!atomic_load(&link_state.welcomed))
                link_receive(ticket->epoch);
        link_leave(ticket);
        return r;
}

void catena__link_abort(LinkTicket *ticket) {
        link_leave(ticket);
}

static int link_say_wake(void) {
        RecordHeader header = {.size = RECORD_HEADER_SIZE, .type = RECORD_WAKE};
        LinkTicket ticket;
        int r = catena__link_begin(&ticket, false);

        if (r)
                return r;
        if (!atomic_exchange(&link_state.owed, false)) {
                catena__link_abort(&ticket); /* another has said it */
                return 0;
        }
        record_header_write(ticket.buffer, &header);
        return catena__link_commit(&ticket, RECORD_HEADER_SIZE);
}

/*
 * When the gate is closed, somebody is alone inside, maybe this very thread under a handler: he
 * says it when he leaves. A socket that is full wakes the daemon by itself.
 */
void catena__link_wake(void) {
        atomic_store(&link_state.owed, true);
        if (link_say_wake() != LINK_E_BROKEN)
                return;
        atomic_store(&link_state.owed, true);
        (void)link_say_wake();
}

void catena__link_look(void) {
        LinkTicket ticket;

        if (!catena__link_read() && !catena__link_begin(&ticket, false))
                catena__link_abort(&ticket);
}

bool catena__link_records_all(void) {
        return atomic_load_explicit(&link_state.records_all, memory_order_relaxed);
}

uint64_t catena__link_threshold(void) {
        return atomic_load_explicit(&link_state.threshold, memory_order_relaxed);
}

/* ---- waiting ---- */

uint64_t catena__link_read(void) {
        uint32_t epoch = catena__process_epoch();
        uint64_t connection = 0;

        if (!gate_enter(&link_state.gate, epoch))
                return atomic_load(&link_state.connection);
        if (link_is_up(epoch)) {
                link_receive(epoch);
                if (link_is_up(epoch))
                        connection = atomic_load(&link_state.connection);
        }
        gate_leave(&link_state.gate, epoch);
        return connection;
}

void catena__link_wait(bool to_send, int timeout_ms) {
        struct pollfd fd = {
                .fd = atomic_load(&link_state.connection) ? link_state.socket.fd : -1,
                .events = (short)(POLLIN | (to_send ? POLLOUT : 0)),
        };

        (void)poll(&fd, 1, timeout_ms);
}

bool catena__link_is_open(void) {
        return link_is_up(catena__process_epoch());
}

void catena__link_close(void) {
        uint32_t epoch = catena__process_epoch();

        if (!gate_enter_alone(&link_state.gate, epoch))
                return;
        link_drop();
        gate_leave_alone(&link_state.gate, epoch);
}
