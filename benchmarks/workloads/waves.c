/* A day in a service: 24 hours of a tenth of a second, each some thousand requests and then a rest, as a
 * service waits for the next one; load rises to noon and falls to nothing at night. A request makes a few
 * dozen short-lived blocks; one in four leaves a session of a few KiB that lives for hours, one in ten an
 * entry in a cache that is emptied in the evening. Stands for services that run for months. Tells what is
 * resident at noon and at midnight, of three days. */
#include "workload.h"

#include <math.h>

enum { DAYS = 3, HOURS = 24, SESSIONS = 1 << 17, CACHE = 1 << 15, SCRATCH = 48, PARTS = 6 };

static const size_t BUSIEST = 60000; /* requests an hour */
static const size_t HOUR = 100000000; /* nanoseconds */

typedef struct {
    char *parts[PARTS];
    unsigned until; /* the hour in which it ends */
} Session;

static Session sessions[SESSIONS];
static char *cache[CACHE];
static size_t session_count, cached;
static Random source = {7};

static void request(unsigned hour)
{
    char *scratch[SCRATCH];
    size_t number = 8 + below(&source, SCRATCH - 8);

    for (size_t i = 0; i < number; i++)
        scratch[i] = obtain(doubling_size(&source, 4, i % 16 ? 9 : 15));
    if (below(&source, 4) == 0 && session_count < SESSIONS) {
        Session *session = &sessions[session_count++];
        for (int i = 0; i < PARTS; i++)
            session->parts[i] = obtain(doubling_size(&source, 5, 11));
        session->until = hour + 1 + (unsigned)below(&source, 4);
    }
    if (below(&source, 10) == 0 && cached < CACHE) {
        size_t size = doubling_size(&source, 8, 15);
        touch(cache[cached++] = checked(malloc(size)), size);
    }
    for (size_t i = 0; i < number; i++)
        free(scratch[i]);
}

static void end_sessions(unsigned hour)
{
    for (size_t i = 0; i < session_count;) {
        if (sessions[i].until > hour) {
            i++;
            continue;
        }
        for (int part = 0; part < PARTS; part++)
            free(sessions[i].parts[part]);
        sessions[i] = sessions[--session_count];
    }
}

/* Until `end`, as now() tells the time. */
static void rest(double end)
{
    double left = end - now();
    struct timespec pause = {0, left > 0 ? (long)(left * 1e9) : 0};

    nanosleep(&pause, NULL);
}

int main(int count, char **words)
{
    size_t busiest = share(count, words, BUSIEST);
    double hour_s = (double)share(count, words, HOUR) * 1e-9, begin = now();
    char stage[32];

    for (unsigned hour = 0; hour < DAYS * HOURS; hour++) {
        unsigned of_day = hour % HOURS;
        double load = (1 - cos(of_day * 2 * 3.141592653589793 / HOURS)) / 2;
        for (size_t left = (size_t)(load * (double)busiest); left; left--)
            request(hour);
        end_sessions(hour);
        if (of_day == 20)
            while (cached)
                free(cache[--cached]);
        rest(begin + hour_s * (hour + 1));
        if (of_day == 12 || of_day == 23) {
            snprintf(stage, sizeof stage, "day-%u-%s", hour / HOURS + 1, of_day == 12 ? "noon" : "midnight");
            tell_resident(stage);
        }
    }
    return 0;
}
