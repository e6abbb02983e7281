/* The vectorisable functions over the whole float range against libm in double; limits are those that vmath.h states.
 * Every 211th float is looked at, a different selection for each seed. */
#include "check.h"

#include "kernel/vector_math.h"

static double in_ulp(float got, double want)
{
    if ((isnan(want) && isnan(got)) || (double)got == want || ((float)want == got && isinf(got)))
        return 0;
    int exponent = want == 0 ? -126 : ilogb(want);
    return fabs((double)got - want) / ldexp(1, (exponent < -126 ? -126 : exponent) - 23);
}

static void check_function(const char *name, float (*got)(float), double (*want)(double), float low, float high,
                           double limit)
{
    struct check_rng rng = check_rng(1);
    double worst = 0;
    float where = 0;
    for (uint64_t bits = (uint64_t)check_int(&rng, 0, 210); bits <= UINT32_MAX; bits += 211) {
        float x = tw_vmath_from_bits((uint32_t)bits);
        if (!(x >= low && x <= high))
            continue;
        double off = in_ulp(got(x), want((double)x));
        if (!(off <= worst)) {
            worst = off;
            where = x;
        }
    }
    if (!(worst <= limit))
        fail_msg("%s(%a) is %a, not %a: %.2f ulp, limit %.2f", name, (double)where, (double)got(where),
                 want((double)where), worst, limit);
    print_message("# %s: at most %.2f ulp\n", name, worst);
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Those of vectors (vector_math.h), of one lane; the other lanes hold other numbers. */
static vec with_others(float x)
{
    vec v = vec_all(-1);
    v[LANES - 1] = x;
    return v;
}

static float vector_exp_neg(float x)
{
    return vec_exp_neg(with_others(x))[LANES - 1];
}

static float vector_exp_part(float x)
{
    return vec_exp_part(vec_at_least(vec_all(-87), with_others(x)))[LANES - 1];
}

static float vector_log(float x)
{
    return vec_log(with_others(x))[LANES - 1];
}

static float vector_softplus(float x)
{
    return vec_softplus_of(with_others(x), vec_exp_neg(-vec_size(with_others(x))))[LANES - 1];
}

static float vector_sigmoid(float x)
{
    return vec_sigmoid_of(with_others(x), vec_exp_neg(-vec_size(with_others(x))))[LANES - 1];
}

static float vector_gate(float x)
{
    return vec_gate(with_others(x))[LANES - 1];
}

static void exponentials(void **state)
{
    /* one more ulp where the result is subnormal: there an ulp is that of the smallest normal number */
    check_function("exp", tw_vmath_exp, exp, -INFINITY, INFINITY, 1.5);
    check_function("exp_neg", tw_vmath_exp_neg, exp, -87, 0, 1.5);
    check_function("exp_neg of vectors", vector_exp_neg, exp, -87, 0, 1.5);
    check_function("exp_part", vector_exp_part, exp, -1, 0, 2.75);
    check_function("exp_part", vector_exp_part, exp, -16, 0, 21.5);
    assert_true(tw_vmath_exp_neg(-1e30f) < 2e-38f && vector_exp_neg(-1e30f) < 2e-38f);
    assert_true(vector_exp_part(-1e30f) < 2e-38f && vector_exp_part(-INFINITY) < 2e-38f && vector_exp_part(0) == 1);
    assert_true(isnan(tw_vmath_exp(NAN)) && isnan(tw_vmath_exp_neg(NAN)));
    assert_true(isnan(vector_exp_neg(NAN)) && isnan(vector_exp_part(NAN)));
}

static void logarithm(void **state)
{
    check_function("log", tw_vmath_log, log, 0, INFINITY, 1.5);
    check_function("log of vectors", vector_log, log, 0, INFINITY, 1.5);
    assert_true(vector_log(0) == -INFINITY && isnan(vector_log(-1)) && isnan(vector_log(NAN)));
    assert_true(tw_vmath_log(0) == -INFINITY && tw_vmath_log(-0.0f) == -INFINITY);
    assert_true(isnan(tw_vmath_log(-1)) && isnan(tw_vmath_log(-INFINITY)) && isnan(tw_vmath_log(NAN)));
}

static void activations(void **state)
{
    check_function("softplus", vector_softplus, softplus, -87, INFINITY, 2.5);
    check_function("sigmoid", vector_sigmoid, sigmoid, -87, INFINITY, 2.5);
    check_function("gate", tw_vmath_gate, sigmoid, -87, INFINITY, 2.5);
    check_function("gate of vectors", vector_gate, sigmoid, -87, INFINITY, 3);
    assert_true(vector_gate(-INFINITY) < 2e-38f && vector_gate(INFINITY) == 1);
    check_function("tanh", tw_vmath_tanh, tanh, -INFINITY, INFINITY, 2);
    assert_true(isnan(vector_softplus(NAN)) && isnan(vector_sigmoid(NAN)) && isnan(tw_vmath_tanh(NAN)));
    assert_true(vector_softplus(-1e30f) < 2e-38f && vector_sigmoid(-1e30f) < 2e-38f);
    assert_true(tw_vmath_gate(-1e30f) < 2e-38f && tw_vmath_gate(-INFINITY) < 2e-38f && tw_vmath_gate(INFINITY) == 1);
    assert_true(tw_vmath_gate(NAN) >= 0 && tw_vmath_gate(NAN) <= 1);
}

/* The tables' exp and log are these, compiled for each instruction set; all lengths, nothing written beyond. */
static void tables_agree(void **state)
{
    struct check_rng rng = check_rng(2);
    for (int t = 1; check_table(t); t++) {
        const struct tw_kernels *kernels = check_table(t);
        for (size_t n = 0; n < 100; n++) {
            tw_real *x = check_random(&rng, n, 85), *y = check_new(n);
            kernels->exp(n, x, y);
            for (size_t i = 0; i < n; i++)
                assert_true(in_ulp(y[i], exp((double)x[i])) <= 1.5);
            kernels->log(n, y, x);
            for (size_t i = 0; i < n; i++)
                assert_true(in_ulp(x[i], log((double)y[i])) <= 1.5);
            check_free(n, x, "log");
            check_free(n, y, "exp");
        }
    }
}

int main(void)
{
#ifdef NEEDS
    if (!__builtin_cpu_supports(NEEDS)) {
        puts("1..0 # SKIP this processor is not " NEEDS);
        return 0;
    }
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials),
        cmocka_unit_test(logarithm),
        cmocka_unit_test(activations),
        cmocka_unit_test(tables_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
