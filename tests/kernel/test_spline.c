/* Splines of every table against the formulae of the paper in long double, there and back, at the edges and beyond.
 * Compiled for float and for double: the limits follow the number type. */
#include "check.h"

#define BOUND 5

static char what[200];

static struct tw_spline make_spline(enum tw_spline_kind kind, int bins)
{
    return (struct tw_spline){kind, bins, BOUND, (tw_real)1e-3, (tw_real)1e-3, (tw_real)1e-3};
}

/* What the paper says of one event, by direct search; `w`, `h` are the sides of its bin. */
struct truth {
    long double y, log_det, w, h;
};

static long double truth_slope(const struct tw_spline *spline, const long double *logits, int edge)
{
    int bins = spline->bins;
    if (spline->kind == TW_SPLINE_TAILS && (edge == 0 || edge == bins))
        return 1;
    int index = spline->kind == TW_SPLINE_TAILS ? edge - 1 : spline->kind == TW_SPLINE_CIRCULAR ? edge % bins : edge;
    long double s = logits[index];
    return (long double)spline->min_slope + (s > 0 ? s + log1pl(expl(-s)) : log1pl(expl(s)));
}

static long double truth_wrap(long double x)
{
    long double r = fmodl(x + BOUND, 2 * BOUND);
    return (r < 0 ? r + 2 * BOUND : r) - BOUND;
}

/* Edges on [-bound, bound] from logits. */
static void truth_edges(int bins, long double min, const long double *logits, long double *edge)
{
    long double sum = 0, max = logits[0];
    for (int k = 1; k < bins; k++)
        max = fmaxl(max, logits[k]);
    for (int k = 0; k < bins; k++)
        sum += expl(logits[k] - max);
    edge[0] = -BOUND;
    for (int k = 0; k < bins; k++)
        edge[k + 1] = edge[k] + 2 * BOUND * (min + (1 - bins * min) * expl(logits[k] - max) / sum);
    edge[bins] = BOUND;
}

/* Durkan et al. 2019, eqs. 4 and 5, as they stand there */
static struct truth truth_at(const struct tw_spline *spline, long double x, const long double *p)
{
    int bins = spline->bins, k = 0;
    long double xs[65], ys[65];
    if (spline->kind == TW_SPLINE_TAILS && fabsl(x) > BOUND)
        return (struct truth){x, 0, 1, 1};
    x = spline->kind == TW_SPLINE_CIRCULAR ? truth_wrap(x) : fminl(fmaxl(x, -BOUND), BOUND);
    truth_edges(bins, (long double)spline->min_width, p, xs);
    truth_edges(bins, (long double)spline->min_height, p + bins, ys);
    while (k < bins - 1 && x >= xs[k + 1])
        k++;
    long double w = xs[k + 1] - xs[k], h = ys[k + 1] - ys[k], s = h / w, xi = (x - xs[k]) / w;
    long double d0 = truth_slope(spline, p + 2 * bins, k), d1 = truth_slope(spline, p + 2 * bins, k + 1);
    long double denominator = s + (d1 + d0 - 2 * s) * xi * (1 - xi);
    long double y = ys[k] + h * (s * xi * xi + d0 * xi * (1 - xi)) / denominator;
    long double slope =
        s * s * (d1 * xi * xi + 2 * s * xi * (1 - xi) + d0 * (1 - xi) * (1 - xi)) / (denominator * denominator);
    if (spline->kind == TW_SPLINE_CIRCULAR)
        y = truth_wrap(y + p[3 * bins]);
    return (struct truth){y, logl(slope), w, h};
}

static struct truth truth(const struct tw_spline *spline, int cols, tw_real x, const tw_real *p)
{
    long double column[3 * 64 + 1];
    for (int row = 0; row < tw_spline_rows(spline); row++)
        column[row] = (long double)p[(size_t)row * cols];
    return truth_at(spline, (long double)x, column);
}

static double apart(const struct tw_spline *spline, double a, double b)
{
    return fabs(spline->kind == TW_SPLINE_CIRCULAR ? remainder(a - b, 2 * BOUND) : a - b);
}

