/* Recovery against a case whose error is known, and histograms against counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "stat/histogram.h"
#include "stat/recovery.h"

enum { ROWS = 10000 };

/* before: anything with a large spread (it must cancel); best - before and after - before are normal with means
 * `span`, `gained` and deviations 1 and `sd`, correlated by rho. */
static void make(uint64_t key, double span, double gained, double sd, double rho, double *before, double *after,
                 double *best)
{
    tw_real a[ROWS], b[ROWS], c[ROWS];
    tw_rng_normal(key, 0, 0, ROWS, a);
    tw_rng_normal(key, 1, 0, ROWS, b);
    tw_rng_normal(key, 2, 0, ROWS, c);
    for (int i = 0; i < ROWS; i++) {
        before[i] = 30 * (double)a[i];
        best[i] = before[i] + span + (double)b[i];
        after[i] = before[i] + gained + sd * (rho * (double)b[i] + sqrt(1 - rho * rho) * (double)c[i]);
    }
}

static double before[ROWS], after[ROWS], best[ROWS];

static void test_value_and_error(void **state)
{
    const double span = 0.2, gained = 0.19, sd = 1.1;
    for (int k = 0; k < 2; k++) {
        double rho = k ? 0.95 : 0, ratio = gained / span;
        struct tw_recovery r;
        make(3, span, gained, sd, rho, before, after, best);
        assert_int_equal(tw_recovery(before, after, best, ROWS, 9, &r), TW_OK);
        /* to first order var R = (sd^2 - 2 R rho sd + R^2) / (n span^2): dependence makes it much smaller */
        double wanted = sqrt((sd * sd - 2 * ratio * rho * sd + ratio * ratio) / ROWS) / span;
        assert_true(fabs(r.error / wanted - 1) < 0.1);
        assert_true(fabs(r.value - ratio) < 4 * wanted);
        assert_true(fabs(r.value - (r.after - r.before) / (r.best - r.before)) < 1e-9);
        assert_true(fabs(r.span_error * sqrt(ROWS) - 1) < 0.05);
        assert_true(r.measurable);
    }
}

static void test_measurable(void **state)
{
    struct tw_recovery r;
    make(4, 0.02, 0.02, 1, 0, before, after, best); /* two standard errors */
    assert_int_equal(tw_recovery(before, after, best, ROWS, 9, &r), TW_OK);
    assert_false(r.measurable);
    make(4, -0.5, -0.5, 1, 0, before, after, best); /* the best is worse: nothing to recover */
    assert_int_equal(tw_recovery(before, after, best, ROWS, 9, &r), TW_OK);
    assert_false(r.measurable);
    assert_int_equal(tw_recovery(before, before, before, ROWS, 9, &r), TW_OK);
    assert_true(!r.measurable && isnan(r.value) && isnan(r.error));
}

static void test_left_out_and_repeatable(void **state)
{
    struct tw_recovery whole, part, again;
    make(5, 0.2, 0.1, 1, 0.5, before, after, best);
    assert_int_equal(tw_recovery(before, after, best, 5000, 9, &whole), TW_OK);
    before[5000] = -INFINITY, after[5001] = NAN, best[5002] = INFINITY;
    assert_int_equal(tw_recovery(before, after, best, 5003, 9, &part), TW_OK);
    assert_memory_equal(&whole, &part, sizeof whole);
    assert_int_equal(tw_recovery(before, after, best, 5000, 9, &again), TW_OK);
    assert_memory_equal(&whole, &again, sizeof whole);
    assert_int_equal(tw_recovery(before, after, best, 99, 9, &part), TW_INVALID);
    for (int i = 0; i < 5000; i++)
        after[i] = NAN;
    assert_int_equal(tw_recovery(before, after, best, 5000, 9, &part), TW_INVALID);
}

static void test_histogram(void **state)
{
    const float values[] = {0, 0.1f, 0.25f, 0.9f, 1, -0.1f, 1.1f, NAN, INFINITY}; /* stride 1 */
    const float weights[] = {1, 2, 3, -4, 5, 6, 7, 8, 9};
    struct tw_histogram h;
    assert_int_equal(tw_histogram_init(&h, 4, 0, 1), TW_OK);
    tw_histogram_fill(&h, values, weights, 9, 1);
    const double data[] = {3, 3, 0, 1}, variance[] = {5, 9, 0, 41};
    for (int b = 0; b < 4; b++)
        assert_true(h.data[b] == data[b] && h.data_variance[b] == variance[b]);
    assert_true(h.under == 6 && h.over == 16);
    tw_histogram_fill(&h, values, NULL, 3, 2); /* 0, 0.25, 1 */
    assert_true(h.data[0] == 4 && h.data[1] == 4 && h.data[3] == 2);
    tw_histogram_fini(&h);
    tw_histogram_fini(&h);
    const struct tw_column count = {.kind = TW_DISCRETE, .has_min = true, .has_max = true, .min = 1, .max = 3};
    const float counts[] = {1, 3, NAN, 3, 2};
    double low, high;
    assert_int_equal(tw_histogram_bins(&count, 40), 3);
    tw_histogram_range(&count, counts, 5, 1, &low, &high);
    assert_int_equal(tw_histogram_init(&h, 3, low, high), TW_OK);
    tw_histogram_fill(&h, counts, NULL, 5, 1);
    assert_true(h.data[0] == 1 && h.data[1] == 1 && h.data[2] == 2 && h.absent == 1 && h.under + h.over == 0);
    tw_histogram_fini(&h);
    assert_int_equal(tw_histogram_init(&h, 0, 0, 1), TW_INVALID);
    assert_int_equal(tw_histogram_init(&h, 4, 1, 1), TW_INVALID);
    assert_int_equal(tw_histogram_init(&h, 4, 0, INFINITY), TW_INVALID);
}

static void test_range(void **state)
{
    enum { N = 40000 };
    float *values = test_malloc(2 * N * sizeof *values);
    for (size_t i = 0; i < N; i++) {
        values[2 * i] = (float)(i * 7919 % N) / N; /* uniform; the other column is never to be read */
        values[2 * i + 1] = 1e9f;
    }
    values[0] = 1e9f, values[2] = NAN;
    struct tw_column free_column = {0}, low_column = {.has_min = true, .min = 0};
    struct tw_column both = {.has_min = true, .min = -3, .has_max = true, .max = 4};
    double low, high;
    tw_histogram_range(&free_column, values, N, 2, &low, &high);
    assert_true(low > -0.06 && low < -0.03 && high > 1.03 && high < 1.06);
    tw_histogram_range(&low_column, values, N, 2, &low, &high);
    assert_true(low == 0 && high > 1.03 && high < 1.06);
    tw_histogram_range(&both, values, N, 2, &low, &high);
    assert_true(low == -3 && high == 4);
    tw_histogram_range(&free_column, values, 0, 2, &low, &high);
    assert_true(low < high);
    values[0] = 91.2f;
    tw_histogram_range(&free_column, values, 1, 2, &low, &high);
    assert_true(low < 91.2 && high > 91.2);
    tw_histogram_range(&low_column, values + 2, 1, 2, &low, &high); /* NaN alone */
    assert_true(low == 0 && high > low);
    test_free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_and_error),
        cmocka_unit_test(test_measurable),
        cmocka_unit_test(test_left_out_and_repeatable),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
