/* The compiled backend of machine.py: the engine's functions for memory, the kernel and threads, in C.
 *
 * Everything is static and goes away when it is not used. The declarations that the engine sees are derived
 * from machine.py; each function `name` there is `machine_name` here.
 */
#ifndef SNUGMALLOC_MACHINE_H
#define SNUGMALLOC_MACHINE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t Word;
typedef uint32_t Half;
typedef uint8_t Byte;
typedef int Int;
typedef const char *Text;

/* ---- Memory ---- */

/* Memory has no type here: the same bytes are a header, a link, the program's own. Nor has an address to be a multiple
 * of anything: eight kinds of the page map are read as one word. The instructions are the same. */
typedef Word __attribute__((may_alias, aligned(1))) MachineWord;
typedef Half __attribute__((may_alias, aligned(1))) MachineHalf;

static inline Word machine_load_word(Word address) { return *(MachineWord *)address; }
static inline void machine_store_word(Word address, Word value) { *(MachineWord *)address = value; }
static inline Half machine_load_half(Word address) { return *(MachineHalf *)address; }
static inline void machine_store_half(Word address, Half value) { *(MachineHalf *)address = value; }
static inline Byte machine_load_byte(Word address) { return *(Byte *)address; }
static inline void machine_store_byte(Word address, Byte value) { *(Byte *)address = value; }

static inline void machine_copy_bytes(Word target, Word source, Word count) {
    memcpy((void *)target, (const void *)source, count);
}
static inline void machine_fill_bytes(Word address, Word count, Byte value) { memset((void *)address, value, count); }
static inline void machine_clear_bytes(Word address, Word count) { memset((void *)address, 0, count); }

/* ---- Arithmetic ---- */

static inline Int machine_lowest_bit(Word word) { return __builtin_ctzll(word); }
static inline Int machine_highest_bit(Word word) { return 63 - __builtin_clzll(word); }
static inline Word machine_multiply(Word a, Word b) { return a * b; }
static inline bool machine_product_overflows(Word a, Word b) {
    Word product;
    return __builtin_mul_overflow(a, b, &product);
}
#define machine_likely(condition) __builtin_expect(!!(condition), 1)
#define machine_unlikely(condition) __builtin_expect(!!(condition), 0)

/* ---- The kernel ---- */

/* The break is moved through libc, not by a bare system call: libc remembers the break, and its own malloc
 * would otherwise move it down again. brk(p) there is exactly one system call brk(p), and sbrk(0) is none once
 * libc has seen the break. */
static inline Word machine_system_break(void) {
    brk(0);
    return (Word)sbrk(0);
}
static inline Word machine_known_break(void) { return (Word)sbrk(0); }
static inline bool machine_move_break(Word address) {
    int kept = errno;
    bool moved = brk((void *)address) == 0;
    errno = kept;
    return moved;
}

/* -DMACHINE_PAGE_SIZE=65536 makes a checking build: the library sees a machine whose pages have that size, and ends at
 * a call that is not aligned to them, which the kernel of such a machine would refuse. */
#ifdef MACHINE_PAGE_SIZE
static inline bool machine_is_aligned(Word address) {
    if (address % MACHINE_PAGE_SIZE != 0) __builtin_trap();
    return true;
}
#define MACHINE_IS_ALIGNED(address) machine_is_aligned(address)
#define MACHINE_PAGES(length) (((length) + MACHINE_PAGE_SIZE - 1) / MACHINE_PAGE_SIZE * MACHINE_PAGE_SIZE)
static inline Word machine_page_size(void) { return MACHINE_PAGE_SIZE; }
static inline void *machine_mmap(Word length, int protection, int flags) {
    Word pages = MACHINE_PAGES(length), more = pages + MACHINE_PAGE_SIZE;
    char *found = mmap(NULL, more, protection, flags, -1, 0);
    if (found == MAP_FAILED) return found;
    char *start = (char *)MACHINE_PAGES((Word)found);
    if (start != found) munmap(found, (Word)(start - found));
    if (start + pages != found + more) munmap(start + pages, (Word)(found + more - start) - pages);
    return start;
}
#else
#define MACHINE_IS_ALIGNED(address) true
#define MACHINE_PAGES(length) (length)
static inline Word machine_page_size(void) { return (Word)getpagesize(); }
static inline void *machine_mmap(Word length, int protection, int flags) {
    return mmap(NULL, length, protection, flags, -1, 0);
}
#endif

static inline Word machine_map_memory(Word length) {
    int kept = errno;
    void *address = machine_mmap(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    errno = kept;
    return address == MAP_FAILED ? 0 : (Word)address;
}
static inline bool machine_unmap_memory(Word address, Word length) {
    int kept = errno;
    bool done = MACHINE_IS_ALIGNED(address) && munmap((void *)address, MACHINE_PAGES(length)) == 0;
    errno = kept;
    return done;
}

static inline bool machine_resize_mapping(Word address, Word before, Word length) {
    int kept = errno;
    bool done = MACHINE_IS_ALIGNED(address) &&
                mremap((void *)address, MACHINE_PAGES(before), MACHINE_PAGES(length), 0) != MAP_FAILED;
    errno = kept;
    return done;
}
static inline bool machine_move_mapping(Word address, Word before, Word target, Word length) {
    int kept = errno;
    bool done = MACHINE_IS_ALIGNED(address | target) &&
                mremap((void *)address, MACHINE_PAGES(before), MACHINE_PAGES(length), MREMAP_MAYMOVE | MREMAP_FIXED,
                       (void *)target) != MAP_FAILED;
    errno = kept;
    return done;
}

/* Reserved addresses cost nothing but addresses: no limit on data, no commit charge, nothing for mlockall. */
static inline Word machine_reserve_range(Word length, Word alignment) {
    int kept = errno;
    void *address = machine_mmap(length + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    Word found = (Word)address, start = (found + alignment - 1) & ~(alignment - 1), slack = start - found;
    if (address != MAP_FAILED) {
        if (slack != 0) munmap(address, slack);
        munmap((void *)(start + length), alignment - slack);
    }
    errno = kept;
    return address == MAP_FAILED ? 0 : start;
}
static inline bool machine_commit_range(Word address, Word length) {
    int kept = errno;
    bool done = MACHINE_IS_ALIGNED(address) && mprotect((void *)address, MACHINE_PAGES(length), PROT_READ | PROT_WRITE) == 0;
    errno = kept;
    return done;
}
static inline bool machine_purge_memory(Word address, Word length) {
    int kept = errno;
    bool done = MACHINE_IS_ALIGNED(address) && madvise((void *)address, MACHINE_PAGES(length), MADV_DONTNEED) == 0;
    errno = kept;
    return done;
}

static inline void machine_forbid_huge_pages(Word address, Word length) {
    int kept = errno;
    madvise((void *)address, length, MADV_NOHUGEPAGE);
    errno = kept;
}

static Word machine_read_clock(clockid_t which);
static inline Word machine_clock(void) { return machine_read_clock(CLOCK_MONOTONIC); }

static inline bool machine_is_mapped(Word address) {
    int kept = errno;
    unsigned char resident;
    bool mapped = mincore((void *)(address & ~(machine_page_size() - 1)), 1, &resident) == 0;
    errno = kept;
    return mapped;
}

/* libc takes its stack canary from the first half of these bytes and its pointer guard from the second. The word is a
 * hash of both: who reads it learns neither. */
static inline Word machine_mix(Word word) {
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
    word = (word ^ word >> 27) * 0x94D049BB133111EBu;
    return word ^ word >> 31;
}
static inline Word machine_random_word(void) {
    Word words[2] = {0, 0};
    const void *sixteen_bytes = (const void *)getauxval(AT_RANDOM);
    if (sixteen_bytes) memcpy(words, sixteen_bytes, sizeof words);
    return machine_mix(machine_mix(words[0]) + words[1]);
}

/* The process's malloc is in this library if its address is. The member of the family that is looked at is the one
 * whose address no program takes: that of malloc is often the program's own stub, where it has a fixed place. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));
static inline bool machine_is_process_malloc(void) {
    return (Word)pvalloc >= (Word)__ehdr_start && (Word)pvalloc < (Word)_end;
}

static inline void machine_set_errno(Int code) { errno = code; }
static inline Int machine_get_errno(void) { return errno; }

static inline bool machine_is_secure(void) { return getauxval(AT_SECURE) != 0; }
static inline Word machine_loader_base(void) { return getauxval(AT_BASE); }
__attribute__((unused)) static bool machine_is_traceable(void) {
    struct { uint32_t version; int pid; } head = {0x20080522, 0}; /* _LINUX_CAPABILITY_VERSION_3 */
    struct { uint32_t effective, permitted, inheritable; } sets[2];
    int kept = errno;
    bool is_plain = syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) == 1;
    if (is_plain && geteuid() != 0)
        is_plain = syscall(SYS_capget, &head, sets) == 0 && !(sets[0].permitted | sets[1].permitted);
    errno = kept;
    return is_plain;
}
static inline bool machine_option_is_set(Text name) {
    const char *value = secure_getenv(name);
    return value && value[0] == '1' && value[1] == 0;
}