/* A kernel is allowed to misplace x, and the edges of a bin, by a few units in the last place of the bound; what that
 * does to y and to log_det is in the spline, so the truth is asked a little to the left and to the right as well. */
static void check_event(const struct tw_spline *spline, int cols, tw_real x, const tw_real *p, double y, double log_det)
{
    double shift = (4 + spline->bins / 4) * CHECK_EPSILON * BOUND; /* edges are sums over bins */
    long double left = (long double)x - shift, right = (long double)x + shift, column[3 * 64 + 1];
    for (int row = 0; row < tw_spline_rows(spline); row++)
        column[row] = (long double)p[(size_t)row * cols];
    struct truth t = truth(spline, cols, x, p), l = truth_at(spline, left, column), r = truth_at(spline, right, column);
    double limit_y = 2 * (apart(spline, (double)l.y, (double)t.y) + apart(spline, (double)r.y, (double)t.y)) +
                     (16 + spline->bins / 2) * CHECK_EPSILON * BOUND;
    double limit_log = 2 * (double)(fabsl(l.log_det - t.log_det) + fabsl(r.log_det - t.log_det)) +
                       (32 + spline->bins) * CHECK_EPSILON * (1 + BOUND / (double)t.w + BOUND / (double)t.h);
    if (!(apart(spline, y, (double)t.y) <= limit_y) || !(fabs(log_det - (double)t.log_det) <= limit_log))
        fail_msg("%s: x %.9g: y %.9g, not %.9g (limit %.2g); log_det %.9g, not %.9g (limit %.2g)", what, (double)x, y,
                 (double)t.y, limit_y, log_det, (double)t.log_det, limit_log);
}

/* One written-down spline of each kind, 16 points, among them both ends. */
static void golden_vector(void **state)
{
    static const double p[16] = {0.3, -0.9, 1.2, 0.1, -0.4, 0.8, -1.1, 0.6, -0.2, 0.5, 0.7, -1.3, 0.2, 1.9, -0.6, 0.45};
    static const double x[16] = {-5, -4.75, -4, -3.2, -2.5, -1.9, -1.2, -0.6, 0.1, 0.75, 1.5, 2.3, 3.1, 3.8, 4.6, 5};
    for (int t = 0; check_splines(t); t++) {
        for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++) {
            struct tw_spline spline = make_spline(kind, 5);
            _Alignas(64) tw_real xs[16], ps[16 * 16], y[16], log_det[16] = {0};
            for (int i = 0; i < 16; i++) {
                xs[i] = (tw_real)x[i];
                for (int row = 0; row < 16; row++)
                    ps[16 * row + i] = (tw_real)p[row];
            }
            check_splines(t)->spline(&spline, 16, xs, ps, y, log_det);
            for (int i = 0; i < 16; i++) {
                struct truth want = truth(&spline, 16, xs[i], ps + i);
                assert_true(apart(&spline, (double)y[i], (double)want.y) <= 8 * CHECK_EPSILON * BOUND);
                assert_true(fabs((double)log_det[i] - (double)want.log_det) <= 32 * CHECK_EPSILON);
            }
        }
    }
}

/* Inputs of every sort: inside, near and on the bound, far. */
static tw_real random_coordinate(struct check_rng *rng, const struct tw_spline *spline)
{
    double sign = check_int(rng, 0, 1) ? 1 : -1;
    switch (check_int(rng, 0, 9)) {
    case 0:
        return (tw_real)(sign * BOUND);
    case 1:
        return (tw_real)(sign * BOUND * (1 - check_uniform(rng, 0, 1e-5)));
    case 2:
        return (tw_real)(sign * BOUND * (1 + check_uniform(rng, 0, 1e-5)));
    case 3: /* on a circle a large angle has lost its phase */
        return (tw_real)(sign * (spline->kind == TW_SPLINE_CIRCULAR ? 3.2 * BOUND : exp(check_uniform(rng, 2, 80))));
    case 4:
        return 0;
    }
    return (tw_real)check_uniform(rng, -1.2 * BOUND, 1.2 * BOUND);
}

