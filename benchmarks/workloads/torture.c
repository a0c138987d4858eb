/* Fragmentation torture: blocks of log-normal size (median 256 bytes, 16 B to 64 KiB) until 344 MB live;
 * 90 % are freed at random; filled again to 344 MB with blocks four times as large; 90 % freed at random;
 * and so on, eight times. Stands for caches whose contents change their shape. All of every block is
 * written. Tells what is resident at each stage the first time: memory that holds nothing should have come
 * back. */
#include "workload.h"

#include <math.h>

enum { LEAST = 16, MOST = 65536, SLOTS = 1 << 20, TABLE = 1 << 16 };

static const size_t FULL = 344000000;
static const double MEDIAN = 256, DEVIATION = 1.5; /* of the logarithm */

static char *slots[SLOTS];
static uint32_t sizes[SLOTS], table[TABLE];
static size_t live_blocks, live_bytes;
static Random source = {6};

/* Log-normal sizes around `median`, once and for all: the exponential would cost more than malloc. */
static void make_table(double median)
{
    const double turn = 6.283185307179586, scale = 18446744073709551616.0;

    for (size_t i = 0; i < TABLE; i++) {
        double radius = sqrt(-2 * log(((double)next_random(&source) + 1) / scale));
        double size = median * exp(DEVIATION * radius * cos(turn * ((double)next_random(&source) / scale)));
        table[i] = (uint32_t)fmin(fmax(size, LEAST), MOST);
    }
}

static void put(size_t at)
{
    size_t size = table[below(&source, TABLE)];

    slots[at] = filled(size);
    sizes[at] = (uint32_t)size;
    live_bytes += size;
}

static void drop(size_t at)
{
    free(slots[at]);
    live_bytes -= sizes[at];
}

static void fill(void)
{
    while (live_bytes < FULL) {
        if (live_blocks == SLOTS)
            abort();
        put(live_blocks++);
    }
}

static void drop_most(void)
{
    for (size_t left = live_blocks / 10 * 9; left; left--) {
        size_t at = below(&source, live_blocks--);
        drop(at);
        slots[at] = slots[live_blocks];
        sizes[at] = sizes[live_blocks];
    }
}

int main(int count, char **words)
{
    size_t times = share(count, words, 800) / 100;

    for (size_t time = 0; time < times; time++) {
        make_table(MEDIAN);
        fill();
        if (time == 0)
            tell_resident("filled");
        drop_most();
        if (time == 0)
            tell_resident("dropped");
        make_table(4 * MEDIAN);
        fill();
        if (time == 0)
            tell_resident("filled-again");
        drop_most();
        if (time == 0)
            tell_resident("dropped-again");
    }
    return 0;
}
