/* The tests of two samples against SciPy's answers (golden.py), and what they promise at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "golden.h"
#include "stat/c2st.h"
#include "stat/ks.h"
#include "stat/rate.h"
#include "stat/sort.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_near(double got, double want, double relative, const char *what, size_t index)
{
    if (fabs(got - want) <= relative * fabs(want))
        return;
    fail_msg("%s, case %zu: %.17g, wanted %.17g", what, index, got, want);
}

/* Integers that golden.py makes too. */
static int64_t sequence(size_t i, int a, int b, size_t mod, int shift)
{
    return (int64_t)((uint64_t)i * i * (uint64_t)a + i * (uint64_t)b) % (int64_t)mod + shift;
}

static float *floats(size_t n, int a, int b, size_t mod, int shift)
{
    float *out = test_malloc((n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)sequence(i, a, b, mod, shift);
    return out;
}

static double *doubles(size_t n, int a, int b, size_t mod, int shift)
{
    double *out = test_malloc((n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = (double)sequence(i, a, b, mod, shift);
    return out;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void test_sort(void **state)
{
    for (size_t n = 0; n < 3000; n = n * 3 + 1) {
        float *values = floats(n, 37, 11, 1009, -500), *wanted = floats(n, 37, 11, 1009, -500);
        float *scratch = floats(n, 1, 1, 3, 0);
        for (size_t i = 0; i < n; i++) /* all magnitudes, both signs */
            values[i] = wanted[i] = ldexpf(values[i], (int)(i * 7 % 80) - 40);
        qsort(wanted, n, sizeof *wanted, ascending);
        tw_sort_floats(values, n, scratch);
        for (size_t i = 0; i < n; i++)
            assert_true(values[i] == wanted[i]);
        test_free(values), test_free(wanted), test_free(scratch);
    }
}

static void test_survival(void **state)
{
    for (size_t i = 0; i < COUNT(survival_cases); i++)
        assert_near(tw_ks_survival(survival_cases[i].x), survival_cases[i].p, 1e-12, "survival", i);
    assert_true(tw_ks_survival(0) == 1 && tw_ks_survival(-1) == 1 && tw_ks_survival(1e9) == 0);
    assert_true(isnan(tw_ks_survival(NAN)));
}

static void test_ks_golden(void **state)
{
    for (size_t i = 0; i < COUNT(ks_cases); i++) {
        const struct ks_case *c = &ks_cases[i];
        float *a = floats(c->n, 37, 11, c->mod, 0), *b = floats(c->m, 53, 29, c->mod, c->shift);
        double d, p;
        assert_int_equal(tw_ks(a, c->n, b, c->m, &d, &p), TW_OK);
        assert_near(d, c->d, 1e-14, "D", i);
        /* SciPy's exact law loses digits where p is tiny; the promise is never to be below it */
        double slack = 1e-9 + 1e-14 / c->exact;
        bool exact = fabs(p - c->exact) <= slack * c->exact, limit = fabs(p - c->limit) <= 1e-9 * c->limit;
        if (!(exact || limit) || p < c->exact * (1 - slack))
            fail_msg("KS, case %zu: p %.17g, exact %.17g, limit %.17g", i, p, c->exact, c->limit);
        if (c->n * c->m <= 500000)
            assert_true(exact);
        double swapped;
        assert_int_equal(tw_ks(b, c->m, a, c->n, &d, &swapped), TW_OK);
        assert_near(swapped, p, 1e-9, "swapped", i);
        assert_near(d, c->d, 1e-14, "D swapped", i);
        test_free(a), test_free(b);
    }
}

static void test_ks_edges(void **state)
{
    float a[3] = {1, 2, 3}, same[3] = {3, 1, 2}, zeros[2] = {0.f, -0.f}, nan[2] = {1, NAN};
    double d, p;
    assert_int_equal(tw_ks(a, 3, same, 3, &d, &p), TW_OK);
    assert_true(d == 0 && p == 1);
    assert_int_equal(tw_ks(a, 3, same, 0, &d, &p), TW_OK);
    assert_true(d == 0 && p == 1);
    assert_int_equal(tw_ks(zeros, 1, zeros + 1, 1, &d, &p), TW_OK);
    assert_true(d == 0 && p == 1); /* -0 = +0 */
    assert_int_equal(tw_ks(a, 3, nan, 2, &d, &p), TW_INVALID);
    assert_true(a[0] == 1 && a[2] == 3); /* inputs stay */
}

/* All C(n + m, n) orders of small samples, counted: the p-value is the exact share of orders with a D as large. */
static void test_ks_enumerated(void **state)
{
    enum { N = 5, M = 7, ALL = 792 };
    double statistic[ALL], p_value[ALL];
    size_t count = 0;
    for (unsigned bits = 0; bits < 1u << (N + M); bits++) {
        if (__builtin_popcount(bits) != N)
            continue;
        float a[N], b[M];
        size_t i = 0, j = 0;
        for (unsigned k = 0; k < N + M; k++)
            *(bits >> k & 1 ? &a[i++] : &b[j++]) = (float)k;
        tw_ks(a, N, b, M, &statistic[count], &p_value[count]);
        count++;
    }
    assert_int_equal(count, ALL);
    for (size_t i = 0; i < ALL; i++) {
        size_t as_large = 0;
        for (size_t j = 0; j < ALL; j++)
            as_large += statistic[j] >= statistic[i];
        assert_near(p_value[i], (double)as_large / ALL, 1e-12, "enumerated", i);
    }
}

static void test_fisher_golden(void **state)
{
    for (size_t i = 0; i < COUNT(fisher_cases); i++) {
        const struct fisher_case *c = &fisher_cases[i];
        /* SciPy's logarithms of factorials cost it digits at 1e7 */
        assert_near(tw_rate_fisher(c->x1, c->n1, c->x2, c->n2), c->p, c->n1 >= 1000000 ? 1e-6 : 1e-9, "Fisher", i);
        assert_near(tw_rate_fisher(c->x2, c->n2, c->x1, c->n1), c->p, c->n1 >= 1000000 ? 1e-6 : 1e-9, "swapped", i);
        assert_near(tw_rate_fisher(c->n1 - c->x1, c->n1, c->n2 - c->x2, c->n2), c->p, c->n1 >= 1000000 ? 1e-6 : 1e-9,
                    "complement", i);
    }
}

static void test_fisher_edges(void **state)
{
    assert_true(tw_rate_fisher(0, 0, 0, 0) == 1);
    assert_true(tw_rate_fisher(0, 0, 3, 10) == 1);
    assert_true(tw_rate_fisher(5, 5, 7, 7) == 1);
    double p = tw_rate_fisher(10000000, 10000000, 0, 10000000);
    assert_true(p > 0 && p < 1e-300);
}

static void test_u_golden(void **state)
{
    for (size_t i = 0; i < COUNT(u_cases); i++) {
        const struct u_case *c = &u_cases[i];
        double *a = doubles(c->n, 37, 11, c->mod, 0), *b = doubles(c->m, 53, 29, c->mod, c->shift);
        struct tw_c2st out = {0};
        assert_int_equal(tw_c2st_u(a, c->n, b, c->m, &out), TW_OK);
        assert_near(out.auc, c->auc, 1e-12, "AUC", i);
        if (fabs(out.error - c->error) > 1e-9)
            fail_msg("DeLong, case %zu: %.17g, wanted %.17g", i, out.error, c->error);
        assert_near(out.p_value, c->p, 1e-8, "p", i);
        assert_int_equal(out.tested_a, c->n);
        test_free(a), test_free(b);
    }
}

static void test_u_edges(void **state)
{
    double same[4] = {1, 1, 1, 1}, nan[4] = {NAN, NAN, NAN, NAN}, one[1] = {2};
    struct tw_c2st out = {0};
    assert_int_equal(tw_c2st_u(same, 4, same, 4, &out), TW_OK);
    assert_true(out.auc == 0.5 && out.p_value == 1);
    assert_int_equal(tw_c2st_u(nan, 4, nan, 3, &out), TW_OK);
    assert_true(out.auc == 0.5 && out.p_value == 1);
    assert_int_equal(tw_c2st_u(same, 4, one, 1, &out), TW_OK);
    assert_true(out.auc == 1 && isnan(out.error));
    assert_int_equal(tw_c2st_u(same, 0, same, 4, &out), TW_OK);
    assert_true(out.p_value == 1);
}

/* Under the null the p-values of KS and of U are uniform or larger; 4000 repetitions see 15 % at 1 %. */
static void test_null(void **state)
{
    enum { REPEAT = 4000, N = 150, M = 90 };
    int ks_small = 0, u_small = 0;
    for (uint64_t r = 0; r < REPEAT; r++) {
        tw_real draws[N + M];
        float a[N + M];
        double s[N + M], d, p;
        struct tw_c2st out;
        tw_rng_uniforms(20240607, r, 0, N + M, draws);
        for (int i = 0; i < N + M; i++)
            s[i] = a[i] = (float)draws[i];
        assert_int_equal(tw_ks(a, N, a + N, M, &d, &p), TW_OK);
        ks_small += p <= 0.01;
        tw_c2st_u(s, N, s + N, M, &out);
        u_small += out.p_value <= 0.01;
    }
    assert_in_range(ks_small, 10, 60); /* 40 expected at most, sqrt(40) = 6 */
    assert_in_range(u_small, 20, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),         cmocka_unit_test(test_survival),      cmocka_unit_test(test_ks_golden),
        cmocka_unit_test(test_ks_edges),     cmocka_unit_test(test_ks_enumerated), cmocka_unit_test(test_fisher_golden),
        cmocka_unit_test(test_fisher_edges), cmocka_unit_test(test_u_golden),      cmocka_unit_test(test_u_edges),
        cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
