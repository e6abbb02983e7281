/* Times as the outside sees them. */
#ifndef DAEMON_CLOCK_H
#define DAEMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_ms(void);       /* wall clock, milliseconds since 1970, UTC */
double clock_monotonic(void); /* seconds */
double clock_coarse(void);    /* the same, up to 10 ms behind, for a fifth of the time */
/* 2026-03-01T12:00:00.123Z; out holds 32 bytes; returns out. */
char *clock_rfc3339(int64_t ms, char out[32]);
/* RFC 3339 to milliseconds; false if it is none. */
bool clock_parse(const char *text, int64_t *ms);

#endif
