/* snug-play - plays the calls of a trace on this process's malloc, or on the four functions, and reports what it cost.
 *
 *     snug-play [-c] [-s SAMPLES] [-o LIBRARY] PLAN
 *
 *     -c          compare every byte before it is freed or after it was moved, and end with a line if one is wrong
 *     -s SAMPLES  look at the memory so many times, at evenly spaced steps
 *     -o LIBRARY  play on os_malloc and its siblings of this library
 *     PLAN        the number of a descriptor of a file as snugmalloc/play/plan.py writes it
 *
 * A plan is one stream of steps, or one for each thread of the program. Of several streams the first is played by the
 * first thread; the others begin where a step says so, each on a thread of its own that ends with it. The threads
 * run freely, but for this: who frees or resizes a block waits until it is there.
 *
 * A plan with times is paced: no step is played before its time, and one that is late as soon as can be. The memory is
 * then looked at at evenly spaced times, and by whichever thread comes to one first.
 *
 * The memory is used as by a program that fills its blocks: all bytes of a block are written once when it is obtained,
 * of a resized one those that are new. What calloc gave is not written.
 *
 * The player allocates nothing by malloc. Its tables are one mapping, resident before the first step, of which the size
 * is reported (own_bytes); the plan is mapped from its file. So the anonymous memory of the process, less the tables, is
 * the allocator's, and some hundred kilobytes that every process has. With several streams the stacks are the player's
 * too: what of them is resident is taken off.
 *
 * The clocks stand still while the player looks at the memory, but for the wall clock of a paced plan. With several
 * streams they do not, and the memory is then read the quick way, from statm, which may be some hundred kilobytes off.
 *
 * Exit status: 0; 2 if it cannot play; 3 if a call was refused; 4 if memory did not hold what was written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "osmem.h"
#include "snugmalloc.h"

enum { CANNOT_PLAY = 2, REFUSED = 3, OVERWRITTEN = 4 };
enum { MALLOC, CALLOC, REALLOC, ALIGNED, FREE, FREE_NULL, START }; /* as in snugmalloc.play.plan */
enum { STACK_BYTES = 128 << 10, STEPS_BETWEEN_LOOKS = 64, SPINS = 100 };

#define SECOND 1000000000LL /* in nanoseconds */
#define NOWHERE UINT32_MAX  /* in place of a place: realloc of NULL */

/* ---- The plan ---- */

typedef struct {
    uint64_t size;
    uint32_t place;     /* where the block is kept, or the stream that starts */
    uint32_t from;      /* where the block is kept that is resized */
    uint32_t call;      /* the number of the call in the trace */
    uint8_t operation;
    uint8_t shift;      /* of ALIGNED: the alignment is a power of two */
    uint16_t unused;
} Step;

typedef struct {
    char magic[8];
    uint64_t streams, places, steps, times; /* a time for each step, or none */
} Head;

typedef struct {
    uint64_t first, count;
} Range;

/* ---- The state ---- */

typedef struct {
    char *block;        /* NULL: it is not there (yet) */
    size_t size;        /* as the program asked */
} Slot;

typedef struct {
    _Alignas(64) const Step *steps;
    const uint64_t *times; /* of a paced plan: when, in nanoseconds since the first step */
    size_t count;
    size_t done;        /* with times: so many steps were played */
    long long live;     /* bytes that this stream obtained, less those that it freed */
    long long peak;     /* the most of that */
    pthread_t thread;
    int has_started;
} Stream;

typedef struct {
    size_t steps;       /* that were played */
    long long live, resident;
    long long processor; /* nanoseconds so far; with several streams 0 */
    long long time;     /* nanoseconds since the first step; without times 0 */
} Sample;

typedef struct {
    void *(*allocate)(size_t size);
    void *(*clear)(size_t count, size_t size);
    void *(*resize)(void *block, size_t size);
    void *(*align)(size_t alignment, size_t size);
    void (*release)(void *block);
} Functions;

static Functions functions;
static int checks;
static int is_threaded, is_paced;
static Slot *slots;
static Stream *streams;
static size_t stream_count;
static Sample *samples;
static size_t sample_count;
static size_t most_samples = 256;
static unsigned char *pages;            /* which pages of the stacks are resident */
static char *stacks;
static size_t own_bytes;                /* of all these tables */
static int rollup = -1, statm = -1;     /* files of /proc/self */
static char nothing;                    /* stands for the NULL that 0 bytes gave */

