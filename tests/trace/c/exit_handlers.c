/* Registers functions for the end of the process without an end: each 32nd time libc allocates under its own lock. */
#include <stdlib.h>
#include <unistd.h>

static void nothing(void) {}

int main(void) {
    for (long count = 0;; count++) {
        if (atexit(nothing)) return 1;
        if (count % 2000 == 0) usleep(500);
    }
}
