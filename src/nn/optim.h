/* Adam over one block of parameters, with clipping of the global norm, decoupled weight decay and averaged weights.
 *
 * Adam: Kingma, Ba 2015 (arXiv:1412.6980); decay: Loshchilov, Hutter 2019 (arXiv:1711.05101); averaging: Polyak,
 * Juditsky 1992, with exponential weights.
 */
#ifndef TW_NN_OPTIM_H
#define TW_NN_OPTIM_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel/kernel.h"
#include "nn/params.h"

struct tw_optim {
    size_t size;
    long step;        /* steps done */
    tw_real *m, *v;   /* moments */
    tw_real *average; /* averaged parameters */
};

/* The average starts at the parameters. */
int tw_optim_init(struct tw_optim *optim, const struct tw_params *params);
/* As after _init, for parameters of the same size. */
void tw_optim_restart(struct tw_optim *optim, const struct tw_params *params);
void tw_optim_fini(struct tw_optim *optim); /* accepts a zeroed one */
/* Takes over step, moments and average of another one of the same size. */
void tw_optim_assign(struct tw_optim *optim, const struct tw_optim *from);

struct tw_optim_rule {
    double rate;
    double clip;         /* largest global norm, 0 = none */
    double weight_decay; /* shrinks matrices, not vectors: biases of a last layer say how sharp a spline is, and should
                          * be free to */
    double decay;        /* of the average; the first steps use less, so that the start is forgotten:
                          * min(decay, (1 + t) / (10 + t)) */
};

/* One step along gradients whose squares have this sum. False, and nothing changes, if it is not finite. */
bool tw_optim_step(struct tw_optim *optim, const struct tw_kernels *kernels, struct tw_params *params,
                   const tw_real *grads, double squares, const struct tw_optim_rule *rule);

/* Rate at step `step` of `total`: linear rise over the first warmup * total steps, then a cosine down to zero. */
double tw_optim_rate(double peak, double warmup, long step, long total);

#endif