static long long wall, processor;       /* nanoseconds */
static long faults;
static long long start_wall, start_processor;
static long start_faults;
static long long pace_start;            /* when the first step of a paced plan was due */

__attribute__((noreturn, format(printf, 2, 3))) static void die(int status, const char *form, ...)
{
    va_list arguments;
    char text[512];

    va_start(arguments, form);
    int length = vsnprintf(text, sizeof text - 1, form, arguments);
    va_end(arguments);
    if (length > (int)sizeof text - 2)
        length = sizeof text - 2;
    text[length++] = '\n';
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        status = CANNOT_PLAY;
    _exit(status);
}

/* ---- The allocator ---- */

static void *align_by_posix(size_t alignment, size_t size)
{
    void *block;

    if (alignment < sizeof block)
        alignment = sizeof block;
    return posix_memalign(&block, alignment, size) ? NULL : block;
}

/* There is no os_memalign: the block is larger, so that an aligned part is in it. */
static void *align_by_size(size_t alignment, size_t size)
{
    return size + alignment < size ? NULL : functions.allocate(size + alignment);
}

static void *function_of(void *library, const char *name)
{
    void *function = dlsym(library, name);

    if (!function)
        die(CANNOT_PLAY, "the library has no %s", name);
    return function;
}

static void use_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);

    if (!library)
        die(CANNOT_PLAY, "%s", dlerror());
    functions.allocate = (void *(*)(size_t))function_of(library, "os_malloc");
    functions.clear = (void *(*)(size_t, size_t))function_of(library, "os_calloc");
    functions.resize = (void *(*)(void *, size_t))function_of(library, "os_realloc");
    functions.release = (void (*)(void *))function_of(library, "os_free");
    functions.align = align_by_size;
}

/* ---- Playing a step ---- */

/* The byte that fills the block at a place; never 0, which is what calloc gives. */
static int mark(uint32_t place, size_t size)
{
    return (int)((place * 31 + size) % 255 + 1);
}

static void compare(const Step *step, const char *bytes, size_t count, int byte)
{
    if (count && ((unsigned char)*bytes != byte || memcmp(bytes, bytes + 1, count - 1)))
        die(OVERWRITTEN, "call %u of the trace: the block does not hold what was written", step->call);
}

/* The block of `size` bytes that a step obtained is there for all. `kept` bytes of it were written before. */
static void put(Stream *stream, const Step *step, char *block, size_t size, size_t kept)
{
    Slot *slot = &slots[step->place];

    if (!block && size)
        die(REFUSED, "call %u of the trace was refused: %llu bytes", step->call, (unsigned long long)size);
    if (checks)
        memset(block ? block : &nothing, mark(step->place, size), size);
    else if (size > kept)
        memset(block + kept, mark(step->place, size), size - kept);
    stream->live += (long long)size;
    if (stream->live > stream->peak)
        stream->peak = stream->live;
    slot->size = size;
    __atomic_store_n(&slot->block, block ? block : &nothing, __ATOMIC_RELEASE);
}

/* Takes the block at a place, as soon as it is there. */
static void *take(Stream *stream, const Step *step, uint32_t place, size_t *size)
{
    Slot *slot = &slots[place];
    char *block;

    for (int spins = 0; !(block = __atomic_load_n(&slot->block, __ATOMIC_ACQUIRE)); spins++)
        if (spins > SPINS)
            sched_yield();
    *size = slot->size;
    stream->live -= (long long)*size;
    slot->block = NULL;
    if (block == &nothing)
        return NULL;
    if (checks)
        compare(step, block, *size, mark(place, *size));
    return block;
}

static void resize(Stream *stream, const Step *step)
{
    size_t size = step->size, old_size = 0;
    char *old = step->from == NOWHERE ? NULL : take(stream, step, step->from, &old_size);
    size_t kept = old_size < size ? old_size : size;
    char *block = functions.resize(old, size);

    if (checks && block && kept)
        compare(step, block, kept, mark(step->from, old_size));
    put(stream, step, block, size, kept);
}

static void start_stream(size_t number);

static void play(Stream *stream, const Step *step)
{
    size_t size = step->size;
    char *block;

    switch (step->operation) {
    case MALLOC:
        put(stream, step, functions.allocate(size), size, 0);
        break;
    case CALLOC:
        block = functions.clear(1, size);
        if (checks && block)
            compare(step, block, size, 0);
        put(stream, step, block, size, size);
        break;
    case REALLOC:
        resize(stream, step);
        break;
    case ALIGNED:
        put(stream, step, functions.align((size_t)1 << step->shift, size), size, 0);
        break;
    case FREE:
        functions.release(take(stream, step, step->place, &size));
        break;
    case FREE_NULL:
        functions.release(NULL);
        break;
    default:
        start_stream(step->place);
    }
}

