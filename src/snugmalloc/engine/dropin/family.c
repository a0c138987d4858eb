/* What the drop-in malloc cannot say in the engine language: structs returned by value (mallinfo), FILE (malloc_info,
 * malloc_stats), the C++ operators, whose names are mangled and whose failure is an exception, and dlopen. Everything
 * here stands on the functions of snugmalloc.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/published.h"
#include "dropin_records.h"
#include "snugmalloc.h"

const char *snug_version(void) { return SNUG_VERSION; }

/* ---- Figures ---- */

static snug_stats_t figures(void) {
    snug_stats_t stats;
    snug_stats(&stats, sizeof stats);
    return stats;
}

/* Where the figures are of the process's heap, once the options are read, a list of the shards once there are some, and
 * what others may look at and ask for: `snug doctor` and its like read them from outside by these symbols. */
uint64_t snug_figures_at, snug_shards_at, snug_outside_at;

/* ---- A file of this process's own: SNUG_PUBLISH ---- */

enum { PATH_ROOM = 4096, DIGITS = 20 };
static char own_path[PATH_ROOM];
static long own_pid; /* of the process that made the file; 0 without one */
static void *own_file;

/* By bare system calls, for functions of libc may be cancelled. It is written once, so that a full disk is met here. */
static long make_own_file(size_t length) {
    static const char zeros[1024];
    syscall(SYS_unlinkat, AT_FDCWD, own_path, 0);
    long file = syscall(SYS_openat, AT_FDCWD, own_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    for (size_t count = 0; file >= 0 && count < length;) {
        size_t rest = length - count < sizeof zeros ? length - count : sizeof zeros;
        long written = syscall(SYS_write, file, zeros, rest);
        if (written <= 0) {
            syscall(SYS_close, file);
            syscall(SYS_unlinkat, AT_FDCWD, own_path, 0);
            return -1;
        }
        count += (size_t)written;
    }
    return file;
}

/* A new file FOLDER/PID.snugstats of `length` zero bytes, mapped, in the place of one that was inherited; or NULL. */
void *snug_map_own_file(const char *folder, size_t length) {
    static const char ending[] = ".snugstats";
    int kept = errno;
    if (own_file) munmap(own_file, length);
    own_file = NULL;
    own_pid = 0;
    size_t used = strlen(folder);
    if (used + 1 + DIGITS + sizeof ending > sizeof own_path) return NULL;
    long pid = syscall(SYS_getpid);
    char digits[DIGITS], *to = own_path + used;
    int count = 0;
    memcpy(own_path, folder, used);
    *to++ = '/';
    for (long rest = pid; rest; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count) *to++ = digits[--count];
    memcpy(to, ending, sizeof ending);
    long file = make_own_file(length);
    if (file >= 0) {
        void *found = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
        syscall(SYS_close, file);
        if (found == MAP_FAILED) syscall(SYS_unlinkat, AT_FDCWD, own_path, 0);
        else own_file = found;
    }
    own_pid = own_file ? pid : 0;
    errno = kept;
    return own_file;
}

/* A recording that was begun from outside is ended here: to register a function for it would take a lock of libc's,
 * which the call that was asked may be made under. */
__attribute__((destructor)) static void end_library(void) {
    snug_record_end();
    if (own_pid && own_pid == syscall(SYS_getpid)) syscall(SYS_unlinkat, AT_FDCWD, own_path, 0);
}

/* ---- libc's own, in a process that is off ---- */

static bool is_off(void) { return figures().state > SNUG_STATE_ON; }

/* Not the next definition, which another preloaded malloc may have: the one that belongs to __libc_malloc. */
void *snug_libc_symbol(const char *name) {
    static void *libc;
    if (!libc) libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return libc ? dlsym(libc, name) : NULL;
}

/* ---- mallinfo and related functions ---- */

/* Before glibc 2.33 there was only the narrow one. */
static struct mallinfo2 libc_mallinfo2(void) {
    struct mallinfo2 (*wide)(void) = (struct mallinfo2(*)(void))snug_libc_symbol("mallinfo2");
    if (wide) return wide();
    struct mallinfo narrow = ((struct mallinfo(*)(void))snug_libc_symbol("mallinfo"))();
    return (struct mallinfo2){
        .arena = (unsigned)narrow.arena,
        .ordblks = (unsigned)narrow.ordblks,
        .smblks = (unsigned)narrow.smblks,
        .hblks = (unsigned)narrow.hblks,
        .hblkhd = (unsigned)narrow.hblkhd,
        .fsmblks = (unsigned)narrow.fsmblks,
        .uordblks = (unsigned)narrow.uordblks,
        .fordblks = (unsigned)narrow.fordblks,
        .keepcost = (unsigned)narrow.keepcost,
    };
}

struct mallinfo2 mallinfo2(void) {
    snug_stats_t stats = figures();
    if (stats.state > SNUG_STATE_ON) return libc_mallinfo2();
    return (struct mallinfo2){
        .arena = stats.heap_bytes,
        .ordblks = stats.free_blocks,
        .hblks = stats.mapped_blocks,
        .hblkhd = stats.mapped_bytes,
        .fsmblks = stats.cached_bytes,
        .uordblks = stats.heap_bytes - stats.free_bytes - stats.cached_bytes,
        .fordblks = stats.free_bytes,
        .keepcost = stats.purged_bytes,
    };
}

struct mallinfo mallinfo(void) {
    struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = (int)wide.arena,
        .ordblks = (int)wide.ordblks,
        .smblks = (int)wide.smblks,
        .hblks = (int)wide.hblks,
        .hblkhd = (int)wide.hblkhd,
        .fsmblks = (int)wide.fsmblks,
        .uordblks = (int)wide.uordblks,
        .fordblks = (int)wide.fordblks,
        .keepcost = (int)wide.keepcost,
    };
}

