/* Plays one program of calls on libosmem.so, on a kernel of its own: brk, sbrk, mmap and munmap of this program
 * stand before libc's, so that every system call of the library is seen and can be refused.
 *
 * Each line of stdin is a command, in decimal:
 *
 *     m SIZE 0 | c COUNT SIZE | r POINTER SIZE | f POINTER 0     the four functions, followed by three numbers:
 *         from which address brk is refused, from which length mmap is refused, whether munmap is refused
 *     s COUNT                  somebody else moves the break up
 *     w POINTER COUNT SEED     write COUNT bytes of the pattern SEED
 *     k POINTER COUNT SEED     are they still there?
 *     z POINTER COUNT          are they zero?
 *     h POINTER ...            the status in each header
 *
 * The answer to one of the four is five lines of numbers: the result and errno; the system calls (name, argument,
 * argument, result; 0 for a refused one); os_check; os_stats; and pointer, size and status of each block. Other
 * answers are one line. Addresses are printed as the simulated machine has them, so that the two can be compared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <osmem.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define BREAK 0x555500000000ul
#define MAPPINGS 0x7f0000000000ul
#define HEAP_AREA (1ul << 32)
#define MAPPINGS_AREA (1ul << 36)
#define MOST_MAPPINGS 4096
#define MOST_CALLS 64

struct mapping {
    uint64_t start, length;
};

struct call {
    char name;
    uint64_t first, second, result;
};

static char *area;
static uint64_t program_break = BREAK;
static int break_was_asked;
static struct mapping mappings[MOST_MAPPINGS];
static int mapping_count;
static struct call calls[MOST_CALLS];
static int call_count;
static uint64_t brk_refused_from, mmap_refused_from, munmap_refused;

/* ---- Addresses: the simulated machine's and ours ---- */

static void *real(uint64_t address) {
    if (!address) return NULL;
    if (address < BREAK + HEAP_AREA) return area + (address - BREAK);
    return area + HEAP_AREA + MAPPINGS_AREA - (MAPPINGS - address);
}

static uint64_t simulated(const void *pointer) {
    if (!pointer) return 0;
    uint64_t offset = (uint64_t)((const char *)pointer - area);
    if (offset < HEAP_AREA) return BREAK + offset;
    return MAPPINGS - (HEAP_AREA + MAPPINGS_AREA - offset);
}

static uint64_t page_up(uint64_t address) { return (address + PAGE - 1) & ~(PAGE - 1); }

static void *map_at(void *address, uint64_t length, int protection) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (address ? MAP_FIXED : 0);
    void *result = (void *)syscall(SYS_mmap, address, length, protection, flags, -1, 0l);
    if (result == MAP_FAILED) abort();
    return result;
}

/* ---- The kernel that the library sees ---- */

static uint64_t note(char name, uint64_t first, uint64_t second, uint64_t result) {
    if (call_count == MOST_CALLS) abort();
    calls[call_count++] = (struct call){name, first, second, result};
    return result;
}

static uint64_t lowest_mapping(void) {
    uint64_t lowest = MAPPINGS;
    for (int i = 0; i < mapping_count; i++)
        if (mappings[i].start < lowest) lowest = mappings[i].start;
    return lowest;
}

static void set_break(uint64_t address) {
    uint64_t have = page_up(program_break), want = page_up(address);
    if (want > have) map_at(real(have), want - have, PROT_READ | PROT_WRITE);
    program_break = address;
}

static void ask_break(void) {
    break_was_asked = 1;
    note('b', 0, 0, program_break);
}

int brk(void *pointer) {
    if (!pointer) {
        ask_break();
        return 0;
    }
    uint64_t address = simulated(pointer);
    int possible = address >= program_break && address < BREAK + HEAP_AREA && address < brk_refused_from;
    if (!note('b', address, 0, possible ? address : 0)) {
        errno = ENOMEM;
        return -1;
    }
    set_break(address);
    return 0;
}

