/* Classifier two-sample test with a valid p-value.
 *
 * One split: the classifier is trained on half of each sample, and the U statistic (Mann, Whitney 1947) of its scores
 * on the other halves is compared with its null distribution, so that the p-value is honest whatever the classifier
 * learnt. The area under the ROC curve is U / (n m); 0.5 means that nothing was found. With event weights both are
 * those of the weighted distributions.
 */
#ifndef TW_STAT_C2ST_H
#define TW_STAT_C2ST_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "model/data.h"
#include "model/model.h"

struct tw_c2st {
    double auc;     /* of the held-out halves; > 0.5: `b` looks like label 1 */
    double error;   /* standard error of auc (DeLong et al. 1988) */
    double p_value; /* one-sided: the chance of such a U or larger if both samples have one distribution */
    size_t tested_a, tested_b;
    struct tw_model *classifier; /* the trained judge; release with tw_c2st_fini */
};

/* a gets label 0, b label 1; both of one schema. Each sample is cut by a random permutation, a function of (seed,
 * sample, rows). With fewer than 40 rows or effective events on a side, or a weight below zero: TW_INVALID;
 * TW_NOT_FINITE if the training could not recover. */
int tw_c2st(const struct tw_data *a, const struct tw_data *b, uint64_t seed, const struct tw_kernels *kernels,
            struct tw_pool *pool, struct tw_c2st *out, struct tw_error *error);
void tw_c2st_fini(struct tw_c2st *result);

/* The same test with given scores (larger = more like b): auc, error and p_value from the normal law of U with the
 * correction for ties. An empty sample gives p = 1. Leaves the classifier alone. TW_NO_MEMORY or 0. */
int tw_c2st_u(const double *a, size_t n, const double *b, size_t m, struct tw_c2st *out);
/* With weights, none below zero and not all zero on a side. The normal law has the variance that the weights and the
 * scores of both samples together give it; ties need no correction, as they are part of that. */
int tw_c2st_u_weighted(const double *a, const double *weights_a, size_t n, const double *b, const double *weights_b,
                       size_t m, struct tw_c2st *out);

#endif