int malloc_info(int options, FILE *stream) {
    if (is_off()) return ((int (*)(int, FILE *))snug_libc_symbol("malloc_info"))(options, stream);
    if (options != 0) return EINVAL;
    snug_stats_t s = figures();
    fprintf(stream,
            "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n"
            "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
            "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n</heap>\n"
            "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
            "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
            "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n</malloc>\n",
            s.cached_blocks, s.cached_bytes, s.free_blocks, s.free_bytes, s.heap_bytes, s.heap_bytes,
            s.cached_blocks, s.cached_bytes, s.free_blocks, s.free_bytes, s.mapped_blocks, s.mapped_bytes,
            s.system_bytes, s.peak_system_bytes);
    return 0;
}

#define PUBLISHED snug_stats_t
SHOWS(ENGINE_Figures)

#define NAME(name, offset) #name,
static const char *const NAMES[] = {ENGINE_Figures(NAME)};
#define NAME_COUNT (sizeof NAMES / sizeof NAMES[0])

/* One line for each figure, without allocating. */
void snug_malloc_stats(void) {
    snug_stats_t stats = figures();
    char text[4096];
    size_t length = 0;
    for (size_t i = 0; i < NAME_COUNT; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "snugmalloc: %s %zu\n", NAMES[i],
                                   ((const size_t *)&stats)[i]);
    for (size_t done = 0; done < length;) {
        long written = syscall(SYS_write, STDERR_FILENO, text + done, length - done); /* no cancellation point */
        if (written <= 0) return;
        done += (size_t)written;
    }
}

void malloc_stats(void) {
    if (is_off()) ((void (*)(void))snug_libc_symbol("malloc_stats"))();
    else snug_malloc_stats();
}

/* ---- dlopen ---- */

/* With RTLD_DEEPBIND a plug-in finds libc's malloc before ours and frees there what it has from here: the flag is taken
 * out, unless SNUG_DEEPBIND=1 keeps it. The real function is jumped to, not called: by its return address it knows the
 * caller, whose RUNPATH and namespace count. A namespace of its own (dlmopen) has a libc of its own: nothing is changed. */
#if defined __has_attribute
#if __has_attribute(musttail)
#define JUMP __attribute__((musttail)) return
#endif
#endif
#ifndef JUMP
#define JUMP return /* gcc before 15: -foptimize-sibling-calls */
#endif

static int without_deepbind(int mode) {
    if (!(mode & RTLD_DEEPBIND)) return mode;
    const char *kept = secure_getenv("SNUG_DEEPBIND");
    return (kept && strcmp(kept, "1") == 0) || is_off() ? mode : mode & ~RTLD_DEEPBIND;
}

void *dlopen(const char *file, int mode) {
    static void *(*next)(const char *, int);
    if (!next) next = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    JUMP next(file, without_deepbind(mode));
}

void *dlmopen(Lmid_t space, const char *file, int mode) {
    static void *(*next)(Lmid_t, const char *, int);
    if (!next) next = (void *(*)(Lmid_t, const char *, int))dlsym(RTLD_NEXT, "dlmopen");
    JUMP next(space, file, space == LM_ID_BASE ? without_deepbind(mode) : mode);
}

/* A recording of Python's stacks reads the interpreter's memory and calls its functions, in any thread and at any call of
 * malloc: from the first dlclose on, which may unload it, it stays loaded. Here the lock of the loader is taken anyway. */
extern void *snug_code_to_keep(void);

static void keep_interpreter(void) {
    static void *kept;
    void *code = snug_code_to_keep();
    Dl_info module;
    if (!code || code == kept || !dladdr(code, &module)) return;
    kept = code;
    if (!dlopen(module.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)) dlerror(); /* the program itself stays anyway */
}

int dlclose(void *handle) {
    static int (*next)(void *);
    if (!next) next = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
    keep_interpreter();
    JUMP next(handle);
}

/* ---- The end of a process without exit ---- */

/* Children that were forked mostly end so, and a recording has to be ended. Nothing else is done. */
void _exit(int status) {
    snug_record_end();
    for (;;) syscall(SYS_exit_group, status);
}
void _Exit(int status) { _exit(status); }

/* ---- operator new and delete ---- */

