/* Every table that this machine can run against the reference: products, layers, and the optimiser's loops, at odd
 * sizes, with outputs between canaries. */
#include "check.h"

#include "kernel/selftest.h"

static char what[200]; /* the case at hand, for messages */

static void check_gemm(const struct tw_kernels *kernels, struct check_rng *rng)
{
    bool ta = check_int(rng, 0, 1), tb = check_int(rng, 0, 1);
    int m = check_int(rng, 0, 40), n = check_int(rng, 0, 70), k = check_int(rng, 0, 50), pad = check_int(rng, 0, 5);
    tw_real beta = (tw_real[]){0, 1, (tw_real)0.5}[check_int(rng, 0, 2)];
    int lda = (ta ? m : k) + pad, ldb = (tb ? k : n) + pad, ldc = n + pad;
    size_t size_a = (size_t)(ta ? k : m) * lda, size_b = (size_t)(tb ? n : k) * ldb, size_c = (size_t)m * ldc;
    snprintf(what, sizeof what, "%s gemm ta %d tb %d m %d n %d k %d pad %d beta %g, seed %#llx", kernels->detail, ta,
             tb, m, n, k, pad, (double)beta, (unsigned long long)rng->seed);
    tw_real *a = check_random(rng, size_a, 1), *b = check_random(rng, size_b, 1);
    tw_real *want = check_random(rng, size_c, 1);
    for (int i = 0; i < m && beta == 0; i++) { /* what was there must not matter */
        for (int j = 0; j < n; j++)
            want[(size_t)i * ldc + j] = NAN;
    }
    tw_real *got = check_copy(size_c, want);
    tw_kernels_ref()->gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, want, ldc);
    kernels->gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, got, ldc);
    check_close(what, size_c, want, got, 4 * CHECK_EPSILON * (k + 1));
    for (size_t i = 0; i < size_c; i++)
        assert_false(isnan(got[i]));
    check_free(size_a, a, what);
    check_free(size_b, b, what);
    check_free(size_c, want, what);
    check_free(size_c, got, what);
}

static void products(void **state)
{
    struct check_rng rng = check_rng(1);
    for (int t = 0; check_table(t); t++) {
        for (int i = 0; i < 400; i++)
            check_gemm(check_table(t), &rng);
    }
}

static void check_dense(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_activation act)
{
    int out = check_int(rng, 1, 40), in = check_int(rng, 1, 80), cols = 16 * check_int(rng, 1, 17);
    double scale = pow(10, check_uniform(rng, -2, 2)); /* saturated activations too */
    size_t size_w = (size_t)out * in, size_x = (size_t)in * cols, size_y = (size_t)out * cols;
    bool slope_wanted = act == TW_SILU && check_int(rng, 0, 1);
    snprintf(what, sizeof what, "%s dense act %d out %d in %d cols %d scale %g, seed %#llx", kernels->detail, act, out,
             in, cols, scale, (unsigned long long)rng->seed);
    tw_real *w = check_random(rng, size_w, 1), *b = check_random(rng, (size_t)out, scale);
    tw_real *x = check_random(rng, size_x, scale);
    tw_real *slope1 = check_random(rng, size_y, 1), *slope2 = check_copy(size_y, slope1);
    tw_real *y1 = check_new(size_y), *y2 = check_new(size_y);
    tw_kernels_ref()->dense(act, out, in, cols, w, b, x, slope1, y1);
    kernels->dense(act, out, in, cols, w, b, x, slope_wanted ? slope2 : NULL, y2);
    /* factors that are rounded err by `coarse` each, independently */
    double limit = scale * (8 * CHECK_EPSILON * (in + 4) + 4 * (double)kernels->coarse * sqrt(in));
    check_close(what, size_y, y1, y2, limit);
    if (slope_wanted)
        check_close(what, size_y, slope1, slope2, limit + 8 * CHECK_EPSILON); /* up to 1.1, whatever z is */
    check_free(size_w, w, what);
    check_free((size_t)out, b, what);
    check_free(size_x, x, what);
    check_free(size_y, slope1, what);
    check_free(size_y, slope2, what);
    check_free(size_y, y1, what);
    check_free(size_y, y2, what);
}

static void layers(void **state)
{
    struct check_rng rng = check_rng(2);
    for (int t = 0; check_table(t); t++) {
        for (int i = 0; i < 120; i++)
            check_dense(check_table(t), &rng, i % 4);
    }
}

