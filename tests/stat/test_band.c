/* The band: exact on a few values, equal to a histogram for one member, and unbiased whether members share draws or
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "stat/band.h"
#include "stat/histogram.h"

enum { MEMBERS = 6, BINS = 8, N = 4000, REPEAT = 60 };

static void test_few(void **state)
{
    /* two members, four events: in one bin together, in two bins, one of them outside, one absent */
    const float first[] = {0.5f, 0.5f, 1.5f, NAN}, second[] = {0.7f, 2, -1, 2.5f};
    const float *values[] = {first, second};
    struct tw_band band;

    assert_int_equal(tw_band_init(&band, 2, 2, 0, 2), TW_OK);
    tw_band_fill(&band, values, 2, 1);
    tw_band_fill(&band, (const float *[]){first + 2, second + 2}, 2, 1);
    assert_int_equal(band.events, 4);
    assert_true(band.under == 0.5 && band.over == 0.5 && band.absent == 0.5);
    /* bin 0: y = 1, 1/2, 0, 0; counts 2, 1. bin 1: y = 0, 1/2, 1/2, 0; counts 1, 1 */
    assert_float_equal(tw_band_mean(&band, 0), 1.5, 1e-12);
    assert_float_equal(tw_band_mean(&band, 1), 1, 1e-12);
    assert_float_equal(tw_band_statistical_error(&band, 0), sqrt(1.25), 1e-12);
    assert_float_equal(tw_band_statistical_error(&band, 1), sqrt(0.5), 1e-12);
    /* sum of squares 1/2, draws 2 (1.5 - 1.25) = 1/2; 0, and draws 1 */
    assert_float_equal(tw_band_model_error(&band, 0), 0, 1e-12);
    assert_float_equal(tw_band_model_error(&band, 1), 0, 1e-12);
    tw_band_fini(&band);
    tw_band_fini(&band);

    /* apart altogether: counts 4 and 0, sum of squares 8, draws 2 (2 - 1) = 2 */
    const float low[] = {0.1f, 0.2f, 0.3f, 0.4f}, high[] = {1.1f, 1.2f, 1.3f, 1.4f};

    assert_int_equal(tw_band_init(&band, 2, 2, 0, 2), TW_OK);
    tw_band_fill(&band, (const float *[]){low, high}, 4, 1);
    assert_float_equal(tw_band_model_error(&band, 0), 1.8125 * sqrt(6 * 1.5), 1e-12); /* t of one degree: 1.837 */
    tw_band_fini(&band);
    assert_int_equal(tw_band_init(&band, 2, 2, 1, 1), TW_INVALID);
    assert_int_equal(tw_band_init(&band, 0, 2, 0, 1), TW_INVALID);
}

static void test_single(void **state)
{
    float values[2 * N];
    tw_real draws[2 * N];
    struct tw_histogram histogram;
    struct tw_band band;

    tw_rng_normal(1, 0, 0, 2 * N, draws);
    for (int i = 0; i < 2 * N; i++)
        values[i] = i % 500 ? (float)draws[i] : NAN;
    assert_int_equal(tw_histogram_init(&histogram, BINS, -1, 1.3), TW_OK);
    assert_int_equal(tw_band_init(&band, 1, BINS, -1, 1.3), TW_OK);
    tw_histogram_fill(&histogram, values, NULL, N, 2);
    tw_band_fill(&band, (const float *[]){values}, N, 2);
    for (int b = 0; b < BINS; b++) {
        assert_true(tw_band_mean(&band, b) == histogram.data[b]);
        assert_true(tw_band_statistical_error(&band, b) == sqrt(histogram.data_variance[b]));
        assert_true(isnan(tw_band_model_error(&band, b)));
    }
    assert_true(band.under == histogram.under && band.over == histogram.over && band.absent == histogram.absent);
    tw_band_fini(&band);
    tw_histogram_fini(&histogram);
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

/* Members that are normals shifted by known amounts: over many draws the squared model error is what the exact
 * probabilities of their bins say, in sum over the bins. */
static double ratio_of_variance(bool common, double shift, double *naive)
{
    float *values = malloc(MEMBERS * N * sizeof *values);
    tw_real draws[N];
    double found = 0, exact = 0;

    *naive = 0;
    for (uint64_t r = 0; r < REPEAT; r++) {
        const float *rows[MEMBERS];
        struct tw_band band;

        assert_int_equal(tw_band_init(&band, MEMBERS, BINS, -2, 2), TW_OK);
        for (int m = 0; m < MEMBERS; m++) {
            tw_rng_normal(r, common ? 0 : (uint64_t)m, 0, N, draws);
            rows[m] = values + m * N;
            for (int i = 0; i < N; i++)
                values[m * N + i] = (float)((double)draws[i] + shift * (m - 2.5));
        }
        tw_band_fill(&band, rows, N, 1);
        for (int b = 0; b < BINS; b++) {
            double p[MEMBERS], mean = 0;

            for (int m = 0; m < MEMBERS; m++) {
                p[m] = normal_cdf(-1.5 + 0.5 * b - shift * (m - 2.5)) - normal_cdf(-2 + 0.5 * b - shift * (m - 2.5));
                mean += p[m] / MEMBERS;
            }
            for (int m = 0; m < MEMBERS; m++) {
                double c = band.counts[m * BINS + b] - tw_band_mean(&band, b);

                exact += N * N * (p[m] - mean) * (p[m] - mean) / (MEMBERS - 1) * (1 + 1.0 / MEMBERS);
                *naive += c * c / (MEMBERS - 1) * (1 + 1.0 / MEMBERS);
            }
            found += pow(tw_band_model_error(&band, b) / 1.1105, 2); /* scipy.stats.t.ppf(0.841345, 5) */
        }
        tw_band_fini(&band);
    }
    free(values);
    *naive /= exact;
    return found / exact;
}

static void test_unbiased(void **state)
{
    double naive;

    assert_float_equal(ratio_of_variance(false, 0.06, &naive), 1, 0.06);
    assert_true(naive > 1.15); /* the draws would have counted */
    assert_float_equal(ratio_of_variance(true, 0.06, &naive), 1, 0.03);
    assert_true(naive < 1.15); /* and are few where they are shared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_unbiased),
    };

    return cmocka_run_group_tests_name("stat/band", tests, NULL, NULL);
}
