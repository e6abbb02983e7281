/* Times as the outside sees them. */
#include <stdio.h>
#include <time.h>

#include "daemon/clock.h"

int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

char *clock_rfc3339(int64_t ms, char out[32])
{
    int64_t second = ms / 1000, rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        second--;
    }
    time_t time = (time_t)second;
    struct tm tm;
    char date[24] = "";
    if (gmtime_r(&time, &tm))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 32, "%s.%03dZ", date, (int)rest);
    return out;
}
