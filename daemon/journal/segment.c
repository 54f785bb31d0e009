/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/journal/segment.h"

#include "daemon/base/checksum.h"
#include "daemon/base/error.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* As it stands in the file, little-endian. */
typedef struct SegmentHeader {
        uint8_t magic[8];
        uint32_t version;
        uint32_t checkpoint_size;
        uint64_t number;
        uint8_t key[SEGMENT_KEY_SIZE];
        uint64_t sequence;
        uint32_t checkpoint_checksum;
        uint8_t zero[16];
        uint32_t checksum;
} SegmentHeader;

_Static_assert(sizeof(SegmentHeader) == SEGMENT_HEADER_SIZE, "the header's size is in the format");
_Static_assert(JOURNAL_SEGMENT_SIZE == 1 << SEGMENT_POSITION_BITS, "positions hold an offset");

enum { SEGMENT_NAME_SIZE = 64, SEGMENT_NAME_DIGITS = 16 };

static const uint8_t segment_magic[8] = "CATENAJ\n";

/* ---- names ---- */

uint64_t segment_name_read(const char **suffixp, const char *name) {
        uint64_t number = 0;

        for (unsigned i = 0; i < SEGMENT_NAME_DIGITS; i++) {
                char c = name[i];

                if (c >= '0' && c <= '9')
                        number = number << 4 | (uint64_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        number = number << 4 | (uint64_t)(c - 'a' + 10);
                else
                        return 0;
        }
        if (number >> SEGMENT_NUMBER_MAX_BITS)
                return 0;
        *suffixp = name + SEGMENT_NAME_DIGITS;
        return number;
}

static void segment_name(char *name, uint64_t number, const char *suffix) {
        snprintf(name, SEGMENT_NAME_SIZE, "%016" PRIx64 "%s", number, suffix);
}

int segment_rename(int folder, uint64_t from, const char *from_suffix, uint64_t to,
                   const char *to_suffix) {
        char from_name[SEGMENT_NAME_SIZE], to_name[SEGMENT_NAME_SIZE];

        segment_name(from_name, from, from_suffix);
        segment_name(to_name, to, to_suffix);
        return renameat(folder, from_name, folder, to_name);
}

void segment_unlink(int folder, uint64_t number, const char *suffix) {
        char name[SEGMENT_NAME_SIZE];

        segment_name(name, number, suffix);
        unlinkat(folder, name, 0);
}

/* ---- the header ---- */

static SegmentHeader *segment_header(const Segment *segment) {
        return (SegmentHeader *)segment->data;
}

static uint32_t segment_header_checksum(const SegmentHeader *header) {
        return checksum_crc32(0, header, offsetof(SegmentHeader, checksum));
}

static bool segment_header_is_whole(const SegmentHeader *header) {
        return !memcmp(header->magic, segment_magic, sizeof segment_magic) &&
               le32toh(header->checksum) == segment_header_checksum(header);
}

/* What follows from the header. */
static void segment_take_header(Segment *segment) {
        const SegmentHeader *header = segment_header(segment);

        segment->number = le64toh(header->number);
        segment->seed = checksum_crc32(0, header->key, sizeof header->key);
        segment->seed = checksum_crc32(segment->seed, &header->number, sizeof header->number);
        segment->blocks = SEGMENT_HEADER_SIZE + ((le32toh(header->checkpoint_size) + 7U) & ~7U);
        segment->end = segment->blocks;
}

void segment_begin(Segment *segment, uint64_t number, const uint8_t *key, uint64_t sequence,
                   size_t checkpoint_size) {
        SegmentHeader *header = segment_header(segment);

        assert(checkpoint_size <= JOURNAL_CHECKPOINT_MAX);
        *header = (SegmentHeader){
                .version = htole32(JOURNAL_FORMAT),
                .checkpoint_size = htole32((uint32_t)checkpoint_size),
                .number = htole64(number),
                .sequence = htole64(sequence),
        };
        memcpy(header->magic, segment_magic, sizeof segment_magic);
        memcpy(header->key, key, sizeof header->key);
        segment_take_header(segment);
        header->checkpoint_checksum = htole32(
                checksum_crc32(segment->seed, segment_checkpoint(segment), checkpoint_size));
        header->checksum = htole32(segment_header_checksum(header));
        memcpy(segment->data + SEGMENT_BLOCKS_END, header, sizeof *header);
        segment->live_bytes = 0;
}

uint8_t *segment_checkpoint(const Segment *segment) {
        return segment->data + SEGMENT_HEADER_SIZE;
}

bool segment_checkpoint_read(const Segment *segment, const uint8_t **datap, size_t *sizep) {
        const SegmentHeader *header = segment_header(segment);
        size_t size = le32toh(header->checkpoint_size);

        if (checksum_crc32(segment->seed, segment_checkpoint(segment), size) !=
            le32toh(header->checkpoint_checksum))
                return false;
        *datap = segment_checkpoint(segment);
        *sizep = size;
        return true;
}

uint64_t segment_sequence(const Segment *segment) {
        return le64toh(segment_header(segment)->sequence);
}

const uint8_t *segment_key(const Segment *segment) {
        return segment_header(segment)->key;
}

/* ---- files ---- */

/* Nothing is mapped that is not allocated: a store into the map would end in SIGBUS. */
static int segment_map(Segment *segment, int fd) {
        void *data;
        int r;

        do
                r = posix_fallocate(fd, 0, JOURNAL_SEGMENT_SIZE);
        while (r == EINTR);
        if (r)
                return SEGMENT_E_SPACE;
        data = mmap(NULL, JOURNAL_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
                return SEGMENT_E_SPACE;
        segment->data = data;
        return 0;
}

void segment_populate(const Segment *segment) {
        (void)madvise(segment->data, JOURNAL_SEGMENT_SIZE, MADV_POPULATE_WRITE);
}

void segment_unmap(Segment *segment) {
        munmap(segment->data, JOURNAL_SEGMENT_SIZE);
        segment->data = NULL;
}

int segment_make(Segment *segmentp, int folder, uint64_t number) {
        Segment segment = {.number = number};
        char name[SEGMENT_NAME_SIZE];
        int fd, r;

        segment_name(name, number, SEGMENT_SUFFIX_SPARE);
        fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return SEGMENT_E_SPACE;
        r = segment_map(&segment, fd);
        close(fd);
        if (r) {
                unlinkat(folder, name, 0);
                return r;
        }
        *segmentp = segment;
        return 0;
}

/* The header at the front, or its copy at the end. */
static int segment_read_header(SegmentHeader *headerp, int fd) {
        struct stat stat;
        ssize_t n;

        if (fstat(fd, &stat) < 0)
                return SEGMENT_E_PATH;
        n = pread(fd, headerp, sizeof *headerp, 0);
        if (n < 0)
                return SEGMENT_E_PATH;
        if (n == sizeof *headerp && segment_header_is_whole(headerp))
                return 0;
        if (stat.st_size < (off_t)sizeof *headerp)
                return SEGMENT_E_DAMAGED;
        n = pread(fd, headerp, sizeof *headerp, stat.st_size - (off_t)sizeof *headerp);
        if (n < 0)
                return SEGMENT_E_PATH;
        if (n == sizeof *headerp && segment_header_is_whole(headerp))
                return 0;
        return SEGMENT_E_DAMAGED;
}

static int segment_load_file(Segment *segment, uint32_t *versionp, int fd, uint64_t number) {
        SegmentHeader header;
        int r;

        r = segment_read_header(&header, fd);
        if (r)
                return r;
        if (le32toh(header.version) != JOURNAL_FORMAT) {
                *versionp = le32toh(header.version);
                return SEGMENT_E_VERSION;
        }
        if (le64toh(header.number) != number ||
            le32toh(header.checkpoint_size) > JOURNAL_CHECKPOINT_MAX)
                return SEGMENT_E_DAMAGED;
        r = segment_map(segment, fd);
        if (r)
                return r;
        memcpy(segment->data, &header, sizeof header);
        memcpy(segment->data + SEGMENT_BLOCKS_END, &header, sizeof header);
        segment_take_header(segment);
        return 0;
}

int segment_load(Segment *segmentp, uint32_t *versionp, int folder, uint64_t number) {
        char name[SEGMENT_NAME_SIZE];
        Segment segment = {};
        int fd, r;

        segment_name(name, number, SEGMENT_SUFFIX);
        fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return SEGMENT_E_PATH;
        r = segment_load_file(&segment, versionp, fd, number);
        close(fd);
        if (!r)
                *segmentp = segment;
        return r;
}