/* ---- Looking at the memory ---- */

static long long now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int open_own(const char *path, int mode)
{
    return open(path, mode | O_CLOEXEC);
}

/* A line of a file of /proc, in bytes; -1: it is not there. */
static long long line_of(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? atoll(line + strlen(name)) * 1024 : -1;
}

static long long read_text(int file, char *text, size_t room)
{
    ssize_t length = file < 0 ? -1 : pread(file, text, room - 1, 0);

    text[length < 0 ? 0 : length] = 0;
    return length;
}

/* What is in memory and belongs to no file, as the kernel counts it. */
static long long counted_bytes(void)
{
    char text[256];
    long long all = 0, shared = 0;

    if (read_text(statm, text, sizeof text) <= 0 || sscanf(text, "%*d %lld %lld", &all, &shared) != 2)
        die(CANNOT_PLAY, "/proc/self/statm cannot be read");
    return (all - shared) * sysconf(_SC_PAGESIZE);
}

/* The same, page by page. */
static long long exact_bytes(void)
{
    char text[4096];
    long long found = read_text(rollup, text, sizeof text) > 0 ? line_of(text, "\nAnonymous:") : -1;

    return found >= 0 ? found : counted_bytes();
}

static long long stack_bytes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = stream_count * STACK_BYTES / page;
    long long resident = 0;

    if (!stacks || mincore(stacks, count * page, pages))
        return 0;
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident * (long long)page;
}

static void look(size_t steps)
{
    long long live = 0;

    if (sample_count == most_samples)
        return;
    for (size_t i = 0; i < stream_count; i++)
        live += __atomic_load_n(&streams[i].live, __ATOMIC_RELAXED);
    samples[sample_count++] = (Sample){
        steps, live, (is_threaded ? counted_bytes() - stack_bytes() : exact_bytes()) - (long long)own_bytes, processor,
        is_paced ? now(CLOCK_MONOTONIC) - pace_start : 0};
}

/* ---- Clocks ---- */

