/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/bench/page.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

Page *page_open(const char *path) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        Page *page;

        if (fd < 0 || ftruncate(fd, sizeof(Page)) < 0)
                err(EXIT_FAILURE, "%s", path);
        page = mmap(NULL, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                err(EXIT_FAILURE, "%s", path);
        close(fd);
        return page;
}

uint64_t page_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
