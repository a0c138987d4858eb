/* Allocates from a chain of calls that is known, in one of several ways. Built with and without frame pointers. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define SIZE 70001
#define FAR __attribute__((noinline, noipa))

static void *kept[16];

FAR void innermost(int way) {
    switch (way) {
        case 0: kept[0] = malloc(SIZE); break;
        case 1: kept[1] = calloc(1, SIZE); break;
        case 2: kept[2] = realloc(NULL, SIZE); break;
        case 3: kept[3] = aligned_alloc(64, SIZE + 63 & ~63); break;
        case 4: kept[4] = realloc(kept[4] ? kept[4] : malloc(64), SIZE); break;
    }
    __asm__ volatile("" : : : "memory");
}
FAR void middle(int way) {
    innermost(way);
    __asm__ volatile("" : : : "memory");
}
FAR void outer(int way) {
    middle(way);
    __asm__ volatile("" : : : "memory");
}
static FAR void only_here(int way) { /* in no table of dynamic symbols */
    outer(way);
    __asm__ volatile("" : : : "memory");
}

FAR static void *thread(void *ways) {
    for (int way = 0; way < (int)(intptr_t)ways; way++) only_here(way);
    return NULL;
}

static FAR void handle(int number) {
    (void)number;
    kept[5] = malloc(SIZE + 500);
    __asm__ volatile("" : : : "memory");
}

/* The frame pointer leads to what is given, while malloc is called. */
#if defined __x86_64__
FAR static void with_frame_pointer(uintptr_t value) {
    void *block;
    __asm__ volatile("mov %%rsp, %%r12\n sub $128, %%rsp\n and $-16, %%rsp\n push %%rbp\n push %%rbp\n"
                     "mov %1, %%rbp\n call malloc@PLT\n pop %%rbp\n pop %%rbp\n mov %%r12, %%rsp\n"
                     : "=a"(block)
                     : "r"(value), "D"((size_t)SIZE)
                     : "r12", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    kept[6] = block;
}
FAR static void garbage(void) {
    uintptr_t here[64];
    memset(here, 0, sizeof here);
    uintptr_t top = (uintptr_t)here;
    for (int at = 0; at < 64; at++) here[at] = top + (uintptr_t)(at * 8 + 1); /* chains that are not aligned */
    for (int step = 0; step < 2000; step++) {
        uintptr_t values[] = {0, 1, 8, ~(uintptr_t)0, top, top + 8, top + 1, top - 64, (uintptr_t)&kept, 0x7fffffffe000,
                              (uintptr_t)random() << 12 ^ (uintptr_t)random(), top + ((uintptr_t)random() & 0xfffff8)};
        here[0] = top + 16;
        here[2] = top + 16 + 8 * (uintptr_t)(random() % 5); /* leads to itself, or up */
        here[3] = (uintptr_t)random();
        with_frame_pointer(values[step % (int)(sizeof values / sizeof *values)]);
        free(kept[6]);
    }
}
#else
static void with_frame_pointer(uintptr_t value) { (void)value; }
static void garbage(void) {}
#endif

/* ---- Stacks that the program makes for itself ---- */

enum { STACK = 16 * 65536 };

static ucontext_t starter, started;

static void run_on(void *stack, void (*function)(void)) {
    getcontext(&started);
    started.uc_stack.ss_sp = stack;
    started.uc_stack.ss_size = STACK;
    started.uc_link = &starter;
    makecontext(&started, function, 0);
    swapcontext(&starter, &started);
}

static FAR void coroutine(void) {
    only_here(0);
    __asm__ volatile("" : : : "memory");
}

/* Two stacks, `above` directly above `below`, and that of a thread above a page that guards it. */
static char *below, *above;
enum { GUARD = 65536 };

static char *map_stacks(void) {
    below = mmap(NULL, 3 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (below == MAP_FAILED) abort();
    above = below + STACK;
    mprotect(above + STACK, GUARD, PROT_NONE);
    return above + STACK + GUARD;
}

/* Both are there when the stack is first looked at; then one is unmapped, or not to be read. */
static void unmap_another(void) {
    kept[7] = malloc(SIZE);
    for (uintptr_t page = 0; page < STACK; page += 4096) with_frame_pointer((uintptr_t)above + page + 64);
    mprotect(above, STACK / 2, PROT_NONE);
    munmap(above + STACK / 2, STACK / 2);
    for (uintptr_t page = 0; page < STACK + GUARD; page += 4096) with_frame_pointer((uintptr_t)above + page + 64);
}


static void unmap_in_handler(int number) {
    (void)number;
    unmap_another();
}

static void *switch_stacks(void *unused) {
    run_on(below, unmap_another);
    munmap(below, STACK);
    for (uintptr_t page = 0; page < STACK; page += 4096) with_frame_pointer((uintptr_t)below + page + 64);
    map_stacks();
    stack_t other = {.ss_sp = below, .ss_size = STACK};
    sigaltstack(&other, NULL);
    struct sigaction action = {.sa_handler = unmap_in_handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    kept[8] = malloc(SIZE);
    return unused;
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "calls";
    if (strcmp(mode, "thread") == 0) {
        pthread_t made;
        pthread_create(&made, NULL, thread, (void *)5);
        pthread_join(made, NULL);
    } else if (strcmp(mode, "signal") == 0) {
        signal(SIGUSR1, handle);
        static char stack[1 << 16];
        stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
        sigaltstack(&other, NULL);
        struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
        raise(SIGUSR1);
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
    } else if (strcmp(mode, "coroutine") == 0) {
        map_stacks();
        run_on(below, coroutine);
    } else if (strcmp(mode, "switching") == 0) {
        map_stacks();
        switch_stacks(NULL);
    } else if (strcmp(mode, "switching thread") == 0) {
        pthread_t made;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstack(&attributes, map_stacks(), STACK - GUARD);
        pthread_create(&made, &attributes, switch_stacks, NULL);
        pthread_join(made, NULL);
    } else if (strcmp(mode, "garbage") == 0) {
        garbage();
    } else {
        for (int way = 0; way < 5; way++) only_here(way);
    }
    return 0;
}
