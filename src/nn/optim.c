#include "nn/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/status.h"

#define BETA1   0.9
#define BETA2   0.999
#define EPSILON 1e-8

int tw_optim_init(struct tw_optim *optim, const struct tw_params *params)
{
    *optim = (struct tw_optim){.size = params->size};
    optim->m = tw_size_alloc(params->size + 1, sizeof *optim->m);
    optim->v = tw_size_alloc(params->size + 1, sizeof *optim->v);
    optim->average = tw_size_alloc(params->size + 1, sizeof *optim->average);
    if (!optim->m || !optim->v || !optim->average) {
        tw_optim_fini(optim);
        return TW_NO_MEMORY;
    }
    tw_optim_restart(optim, params);
    return TW_OK;
}

void tw_optim_restart(struct tw_optim *optim, const struct tw_params *params)
{
    size_t bytes = params->size * sizeof *params->block;

    optim->step = 0;
    memset(optim->m, 0, bytes);
    memset(optim->v, 0, bytes);
    memcpy(optim->average, params->block, bytes);
}

void tw_optim_fini(struct tw_optim *optim)
{
    free(optim->m);
    free(optim->v);
    free(optim->average);
    memset(optim, 0, sizeof *optim);
}

void tw_optim_assign(struct tw_optim *optim, const struct tw_optim *from)
{
    size_t bytes = optim->size * sizeof(tw_real);

    optim->step = from->step;
    memcpy(optim->m, from->m, bytes);
    memcpy(optim->v, from->v, bytes);
    memcpy(optim->average, from->average, bytes);
}

/* Matrices only: biases of a last layer say how sharp a spline is, and should be free to. */
static void shrink(const struct tw_kernels *kernels, struct tw_params *params, double share)
{
    for (int t = 0; t < params->count; t++) {
        size_t n = (size_t)params->tensors[t].rows * (size_t)params->tensors[t].cols;
        tw_real *values = tw_params_at(params, t);

        if (params->tensors[t].dims == 2)
            for (size_t i = 0; i < n; i++)
                values[i] *= (tw_real)(1 - share);
    }
}

bool tw_optim_step(struct tw_optim *optim, const struct tw_kernels *kernels, struct tw_params *params,
                   const tw_real *grads, double rate, double clip, double weight_decay, double decay)
{
    double norm = sqrt(kernels->sum_squares(optim->size, grads));
    double scale = clip > 0 && norm > clip ? clip / norm : 1;

    if (!isfinite(norm))
        return false;
    optim->step++;

    double early = (1.0 + (double)optim->step) / (10.0 + (double)optim->step);

    if (weight_decay > 0)
        shrink(kernels, params, rate * weight_decay);
    kernels->adam(optim->size, params->block, grads, optim->m, optim->v, (tw_real)rate, (tw_real)BETA1, (tw_real)BETA2,
                  (tw_real)EPSILON, optim->step, (tw_real)scale);
    kernels->average(optim->size, (tw_real)(decay < early ? decay : early), params->block, optim->average);
    return true;
}

double tw_optim_rate(double peak, double warmup, long step, long total)
{
    double rise = warmup * (double)total, t = (double)step;

    if (t < rise)
        return peak * (t + 1) / (rise + 1);

    double rest = (double)total - rise;

    return rest > 0 ? 0.5 * peak * (1 + cos(3.14159265358979323846 * (t - rise) / rest)) : peak;
}
