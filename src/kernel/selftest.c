/* A short comparison of a kernel table with the reference, made before the table is used: it finds a library or a
 * processor that computes nonsense, not the last digit (that is the test suite's part). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "kernel/ref.h"
#include "kernel/selftest.h"

#define COLS 80 /* a full strip of the loops and a remainder */
#define ROWS 41 /* parameter rows of the largest spline below (20), and inputs of the largest layer */
#define SIZE ((size_t)ROWS * COLS)

#ifdef TW_REAL_IS_DOUBLE
#define TOLERANCE 1e-10
#else
#define TOLERANCE 2e-4
#endif

enum { IN1, IN2, IN3, REF1, REF2, REF3, REF4, GOT1, GOT2, GOT3, GOT4, BUFFERS };

struct bench {
    const struct tw_kernels *candidate;
    tw_real *buffer[BUFFERS];
};

/* Equal up to `tolerance` of the largest number; `period` > 0 for a coordinate on a circle. */
static bool within(double tolerance, size_t n, const tw_real *a, const tw_real *b, double period)
{
    double scale = 1;
    for (size_t i = 0; i < n; i++) { /* no fmax: GCC 12 for arm64 fails to compile the loop */
        double size = fabs((double)a[i]);
        scale = size > scale ? size : scale;
    }
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (period > 0)
            difference = fmin(difference, fabs(difference - period));
        if (!(difference <= tolerance * scale))
            return false;
    }
    return true;
}

static bool agree(size_t n, const tw_real *a, const tw_real *b, double period)
{
    return within(TOLERANCE, n, a, b, period);
}

/* Fresh inputs, uniform on [-3, 3], and equal outputs for both tables. */
static void refill(struct bench *bench, uint64_t key)
{
    for (int i = IN1; i <= REF4; i++) {
        tw_rng_uniforms(tw_rng_mix(key, (uint64_t)i), 0, 0, SIZE, bench->buffer[i]);
        for (size_t j = 0; j < SIZE; j++)
            bench->buffer[i][j] = 6 * bench->buffer[i][j] - 3;
    }
    for (int i = 0; i < 4; i++)
        memcpy(bench->buffer[GOT1 + i], bench->buffer[REF1 + i], SIZE * sizeof(tw_real));
}

static bool check_gemm(struct bench *bench)
{
    for (int mode = 0; mode < 4; mode++) {
        bool ta = mode & 1, tb = mode & 2;
        int m = 11, n = 19, k = 23;
        refill(bench, (uint64_t)mode);
        for (int i = 0; i < 2; i++)
            (i ? bench->candidate : &tw_ref_kernels)
                ->gemm(ta, tb, m, n, k, bench->buffer[IN1], ta ? m : k, bench->buffer[IN2], tb ? k : n, 1,
                       bench->buffer[i ? GOT1 : REF1], n);
        if (!agree(SIZE, bench->buffer[REF1], bench->buffer[GOT1], 0))
            return false;
    }
    return true;
}

/* The column of one event has the same bits if it is alone: W is in IN1, b in IN2, x in IN3, y in GOT2. */
static bool check_single(struct bench *bench, enum tw_activation act, int out)
{
    enum { COLUMN = 3 };
    tw_real **at = bench->buffer, *turned = at[GOT3], *x = at[GOT4], *y = x + COLS;
    size_t stride = tw_kernels_turned(out);
    if (!bench->candidate->single)
        return true;
    memset(turned, 0, SIZE * sizeof *turned);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t o = 0; o < (size_t)out; o++)
            turned[i * stride + o] = at[IN1][o * ROWS + i];
        x[i] = at[IN3][i * COLS + COLUMN];
    }
    bench->candidate->single(act, out, ROWS, turned, at[IN2], x, y);
    for (int o = 0; o < out; o++) {
        if (y[o] != at[GOT2][o * COLS + COLUMN])
            return false;
    }
    return true;
}

static bool check_dense(struct bench *bench)
{
    tw_real **at = bench->buffer;
    double tolerance = TOLERANCE + 64 * (double)bench->candidate->coarse; /* of sums of 41 */
    for (int act = TW_LINEAR; act <= TW_TANH; act++) {
        int out = 17, in = 9;
        refill(bench, 10 + (uint64_t)act);
        tw_ref_kernels.dense(act, out, ROWS, COLS, at[IN1], at[IN2], at[IN3], at[REF1], at[REF2]);
        bench->candidate->dense(act, out, ROWS, COLS, at[IN1], at[IN2], at[IN3], at[GOT1], at[GOT2]);
        /* `slope` is kept by some and left alone by others, except where y does not tell it */
        if ((act == TW_SILU && !within(tolerance, SIZE, at[REF1], at[GOT1], 0)) ||
            !within(tolerance, SIZE, at[REF2], at[GOT2], 0) || !check_single(bench, act, out))
            return false;

        /* both derivatives from the reference's values: at a kink one ulp would change the side */
        refill(bench, 20 + (uint64_t)act);
        tw_real *slope = at[IN2], *y = at[IN2];
        tw_ref_kernels.dense_vjp(act, out, in, COLS, at[IN1], at[IN3], slope, y, at[REF1], TW_ADD_INPUT, at[REF2],
                                 at[REF3], at[REF4]);
        bench->candidate->dense_vjp(act, out, in, COLS, at[IN1], at[IN3], slope, y, at[GOT1], TW_ADD_INPUT, at[GOT2],
                                    at[GOT3], at[GOT4]);
        for (int i = 0; i < 4; i++) {
            if (!agree(SIZE, at[REF1 + i], at[GOT1 + i], 0))
                return false;
        }
    }
    return true;
}

