/* A version against the champion: both are scored on rows that neither has seen.
 *
 * A retune is gated so (training.h), and, without a training, champions of the past (recall.h) and challengers that
 * more data may show to be better (appeal.h).
 */
#ifndef DAEMON_CONTEST_H
#define DAEMON_CONTEST_H

#include <jansson.h>

#include "base/pool.h"
#include "daemon/distance.h"
#include "daemon/registry.h"
#include "model/data.h"
#include "stat/gate.h"

struct contest { /* borrowed */
    struct registry *registry;
    const struct tw_kernels *kernels;
    struct tw_pool *pool;
    struct twin *twin;
    struct snapshot *champion;
    double min_gain;                 /* of the gate */
    double max_distance;             /* of the loop's policy; 0: no limit */
    const struct tw_data *reference; /* acceptance reference of alias `reference`; NULL: none is to be had */
    int reference_version;
};

/* The gate on the scores of the rows: `before` the champion's, `gains` the challenger's, of which it leaves the gains.
 */
int contest_judge(const struct tw_model *challenger, const struct tw_model *champion, const struct tw_data *rows,
                  const double *before, double min_gain, double level, double *gains, struct tw_gate *gate);
/* The champion's scores of the rows: before[rows]. */
int contest_begin(const struct contest *contest, const struct tw_data *rows, double *before);
/* The version's gate on them. Scratch: gains (rows). TW_NOT_FOUND: the version cannot be read. */
int contest_gate(const struct contest *contest, int version, double level, const struct tw_data *rows,
                 const double *before, double *gains, struct tw_gate *gate, struct tw_error *error);
/* How far the rows are from `reference`, where there is a limit; else *out stays as it is. */
int contest_distance(const struct contest *contest, const struct tw_data *rows, double level, struct distance *out);

/* {"version", "events", "gain", "error", "bound", "pass"} */
json_t *contest_json(int version, const struct tw_gate *gate);
/* The figures as a clause, and what stands against the version, if anything does. True if loop.max_distance does. */
bool contest_words(const struct contest *contest, int version, const struct tw_gate *gate,
                   const struct distance *distance, char *why, size_t size);

#endif
