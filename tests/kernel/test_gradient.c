/* Derivatives by finite differences, in double, for every table: log_det from the map, and every vector-Jacobian
 * product from its forward function. A central difference with step h is off by h^2 times the third derivative, and by
 * epsilon/h. */
#include "check.h"

#define STEP 1e-6

static char what[200];

/* |a - b| against their size; `scale` is the natural size of the gradient. */
static void check_derivative(const char *of, size_t at, double numerical, double analytic, double scale)
{
    double limit = 1e-6 * (1 + scale + fabs(numerical));
    if (!(fabs(numerical - analytic) <= limit))
        fail_msg("%s: gradient of %s[%zu] is %.12g, numerically %.12g", what, of, at, analytic, numerical);
}

/* The loss whose gradient gy asks for: sum gy y. */
static double dense_loss(const struct tw_kernels *kernels, enum tw_activation act, int out, int in, int cols,
                         tw_real *const *at, const tw_real *gy)
{
    size_t size = (size_t)out * cols;
    tw_real *y = check_new(size), *slope = check_new(size);
    double loss = 0;
    kernels->dense(act, out, in, cols, at[0], at[1], at[2], slope, y);
    for (size_t i = 0; i < size; i++)
        loss += gy[i] * y[i];
    check_free(size, y, what);
    check_free(size, slope, what);
    return loss;
}

static void check_dense(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_activation act)
{
    static const char *const names[] = {"w", "b", "x"};
    int out = 5, in = 7, cols = 16;
    size_t size[3] = {(size_t)out * in, (size_t)out, (size_t)in * cols}, size_y = (size_t)out * cols;
    snprintf(what, sizeof what, "%s dense act %d, seed %#llx", kernels->detail, act, (unsigned long long)rng->seed);
    tw_real *at[3], *g[3], *y = check_new(size_y), *slope = check_new(size_y), *gy = check_random(rng, size_y, 1);
    for (int i = 0; i < 3; i++) {
        at[i] = check_random(rng, size[i], 1);
        g[i] = check_new(size[i]);
    }
    tw_real *gz = check_copy(size_y, gy);
    kernels->dense(act, out, in, cols, at[0], at[1], at[2], slope, y);
    kernels->dense_vjp(act, out, in, cols, at[0], at[2], slope, y, gz, 0, g[0], g[1], g[2]);
    for (int i = 0; i < 3; i++) {
        for (size_t j = 0; j < size[i]; j++) {
            double value = at[i][j];
            at[i][j] = value + STEP;
            double above = dense_loss(kernels, act, out, in, cols, at, gy);
            at[i][j] = value - STEP;
            double below = dense_loss(kernels, act, out, in, cols, at, gy);
            at[i][j] = value;
            check_derivative(names[i], j, (above - below) / (2 * STEP), g[i][j], 1);
        }
    }
    for (int i = 0; i < 3; i++) {
        check_free(size[i], at[i], what);
        check_free(size[i], g[i], what);
    }
    check_free(size_y, y, what);
    check_free(size_y, slope, what);
    check_free(size_y, gy, what);
    check_free(size_y, gz, what);
}

static void dense(void **state)
{
    struct check_rng rng = check_rng(1);
    for (int t = 0; check_table(t); t++) {
        for (int act = TW_LINEAR; act <= TW_TANH; act++)
            check_dense(check_table(t), &rng, act);
    }
}

enum { COLS = 80 };

struct splines {
    const struct tw_kernels *kernels;
    struct tw_spline spline;
    size_t size;
    tw_real *x, *p, *gy, *gl;
};

/* Each event's own loss: gy y + gl log_det. On the circle y may jump by a period, which is put back. */
static void losses(const struct splines *s, const tw_real *reference, double *loss)
{
    tw_real y[COLS], log_det[COLS] = {0};
    s->kernels->spline(&s->spline, COLS, s->x, s->p, y, log_det);
    for (int i = 0; i < COLS; i++) {
        double period = 2 * s->spline.bound;
        if (reference && s->spline.kind == TW_SPLINE_CIRCULAR)
            y[i] -= period * rint((y[i] - reference[i]) / period);
        loss[i] = s->gy[i] * y[i] + s->gl[i] * log_det[i];
    }
}