static long faults_so_far(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void start_clocks(void)
{
    start_faults = faults_so_far();
    start_processor = now(CLOCK_PROCESS_CPUTIME_ID);
    start_wall = now(CLOCK_MONOTONIC);
}

static void stop_clocks(void)
{
    wall += now(CLOCK_MONOTONIC) - start_wall;
    processor += now(CLOCK_PROCESS_CPUTIME_ID) - start_processor;
    faults += faults_so_far() - start_faults;
}

/* ---- One stream ---- */

static void play_alone(void)
{
    Stream *stream = &streams[0];
    const Step *step = stream->steps;

    for (size_t i = 1; i <= most_samples; i++) {
        const Step *stop = stream->steps + (size_t)((unsigned __int128)stream->count * i / most_samples);
        if (stop == step)
            continue;
        start_clocks();
        while (step < stop)
            play(stream, step++);
        stop_clocks();
        look((size_t)(step - stream->steps));
    }
}

/* ---- Several streams ---- */

static size_t steps_done, all_steps;
static int is_looking;

/* So many more steps were played: the thread with whom a place for a look is reached looks. */
static void count_steps(size_t steps)
{
    size_t done = __atomic_add_fetch(&steps_done, steps, __ATOMIC_RELAXED);

    if (done * most_samples / all_steps == (done - steps) * most_samples / all_steps)
        return;
    if (!__atomic_exchange_n(&is_looking, 1, __ATOMIC_ACQUIRE)) {
        look(done);
        __atomic_store_n(&is_looking, 0, __ATOMIC_RELEASE);
    }
}

static void *play_stream(void *context)
{
    Stream *stream = context;
    size_t done = 0;

    while (done < stream->count) {
        size_t stop = stream->count - done > STEPS_BETWEEN_LOOKS ? done + STEPS_BETWEEN_LOOKS : stream->count;
        size_t steps = stop - done;

        while (done < stop)
            play(stream, &stream->steps[done++]);
        count_steps(steps);
    }
    return NULL;
}

/* ---- At the pace of the recording ---- */

static long long look_gap, next_look;   /* nanoseconds */

static void set_pace(void)
{
    long long last = 0;

    for (size_t i = 0; i < stream_count; i++)
        if (streams[i].count && (long long)streams[i].times[streams[i].count - 1] > last)
            last = (long long)streams[i].times[streams[i].count - 1];
    look_gap = next_look = last / (long long)most_samples + 1;
    pace_start = now(CLOCK_MONOTONIC);
}

/* Returns when it is time, at once if that was before. `*passed` is a time that is known to have passed. */
static void wait_until(long long time, long long *passed)
{
    struct timespec end = {(pace_start + time) / SECOND, (pace_start + time) % SECOND};

    if (time > *passed)
        *passed = now(CLOCK_MONOTONIC) - pace_start;
    if (time > *passed)
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
            continue;
}

static size_t steps_played(void)
{
    size_t steps = 0;

    for (size_t i = 0; i < stream_count; i++)
        steps += __atomic_load_n(&streams[i].done, __ATOMIC_RELAXED);
    return steps;
}

/* It is time for the look at `due`: one thread looks. */
static void look_in_time(long long due)
{
    if (!__atomic_compare_exchange_n(&next_look, &due, due + look_gap, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
        || __atomic_exchange_n(&is_looking, 1, __ATOMIC_ACQUIRE))
        return;
    if (!is_threaded)
        stop_clocks();
    look(steps_played());
    if (!is_threaded)
        start_clocks();
    __atomic_store_n(&is_looking, 0, __ATOMIC_RELEASE);
}

static void *play_paced(void *context)
{
    Stream *stream = context;
    long long passed = -1, due;

    for (size_t i = 0; i < stream->count; i++) {
        long long time = (long long)stream->times[i];
        while (time >= (due = __atomic_load_n(&next_look, __ATOMIC_RELAXED))) {
            wait_until(due, &passed);
            look_in_time(due);
        }
        wait_until(time, &passed);
        play(stream, &stream->steps[i]);
        __atomic_store_n(&stream->done, i + 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* ---- All streams ---- */

static void *play_whole(void *stream)
{
    return is_paced ? play_paced(stream) : play_stream(stream);
}

static void start_stream(size_t number)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stacks + number * STACK_BYTES, STACK_BYTES);
    int error = pthread_create(&streams[number].thread, &attributes, play_whole, &streams[number]);
    if (error)
        die(CANNOT_PLAY, "thread %zu of the trace cannot be started: %s", number + 1, strerror(error));
    pthread_attr_destroy(&attributes);
    __atomic_store_n(&streams[number].has_started, 1, __ATOMIC_RELEASE);
}

static void play_together(void)
{
    start_clocks();
    if (is_paced)
        set_pace();
    play_whole(&streams[0]);
    for (size_t i = 1; i < stream_count; i++) {
        while (!__atomic_load_n(&streams[i].has_started, __ATOMIC_ACQUIRE))
            usleep(50);
        pthread_join(streams[i].thread, NULL);
    }
    stop_clocks();
    if (is_paced)
        wall = now(CLOCK_MONOTONIC) - pace_start;
    if (sample_count && (sample_count == most_samples || samples[sample_count - 1].steps == all_steps))
        sample_count--; /* the last look is when all is over */
    look(all_steps);
}

/* ---- Getting ready ---- */

static void *map_table(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (table == MAP_FAILED)
        die(CANNOT_PLAY, "no memory for the player's tables: %s", strerror(errno));
    return table;
}

static size_t rounded(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static void make_tables(const Head *head)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t of_streams = rounded(stream_count * sizeof *streams, 64);
    size_t of_slots = rounded((head->places + 1) * sizeof *slots, 64);
    size_t of_samples = rounded(most_samples * sizeof *samples, 64);
    size_t of_pages = is_threaded ? stream_count * STACK_BYTES / page : 0;

    own_bytes = rounded(of_streams + of_slots + of_samples + of_pages, page);
    char *table = map_table(own_bytes);
    streams = (Stream *)table;
    slots = (Slot *)(table + of_streams);
    samples = (Sample *)(table + of_streams + of_slots);
    pages = (unsigned char *)table + of_streams + of_slots + of_samples;
    if (!is_threaded)
        return;
    stacks = mmap(NULL, stream_count * STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED)
        die(CANNOT_PLAY, "no memory for the stacks of %zu threads: %s", stream_count, strerror(errno));
    madvise(stacks, stream_count * STACK_BYTES, MADV_NOHUGEPAGE);
}

static void read_plan(int file)
{
    struct stat status;

    if (fstat(file, &status) || (size_t)status.st_size < sizeof(Head))
        die(CANNOT_PLAY, "no plan at descriptor %d", file);
    char *plan = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (plan == MAP_FAILED)
        die(CANNOT_PLAY, "the plan cannot be mapped: %s", strerror(errno));
    const Head *head = (const Head *)plan;
    const Range *ranges = (const Range *)(head + 1);
    const Step *steps = (const Step *)(ranges + head->streams);
    const uint64_t *times = (const uint64_t *)(steps + head->steps);

    if (memcmp(head->magic, "snugplan", sizeof head->magic) || (head->times && head->times != head->steps)
        || (const char *)(times + head->times) != plan + status.st_size)
        die(CANNOT_PLAY, "descriptor %d is no plan", file);
    stream_count = head->streams;
    all_steps = head->steps;
    is_threaded = stream_count > 1;
    is_paced = head->times != 0;
    make_tables(head);
    for (size_t i = 0; i < stream_count; i++) {
        streams[i].steps = steps + ranges[i].first;
        streams[i].times = times + ranges[i].first;
        streams[i].count = ranges[i].count;
    }
}

/* ---- The figures ---- */

/* The most that was in memory, as the kernel keeps it, without what belongs to files; -1: unknown. */
static long long highest_bytes(void)
{
    char status[4096], now_text[4096];
    int file = open_own("/proc/self/status", O_RDONLY);
    long long highest = read_text(file, status, sizeof status) > 0 ? line_of(status, "\nVmHWM:") : -1;
    long long all = read_text(rollup, now_text, sizeof now_text) > 0 ? line_of(now_text, "\nRss:") : -1;

    if (highest < 0 || all < 0 || is_threaded) /* of several streams the stacks would be in it */
        return -1;
    return highest - (all - exact_bytes()) - (long long)own_bytes;
}

static void write_system_calls(void)
{
    void (*own)(snug_stats_t *, size_t) = (void (*)(snug_stats_t *, size_t))dlsym(RTLD_DEFAULT, "snug_stats");
    void (*four)(os_stats_t *, size_t) = (void (*)(os_stats_t *, size_t))dlsym(RTLD_DEFAULT, "os_stats");

    if (four) {
        os_stats_t stats;
        four(&stats, sizeof stats);
        printf("call_brk %zu\ncall_mmap %zu\ncall_munmap %zu\n", stats.brk_calls, stats.mmap_calls, stats.munmap_calls);
    } else if (own) {
        snug_stats_t stats;
        own(&stats, sizeof stats);
        printf("call_brk %zu\ncall_mmap %zu\ncall_munmap %zu\ncall_mremap %zu\ncall_madvise %zu\n", stats.brk_calls,
               stats.mmap_calls, stats.munmap_calls, stats.mremap_calls, stats.madvise_calls);
    }
}

static void write_figures(long long highest)
{
    printf("wall_ns %lld\nprocessor_ns %lld\nminor_faults %ld\n", wall, processor, faults);
    printf("own_bytes %zu\n", own_bytes);
    if (!is_threaded)
        printf("peak_live_bytes %lld\n", streams[0].peak);
    if (highest >= 0)
        printf("highest_bytes %lld\n", highest);
    write_system_calls();
    for (size_t i = 0; i < sample_count; i++)
        printf("sample %zu %lld %lld %lld %lld\n", samples[i].steps, samples[i].live, samples[i].resident,
               samples[i].processor, samples[i].time);
    printf("end 0\n");
}

static size_t number_in(const char *text)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);

    if (!*text || *end)
        die(CANNOT_PLAY, "%s: not a number", text);
    return (size_t)number;
}

int main(int count, char **words)
{
    const char *library = NULL;
    int option;

    functions = (Functions){malloc, calloc, realloc, align_by_posix, free};
    while ((option = getopt(count, words, "cs:o:")) != -1) {
        if (option == 'c')
            checks = 1;
        else if (option == 's')
            most_samples = number_in(optarg);
        else if (option == 'o')
            library = optarg;
        else
            return CANNOT_PLAY;
    }
    if (optind != count - 1 || most_samples == 0)
        die(CANNOT_PLAY, "usage: snug-play [-c] [-s SAMPLES] [-o LIBRARY] PLAN");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (library)
        use_library(library);
    read_plan((int)number_in(words[optind]));
    rollup = open_own("/proc/self/smaps_rollup", O_RDONLY);
    statm = open_own("/proc/self/statm", O_RDONLY);

    if (is_threaded || is_paced)
        play_together();
    else
        play_alone();
    if (!sample_count)
        look(0);
    write_figures(highest_bytes());
    return fflush(stdout) ? CANNOT_PLAY : 0;
}
