/* The chain of blocks in double: log-determinant against a numerical Jacobian, inverse, gradients, and the two ways
 * of computing a density against each other; features of all kinds mixed, with conditions. */
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "base/status.h"
#include "flow/coupling.h"
#include "flow/masks.h"

#define COLS 32

struct flow {
    struct tw_coupling coupling;
    struct tw_params params;
    struct tw_arena arena;
    const struct tw_kernels *kernels;
    tw_real *x, *conditions, *log_det;
    tw_real *present; /* NULL: all are */
};

static double uniform(uint64_t key, uint64_t i)
{
    return 2 * tw_rng_uniform(key, i, 7) - 1;
}

static tw_real *aligned(size_t n)
{
    tw_real *p = aligned_alloc(64, (n * sizeof *p + 127) / 64 * 64);

    assert_non_null(p);
    memset(p, 0, n * sizeof *p);
    return p;
}

static const enum tw_spline_kind mixed[] = {TW_SPLINE_TAILS, TW_SPLINE_BOUNDED, TW_SPLINE_CIRCULAR, TW_SPLINE_TAILS,
                                            TW_SPLINE_CIRCULAR};

/* Random parameters, far from the identity; events inside the domain of each feature. */
static void flow_init(struct flow *f, const enum tw_spline_kind *kinds, int features, int blocks, int conditions)
{
    struct tw_coupling *c = &f->coupling;

    memset(f, 0, sizeof *f);
    f->kernels = tw_kernels_choose(NULL, NULL);
    assert_non_null(f->kernels);
    tw_arena_init(&f->arena);
    assert_int_equal(tw_coupling_init(c, features, blocks), 0);
    c->conditions = conditions;
    c->bins = 5;
    c->harmonics = 2;
    c->bound = 3;
    c->hidden_count = 2;
    c->hidden[0] = 7;
    c->hidden[1] = 6;
    c->activation = TW_SILU;
    for (int i = 0; i < features; i++)
        c->kinds[i] = kinds[i % 5];
    assert_int_equal(tw_masks_default(blocks, features, c->masks), 0);
    assert_int_equal(tw_coupling_plan(c), 0);
    tw_params_init(&f->params);
    assert_int_equal(tw_coupling_layout(c, &f->params), 0);
    assert_int_equal(tw_params_alloc(&f->params), 0);
    tw_coupling_start(c, &f->params, 1);
    for (size_t i = 0; i < f->params.size; i++)
        f->params.block[i] += 0.15 * uniform(3, i);
    f->x = aligned((size_t)features * COLS);
    f->conditions = aligned((size_t)(conditions + 1) * COLS);
    f->log_det = aligned(COLS);
    for (int i = 0; i < features; i++)
        for (int k = 0; k < COLS; k++)
            f->x[i * COLS + k] = 0.99 * tw_coupling_bound(c, i) * uniform(4, (uint64_t)(i * COLS + k));
    for (int i = 0; i < conditions * COLS; i++)
        f->conditions[i] = uniform(5, (uint64_t)i);
}

/* Takes away two values in five, other ones in each event, but of the first feature only from odd events. */
static void take_away(struct flow *f)
{
    f->present = aligned((size_t)f->coupling.features * COLS);
    for (int i = 0; i < f->coupling.features; i++)
        for (int k = 0; k < COLS; k++) {
            bool absent = i == 0 ? k % 2 : (i + k) % 5 < 2;

            f->present[i * COLS + k] = absent ? 0 : 1;
            f->x[i * COLS + k] *= f->present[i * COLS + k];
        }
}

static void flow_fini(struct flow *f)
{
    tw_coupling_fini(&f->coupling);
    tw_params_fini(&f->params);
    tw_arena_fini(&f->arena);
    free(f->x);
    free(f->conditions);
    free(f->present);
    free(f->log_det);
}

static void map(struct flow *f, bool inverse, tw_real *x, tw_real *log_det)
{
    tw_arena_reset(&f->arena);
    memset(log_det, 0, COLS * sizeof *log_det);
    assert_int_equal((inverse ? tw_coupling_inverse : tw_coupling_forward)(
                         &f->coupling, &f->params, f->kernels, &f->arena, COLS, x, f->conditions, f->present, log_det),
                     0);
}

