/* What a program can see of its own memory, read without allocating, and a stretch of small work. */
#ifndef RESIDENT_H
#define RESIDENT_H

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "check.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

__attribute__((unused)) static long in_kib(long bytes)
{
    return bytes / 1024;
}

/* The start of a file of /proc, as a text. */
__attribute__((unused)) static const char *text_of(const char *path)
{
    static _Thread_local char text[4096];
    int file = open(path, O_RDONLY);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;

    MUST(length > 0);
    close(file);
    text[length] = 0;
    return text;
}

/* Resident bytes of this process, as its page tables have them. The quicker count in statm is behind by up to some
 * dozens of pages for each processor or thread, by the kernel's version. */
__attribute__((unused)) static long resident_bytes(void)
{
    long kib = 0;
    const char *line = strstr(text_of("/proc/self/smaps_rollup"), "Rss:");

    MUST(line && sscanf(line, "Rss: %ld", &kib) == 1);
    return kib * 1024;
}

/* The most that ever were, by that quicker count. */
__attribute__((unused)) static long peak_bytes(void)
{
    long kib = 0;
    const char *line = strstr(text_of("/proc/self/status"), "VmHWM:");

    MUST(line && sscanf(line, "VmHWM: %ld", &kib) == 1);
    return kib * 1024;
}

/* How many mappings this process has. */
__attribute__((unused)) static long mapping_count(void)
{
    static char part[1 << 16];
    long count = 0;
    ssize_t length;
    int file = open("/proc/self/maps", O_RDONLY);

    MUST(file >= 0);
    while ((length = read(file, part, sizeof part)) > 0)
        for (ssize_t i = 0; i < length; i++)
            count += part[i] == '\n';
    close(file);
    return count;
}

__attribute__((unused)) static long milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Small blocks come and go for so many milliseconds, with pauses: and as often as in that time on a machine that has
 * nothing else to do, however little of the processor this process gets. */
__attribute__((unused)) static void small_work(long duration)
{
    long end = milliseconds() + duration;

    for (long turn = 0; milliseconds() < end || turn < duration / 6; turn++) {
        for (size_t size = 0; size < 2000; size++) {
            char *block = malloc(opaque(size));

            MUST(block);
            free(block);
        }
        usleep(5000);
    }
}

#endif