/* A single event has the bits of a column, NaN included, wherever a block may stand. */
static void check_single(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_activation act)
{
    int out = check_int(rng, 1, 300), in = check_int(rng, 0, 40), cols = 16 * check_int(rng, 1, 5);
    if (check_int(rng, 0, 9) == 0)
        in = check_int(rng, 500, 600); /* longer than a panel is deep */
    size_t stride = tw_kernels_turned(out), size_w = (size_t)out * in, size_x = (size_t)in * cols;
    snprintf(what, sizeof what, "%s single act %d out %d in %d cols %d, seed %#llx", kernels->detail, act, out, in,
             cols, (unsigned long long)rng->seed);
    tw_real *w = check_random(rng, size_w, 1), *b = check_random(rng, (size_t)out, 1),
            *x = check_random(rng, size_x, 3);
    tw_real *turned = check_new(stride * in), *one = check_new((size_t)in), *y = check_new((size_t)out);
    tw_real *block = check_new((size_t)out * cols), *column = check_new((size_t)out);
    if (in && check_int(rng, 0, 9) == 0)
        x[check_int(rng, 0, (int)size_x - 1)] = NAN;
    memset(turned, 0, stride * in * sizeof *turned);
    for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++)
            turned[(size_t)i * stride + o] = w[(size_t)o * in + i];
    }
    kernels->dense(act, out, in, cols, w, b, x, NULL, block);
    for (int c = 0; c < cols; c += 7) {
        for (int i = 0; i < in; i++)
            one[i] = x[(size_t)i * cols + c];
        for (int o = 0; o < out; o++)
            column[o] = block[(size_t)o * cols + c];
        kernels->single(act, out, in, turned, b, one, y);
        for (int o = 0; o < out; o++) {
            if (memcmp(&y[o], &column[o], sizeof *y) != 0 && !(isnan(y[o]) && isnan(column[o])))
                fail_msg("%s: output %d of column %d is %.9g, not %.9g", what, o, c, (double)y[o], (double)column[o]);
        }
    }
    check_free(size_w, w, what);
    check_free((size_t)out, b, what);
    check_free(size_x, x, what);
    check_free(stride * in, turned, what);
    check_free((size_t)in, one, what);
    check_free((size_t)out, y, what);
    check_free((size_t)out * cols, block, what);
    check_free((size_t)out, column, what);
}

static void single_events(void **state)
{
    struct check_rng rng = check_rng(4);
    for (int t = 0; check_table(t); t++) {
        for (int i = 0; i < 200 && check_table(t)->single; i++)
            check_single(check_table(t), &rng, i % 4);
    }
}

/* Both tables get the same activations, so that a kink is on the same side for both. */
static void check_dense_vjp(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_activation act)
{
    int out = check_int(rng, 1, 40), in = check_int(rng, 1, 40), cols = 16 * check_int(rng, 1, 17);
    if (check_int(rng, 0, 29) == 0)
        out = check_int(rng, 505, 530); /* longer than a panel is deep */
    size_t size[5] = {(size_t)out * cols, (size_t)out * in, (size_t)out, (size_t)in * cols, (size_t)out * cols};
    unsigned skip = (unsigned)check_int(rng, 0, 7); /* which of gw, gb, gx are not wanted */
    unsigned add = (unsigned)check_int(rng, 0, 3);
    snprintf(what, sizeof what, "%s dense_vjp act %d out %d in %d cols %d skip %u add %u, seed %#llx", kernels->detail,
             act, out, in, cols, skip, add, (unsigned long long)rng->seed);
    tw_real *w = check_random(rng, size[1], 1), *x = check_random(rng, size[3], 1);
    tw_real *slope = check_random(rng, size[0], 8), *y = check_random(rng, size[0], 1);
    tw_real *want[4], *got[4]; /* gy, gw, gb, gx */
    for (int i = 0; i < 4; i++) {
        want[i] = check_random(rng, size[i], 1);
        got[i] = check_copy(size[i], want[i]);
    }
    for (int i = 0; i < 2; i++) {
        tw_real **g = i ? got : want;
        (i ? kernels : tw_kernels_ref())
            ->dense_vjp(act, out, in, cols, w, x, slope, y, g[0], add, skip & 1 ? NULL : g[1], skip & 2 ? NULL : g[2],
                        skip & 4 ? NULL : g[3]);
    }
    for (int i = 0; i < 4; i++) {
        check_close(what, size[i], want[i], got[i], 8 * CHECK_EPSILON * (cols + out));
        check_free(size[i], want[i], what);
        check_free(size[i], got[i], what);
    }
    check_free(size[1], w, what);
    check_free(size[3], x, what);
    check_free(size[0], slope, what);
    check_free(size[0], y, what);
}

static void layer_gradients(void **state)
{
    struct check_rng rng = check_rng(3);
    for (int t = 0; check_table(t); t++) {
        for (int i = 0; i < 120; i++)
            check_dense_vjp(check_table(t), &rng, i % 4);
    }
}

