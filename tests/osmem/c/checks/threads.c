/* Threads allocate, resize and free each other's blocks, and fork in between; every block keeps its bytes. */
#include "block.h"
#include <pthread.h>
#include <sys/wait.h>

#define THREADS 4
#define SLOTS 64
#define CALLS 40000
#define CALLS_A_FORK 10000

struct slot {
    pthread_mutex_t lock;
    unsigned char *pointer;
    size_t size;
};

static struct slot slots[SLOTS];

static uint64_t draw(uint64_t *state, uint64_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static size_t draw_size(uint64_t *state) { return 1 + draw(state, draw(state, 500) ? 700 : 140000); }

static unsigned char value_of(const struct slot *slot) { return (unsigned char)(slot - slots + 1); }

static void refill(struct slot *slot, size_t size) {
    size_t kept = size < slot->size ? size : slot->size;
    unsigned char *pointer = os_realloc(slot->pointer, size);
    assert(pointer && all_are(pointer, kept, value_of(slot)));
    memset(pointer, value_of(slot), size);
    slot->pointer = pointer;
    slot->size = size;
}

static void empty(struct slot *slot) {
    assert(all_are(slot->pointer, slot->size, value_of(slot)));
    os_free(slot->pointer);
    slot->pointer = NULL;
    slot->size = 0;
}

static void use_slot(struct slot *slot, uint64_t *state) {
    pthread_mutex_lock(&slot->lock);
    if (slot->pointer && draw(state, 2)) empty(slot);
    else refill(slot, draw_size(state));
    pthread_mutex_unlock(&slot->lock);
}

static void fork_a_child(void) {
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        void *pointer = os_realloc(os_calloc(100, 30), 9000);
        assert(pointer && all_are(pointer, 3000, 0) && os_check() == OS_CHECK_OK);
        os_free(pointer);
        _exit(0);
    }
    int status;
    assert(waitpid(child, &status, 0) == child && status == 0);
}

static void *work(void *number) {
    uint64_t state = (uintptr_t)number;
    for (int i = 1; i <= CALLS; i++) {
        use_slot(&slots[draw(&state, SLOTS)], &state);
        if (i % CALLS_A_FORK == 0) fork_a_child();
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < SLOTS; i++) pthread_mutex_init(&slots[i].lock, NULL);
    for (uintptr_t i = 0; i < THREADS; i++) assert(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert(os_check() == OS_CHECK_OK);
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].pointer) empty(&slots[i]);
    os_stats_t stats = stats_now();
    assert(stats.live_blocks == 0 && stats.mapped_blocks == 0 && os_check() == OS_CHECK_OK);
    return 0;
}