/* Columns do not mix, so that one row of inputs is varied in all events at once. */
static void check_row(const struct splines *s, const char *name, tw_real *row, const tw_real *gradient,
                      const tw_real *y)
{
    double above[COLS], below[COLS], value[COLS];
    for (int i = 0; i < COLS; i++) {
        value[i] = row[i];
        row[i] = value[i] + STEP;
    }
    losses(s, y, above);
    for (int i = 0; i < COLS; i++)
        row[i] = value[i] - STEP;
    losses(s, y, below);
    for (int i = 0; i < COLS; i++) {
        row[i] = value[i];
        check_derivative(name, (size_t)i, (above[i] - below[i]) / (2 * STEP), gradient[i], 10);
    }
}

static void check_spline(const struct tw_kernels *kernels, struct check_rng *rng, enum tw_spline_kind kind, int bins)
{
    struct splines s = {.kernels = kernels, .spline = {kind, bins, 3, 1e-3, 1e-3, 1e-3}};
    s.size = (size_t)tw_spline_rows(&s.spline) * COLS;
    snprintf(what, sizeof what, "%s spline kind %d bins %d, seed %#llx", kernels->detail, kind, bins,
             (unsigned long long)rng->seed);
    s.p = check_random(rng, s.size, 1.5);
    s.x = check_random(rng, COLS, 3.6); /* some outside */
    s.gy = check_random(rng, COLS, 1);
    s.gl = check_random(rng, COLS, 1);
    tw_real gx[COLS], *gp = check_new(s.size), y[COLS], log_det[COLS] = {0};
    kernels->spline(&s.spline, COLS, s.x, s.p, y, log_det);
    kernels->spline_vjp(&s.spline, COLS, s.x, s.p, s.gy, s.gl, gx, gp);
    check_row(&s, "x", s.x, gx, y);
    for (size_t at = 0; at < s.size; at += COLS) {
        char name[32];
        snprintf(name, sizeof name, "row %zu, event", at / COLS);
        check_row(&s, name, s.p + at, gp + at, y);
    }
    check_free(s.size, s.p, what);
    check_free(s.size, gp, what);
    check_free(COLS, s.x, what);
    check_free(COLS, s.gy, what);
    check_free(COLS, s.gl, what);
}

static void splines(void **state)
{
    static const int bins[] = {2, 5, 8, 13};
    struct check_rng rng = check_rng(2);
    for (int t = 0; check_splines(t); t++) {
        for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++) {
            for (int i = 0; i < 4; i++)
                check_spline(check_splines(t), &rng, kind, bins[i]);
        }
    }
}

typedef void map(const struct tw_spline *spline, int cols, const tw_real *x, const tw_real *p, tw_real *y,
                 tw_real *log_det);

/* log_det is the logarithm of the numerical slope, for the map and for its inverse. */
static void check_slope(map *function, const struct tw_spline *spline, const tw_real *p, tw_real *x)
{
    tw_real y[COLS], above[COLS], below[COLS], log_det[COLS] = {0}, unused[COLS] = {0};
    function(spline, COLS, x, p, y, log_det);
    for (int i = 0; i < COLS; i++)
        x[i] += STEP;
    function(spline, COLS, x, p, above, unused);
    for (int i = 0; i < COLS; i++)
        x[i] -= 2 * STEP;
    function(spline, COLS, x, p, below, unused);
    for (int i = 0; i < COLS; i++) {
        x[i] += STEP;
        double rise = above[i] - below[i];
        rise = rise < 0 ? rise + 2 * spline->bound : rise; /* over the seam of the circle */
        check_derivative("log_det", (size_t)i, rise / (2 * STEP), exp(log_det[i]), 1);
    }
}

static void log_det_is_the_slope(void **state)
{
    struct check_rng rng = check_rng(3);
    for (int t = 0; check_splines(t); t++) {
        for (int kind = TW_SPLINE_TAILS; kind <= TW_SPLINE_CIRCULAR; kind++) {
            struct tw_spline spline = {kind, 8, 3, 1e-3, 1e-3, 1e-3};
            size_t size = (size_t)tw_spline_rows(&spline) * COLS;
            tw_real *p = check_random(&rng, size, 1), *x = check_random(&rng, COLS, 2.99);
            snprintf(what, sizeof what, "%s spline kind %d", check_splines(t)->detail, kind);
            check_slope(check_splines(t)->spline, &spline, p, x);
            check_slope(check_splines(t)->spline_inverse, &spline, p, x);
            check_free(size, p, what);
            check_free(COLS, x, what);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense),
        cmocka_unit_test(splines),
        cmocka_unit_test(log_det_is_the_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