enum { PARAM, M, V, MEAN, SUM, OUTPUTS };

static struct tw_adam adam_step(long step)
{
    return (struct tw_adam){.step = step,
                            .rate = (tw_real)0.01,
                            .beta1 = (tw_real)0.9,
                            .beta2 = (tw_real)0.999,
                            .epsilon = (tw_real)1e-8,
                            .scale = 1,
                            .shrink = 1};
}

static void run_vectors(const struct tw_kernels *kernels, size_t n, const tw_real *g, long step, tw_real **out)
{
    for (size_t i = 0; i < n; i++)
        out[V][i] = fabs(out[V][i]);
    struct tw_adam adam = adam_step(step);
    adam.scale = (tw_real)0.7;
    adam.shrink = (tw_real)0.98;
    adam.decay = (tw_real)0.99;
    kernels->adam(&adam, n, g, out[PARAM], out[M], out[V], out[MEAN]);
    kernels->axpy(n, (tw_real)-1.7, g, out[SUM]);
}

static void check_vectors(const struct tw_kernels *kernels, struct check_rng *rng, size_t n)
{
    long step = check_int(rng, 1, 2000);
    snprintf(what, sizeof what, "%s vectors n %zu step %ld, seed %#llx", kernels->detail, n, step,
             (unsigned long long)rng->seed);
    tw_real *g = check_random(rng, n, 3), *want[OUTPUTS], *got[OUTPUTS];
    for (int i = 0; i < OUTPUTS; i++) {
        want[i] = check_random(rng, n, 1);
        got[i] = check_copy(n, want[i]);
    }
    run_vectors(tw_kernels_ref(), n, g, step, want);
    run_vectors(kernels, n, g, step, got);
    for (int i = 0; i < OUTPUTS; i++) {
        /* an Adam step is bounded by the rate over the root of a second moment that may be near 0 */
        check_close(what, n, want[i], got[i], 32 * CHECK_EPSILON * (1 + check_largest(n, want[i])));
        check_free(n, want[i], what);
        check_free(n, got[i], what);
    }
    check_free(n, g, what);
}

static void check_gather(const struct tw_kernels *kernels, struct check_rng *rng, size_t n)
{
    int parts = check_int(rng, 1, 5);
    size_t stride = n + (size_t)check_int(rng, 0, 9), size = (size_t)parts * stride;
    snprintf(what, sizeof what, "%s gather n %zu parts %d, seed %#llx", kernels->detail, n, parts,
             (unsigned long long)rng->seed);
    tw_real *want = check_random(rng, size, 3), *got = check_copy(size, want);
    double a = tw_kernels_ref()->gather(n, parts, stride, want), b = kernels->gather(n, parts, stride, got);
    if (fabs(a - b) > 1e-12 * a)
        fail_msg("%s: sum of squares %.17g, not %.17g", what, b, a);
    check_close(what, size, want, got, 0); /* the order is given */
    check_free(size, want, what);
    check_free(size, got, what);
}

static void vectors(void **state)
{
    struct check_rng rng = check_rng(4);
    for (int t = 0; check_table(t); t++) {
        for (size_t n = 0; n < 300; n++)
            check_vectors(check_table(t), &rng, n), check_gather(check_table(t), &rng, n);
    }
}

/* The reference's numbers, however the events are cut into calls. */
static void check_normal(const struct tw_kernels *kernels, struct check_rng *rng, size_t n)
{
    uint64_t key = (uint64_t)check_int(rng, 0, 1 << 30), draw = (uint64_t)check_int(rng, 0, 20);
    uint64_t first = ((uint64_t)check_int(rng, 0, 2) << 33) + (uint64_t)check_int(rng, 0, 300);
    size_t cut = (size_t)check_int(rng, 0, (int)n);
    tw_real *want = check_new(n), *got = check_new(n), *pieces = check_new(n);
    snprintf(what, sizeof what, "%s normal n %zu first %llu cut %zu, seed %#llx", kernels->detail, n,
             (unsigned long long)first, cut, (unsigned long long)rng->seed);
    tw_rng_normal(key, draw, first, n, want);
    kernels->normal(key, draw, first, n, got);
    check_close(what, n, want, got, 32 * CHECK_EPSILON);
    kernels->normal(key, draw, first, cut, pieces);
    kernels->normal(key, draw, first + cut, n - cut, pieces + cut);
    check_close(what, n, got, pieces, 0);
    check_free(n, want, what);
    check_free(n, got, what);
    check_free(n, pieces, what);
}

