/* Cramer-von Mises, chi-square, MMD and everything with event weights against SciPy and NumPy (golden.py), and what
 * they promise at the edges. */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "kernel/kernel.h"
#include "stat/adjust.h"
#include "stat/c2st.h"
#include "stat/chi2.h"
#include "stat/cvm.h"
#include "stat/eigen.h"
#include "stat/gamma.h"
#include "stat/ks.h"
#include "stat/mmd.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_near(double got, double want, double relative, const char *what, size_t index)
{
    if (fabs(got - want) <= relative * fabs(want))
        return;
    fail_msg("%s, case %zu: %.17g, wanted %.17g", what, index, got, want);
}

static float *values(size_t n, int a, int b, size_t mod, int shift)
{
    float *out = test_malloc((n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((int64_t)((uint64_t)i * i * (uint64_t)a + i * (uint64_t)b) % (int64_t)mod + shift);
    return out;
}

/* Weights that golden.py makes too. */
static float *weights(size_t n, int spread, size_t salt)
{
    float *out = test_malloc((n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        double w = 1 + (double)((i * 7 + salt) % 5) * abs(spread) / 4;
        out[i] = (float)(spread < 0 && i % 11 == salt % 11 ? -w : w);
    }
    return out;
}

struct both {
    size_t n, m;
    float *a, *b, *wa, *wb;
    struct tw_pair pair;
};

static struct both both_of(size_t n, size_t m, size_t mod, int shift, int spread)
{
    struct both x = {n,
                     m,
                     values(n, 37, 11, mod, 0),
                     values(m, 53, 29, mod, shift),
                     weights(n, spread, 0),
                     weights(m, spread, 3),
                     {.block = NULL}};
    assert_int_equal(tw_pair_init(&x.pair, x.a, x.wa, n, x.b, x.wb, m), TW_OK);
    return x;
}

static void drop(struct both *x)
{
    tw_pair_fini(&x->pair);
    test_free(x->a), test_free(x->b), test_free(x->wa), test_free(x->wb);
}

static void test_gamma(void **state)
{
    for (size_t i = 0; i < COUNT(gamma_cases); i++)
        assert_near(tw_gamma_survival(gamma_cases[i].shape, gamma_cases[i].x), gamma_cases[i].q, 1e-11, "Q", i);
    assert_true(tw_gamma_survival(2, 0) == 1 && tw_gamma_survival(2, -1) == 1 && isnan(tw_gamma_survival(2, NAN)));
}

/* The saddlepoint stays within 6 % of the chance, however small that is. */
static void test_mixture(void **state)
{
    for (size_t i = 0; i < COUNT(mixture_cases); i++) {
        const struct mixture_case *c = &mixture_cases[i];
        double lambda[128];
        for (int k = 0; k < c->count; k++)
            lambda[k] = pow(c->decay, k);
        assert_near(tw_gamma_mixture_survival(lambda, c->count, c->x), c->p, 0.06, "mixture", i);
    }
    double lambda[3] = {1, 0.5, 0.25}, last = 1;
    for (double x = 0.01; x < 20; x += 0.01) { /* falls, through the mean too */
        double p = tw_gamma_mixture_survival(lambda, 3, x);
        assert_true(p <= last && p > 0);
        last = p;
    }
    double none[2] = {0, 0};
    assert_true(tw_gamma_mixture_survival(lambda, 3, 0) == 1 && tw_gamma_mixture_survival(lambda, 3, 1e6) > 0);
    assert_true(tw_gamma_mixture_survival(none, 2, 0) == 1 && tw_gamma_mixture_survival(none, 2, 1) == 0);
}

/* min(i, j) has the eigenvalues 1 / (4 sin^2((2k - 1) pi / (4n + 2))). */
static void test_eigen(void **state)
{
    enum { N = 60 };
    double a[N * N], found[N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i * N + j] = (i < j ? i : j) + 1;
    assert_int_equal(tw_eigen_values(a, N, 1e-15, found), TW_OK);
    for (int k = 1; k <= N; k++) {
        double s = 2 * sin((2 * k - 1) * M_PI / (4 * N + 2));
        if (fabs(found[N - k] - 1 / (s * s)) > 1e-10)
            fail_msg("eigenvalue %d: %.17g, wanted %.17g", k, found[N - k], 1 / (s * s));
    }
    double diagonal[9] = {3, 0, 0, 0, -1, 0, 0, 0, 2}, one[1] = {5};
    assert_int_equal(tw_eigen_values(diagonal, 3, 1e-15, found), TW_OK);
    assert_true(fabs(found[0] + 1) < 1e-14 && fabs(found[1] - 2) < 1e-14 && fabs(found[2] - 3) < 1e-14);
    assert_int_equal(tw_eigen_values(one, 1, 1e-15, found), TW_OK);
    assert_true(fabs(found[0] - 5) < 1e-14);
}

static void test_cvm_golden(void **state)
{
    for (size_t i = 0; i < COUNT(cvm_cases); i++) {
        const struct cvm_case *c = &cvm_cases[i];
        struct both x = both_of(c->n, c->m, c->mod, c->shift, 0);
        double t, p;
        assert_int_equal(tw_cvm_of(&x.pair, &t, &p, NULL), TW_OK);
        assert_near(t, c->t, 1e-10, "T", i);
        assert_near(p, c->p, 1e-6 + 1e-9 / c->p, "CvM", i); /* SciPy's series has 1e-9 */
        drop(&x);
    }
    /* omega^2 beyond SciPy's digits: the first term of the tail, to which the next adds exp(-2 pi^2 x) of it */
    double ratio = tw_cvm_survival(4) / tw_cvm_survival(3);
    assert_true(ratio > 0.9 * exp(-M_PI * M_PI / 2) * sqrt(3.0 / 4) && ratio < 1.1 * exp(-M_PI * M_PI / 2));
    assert_true(tw_cvm_survival(0) == 1 && tw_cvm_survival(0.02) > 0.99 && isnan(tw_cvm_survival(NAN)));
}

static void test_chi2_golden(void **state)
{
    for (size_t i = 0; i < COUNT(chi2_cases); i++) {
        const struct chi2_case *c = &chi2_cases[i];
        struct both x = both_of(c->n, c->m, c->mod, c->shift, c->spread);
        double x2, p;
        int bins;
        assert_int_equal(tw_chi2_of(&x.pair, &x2, &bins, &p, NULL), TW_OK);
        assert_int_equal(bins, c->bins);
        assert_near(x2, c->x2, 1e-9, "X2", i);
        assert_near(p, c->p, 1e-7, "chi2", i);
        drop(&x);
    }
}

static void test_weighted_golden(void **state)
{
    for (size_t i = 0; i < COUNT(weighted_cases); i++) {
        const struct weighted_case *c = &weighted_cases[i];
        struct both x = both_of(c->n, c->m, c->mod, c->shift, c->spread);
        double d, t, ks, cvm;
        assert_int_equal(tw_ks_of(&x.pair, &d, &ks, NULL), TW_OK);
        assert_int_equal(tw_cvm_of(&x.pair, &t, &cvm, NULL), TW_OK);
        assert_near(d, c->d, 1e-12, "D", i);
        assert_near(t, c->t, 1e-10, "T", i);
        assert_near(ks, c->ks, 2e-3, "weighted KS", i);
        assert_near(cvm, c->cvm, 2e-3 + 2e-9 / c->cvm, "weighted CvM", i);
        drop(&x);
    }
}

static void test_weighted_u(void **state)
{
    for (size_t i = 0; i < COUNT(weighted_u_cases); i++) {
        const struct weighted_u_case *c = &weighted_u_cases[i];
        struct both x = both_of(c->n, c->m, c->mod, c->shift, c->spread);
        double *d = test_malloc(2 * (c->n + c->m) * sizeof *d), *w = d + c->n + c->m;
        for (size_t k = 0; k < c->n + c->m; k++) {
            d[k] = k < c->n ? x.a[k] : x.b[k - c->n];
            w[k] = k < c->n ? x.wa[k] : x.wb[k - c->n];
        }
        struct tw_c2st out;
        assert_int_equal(tw_c2st_u_weighted(d, w, c->n, d + c->n, w + c->n, c->m, &out), TW_OK);
        assert_near(out.auc, c->auc, 1e-10, "AUC", i);
        assert_near(out.error, c->error, 1e-8, "error", i);
        assert_near(out.p_value, c->p, 1e-7, "p", i);
        test_free(d);
        drop(&x);
    }
}

/* Equal weights are none: the same bits, whatever they are. */
static void test_equal_weights(void **state)
{
    struct both x = both_of(300, 200, 10007, 500, 0);
    double d[3], p[3][3], t, x2;
    for (int k = 0; k < 3; k++) {
        struct tw_pair pair;
        for (size_t i = 0; i < x.n; i++)
            x.wa[i] = k == 2 ? 0.3f : 1;
        assert_int_equal(tw_pair_init(&pair, x.a, k ? x.wa : NULL, x.n, x.b, NULL, x.m), TW_OK);
        assert_int_equal(tw_ks_of(&pair, &d[k], &p[k][0], NULL), TW_OK);
        assert_int_equal(tw_cvm_of(&pair, &t, &p[k][1], NULL), TW_OK);
        assert_int_equal(tw_chi2_of(&pair, &x2, NULL, &p[k][2], NULL), TW_OK);
        assert_true(pair.a.sums.effective == 300);
        tw_pair_fini(&pair);
        assert_true(d[k] == d[0] && !memcmp(p[k], p[0], sizeof p[0]));
    }
    drop(&x);
}

/* What needs rising distribution functions refuses a weight below zero and says what helps; sums alone do not. */
static void test_negative_weights(void **state)
{
    struct both x = both_of(600, 500, 10007, 0, -2);
    double s, p;
    struct tw_error error = {""};
    assert_int_equal(tw_ks_of(&x.pair, &s, &p, &error), TW_INVALID);
    assert_true(p == 1 && strstr(error.text, "2007.11586") && strstr(error.text, "chi2") && strstr(error.text, "mmd"));
    error.text[0] = 0;
    assert_int_equal(tw_cvm_of(&x.pair, &s, &p, &error), TW_INVALID);
    assert_true(p == 1 && strstr(error.text, "2007.11586"));
    assert_int_equal(tw_chi2_of(&x.pair, &s, NULL, &p, &error), TW_OK);
    assert_true(p > 0 && p < 1);
    tw_pair_fini(&x.pair);
    for (size_t i = 0; i < x.n; i++)
        x.wa[i] = i % 2 ? -1.5f : 1;
    assert_int_equal(tw_pair_init(&x.pair, x.a, x.wa, x.n, x.b, x.wb, x.m), TW_OK);
    assert_int_equal(tw_chi2_of(&x.pair, &s, NULL, &p, &error), TW_INVALID);
    assert_true(p == 1 && strstr(error.text, "above zero"));
    drop(&x);
}

static void test_edges(void **state)
{
    float same[50] = {0}, nan[50] = {[7] = NAN}, heavy[50] = {[3] = 1};
    struct tw_pair pair;
    struct tw_error error;
    double s, p;
    int bins;
    assert_int_equal(tw_pair_init(&pair, same, NULL, 50, nan, NULL, 50), TW_INVALID);
    assert_int_equal(tw_pair_init(&pair, same, NULL, 50, same, NULL, 50), TW_OK);
    assert_int_equal(tw_cvm_of(&pair, &s, &p, NULL), TW_OK);
    assert_true(p > 0.999);
    assert_int_equal(tw_chi2_of(&pair, &s, &bins, &p, NULL), TW_OK);
    assert_true(p == 1 && s == 0 && bins == 1);
    tw_pair_fini(&pair);
    assert_int_equal(tw_pair_init(&pair, same, NULL, 50, same, NULL, 0), TW_OK);
    assert_int_equal(tw_cvm_of(&pair, &s, &p, NULL), TW_OK);
    assert_true(p == 1 && s == 0);
    assert_int_equal(tw_chi2_of(&pair, &s, &bins, &p, NULL), TW_OK);
    assert_true(p == 1 && s == 0);
    tw_pair_fini(&pair);
    /* one event that weighs all */
    assert_int_equal(tw_pair_init(&pair, same, heavy, 50, same, NULL, 50), TW_OK);
    assert_int_equal(tw_ks_of(&pair, &s, &p, &error), TW_INVALID);
    assert_int_equal(tw_cvm_of(&pair, &s, &p, &error), TW_INVALID);
    assert_int_equal(tw_chi2_of(&pair, &s, NULL, &p, &error), TW_INVALID);
    assert_true(strstr(error.text, "effective") && p == 1);
    tw_pair_fini(&pair);
}

static void test_holm(void **state)
{
    const double p[5] = {0.04, 0.01, 0.03, 0.9, 0.01}, wanted[5] = {0.09, 0.05, 0.09, 0.9, 0.05};
    double adjusted[5];
    assert_int_equal(tw_adjust_holm(p, 5, adjusted), TW_OK);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(adjusted[i] - wanted[i]) < 1e-15);
}

/* --- MMD --- */

static struct tw_data toy_events(const struct tw_schema *schema, const struct toy *toy, uint64_t key, size_t n,
                                 const float *w)
{
    struct tw_data data;
    tw_data_init(&data, schema);
    toy_append(&data, toy, key, 0, n);
    for (size_t i = 0; w && i < n; i++)
        data.weights[i] = w[i];
    return data;
}

static const struct toy NOMINAL = {0, 0.6, 0.3};

/* The mean of the Gaussian kernel over all pairs, which random features approach: 64 of them scatter by 1 / 8. */
static void test_mmd_kernel(void **state)
{
    enum { N = 400, M = 300 };
    const struct tw_kernels *kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    struct tw_schema *schema = toy_schema();
    struct toy other = {1, 0.6, 0.3};
    float *w = weights(M, 3, 1);
    struct tw_data a = toy_events(schema, &NOMINAL, 1, N, NULL), b = toy_events(schema, &other, 2, M, w);
    struct tw_mmd out;
    assert_int_equal(tw_mmd(&a, &b, 5, kernels, NULL, &out, NULL), TW_OK);
    assert_true(out.p_value < 1e-20 && out.value > 10 * out.floor && out.bandwidth > 1 && out.bandwidth < 5);

    /* the same coordinates, made here: the width of the middle 68 %, angles on a circle of width 1 */
    double sum[3] = {0}, weight[3] = {0};
    float column[3][N + M], sorted[N + M];
    double width[3];
    const int real[3] = {0, 1, 3};
    for (int d = 0; d < 3; d++) {
        for (int i = 0; i < N + M; i++)
            column[d][i] = i < N ? a.features[4 * i + real[d]] : b.features[4 * (i - N) + real[d]];
        memcpy(sorted, column[d], sizeof sorted);
        for (int i = 1; i < N + M; i++)
            for (int j = i; j > 0 && sorted[j] < sorted[j - 1]; j--) {
                float swap = sorted[j];
                sorted[j] = sorted[j - 1], sorted[j - 1] = swap;
            }
        width[d] = ((double)sorted[(int)(0.84 * (N + M - 1))] - sorted[(int)(0.16 * (N + M - 1))]) / 2;
    }
    for (int i = 0; i < N + M; i++) {
        for (int j = 0; j < N + M; j++) {
            const float *x = i < N ? a.features + 4 * i : b.features + 4 * (i - N);
            const float *y = j < N ? a.features + 4 * j : b.features + 4 * (j - N);
            double distance = 2 * (2 - 2 * cos((double)x[2] - y[2]));
            for (int d = 0; d < 3; d++)
                distance += pow(((double)column[d][i] - column[d][j]) / width[d], 2);
            int kind = (i >= N) + (j >= N);
            double both = (i < N ? 1 : w[i - N]) * (j < N ? 1 : w[j - N]);
            sum[kind] += both * exp(-distance / (2 * out.bandwidth * out.bandwidth));
            weight[kind] += both;
        }
    }
    double wanted = sum[0] / weight[0] + sum[2] / weight[2] - 2 * sum[1] / weight[1];
    assert_near(out.value, wanted, 0.3, "MMD", 0);
    test_free(w);
    tw_data_fini(&a);
    tw_data_fini(&b);
    tw_schema_free(schema);
}

/* A correlation that no column shows alone; the same bits with any number of workers; weights of both signs. */
static void test_mmd_finds(void **state)
{
    const struct tw_kernels *kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    struct tw_schema *schema = toy_schema();
    struct toy other = {0, 0.2, 0.3};
    struct tw_data a = toy_events(schema, &NOMINAL, 1, 3000, NULL), b = toy_events(schema, &other, 2, 2000, NULL);
    struct tw_mmd first, out;
    assert_int_equal(tw_mmd(&a, &b, 5, kernels, NULL, &first, NULL), TW_OK);
    assert_true(first.p_value < 1e-4);
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct tw_pool *pool = tw_pool_new(threads, false);
        assert_int_equal(tw_mmd(&a, &b, 5, kernels, pool, &out, NULL), TW_OK);
        assert_memory_equal(&out, &first, sizeof out);
        tw_pool_free(pool);
    }
    for (size_t i = 0; i < b.rows; i++)
        b.weights[i] = i % 10 ? 1 : -1;
    assert_int_equal(tw_mmd(&a, &b, 5, kernels, NULL, &out, NULL), TW_OK);
    assert_true(out.p_value < 1e-3);
    struct tw_error error = {""};
    b.rows = 49;
    assert_int_equal(tw_mmd(&a, &b, 5, kernels, NULL, &out, &error), TW_INVALID);
    assert_true(out.p_value == 1 && strlen(error.text) > 0);
    tw_data_fini(&a);
    tw_data_fini(&b);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gamma),
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_eigen),
        cmocka_unit_test(test_cvm_golden),
        cmocka_unit_test(test_chi2_golden),
        cmocka_unit_test(test_weighted_golden),
        cmocka_unit_test(test_weighted_u),
        cmocka_unit_test(test_equal_weights),
        cmocka_unit_test(test_negative_weights),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_holm),
        cmocka_unit_test(test_mmd_kernel),
        cmocka_unit_test(test_mmd_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
