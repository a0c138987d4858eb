/* `filled SIZE`: what a byte in the middle of a block reads as, fresh from malloc, from calloc, and once freed. */
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words)
{
    size_t size = count > 1 ? strtoul(words[1], NULL, 10) : 0;
    char *keep = malloc(size), *behind;
    volatile unsigned char *fresh = malloc(size), *cleared = calloc(1, size);

    behind = malloc(size);
    int first = fresh[size / 2], zero = cleared[size / 2];
    free((void *)fresh);
    printf("fresh %02x, cleared %02x, freed %02x\n", first, zero, fresh[size / 2]);
    free(keep);
    free(behind);
    free((void *)cleared);
    return 0;
}
