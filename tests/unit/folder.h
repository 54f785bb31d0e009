#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A private folder for a test, in memory where there is /dev/shm; removed with what is in it. */

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_PATH_SIZE = 512 };

static inline void folder_make(char path[FOLDER_PATH_SIZE]) {
        const char *base = access("/dev/shm", W_OK) ? getenv("TMPDIR") : "/dev/shm";

        snprintf(path, FOLDER_PATH_SIZE, "%s/catena-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(path))
                abort();
}

static inline int folder_remove_entry(const char *path, const struct stat *about, int type,
                                      struct FTW *where) {
        (void)about;
        (void)type;
        (void)where;
        return remove(path);
}

static inline void folder_remove(const char *path) {
        nftw(path, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* How many names there end so. */
static inline unsigned folder_count(const char *path, const char *suffix) {
        DIR *dir = opendir(path);
        struct dirent *entry;
        unsigned n = 0;

        while (dir && (entry = readdir(dir))) {
                size_t length = strlen(entry->d_name);

                n += length >= strlen(suffix) &&
                     !strcmp(entry->d_name + length - strlen(suffix), suffix);
        }
        if (dir)
                closedir(dir);
        return n;
}