void *sbrk(intptr_t count) {
    if (count) abort();
    if (!break_was_asked) ask_break();
    return real(program_break);
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    if (address || protection != (PROT_READ | PROT_WRITE) || flags != (MAP_PRIVATE | MAP_ANONYMOUS)) abort();
    if (file != -1 || offset) abort();
    uint64_t room = lowest_mapping() - program_break - PAGE;
    int possible = length && length < room && page_up(length) < room && length < mmap_refused_from;
    uint64_t start = possible ? lowest_mapping() - page_up(length) - PAGE : 0;
    if (!note('m', length, 0, start)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (mapping_count == MOST_MAPPINGS) abort();
    mappings[mapping_count++] = (struct mapping){start, length};
    return map_at(real(start), page_up(length), PROT_READ | PROT_WRITE);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(address, length, protection, flags, file, offset);
}

int munmap(void *pointer, size_t length) {
    int i = 0;
    while (i < mapping_count && mappings[i].start != simulated(pointer)) i++;
    if (i == mapping_count || mappings[i].length != length) abort();
    note('u', mappings[i].start, length, !munmap_refused);
    if (munmap_refused) {
        errno = EINVAL;
        return -1;
    }
    mappings[i] = mappings[--mapping_count];
    map_at(pointer, page_up(length), PROT_NONE);
    return 0;
}

/* ---- Commands ---- */

static unsigned char pattern(uint64_t at) { return (unsigned char)(at * 2654435761u >> 16); }

static int print_block(void *address, size_t size, int status, void *context) {
    (void)context;
    const char *header = (const char *)address - 32;
    if (memcmp(header, &size, sizeof size) || memcmp(header + 8, &status, sizeof status)) abort();
    printf("%lu %lu %d ", simulated(address), size, status);
    return 0;
}

static void print_outcome(void *result, int error) {
    printf("%lu %d\n", simulated(result), error);
    for (int i = 0; i < call_count; i++)
        printf("%d %lu %lu %lu ", calls[i].name, calls[i].first, calls[i].second, calls[i].result);
    printf("\n%d\n", os_check());
    size_t stats[sizeof(os_stats_t) / sizeof(size_t)];
    os_stats((os_stats_t *)stats, sizeof stats);
    for (size_t i = 0; i < sizeof stats / sizeof *stats; i++) printf("%lu ", stats[i]);
    printf("\n");
    os_walk(print_block, NULL);
    printf("\n");
}

static void call_function(char name, const uint64_t *numbers) {
    brk_refused_from = numbers[2];
    mmap_refused_from = numbers[3];
    munmap_refused = numbers[4];
    call_count = 0;
    errno = 0;
    void *result = NULL;
    if (name == 'm') result = os_malloc(numbers[0]);
    if (name == 'c') result = os_calloc(numbers[0], numbers[1]);
    if (name == 'r') result = os_realloc(real(numbers[0]), numbers[1]);
    if (name == 'f') os_free(real(numbers[0]));
    print_outcome(result, errno);
}

static int holds(const unsigned char *bytes, uint64_t count, uint64_t seed) {
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] != pattern(seed + i)) return 0;
    return 1;
}

static int is_zero(const unsigned char *bytes, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i]) return 0;
    return 1;
}

static void print_statuses(const char *text) {
    char *rest;
    for (uint64_t pointer; (pointer = strtoul(text, &rest, 10)); text = rest)
        printf("%d ", *(const int *)((const char *)real(pointer) - 24));
    printf("\n");
}

static void touch_memory(char name, const uint64_t *numbers) {
    unsigned char *bytes = real(numbers[0]);
    if (name == 'w')
        for (uint64_t i = 0; i < numbers[1]; i++) bytes[i] = pattern(numbers[2] + i);
    printf("%d\n", name == 'z' ? is_zero(bytes, numbers[1]) : holds(bytes, numbers[1], numbers[2]));
}

static void obey(char *line) {
    char name = line[0], *rest = line + 1;
    uint64_t numbers[5] = {0};
    if (name == 'h') {
        print_statuses(rest);
        return;
    }
    for (int i = 0; i < 5; i++) numbers[i] = strtoull(rest, &rest, 10);
    if (name == 's') {
        break_was_asked = 1;
        set_break(program_break + numbers[0]);
        printf("\n");
    } else if (strchr("mcrf", name)) {
        call_function(name, numbers);
    } else {
        touch_memory(name, numbers);
    }
}

int main(void) {
    area = map_at(NULL, HEAP_AREA + MAPPINGS_AREA, PROT_NONE);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        obey(line);
        fflush(stdout);
    }
    free(line);
    return 0;
}
