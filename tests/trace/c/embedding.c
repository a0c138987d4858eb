/* Loads an interpreter, runs a program in it, ends it, and unloads it, several times, while another thread allocates.
 *
 *     embedding LIBRARY SOURCE ROUNDS [keep]   keep: it is not unloaded, and begins again in the same library
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool has_ended;
static atomic_ulong blocks;

static void allocate(size_t count) {
    for (size_t at = 0; at < count; at++) {
        void *volatile block = malloc(100);
        free(block);
        blocks++;
    }
}

static void *work(void *unused) {
    while (!has_ended) allocate(1);
    return unused;
}

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    return found;
}

int main(int count, char **words) {
    pthread_t other;
    void *library = NULL;
    if (count < 4) return 2;
    pthread_create(&other, NULL, work, NULL);
    for (int round = atoi(words[3]); round > 0; round--) {
        if (!library) library = dlopen(words[1], RTLD_NOW | RTLD_GLOBAL);
        if (!library) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        ((void (*)(void))find(library, "Py_Initialize"))();
        int status = ((int (*)(const char *))find(library, "PyRun_SimpleString"))(words[2]);
        if (status != 0 || ((int (*)(void))find(library, "Py_FinalizeEx"))() != 0) return 3;
        if (count < 5) {
            dlclose(library);
            library = NULL;
        }
        unsigned long before = blocks;
        allocate(20000);
        while (blocks < before + 30000) {} /* the other thread has allocated since */
    }
    has_ended = 1;
    pthread_join(other, NULL);
    return 0;
}
