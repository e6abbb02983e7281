/* Rows of old physics that stand for new physics: each gets the weight p_new(x) / p_old(x), so that weighted they have
 * the law of the new rows (Sugiyama, Suzuki, Kanamori 2012, "Density ratio estimation in machine learning", chapter 4,
 * by probabilistic classification). Unweighted they would keep their share of the old physics for ever.
 */
#ifndef TW_STAT_REPLAY_H
#define TW_STAT_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "kernel/kernel.h"
#include "model/data.h"

struct tw_replay {
    double scale;   /* of the calibration of held-out logits: 0 where old and new cannot be told apart */
    double rows;    /* effective: (sum w)^2 / sum w^2 */
    double largest; /* weight; the mean is 1 */
};

/* weights (old->rows), mean 1, none above TW_REPLAY_MAX. Cross-fitted: a row's weight comes from a classifier that has
 * seen neither it nor its half of the sample. A function of rows, seed and kernels. TW_INVALID: too few rows to learn
 * from, 200 on each side. */
#define TW_REPLAY_MAX 10.0
int tw_replay_weights(const struct tw_data *old, const struct tw_data *fresh, uint64_t seed,
                      const struct tw_kernels *kernels, struct tw_pool *pool, double *weights, struct tw_replay *report,
                      struct tw_error *error);

#endif
