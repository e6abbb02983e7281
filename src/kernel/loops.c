/* Everything but the splines: bias and activation in one pass over what the product left in the cache, elementwise
 * steps of the optimiser, and sums in a fixed order. */
#include "kernel/blas.h"
#include "kernel/layer.h"
#include "kernel/loops.h"
#include "kernel/product.h"
#include "kernel/vmath.h"

/* Partial sums, wide enough for several vectors in flight. The order of a sum depends on its length alone. */
#define LANES 64

static void bias(int cols, tw_real b, tw_real *restrict y)
{
    for (int i = 0; i < cols; i++)
        y[i] += b;
}

static void bias_relu(int cols, tw_real b, tw_real *restrict y)
{
    for (int i = 0; i < cols; i++) {
        tw_real z = y[i] + b;
        y[i] = z < 0 ? 0 : z;
    }
}

static void bias_silu(int cols, tw_real b, tw_real *restrict y)
{
    for (int i = 0; i < cols; i++) {
        tw_real z = y[i] + b;
        y[i] = z * tw_vmath_gate(z);
    }
}

static void bias_silu_slope(int cols, tw_real b, tw_real *restrict slope, tw_real *restrict y)
{
    for (int i = 0; i < cols; i++) {
        tw_real z = y[i] + b, sigmoid = tw_vmath_gate(z);
        slope[i] = sigmoid * (1 + z * (1 - sigmoid));
        y[i] = z * sigmoid;
    }
}

static void bias_tanh(int cols, tw_real b, tw_real *restrict y)
{
    for (int i = 0; i < cols; i++)
        y[i] = tw_vmath_tanh(y[i] + b);
}

/* y = act(y + b), one row; slope, where it is not NULL, keeps the derivative that y does not tell. */
static void activate(enum tw_activation act, int cols, tw_real b, tw_real *slope, tw_real *y)
{
    switch (act) {
    case TW_LINEAR:
        bias(cols, b, y);
        break;
    case TW_RELU:
        bias_relu(cols, b, y);
        break;
    case TW_SILU:
        if (slope)
            bias_silu_slope(cols, b, slope, y);
        else
            bias_silu(cols, b, y);
        break;
    case TW_TANH:
        bias_tanh(cols, b, y);
        break;
    }
}

/* y = act(W x + b) */
static void dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                  const tw_real *x, tw_real *slope, tw_real *y)
{
    tw_blas_gemm(false, false, out, cols, in, w, in, x, cols, 0, y, cols);
    for (int o = 0; o < out; o++)
        activate(act, cols, b[o], slope ? slope + (size_t)o * cols : NULL, y + (size_t)o * cols);
}

static void axpy(size_t n, tw_real a, const tw_real *restrict x, tw_real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Values i .. i + width; width is a constant where speed counts. */
static inline __attribute__((always_inline)) void gather_some(int width, int parts, size_t stride, tw_real *restrict x,
                                                              double *restrict lanes)
{
    tw_real sum[LANES];
    for (int l = 0; l < width; l++)
        sum[l] = x[l];
    for (int part = 1; part < parts; part++) {
        for (int l = 0; l < width; l++)
            sum[l] += x[(size_t)part * stride + (size_t)l];
    }
    for (int l = 0; l < width; l++) {
        x[l] = sum[l];
        lanes[l] += (double)sum[l] * (double)sum[l];
    }
}

static double gather(size_t n, int parts, size_t stride, tw_real *x)
{
    double lanes[LANES] = {0}, squares = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        gather_some(LANES, parts, stride, x + i, lanes);
    gather_some((int)(n - i), parts, stride, x + i, lanes);
    for (int l = 0; l < LANES; l++)
        squares += lanes[l];
    return squares;
}

/* In the form at the end of section 2 of the paper: the bias corrections go into the rate and epsilon. */
static void adam(const struct tw_adam *step, size_t n, const tw_real *restrict grad, tw_real *restrict param,
                 tw_real *restrict m, tw_real *restrict v, tw_real *restrict average)
{
    double root2 = sqrt(1 - pow((double)step->beta2, (double)step->step));
    tw_real rate = (tw_real)((double)step->rate * root2 / (1 - pow((double)step->beta1, (double)step->step)));
    tw_real floor = (tw_real)((double)step->epsilon * root2);
    tw_real scale = step->scale, shrink = step->shrink, decay = step->decay, rest = 1 - decay;
    tw_real beta1 = step->beta1, beta2 = step->beta2, rest1 = 1 - beta1, rest2 = 1 - beta2;
    for (size_t i = 0; i < n; i++) {
        tw_real g = scale * grad[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        param[i] = shrink * param[i] - rate * m[i] / (tw_vmath_sqrt(v[i]) + floor);
        average[i] = decay * average[i] + rest * param[i];
    }
}

static void exp_all(size_t n, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tw_vmath_exp(x[i]);
}

static void log_all(size_t n, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tw_vmath_log(x[i]);
}

#define TEXT_(name) #name
#define TEXT(name)  TEXT_(name)

/* Everything but the products. */
#define LOOPS                                                                                                          \
    .spline = tw_loops_spline, .spline_inverse = tw_loops_spline_inverse, .spline_vjp = tw_loops_spline_vjp,           \
    .axpy = axpy, .gather = gather, .adam = adam, .normal = tw_loops_normal, .exp = exp_all, .log = log_all

const struct tw_kernels tw_loops = {
    .name = "blas",
    .detail = TEXT(TW_LOOPS_ISA),
    .columns = TW_BLOCK, /* OpenBLAS chooses its kernels by the shape */
    .strip = TW_BLOCK,
    .gemm = tw_blas_gemm,
    .dense = dense,
    .dense_vjp = tw_loops_dense_vjp_blas,
    LOOPS,
};

const struct tw_kernels tw_loops_own = {
    .name = "own",
    .detail = TEXT(TW_LOOPS_ISA),
    .columns = 16,
    .strip = 32, /* activations and spline parameters of so many events are in the first-level cache */
    .gemm = tw_product,
    .dense = tw_layer_dense,
    .single = tw_layer_single,
    .dense_vjp = tw_loops_dense_vjp_own,
    LOOPS,
};
