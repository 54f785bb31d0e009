/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/journal/recovery.h"

#include "daemon/base/error.h"
#include "daemon/journal/block.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct RecoveryNumbers {
        uint64_t *numbers; /* of the files named as segments, ascending */
        size_t n;
        uint64_t newest; /* also of those set aside */
} RecoveryNumbers;

static int recovery_compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* Notes one name of the folder. */
static int recovery_note(RecoveryNumbers *numbers, int folder, const char *name) {
        const char *suffix;
        uint64_t number = segment_name_read(&suffix, name), *grown;

        if (!number)
                return 0;
        if (!strcmp(suffix, SEGMENT_SUFFIX_SPARE)) {
                segment_unlink(folder, number, SEGMENT_SUFFIX_SPARE);
                return 0;
        }
        if (strncmp(suffix, SEGMENT_SUFFIX, strlen(SEGMENT_SUFFIX)))
                return 0;
        if (number > numbers->newest)
                numbers->newest = number;
        if (suffix[strlen(SEGMENT_SUFFIX)])
                return 0;
        grown = realloc(numbers->numbers, (numbers->n + 1) * sizeof *grown);
        if (!grown)
                return error_origin(-ENOMEM);
        numbers->numbers = grown;
        numbers->numbers[numbers->n++] = number;
        return 0;
}

static int recovery_list(RecoveryNumbers *numbers, int folder) {
        struct dirent *entry;
        int fd, r = 0;
        DIR *dir;

        fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return JOURNAL_E_PATH;
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return error_origin(-ENOMEM);
        }
        while (!r && (entry = readdir(dir)))
                r = recovery_note(numbers, folder, entry->d_name);
        closedir(dir);
        if (r)
                return error_trace(r);
        if (numbers->n)
                qsort(numbers->numbers, numbers->n, sizeof *numbers->numbers, recovery_compare);
        return 0;
}

/* What cannot be read is renamed, and left alone from then on. */
static int recovery_set_aside(int folder, uint64_t number, int error, uint32_t version) {
        char suffix[32];

        if (error == SEGMENT_E_VERSION)
                snprintf(suffix, sizeof suffix, SEGMENT_SUFFIX ".version-%u", version);
        else
                snprintf(suffix, sizeof suffix, SEGMENT_SUFFIX ".damaged");
        return segment_rename(folder, number, SEGMENT_SUFFIX, number, suffix) ? JOURNAL_E_PATH : 0;
}

static int recovery_load(Recovery *recovery, JournalReport *report, int folder, uint64_t number) {
        uint32_t version = 0;
        int r;

        r = segment_load(&recovery->segments[recovery->n_segments], &version, folder, number);
        switch (r) {
        case 0:
                recovery->n_segments++;
                return 0;
        case SEGMENT_E_SPACE:
                return JOURNAL_E_SPACE;
        case SEGMENT_E_VERSION:
                if (version > report->newer_version)
                        report->newer_version = version;
                return recovery_set_aside(folder, number, r, version);
        case SEGMENT_E_DAMAGED:
                return recovery_set_aside(folder, number, r, 0);
        default:
                return JOURNAL_E_PATH;
        }
}

/* Finds where each segment ends, and counts what is whole and what is not. */
static void recovery_walk(Recovery *recovery, JournalReport *report) {
        BlockWalk walk = {};
        JournalBlock block;

        for (size_t i = 0; i < recovery->n_segments; i++) {
                Segment *segment = &recovery->segments[i];

                block_walk_init(&walk, segment, SEGMENT_BLOCKS_END, walk.sequence);
                while (block_walk_next(&walk, &block))
                        ;
                segment->end = walk.offset;
                report->n_blocks += walk.n_blocks;
                report->n_lost_blocks += walk.n_lost_blocks;
                report->lost_bytes += walk.lost_bytes;
        }
        if (walk.torn)
                report->n_lost_blocks++;
        recovery->next_sequence = walk.sequence ? walk.sequence : 1;
}

static int recovery_load_all(Recovery *recovery, JournalReport *report, int folder,
                             const RecoveryNumbers *numbers) {
        int r;

        recovery->next_number = numbers->newest + 1;
        if (!numbers->n)
                return 0;
        recovery->segments = calloc(numbers->n, sizeof *recovery->segments);
        if (!recovery->segments)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < numbers->n; i++) {
                r = recovery_load(recovery, report, folder, numbers->numbers[i]);
                if (r)
                        return error_trace(r);
        }
        report->n_segments = recovery->n_segments;
        report->n_lost_segments =
                numbers->numbers[numbers->n - 1] - numbers->numbers[0] + 1 - recovery->n_segments;
        report->lost_bytes += report->n_lost_segments * JOURNAL_SEGMENT_SIZE;
        return 0;
}

int recovery_run(Recovery *recoveryp, JournalReport *report, int folder) {
        RecoveryNumbers numbers = {};
        Recovery recovery = {};
        int r;

        r = recovery_list(&numbers, folder);
        if (!r)
                r = recovery_load_all(&recovery, report, folder, &numbers);
        free(numbers.numbers);
        if (r) {
                int saved_errno = errno;

                for (size_t i = 0; i < recovery.n_segments; i++)
                        segment_unmap(&recovery.segments[i]);
                free(recovery.segments);
                errno = saved_errno;
                return error_trace(r);
        }
        recovery_walk(&recovery, report);
        *recoveryp = recovery;
        return 0;
}
