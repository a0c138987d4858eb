/* The memory calls of a graphical system process (the trace that `snug demo` plays), one after the other,
 * over and over. Stands for the mix of sizes and lifetimes of a real program, without the program.
 *
 * `replay AMOUNT FILE`: FILE is what benchmarks/catalogue.py made of the trace. The first and last byte
 * and one in each page is written. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum { MALLOC, CALLOC, REALLOC, MEMALIGN, FREE, FREE_NULL }; /* as in snugmalloc.replay */

typedef struct {
    uint64_t kind, place, number, size;
} Call;

static void play(const Call *call, char **places)
{
    char **place = &places[call->place];
    size_t size = call->size;

    switch (call->kind) {
    case MALLOC: *place = checked(malloc(size)); break;
    case CALLOC: *place = checked(calloc(call->number, size)); size *= call->number; break;
    case REALLOC: *place = checked(realloc(*place, size ? size : 1)); break;
    case MEMALIGN: {
        void *block;
        size_t alignment = call->number < sizeof(void *) ? sizeof(void *) : call->number;
        if (posix_memalign(&block, alignment, size))
            abort();
        *place = checked(block);
        break;
    }
    case FREE: free(*place); *place = NULL; return;
    default: free(NULL); return;
    }
    if (size && call->kind != CALLOC)
        touch(*place, size);
}

int main(int count, char **words)
{
    struct stat status;
    int file = count == 3 ? open(words[2], O_RDONLY) : -1;

    if (file < 0 || fstat(file, &status))
        return 2;
    const Call *calls = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    size_t number = (size_t)status.st_size / sizeof *calls, most = 0;
    if (calls == MAP_FAILED)
        abort();
    for (size_t i = 0; i < number; i++)
        most = calls[i].place > most ? calls[i].place : most;
    char **places = mmap(NULL, (most + 1) * sizeof *places, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (places == MAP_FAILED)
        abort();
    for (size_t pass = share(count, words, 200); pass; pass--) {
        for (size_t i = 0; i < number; i++)
            play(&calls[i], places);
        for (size_t i = 0; i <= most; i++) {
            free(places[i]);
            places[i] = NULL;
        }
    }
    return 0;
}