static inline bool machine_environment_is_known(void) { return environ != NULL; }
static inline Word machine_environment_entry(Word index) { return (Word)environ[index]; }
static inline Word machine_text_after(Word address, Text prefix) {
    size_t length = strlen(prefix);
    return strncmp((Text)address, prefix, length) == 0 ? address + length : 0;
}
static inline void machine_warn(Text message, Word text) {
    int kept = errno;
    struct iovec parts[] = {
        {(void *)message, strlen(message)}, {(void *)text, strnlen((Text)text, 200)}, {(void *)"\n", 1}};
    syscall(SYS_writev, STDERR_FILENO, parts, 3); /* not writev, which is a cancellation point */
    errno = kept;
}

/* ---- Files and names: by bare system calls, for functions of libc may allocate or be cancelled ---- */

#define MACHINE_CHUNK 4096

static inline bool machine_file_exists(Word path) {
    int kept = errno;
    bool exists = syscall(SYS_faccessat, AT_FDCWD, (Text)path, F_OK) == 0;
    errno = kept;
    return exists;
}

/* The beginning of a file as text; empty if there is none. How long it is. */
__attribute__((unused)) static size_t machine_read_text(Text path, char *text, size_t size) {
    int kept = errno;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    long count = file < 0 ? -1 : syscall(SYS_read, file, text, size - 1);
    if (file >= 0) syscall(SYS_close, file);
    size_t length = count > 0 ? (size_t)count : 0;
    text[length] = 0;
    errno = kept;
    return length;
}

/* Whether a file has these bytes, of which those beyond half a chunk are not looked at. */
__attribute__((noinline, cold, unused)) static bool machine_file_has(Text path, const void *bytes, size_t length) {
    char chunk[MACHINE_CHUNK];
    size_t have = 0;
    long count = 1;
    bool found = false;
    int kept = errno;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (length > MACHINE_CHUNK / 2) length = MACHINE_CHUNK / 2;
    while (file >= 0 && !found && (count = syscall(SYS_read, file, chunk + have, sizeof chunk - have)) > 0) {
        have += (size_t)count;
        found = memmem(chunk, have, bytes, length) != NULL;
        size_t tail = have < length ? have : length - 1;
        memmove(chunk, chunk + have - tail, tail);
        have = tail;
    }
    if (file >= 0) syscall(SYS_close, file);
    errno = kept;
    return found;
}

static inline char *machine_write_number(char *to, Word value, Word base) {
    char digits[20];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (count) *to++ = digits[--count];
    return to;
}

__attribute__((noinline, cold, unused)) static bool machine_parent_has_told(Word entry) {
    static const char library[] = "/libsnugmalloc";
    char path[40] = "/proc/";
    char *folder = machine_write_number(path + strlen(path), (Word)getppid(), 10);
    strcpy(folder, "/environ");
    if (!machine_file_has(path, (Text)entry, strlen((Text)entry) + 1)) return false;
    strcpy(folder, "/maps");
    return machine_file_has(path, library, sizeof library - 1);
}

static inline Text machine_last_part(Text path) {
    Text slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
/* The kernel marks the name of a file that is gone. */
__attribute__((unused)) static Text machine_binary_path(void) {
    static const char gone[] = " (deleted)";
    static char path[MACHINE_CHUNK];
    int kept = errno;
    long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof path - 1);
    errno = kept;
    if (length <= 0) return NULL;
    path[length] = 0;
    char *end = path + length - (sizeof gone - 1);
    if (end > path && strcmp(end, gone) == 0) *end = 0;
    return path;
}
static inline Text machine_binary_name(void) {
    Text path = machine_binary_path();
    return path ? machine_last_part(path) : NULL;
}
__attribute__((unused)) static Word machine_program_name(Int which) {
    Text executed = (Text)getauxval(AT_EXECFN);
    if (which == 0) return executed ? (Word)machine_last_part(executed) : 0;
    return which == 1 ? (Word)machine_binary_name() : (Word)program_invocation_short_name;
}

__attribute__((unused)) static Word machine_host_name(void) {
    static struct utsname names;
    int kept = errno;
    syscall(SYS_uname, &names);
    errno = kept;
    return (Word)names.nodename;
}

/* The 22nd field; the second, in parentheses, may have blanks and parentheses in it. */
__attribute__((unused)) static Word machine_start_time(void) {
    char text[1024];
    machine_read_text("/proc/self/stat", text, sizeof text);
    Text field = strrchr(text, ')');
    for (int number = 2; field && number < 22; number++) {
        field = strchr(field, ' ');
        if (field) field++;
    }
    Word value = 0;
    for (; field && *field >= '0' && *field <= '9'; field++) value = value * 10 + (Word)(*field - '0');
    return value;
}

