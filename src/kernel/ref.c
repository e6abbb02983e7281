/* The naive reference: one event at a time, the formula above each function. What it says is right by definition; every
 * other table is tested against it. Written to be read, and slow. */
#include <tgmath.h>

#include "base/rng.h"
#include "kernel/ref.h"
#include "kernel/ref_spline.h"

static tw_real sigmoid(tw_real x)
{
    return 1 / (1 + exp(-x));
}

/* C_ij = sum_l A_il B_lj + beta C_ij */
static void gemm(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                 tw_real beta, tw_real *c, int ldc)
{
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            tw_real sum = 0;
            for (int l = 0; l < k; l++) {
                tw_real a_il = ta ? a[(size_t)l * lda + i] : a[(size_t)i * lda + l];
                tw_real b_lj = tb ? b[(size_t)j * ldb + l] : b[(size_t)l * ldb + j];
                sum += a_il * b_lj;
            }
            tw_real *c_ij = &c[(size_t)i * ldc + j];
            *c_ij = beta == 0 ? sum : sum + beta * *c_ij; /* beta = 0: C may hold anything */
        }
    }
}

static tw_real activate(enum tw_activation act, tw_real z)
{
    switch (act) {
    case TW_LINEAR:
        return z;
    case TW_RELU:
        return z < 0 ? 0 : z;
    case TW_SILU:
        return z * sigmoid(z);
    case TW_TANH:
        return tanh(z);
    }
    return z;
}

/* d act / dz, from what is at hand of z and y = act(z) */
static tw_real activation_slope(enum tw_activation act, tw_real z, tw_real y)
{
    switch (act) {
    case TW_LINEAR:
        return 1;
    case TW_RELU:
        return y > 0 ? 1 : 0;
    case TW_SILU:
        return sigmoid(z) * (1 + z * sigmoid(-z));
    case TW_TANH:
        return 1 - y * y;
    }
    return 1;
}

/* y = act(W x + b) */
static void dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                  const tw_real *x, tw_real *slope, tw_real *y)
{
    gemm(false, false, out, cols, in, w, in, x, cols, 0, y, cols);
    for (int o = 0; o < out; o++) {
        for (size_t i = (size_t)o * cols; i < (size_t)(o + 1) * cols; i++) {
            tw_real z = y[i] + b[o];
            if (slope && act == TW_SILU)
                slope[i] = activation_slope(act, z, 0);
            y[i] = activate(act, z);
        }
    }
}

/* gz = gy act'(z);  gW = gz x^T;  gb = gz 1;  gx = W^T gz */
static void dense_vjp(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                      const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw, tw_real *gb,
                      tw_real *gx)
{
    for (int o = 0; o < out; o++) {
        tw_real sum = gb && (add & TW_ADD_PARAMS) ? gb[o] : 0;
        for (size_t i = (size_t)o * cols; i < (size_t)(o + 1) * cols; i++) {
            gy[i] *= act == TW_SILU ? slope[i] : activation_slope(act, 0, y[i]);
            sum += gy[i];
        }
        if (gb)
            gb[o] = sum;
    }
    if (gw)
        gemm(false, true, out, in, cols, gy, cols, x, cols, add & TW_ADD_PARAMS ? 1 : 0, gw, in);
    if (gx)
        gemm(true, false, in, cols, out, w, in, gy, cols, add & TW_ADD_INPUT ? 1 : 0, gx, cols);
}

static void axpy(size_t n, tw_real a, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static double gather(size_t n, int parts, size_t stride, tw_real *x)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        for (int part = 1; part < parts; part++)
            x[i] += x[(size_t)part * stride + i];
        squares += (double)x[i] * (double)x[i];
    }
    return squares;
}

/* m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  p -= rate (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + epsilon) */
static void adam(const struct tw_adam *step, size_t n, const tw_real *grad, tw_real *param, tw_real *m, tw_real *v,
                 tw_real *average)
{
    tw_real bias1 = (tw_real)(1 - pow((double)step->beta1, (double)step->step));
    tw_real bias2 = (tw_real)(1 - pow((double)step->beta2, (double)step->step));
    for (size_t i = 0; i < n; i++) {
        tw_real g = step->scale * grad[i];
        m[i] = step->beta1 * m[i] + (1 - step->beta1) * g;
        v[i] = step->beta2 * v[i] + (1 - step->beta2) * g * g;
        param[i] = step->shrink * param[i] - step->rate * (m[i] / bias1) / (sqrt(v[i] / bias2) + step->epsilon);
        average[i] = step->decay * average[i] + (1 - step->decay) * param[i];
    }
}

/* dense() of one event */
static void single(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b, const tw_real *x,
                   tw_real *y)
{
    gemm(true, false, out, 1, in, turned, (int)tw_kernels_turned(out), x, 1, 0, y, 1);
    for (int o = 0; o < out; o++)
        y[o] = activate(act, y[o] + b[o]);
}

static void exp_all(size_t n, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exp(x[i]);
}

static void log_all(size_t n, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = log(x[i]);
}

const struct tw_kernels tw_ref_kernels = {
    .name = "ref",
    .detail = "plain C",
    .columns = 16,
    .strip = TW_BLOCK,
    .gemm = gemm,
    .dense = dense,
    .single = single,
    .dense_vjp = dense_vjp,
    .spline = tw_ref_spline,
    .spline_inverse = tw_ref_spline_inverse,
    .spline_vjp = tw_ref_spline_vjp,
    .axpy = axpy,
    .gather = gather,
    .adam = adam,
    .normal = tw_rng_normal,
    .exp = exp_all,
    .log = log_all,
};