/* log |det| of a small matrix by elimination with pivots. */
static double log_abs_det(int n, double *a)
{
    double sum = 0;

    for (int k = 0; k < n; k++) {
        int pivot = k;

        for (int i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k]))
                pivot = i;
        for (int j = 0; j < n; j++) {
            double t = a[k * n + j];

            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        sum += log(fabs(a[k * n + k]));
        for (int i = k + 1; i < n; i++) {
            double q = a[i * n + k] / a[k * n + k];

            for (int j = k; j < n; j++)
                a[i * n + j] -= q * a[k * n + j];
        }
    }
    return sum;
}

static double around(double d)
{
    return d - 6.283185307179586 * floor(d / 6.283185307179586 + 0.5);
}

/* Over the features that are present where some are absent: the rows and columns of the others are those of the
 * identity. */
static void check_jacobian(int features, int conditions, bool absent)
{
    const double h = 1e-6;
    struct flow f;
    size_t n = (size_t)features;

    flow_init(&f, mixed, features, 4, conditions);
    if (absent)
        take_away(&f);

    tw_real *up = aligned(n * COLS), *down = aligned(n * COLS), *unused = aligned(COLS);
    double *jacobians = calloc(n * n * COLS, sizeof *jacobians);

    for (int j = 0; j < features; j++) {
        memcpy(up, f.x, n * COLS * sizeof *up);
        memcpy(down, f.x, n * COLS * sizeof *down);
        for (int k = 0; k < COLS; k++) {
            up[j * COLS + k] += h;
            down[j * COLS + k] -= h;
        }
        map(&f, false, up, unused);
        map(&f, false, down, unused);
        for (int i = 0; i < features; i++)
            for (int k = 0; k < COLS; k++) {
                double d = up[i * COLS + k] - down[i * COLS + k];

                if (f.coupling.kinds[i] == TW_SPLINE_CIRCULAR)
                    d = around(d);
                if (absent && (f.present[i * COLS + k] == 0 || f.present[j * COLS + k] == 0))
                    d = i == j ? 2 * h : 0;
                jacobians[((size_t)k * n + (size_t)i) * n + (size_t)j] = d / (2 * h);
            }
    }
    map(&f, false, f.x, f.log_det);
    for (int k = 0; k < COLS; k++) {
        double numeric = log_abs_det(features, jacobians + (size_t)k * n * n);

        if (!(fabs(numeric - f.log_det[k]) < 1e-6))
            fail_msg("%d features, event %d: numerical %.12g, computed %.12g", features, k, numeric, f.log_det[k]);
    }
    free(up);
    free(down);
    free(unused);
    free(jacobians);
    flow_fini(&f);
}

static void test_jacobian(void **state)
{
    check_jacobian(5, 2, false);
    check_jacobian(5, 0, false);
    check_jacobian(2, 0, false);
    check_jacobian(1, 1, false);
    check_jacobian(1, 0, false);
    check_jacobian(7, 2, true);
    check_jacobian(2, 0, true);
}

static void check_round_trip(int features, int conditions, bool absent)
{
    struct flow f;
    size_t n = (size_t)features * COLS;

    flow_init(&f, mixed, features, 6, conditions);
    if (absent)
        take_away(&f);

    tw_real *z = aligned(n), *back = aligned(COLS);

    memcpy(z, f.x, n * sizeof *z);
    map(&f, false, z, f.log_det);
    for (size_t i = 0; absent && i < n; i++)
        assert_true(f.present[i] != 0 || z[i] == 0);
    map(&f, true, z, back);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(around(z[i] - f.x[i])) <= 1e-12))
            fail_msg("%d features, value %zu: %.17g comes back as %.17g", features, i, f.x[i], z[i]);
    for (int k = 0; k < COLS; k++)
        assert_float_equal(back[k], -f.log_det[k], 1e-11);
    free(z);
    free(back);
    flow_fini(&f);
}

static void test_round_trip(void **state)
{
    check_round_trip(5, 2, false);
    check_round_trip(1, 0, false);
    check_round_trip(60, 1, false);
    check_round_trip(7, 1, true);
}

/* --- the tape --- */

