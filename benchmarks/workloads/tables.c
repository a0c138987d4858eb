/* Sparse tables: 12 tables of 1 to 64 MiB (log-uniform) from calloc; in each one entry for every 64 pages
 * is written, a few in a row now and then; a random table is freed and another one taken. Stands for hash
 * tables, bitmaps and sparse matrices that are sized for the worst case: pages that nobody wrote should
 * cost nothing, neither to clear nor to hold. Every entry must be 0 when the table is new. */
#include "workload.h"

enum { TABLES = 12, SPARSE = 64 * 4096 / sizeof(uint64_t), ROW = 8 };

/* Writes `number` into entries of a table, which holds nothing but that and zeros. */
static void use(uint64_t *table, size_t entries, uint64_t number, Random *random)
{
    for (size_t left = entries / SPARSE; left; left--) {
        size_t at = below(random, entries - ROW), row = below(random, 4) ? 1 : ROW;
        for (size_t i = 0; i < row; i++) {
            if (table[at + i] && table[at + i] != number)
                abort();
            table[at + i] = number;
        }
    }
}

int main(int count, char **words)
{
    static uint64_t *tables[TABLES];
    Random random = {8};

    for (size_t left = share(count, words, 2000); left; left--) {
        size_t at = below(&random, TABLES), entries = doubling_size(&random, 20, 26) / sizeof(uint64_t);
        free(tables[at]);
        tables[at] = (uint64_t *)checked(calloc(entries, sizeof(uint64_t)));
        use(tables[at], entries, left, &random);
    }
    tell_resident("tables");
    for (size_t i = 0; i < TABLES; i++)
        free(tables[i]);
    tell_resident("end");
    return 0;
}
