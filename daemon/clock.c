/* Times as the outside sees them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"

int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double clock_monotonic(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double clock_coarse(void)
{
    return seconds_of(CLOCK_MONOTONIC_COARSE);
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

bool clock_parse(const char *text, int64_t *ms)
{
    struct tm tm = {0};
    int used = 0, hours, minutes;
    if (strlen(text) < 20 ||
        sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &used) != 6 ||
        used != 19)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 23 ||
        tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60 || tm.tm_year < 1970)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ms = (int64_t)timegm(&tm) * 1000;
    text += used;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");
        if (digits == 0)
            return false;
        for (size_t i = 0, scale = 100; i < 3 && i < digits; i++, scale /= 10)
            *ms += (int64_t)((size_t)(text[1 + i] - '0') * scale);
        text += 1 + digits;
    }
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 ||
        text[6] != '\0' || hours > 23 || minutes > 59)
        return false;
    *ms -= (*text == '-' ? -1 : 1) * (hours * 60LL + minutes) * 60000;
    return true;
}
