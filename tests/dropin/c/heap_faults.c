/* One fault with private heaps, by its name: heap_faults NAME. What is told then stands in test_private_heaps.py. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snugmalloc.h"

#define IS(name) (strcmp(fault, name) == 0)

int main(int count, char **words)
{
    const char *fault = count > 1 ? words[1] : "";
    snug_heap_t *heap = snug_heap_create(0, "heap"), *other = snug_heap_create(0, "other"), *gone = snug_heap_create(0, "");
    char *block = snug_heap_malloc(heap, 2000), *behind = snug_heap_malloc(heap, 2000);
    char *paged = snug_heap_malloc(heap, 300000), *mapping = snug_heap_malloc(heap, 40 << 20);
    char *of_other = snug_heap_malloc(other, 2000), *lost = snug_heap_malloc(gone, 2000);
    char *mapping_of_other = snug_heap_malloc(other, 40 << 20), *lost_mapping = snug_heap_malloc(gone, 40 << 20);
    char *small = malloc(100), *large = malloc(40 << 20), local[64];

    memset(block, 0, 2000);
    snug_heap_destroy(gone);
    if (IS("other")) snug_heap_free(heap, of_other);
    else if (IS("other-mapping")) snug_heap_free(heap, mapping_of_other);
    else if (IS("other-realloc")) block = snug_heap_realloc(heap, of_other, 5000);
    else if (IS("mallocs")) snug_heap_free(heap, small);
    else if (IS("mallocs-mapping")) snug_heap_free(heap, large);
    else if (IS("mallocs-realloc")) block = snug_heap_realloc(heap, small, 5000);
    else if (IS("stack")) snug_heap_free(heap, local);
    else if (IS("heap")) snug_heap_free(heap, heap);
    else if (IS("twice")) { snug_heap_free(heap, block); snug_heap_free(heap, block); }
    else if (IS("twice-by-free")) { free(block); free(block); }
    else if (IS("twice-paged")) { snug_heap_free(heap, paged); snug_heap_free(heap, paged); }
    else if (IS("twice-paged-by-free")) { free(paged); free(paged); }
    else if (IS("twice-mapping")) { snug_heap_free(heap, mapping); snug_heap_free(heap, mapping); }
    else if (IS("twice-mapping-by-free")) { free(mapping); free(mapping); }
    else if (IS("twice-realloc")) { snug_heap_free(heap, block); block = snug_heap_realloc(heap, block, 9000); }
    else if (IS("twice-usable")) { snug_heap_free(heap, block); return (int)malloc_usable_size(block); }
    else if (IS("odd")) snug_heap_free(heap, block + 8);
    else if (IS("odd-by-free")) free(block + 8);
    else if (IS("odd-realloc")) block = snug_heap_realloc(heap, block + 8, 100);
    else if (IS("odd-usable")) return (int)malloc_usable_size(block + 8);
    else if (IS("middle")) snug_heap_free(heap, block + 160);
    else if (IS("middle-by-free")) free(block + 160);
    else if (IS("middle-mapping")) snug_heap_free(heap, mapping + 16);
    else if (IS("middle-mapping-by-free")) free(mapping + 16);
    else if (IS("middle-mapping-realloc")) mapping = realloc(mapping + 16, 100);
    else if (IS("page-of-mapping")) snug_heap_free(heap, mapping + (1 << 20));
    else if (IS("lost")) snug_heap_free(heap, lost);
    else if (IS("lost-by-free")) free(lost);
    else if (IS("lost-mapping-by-free")) free(lost_mapping);
    else if (IS("destroyed-twice")) snug_heap_destroy(gone);
    else if (IS("destroyed-block")) snug_heap_destroy((snug_heap_t *)block);
    else if (IS("overrun")) { memset(block, 1, malloc_usable_size(block) + 8); snug_heap_free(heap, block); }
    else return 2;
    snug_heap_free(heap, behind);
    return 0;
}
