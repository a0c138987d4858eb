/* One fault, by its name: `faults NAME`. What must happen with SNUG_HARDEN=1 stands in test_hardened.py. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define IS(name) (strcmp(fault, name) == 0)

static void free_twice(size_t size)
{
    void *other = malloc(size), *pointer = malloc(size);
    free(pointer);
    free(pointer);
    free(other);
}

int main(int count, char **words)
{
    const char *fault = count > 1 ? words[1] : "";
    char *small = malloc(48), *block = malloc(2000), *behind = malloc(2000), *large = malloc(1000000);
    int local = 0;

    if (IS("twice-small")) free_twice(48);
    else if (IS("twice-block")) free_twice(2000);
    else if (IS("twice-large")) free_twice(1000000);
    else if (IS("twice-realloc")) { free(block); block = realloc(block, 2100); }
    else if (IS("middle-small")) free(small + 16);
    else if (IS("middle-block")) { memset(block, 0, 700); free(block + 160); }
    else if (IS("middle-large")) free(large + 4096);
    else if (IS("odd")) free(block + 1);
    else if (IS("stack")) free(&local);
    else if (IS("no-address")) free((void *)((uintptr_t)block | (uintptr_t)1 << 60));
    else if (IS("unmapped")) free((void *)(uintptr_t)0x123450);
    else if (IS("overrun")) { memset(block, 1, malloc_usable_size(block) + 8); free(block); }
    else return 2;
    free(behind);
    return 0;
}
