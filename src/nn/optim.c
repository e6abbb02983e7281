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

bool tw_optim_step(struct tw_optim *optim, const struct tw_kernels *kernels, struct tw_params *params,
                   const tw_real *grads, double squares, const struct tw_optim_rule *rule)
{
    double norm = sqrt(squares);

    if (!isfinite(norm))
        return false;
    optim->step++;

    double early = (1.0 + (double)optim->step) / (10.0 + (double)optim->step);
    struct tw_adam adam = {
        .step = optim->step,
        .rate = (tw_real)rule->rate,
        .beta1 = (tw_real)BETA1,
        .beta2 = (tw_real)BETA2,
        .epsilon = (tw_real)EPSILON,
        .scale = rule->clip > 0 && norm > rule->clip ? (tw_real)(rule->clip / norm) : 1,
        .decay = (tw_real)(rule->decay < early ? rule->decay : early),
    };

    for (int t = 0; t < params->count; t++) {
        const struct tw_tensor *tensor = &params->tensors[t];
        size_t at = tensor->offset;

        adam.shrink = tensor->dims == 2 ? (tw_real)(1 - rule->rate * rule->weight_decay) : 1;
        kernels->adam(&adam, (size_t)tensor->rows * (size_t)tensor->cols, grads + at, params->block + at, optim->m + at,
                      optim->v + at, optim->average + at);
    }
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
