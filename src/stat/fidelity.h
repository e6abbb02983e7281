/* Fidelity: samples of the champion against data, beside the floor (data against data) at the same size. */
#ifndef TW_STAT_FIDELITY_H
#define TW_STAT_FIDELITY_H

#include "model/observables.h"
#include "stat/c2st.h"

struct tw_fidelity {
    double auc, error;               /* samples against one half of the window */
    double floor, floor_error;       /* the other half against the same half */
    double log_prob, log_prob_error; /* mean over the valid rows of the window, raw units; NaN if the kind has none */
};

/* The window is cut into two halves at random (by seed); as many samples as a half are drawn from the model under a
 * key made from seed, at the conditions of the rows where the schema has any. The judge sees the observables beside the
 * features; NULL: there are none. log_prob: the model's of the window's rows, where the caller has them; else NULL. */
int tw_fidelity(const struct tw_model *model, const struct tw_data *window, const struct tw_observables *observables,
                const double *log_prob, uint64_t seed, const struct tw_kernels *kernels, struct tw_pool *pool,
                struct tw_fidelity *out, struct tw_error *error);

#endif
