/* One twin, followed: what the daemon says of it now, and the last windows and rates as curves. An iteration is kept as
 * a few numbers, so that a look asks only for what is new. */
#ifndef CLIENT_FOLLOW_H
#define CLIENT_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct rest;

enum { FOLLOW_POINTS = 240, FOLLOW_DETECTORS = 10, FOLLOW_FEEDS = 32 };

/* One window. */
struct follow_point {
    json_int_t iteration;
    bool drift;
    double toward[FOLLOW_DETECTORS]; /* how far each detector has gone: 0 nowhere, 1 an alarm; NaN: it did not judge */
    double fidelity, floor, error;   /* AUC of samples against data, NaN: none */
    double log_prob, log_prob_error;
    char time[40], decision[24], reason[240];
};

/* The entry of the last window that is nearest to an alarm. */
struct follow_detector {
    char name[32], feature[80];
    double value, p_value, threshold; /* NaN where it has none */
};

/* A feed over all its runs. */
struct follow_feed {
    char name[72], received[40]; /* when the last batch came */
    json_int_t run;              /* of that batch */
    json_int_t batches, events, invalid, gaps;
    double rate[FOLLOW_POINTS]; /* events a second between two looks, newest last */
    size_t rates;
};

struct follow {
    char twin[80];
    size_t most;                       /* windows from before the first look that are shown */
    json_t *state, *operation, *drift; /* as the daemon says; NULL: not known */
    struct follow_point point[FOLLOW_POINTS];
    size_t points;
    struct follow_detector detector[FOLLOW_DETECTORS];
    size_t detectors;
    struct follow_feed feed[FOLLOW_FEEDS];
    size_t feeds;
    double feeds_at;  /* when the feeds were asked for */
    double looked_at; /* when the daemon answered last; 0: never */
};

/* Begins anew. */
void follow_init(struct follow *follow, const char *twin, size_t most);
void follow_fini(struct follow *follow);

/* Asks the daemon; a cli_status, rest_problem says what went wrong. */
int follow_look(struct follow *follow, struct rest *rest);

/* The newest point, NULL: none. */
const struct follow_point *follow_last(const struct follow *follow);

#endif