/* Found by its name in the library's table of symbols: family.c. */
extern Word snug_figures_at, snug_shards_at, snug_outside_at;
static inline void machine_publish(Word address) { __atomic_store_n(&snug_figures_at, address, __ATOMIC_RELEASE); }
static inline void machine_publish_shards(Word address) { __atomic_store_n(&snug_shards_at, address, __ATOMIC_RELEASE); }
static inline void machine_publish_outside(Word address) { __atomic_store_n(&snug_outside_at, address, __ATOMIC_RELEASE); }

extern void *snug_map_own_file(Text folder, size_t length); /* in family.c */
static inline Word machine_map_own_file(Word folder, Word length) { return (Word)snug_map_own_file((Text)folder, length); }

/* ---- Why a mapping was refused ---- */

static inline bool machine_can_reserve(Word length) {
    void *found = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found != MAP_FAILED) munmap(found, length);
    return found != MAP_FAILED;
}
/* Whether RLIMIT_AS leaves less than a page: then that is the reason, and not the number of mappings. */
__attribute__((unused)) static bool machine_is_at_address_limit(void) {
    struct rlimit limit;
    char text[64];
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    machine_read_text("/proc/self/statm", text, sizeof text);
    Word pages = 0;
    for (Text digit = text; *digit >= '0' && *digit <= '9'; digit++) pages = pages * 10 + (Word)(*digit - '0');
    return pages == 0 || (pages + 1) * (Word)getpagesize() > limit.rlim_cur;
}
__attribute__((noinline, cold, unused)) static Word machine_why_refused(Word length) {
    enum { NO_MEMORY, NO_ADDRESSES, NO_MAPPINGS, NOT_LOCKED };
    int kept = errno;
    Word why = NO_MEMORY;
    if (!machine_can_reserve(length)) {
        if (errno == EAGAIN) why = NOT_LOCKED;
        else why = machine_can_reserve(1) || machine_is_at_address_limit() ? NO_ADDRESSES : NO_MAPPINGS;
    }
    errno = kept;
    return why;
}

/* ---- The C library's own malloc ---- */

extern void *__libc_malloc(size_t size) __attribute__((weak));
extern void *__libc_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__libc_realloc(void *pointer, size_t size) __attribute__((weak));
extern void *__libc_memalign(size_t alignment, size_t size) __attribute__((weak));
extern void __libc_free(void *pointer) __attribute__((weak));
extern void *snug_libc_symbol(Text name); /* in family.c */
static inline bool machine_has_libc_malloc(void) {
    return __libc_malloc && __libc_calloc && __libc_realloc && __libc_memalign && __libc_free;
}
static inline Word machine_libc_malloc(Word size) { return (Word)__libc_malloc(size); }
static inline Word machine_libc_calloc(Word count, Word size) { return (Word)__libc_calloc(count, size); }
static inline Word machine_libc_realloc(Word pointer, Word size) { return (Word)__libc_realloc((void *)pointer, size); }
static inline Word machine_libc_memalign(Word alignment, Word size) { return (Word)__libc_memalign(alignment, size); }
static inline void machine_libc_free(Word pointer) { __libc_free((void *)pointer); }
static inline Word machine_libc_usable_size(Word pointer) {
    static size_t (*usable_size)(void *);
    if (!usable_size) usable_size = (size_t(*)(void *))snug_libc_symbol("malloc_usable_size");
    return usable_size((void *)pointer);
}
static inline Int machine_libc_trim(Word pad) { return ((int (*)(size_t))snug_libc_symbol("malloc_trim"))(pad); }
static inline Int machine_libc_mallopt(Int parameter, Int value) {
    return ((int (*)(int, int))snug_libc_symbol("mallopt"))(parameter, value);
}

/* ---- Processors ---- */

/* `text` is "QUOTA PERIOD" in microseconds, as in cpu.max, or begins with "max" or -1 where there is no quota. */
__attribute__((unused)) static Word machine_processors_of_quota(const char *text, Word count) {
    char *rest;
    long quota = strtol(text, &rest, 10), period = strtol(rest, NULL, 10);
    if (rest == text || quota <= 0 || period <= 0) return count;
    Word allowed = (Word)((quota + period - 1) / period);
    return allowed < count ? allowed : count;
}

/* The quotas of this process's control group and of all that it is in. */
__attribute__((unused)) static Word machine_processors_of_group(Word count) {
    static const char root[] = "/sys/fs/cgroup";
    char own[1024], path[sizeof root + sizeof own + sizeof "/cpu.max"], text[64];
    machine_read_text("/proc/self/cgroup", own, sizeof own);
    char *group = strstr(own, "0::/");
    size_t length = group ? strcspn(group + 3, "\n") : 0;
    for (bool more = true; more;) {
        memcpy(path, root, sizeof root - 1);
        if (length) memcpy(path + sizeof root - 1, group + 3, length);
        memcpy(path + sizeof root - 1 + length, "/cpu.max", sizeof "/cpu.max");
        if (machine_read_text(path, text, sizeof text)) count = machine_processors_of_quota(text, count);
        more = length > 1;
        while (length && group[3 + --length] != '/') {}
    }
    size_t end = machine_read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, 32);
    machine_read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text + end, 32);
    return end ? machine_processors_of_quota(text, count) : count;
}
__attribute__((unused)) static Word machine_processors(void) {
    int kept = errno;
    Word mask[128], count = 0;
    long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    for (long word = 0; word < size / (long)sizeof *mask; word++) count += (Word)__builtin_popcountll(mask[word]);
    count = machine_processors_of_group(count ? count : 1);
    errno = kept;
    return count;
}

/* ---- Threads ---- */

/* glibc 2.32 and newer report whether there was ever a second thread; elsewhere the lock is always taken. */
extern char __libc_single_threaded __attribute__((weak));

#define MACHINE_THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec"), unused))

/* A lock: its owner, or 0; bit 0 says that a thread waits. So a signal handler can tell exactly whether the thread
 * that it interrupted holds the lock, which no pthread_mutex_t shows. The fields after it change under the lock;
 * `next` under the first lock of the list. Who holds a lock never waits for one before it in the list. */
typedef struct MachineLock {
    _Atomic Word owner;
    struct MachineLock *next;
    Word is_held_by_fork;
    Word waits; /* how often a thread had to wait for long */
} MachineLock;

static MachineLock machine_own_lock;
static MachineLock *machine_first_lock = &machine_own_lock;
static Word machine_forks; /* how many lie between the process that loaded the library and this one */
static Word machine_forks_noticed; /* in this process, as parent and as child */
static int machine_record = -1; /* the file that is recorded to */
static Word machine_find_child(void);
/* The children that were forked last, by the number of the fork, while there is such a file. */
#define MACHINE_CHILDREN 16
static Word machine_children[MACHINE_CHILDREN], machine_child_before;
static void machine_leave_ring(void);

