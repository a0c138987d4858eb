/* Many random calls; every block's bytes stay as the program wrote them, calloc's are zero. */
#include "block.h"

#define SLOTS 400
#define CALLS 60000

static unsigned char *pointers[SLOTS];
static size_t sizes[SLOTS];
static uint64_t state = 12345;

static uint64_t draw(uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static size_t draw_size(void) {
    uint64_t kind = draw(1000);
    if (kind == 0) return 120000 + draw(30000);
    if (kind < 20) return 1 + draw(8000);
    return 1 + draw(300);
}

static unsigned char value_of(int slot) { return (unsigned char)(slot * 7 + 1); }

static void keep(int slot, unsigned char *pointer, size_t size) {
    assert(pointer && size_of(pointer) >= size);
    pointers[slot] = pointer;
    sizes[slot] = size;
    memset(pointer, value_of(slot), size);
}

static void fill(int slot) {
    size_t size = draw_size();
    if (draw(3)) {
        keep(slot, os_malloc(size), size);
        return;
    }
    unsigned char *pointer = os_calloc(size, 1);
    assert(all_are(pointer, size, 0));
    keep(slot, pointer, size);
}

static void resize(int slot) {
    size_t size = draw_size(), kept = size < sizes[slot] ? size : sizes[slot];
    unsigned char *pointer = os_realloc(pointers[slot], size);
    assert(all_are(pointer, kept, value_of(slot)));
    keep(slot, pointer, size);
}

static void empty(int slot) {
    assert(all_are(pointers[slot], sizes[slot], value_of(slot)));
    os_free(pointers[slot]);
    pointers[slot] = NULL;
}

int main(void) {
    for (int i = 0; i < CALLS; i++) {
        int slot = (int)draw(SLOTS);
        if (!pointers[slot]) fill(slot);
        else if (draw(3)) empty(slot);
        else resize(slot);
        if (i % 5000 == 0) assert(os_check() == OS_CHECK_OK);
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (pointers[slot]) empty(slot);
    os_stats_t stats = stats_now();
    assert(stats.live_blocks == 0 && stats.mapped_blocks == 0 && os_check() == OS_CHECK_OK);
    return 0;
}
