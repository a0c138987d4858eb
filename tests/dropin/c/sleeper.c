/* A program that fills and empties its heap at full speed and then sleeps without another call, and a child that it
 * forked does the same: what is resident after it, in MiB. With a helper thread memory goes back meanwhile.
 *
 *     sleeper      prints "parent MIB" and "child MIB"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { BLOCKS = 4000, SIZE = 20000, ROUNDS = 20, SLEEP = 2 };

static long resident_mib(void)
{
    long all, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE) >> 20;
}

static void fill_and_empty(void)
{
    static char *blocks[BLOCKS];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++)
            memset(blocks[i] = malloc(SIZE), 1, SIZE);
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
}

static void work_and_sleep(const char *who)
{
    fill_and_empty();
    sleep(SLEEP);
    printf("%s %ld\n", who, resident_mib());
    fflush(stdout);
}

int main(void)
{
    int status;

    work_and_sleep("parent");
    if (fork() == 0) {
        work_and_sleep("child");
        _exit(0);
    }
    CHECK(wait(&status) > 0 && status == 0);
    return failed_checks != 0;
}