/* crtbegin.o would define it. pthread_atfork takes the value for the library whose handlers go when it is unloaded:
 * ours stay, and so does the library (-z nodelete). */
__attribute__((visibility("hidden"), unused)) void *__dso_handle;

static inline bool machine_has_threads(void) { return !(&__libc_single_threaded && __libc_single_threaded); }

/* Only this thread writes its own name there, so no order is needed to read whether it did. */
static inline bool machine_is_owner(MachineLock *lock) {
    return (atomic_load_explicit(&lock->owner, memory_order_relaxed) & ~1ul) == (Word)pthread_self();
}

/* On aarch64 `yield` does nothing where a core has one thread; `isb` takes about as long as x86's `pause`. */
static inline void machine_pause(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb");
#endif
}

/* Whoever takes the lock sees what was written under it: acquire here, release in machine_unlock. */
static inline bool machine_replace_owner(MachineLock *lock, Word *expected, Word value, memory_order order) {
    return atomic_compare_exchange_strong_explicit(&lock->owner, expected, value, order, memory_order_relaxed);
}
static inline bool machine_take_free_lock(MachineLock *lock) {
    Word nobody = 0;
    return machine_replace_owner(lock, &nobody, (Word)pthread_self(), memory_order_acquire);
}

/* Whoever has the lock is mostly done soon: to look again for some microseconds is cheaper than to sleep and be
 * woken (two threads that hand blocks over: 0.53 s instead of 0.83, benchmarks/workloads/handover.c). */