/* The C++ library is not linked: a C program has none. It is looked up when memory has run out, among what the
 * program can see and, where a plug-in brought it along, among what is loaded at all. */
static void *cxx_symbol(const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    for (int i = 0; !symbol && i < 2; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library) symbol = dlsym(library, name);
    }
    return symbol;
}

typedef void (*NewHandler)(void);

/* Memory has run out: let the new-handler find some, until it does, throws, or there is none; then throw. */
static void *new_again(size_t alignment, size_t size) {
    NewHandler (*get_new_handler)(void) = (NewHandler(*)(void))cxx_symbol("_ZSt15get_new_handlerv");
    for (;;) {
        NewHandler handler = get_new_handler ? get_new_handler() : NULL;
        if (!handler) break;
        handler();
        void *pointer = alignment ? snug_aligned_alloc(alignment, size) : snug_malloc(size);
        if (pointer) return pointer;
    }
    void (*throw_bad_alloc)(void) = (void (*)(void))cxx_symbol("_ZSt17__throw_bad_allocv");
    if (throw_bad_alloc) throw_bad_alloc();
    static const char message[] = "snugmalloc: operator new: out of memory, and no C++ library to throw bad_alloc\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
    (void)written;
    abort();
}

/* The same for new(nothrow): the C++ library's own function calls our operator new and catches what it throws. */
static void *new_quietly(const char *own_name, size_t alignment, size_t size, const void *nothrow) {
    void *library = NULL;
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    for (int i = 0; !library && i < 2; i++) library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
    void *theirs = library ? dlsym(library, own_name) : NULL;
    if (!theirs) return NULL;
    if (alignment) return ((void *(*)(size_t, size_t, const void *))theirs)(size, alignment, nothrow);
    return ((void *(*)(size_t, const void *))theirs)(size, nothrow);
}

#define OPERATOR(name) __asm__(name)
#define LIKELY(condition) __builtin_expect(!!(condition), 1)

#define DEFINE_NEW(id, plain, quiet, aligned, aligned_quiet)                                                       \
    void *id(size_t size) OPERATOR(plain);                                                                         \
    void *id(size_t size) {                                                                                        \
        void *pointer = snug_malloc(size);                                                                         \
        return LIKELY(pointer != NULL) ? pointer : new_again(0, size);                                             \
    }                                                                                                              \
    void *id##_quiet(size_t size, const void *nothrow) OPERATOR(quiet);                                            \
    void *id##_quiet(size_t size, const void *nothrow) {                                                           \
        void *pointer = snug_malloc(size);                                                                         \
        return LIKELY(pointer != NULL) ? pointer : new_quietly(quiet, 0, size, nothrow);                           \
    }                                                                                                              \
    void *id##_aligned(size_t size, size_t alignment) OPERATOR(aligned);                                           \
    void *id##_aligned(size_t size, size_t alignment) {                                                            \
        void *pointer = snug_aligned_alloc(alignment, size);                                                       \
        return LIKELY(pointer != NULL) ? pointer : new_again(alignment, size);                                     \
    }                                                                                                              \
    void *id##_aligned_quiet(size_t size, size_t alignment, const void *nothrow) OPERATOR(aligned_quiet);          \
    void *id##_aligned_quiet(size_t size, size_t alignment, const void *nothrow) {                                 \
        void *pointer = snug_aligned_alloc(alignment, size);                                                       \
        return LIKELY(pointer != NULL) ? pointer : new_quietly(aligned_quiet, alignment, size, nothrow);           \
    }

DEFINE_NEW(new_object, "_Znwm", "_ZnwmRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t")
DEFINE_NEW(new_array, "_Znam", "_ZnamRKSt9nothrow_t", "_ZnamSt11align_val_t", "_ZnamSt11align_val_tRKSt9nothrow_t")

#define DEFINE_DELETE(id, name)                                                                                    \
    void id(void *pointer) OPERATOR(name);                                                                         \
    void id(void *pointer) { snug_free(pointer); }

/* Sizes and alignments that come along as further arguments are not needed. */
DEFINE_DELETE(delete_object, "_ZdlPv")
DEFINE_DELETE(delete_object_quiet, "_ZdlPvRKSt9nothrow_t")
DEFINE_DELETE(delete_object_sized, "_ZdlPvm")
DEFINE_DELETE(delete_object_aligned, "_ZdlPvSt11align_val_t")
DEFINE_DELETE(delete_object_aligned_quiet, "_ZdlPvSt11align_val_tRKSt9nothrow_t")
DEFINE_DELETE(delete_object_sized_aligned, "_ZdlPvmSt11align_val_t")
DEFINE_DELETE(delete_array, "_ZdaPv")
DEFINE_DELETE(delete_array_quiet, "_ZdaPvRKSt9nothrow_t")
DEFINE_DELETE(delete_array_sized, "_ZdaPvm")
DEFINE_DELETE(delete_array_aligned, "_ZdaPvSt11align_val_t")
DEFINE_DELETE(delete_array_aligned_quiet, "_ZdaPvSt11align_val_tRKSt9nothrow_t")
DEFINE_DELETE(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t")
