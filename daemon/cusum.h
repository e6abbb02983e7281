/* The detector that accumulates, as a loop keeps it: begun anew with every version that takes over, taken on by one
 * window with each iteration, and stored with it in one transaction, to the bit.
 */
#ifndef DAEMON_CUSUM_H
#define DAEMON_CUSUM_H

#include <stdint.h>

#include <jansson.h>

#include "base/pool.h"
#include "model/model.h"
#include "model/observables.h"
#include "stat/cusum.h"

struct cusum {
    int version;      /* that it watches over */
    uint32_t columns; /* CRC-32C of the columns' names and expressions: others begin anew */
    struct tw_cusum state;
};

/* What it begins with. */
struct cusum_subject {
    int version;
    const struct tw_model *model;
    const struct tw_observables *observables;
    const struct tw_data *reference; /* acceptance reference, without and with observables */
    const struct tw_data *extended;
};

/* A new one: `cusum` once more if it is about this subject, else begun on it. cusum may be NULL. */
int cusum_follow(const struct cusum *cusum, const struct cusum_subject *subject, const struct tw_kernels *kernels,
                 struct tw_pool *pool, struct cusum **out, struct tw_error *error);
void cusum_free(struct cusum *cusum); /* accepts NULL */
/* The model's log-likelihood of each row, malloc'd; *out stays NULL if it has none. */
int cusum_log_prob(const struct tw_model *model, const struct tw_data *data, const struct tw_kernels *kernels,
                   struct tw_pool *pool, double **out);

/* {"version", "columns", "state": base64}; NULL when memory is out. */
json_t *cusum_json(const struct cusum *cusum);
/* NULL: the JSON holds none that can be read, and the detector begins anew. */
struct cusum *cusum_from_json(const json_t *json);

#endif