/* Sum of losses over events; fills what is not NULL with gradients. */
static double total_loss(struct flow *f, tw_real *grads, tw_real *gx, tw_real *gc)
{
    const struct tw_coupling *c = &f->coupling;
    struct tw_tape tape;
    tw_real seed[COLS];
    double sum = 0;

    tw_arena_reset(&f->arena);
    tw_tape_init(&tape, f->kernels, &f->arena, COLS, &f->params, grads);

    struct tw_var *x = tw_tape_input(&tape, c->features, f->x);
    struct tw_var *conditions = c->conditions ? tw_tape_input(&tape, c->conditions, f->conditions) : NULL;
    struct tw_var *loss = tw_coupling_loss(c, &tape, x, conditions, f->present);

    assert_non_null(loss);
    for (int k = 0; k < COLS; k++) {
        sum += loss->value[k];
        seed[k] = 1;
    }
    if (gx) {
        assert_true(tw_tape_backward(&tape, loss, seed));
        memcpy(gx, x->grad, (size_t)c->features * COLS * sizeof *gx);
        if (conditions)
            memcpy(gc, conditions->grad, (size_t)c->conditions * COLS * sizeof *gc);
    }
    return sum;
}

static void check_slope(struct flow *f, tw_real *at, double analytic, const char *what, size_t index)
{
    const double h = 1e-6;
    tw_real kept = *at;
    double up, down, numeric;

    *at = kept + h;
    up = total_loss(f, NULL, NULL, NULL);
    *at = kept - h;
    down = total_loss(f, NULL, NULL, NULL);
    *at = kept;
    numeric = (up - down) / (2 * h);
    if (!(fabs(numeric - analytic) < 2e-6 * (1 + fabs(analytic))))
        fail_msg("%s %zu: numerical %.12g, analytic %.12g", what, index, numeric, analytic);
}

static void check_all_slopes(bool absent)
{
    struct flow f;

    flow_init(&f, mixed, 5, 4, 2);
    if (absent)
        take_away(&f);

    tw_real *grads = aligned(f.params.size), *gx = aligned(5 * COLS), *gc = aligned(2 * COLS);

    total_loss(&f, grads, gx, gc);
    for (int t = 0; t < f.params.count; t++) {
        const struct tw_tensor *tensor = &f.params.tensors[t];

        for (size_t i = 0; i < (size_t)tensor->rows * (size_t)tensor->cols; i += 3)
            check_slope(&f, &f.params.block[tensor->offset + i], grads[tensor->offset + i], tensor->name, i);
    }
    for (size_t i = 0; i < 5 * COLS; i++)
        check_slope(&f, &f.x[i], gx[i], "input", i);
    for (size_t i = 0; i < 2 * COLS; i++)
        check_slope(&f, &f.conditions[i], gc[i], "condition", i);
    free(grads);
    free(gx);
    free(gc);
    flow_fini(&f);
}

static void test_gradients(void **state)
{
    check_all_slopes(false);
    check_all_slopes(true);
}

static void check_tape_equals_plain(bool absent)
{
    struct flow f;
    double base[COLS], sum = 0;

    flow_init(&f, mixed, 7, 5, 1);
    if (absent)
        take_away(&f);

    double taped = total_loss(&f, NULL, NULL, NULL);

    map(&f, false, f.x, f.log_det);
    tw_coupling_base_log_prob(&f.coupling, COLS, f.x, f.present, base);
    for (int k = 0; k < COLS; k++)
        sum -= base[k] + f.log_det[k];
    assert_float_equal(sum, taped, 1e-9);
    flow_fini(&f);
}

static void test_tape_equals_plain(void **state)
{
    check_tape_equals_plain(false);
    check_tape_equals_plain(true);
}

/* The density of one bounded and one circular feature integrates to one, each by the midpoint rule. */
static void test_normalisation(void **state)
{
    static const enum tw_spline_kind kinds[] = {TW_SPLINE_BOUNDED, TW_SPLINE_CIRCULAR, TW_SPLINE_TAILS};

    for (int kind = 0; kind < 3; kind++) {
        struct flow f;
        double sum = 0, base[COLS];
        const int steps = 4096;

        flow_init(&f, &kinds[kind], 1, 3, 0);

        double edge = kinds[kind] == TW_SPLINE_TAILS ? 10 : tw_coupling_bound(&f.coupling, 0);

        for (int i = 0; i < steps; i += COLS) {
            for (int k = 0; k < COLS; k++)
                f.x[k] = edge * (2 * (i + k + 0.5) / steps - 1);
            map(&f, false, f.x, f.log_det);
            tw_coupling_base_log_prob(&f.coupling, COLS, f.x, f.present, base);
            for (int k = 0; k < COLS; k++)
                sum += exp(base[k] + f.log_det[k]) * 2 * edge / steps;
        }
        assert_float_equal(sum, 1, 1e-4);
        flow_fini(&f);
    }
}

