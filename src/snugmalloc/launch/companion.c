/* libsnug-run.so - preloaded behind libsnugmalloc.so by `snug run` where it is needed for one of these:
 *
 *     _SNUG_RUN_ONCE=1      before main, takes LD_PRELOAD's entries up to and including this library's own out of the
 *                           environment: the program keeps what is loaded, its children are started without
 *     _SNUG_RUN_REPORT=DIR  at exit, writes what the heap holds and did to DIR/PID, a line `name value` each; a
 *                           program that dies of a signal or calls _exit writes nothing
 *     _SNUG_RUN_TOLD_X=...  before main, becomes X=... again: a SNUG_ name that libsnugmalloc.so ignores, and need not
 *                           tell since `snug run` has
 *
 * Like the options, they count for nothing in a process with more rights than those who started it (AT_SECURE).
 * The names begin with an underscore since libsnugmalloc.so reports every SNUG_ name that it does not know.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "dropin_records.h"
#include "snugmalloc.h"

#pragma weak snug_stats
#pragma weak snug_version
#pragma weak snug_walk

static const char separators[] = ": "; /* as ld.so splits LD_PRELOAD */

static const char told[] = "_SNUG_RUN_TOLD_";

__attribute__((constructor)) static void name_again(void)
{
    void *volatile first = malloc(1); /* with the first request the options have been read */

    free(first);
    for (char **entry = environ; *entry && !getauxval(AT_SECURE); entry++)
        if (strncmp(*entry, told, sizeof told - 1) == 0)
            *entry += sizeof told - 1;
}

static int is_own_entry(const char *entry, size_t length)
{
    static const char name[] = "libsnug-run.so";
    size_t own = sizeof name - 1;

    return length >= own && memcmp(entry + length - own, name, own) == 0;
}

__attribute__((constructor)) static void leave_environment(void)
{
    char *list = getenv("LD_PRELOAD");
    char *entry = list;

    if (!secure_getenv("_SNUG_RUN_ONCE"))
        return;
    while (entry && *entry) {
        size_t length = strcspn(entry, separators);
        char *rest = entry + length + strspn(entry + length, separators);

        if (is_own_entry(entry, length)) {
            if (*rest)
                memmove(list, rest, strlen(rest) + 1);
            else
                unsetenv("LD_PRELOAD");
            return;
        }
        entry = rest;
    }
}

/* ---- The report ---- */

/* Kept from before main: at its end a program may have no environment any more (PHP). */
static char folder[4000];

__attribute__((constructor)) static void keep_folder(void)
{
    const char *given = secure_getenv("_SNUG_RUN_REPORT");

    if (given && strlen(given) < sizeof folder)
        strcpy(folder, given);
}

enum { CLASSES = 64 };

typedef struct {
    size_t blocks[CLASSES], bytes[CLASSES]; /* of usable sizes above 2^(i-1), up to 2^i */
} Sizes;

static int count_block(void *address, size_t size, int status, void *context)
{
    Sizes *sizes = context;
    int class = size <= 1 ? 0 : 64 - __builtin_clzl(size - 1);

    (void)address;
    if (status != SNUG_FREE) {
        sizes->blocks[class]++;
        sizes->bytes[class] += size;
    }
    return 0;
}

static void write_sizes(int fd)
{
    Sizes sizes = {{0}, {0}};

    snug_walk(count_block, &sizes);
    for (int i = 0; i < CLASSES; i++)
        if (sizes.blocks[i])
            dprintf(fd, "class %zu %zu %zu\n", (size_t)1 << i, sizes.blocks[i], sizes.bytes[i]);
}

static void write_stats(int fd)
{
#define NAME(name, offset) #name,
    static const char *const names[] = {ENGINE_Figures(NAME)};
    enum { FIELDS = sizeof names / sizeof *names };
    size_t values[FIELDS];
    snug_stats_t stats;

    snug_stats(&stats, sizeof stats);
    memcpy(values, &stats, sizeof values);
    for (int i = 0; i < FIELDS; i++)
        dprintf(fd, "%s %zu\n", names[i], values[i]);
}

/* The file that this process's `malloc` comes from: the proof of what is in use. A program that is not position
 * independent may give its own jump table's entry as the address of malloc, under a symbol that it does not define:
 * then the loader took the first definition among the libraries, in the order of their loading. */
static const char *malloc_provider(void)
{
    Dl_info info;
    ElfW(Sym) *symbol = NULL;
    void *address = dlsym(RTLD_DEFAULT, "malloc");

    if (!address || !dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT))
        return "nowhere";
    if (!symbol || symbol->st_shndx != SHN_UNDEF)
        return info.dli_fname;
    for (struct link_map *map = dlopen(NULL, RTLD_LAZY); map; map = map->l_next) {
        void *library = *map->l_name ? dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD) : NULL;

        if (library && (address = dlsym(library, "malloc")) && dladdr(address, &info)
            && strcmp(info.dli_fname, map->l_name) == 0)
            return info.dli_fname;
    }
    return "nowhere";
}

static void write_provider(int fd)
{
    dprintf(fd, "malloc_from %s\n", malloc_provider());
    dprintf(fd, "command %s\n", program_invocation_short_name);
}

/* A line of /proc/self/status, with its figure in bytes. */
static void write_status(int fd, const char *status, const char *field, const char *name)
{
    const char *line = strstr(status, field);

    if (line)
        dprintf(fd, "%s %lld\n", name, atoll(line + strlen(field)) * 1024);
}

static void write_resident(int fd)
{
    char status[4096];
    int source = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = source < 0 ? -1 : read(source, status, sizeof status - 1);

    if (source >= 0)
        close(source);
    if (length <= 0)
        return;
    status[length] = 0;
    write_status(fd, status, "VmHWM:", "peak_resident_bytes");
    write_status(fd, status, "VmRSS:", "resident_bytes");
}

__attribute__((destructor)) static void report(void)
{
    char path[4096];
    int fd;

    if (!*folder || snprintf(path, sizeof path, "%s/%d", folder, (int)getpid()) >= (int)sizeof path)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    write_resident(fd);
    write_provider(fd);
    if (snug_version && snug_stats && snug_walk) {
        dprintf(fd, "library %s\n", snug_version());
        write_stats(fd);
        write_sizes(fd);
    }
    dprintf(fd, "end\n"); /* without it the disk was full */
    close(fd);
}
