/* Every hot loop of the library behind one table of function pointers.
 *
 * Layout: a matrix is (rows, cols) with cols contiguous; rows are features, hidden units or spline parameters, columns
 * are events. Work is done in blocks of TW_BLOCK events, so that a block stays in the L2 cache, every product is
 * (out x in)(in x TW_BLOCK), and every row is a contiguous vector over events. Short blocks are padded by the caller
 * to a multiple of the table's `columns`: a result never depends on how many events came along. All pointers are
 * 64-byte aligned, cols is a multiple of 16.
 *
 * `ref` is the naive reference, kept for good, compiled for float and double. `avx512` and `avx2` have products of our
 * own, `blas` multiplies with OpenBLAS; all of these run loops that the compiler vectorises, compiled for several
 * instruction sets of which the best present is taken.
 */
#ifndef TW_KERNEL_KERNEL_H
#define TW_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

#define TW_BLOCK 256 /* events in a block */

enum tw_activation { TW_LINEAR, TW_RELU, TW_SILU, TW_TANH };

/* Gradients that dense_vjp adds to what is there already, in place of setting them. */
enum tw_add { TW_ADD_PARAMS = 1, TW_ADD_INPUT = 2 };

enum tw_spline_kind {
    TW_SPLINE_TAILS,    /* [-bound, bound], identity outside, slope 1 at both ends; 3K-1 parameters */
    TW_SPLINE_BOUNDED,  /* [-bound, bound], free slopes at both ends, input clamped to the interval; 3K+1 */
    TW_SPLINE_CIRCULAR, /* [-bound, bound) is a circle: equal slopes at both ends, then a shift; 3K+1 */
};

/* Parameters are rows, in this order: K width logits, K height logits, then slope logits: K-1 inner (tails), K+1 from
 * left to right (bounded), K (circular: the first serves both ends) followed by the shift, in units of the coordinate.
 * widths  = 2 bound (min_width + (1 - K min_width) softmax(w)); heights alike; slope = min_slope + softplus(s).
 * Rational-quadratic splines: Durkan et al. 2019 (arXiv:1906.04032), eqs. 4-8; circular: Rezende et al. 2020
 * (arXiv:2002.02428). */
struct tw_spline {
    enum tw_spline_kind kind;
    int bins; /* 2..64 */
    tw_real bound;
    tw_real min_width, min_height, min_slope; /* 1e-3 each */
};

/* Number of parameter rows for one feature. */
int tw_spline_rows(const struct tw_spline *spline);

/* A step of Adam (Kingma, Ba 2015, arXiv:1412.6980, alg. 1) with decoupled weight decay and an average of parameters.
 */
struct tw_adam {
    long step; /* counts from 1 */
    tw_real rate, beta1, beta2, epsilon;
    tw_real scale;  /* gradients are multiplied by it first (clipping) */
    tw_real shrink; /* and parameters by this (weight decay) */
    tw_real decay;  /* average = decay average + (1 - decay) param */
};

struct tw_kernels {
    const char *name;   /* "ref", "avx512", "avx2", "blas", "avx512bf16" */
    const char *detail; /* e.g. "OpenBLAS 0.3.21 Haswell, loops x86-64-v4": recorded with every version */
    int columns;        /* a column's result does not depend on cols as long as cols is a multiple of this */
    int strip;          /* columns, a multiple of that, with which a chain of layers and splines is fastest */

    tw_real coarse; /* how much of itself a factor in `dense` and `single` may be off; 0: as precise as tw_real */

    /* C (m,n) = op(A) op(B) + beta C; row-major with leading dimensions. k may be 0. */
    void (*gemm)(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                 tw_real beta, tw_real *c, int ldc);

    /* y = act(W x + b). W (out,in), b (out), x (in,cols), y (out,cols). `slope` keeps act'(W x + b) where it cannot be
     * had from y (SILU); it may be NULL in inference, and is neither written nor read for LINEAR, RELU, TANH. */
    void (*dense)(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                  const tw_real *x, tw_real *slope, tw_real *y);
    /* The same for one event, x (in) -> y (out), with the very bits that it has as a column of a block. `turned` is
     * W^T, (in, tw_kernels_turned(out)), zeros behind its `out` columns: a single event costs reading the weights once,
     * with outputs in place of events side by side. NULL in tables that do not promise the bits. */
    void (*single)(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b, const tw_real *x,
                   tw_real *y);
    /* gy (out,cols) is overwritten by the gradient before the activation. gw and gb, and gx, are set, or added to where
     * `add` has their bit (enum tw_add); each may be NULL. */
    void (*dense_vjp)(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *x,
                      const tw_real *slope, const tw_real *y, tw_real *gy, unsigned add, tw_real *gw, tw_real *gb,
                      tw_real *gx);

    /* One feature: x (cols), parameters p (tw_spline_rows, cols) -> y (cols); log_det (cols) += log |dy/dx|. y may be
     * x. NaN gives NaN in its own column, in y and log_det. */
    void (*spline)(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                   tw_real *log_det);
    /* The inverse map: y -> x, which may be y; log_det += log |dx/dy|. */
    void (*spline_inverse)(const struct tw_spline *spline, int cols, const tw_real *y, const tw_real *p, tw_real *x,
                           tw_real *log_det);
    /* Given gradients of the loss with respect to y and to log_det: gx (cols) = , gp (rows,cols) = (overwritten). */
    void (*spline_vjp)(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, const tw_real *gy,
                       const tw_real *glog_det, tw_real *gx, tw_real *gp);

    /* y += a x */
    void (*axpy)(size_t n, tw_real a, const tw_real *x, tw_real *y);
    /* x[0..n) += x[stride..stride+n) + x[2 stride..) + ..., `parts` in all, one after the other. Returns the sum of the
     * squares of what is in x[0..n) then, accumulated in double, in an order that depends on n alone. */
    double (*gather)(size_t n, int parts, size_t stride, tw_real *x);
    /* One step of an optimiser for n parameters, and of their average. */
    void (*adam)(const struct tw_adam *step, size_t n, const tw_real *grad, tw_real *param, tw_real *m, tw_real *v,
                 tw_real *average);
    /* What tw_rng_normal draws (base/rng.h), to a few ulp. */
    void (*normal)(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out);
    /* y = exp(x), y = log(x), elementwise; accuracy stated in kernel/vmath.h */
    void (*exp)(size_t n, const tw_real *x, tw_real *y);
    void (*log)(size_t n, const tw_real *x, tw_real *y);
};

/* Row length of a transposed matrix with `out` columns: whole vectors of every instruction set. */
static inline size_t tw_kernels_turned(int out)
{
    return ((size_t)out + 15) / 16 * 16;
}

/* The naive table, always there. */
const struct tw_kernels *tw_kernels_ref(void);

/* Chooses the best table of this machine; TWIN_KERNELS=ref|avx512|avx2|blas|avx512bf16 in the environment forces one
 * (the caller passes the value, or NULL). A candidate is tested against `ref` on small inputs first; one that disagrees
 * is passed over and `note` (may be NULL, 160 bytes) says so. Sets OpenBLAS to one thread. NULL if the forced name is
 * unknown, fails, or needs another processor. */
const struct tw_kernels *tw_kernels_choose(const char *forced, char *note);

#endif