#define MACHINE_SPINS 200
#define MACHINE_LONG_WAIT 100 /* spins: some microseconds; shorter waits are not worth a heap (docs/design.md) */
static int machine_spin_for_lock(MachineLock *lock) {
    int spin = 0;
    for (; spin < MACHINE_SPINS; spin++) {
        if (atomic_load_explicit(&lock->owner, memory_order_relaxed) == 0 && machine_take_free_lock(lock)) break;
        machine_pause();
    }
    return spin;
}
static void machine_sleep_for_lock(MachineLock *lock) {
    int kept = errno;
    for (Word owner = 0; !machine_replace_owner(lock, &owner, (Word)pthread_self() | 1, memory_order_acquire); owner = 0)
        if (owner & 1 || machine_replace_owner(lock, &owner, owner | 1, memory_order_relaxed))
            syscall(SYS_futex, &lock->owner, FUTEX_WAIT_PRIVATE, (Half)owner | 1, NULL, NULL, 0);
    errno = kept;
}
__attribute__((noinline, cold, unused)) static bool machine_wait_for_lock(MachineLock *lock) {
    if (machine_is_owner(lock) && lock->is_held_by_fork) return false; /* in a fork handler that runs between ours */
    int spins = machine_spin_for_lock(lock);
    if (spins == MACHINE_SPINS) machine_sleep_for_lock(lock);
    if (spins >= MACHINE_LONG_WAIT) lock->waits++;
    return true;
}
static inline bool machine_lock(Word address) {
    if (!machine_has_threads()) return false;
    MachineLock *lock = (MachineLock *)address;
    return machine_take_free_lock(lock) || machine_wait_for_lock(lock);
}
__attribute__((noinline, cold, unused)) static void machine_wake_a_waiter(MachineLock *lock) {
    int kept = errno;
    syscall(SYS_futex, &lock->owner, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = kept;
}
static inline void machine_unlock(Word address, bool held) {
    MachineLock *lock = (MachineLock *)address;
    if (held && atomic_exchange_explicit(&lock->owner, 0, memory_order_release) & 1) machine_wake_a_waiter(lock);
}
static inline Word machine_process_lock(void) { return (Word)&machine_own_lock; }

/* fork copies every heap as it is: no thread may be inside. The one who may is the forking thread itself, in a
 * signal handler that interrupted a heap; it holds that lock already and leaves by itself on both sides.
 * A thread that holds glibc's list of streams may wait for a heap, and fork itself waits for that list once it
 * has called us: so that list is taken first. In the child glibc has made it new by then. */
/* A word that is not 0 while somebody is where a forked child would wait for ever: within the dynamic loader's list of
 * modules, whose lock a child gets as it stands. It is taken before a fork, after some patience without it: a signal
 * handler that forks may have interrupted the one who has it. */
enum { MACHINE_FORK_PATIENCE = 1 << 22 };
static _Atomic(Word) *machine_fork_guard;
MACHINE_THREAD_LOCAL bool machine_has_fork_guard; /* several threads may fork at once */
static inline void machine_guard_forks(Word address) { machine_fork_guard = (_Atomic(Word) *)address; }
static void machine_take_fork_guard(void) {
    int looks = machine_fork_guard ? MACHINE_FORK_PATIENCE : 0;
    while (looks && atomic_exchange(machine_fork_guard, 1)) looks--;
    machine_has_fork_guard = looks != 0;
}
static void machine_leave_fork_guard(void) {
    bool has = machine_has_fork_guard;
    machine_has_fork_guard = false;
    if (has) atomic_store(machine_fork_guard, 0);
}

extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
MACHINE_THREAD_LOCAL bool machine_fork_holds_streams;
static bool machine_is_any_owner(void) {
    for (MachineLock *lock = machine_first_lock; lock; lock = lock->next)
        if (machine_is_owner(lock)) return true;
    return false;
}
static void machine_lock_for_fork(void) {
    bool may_wait = !machine_is_any_owner(); /* else the owner of another lock may wait for ours */
    machine_fork_holds_streams = _IO_list_lock && may_wait;
    if (machine_fork_holds_streams) _IO_list_lock();
    for (MachineLock *lock = machine_first_lock; lock; lock = lock->next) {
        if (may_wait ? machine_lock((Word)lock) : machine_take_free_lock(lock)) lock->is_held_by_fork = true;
    }
}
static void machine_before_fork(void) {
    machine_fork_holds_streams = false;
    machine_take_fork_guard();
    if (machine_has_threads()) machine_lock_for_fork();
    if (machine_record >= 0) machine_child_before = machine_find_child(); /* it may be the last in the list still */
}
static void machine_note_child(void) {
    Word child = machine_record >= 0 ? machine_find_child() : 0;
    machine_children[machine_forks_noticed % MACHINE_CHILDREN] = child != machine_child_before ? child : 0;
}
static void machine_release_after_fork(MachineLock *lock) {
    if (!lock->is_held_by_fork || !machine_is_owner(lock)) return;
    lock->is_held_by_fork = false;
    machine_unlock((Word)lock, true);
}
static void machine_end_fork(void) {
    machine_leave_fork_guard();
    for (MachineLock *lock = machine_first_lock->next; lock; lock = lock->next) machine_release_after_fork(lock);
    machine_release_after_fork(machine_first_lock); /* the list is under this one */
}
static void machine_after_fork_in_child(void) {
    machine_forks++;
    machine_forks_noticed++;
    machine_leave_ring();
    machine_end_fork();
}
static void machine_after_fork(void) {
    machine_forks_noticed++;
    machine_note_child();
    machine_end_fork();
    if (machine_fork_holds_streams) _IO_list_unlock();
}
static inline Word machine_fork_generation(void) { return machine_forks; }
static inline Word machine_forks_seen(void) { return machine_forks_noticed; }
#ifdef MACHINE_WATCH_FORKS_AT_LOAD
__attribute__((constructor))
#else
__attribute__((unused))
#endif
static void machine_watch_own_lock(void) {
    pthread_atfork(machine_before_fork, machine_after_fork, machine_after_fork_in_child);
}
__attribute__((unused)) static void machine_watch_forks(Word first_lock) {
    machine_first_lock = (MachineLock *)first_lock;
    machine_watch_own_lock();
}

/* Five words, and flags: a library that is loaded late shares a little room with all others. */
static const Word machine_nothing[256] = {0};
MACHINE_THREAD_LOCAL Word machine_thread_word = (Word)machine_nothing;
MACHINE_THREAD_LOCAL Word machine_thread_state;
MACHINE_THREAD_LOCAL Word machine_thread_reason;
MACHINE_THREAD_LOCAL Word machine_thread_recorder;
MACHINE_THREAD_LOCAL Word machine_thread_gap;
MACHINE_THREAD_LOCAL bool machine_thread_is_ending;
static inline Word machine_thread_without_cache(void) { return (Word)machine_nothing; }
static inline Word machine_load_thread_word(void) { return machine_thread_word; }
static inline void machine_store_thread_word(Word value) { machine_thread_word = value; }
static inline Word machine_load_thread_state(void) { return machine_thread_state; }
static inline void machine_store_thread_state(Word value) { machine_thread_state = value; }
static inline Word machine_load_thread_reason(void) { return machine_thread_reason; }
static inline void machine_store_thread_reason(Word value) { machine_thread_reason = value; }
/* A signal handler may have changed it since it was read last. */
static inline Word machine_load_thread_recorder(void) { return *(volatile Word *)&machine_thread_recorder; }
static inline void machine_store_thread_recorder(Word value) { machine_thread_recorder = value; }
static inline Word machine_load_thread_gap(void) { return machine_thread_gap; }
static inline void machine_store_thread_gap(Word value) { machine_thread_gap = value; }
static inline bool machine_is_thread_ending(void) { return machine_thread_is_ending; }

extern void snug_thread_idle(void) __attribute__((weak));
static pthread_key_t machine_key;
static bool machine_has_key;
static void machine_thread_ends(void *unused) {
    (void)unused;
    machine_thread_is_ending = true;
    snug_thread_idle();
    machine_thread_is_ending = false;
    machine_thread_state = 1;
}
static void machine_make_key(void) { machine_has_key = pthread_key_create(&machine_key, machine_thread_ends) == 0; }
static inline void machine_watch_thread_end(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int kept = errno;
    pthread_once(&once, machine_make_key);
    if (machine_has_key) pthread_setspecific(machine_key, &machine_key);
    errno = kept;
}

/* The helper thread gives memory back while the program sleeps. It has a small stack and takes no signals: they are
 * the program's. */
extern void snug_background_step(void) __attribute__((weak));
#define MACHINE_HELPER_PERIOD_NS 250000000
#define MACHINE_HELPER_STACK (64 << 10)
static void *machine_help(void *unused) {
    struct timespec period = {0, MACHINE_HELPER_PERIOD_NS};
    for (;;) {
        nanosleep(&period, NULL);
        snug_background_step();
    }
    return unused;
}
__attribute__((noinline, cold, unused)) static bool machine_start_helper(void) {
    int kept = errno;
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + MACHINE_HELPER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attributes, machine_help, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    errno = kept;
    return started;
}

static inline Word machine_atomic_load(Word address) { return __atomic_load_n((Word *)address, __ATOMIC_ACQUIRE); }
static inline void machine_atomic_store(Word address, Word value) {
    __atomic_store_n((Word *)address, value, __ATOMIC_RELEASE);
}
static inline Word machine_atomic_exchange(Word address, Word value) {
    return __atomic_exchange_n((Word *)address, value, __ATOMIC_ACQ_REL);
}
static inline Word machine_atomic_add(Word address, Word value) {
    return __atomic_fetch_add((Word *)address, value, __ATOMIC_ACQ_REL);
}
static inline bool machine_atomic_replace(Word address, Word expected, Word value) {
    return __atomic_compare_exchange_n((Word *)address, &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- A recording ---- */

/* The counter of cycles takes half the time of clock_gettime. It is the same on all processors where the kernel itself
 * goes by it. A processor may read it some 100 ns before what comes before it is done: with a fence it does not. */
static bool machine_counts_cycles;
static inline Word machine_tick_or_so(void) {
#if defined __x86_64__
    if (__builtin_expect(machine_counts_cycles, 1)) {
        Half low, high;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
        return (Word)high << 32 | low;
    }
#endif
    return machine_clock();
}
static inline Word machine_tick(void) {
#if defined __x86_64__
    if (machine_has_threads()) __asm__ volatile("lfence" : : : "memory");
#endif
    return machine_tick_or_so();
}

#define MACHINE_SECOND 1000000000
#define MACHINE_MEASURED 1000000 /* nanoseconds in which ticks are counted */
#define MACHINE_UNDISTURBED 2000 /* between two readings without preemption */
/* A reading of both clocks at once. */
static inline Word machine_pair_of_clocks(Word *ticks) {
    Word before, after;
    int tries = 0;
    do {
        before = machine_clock();
        *ticks = machine_tick();
        after = machine_clock();
    } while (after - before > MACHINE_UNDISTURBED && ++tries < 1000);
    return before + (after - before) / 2;
}
__attribute__((unused)) static Word machine_start_ticks(void) {
#if defined __x86_64__
    char source[8];
    machine_read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof source);
    machine_counts_cycles = strncmp(source, "tsc", 3) == 0;
#endif
    if (!machine_counts_cycles) return MACHINE_SECOND;
    Word first, last, begun = machine_pair_of_clocks(&first), ended;
    do ended = machine_pair_of_clocks(&last);
    while (ended - begun < MACHINE_MEASURED);
    return (Word)((unsigned __int128)(last - first) * MACHINE_SECOND / (ended - begun));
}
static inline Word machine_real_time(void) { return machine_read_clock(CLOCK_REALTIME); }

static inline Word machine_process_id(void) { return (Word)syscall(SYS_getpid); }
static inline Word machine_parent_id(void) { return (Word)syscall(SYS_getppid); }
static inline Word machine_thread_id(void) { return (Word)syscall(SYS_gettid); }

/* A file of a thread of this process, as text. */
__attribute__((unused)) static void machine_read_of_thread(Word thread, Text name, char *text, size_t size) {
    char path[64] = "/proc/self/task/";
    strcpy(machine_write_number(path + strlen(path), thread, 10), name);
    machine_read_text(path, text, size);
}
__attribute__((unused)) static Word machine_thread_name(Word thread, Word address) {
    char text[17];
    machine_read_of_thread(thread, "/comm", text, sizeof text);
    size_t length = strcspn(text, "\n");
    memcpy((void *)address, text, length);
    return length;
}
/* This thread's newest child, the last in a list of numbers, each with a blank behind it; 0 where that is not there. */
__attribute__((noinline, cold)) static Word machine_find_child(void) {
    char path[64] = "/proc/self/task/", text[256];
    strcpy(machine_write_number(path + strlen(path), machine_thread_id(), 10), "/children");
    int kept = errno;
    long length, file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    Word number = 0, last = 0;
    while (file >= 0 && (length = syscall(SYS_read, file, text, sizeof text)) > 0)
        for (long at = 0; at < length; at++) {
            if (text[at] != ' ') {
                number = number * 10 + (Word)(text[at] - '0');
            } else {
                last = number;
                number = 0;
            }
        }
    if (file >= 0) syscall(SYS_close, file);
    errno = kept;
    return last;
}
static inline Word machine_forked_child(Word fork) {
    return fork + MACHINE_CHILDREN > machine_forks_noticed ? machine_children[fork % MACHINE_CHILDREN] : 0;
}
__attribute__((unused)) static Word machine_command_line(Word address, Word count) {
    int kept = errno;
    long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    long length = file < 0 ? 0 : syscall(SYS_read, file, address, count);
    if (file >= 0) syscall(SYS_close, file);
    errno = kept;
    return length > 0 ? (Word)length : 0;
}
__attribute__((unused)) static void machine_hide_entry(Word entry) {
    char **at = environ;
    while (*at && (Word)*at != entry) at++;
    for (; *at; at++) at[0] = at[1];
}

/* The descriptor is a high one, where programs do not look for theirs, and before each write it is looked at: a daemon
 * may have closed it, and its number may be that of another file by now. */
#define MACHINE_HIGH_DESCRIPTOR 900
static struct stat machine_record_status;
__attribute__((unused)) static bool machine_open_record(Word path) {
    int kept = errno;
    long file = syscall(SYS_openat, AT_FDCWD, (Text)path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    long high = file < 0 ? -1 : syscall(SYS_fcntl, file, F_DUPFD_CLOEXEC, MACHINE_HIGH_DESCRIPTOR);
    if (high >= 0) syscall(SYS_close, file);
    machine_record = (int)(high >= 0 ? high : file);
    if (file >= 0) syscall(SYS_fstat, machine_record, &machine_record_status);
    errno = kept;
    return file >= 0;
}
__attribute__((unused)) static bool machine_is_record_open(void) {
    struct stat status;
    return machine_record >= 0 && syscall(SYS_fstat, machine_record, &status) == 0 &&
           status.st_ino == machine_record_status.st_ino && status.st_dev == machine_record_status.st_dev;
}
/* A file beyond RLIMIT_FSIZE would end the program by a signal. */
__attribute__((unused)) static Word machine_most_in_file(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) ? RLIM_INFINITY : limit.rlim_cur;
}
__attribute__((unused)) static bool machine_may_append(Word count) {
    const Word most = machine_most_in_file();
    if (most == RLIM_INFINITY) return true;
    long end = syscall(SYS_lseek, machine_record, 0, SEEK_END);
    return end >= 0 && (Word)end + count <= most;
}
__attribute__((unused)) static bool machine_append_record(Word address, Word count) {
    int kept = errno;
    long written = -1;
    if (machine_is_record_open() && machine_may_append(count)) do {
            written = syscall(SYS_write, machine_record, address, count); /* not write, a cancellation point */
        } while (written < 0 && errno == EINTR);
    errno = kept;
    return written == (long)count;
}
__attribute__((unused)) static void machine_close_record(void) {
    int kept = errno;
    if (machine_is_record_open()) syscall(SYS_close, machine_record);
    machine_record = -1;
    errno = kept;
}

/* ---- A ring ---- */

static void *machine_ring; /* a file that is mapped and shared */
static size_t machine_ring_length;

/* All of the file's memory is allocated at once: to touch a page for which there is none would end the program by a signal.
 * By bare system calls, for functions of libc may be cancelled. */
__attribute__((unused)) static bool machine_have_file(long file, Word length) {
    long status;
    if (length > machine_most_in_file()) return false;
    do status = syscall(SYS_fallocate, file, 0, 0L, length);
    while (status < 0 && errno == EINTR);
    return status == 0;
}
__attribute__((unused)) static Word machine_map_ring(Word path, Word length) {
    int kept = errno;
    void *found = MAP_FAILED;
    long file = syscall(SYS_openat, AT_FDCWD, (Text)path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (machine_have_file(file, length)) found = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
        syscall(SYS_close, file);
        if (found == MAP_FAILED) syscall(SYS_unlinkat, AT_FDCWD, (Text)path, 0);
    }
    errno = kept;
    if (found == MAP_FAILED) return 0;
    machine_ring = found;
    machine_ring_length = length;
    return (Word)found;
}
/* A signal handler that forks may have interrupted a row, which the child continues to write. */
static void machine_leave_ring(void) {
    int kept = errno;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (machine_ring) mmap(machine_ring, machine_ring_length, PROT_READ | PROT_WRITE, flags, -1, 0);
    machine_ring = NULL;
    errno = kept;
}
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
__attribute__((unused)) static Word machine_map_until_fork(void) {
    int kept = errno;
    const size_t length = (size_t)getpagesize();
    Word *page = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool done = page != MAP_FAILED && madvise(page, length, MADV_WIPEONFORK) == 0;
    if (page != MAP_FAILED && !done) munmap(page, length);
    if (done) *page = 1;
    errno = kept;
    return done ? (Word)page : 0;
}
/* The second figure is what is resident, in pages. */
__attribute__((unused)) static Word machine_resident_bytes(void) {
    char text[128];
    machine_read_text("/proc/self/statm", text, sizeof text);
    Text figure = strchr(text, ' ');
    return figure ? strtoul(figure, NULL, 10) * (Word)getpagesize() : 0;
}

extern void snug_record_end(void) __attribute__((weak));
extern int __cxa_atexit(void (*)(void *), void *, void *);
extern int __cxa_at_quick_exit(void (*)(void *), void *) __attribute__((weak));
__attribute__((unused)) static void machine_at_exit(void *unused) {
    (void)unused;
    snug_record_end();
}
__attribute__((unused)) static void machine_watch_exit(void) {
    int kept = errno;
    __cxa_atexit(machine_at_exit, NULL, NULL);
    if (__cxa_at_quick_exit) __cxa_at_quick_exit(machine_at_exit, NULL);
    errno = kept;
}

/* ---- Stacks of calls ---- */

__attribute__((always_inline)) static inline Word machine_frame_address(void) { return (Word)__builtin_frame_address(0); }

/* A thread that glibc or musl started has its own descriptor at the end of its stack; the process's first one has there
 * the bytes that AT_RANDOM leads to. In a forked child the thread that forked has the number of a first one. */
__attribute__((unused)) static Word machine_own_stack_top(void) {
    static _Atomic Word first;
    Word own = (Word)pthread_self();
    if (machine_forks == 0 && machine_process_id() == machine_thread_id()) first = own;
    return (own == first ? (Word)getauxval(AT_RANDOM) : own) & -sizeof(Word);
}

/* Whether the kernel can read a word there, which mincore does not say: the pages that guard a stack are mapped, too. The
 * set of signals is read before the first argument is found to mean nothing. An emulator may do it the other way round,
 * so mincore is asked as well. */
enum { MACHINE_LEAST_PAGE = 4096 };
static bool machine_is_readable_page(Word page) {
    unsigned char resident;
    Word begin = page & -(Word)getpagesize();
    if (mincore((void *)begin, MACHINE_LEAST_PAGE, &resident) != 0) return false;
    return syscall(SYS_rt_sigprocmask, ~0, page, NULL, sizeof(Word)) == 0 || errno != EFAULT;
}
__attribute__((noinline, unused)) static Word machine_readable_from(Word begin, Word end) {
    int kept = errno;
    Word page = (end - 1) & -(Word)MACHINE_LEAST_PAGE, last = begin & -(Word)MACHINE_LEAST_PAGE;
    while (page >= last && machine_is_readable_page(page)) page -= MACHINE_LEAST_PAGE;
    errno = kept;
    return page < last ? begin : page + MACHINE_LEAST_PAGE;
}

__attribute__((unused)) static bool machine_read_memory(Word address, Word count, Word target) {
    int kept = errno;
    struct iovec from = {(void *)address, count}, to = {(void *)target, count};
    long done = syscall(SYS_process_vm_readv, machine_process_id(), &to, 1, &from, 1, 0);
    errno = kept;
    return done == (long)count;
}

/* Not dlsym, which may allocate and waits for a thread that loads a library. */
typedef struct MachineSearch {
    Text name;
    Word found;
} MachineSearch;
static inline Word machine_dynamic_address(struct dl_phdr_info *module, Word value) {
    return value < module->dlpi_addr ? value + module->dlpi_addr : value; /* glibc has added it */
}
static inline const ElfW(Dyn) *machine_dynamic(struct dl_phdr_info *module) {
    for (int at = 0; at < module->dlpi_phnum; at++)
        if (module->dlpi_phdr[at].p_type == PT_DYNAMIC)
            return (const ElfW(Dyn) *)(module->dlpi_addr + module->dlpi_phdr[at].p_vaddr);
    return NULL;
}
static inline Half machine_hash_of_name(Text name) {
    Half hash = 5381;
    for (; *name; name++) hash = hash * 33 + (Byte)*name;
    return hash;
}
static bool machine_is_symbol(MachineSearch *search, struct dl_phdr_info *module, const ElfW(Sym) *symbol, Text names) {
    if (symbol->st_shndx == SHN_UNDEF || strcmp(names + symbol->st_name, search->name) != 0) return false;
    search->found = module->dlpi_addr + symbol->st_value;
    return true;
}
static int machine_look_for_symbol(struct dl_phdr_info *module, size_t size, void *sought) {
    MachineSearch *search = sought;
    const ElfW(Sym) *symbols = NULL;
    const Half *table = NULL, *older = NULL;
    Text names = NULL;
    (void)size;
    for (const ElfW(Dyn) *entry = machine_dynamic(module); entry && entry->d_tag != DT_NULL; entry++) {
        Word value = machine_dynamic_address(module, entry->d_un.d_ptr);
        if (entry->d_tag == DT_SYMTAB) symbols = (const ElfW(Sym) *)value;
        if (entry->d_tag == DT_STRTAB) names = (Text)value;
        if (entry->d_tag == DT_GNU_HASH) table = (const Half *)value;
        if (entry->d_tag == DT_HASH) older = (const Half *)value;
    }
    if (!symbols || !names) return 0;
    if (!table) /* as in the vDSO of aarch64: the older table is there for the number of symbols */
        for (Half at = 1; older && at < older[1]; at++)
            if (machine_is_symbol(search, module, &symbols[at], names)) return 1;
    if (!table || !table[0]) return 0;
    const Half *buckets = table + 4 + table[2] * (sizeof(Word) / sizeof(Half)), *chains = buckets + table[0];
    Half hash = machine_hash_of_name(search->name), first = table[1], at = buckets[hash % table[0]];
    for (bool more = at >= first; more; at++) {
        Half found = chains[at - first];
        if ((found | 1) == (hash | 1) && machine_is_symbol(search, module, &symbols[at], names)) return 1;
        more = !(found & 1);
    }
    return 0;
}
__attribute__((noinline, cold, unused)) static Word machine_find_symbol(Text name) {
    MachineSearch search = {name, 0};
    dl_iterate_phdr(machine_look_for_symbol, &search);
    return search.found;
}

/* The kernel's own function, not libc's by its name: another preloaded library may have that one, as libfaketime does,
 * to allocate in it, or to let time stand still. */
#if defined __aarch64__
#define MACHINE_KERNEL_CLOCK "__kernel_clock_gettime"
#else
#define MACHINE_KERNEL_CLOCK "__vdso_clock_gettime"
#endif
typedef int (*MachineClock)(clockid_t, struct timespec *);
static int machine_ask_for_time(clockid_t which, struct timespec *now) {
    return (int)syscall(SYS_clock_gettime, which, now);
}
__attribute__((noinline, cold)) static MachineClock machine_find_clock(void) {
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)getauxval(AT_SYSINFO_EHDR);
    if (!head) return machine_ask_for_time;
    struct dl_phdr_info kernel = {.dlpi_phdr = (const ElfW(Phdr) *)((Word)head + head->e_phoff), .dlpi_phnum = head->e_phnum};
    for (int at = kernel.dlpi_phnum - 1; at >= 0; at--)
        if (kernel.dlpi_phdr[at].p_type == PT_LOAD) kernel.dlpi_addr = (Word)head - kernel.dlpi_phdr[at].p_vaddr;
    MachineSearch search = {MACHINE_KERNEL_CLOCK, 0};
    return machine_look_for_symbol(&kernel, sizeof kernel, &search) ? (MachineClock)search.found : machine_ask_for_time;
}
__attribute__((unused)) static Word machine_read_clock(clockid_t which) {
    static _Atomic(MachineClock) known;
    MachineClock read = atomic_load_explicit(&known, memory_order_relaxed);
    if (!read) {
        read = machine_find_clock();
        atomic_store_explicit(&known, read, memory_order_relaxed);
    }
    struct timespec now = {0, 0};
    read(which, &now);
    return (Word)now.tv_sec * 1000000000 + (Word)now.tv_nsec;
}

typedef struct MachineModule {
    Word begin, end, base;
    Text path;
    const Byte *build_id;
    Word build_id_bytes;
} MachineModule;
static void machine_note_build_id(MachineModule *found, const char *note, const char *end) {
    while (note + sizeof(ElfW(Nhdr)) <= end) {
        const ElfW(Nhdr) *head = (const ElfW(Nhdr) *)note;
        const char *name = note + sizeof *head, *value = name + ((head->n_namesz + 3) & ~3u);
        if (head->n_type == NT_GNU_BUILD_ID && head->n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            found->build_id = (const Byte *)value;
            found->build_id_bytes = head->n_descsz;
            return;
        }
        note = value + ((head->n_descsz + 3) & ~3u);
    }
}
static MachineModule machine_describe(struct dl_phdr_info *module) {
    Text path = module->dlpi_name && *module->dlpi_name ? module->dlpi_name : machine_binary_path();
    MachineModule found = {~(Word)0, 0, module->dlpi_addr, path ? path : "", NULL, 0};
    for (int at = 0; at < module->dlpi_phnum; at++) {
        const ElfW(Phdr) *part = &module->dlpi_phdr[at];
        Word begin = module->dlpi_addr + part->p_vaddr, end = begin + part->p_memsz;
        if (part->p_type == PT_NOTE) machine_note_build_id(&found, (const char *)begin, (const char *)end);
        if (part->p_type != PT_LOAD) continue;
        if (begin < found.begin) found.begin = begin;
        if (end > found.end) found.end = end;
    }
    return found;
}
/* The module may go as soon as the loader's lock is free: what is told of it in bytes is copied before that. */
static int machine_look_for_module(struct dl_phdr_info *module, size_t size, void *sought) {
    static char path[MACHINE_CHUNK];
    static Byte build_id[64];
    MachineModule *search = sought, found = machine_describe(module);
    (void)size;
    if (search->begin < found.begin || search->begin >= found.end) return 0;
    if (found.build_id_bytes > sizeof build_id) found.build_id_bytes = sizeof build_id;
    if (found.build_id) memcpy(build_id, found.build_id, found.build_id_bytes);
    size_t length = strnlen(found.path, sizeof path - 1);
    memcpy(path, found.path, length);
    path[length] = 0;
    found.path = path;
    found.build_id = found.build_id ? build_id : NULL;
    *search = found;
    return 1;
}
__attribute__((noinline, cold, unused)) static bool machine_find_module(Word address, Word target) {
    MachineModule *found = (MachineModule *)target;
    *found = (MachineModule){.begin = address};
    return dl_iterate_phdr(machine_look_for_module, found) != 0;
}

typedef struct MachineList {
    MachineModule *place;
    Word room, count;
} MachineList;
static int machine_add_module(struct dl_phdr_info *module, size_t size, void *list_of) {
    MachineList *list = list_of;
    (void)size;
    if (list->count == list->room) return 1;
    MachineModule found = machine_describe(module);
    Word *place = (Word *)list->place + list->count++ * (sizeof found / sizeof(Word) + 1);
    memcpy(place, &found, sizeof found);
    place[sizeof found / sizeof(Word)] = 0;
    return 0;
}
__attribute__((noinline, cold, unused)) static Word machine_list_modules(Word target, Word most) {
    MachineList list = {(MachineModule *)target, most, 0};
    dl_iterate_phdr(machine_add_module, &list);
    return list.count;
}
static int machine_count_changes(struct dl_phdr_info *module, size_t size, void *changes) {
    (void)size;
    *(Word *)changes = module->dlpi_adds + module->dlpi_subs;
    return 1;
}
__attribute__((noinline, unused)) static Word machine_modules_changed(void) {
    Word changes = 0;
    dl_iterate_phdr(machine_count_changes, &changes);
    return changes;
}

/* x86-64: call with an offset, or FF with 2 in the middle of the next byte, and up to five more bytes behind. */
__attribute__((noinline, cold, unused)) static bool machine_is_behind_call(Word address) {
    Byte code[8];
    if (!machine_read_memory(address - sizeof code, sizeof code, (Word)code)) return false;
#if defined __x86_64__
    bool is_call = code[3] == 0xE8;
    for (int at = 1; at < 7; at++) is_call |= code[at] == 0xFF && (code[at + 1] & 0x38) == 0x10;
    return is_call;
#elif defined __aarch64__
    Half instruction = *(MachineHalf *)(code + 4);
    return (instruction & 0xFC000000) == 0x94000000 || (instruction & 0xFFFFFC1F) == 0xD63F0000; /* bl, blr */
#else
    return true;
#endif
}

static inline Word machine_call_function(Word address) { return (Word)((void *(*)(void))address)(); }

/* ---- The end ---- */

static inline void machine_trap(void) { __builtin_trap(); }

/* Two threads may prove the same fault at the same moment: one of them reports it. */
static void machine_tell(const char *line, size_t length, Word fault) {
    static atomic_bool is_telling;
    static Word told, told_by;
    for (int spin = 0; atomic_exchange(&is_telling, true) && spin < 1 << 20; spin++) machine_pause();
    if (told != fault || told_by == (Word)pthread_self()) syscall(SYS_write, STDERR_FILENO, line, length);
    told = fault;
    told_by = (Word)pthread_self();
    atomic_store(&is_telling, false);
}

__attribute__((noreturn, cold, unused)) static void machine_fatal(Text message, Word first, Word second) {
    char line[512], *to = line;
    const Word fault = first;
    for (Text from = message; *from && to < line + sizeof line - 64; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        if (*++from == 'x') {
            *to++ = '0';
            *to++ = 'x';
        }
        to = machine_write_number(to, first, *from == 'x' ? 16 : 10);
        first = second;
    }
    *to++ = '\n';
    machine_tell(line, (size_t)(to - line), fault);
    for (MachineLock *lock = machine_first_lock; lock && machine_has_threads(); lock = lock->next)
        if (machine_is_owner(lock)) machine_unlock((Word)lock, true); /* a handler of SIGABRT may allocate */
    abort();
}

typedef int (*MachineVisitor)(void *address, size_t size, int status, void *context);
static inline bool machine_visit_block(Word visitor, Word address, Word size, Int status, Word context) {
    return ((MachineVisitor)visitor)((void *)address, size, status, (void *)context) == 0;
}

#endif
