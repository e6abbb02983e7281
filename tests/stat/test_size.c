/* The size of every two-sample test: how often is p at or below 0.1, 0.01 and 0.001 where both samples have one
 * distribution? With weights "one distribution" means that of the weighted events: the hard cases are weights that
 * depend on the value, and weights on one side alone.
 *
 * The suite repeats 250 times with fixed seeds, MMD 100 times, as it takes long; TWIN_REPEAT=10000 in the environment
 * is the long form, which `scripts/campaign sizes` runs and whose figures are in docs/statistics.md. TWIN_SEED has
 * others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "kernel/kernel.h"
#include "stat/c2st.h"
#include "stat/chi2.h"
#include "stat/cvm.h"
#include "stat/ks.h"
#include "stat/mmd.h"
#include "stat/rate.h"

enum { LEVELS = 3 };
static const double levels[LEVELS] = {0.1, 0.01, 0.001};

static long repeat = 250, repeat_mmd = 100;
static uint64_t seed;

struct sample {
    size_t n;
    float *x, *w;
};

static double normal(uint64_t key, uint64_t event)
{
    return sqrt(-2 * log(tw_rng_uniform(key, event, 0))) * cos(2 * M_PI * tw_rng_uniform(key, event, 1));
}

/* --- what the samples are --- */

enum law { PLAIN, TIES, SCATTERED, DEPENDENT, IMPORTANCE, SIGNED, LAWS };
static const char *const law_names[] = {
    [PLAIN] = "no weights",
    [TIES] = "ties",
    [SCATTERED] = "weights that scatter",
    [DEPENDENT] = "weights that depend on the value",
    [IMPORTANCE] = "importance weights on one side",
    [SIGNED] = "weights of both signs",
};

/* Event i of sample `side`; the weighted distribution is the same for both sides. */
static void draw(enum law law, int side, uint64_t key, size_t i, float *x, float *w)
{
    double z = normal(key, i), u = tw_rng_uniform(key, i, 2);
    *x = (float)z;
    *w = 1;
    switch (law) {
    case PLAIN:
        break;
    case TIES:
        *x = (float)fmin(fmax(floor(2 * z), -3), 3);
        break;
    case SCATTERED: /* a log-normal law, the tail of which ends at 5 times the median */
        *w = (float)exp(fmin(0.6 * normal(key ^ 77, i), 1.6));
        break;
    case DEPENDENT: /* N(0, 1) times exp(x/2) is N(1/2, 1) */
        *w = (float)exp(z / 2 - 0.125);
        break;
    case IMPORTANCE: /* N(0.3, 1), weighted to N(0, 1) */
        *x = (float)(z + 0.3 * side);
        *w = (float)exp(side * (-0.3 * *x + 0.045));
        break;
    case SIGNED: /* more below zero where x is large; 1 - 2 f(x) on average on both sides */
        *w = u < 0.1 + 0.1 * (z > 0.5) ? -1 : 1;
        break;
    case LAWS:
        break;
    }
}

/* What sample `number` of a test is drawn with. */
static uint64_t key_of(uint64_t test, enum law law, uint64_t number)
{
    return tw_rng_mix(test + (uint64_t)law + (seed << 32), number);
}

static struct sample sample_of(enum law law, int side, uint64_t key, size_t n)
{
    struct sample s = {n, test_malloc(n * sizeof *s.x), test_malloc(n * sizeof *s.w)};
    for (size_t i = 0; i < n; i++)
        draw(law, side, key, i, &s.x[i], &s.w[i]);
    return s;
}

static void drop(struct sample *s)
{
    test_free(s->x);
    test_free(s->w);
}

/* --- what is counted --- */

struct count {
    long small[LEVELS];
};

static void take(struct count *count, double p)
{
    for (int l = 0; l < LEVELS; l++)
        count->small[l] += p <= levels[l];
}

/* No more than the level allows within three standard errors, and not so few that the test could never find a thing:
 * a hundredth, where one in ten is allowed. */
static void check(const struct count *count, const char *test, const char *law)
{
    print_message("# %-6s %-33s P(p <= 0.1) %.4f  0.01 %.4f  0.001 %.5f\n", test, law,
                  (double)count->small[0] / (double)repeat, (double)count->small[1] / (double)repeat,
                  (double)count->small[2] / (double)repeat);
    for (int l = 0; l < LEVELS; l++) {
        double expected = levels[l] * (double)repeat;
        if ((double)count->small[l] > ceil(expected + 3 * sqrt(expected * (1 - levels[l]))))
            fail_msg("%s, %s: p <= %g in %ld of %ld", test, law, levels[l], count->small[l], repeat);
    }
    if ((double)count->small[0] < 0.01 * (double)repeat)
        fail_msg("%s, %s: p <= 0.1 in %ld of %ld alone", test, law, count->small[0], repeat);
}

/* --- the tests of one column --- */

typedef int column_test(const struct tw_pair *pair, double *p);

static int ks(const struct tw_pair *pair, double *p)
{
    double d;
    return tw_ks_of(pair, &d, p, NULL);
}

static int cvm(const struct tw_pair *pair, double *p)
{
    double t;
    return tw_cvm_of(pair, &t, p, NULL);
}

static int chi2(const struct tw_pair *pair, double *p)
{
    double x;
    return tw_chi2_of(pair, &x, NULL, p, NULL);
}

