#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A recorder that keeps what it is given, and can be told to be full. It knows of spans only that
 * an END in cut 1 closes with its pass, and one in cut 2 with the next.
 */

#include "daemon/base/buffer.h"
#include "daemon/trace/delivery.h"
#include "tests/unit/ingest.h"

typedef struct FakeSession {
        Session session;
        SessionUser user;
        Buffer taken;                 /* all records */
        unsigned n_ends, n_cut2_ends; /* not closed yet */
        unsigned n_closed;
} FakeSession;

struct Recorder {
        List sessions; /* Session.link; they stay when they have ended */
        uint32_t n_sessions;
        FakeSession *last;
        bool full;
        bool refuses_hello;
        bool refuses_sessions; /* there is only room for ends */
        size_t rest;           /* of the segment; 0: plenty */
        uint8_t *room;         /* of the block that is reserved */
        unsigned n_reserved, n_blocks, n_passes;
        bool delivered; /* all, whenever it is asked */
        size_t largest_block;
        void (*on_reserve)(void); /* once, at the next block */
};

static Recorder recorder;

void session_charge(Session *session, size_t size) {
        session->user->n_bytes += size;
}

void session_discharge(Session *session, size_t size) {
        session->user->n_bytes -= size;
}

int recorder_session_begin(Recorder *self, Session **sessionp,
                           const SessionCredentials *credentials, const uint8_t *token,
                           const uint8_t *hello, size_t hello_size, uint64_t now_unix_ns) {
        FakeSession *fake;

        (void)hello;
        (void)hello_size;
        ck_assert_uint_gt(now_unix_ns, 0);
        if (self->refuses_hello)
                return RECORDER_E_HELLO;
        if (self->full || self->refuses_sessions)
                return RECORDER_E_FULL;
        fake = calloc(1, sizeof *fake);
        fake->session.user = &fake->user;
        fake->session.number = ++self->n_sessions;
        fake->session.credentials = *credentials;
        memcpy(fake->session.token, token, RECORD_TOKEN_SIZE);
        list_append(&self->sessions, &fake->session.link);
        self->last = fake;
        *sessionp = &fake->session;
        return 0;
}

Session *recorder_session_by_token(const Recorder *self, const uint8_t *token, uint32_t uid) {
        list_for_each (link, &self->sessions) {
                Session *session = list_entry(link, Session, link);
                if (session->state == SESSION_ALIVE && session->credentials.uid == uid &&
                    memcmp(session->token, token, RECORD_TOKEN_SIZE) == 0)
                        return session;
        }
        return NULL;
}

int recorder_session_end(Recorder *self, Session **sessionp, SessionState how,
                         uint64_t now_unix_ns) {
        ck_assert_uint_gt(now_unix_ns, 0);
        ck_assert_ptr_null((*sessionp)->peer);
        ck_assert_int_eq((*sessionp)->state, SESSION_ALIVE);
        if (self->full)
                return RECORDER_E_FULL;
        (*sessionp)->state = how;
        *sessionp = NULL;
        return 0;
}

size_t recorder_fitting(const Recorder *self, size_t size) {
        return self->rest && self->rest < size ? self->rest : size;
}

int recorder_reserve(Recorder *self, JournalBlock *block, size_t size) {
        void (*on_reserve)(void) = self->on_reserve;

        ck_assert_uint_le(size, JOURNAL_BLOCK_MAX);
        self->n_reserved++;
        if (self->full)
                return RECORDER_E_FULL;
        free(self->room);
        self->room = malloc(size ? size : 1);
        block->records = self->room;
        self->on_reserve = NULL;
        if (on_reserve)
                on_reserve();
        return 0;
}

int recorder_take(Recorder *self, Session *session, JournalBlock *block) {
        FakeSession *fake = list_entry(session, FakeSession, session);
        RecordHeader header;

        ck_assert_int_eq(session->state, SESSION_ALIVE);
        ck_assert_uint_eq(block->session, session->number);
        ck_assert_uint_eq(block->source, (uint32_t)JOURNAL_SOURCE_STREAM);
        ck_assert_uint_gt(block->time_unix_ns, 0);
        for (size_t at = 0; at < block->size; at += record_stride(header.size)) {
                ck_assert_int_eq(record_frame(&header, block->records + at, block->size - at), 0);
                if (header.flags & RECORD_END)
                        ++*(block->flags & JOURNAL_CUT_2 ? &fake->n_cut2_ends : &fake->n_ends);
        }
        ck_assert_int_eq(buffer_append(&fake->taken, block->records, block->size), 0);
        self->n_blocks++;
        if (block->size > self->largest_block)
                self->largest_block = block->size;
        if (block->flags & JOURNAL_PASS_END) {
                self->n_passes++;
                fake->n_closed += fake->n_ends;
                fake->n_ends = fake->n_cut2_ends;
                fake->n_cut2_ends = 0;
        }
        return 0;
}

bool recorder_session_unsettled(const Session *session) {
        const FakeSession *fake = list_entry(session, FakeSession, session);

        return fake->n_ends || fake->n_cut2_ends;
}

void delivery_begin(Delivery *delivery, const Recorder *self) {
        *delivery = (Delivery){.n_deferred = self->n_passes};
}

bool delivery_is_done(Delivery *delivery, const Recorder *self) {
        ck_assert_uint_le(delivery->n_deferred, self->n_passes);
        return self->delivered;
}

void recorder_view(Recorder *self, RecorderView *view) {
        *view = (RecorderView){.sessions = &self->sessions};
}

static inline void fake_setup(void) {
        recorder = (Recorder){0};
        list_init(&recorder.sessions);
        setup(&recorder);
}

static inline void fake_teardown(void) {
        teardown();
        list_for_each_safe (link, &recorder.sessions) {
                FakeSession *fake = list_entry(link, FakeSession, session.link);
                buffer_deinit(&fake->taken);
                free(fake);
        }
        free(recorder.room);
}

/* A client that has been welcomed; its session is recorder.last. */
static inline int client_open(void) {
        int fd = client_connect();

        client_hello(fd, NULL);
        expect_welcome(fd, NULL);
        return fd;
}

static inline void assert_taken(const FakeSession *fake, const Buffer *records) {
        ck_assert_uint_eq(fake->taken.size, records->size);
        ck_assert_mem_eq(fake->taken.data, records->data, records->size);
}
