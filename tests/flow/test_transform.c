/* Transforms: inverse, Jacobian by differences, and samples that never leave the hard domain. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"
#include "flow/transform.h"

#define PI TW_TRANSFORM_PI

static const struct tw_transform_column columns[] = {
    {.kind = TW_TRANSFORM_REAL, .mean = -3, .width = 2.5},
    {.kind = TW_TRANSFORM_LOG, .min = 20, .mean = 3, .width = 0.7},
    {.kind = TW_TRANSFORM_LOG, .min = 0.1, .mean = -2, .width = 3}, /* 0.1 is no float */
    {.kind = TW_TRANSFORM_BOUNDED, .min = -0.1, .max = 0.3, .bound = 5},
    {.kind = TW_TRANSFORM_BOUNDED, .min = 0, .max = 1, .bound = 2},
    {.kind = TW_TRANSFORM_PERIODIC, .min = -PI, .max = PI},
    {.kind = TW_TRANSFORM_PERIODIC, .min = 0, .max = 360},
    {.kind = TW_TRANSFORM_PERIODIC, .min = 0.1, .max = 0.7},
};
#define COUNT (sizeof columns / sizeof *columns)

/* A value inside the domain. */
static double draw(const struct tw_transform_column *c, uint64_t i)
{
    double u = tw_rng_uniform(1, i, 0);

    switch (c->kind) {
    case TW_TRANSFORM_REAL:
        return c->mean + c->width * 6 * (2 * u - 1);
    case TW_TRANSFORM_LOG:
        return c->min + exp(c->mean + c->width * 2 * (2 * u - 1));
    case TW_TRANSFORM_BOUNDED:
    case TW_TRANSFORM_PERIODIC:
        return c->min + (c->max - c->min) * u;
    }
    return 0;
}

static void test_inverse_and_jacobian(void **state)
{
    for (size_t k = 0; k < COUNT; k++)
        for (uint64_t i = 0; i < 500; i++) {
            const struct tw_transform_column *c = &columns[k];
            double x = draw(c, i), h = 1e-5 * (c->kind == TW_TRANSFORM_LOG ? x - c->min : 1), jacobian = 0, unused = 0;
            double y = tw_transform_forward(c, x, &jacobian), back = tw_transform_inverse(c, y);
            double up = tw_transform_forward(c, x + h, &unused), down = tw_transform_forward(c, x - h, &unused);

            assert_float_equal(back, x, 1e-12 * (1 + fabs(x)) * 100);
            if (c->kind == TW_TRANSFORM_PERIODIC && fabs(up - down) > PI)
                continue; /* across the cut */
            assert_float_equal(jacobian, log((up - down) / (2 * h)), 1e-6);
        }
}

static void test_wrap(void **state)
{
    for (int i = -1000; i <= 1000; i++) {
        double a = 0.0371 * i, w = tw_transform_wrap(a);

        assert_true(w >= -PI && w < PI);
        assert_float_equal(cos(w), cos(a), 1e-12);
        assert_float_equal(sin(w), sin(a), 1e-12);
    }
    assert_true(tw_transform_wrap(PI) == -PI);
    assert_true(tw_transform_wrap(nextafter(PI, 0)) < PI);
    assert_true(tw_transform_wrap(nextafter(-PI, -4)) < PI);
    assert_true(tw_transform_wrap(-PI) == -PI);
}

static bool in_domain(const struct tw_transform_column *c, float x)
{
    if (c->kind == TW_TRANSFORM_PERIODIC)
        return (double)x >= c->min && (double)x < c->max;
    return tw_transform_ok(c, (double)x);
}

static void test_to_float_stays_inside(void **state)
{
    static const double wild[] = {-1e300, -FLT_MAX, -1e9,    -7,    -1e-30,   0,         1e-30,
                                  7,      1e9,      FLT_MAX, 1e300, INFINITY, -INFINITY, NAN};

    for (size_t k = 0; k < COUNT; k++) {
        const struct tw_transform_column *c = &columns[k];

        for (size_t i = 0; i < sizeof wild / sizeof *wild; i++)
            if (c->kind != TW_TRANSFORM_PERIODIC || isfinite(wild[i])) {
                float x = tw_transform_to_float(c, tw_transform_inverse(c, wild[i]));

                if (!in_domain(c, x))
                    fail_msg("column %zu: %g gives %.9g", k, wild[i], (double)x);
            }
        /* the edges themselves, where rounding to float32 would leave the domain */
        assert_true(in_domain(c, tw_transform_to_float(c, c->min)) || c->kind == TW_TRANSFORM_REAL);
        assert_true(in_domain(c, tw_transform_to_float(c, c->max)) || c->kind == TW_TRANSFORM_REAL);
        assert_true(in_domain(c, tw_transform_to_float(c, nextafter(c->max, -1e9))) || c->kind == TW_TRANSFORM_REAL);
    }
}

static void test_domain(void **state)
{
    assert_false(tw_transform_ok(&columns[0], NAN));
    assert_false(tw_transform_ok(&columns[0], INFINITY));
    assert_false(tw_transform_ok(&columns[1], 20));
    assert_true(tw_transform_ok(&columns[1], 20.000001));
    assert_true(tw_transform_ok(&columns[4], 0) && tw_transform_ok(&columns[4], 1));
    assert_false(tw_transform_ok(&columns[4], 1.0000001));
    assert_true(tw_transform_ok(&columns[5], 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inverse_and_jacobian),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_to_float_stays_inside),
        cmocka_unit_test(test_domain),
    };

    return cmocka_run_group_tests_name("flow/transform", tests, NULL, NULL);
}
