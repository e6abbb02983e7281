/* Weights on top of a version, from rows to a model and what there is to say about it (the `weights` of a version's
 * metrics; docs/http.md).
 */
#ifndef DAEMON_WEIGHTS_H
#define DAEMON_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/pool.h"
#include "daemon/registry.h"
#include "model/data.h"
#include "model/model.h"

struct weights;

/* Rows for which the share of trainings has room, and the bytes that so many take. */
size_t weights_rows(struct twin *twin);
size_t weights_bytes(struct twin *twin, size_t rows);

/* Learns from the training part of `data`. TW_INVALID with a sentence, as tw_reweight_new. */
int weights_begin(struct twin *twin, struct tw_model *parent, const struct tw_data *data, uint64_t seed,
                  const struct tw_kernels *kernels, struct tw_pool *pool, struct weights **out, struct tw_error *error);
void weights_free(struct weights *weights); /* accepts NULL */

int weights_step(struct weights *weights, struct tw_pool *pool, double seconds, bool *done);
double weights_progress(const struct weights *weights);

/* The model, and the report on it, from the parts of `data` that no network was trained on. */
int weights_finish(struct weights *weights, const struct tw_data *data, struct tw_pool *pool, struct tw_model **out,
                   struct tw_error *error);
/* A new reference, or NULL. */
json_t *weights_report(const struct weights *weights);

/* The metrics of a version without what is long in the report; a new reference, or NULL. */
json_t *weights_brief(const json_t *metrics);

/* By how much the gain in log_prob of one model over another may be off, in nats: three standard errors of the mean
 * weights of both, which were estimated; 0 where neither has weights. Whoever decides by a gain leaves it out of the
 * account, so that no version gains by a density that does not quite integrate to one. */
double weights_doubt(const struct tw_model *after, const struct tw_model *before);

#endif
