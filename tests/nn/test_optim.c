/* Parameters as views, the optimiser's arithmetic against formulas written out here, and float32 trigonometry. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/status.h"
#include "nn/optim.h"
#include "nn/trig.h"

static void test_params(void **state)
{
    struct tw_params params, copy;

    tw_params_init(&params);
    assert_int_equal(tw_params_add(&params, "a", 3, 5), 0);
    assert_int_equal(tw_params_add(&params, "empty", 3, 0), 1);
    assert_int_equal(tw_params_add_vector(&params, "b", 7), 2);
    assert_true(tw_params_add(&params, "negative", -1, 3) < 0);
    assert_true(tw_params_add(&params, "huge", INT32_MAX, INT32_MAX) < 0);
    assert_int_equal(tw_params_alloc(&params), 0);
    assert_int_equal(tw_params_values(&params), 22);
    assert_int_equal(tw_params_find(&params, "b"), 2);
    assert_int_equal(tw_params_find(&params, "c"), -1);
    for (int t = 0; t < params.count; t++)
        assert_int_equal((uintptr_t)tw_params_at(&params, t) % 64, 0);
    tw_params_at(&params, 2)[6] = 4;
    assert_int_equal(tw_params_copy(&copy, &params), 0);
    assert_true(tw_params_at(&copy, 2)[6] == 4);
    assert_true(tw_params_finite(&copy));
    tw_params_at(&copy, 0)[14] = NAN;
    assert_false(tw_params_finite(&copy));
    tw_params_fini(&copy);
    tw_params_fini(&params);
}

/* Three steps on two parameters, by hand. */
static void test_adam(void **state)
{
    const double rate = 0.1, decay = 0.5, weight_decay = 0.2;
    const struct tw_optim_rule rule = {.rate = rate, .clip = 5, .weight_decay = weight_decay, .decay = decay};
    const double gradients[3][2] = {{1, -2}, {30, 40}, {-0.5, 0.25}};
    struct tw_params params;
    struct tw_optim optim;
    double p[2] = {0.3, -0.7}, m[2] = {0}, v[2] = {0}, average[2] = {0.3, -0.7};

    tw_params_init(&params);
    tw_params_add(&params, "p", 1, 2);
    tw_params_add_vector(&params, "bias", 1);
    assert_int_equal(tw_params_alloc(&params), 0);
    tw_params_at(&params, 1)[0] = 3;
    params.block[0] = (tw_real)p[0];
    params.block[1] = (tw_real)p[1];
    assert_int_equal(tw_optim_init(&optim, &params), 0);
    for (int t = 1; t <= 3; t++) {
        tw_real grads[32] __attribute__((aligned(64))) = {(tw_real)gradients[t - 1][0], (tw_real)gradients[t - 1][1]};
        double norm = hypot(gradients[t - 1][0], gradients[t - 1][1]), scale = norm > 5 ? 5 / norm : 1;
        double early = (1.0 + t) / (10.0 + t), keep = decay < early ? decay : early;

        assert_true(tw_optim_step(&optim, tw_kernels_ref(), &params, grads, norm * norm, &rule));
        for (int i = 0; i < 2; i++) {
            double g = scale * gradients[t - 1][i];

            p[i] -= rate * weight_decay * p[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            p[i] -= rate * (m[i] / (1 - pow(0.9, t))) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
            average[i] = keep * average[i] + (1 - keep) * p[i];
            assert_float_equal(params.block[i], p[i], 2e-5);
            assert_float_equal(optim.average[i], average[i], 2e-5);
        }
    }
    assert_true(tw_params_at(&params, 1)[0] == 3); /* no gradient, and vectors do not decay */
    tw_optim_fini(&optim);
    tw_params_fini(&params);
}

static void test_not_finite(void **state)
{
    struct tw_params params;
    struct tw_optim optim;
    tw_real grads[16] __attribute__((aligned(64))) = {1};
    const struct tw_optim_rule rule = {.rate = 0.1, .clip = 5, .decay = 0.9};

    tw_params_init(&params);
    tw_params_add_vector(&params, "p", 2);
    assert_int_equal(tw_params_alloc(&params), 0);
    assert_int_equal(tw_optim_init(&optim, &params), 0);
    assert_false(tw_optim_step(&optim, tw_kernels_ref(), &params, grads, NAN, &rule));
    assert_false(tw_optim_step(&optim, tw_kernels_ref(), &params, grads, INFINITY, &rule));
    assert_true(params.block[0] == 0 && optim.step == 0 && optim.m[0] == 0);
    tw_optim_fini(&optim);
    tw_params_fini(&params);
}

static void test_schedule(void **state)
{
    assert_true(tw_optim_rate(1, 0.1, 0, 1000) < 0.02);
    for (long step = 1; step < 100; step++)
        assert_true(tw_optim_rate(1, 0.1, step, 1000) > tw_optim_rate(1, 0.1, step - 1, 1000));
    assert_float_equal(tw_optim_rate(1, 0.1, 100, 1000), 1, 1e-12);
    for (long step = 101; step < 1000; step++)
        assert_true(tw_optim_rate(1, 0.1, step, 1000) < tw_optim_rate(1, 0.1, step - 1, 1000));
    assert_true(tw_optim_rate(1, 0.1, 999, 1000) < 1e-4);
    assert_float_equal(tw_optim_rate(2, 0, 0, 10), 2, 1e-12);
}

/* What trig.h promises; the largest error is quoted when it is broken. */
static void test_trig(void **state)
{
    static const tw_real factors[] = {1, 2, 8, 12};

    for (size_t f = 0; f < 4; f++)
        for (int i = -1000; i <= 1000; i++) {
            tw_real x[16], c[16], s[16];

            for (int k = 0; k < 16; k++)
                x[k] = (tw_real)(i * 3.14159265358979 / 1000 + k * 1e-4);
            tw_trig_cos_sin(16, factors[f], x, c, s);
            for (int k = 0; k < 16; k++) {
                double a = (double)(factors[f] * x[k]);

                assert_float_equal((double)c[k], cos(a), 5e-7);
                assert_float_equal((double)s[k], sin(a), 5e-7);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),   cmocka_unit_test(test_adam), cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_schedule), cmocka_unit_test(test_trig),
    };

    return cmocka_run_group_tests_name("nn/optim", tests, NULL, NULL);
}
