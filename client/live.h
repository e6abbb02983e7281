/* twinctl watch on a terminal: the view of a twin, kept up to date, until a key or a signal ends it. */
#ifndef CLIENT_LIVE_H
#define CLIENT_LIVE_H

#include <stdint.h>

struct cli;

struct live_options {
    const char *twin; /* NULL: the first there is */
    double interval;  /* seconds between two looks */
    int64_t count;    /* end after so many new windows, 0: never */
    int64_t last;     /* windows from before that are shown, -1: all that fit */
};

int live_run(struct cli *cli, const struct live_options *options);

#endif
