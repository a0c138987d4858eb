/* A program that knows what it allocates: how many blocks of each size, and how many of them are live at the end.
 *
 * usage: sampled THREADS STEPS SEED MODE
 *
 * Each thread allocates, resizes and frees blocks of the sizes below at random, most of them short-lived. Every block is
 * checked: aligned as it should be, zero after calloc, large enough, and with what was written to it. In the end
 *
 *     keep       the live blocks stay
 *     free       they are freed, half of them by another thread than their own
 *     chain      nothing of that: one block after the other is resized step by step, and stays
 *
 * and each size is told with the number of blocks that were allocated and that are live. */

#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 400
#define HOT 8
#define THREADS 16
#define CHAINS 3000

static const struct {
    size_t bytes;
    unsigned weight;
} kinds[] = {
    {17, 3000},   {33, 3000},   {101, 2000},  {523, 1000},  {1009, 1000},   {3001, 500},     {9001, 300},
    {16381, 100}, {16389, 100}, {20011, 100}, {100003, 40}, {1048579, 10}, {10485765, 1},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct {
    unsigned char *place;
    unsigned kind;
} Slot;

typedef struct {
    unsigned long random;
    unsigned long steps;
    unsigned long allocated[KINDS], live[KINDS];
    Slot slots[SLOTS];
} Worker;

static Worker workers[THREADS];

static void check(int is_right, const char *what) {
    if (is_right) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static unsigned long draw(Worker *worker, unsigned long below) {
    worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
    return (worker->random >> 33) % below;
}

static unsigned draw_kind(Worker *worker) {
    unsigned long sum = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) sum += kinds[kind].weight;
    unsigned long at = draw(worker, sum);
    unsigned kind = 0;
    while (at >= kinds[kind].weight) at -= kinds[kind++].weight;
    return kind;
}

static void write_ends(unsigned char *place, unsigned kind) {
    check(place != NULL, "no memory");
    check((uintptr_t)place % 16 == 0, "not aligned");
    check(malloc_usable_size(place) >= kinds[kind].bytes, "not all usable");
    place[0] = (unsigned char)(kind + 1);
    place[kinds[kind].bytes - 1] = (unsigned char)(kind + 1);
}

static void check_ends(const Slot *slot) {
    check(slot->place[0] == slot->kind + 1, "the first byte was overwritten");
    check(slot->place[kinds[slot->kind].bytes - 1] == slot->kind + 1, "the last byte was overwritten");
}

static void check_zero(const unsigned char *place) {
    size_t usable = malloc_usable_size((void *)place), step = usable > 65536 ? 511 : 1;
    for (size_t at = 0; at < usable; at += step) check(place[at] == 0, "not zero");
}

static void allocate(Worker *worker, Slot *slot) {
    static const size_t alignments[] = {32, 256, 4096, 65536};
    unsigned kind = draw_kind(worker);
    size_t bytes = kinds[kind].bytes, alignment = alignments[draw(worker, 4)];
    switch (draw(worker, 8)) {
    case 0:
        slot->place = calloc(1, bytes);
        check(slot->place != NULL, "no memory");
        check_zero(slot->place);
        break;
    case 1:
        slot->place = aligned_alloc(alignment, bytes);
        check((uintptr_t)slot->place % alignment == 0, "not aligned as asked for");
        break;
    case 2: slot->place = realloc(NULL, bytes); break;
    default: slot->place = malloc(bytes);
    }
    write_ends(slot->place, kind);
    slot->kind = kind;
    worker->allocated[kind]++;
    worker->live[kind]++;
}

static void resize(Worker *worker, Slot *slot, unsigned kind) {
    check_ends(slot);
    slot->place = realloc(slot->place, kinds[kind].bytes);
    check(slot->place != NULL && slot->place[0] == slot->kind + 1, "not copied");
    write_ends(slot->place, kind);
    worker->live[slot->kind]--;
    worker->live[kind]++;
    worker->allocated[kind]++;
    slot->kind = kind;
}

static void release(Worker *worker, Slot *slot) {
    check_ends(slot);
    free(slot->place);
    worker->live[slot->kind]--;
    slot->place = NULL;
}

static void *play(void *argument) {
    Worker *worker = argument;
    for (unsigned long step = 0; step < worker->steps; step++) {
        Slot *slot = &worker->slots[draw(worker, 10) ? draw(worker, HOT) : draw(worker, SLOTS)];
        if (slot->place && draw(worker, 8) == 0) {
            resize(worker, slot, draw_kind(worker));
            continue;
        }
        if (slot->place) release(worker, slot);
        allocate(worker, slot);
    }
    return NULL;
}

static void *chain(void *argument) {
    Worker *worker = argument;
    for (int number = 0; number < CHAINS; number++) {
        Slot slot = {malloc(kinds[0].bytes), 0};
        write_ends(slot.place, 0);
        worker->allocated[0]++;
        worker->live[0]++;
        for (unsigned kind = 1; kind < 10; kind++) resize(worker, &slot, kind);
        if (number % 3 == 0)
            for (unsigned kind = 9; kind-- > (unsigned)number % 9;) resize(worker, &slot, kind);
        if (number % 3 == 1) check(realloc(slot.place, 0) == NULL, "not freed"), worker->live[slot.kind]--;
    }
    return NULL;
}

static void *release_half(void *argument) {
    Worker *worker = argument;
    for (int number = 0; number < SLOTS; number += 2)
        if (worker->slots[number].place) release(worker, &worker->slots[number]);
    return NULL;
}

int main(int count, char **arguments) {
    check(count == 5, "usage: sampled THREADS STEPS SEED MODE");
    int threads = atoi(arguments[1]);
    check(threads >= 1 && threads <= THREADS, "too many threads");
    const char *mode = arguments[4];
    pthread_t started[THREADS];
    for (int number = 0; number < threads; number++) {
        workers[number].random = strtoul(arguments[3], NULL, 10) * 1000003 + (unsigned)number;
        workers[number].steps = strtoul(arguments[2], NULL, 10);
        pthread_create(&started[number], NULL, strcmp(mode, "chain") ? play : chain, &workers[number]);
    }
    for (int number = 0; number < threads; number++) pthread_join(started[number], NULL);
    if (strcmp(mode, "free") == 0) {
        for (int number = 0; number < threads; number++)
            pthread_create(&started[number], NULL, release_half, &workers[number]);
        for (int number = 0; number < threads; number++) pthread_join(started[number], NULL);
        for (int number = 0; number < threads * SLOTS; number++) {
            Worker *worker = &workers[number / SLOTS];
            if (worker->slots[number % SLOTS].place) release(worker, &worker->slots[number % SLOTS]);
        }
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        unsigned long allocated = 0, live = 0;
        for (int number = 0; number < threads; number++) {
            allocated += workers[number].allocated[kind];
            live += workers[number].live[kind];
        }
        printf("%zu %lu %lu\n", kinds[kind].bytes, allocated, live);
    }
    return 0;
}
