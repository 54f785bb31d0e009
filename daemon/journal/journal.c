/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/journal/journal.h"

#include "daemon/base/error.h"
#include "daemon/journal/block.h"
#include "daemon/journal/recovery.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

enum {
        JOURNAL_SPARES_MAX = 5, /* what one compaction under steady traffic frees at once */
        JOURNAL_SEGMENTS_KEPT = 2, /* never a client's */
};

struct Journal {
        JournalOptions options; /* its path is used only while it opens */
        int folder;             /* descriptors; -1: none */
        int lock;

        Segment *segments; /* [n_segments], oldest first; the last is written */
        unsigned n_segments, n_segments_max;
        Segment spares[JOURNAL_SPARES_MAX]; /* the last one freed is used first */
        unsigned n_spares;
        size_t used_bytes, live_bytes;

        uint64_t next_number, next_sequence;
        size_t reserved_bytes; /* of the block behind the last; 0: none */
        bool is_reserved;
};

/* ---- opening ---- */

static int journal_open_folder(Journal *journal, JournalReport *report) {
        struct statfs fs;

        if (mkdir(journal->options.path, 0700) < 0 && errno != EEXIST)
                return JOURNAL_E_PATH;
        journal->folder = open(journal->options.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (journal->folder < 0)
                return JOURNAL_E_PATH;
        journal->lock =
                openat(journal->folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (journal->lock < 0)
                return JOURNAL_E_PATH;
        if (flock(journal->lock, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? JOURNAL_E_LOCKED : JOURNAL_E_PATH;
        if (fstatfs(journal->folder, &fs) < 0)
                return JOURNAL_E_PATH;
        report->on_tmpfs = fs.f_type == TMPFS_MAGIC;
        return 0;
}

/*
 * Under a cap that was lowered below what the folder holds, there is still room for the decisions
 * that free it.
 */
static unsigned journal_cap(size_t max_bytes, size_t n_held) {
        size_t n = max_bytes / JOURNAL_SEGMENT_SIZE;

        if (n < JOURNAL_SEGMENTS_MIN)
                n = JOURNAL_SEGMENTS_MIN;
        if (n < n_held)
                n = n_held + JOURNAL_SEGMENTS_KEPT;
        return (unsigned)n;
}

static int journal_recover(Journal *journal, JournalReport *report) {
        Recovery recovery;
        Segment *segments;
        int r;

        r = recovery_run(&recovery, report, journal->folder);
        if (r)
                return error_trace(r);
        journal->segments = recovery.segments;
        journal->n_segments = (unsigned)recovery.n_segments;
        journal->next_number = recovery.next_number;
        journal->next_sequence = recovery.next_sequence;
        journal->n_segments_max = journal_cap(journal->options.max_bytes, recovery.n_segments);
        segments = realloc(journal->segments, journal->n_segments_max * sizeof *segments);
        if (!segments)
                return error_origin(-ENOMEM);
        journal->segments = segments;

        for (unsigned i = 0; i < journal->n_segments; i++)
                journal->used_bytes += segments[i].end;
        if (journal->n_segments) {
                Segment *last = &segments[journal->n_segments - 1];

                block_end(last);
                memcpy(journal->options.key, segment_key(last), sizeof journal->options.key);
        }
        return 0;
}

int journal_open(Journal **journalp, const JournalOptions *options, JournalReport *report) {
        JournalReport found = {};
        Journal *journal;
        int r, saved_errno;

        journal = calloc(1, sizeof *journal);
        if (!journal)
                return error_origin(-ENOMEM);
        journal->options = *options;
        journal->folder = journal->lock = -1;
        r = journal_open_folder(journal, &found);
        if (!r)
                r = journal_recover(journal, &found);
        if (r) {
                saved_errno = errno;
                journal_free(journal);
                errno = saved_errno;
                return error_trace(r);
        }
        *report = found;
        *journalp = journal;
        return 0;
}

Journal *journal_free(Journal *journal) {
        if (!journal)
                return NULL;
        for (unsigned i = 0; i < journal->n_segments; i++)
                segment_unmap(&journal->segments[i]);
        for (unsigned i = 0; i < journal->n_spares; i++) {
                segment_unlink(journal->folder, journal->spares[i].number, SEGMENT_SUFFIX_SPARE);
                segment_unmap(&journal->spares[i]);
        }
        free(journal->segments);
        if (journal->lock >= 0)
                close(journal->lock);
        if (journal->folder >= 0)
                close(journal->folder);
        free(journal);
        return NULL;
}

/* ---- reading ---- */

int journal_each_block(Journal *journal, int (*each)(void *user, JournalBlock *block), void *user) {
        JournalBlock block;
        BlockWalk walk;
        int r;

        for (unsigned i = 0; i < journal->n_segments; i++) {
                Segment *segment = &journal->segments[i];

                block_walk_init(&walk, segment, segment->end, 0);
                while (block_walk_next(&walk, &block)) {
                        r = each(user, &block);
                        if (r)
                                return error_trace(r);
                }
        }
        return 0;
}

void journal_checkpoint(const Journal *journal, const uint8_t **datap, size_t *sizep,
                        JournalPosition *positionp) {
        const uint8_t *data;
        size_t size;

        *datap = NULL;
        *sizep = 0;
        *positionp = 0;
        for (unsigned i = journal->n_segments; i--;) {
                const Segment *segment = &journal->segments[i];

                if (!segment_checkpoint_read(segment, &data, &size) || !size)
                        continue;
                *datap = data;
                *sizep = size;
                *positionp = segment_position(segment, segment->blocks);
                return;
        }
}

/* Numbers are dense unless segments were lost, so the first look is nearly always the last. */
static Segment *journal_segment(const Journal *journal, JournalPosition position) {
        uint64_t number = position >> SEGMENT_POSITION_BITS, i;

        assert(journal->n_segments && number >= journal->segments[0].number);
        i = number - journal->segments[0].number;
        if (i >= journal->n_segments)
                i = journal->n_segments - 1;
        while (journal->segments[i].number > number)
                i--;
        assert(journal->segments[i].number == number);
        return &journal->segments[i];
}

uint8_t *journal_at(const Journal *journal, JournalPosition position) {
        return journal_segment(journal, position)->data + position % JOURNAL_SEGMENT_SIZE;
}

/* ---- writing ---- */

/* Named as a segment will be that has not been opened, so as none that is freed. */
static int journal_make_spares(Journal *journal, unsigned n) {
        while (journal->n_spares < n) {
                uint64_t name = journal->next_number;

                for (unsigned i = 0; i < journal->n_spares; i++)
                        if (journal->spares[i].number == name)
                                name++;
                if (segment_make(&journal->spares[journal->n_spares], journal->folder, name))
                        return JOURNAL_E_SPACE;
                if (journal->n_segments) /* else those at hand may last long */
                        segment_populate(&journal->spares[journal->n_spares]);
                journal->n_spares++;
        }
        return 0;
}

/* The one that has the next segment's name, before that is given away; else the last one freed. */
static Segment journal_take_spare(Journal *journal) {
        unsigned last = --journal->n_spares, i = 0;
        Segment spare;

        while (i < last && journal->spares[i].number != journal->next_number)
                i++;
        spare = journal->spares[i];
        journal->spares[i] = journal->spares[last];
        return spare;
}

/* A spare is made the segment that is written from now on; a client never gets the last one. */
static int journal_open_segment(Journal *journal, JournalRoom room) {
        size_t checkpoint_size = 0;
        Segment segment;
        uint64_t name;

        if (journal_make_spares(journal, room == JOURNAL_ROOM_CLIENT ? 2 : 1))
                return JOURNAL_E_SPACE;
        segment = journal_take_spare(journal);
        name = segment.number;
        if (journal->options.checkpoint)
                checkpoint_size = journal->options.checkpoint(journal->options.user,
                                                              segment_checkpoint(&segment),
                                                              JOURNAL_CHECKPOINT_MAX);
        segment_begin(&segment, journal->next_number, journal->options.key, journal->next_sequence,
                      checkpoint_size);
        block_end(&segment);
        if (segment_rename(journal->folder, name, SEGMENT_SUFFIX_SPARE, segment.number,
                           SEGMENT_SUFFIX)) {
                segment_unlink(journal->folder, name, SEGMENT_SUFFIX_SPARE);
                segment_unmap(&segment);
                return JOURNAL_E_SPACE;
        }
        journal->segments[journal->n_segments++] = segment;
        journal->next_number++;
        journal->used_bytes += segment.end;
        return 0;
}

size_t journal_room(const Journal *journal) {
        size_t end = journal->n_segments ? journal->segments[journal->n_segments - 1].end
                                         : SEGMENT_BLOCKS_END;

        return end + BLOCK_HEADER_SIZE < SEGMENT_BLOCKS_END
                       ? SEGMENT_BLOCKS_END - BLOCK_HEADER_SIZE - end
                       : 0;
}

static bool journal_fits(const Journal *journal, size_t size) {
        return journal->n_segments &&
               journal->segments[journal->n_segments - 1].end + BLOCK_HEADER_SIZE + size <=
                       SEGMENT_BLOCKS_END;
}

int journal_reserve(Journal *journal, JournalBlock *block, size_t size, JournalRoom room) {
        unsigned n_free = journal->n_segments_max - journal->n_segments;
        static const unsigned kept[] = {
                [JOURNAL_ROOM_CLIENT] = JOURNAL_SEGMENTS_KEPT,
                [JOURNAL_ROOM_SNAPSHOT] = JOURNAL_SEGMENTS_KEPT - 1,
                [JOURNAL_ROOM_DECISION] = 0,
        };
        unsigned n_kept = kept[room];
        Segment *segment;
        int r;

        assert(size <= JOURNAL_BLOCK_MAX);
        size = (size + 7) & ~(size_t)7;
        journal->is_reserved = false;
        if (n_free < n_kept)
                return JOURNAL_E_FULL;
        if (!journal_fits(journal, size)) {
                if (n_free == n_kept)
                        return JOURNAL_E_FULL;
                r = journal_open_segment(journal, room);
                if (r)
                        return r;
        }
        segment = &journal->segments[journal->n_segments - 1];
        block->records = segment->data + segment->end + BLOCK_HEADER_SIZE;
        block->position = segment_position(segment, segment->end + BLOCK_HEADER_SIZE);
        journal->reserved_bytes = size;
        journal->is_reserved = true;
        return 0;
}

void journal_commit(Journal *journal, const JournalBlock *block) {
        Segment *segment = &journal->segments[journal->n_segments - 1];

        assert(journal->is_reserved && block->size <= journal->reserved_bytes);
        assert(block->size % 8 == 0);
        assert(block->position == segment_position(segment, segment->end + BLOCK_HEADER_SIZE));
        block_write(segment, block, journal->next_sequence++);
        journal->used_bytes += BLOCK_HEADER_SIZE + block->size;
        journal->is_reserved = false;
}

/* ---- live bytes ---- */

void journal_hold(Journal *journal, JournalPosition position, size_t size) {
        journal_segment(journal, position)->live_bytes += size;
        journal->live_bytes += size;
}

void journal_release(Journal *journal, JournalPosition position, size_t size) {
        Segment *segment = journal_segment(journal, position);

        assert(segment->live_bytes >= size);
        segment->live_bytes -= size;
        journal->live_bytes -= size;
}

/* A file that cannot be renamed is no spare; nothing may be left that would be read again. */
static void journal_free_segment(Journal *journal, Segment *segment) {
        if (journal->n_spares < JOURNAL_SPARES_MAX &&
            !segment_rename(journal->folder, segment->number, SEGMENT_SUFFIX, segment->number,
                            SEGMENT_SUFFIX_SPARE)) {
                journal->spares[journal->n_spares++] = *segment;
                return;
        }
        segment_unlink(journal->folder, segment->number, SEGMENT_SUFFIX);
        segment_unmap(segment);
}

unsigned journal_reclaim(Journal *journal) {
        unsigned n = 0;

        while (n + 1 < journal->n_segments && !journal->segments[n].live_bytes) {
                journal->used_bytes -= journal->segments[n].end;
                journal_free_segment(journal, &journal->segments[n]);
                n++;
        }
        journal->n_segments -= n;
        memmove(journal->segments, journal->segments + n,
                journal->n_segments * sizeof *journal->segments);
        return n;
}

bool journal_oldest(const Journal *journal, JournalPosition *firstp, JournalPosition *endp,
                    size_t *live_bytesp) {
        const Segment *segment = journal->segments;

        if (journal->n_segments < 2)
                return false;
        *firstp = segment_position(segment, segment->blocks);
        *endp = segment_position(segment, segment->end);
        *live_bytesp = segment->live_bytes;
        return true;
}

void journal_usage(const Journal *journal, JournalUsage *usage) {
        *usage = (JournalUsage){
                .max_bytes = (size_t)journal->n_segments_max * JOURNAL_SEGMENT_SIZE,
                .used_bytes = journal->used_bytes,
                .live_bytes = journal->live_bytes,
                .n_segments = journal->n_segments,
                .n_segments_max = journal->n_segments_max,
                .n_segments_free = journal->n_segments_max - journal->n_segments,
        };
}
