/* Records what a program allocates, as an engine would: preloaded, it writes rows of libc's calls to the file that
   RECORD names. It allocates nothing, and threads share no lock: each fills a buffer of its own, and a buffer that
   is full goes to the end of the file by one write. docs/trace-format.md describes what is written. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

enum { MALLOC = 1, CALLOC = 2, REALLOC = 3, ALIGNED = 4, FREE = 5, THREAD_BEGIN = 23, THREAD_END = 24, REFUSED = 0x80 };
enum { ROOM = 1 << 16, LARGEST_ROW = 72, ROWS = 2, TIMES = 1, ADDRESSES = 2 };

struct head {
    uint32_t mark, checksum;
    uint8_t kind, form;
    uint16_t unused;
    uint32_t stored;
    uint64_t count, first, last, first_time, last_time, thread;
};

struct buffer {
    struct head head;
    uint8_t rows[ROOM];
    uint8_t *end;
    uint64_t pointer;
    struct buffer *next;
};

static __thread struct buffer *own __attribute__((tls_model("initial-exec")));
static __thread int busy __attribute__((tls_model("initial-exec")));
static _Atomic(struct buffer *) all;
static atomic_ulong threads;
static int file = -1;
static pthread_key_t at_end;

static uint32_t adler(uint32_t sum, const uint8_t *bytes, size_t count) {
    uint32_t low = sum & 0xffff, high = sum >> 16;
    for (size_t i = 0; i < count; i++) {
        low = (low + bytes[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void begin(struct buffer *buffer) {
    uint64_t thread = buffer->head.thread;
    memset(&buffer->head, 0, sizeof buffer->head);
    memcpy(&buffer->head.mark, "\xc5SNG", 4);
    buffer->head.kind = ROWS;
    buffer->head.thread = thread;
    buffer->end = buffer->rows;
    buffer->pointer = 0;
}

static void hand_on(struct buffer *buffer) {
    struct head *head = &buffer->head;
    if (head->count == 0)
        return;
    head->stored = (uint32_t)(buffer->end - buffer->rows);
    head->checksum = adler(adler(1, (uint8_t *)head + 8, sizeof *head - 8), buffer->rows, head->stored);
    struct iovec parts[] = {{head, sizeof *head}, {buffer->rows, head->stored}};
    if (writev(file, parts, 2) < 0)
        file = -1;
    begin(buffer);
}

static void number(struct buffer *buffer, uint64_t value) {
    for (; value > 0x7f; value >>= 7)
        *buffer->end++ = (uint8_t)(value | 0x80);
    *buffer->end++ = (uint8_t)value;
}

static void pointer(struct buffer *buffer, const void *to) {
    uint64_t step = (uint64_t)to - buffer->pointer;
    buffer->pointer = (uint64_t)to;
    number(buffer, step << 1 ^ -(step >> 63));
}

static struct buffer *row(struct buffer *buffer, unsigned operation) {
    if (buffer->end + LARGEST_ROW > buffer->rows + ROOM)
        hand_on(buffer);
    uint64_t time = now();
    if (buffer->head.count++ == 0)
        buffer->head.first_time = buffer->head.last_time = time;
    number(buffer, operation);
    number(buffer, time - buffer->head.last_time);
    buffer->head.last_time = time;
    return buffer;
}

static struct buffer *mine(void) {
    if (own || busy || file < 0)
        return file < 0 ? NULL : own;
    busy = 1;
    struct buffer *buffer = mmap(NULL, sizeof *buffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer != MAP_FAILED) {
        buffer->head.thread = atomic_fetch_add(&threads, 1);
        begin(buffer);
        buffer->next = atomic_load(&all);
        while (!atomic_compare_exchange_weak(&all, &buffer->next, buffer))
            ;
        own = buffer;
        number(row(buffer, THREAD_BEGIN), (uint64_t)gettid());
        pthread_setspecific(at_end, buffer);
    }
    busy = 0;
    return own;
}

static void end_thread(void *buffer) {
    row(buffer, THREAD_END);
    hand_on(buffer);
}

__attribute__((constructor)) static void open_file(void) {
    const char *name = getenv("RECORD");
    struct { char magic[8]; uint16_t version, size; uint32_t flags; uint64_t ticks, start, realtime, gap;
             uint32_t pid, parent, page, checksum; }
        header = {"\x89SNUG\r\n\x1a", 1, 64, TIMES | ADDRESSES, 1000000000, now(), 0, 0,
                  (uint32_t)getpid(), (uint32_t)getppid(), 4096, 0};
    if (!name || pthread_key_create(&at_end, end_thread))
        return;
    unsetenv("RECORD");
    int opened = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    header.checksum = adler(1, (uint8_t *)&header, 60);
    if (opened >= 0 && write(opened, &header, sizeof header) == sizeof header)
        file = opened;
}

__attribute__((destructor)) static void close_file(void) {
    for (struct buffer *buffer = atomic_load(&all); buffer; buffer = buffer->next)
        if (file >= 0)
            hand_on(buffer);
    file = -1;
}

static void *gave(unsigned operation, size_t size, size_t other, int has_other, void *block) {
    struct buffer *buffer = mine();
    if (buffer) {
        row(buffer, operation | (block ? 0 : REFUSED));
        number(buffer, size);
        if (has_other)
            number(buffer, other);
        if (block)
            pointer(buffer, block);
    }
    return block;
}

void *malloc(size_t size) { return gave(MALLOC, size, 0, 0, __libc_malloc(size)); }

void *calloc(size_t count, size_t size) {
    size_t all_bytes;
    if (__builtin_mul_overflow(count, size, &all_bytes))
        all_bytes = SIZE_MAX;
    return gave(CALLOC, all_bytes, count, 1, __libc_calloc(count, size));
}

void *memalign(size_t alignment, size_t size) {
    return gave(ALIGNED, size, alignment, 1, __libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
    void *block = memalign(alignment, size);
    if (!block)
        return ENOMEM;
    *place = block;
    return 0;
}

void free(void *block) {
    int kept = errno;
    struct buffer *buffer = mine();
    if (buffer)
        pointer(row(buffer, FREE), block);
    __libc_free(block);
    errno = kept;
}

/* Always moves, so that the row can be written while both blocks are the caller's. */
void *realloc(void *block, size_t size) {
    if (block && !size) {
        free(block);
        return NULL;
    }
    void *moved = __libc_malloc(size);
    struct buffer *buffer = mine();
    if (buffer) {
        row(buffer, REALLOC | (moved ? 0 : REFUSED));
        number(buffer, size);
        pointer(buffer, block);
        if (moved)
            pointer(buffer, moved);
    }
    if (block && moved) {
        size_t held = malloc_usable_size(block);
        memcpy(moved, block, held < size ? held : size);
        __libc_free(block);
    }
    return moved;
}