static void size_of(column_test *test, const char *name, enum law law, size_t n, size_t m)
{
    struct count count = {0};
    for (long r = 0; r < repeat; r++) {
        struct sample a = sample_of(law, 0, key_of(1000, law, 2 * (uint64_t)r), n);
        struct sample b = sample_of(law, 1, key_of(1000, law, 2 * (uint64_t)r + 1), m);
        struct tw_pair pair;
        double p;
        assert_int_equal(tw_pair_init(&pair, a.x, a.w, n, b.x, b.w, m), TW_OK);
        assert_int_equal(test(&pair, &p), TW_OK);
        take(&count, p);
        tw_pair_fini(&pair);
        drop(&a), drop(&b);
    }
    check(&count, name, law_names[law]);
}

static void test_ks(void **state)
{
    for (enum law law = PLAIN; law < SIGNED; law++)
        size_of(ks, "ks", law, 400, 250);
}

static void test_cvm(void **state)
{
    for (enum law law = PLAIN; law < SIGNED; law++)
        size_of(cvm, "cvm", law, 400, 250);
    size_of(cvm, "cvm", PLAIN, 12, 10);
}

static void test_chi2(void **state)
{
    for (enum law law = PLAIN; law < LAWS; law++)
        size_of(chi2, "chi2", law, 500, 400);
}

static void test_u(void **state)
{
    for (enum law law = PLAIN; law < SIGNED; law++) {
        struct count count = {0};
        for (long r = 0; r < repeat; r++) {
            enum { N = 400, M = 250 };
            double x[N + M], w[N + M];
            struct sample a = sample_of(law, 0, key_of(2000, law, 2 * (uint64_t)r), N);
            struct sample b = sample_of(law, 1, key_of(2000, law, 2 * (uint64_t)r + 1), M);
            for (int i = 0; i < N + M; i++) {
                x[i] = i < N ? a.x[i] : b.x[i - N];
                w[i] = i < N ? a.w[i] : b.w[i - N];
            }
            struct tw_c2st out;
            assert_int_equal(law == PLAIN ? tw_c2st_u(x, N, x + N, M, &out)
                                          : tw_c2st_u_weighted(x, w, N, x + N, w + N, M, &out),
                             TW_OK);
            take(&count, out.p_value);
            drop(&a), drop(&b);
        }
        check(&count, "c2st U", law_names[law]);
    }
}

static void test_fisher(void **state)
{
    struct count count = {0};
    for (long r = 0; r < repeat; r++) {
        size_t x1 = 0, x2 = 0;
        for (size_t i = 0; i < 1500; i++)
            *(i < 1000 ? &x1 : &x2) += tw_rng_uniform(3000 + (seed << 32), (uint64_t)r, i) < 0.05;
        take(&count, tw_rate_fisher(x1, 1000, x2, 500));
    }
    check(&count, "fisher", "rates of 5 %");
}

/* --- MMD: three columns, the second and third at random around the first --- */

static struct tw_schema *schema_of_three(void)
{
    json_t *json = json_loads("[{\"name\": \"x\"}, {\"name\": \"y\"}, {\"name\": \"phi\", \"kind\": \"periodic\","
                              " \"min\": -1, \"max\": 1}]",
                              0, NULL);
    struct tw_schema *schema = NULL;
    assert_int_equal(tw_schema_parse(json, NULL, &schema, NULL), TW_OK);
    json_decref(json);
    return schema;
}

static struct tw_data events(const struct tw_schema *schema, enum law law, int side, uint64_t key, size_t n)
{
    struct sample s = sample_of(law, side, key, n);
    struct tw_data data;
    tw_data_init(&data, schema);
    for (size_t i = 0; i < n; i++) {
        float row[3] = {s.x[i], (float)(0.5 * s.x[i] + normal(key ^ 1, i)), (float)(0.3 * normal(key ^ 2, i))};
        assert_int_equal(tw_data_append(&data, 0, i, 1, row, NULL, &s.w[i]), TW_OK);
    }
    drop(&s);
    return data;
}

static void test_mmd(void **state)
{
    const struct tw_kernels *kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), NULL);
    struct tw_schema *schema = schema_of_three();
    long others = repeat;
    repeat = repeat_mmd;
    for (enum law law = PLAIN; law < LAWS; law++) {
        struct count count = {0};
        for (long r = 0; r < repeat; r++) {
            struct tw_data a = events(schema, law, 0, key_of(4000, law, 2 * (uint64_t)r), 300);
            struct tw_data b = events(schema, law, 1, key_of(4000, law, 2 * (uint64_t)r + 1), 200);
            struct tw_mmd out;
            assert_int_equal(tw_mmd(&a, &b, (uint64_t)r, kernels, NULL, &out, NULL), TW_OK);
            take(&count, out.p_value);
            tw_data_fini(&a);
            tw_data_fini(&b);
        }
        check(&count, "mmd", law_names[law]);
    }
    repeat = others;
    tw_schema_free(schema);
}

int main(void)
{
    const char *wanted = getenv("TWIN_REPEAT"), *other = getenv("TWIN_SEED");
    if (wanted)
        repeat = repeat_mmd = atol(wanted);
    if (other)
        seed = strtoull(other, NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ks), cmocka_unit_test(test_cvm),    cmocka_unit_test(test_chi2),
        cmocka_unit_test(test_u),  cmocka_unit_test(test_fisher), cmocka_unit_test(test_mmd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
