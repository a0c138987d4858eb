/* What a program may read in front of a pointer, and the bytes it may still read behind one. */
#include "block.h"

static void copy_header(char *header, const char *pointer) { memcpy(header, pointer - 32, 32); }

static void check_statuses(void) {
    char *heap = os_malloc(10), *mapped = os_malloc(200000);
    assert(size_of(heap) == 16 && status_of(heap) == OS_LIVE && (uintptr_t)heap % 8 == 0);
    assert(size_of(mapped) == 200000 && status_of(mapped) == OS_MAPPED);
    os_free(heap);
    assert(size_of(heap) == 16 && status_of(heap) == OS_FREE);
    os_free(mapped);
}

static void check_absorbed_header_says_free(void) {
    char *a = os_malloc(500), *b = os_malloc(500), *c = os_malloc(500), *end = os_malloc(8);
    os_free(c);
    os_free(b);
    os_free(a);
    void *elsewhere = os_malloc(4000);
    assert(size_of(a) == 3 * 504 + 2 * 32 && status_of(a) == OS_FREE);
    assert(status_of(b) == OS_FREE && status_of(c) == OS_FREE);
    os_free(elsewhere);
    os_free(end);
}

static void check_freed_payload_stays(void) {
    unsigned char *a = os_malloc(3000);
    char before[32];
    memset(a, 0x77, 3000);
    copy_header(before, (char *)a);
    void *end = os_malloc(8);
    unsigned char *moved = os_realloc(a, 6000);
    assert(moved != a && all_are(moved, 3000, 0x77) && all_are(a, 3000, 0x77));
    assert(memcmp(before, (char *)a - 32, 8) == 0 && status_of(a) == OS_FREE);
    os_free(moved);
    assert(all_are(moved, 3000, 0x77));
    os_free(end);
}

static void check_slack_is_copied(void) {
    unsigned char *a = os_malloc(72), *end = os_malloc(8);
    os_free(a);
    a = os_malloc(41); /* keeps all 72: what is left is too little */
    assert(size_of(a) == 72);
    memset(a, 0x31, 72);
    unsigned char *moved = os_realloc(a, 100);
    assert(moved != a && all_are(moved, 72, 0x31));
    os_free(moved);
    os_free(end);
}

int main(void) {
    check_statuses();
    check_absorbed_header_says_free();
    check_freed_payload_stays();
    check_slack_is_copied();
    assert(os_check() == OS_CHECK_OK);
    return 0;
}
