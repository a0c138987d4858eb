/* How many processors the library believes it may use. */
#define _GNU_SOURCE
#define __dso_handle dso_handle_of_the_library
#include "machine.h"

#include <stdio.h>

int main(void) {
    printf("processors %lu\n", (unsigned long)machine_processors());
    return 0;
}
