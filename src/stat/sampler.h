/* Samples of a model at the conditions of given rows. */
#ifndef TW_STAT_SAMPLER_H
#define TW_STAT_SAMPLER_H

#include <stdint.h>

#include "base/pool.h"
#include "model/data.h"
#include "model/model.h"

/* Appends as many samples as `like` has rows to `out`, which has the same schema: events 0 .. rows-1 of the sequence
 * that `seed` names, those at equal conditions side by side. TW_NO_MEMORY, what tw_model_sample refuses, or 0. */
int tw_sampler_like(const struct tw_model *model, const struct tw_data *like, uint64_t seed,
                    const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_data *out);

#endif
