/* A chain of coupling blocks with rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032).
 *
 * Each block transforms the features of its mask, one spline each, with parameters that a network computes from the
 * other features and the conditions; so it is inverted block by block, and its log-determinant is a sum. Data are
 * mapped forward to a base in which features are independent: standard normal where the spline has tails, uniform on
 * [-bound, bound] where it is bounded, uniform on the circle where it is periodic (Rezende et al. 2020).
 *
 * Features may be absent: `present` (features, cols) is 1 where one is there, else 0; NULL: all are. The coordinate of
 * an absent one is 0 in data and base, no block moves it, and it adds nothing to log-determinants and densities, so
 * that what is computed is the density of the features that are there. Networks see its 0: what is absent has to be
 * told by the conditions.
 *
 * Matrices are feature-major (rows, cols), cols = TW_BLOCK events; see kernel/kernel.h.
 */
#ifndef TW_FLOW_COUPLING_H
#define TW_FLOW_COUPLING_H

#include <stdint.h>

#include "base/arena.h"
#include "kernel/kernel.h"
#include "nn/mlp.h"
#include "nn/ops.h"
#include "nn/params.h"

/* What follows from masks and kinds for one block. */
struct tw_coupling_block {
    int moved;                      /* features transformed */
    int *rows;                      /* (moved): which */
    struct tw_spline *splines;      /* (moved) */
    struct tw_ops_row *gather;      /* (moved): of x */
    struct tw_ops_row *merge;       /* (features): of {x, y} */
    int inputs;                     /* of the network, conditions not counted */
    struct tw_ops_embed_row *embed; /* (inputs) */
    struct tw_ops_row *concat;      /* (inputs + conditions): of {embedded, conditions} */
    int outputs;                    /* spline parameters */
    struct tw_mlp mlp;
};

struct tw_coupling {
    /* chosen by the caller */
    int features, conditions, blocks, bins;
    int harmonics; /* of an angle's cosine and sine that a network sees */
    double bound;
    int hidden_count;
    int hidden[TW_MLP_HIDDEN_MAX];
    enum tw_activation activation;
    enum tw_spline_kind *kinds; /* (features) */
    unsigned char *masks;       /* (blocks, features): 1 = transformed */
    /* made by _plan */
    struct tw_coupling_block *plan; /* (blocks) */
};

/* Memory for kinds and masks of `features` and `blocks`; the caller fills them and the rest, then calls _plan. */
int tw_coupling_init(struct tw_coupling *coupling, int features, int blocks);
int tw_coupling_plan(struct tw_coupling *coupling);
void tw_coupling_fini(struct tw_coupling *coupling); /* accepts a zeroed one */

/* Declares block0/0/weight, block0/0/bias, ... */
int tw_coupling_layout(struct tw_coupling *coupling, struct tw_params *params);
/* Near the identity: slopes 1, equal bins, small weights in the last layers. */
void tw_coupling_start(const struct tw_coupling *coupling, struct tw_params *params, uint64_t key);

/* Bound of feature f's coordinate: `bound`, or pi for angles. */
double tw_coupling_bound(const struct tw_coupling *coupling, int f);

/* On the tape: minus log p of x (features, cols) given conditions (C, cols; NULL if C == 0): one row. */
struct tw_var *tw_coupling_loss(const struct tw_coupling *coupling, struct tw_tape *tape, struct tw_var *x,
                                struct tw_var *conditions, const tw_real *present);

/* Without a tape. x (features, cols) is mapped in place, forward: data -> base, inverse: base -> data;
 * log_det (cols) += log |d out / d in|. cols is a multiple of the table's `columns`, or 1 as tw_mlp_plain allows it.
 * TW_NO_MEMORY or 0. */
int tw_coupling_forward(const struct tw_coupling *coupling, const struct tw_params *params,
                        const struct tw_kernels *kernels, struct tw_arena *arena, int cols, tw_real *x,
                        const tw_real *conditions, const tw_real *present, tw_real *log_det);
int tw_coupling_inverse(const struct tw_coupling *coupling, const struct tw_params *params,
                        const struct tw_kernels *kernels, struct tw_arena *arena, int cols, tw_real *x,
                        const tw_real *conditions, const tw_real *present, tw_real *log_det);

/* Log density of the base at z (features, cols), summed over features: out (cols) is overwritten. */
void tw_coupling_base_log_prob(const struct tw_coupling *coupling, int cols, const tw_real *z, const tw_real *present,
                               double *out);
/* Draws the events with numbers events[0] .. events[cols-1] of the base under `key`. */
void tw_coupling_base_draw(const struct tw_coupling *coupling, const struct tw_kernels *kernels, uint64_t key,
                           const uint64_t *events, int cols, tw_real *z);

#endif
