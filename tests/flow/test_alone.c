/* An event has the same bits in a block of any size, and alone: all kinds of features, with conditions, absent ones,
 * and more features than stand side by side in a query of a single event; every table that promises it, in float32. */
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
#include "base/size.h"
#include "flow/coupling.h"
#include "flow/masks.h"
#include "kernel/tables.h"

#define COLS 112 /* strips of any table, and a remainder */

static const enum tw_spline_kind mixed[] = {TW_SPLINE_TAILS, TW_SPLINE_BOUNDED, TW_SPLINE_CIRCULAR, TW_SPLINE_TAILS};

struct flow {
    struct tw_coupling coupling;
    struct tw_params params;
    tw_real *conditions, *present; /* (rows, COLS) */
};

static tw_real uniform(uint64_t key, uint64_t i)
{
    return (tw_real)(2 * tw_rng_uniform(key, i, 7) - 1);
}

static tw_real *numbers(int rows, uint64_t key)
{
    tw_real *x = tw_size_alloc((size_t)(rows + 1) * COLS, sizeof *x);

    assert_non_null(x);
    for (int i = 0; i < rows * COLS; i++)
        x[i] = uniform(key, (uint64_t)i);
    return x;
}

static void flow_init(struct flow *f, int features, int conditions, enum tw_activation activation)
{
    struct tw_coupling *c = &f->coupling;

    assert_int_equal(tw_coupling_init(c, features, 4), 0);
    c->conditions = conditions;
    c->bins = 5;
    c->harmonics = 2;
    c->bound = 3;
    c->hidden_count = 2;
    c->hidden[0] = 23;
    c->hidden[1] = 33;
    c->activation = activation;
    for (int i = 0; i < features; i++)
        c->kinds[i] = mixed[i % 4];
    assert_int_equal(tw_masks_default(4, features, c->masks), 0);
    assert_int_equal(tw_coupling_plan(c), 0);
    tw_params_init(&f->params);
    assert_int_equal(tw_coupling_layout(c, &f->params), 0);
    assert_int_equal(tw_params_alloc(&f->params), 0);
    tw_coupling_start(c, &f->params, 1);
    for (int t = 0; t < f->params.count; t++)
        for (int i = 0; i < f->params.tensors[t].rows * f->params.tensors[t].cols; i++)
            tw_params_at(&f->params, t)[i] += (tw_real)0.3 * uniform(3 + (uint64_t)t, (uint64_t)i);
    assert_int_equal(tw_params_turn(&f->params), 0);
    f->conditions = numbers(conditions, 5);
    f->present = numbers(features, 6);
    for (int i = 0; i < features * COLS; i++)
        f->present[i] = f->present[i] < (tw_real)-0.2 ? 0 : 1;
}

/* Columns first .. first + cols of the flow's image of x: (features, cols), and log_det behind it. */
static tw_real *image(const struct flow *f, const struct tw_kernels *kernels, bool inverse, bool absent, int first,
                      int cols)
{
    int d = f->coupling.features, c = f->coupling.conditions;
    tw_real *x = numbers(d, 7), *out = numbers(d + 1, 0), *conditions = numbers(c, 0), *present = numbers(d, 0);
    tw_real *log_det = tw_size_alloc((size_t)cols, sizeof *log_det);
    struct tw_arena arena;

    for (int r = 0; r < d; r++)
        for (int k = 0; k < cols; k++) {
            present[r * cols + k] = f->present[r * COLS + first + k];
            out[r * cols + k] = (tw_real)3.2 * x[r * COLS + first + k];
            if (f->coupling.kinds[r] != TW_SPLINE_TAILS)
                out[r * cols + k] *= (tw_real)(tw_coupling_bound(&f->coupling, r) / 3.3);
            if (absent)
                out[r * cols + k] *= present[r * cols + k];
        }
    for (int r = 0; r < c; r++)
        memcpy(conditions + r * cols, f->conditions + r * COLS + first, (size_t)cols * sizeof *conditions);
    tw_arena_init(&arena);
    assert_int_equal((inverse ? tw_coupling_inverse : tw_coupling_forward)(&f->coupling, &f->params, kernels, &arena,
                                                                           cols, out, c ? conditions : NULL,
                                                                           absent ? present : NULL, log_det),
                     0);
    memcpy(out + d * cols, log_det, (size_t)cols * sizeof *out);
    tw_arena_fini(&arena);
    free(x);
    free(conditions);
    free(present);
    free(log_det);
    return out;
}

static void check_cut(const struct flow *f, const struct tw_kernels *kernels, bool inverse, bool absent,
                      const tw_real *whole, int first, int cols)
{
    tw_real *part = image(f, kernels, inverse, absent, first, cols);

    for (int r = 0; r <= f->coupling.features; r++)
        if (memcmp(part + r * cols, whole + r * COLS + first, (size_t)cols * sizeof *part) != 0)
            fail_msg("%s, inverse %d, absent %d, row %d of columns %d to %d: %.9g, not %.9g", kernels->detail, inverse,
                     absent, r, first, first + cols, (double)part[r * cols], (double)whole[r * COLS + first]);
    free(part);
}

static void check(const struct tw_kernels *kernels, int features, int conditions, enum tw_activation activation)
{
    struct flow f;

    flow_init(&f, features, conditions, activation);
    for (int mode = 0; mode < 4; mode++) {
        bool inverse = mode & 1, absent = mode & 2;
        tw_real *whole = image(&f, kernels, inverse, absent, 0, COLS);

        check_cut(&f, kernels, inverse, absent, whole, 64, 16);
        check_cut(&f, kernels, inverse, absent, whole, 48, 64);
        for (int k = 0; k < COLS; k += 5)
            check_cut(&f, kernels, inverse, absent, whole, k, 1);
        free(whole);
    }
    tw_coupling_fini(&f.coupling);
    tw_params_fini(&f.params);
    free(f.conditions);
    free(f.present);
}

static void test_alone(void **state)
{
    const struct tw_kernels *kernels;

    for (int rank = -1; (kernels = rank < 0 ? tw_kernels_ref() : tw_tables(rank)); rank++) {
        if (!kernels->single)
            continue;
        check(kernels, 7, 2, TW_SILU);
        check(kernels, 1, 1, TW_TANH);
        check(kernels, 1, 0, TW_RELU);
        check(kernels, 150, 0, TW_RELU);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
