/* Comparing a window: drift against the acceptance reference, fidelity of the champion's samples, as the statistics
 * of an iteration; and where there is an alarm, what it is about.
 */
#ifndef DAEMON_COMPARE_H
#define DAEMON_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/pool.h"
#include "daemon/cusum.h"
#include "daemon/registry.h"
#include "daemon/window.h"
#include "daemon/distance.h"
#include "model/data.h"

struct comparison {
    bool drift;
    json_t *statistics;         /* array, as in an iteration */
    json_t *alarms;             /* names of what raised the alarm: "c2st", "ks j1_m", ... */
    json_t *no_judgement;       /* array of {"name", "reason"}: detectors that these rows are unfit for */
    uint64_t change;            /* if drift: ordinal of the first batch after the estimated change point */
    uint64_t rows;              /* rows of the window, invalid ones included */
    uint64_t rows_since_change; /* if drift: the same since `change` */
    struct distance distance;   /* of the window from the version that people named as reference */
    size_t left_out;            /* valid rows of the window for which memory-mb has no room: the oldest */
    json_t *drifted;            /* if drift: what changed, as in finding.h */
    struct cusum *cusum;        /* the detector that accumulates after this window; NULL: it does not run */
    json_t *lost;               /* ordinals of the window that the spool has lost, as window_read; NULL: none */
    bool skipped;               /* so many that nothing can be said; `reason` is a sentence */
    char reason[160];
};

struct compare_input {
    struct twin *twin;
    struct snapshot *champion;
    struct snapshot *reference_version; /* what alias `reference` names; may be NULL */
    const struct tw_data *reference;    /* its acceptance reference; NULL: none is to be had */
    const struct tw_data *acceptance;   /* the champion's acceptance reference */
    struct tw_observables *observables; /* as they are declared now */
    struct loop_policy policy;
    struct window window;
    const struct cusum *cusum; /* before this window; NULL: none yet */
    uint64_t accepted_next;    /* first ordinal after what the champion was accepted on */
    uint64_t earliest_change;  /* how far back the change point may lie; <= window.first */
    uint64_t seed;
};

int compare_window(const struct compare_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                   struct comparison *out, struct tw_error *error);
void compare_fini(struct comparison *comparison);

#endif