static bool check_spline(struct bench *bench)
{
    tw_real **at = bench->buffer;
    for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++) {
        struct tw_spline spline = {kind, 6, (tw_real)2.5, (tw_real)1e-3, (tw_real)1e-3, (tw_real)1e-3};
        double period = kind == TW_SPLINE_CIRCULAR ? 2 * (double)spline.bound : 0;
        refill(bench, 30 + (uint64_t)kind);
        tw_ref_kernels.spline(&spline, COLS, at[IN1], at[IN2], at[REF1], at[REF2]);
        bench->candidate->spline(&spline, COLS, at[IN1], at[IN2], at[GOT1], at[GOT2]);
        if (!agree(SIZE, at[REF1], at[GOT1], period) || !agree(SIZE, at[REF2], at[GOT2], 0))
            return false;
        tw_ref_kernels.spline_inverse(&spline, COLS, at[IN1], at[IN2], at[REF1], at[REF2]);
        bench->candidate->spline_inverse(&spline, COLS, at[IN1], at[IN2], at[GOT1], at[GOT2]);
        if (!agree(SIZE, at[REF1], at[GOT1], period) || !agree(SIZE, at[REF2], at[GOT2], 0))
            return false;
        const tw_real *gy = at[IN3], *gl = at[IN3] + COLS;
        tw_ref_kernels.spline_vjp(&spline, COLS, at[IN1], at[IN2], gy, gl, at[REF3], at[REF4]);
        bench->candidate->spline_vjp(&spline, COLS, at[IN1], at[IN2], gy, gl, at[GOT3], at[GOT4]);
        if (!agree(SIZE, at[REF3], at[GOT3], 0) || !agree(SIZE, at[REF4], at[GOT4], 0))
            return false;
    }
    return true;
}

static void optimise(const struct tw_kernels *kernels, tw_real *const *at, tw_real *const *out)
{
    const struct tw_adam step = {
        .step = 3,
        .rate = (tw_real)0.01,
        .beta1 = (tw_real)0.9,
        .beta2 = (tw_real)0.999,
        .epsilon = (tw_real)1e-8,
        .scale = (tw_real)0.5,
        .shrink = (tw_real)0.98,
        .decay = (tw_real)0.7,
    };
    for (size_t i = 0; i < SIZE; i++)
        out[2][i] = fabs(out[2][i]); /* second moments, and arguments of log */
    kernels->exp(SIZE, at[IN2], out[3]);
    kernels->axpy(SIZE, (tw_real)0.3, at[IN1], out[3]);
    kernels->adam(&step, SIZE, at[IN1], out[0], out[1], out[2], out[3]);
    kernels->log(SIZE, out[2], out[2]);
}

static bool check_vectors(struct bench *bench)
{
    tw_real **at = bench->buffer;
    refill(bench, 40);
    optimise(&tw_ref_kernels, at, at + REF1);
    optimise(bench->candidate, at, at + GOT1);
    for (int i = 0; i < 4; i++) {
        if (!agree(SIZE, at[REF1 + i], at[GOT1 + i], 0))
            return false;
    }
    tw_ref_kernels.normal(7, 1, 2, SIZE, at[REF1]);
    bench->candidate->normal(7, 1, 2, SIZE, at[GOT1]);
    if (!agree(SIZE, at[REF1], at[GOT1], 0))
        return false;
    size_t part = SIZE / 4; /* three of them, and they overlap */
    double a = tw_ref_kernels.gather(2 * part - 3, 3, part, at[REF1]);
    double b = bench->candidate->gather(2 * part - 3, 3, part, at[GOT1]);
    return fabs(a - b) <= 1e-5 * a && agree(SIZE, at[REF1], at[GOT1], 0);
}

const char *tw_selftest(const struct tw_kernels *candidate)
{
    struct bench bench = {.candidate = candidate};
    tw_real *memory = tw_size_alloc(BUFFERS * SIZE, sizeof(tw_real));
    if (!memory)
        return "memory";
    for (int i = 0; i < BUFFERS; i++)
        bench.buffer[i] = memory + (size_t)i * SIZE;
    const char *failed = !check_gemm(&bench)      ? "gemm"
                         : !check_dense(&bench)   ? "dense"
                         : !check_spline(&bench)  ? "spline"
                         : !check_vectors(&bench) ? "vectors"
                                                  : NULL;
    free(memory);
    return failed;
}