/* --- the start and the base --- */

static void test_start_is_near_the_identity(void **state)
{
    struct flow f;

    flow_init(&f, mixed, 5, 8, 2);
    tw_coupling_start(&f.coupling, &f.params, 1);

    tw_real *z = aligned(5 * COLS);

    memcpy(z, f.x, 5 * COLS * sizeof *z);
    map(&f, false, z, f.log_det);
    for (int i = 0; i < 5 * COLS; i++)
        assert_true(fabs(around(z[i] - f.x[i])) < 0.2);
    free(z);
    flow_fini(&f);
}

/* Events first, first + step, ... */
static void draw(const struct tw_coupling *coupling, uint64_t first, uint64_t step, tw_real *z)
{
    uint64_t events[COLS];

    for (uint64_t i = 0; i < COLS; i++)
        events[i] = first + i * step;
    tw_coupling_base_draw(coupling, tw_kernels_ref(), 11, events, COLS, z);
}

static void test_base(void **state)
{
    struct flow f;
    double moments[5][2] = {{0}};
    const int blocks = 2000;

    flow_init(&f, mixed, 5, 2, 0);

    tw_real *z = aligned(5 * COLS), *again = aligned(5 * COLS);

    for (int b = 0; b < blocks; b++) {
        draw(&f.coupling, (uint64_t)b * COLS, 1, z);
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < COLS; k++) {
                double v =
                    z[i * COLS + k] / (f.coupling.kinds[i] == TW_SPLINE_TAILS ? 1 : tw_coupling_bound(&f.coupling, i));

                moments[i][0] += v / (blocks * COLS);
                moments[i][1] += v * v / (blocks * COLS);
                if (f.coupling.kinds[i] != TW_SPLINE_TAILS)
                    assert_true(fabs(v) <= 1);
            }
    }
    for (int i = 0; i < 5; i++) {
        double variance = f.coupling.kinds[i] == TW_SPLINE_TAILS ? 1 : 1.0 / 3;

        assert_float_equal(moments[i][0], 0, 0.02);
        assert_float_equal(moments[i][1], variance, 0.03);
    }
    /* an event is a function of its index */
    draw(&f.coupling, 5, 1, again);
    draw(&f.coupling, 0, 1, z);
    for (int i = 0; i < 5; i++)
        for (int k = 5; k < COLS; k++)
            assert_true(z[i * COLS + k] == again[i * COLS + k - 5]);
    draw(&f.coupling, 1, 3, again); /* whatever came along */
    for (int i = 0; i < 5; i++)
        for (int k = 0; 1 + 3 * k < COLS; k++)
            assert_true(z[i * COLS + 1 + 3 * k] == again[i * COLS + k]);
    free(z);
    free(again);
    flow_fini(&f);
}

/* --- masks --- */

static void test_masks(void **state)
{
    for (int features = 2; features <= 16; features++) {
        unsigned char masks[8 * 16];

        assert_int_equal(tw_masks_default(8, features, masks), 0);
        for (int b = 0; b < 8; b++) {
            int moved = 0;

            for (int i = 0; i < features; i++) {
                moved += masks[b * features + i];
                if (b % 2)
                    assert_int_equal(masks[b * features + i], !masks[(b - 1) * features + i]);
            }
            assert_true(abs(2 * moved - features) <= 1);
        }
        for (int i = 0; i < features && features <= 12; i++)
            for (int j = 0; j < i; j++) {
                bool separated = false;

                for (int b = 0; b < 8; b++)
                    separated |= masks[b * features + i] != masks[b * features + j];
                if (!separated)
                    fail_msg("%d features: %d and %d are never separated", features, i, j);
            }
    }
}

static void test_hundreds_of_features(void **state)
{
    unsigned char *masks = malloc(8 * 300);

    assert_int_equal(tw_masks_default(8, 300, masks), 0);
    for (int b = 0; b < 8; b++) {
        int moved = 0;

        for (int i = 0; i < 300; i++)
            moved += masks[b * 300 + i];
        assert_int_equal(moved, 150);
    }
    free(masks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jacobian),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_tape_equals_plain),
        cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_start_is_near_the_identity),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_hundreds_of_features),
    };

    return cmocka_run_group_tests_name("flow/coupling", tests, NULL, NULL);
}
