/* A training on its way from rows to a version: initial (`train`), a warm-started retune (`weights`), or weights on top
 * of the parent (`reweight`).
 *
 * It is a pure function of (definition, parent, champion, range of ordinals, seed, kernels): interrupted and begun
 * again it gives the same bytes.
 */
#ifndef DAEMON_TRAINING_H
#define DAEMON_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/pool.h"
#include "daemon/distance.h"
#include "daemon/registry.h"
#include "daemon/window.h"
#include "model/trainer.h"
#include "stat/gate.h"

struct training_input {
    struct twin *twin;
    struct snapshot *parent;   /* NULL: from scratch */
    struct snapshot *champion; /* has to be beaten; NULL: nothing has */
    struct window window;
    uint64_t seed;
    int epochs;    /* 0: the default */
    bool reweight; /* needs a parent */
    struct loop_policy policy;
    double level;              /* of its gate */
    bool sparing;              /* the level is shared with other tries: ask the gate only if there is hope */
    double replay;             /* share of the training's weight that `old` gets; 0: none */
    int old_version;           /* that was accepted on them */
    const struct tw_data *old; /* rows of before the window; borrowed until training_begin returns */
};

struct training;

/* "train", "weights" or "reweight": how the version came about. */
const char *training_cause(bool initial, bool reweight);

/* Reads the rows and prepares. TW_INVALID: too few rows, with a sentence. TW_BUSY: other trainings hold
 * the memory that there is; to be begun again later. */
int training_begin(const struct training_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                   struct training **out, struct tw_error *error);
void training_free(struct training *training);

/* About `seconds` of training. */
int training_step(struct training *training, struct tw_pool *pool, double seconds, bool *done);
double training_progress(const struct training *training);

/* What came out. Blobs are malloc'd and owned by the outcome. */
struct training_outcome {
    struct distance distance; /* of its rows from the version that people named as reference */
    struct tw_model *model;
    unsigned char *artifact;
    size_t artifact_size;
    unsigned char *reference; /* acceptance reference: the held-out rows of this data */
    size_t reference_size;
    double log_prob, log_prob_error; /* of the gate's rows under the model */
    bool gated;                      /* there was a champion */
    struct tw_gate hint;             /* sparing: the same on the rows that chose the epoch; never a reason to pass */
    bool asked;                      /* its gate; else it did not pass, and no level was spent */
    double level;                    /* of its gate; 0: not asked */
    struct tw_gate gate;
    json_t *metrics; /* of the version: no timings, so that equal inputs give equal rows */
    char reason[160];
};

/* reference: rows that version `reference_version` was accepted on; NULL: none are to be had. */
int training_finish(struct training *training, const struct tw_data *reference, int reference_version,
                    struct tw_pool *pool, struct training_outcome *out, struct tw_error *error);
void training_outcome_fini(struct training_outcome *outcome);

#endif
