/* os_stats, os_walk and os_check: what they report, and that they change nothing. */
#include "block.h"

struct seen {
    int count, limit;
    void *addresses[8];
    int statuses[8];
};

static int note(void *address, size_t size, int status, void *context) {
    struct seen *seen = context;
    assert(size == size_of(address) && status == status_of(address));
    seen->addresses[seen->count] = address;
    seen->statuses[seen->count++] = status;
    return seen->count == seen->limit;
}

static void check_walk(void *const *pointers) {
    struct seen seen = {.limit = 8};
    assert(os_walk(note, &seen) == 0 && seen.count == 5);
    for (int i = 0; i < 2; i++) assert(seen.addresses[i] == pointers[i]);
    assert(seen.statuses[0] == OS_LIVE && seen.statuses[1] == OS_FREE && seen.statuses[2] == OS_FREE);
    assert(seen.addresses[3] == pointers[3] && seen.addresses[4] == pointers[2]); /* newest first */
    struct seen first = {.limit = 1};
    assert(os_walk(note, &first) == 1 && first.count == 1);
}

static void check_stats(void) {
    os_stats_t stats = stats_now();
    assert(stats.live_bytes == 104 && stats.live_blocks == 1 && stats.free_blocks == 2);
    assert(stats.heap_bytes == 0x20000 && stats.live_bytes + stats.free_bytes + 3 * 32 == stats.heap_bytes);
    assert(stats.mapped_blocks == 2 && stats.mapped_bytes == 500000);
    assert(stats.system_bytes == stats.heap_bytes + stats.mapped_bytes + 2 * 32);
    assert(stats.brk_calls == 2 && stats.mmap_calls == 3 && stats.munmap_calls == 1);
    assert(stats.splits == 2 && stats.coalescings == 0 && stats.ignored_frees == 0);
    assert(os_check() == OS_CHECK_OK);
    os_stats_t again = stats_now();
    assert(memcmp(&stats, &again, sizeof stats) == 0);
}

static void check_stats_of_an_older_program(void) {
    os_stats_t stats;
    memset(&stats, 0xff, sizeof stats);
    os_stats(&stats, 2 * sizeof(size_t));
    assert(stats.live_blocks == 1 && stats.free_bytes == SIZE_MAX);
    char larger[sizeof stats + 8];
    memset(larger, 0x55, sizeof larger);
    os_stats((os_stats_t *)larger, sizeof larger);
    assert(larger[sizeof stats] == 0x55);
}

int main(void) {
    void *pointers[] = {os_malloc(100), os_malloc(200), os_malloc(200000), os_malloc(300000)};
    os_free(pointers[1]);
    os_free(os_malloc(400000));
    check_walk(pointers);
    check_stats();
    check_stats_of_an_older_program();
    return 0;
}