struct inputs {
    struct tw_spline spline;
    int cols, rows;
    size_t size;
    tw_real *x, *p, *y, *log_det, *back, *log_back;
};

static struct inputs new_inputs(const char *table, struct check_rng *rng, int number)
{
    static const double scales[] = {0.1, 1, 3, 30};
    static const int sizes[] = {2, 3, 8, 64};
    double scale = scales[check_int(rng, 0, 3)];
    int bins = number % 3 ? check_int(rng, 2, 24) : sizes[number / 3 % 4];
    struct inputs in = {.spline = make_spline(number % 3, bins), .cols = 16 * check_int(rng, 1, 17)};
    in.rows = tw_spline_rows(&in.spline);
    in.size = (size_t)in.rows * (size_t)in.cols;
    snprintf(what, sizeof what, "%s kind %d bins %d cols %d scale %g, seed %#llx", table, number % 3, bins, in.cols,
             scale, (unsigned long long)rng->seed);
    in.p = check_random(rng, in.size, scale);
    in.x = check_new((size_t)in.cols);
    for (int i = 0; i < in.cols; i++)
        in.x[i] = random_coordinate(rng, &in.spline);
    in.log_det = check_random(rng, (size_t)in.cols, 1); /* is added to */
    in.log_back = check_copy((size_t)in.cols, in.log_det);
    in.y = check_new((size_t)in.cols);
    in.back = check_new((size_t)in.cols);
    return in;
}

static void free_inputs(struct inputs *in)
{
    check_free(in->size, in->p, what);
    tw_real *columns[] = {in->x, in->y, in->log_det, in->back, in->log_back};
    for (int i = 0; i < 5; i++)
        check_free((size_t)in->cols, columns[i], what);
}

static void check_forward(const struct tw_kernels *kernels, struct check_rng *rng, int number)
{
    struct inputs in = new_inputs(kernels->detail, rng, number);
    kernels->spline(&in.spline, in.cols, in.x, in.p, in.y, in.log_det);
    for (int i = 0; i < in.cols; i++) {
        check_event(&in.spline, in.cols, in.x[i], in.p + i, (double)in.y[i],
                    (double)in.log_det[i] - (double)in.log_back[i]);
        if (in.spline.kind != TW_SPLINE_TAILS)
            assert_true(in.y[i] >= -BOUND && in.y[i] <= BOUND);
        if (in.spline.kind == TW_SPLINE_CIRCULAR)
            assert_true(in.y[i] < BOUND);
    }
    free_inputs(&in);
}

static void forward(void **state)
{
    struct check_rng rng = check_rng(1);
    for (int t = 0; check_splines(t); t++) {
        for (int i = 0; i < 240; i++)
            check_forward(check_splines(t), &rng, i);
    }
}

/* x' = inverse(y) is right if the paper's formula takes it to y, as far as x' has digits for it. */
static void check_inverse(const struct tw_kernels *kernels, struct check_rng *rng, int number)
{
    struct inputs in = new_inputs(kernels->detail, rng, number);
    kernels->spline_inverse(&in.spline, in.cols, in.x, in.p, in.back, in.log_det);
    for (int i = 0; i < in.cols; i++) {
        tw_real y = in.x[i], x = in.back[i];
        if (in.spline.kind == TW_SPLINE_BOUNDED)
            y = (tw_real)fmax(-BOUND, fmin(BOUND, (double)y));
        if (in.spline.kind != TW_SPLINE_TAILS)
            assert_true(x >= -BOUND && x <= BOUND);
        /* as forward, with y and log_det as what "x" should have given */
        check_event(&in.spline, in.cols, x, in.p + i, (double)y, (double)in.log_back[i] - (double)in.log_det[i]);
    }
    free_inputs(&in);
}

