#include "nn/mlp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"

static int layers(const struct tw_mlp *mlp)
{
    return mlp->in ? mlp->hidden_count + 1 : 1;
}

static int layer_in(const struct tw_mlp *mlp, int layer)
{
    return layer == 0 ? mlp->in : mlp->hidden[layer - 1];
}

static int layer_out(const struct tw_mlp *mlp, int layer)
{
    return layer == layers(mlp) - 1 ? mlp->out : mlp->hidden[layer];
}

int tw_mlp_layout(struct tw_mlp *mlp, const char *prefix, struct tw_params *params)
{
    for (int l = 0; l < layers(mlp); l++) {
        char name[TW_TENSOR_NAME_MAX + 16];

        snprintf(name, sizeof name, "%s/%d/weight", prefix, l);
        mlp->weight[l] = tw_params_add(params, name, layer_out(mlp, l), layer_in(mlp, l));
        snprintf(name, sizeof name, "%s/%d/bias", prefix, l);
        mlp->bias[l] = tw_params_add_vector(params, name, layer_out(mlp, l));
        if (mlp->weight[l] < 0 || mlp->bias[l] < 0)
            return TW_NO_MEMORY;
    }
    return TW_OK;
}

/* Of hidden layers, by measurement on spline flows: larger ones unsettle relu, smaller ones keep silu too linear. */
static const double gains[] = {[TW_LINEAR] = 1, [TW_RELU] = 1, [TW_SILU] = 6, [TW_TANH] = 3};

void tw_mlp_init(const struct tw_mlp *mlp, struct tw_params *params, double last, uint64_t key)
{
    for (int l = 0; l < layers(mlp); l++) {
        int in = layer_in(mlp, l), out = layer_out(mlp, l);
        bool is_last = l == layers(mlp) - 1;
        double gain = is_last ? 3 * last * last : gains[mlp->activation];
        double limit = in ? sqrt(gain / in) : 0;
        tw_real *w = tw_params_at(params, mlp->weight[l]), *b = tw_params_at(params, mlp->bias[l]);

        for (size_t i = 0; i < (size_t)in * (size_t)out; i++)
            w[i] = (tw_real)(limit * (2 * tw_rng_uniform(key, (uint64_t)l, i) - 1));
        memset(b, 0, (size_t)out * sizeof *b);
    }
}

struct tw_var *tw_mlp_tape(const struct tw_mlp *mlp, struct tw_tape *tape, struct tw_var *x)
{
    int n = layers(mlp);

    for (int l = 0; l < n; l++)
        x = tw_ops_dense(tape, l == n - 1 ? TW_LINEAR : mlp->activation, mlp->weight[l], mlp->bias[l], x);
    return x;
}

int tw_mlp_width(const struct tw_mlp *mlp)
{
    int width = 1;

    for (int l = 0; l < mlp->hidden_count; l++)
        width = mlp->hidden[l] > width ? mlp->hidden[l] : width;
    return width;
}

void tw_mlp_plain(const struct tw_mlp *mlp, const struct tw_params *params, const struct tw_kernels *kernels, int cols,
                  const tw_real *x, tw_real *scratch, tw_real *y)
{
    int n = layers(mlp);
    tw_real *halves[2] = {scratch, scratch + (size_t)tw_mlp_width(mlp) * (size_t)cols};

    for (int l = 0; l < n; l++) {
        enum tw_activation act = l == n - 1 ? TW_LINEAR : mlp->activation;
        const tw_real *bias = tw_params_at(params, mlp->bias[l]);
        tw_real *to = l == n - 1 ? y : halves[l % 2];
        int out = layer_out(mlp, l), in = layer_in(mlp, l);

        if (cols == 1)
            kernels->single(act, out, in, tw_params_turned(params, mlp->weight[l]), bias, x, to);
        else
            kernels->dense(act, out, in, cols, tw_params_at(params, mlp->weight[l]), bias, x, NULL, to);
        x = to;
    }
}

static const char *const activation_names[] = {
    [TW_LINEAR] = "linear", [TW_RELU] = "relu", [TW_SILU] = "silu", [TW_TANH] = "tanh"};

const char *tw_mlp_activation_name(enum tw_activation activation)
{
    return activation_names[activation];
}

bool tw_mlp_activation_find(const char *name, enum tw_activation *out)
{
    for (enum tw_activation a = TW_RELU; a <= TW_TANH; a++)
        if (!strcmp(name, activation_names[a])) {
            *out = a;
            return true;
        }
    return false;
}
