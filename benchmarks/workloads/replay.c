/* The memory calls of a graphical system process (the trace that `snug demo` plays), one after the other,
 * over and over. Stands for the mix of sizes and lifetimes of a real program, without the program.
 *
 * `replay AMOUNT FILE`: FILE is what benchmarks/catalogue.py made of the trace. The first and last byte
 * and one in each page is written. */
#include "workload.h"

#include <sys/mman.h>

enum { MALLOC, CALLOC, REALLOC, MEMALIGN, FREE, FREE_NULL }; /* as in snugmalloc.replay */
enum { CHUNK = 4096 };                                       /* calls read at a time: the file is not resident */

typedef struct {
    uint32_t kind : 3, place : 29, number;
    uint64_t size;
} Call;

static void play(const Call *call, char **places)
{
    char **place = &places[call->place];
    size_t size = call->size;

    switch (call->kind) {
    case MALLOC: *place = checked(malloc(size)); break;
    case CALLOC: *place = checked(calloc(call->number, size)); return;
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
    if (size)
        touch(*place, size);
}

int main(int count, char **words)
{
    static Call calls[CHUNK];
    int file = count == 3 ? open(words[2], O_RDONLY) : -1;
    const size_t most = (size_t)1 << 29; /* places: only those used become resident */
    char **places = mmap(NULL, most * sizeof *places, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t used = 0;
    ssize_t length;

    if (file < 0 || places == MAP_FAILED)
        return 2;
    for (size_t pass = share(count, words, 200); pass; pass--) {
        lseek(file, 0, SEEK_SET);
        while ((length = read(file, calls, sizeof calls)) > 0)
            for (size_t i = 0; i < (size_t)length / sizeof *calls; i++) {
                play(&calls[i], places);
                used = calls[i].place >= used ? calls[i].place + 1 : used;
            }
        for (size_t i = 0; i < used; i++) {
            free(places[i]);
            places[i] = NULL;
        }
    }
    return 0;
}
