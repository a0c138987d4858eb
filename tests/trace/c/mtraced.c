/* A few calls for mtrace to write down. */
#include <mcheck.h>
#include <stdlib.h>

int main(void) {
    mtrace();
    void *block = malloc(4321);
    block = realloc(block, 54321);
    free(block);
    free(calloc(3, 5));
    muntrace();
    return 0;
}