static void inverse(void **state)
{
    struct check_rng rng = check_rng(2);
    for (int t = 0; check_splines(t); t++) {
        for (int i = 0; i < 240; i++)
            check_inverse(check_splines(t), &rng, i);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sixteen splines in a row and back, as in a deep flow, with parameters a trained network gives. */
static void check_deep_round_trip(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_spline_kind kind)
{
    enum { DEPTH = 16, COLS = 4096 };
    struct tw_spline spline = make_spline(kind, 8);
    size_t size = (size_t)tw_spline_rows(&spline) * COLS;
    tw_real *p[DEPTH], *x = check_random(rng, COLS, 0.8 * BOUND), *z = check_copy(COLS, x);
    tw_real *log_det = check_new(COLS);
    static double off[COLS];
    for (int d = 0; d < DEPTH; d++) {
        p[d] = check_random(rng, size, 0.3);
        kernels->spline(&spline, COLS, z, p[d], z, log_det); /* in place */
    }
    for (int d = DEPTH - 1; d >= 0; d--)
        kernels->spline_inverse(&spline, COLS, z, p[d], z, log_det);
    double worst_log = 0;
    for (int i = 0; i < COLS; i++) {
        off[i] = apart(&spline, (double)x[i], (double)z[i]);
        worst_log = fmax(worst_log, fabs((double)log_det[i]));
    }
    qsort(off, COLS, sizeof off[0], ascending);
    print_message("# %s kind %d: p99 %.2g, worst %.2g; log_det %.2g\n", kernels->detail, kind, off[COLS * 99 / 100],
                  off[COLS - 1], worst_log);
    assert_true(off[COLS * 99 / 100] <= (CHECK_EPSILON < 1e-10 ? 1e-13 : 2e-5));
    assert_true(off[COLS - 1] <= 4000 * CHECK_EPSILON);
    assert_true(worst_log <= 16000 * CHECK_EPSILON);
    for (int d = 0; d < DEPTH; d++)
        check_free(size, p[d], kernels->name);
    check_free(COLS, x, kernels->name);
    check_free(COLS, z, kernels->name);
    check_free(COLS, log_det, kernels->name);
}

static void deep_round_trip(void **state)
{
    struct check_rng rng = check_rng(3);
    for (int t = 0; check_splines(t); t++) {
        for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++)
            check_deep_round_trip(check_splines(t), &rng, kind);
    }
}

/* Even widths and heights and slopes of 1 are the identity: how a flow starts. */
static void identity_start(void **state)
{
    struct check_rng rng = check_rng(4);
    for (int t = 0; check_splines(t); t++) {
        for (int number = 0; number < 60; number++) {
            struct inputs in = new_inputs(check_splines(t)->detail, &rng, number);
            for (size_t i = 0; i < in.size; i++)
                in.p[i] = i < (size_t)(2 * in.spline.bins * in.cols) ? 0 : (tw_real)log(exp(1 - 1e-3) - 1);
            for (int i = 0; i < in.cols && in.spline.kind == TW_SPLINE_CIRCULAR; i++)
                in.p[(size_t)(in.rows - 1) * in.cols + i] = 0;
            check_splines(t)->spline(&in.spline, in.cols, in.x, in.p, in.y, in.log_det);
            for (int i = 0; i < in.cols; i++) {
                double x = (double)in.x[i];
                if (in.spline.kind == TW_SPLINE_BOUNDED)
                    x = fmax(-BOUND, fmin(BOUND, x));
                if (in.spline.kind == TW_SPLINE_CIRCULAR)
                    x = (double)truth_wrap((long double)x);
                assert_true(apart(&in.spline, x, (double)in.y[i]) <= 8 * CHECK_EPSILON * BOUND || x == in.y[i]);
                assert_true(fabs((double)in.log_det[i] - (double)in.log_back[i]) <= 64 * CHECK_EPSILON);
            }
            free_inputs(&in);
        }
    }
}

/* Outside the tails' interval not a bit changes; at the bound the slope is 1 from inside too. */
static void tails_are_the_identity(void **state)
{
    static const double far[16] = {5.000001, -5.000001, 5.5, -7,   100,  -1e6, 1e30,      -3e37,
                                   INFINITY, -INFINITY, 6,   1e10, -1e3, -42,  5.0000005, 9};
    struct check_rng rng = check_rng(5);
    struct tw_spline spline = make_spline(TW_SPLINE_TAILS, 8);
    for (int t = 0; check_splines(t); t++) {
        tw_real *p = check_random(&rng, (size_t)tw_spline_rows(&spline) * 16, 3);
        tw_real x[16], y[16], log_det[16] = {0};
        for (int i = 0; i < 16; i++)
            x[i] = (tw_real)far[i];
        check_splines(t)->spline(&spline, 16, x, p, y, log_det);
        assert_memory_equal(x, y, sizeof x);
        check_splines(t)->spline_inverse(&spline, 16, x, p, y, log_det);
        assert_memory_equal(x, y, sizeof x);
        for (int i = 0; i < 16; i++)
            assert_true(log_det[i] == 0);
        for (int i = 0; i < 16; i++)
            x[i] = i % 2 ? BOUND : -BOUND;
        check_splines(t)->spline(&spline, 16, x, p, y, log_det);
        for (int i = 0; i < 16; i++) {
            assert_true(fabs((double)x[i] - (double)y[i]) <= 4 * CHECK_EPSILON * BOUND);
            assert_true(fabs((double)log_det[i]) <= 8 * CHECK_EPSILON);
        }
        check_free((size_t)tw_spline_rows(&spline) * 16, p, "tails");
    }
}

/* Runs all three kernels; a bad column is bad for itself alone. */
static void check_poison(const struct tw_kernels *kernels, enum tw_spline_kind kind, bool in_parameters)
{
    enum { COLS = 96, BAD = 37 };
    struct check_rng rng = check_rng(6);
    struct tw_spline spline = make_spline(kind, 7);
    size_t size = (size_t)tw_spline_rows(&spline) * COLS;
    tw_real *p = check_random(&rng, size, 2), *x = check_random(&rng, COLS, BOUND), *gp = check_new(size);
    tw_real *y = check_new(COLS), *gx = check_new(COLS), *log_det = check_new(COLS), *log_back = check_new(COLS);
    tw_real *back = check_new(COLS);
    if (in_parameters)
        p[(size_t)check_int(&rng, 0, 13) * COLS + BAD] = NAN;
    else
        x[BAD] = NAN;
    kernels->spline(&spline, COLS, x, p, y, log_det);
    kernels->spline_inverse(&spline, COLS, x, p, back, log_back);
    kernels->spline_vjp(&spline, COLS, x, p, x, x, gx, gp);
    for (int i = 0; i < COLS; i++) {
        assert_int_equal(isnan(y[i]) != 0, i == BAD);
        assert_int_equal(isnan(back[i]) != 0, i == BAD);
        assert_int_equal(isnan(log_det[i]) != 0, i == BAD);
        assert_int_equal(isnan(log_back[i]) != 0, i == BAD);
        assert_int_equal(isnan(gx[i]) != 0, i == BAD);
        for (int row = 0; row < tw_spline_rows(&spline) && i != BAD; row++)
            assert_true(isfinite(gp[(size_t)row * COLS + i]));
    }
    tw_real *columns[] = {x, y, back, gx, log_det, log_back};
    for (int i = 0; i < 6; i++)
        check_free(COLS, columns[i], kernels->detail);
    check_free(size, p, kernels->detail);
    check_free(size, gp, kernels->detail);
}

static void nan_gives_nan(void **state)
{
    for (int t = 0; check_splines(t); t++) {
        for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++) {
            check_poison(check_splines(t), kind, false);
            check_poison(check_splines(t), kind, true);
        }
    }
}