static void normals(void **state)
{
    struct check_rng rng = check_rng(7);
    for (int t = 0; check_table(t); t++) {
        for (size_t n = 0; n < 300; n++)
            check_normal(check_table(t), &rng, n);
    }
}

/* Adam by hand, from the paper: the first step is the rate, against the sign of the gradient. */
static void adam_first_step(void **state)
{
    for (int t = 0; check_table(t); t++) {
        tw_real param[1] = {1}, m[1] = {0}, v[1] = {0}, g[1] = {-4};
        tw_real average[1] = {3};
        struct tw_adam adam = adam_step(1);
        adam.scale = adam.decay = (tw_real)0.5;
        check_table(t)->adam(&adam, 1, g, param, m, v, average);
        assert_true(fabs((double)param[0] - 1.01) < 1e-6 && fabs((double)average[0] - 2.005) < 1e-6);
        assert_true(fabs((double)m[0] + 0.2) < 1e-6 && fabs((double)v[0] - 0.004) < 1e-6);
    }
}

static void the_choice_can_be_forced(void **state)
{
    char note[160] = "untouched";
    const struct tw_kernels *best = tw_kernels_choose(NULL, note);
    assert_non_null(best);
    assert_ptr_equal(best, tw_tables(0));
    assert_string_equal(note, "");
    assert_ptr_equal(tw_kernels_choose(best->name, NULL), best);
    assert_ptr_equal(tw_kernels_choose("ref", NULL), tw_kernels_ref());
    assert_null(tw_kernels_choose("fastest", NULL));
    assert_true(best->coarse == 0);
    const struct tw_kernels *coarse = tw_kernels_choose("avx512bf16", NULL);
    assert_true(!coarse || coarse->coarse > 0);
    assert_null(tw_kernels_choose("", NULL));
    const struct tw_kernels *blas = tw_kernels_choose("blas", NULL);
    assert_non_null(blas);
    assert_non_null(strstr(blas->detail, "OpenBLAS"));
    assert_non_null(strstr(blas->detail, "loops"));
}

/* The first columns of a layer are the same bits, however many columns follow. */
static void columns_stand_alone(void **state)
{
    struct check_rng rng = check_rng(7);
    enum { OUT = 29, IN = 23, COLS = TW_BLOCK };
    for (int t = 0; check_table(t); t++) {
        const struct tw_kernels *kernels = check_table(t);
        tw_real *w = check_random(&rng, OUT * IN, 1), *b = check_random(&rng, OUT, 1);
        tw_real *x = check_random(&rng, IN * COLS, 1), *few = check_new(IN * COLS);
        tw_real *y = check_new(OUT * COLS), *got = check_new(OUT * COLS);
        kernels->dense(TW_SILU, OUT, IN, COLS, w, b, x, NULL, y);
        for (int cols = kernels->columns; cols < COLS; cols += kernels->columns) {
            for (int i = 0; i < IN; i++)
                memcpy(few + i * cols, x + i * COLS, (size_t)cols * sizeof *few);
            kernels->dense(TW_SILU, OUT, IN, cols, w, b, few, NULL, got);
            for (int o = 0; o < OUT; o++)
                assert_memory_equal(got + o * cols, y + o * COLS, (size_t)cols * sizeof *got);
        }
        check_free(OUT * IN, w, kernels->detail);
        check_free(OUT, b, kernels->detail);
        check_free(IN * COLS, x, kernels->detail);
        check_free(IN * COLS, few, kernels->detail);
        check_free(OUT * COLS, y, kernels->detail);
        check_free(OUT * COLS, got, kernels->detail);
    }
}

static void wrong_log(size_t n, const tw_real *x, tw_real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = log2(x[i]);
}

static void wrong_spline(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                         tw_real *log_det)
{
    tw_kernels_ref()->spline(spline, cols, x, p, y, log_det);
    y[cols - 1] = NAN;
}

static void the_selftest_finds_nonsense(void **state)
{
    struct tw_kernels broken = *tw_kernels_ref();
    assert_null(tw_selftest(&broken));
    broken.log = wrong_log;
    assert_string_equal(tw_selftest(&broken), "vectors");
    broken = *tw_kernels_ref();
    broken.spline = wrong_spline;
    assert_string_equal(tw_selftest(&broken), "spline");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(layers),
        cmocka_unit_test(single_events),
        cmocka_unit_test(layer_gradients),
        cmocka_unit_test(vectors),
        cmocka_unit_test(normals),
        cmocka_unit_test(adam_first_step),
        cmocka_unit_test(columns_stand_alone),
        cmocka_unit_test(the_choice_can_be_forced),
        cmocka_unit_test(the_selftest_finds_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
