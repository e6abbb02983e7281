/* A multilayer perceptron: hidden layers with an activation, then a linear layer. Used by conditioners and
 * classifiers; on the tape for training, without it for queries. */
#ifndef TW_NN_MLP_H
#define TW_NN_MLP_H

#include <stdint.h>

#include "kernel/kernel.h"
#include "nn/ops.h"
#include "nn/params.h"

#define TW_MLP_HIDDEN_MAX 8

struct tw_mlp {
    int in, out;
    int hidden_count;
    int hidden[TW_MLP_HIDDEN_MAX];
    enum tw_activation activation;
    int weight[TW_MLP_HIDDEN_MAX + 1], bias[TW_MLP_HIDDEN_MAX + 1]; /* indices, set by _layout */
};

/* Declares PREFIX/0/weight (out, in), PREFIX/0/bias (out), ... A network without inputs has no hidden layers: its
 * output is a bias. Negative status when memory is out. */
int tw_mlp_layout(struct tw_mlp *mlp, const char *prefix, struct tw_params *params);

/* Hidden layers: uniform in +-sqrt(gain/in), with a gain that depends on the activation; biases zero. The last layer:
 * uniform in +-last sqrt(3/in), that is of variance last^2/in; biases zero. */
void tw_mlp_init(const struct tw_mlp *mlp, struct tw_params *params, double last, uint64_t key);

struct tw_var *tw_mlp_tape(const struct tw_mlp *mlp, struct tw_tape *tape, struct tw_var *x);

/* x (in, cols) -> y (out, cols) with scratch for two hidden layers: 2 x (tw_mlp_width, cols). One column where the
 * table has `single` and the parameters are turned. */
int tw_mlp_width(const struct tw_mlp *mlp);
void tw_mlp_plain(const struct tw_mlp *mlp, const struct tw_params *params, const struct tw_kernels *kernels, int cols,
                  const tw_real *x, tw_real *scratch, tw_real *y);

/* Names of activations as in JSON: linear, relu, silu, tanh. */
const char *tw_mlp_activation_name(enum tw_activation activation);
/* False if there is no such hidden activation. */
bool tw_mlp_activation_find(const char *name, enum tw_activation *out);

#endif