/* Absurd logits: no crash, no index out of range (the sanitizers look), and a spline that still is one. */
static void absurd_logits(void **state)
{
    static const double absurd[] = {1e4, 1e30, -1e30, INFINITY, -INFINITY, NAN};
    struct check_rng rng = check_rng(7);
    for (int t = 0; check_splines(t); t++) {
        for (int number = 0; number < 120; number++) {
            struct inputs in = new_inputs(check_splines(t)->detail, &rng, number);
            double value = absurd[number % 6];
            for (size_t i = 0; i < in.size; i += 1 + (size_t)check_int(&rng, 0, 40))
                in.p[i] = (tw_real)value;
            tw_real *gp = check_new(in.size), *gx = check_new((size_t)in.cols);
            check_splines(t)->spline(&in.spline, in.cols, in.x, in.p, in.y, in.log_det);
            check_splines(t)->spline_inverse(&in.spline, in.cols, in.x, in.p, in.back, in.log_back);
            check_splines(t)->spline_vjp(&in.spline, in.cols, in.x, in.p, in.x, in.x, gx, gp);
            for (int i = 0; i < in.cols && in.spline.kind != TW_SPLINE_TAILS; i++) {
                assert_false(in.y[i] < -BOUND || in.y[i] > BOUND);
                assert_false(in.back[i] < -BOUND || in.back[i] > BOUND);
            }
            check_free(in.size, gp, what);
            check_free((size_t)in.cols, gx, what);
            free_inputs(&in);
        }
    }
}

/* At an edge of a bin the gradient of log_det jumps, and which side an event is on is a matter of rounding: so the
 * reference is asked a little to the left and to the right too, and anything between its answers is right. */
static void check_between(size_t n, tw_real *const *want, const tw_real *got)
{
    double limit = 200 * CHECK_EPSILON * 24 * (1 + check_largest(n, want[1]));
    for (size_t i = 0; i < n; i++) {
        double a = (double)want[0][i], b = (double)want[1][i], c = (double)want[2][i];
        double low = fmin(a, fmin(b, c)) - limit, high = fmax(a, fmax(b, c)) + limit;
        if (!((double)got[i] >= low && (double)got[i] <= high))
            fail_msg("%s: gradient [%zu] is %.9g, not %.9g, limit %.3g", what, i, (double)got[i], b, limit);
    }
}

static void check_vjp(const struct tw_kernels *kernels, struct check_rng *rng, int number)
{
    struct inputs in = new_inputs(kernels->detail, rng, number);
    size_t cols = (size_t)in.cols;
    tw_real *gy = check_random(rng, cols, 1), *gl = check_random(rng, cols, 1);
    tw_real *gx[4], *gp[4];              /* left, here, right; the candidate's */
    for (size_t i = 0; i < in.size; i++) /* mild, so that one limit fits; where that is not so, see test_gradient */
        in.p[i] = (tw_real)check_uniform(rng, -1, 1);
    for (int side = 0; side < 4; side++) {
        gx[side] = check_new(cols);
        gp[side] = check_new(in.size);
        for (size_t i = 0; i < cols; i++)
            in.y[i] = in.x[i] + (tw_real)(side == 3 ? 0 : (side - 1) * 8 * CHECK_EPSILON * BOUND);
        (side == 3 ? kernels : tw_kernels_ref())
            ->spline_vjp(&in.spline, in.cols, in.y, in.p, gy, gl, gx[side], gp[side]);
    }
    check_between(cols, gx, gx[3]);
    check_between(in.size, gp, gp[3]);
    for (int side = 0; side < 4; side++) {
        check_free(cols, gx[side], what);
        check_free(in.size, gp[side], what);
    }
    check_free(cols, gy, what);
    check_free(cols, gl, what);
    free_inputs(&in);
}

static void gradients_agree_with_ref(void **state)
{
    struct check_rng rng = check_rng(8);
    for (int t = 1; check_splines(t); t++) {
        for (int i = 0; i < 120; i++)
            check_vjp(check_splines(t), &rng, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vector),   cmocka_unit_test(forward),        cmocka_unit_test(inverse),
        cmocka_unit_test(deep_round_trip), cmocka_unit_test(identity_start), cmocka_unit_test(tails_are_the_identity),
        cmocka_unit_test(nan_gives_nan),   cmocka_unit_test(absurd_logits),  cmocka_unit_test(gradients_agree_with_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
