/* Philox against its published answers; numbers that do not depend on how they are asked for; their distributions. */
#include "cm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* The known-answer vectors that accompany Salmon et al. 2011, philox4x32-10 */
static void known_answers(void **state)
{
    static const struct {
        uint64_t key, c0, c1;
        uint32_t out[4];
    } vectors[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint32_t out[4];
        tw_rng_words(vectors[i].key, vectors[i].c0, vectors[i].c1, out);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
}

typedef void filler(uint64_t key, uint64_t draw, uint64_t first, size_t n, tw_real *out);

/* However events are cut into calls, each keeps its number. */
static void check_cuts(filler *fill)
{
    enum { N = 257 };
    tw_real whole[N], part[N];
    uint64_t first = 4000000001;
    fill(7, 3, first, N, whole);
    for (size_t cut = 1; cut < 40; cut++) {
        for (size_t at = 0; at < N; at += cut)
            fill(7, 3, first + at, cut < N - at ? cut : N - at, part + at);
        assert_memory_equal(part, whole, sizeof whole);
    }
    fill(7, 4, first, N, part);
    assert_memory_not_equal(part, whole, sizeof whole);
    fill(8, 3, first, N, part);
    assert_memory_not_equal(part, whole, sizeof whole);
}

static void numbers_belong_to_events(void **state)
{
    check_cuts(tw_rng_normal);
    check_cuts(tw_rng_uniforms);
}

/* Kolmogorov distance of the sorted u from the uniform distribution, times sqrt(n); 1.95 has p = 0.001. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double kolmogorov(double *u, size_t n)
{
    double distance = 0;
    qsort(u, n, sizeof *u, compare);
    for (size_t i = 0; i < n; i++)
        distance = fmax(distance, fmax(u[i] - (double)i / (double)n, (double)(i + 1) / (double)n - u[i]));
    return distance * sqrt((double)n);
}

enum { SAMPLE = 200000 };

static void distributions_are_right(void **state)
{
    tw_real *numbers = malloc(SAMPLE * sizeof *numbers);
    double *u = malloc(SAMPLE * sizeof *u);
    tw_rng_normal(11, 5, 0, SAMPLE, numbers);
    double sum = 0, products = 0;
    for (size_t i = 0; i < SAMPLE; i++) {
        u[i] = 0.5 * erfc(-(double)numbers[i] / sqrt(2));
        sum += (double)numbers[i] * (double)numbers[i];
        products += (double)numbers[i] * (double)numbers[i ^ 1]; /* the pairs that Box-Muller makes together */
    }
    assert_true(fabs(sum / SAMPLE - 1) < 4 * sqrt(2.0 / SAMPLE));
    assert_true(fabs(products / SAMPLE) < 4 * sqrt(2.0 / SAMPLE));
    assert_true(kolmogorov(u, SAMPLE) < 1.95);

    tw_rng_uniforms(11, 6, 0, SAMPLE, numbers);
    for (size_t i = 0; i < SAMPLE; i++) {
        assert_true(numbers[i] > 0 && numbers[i] < 1);
        u[i] = (double)numbers[i];
    }
    assert_true(kolmogorov(u, SAMPLE) < 1.95);

    for (size_t i = 0; i < SAMPLE; i++) {
        u[i] = tw_rng_uniform(12, i, 1);
        assert_true(u[i] > 0 && u[i] < 1);
    }
    assert_true(kolmogorov(u, SAMPLE) < 1.95);
    free(u);
    free(numbers);
}

static void permutations_are_permutations(void **state)
{
    for (size_t n = 0; n < 70; n++) {
        uint32_t order[70];
        unsigned char seen[70] = {0};
        tw_rng_permutation(n, n, order);
        for (size_t i = 0; i < n; i++) {
            assert_in_range(order[i], 0, n - 1);
            assert_int_equal(seen[order[i]]++, 0);
        }
    }
}

/* Each of the 6 orders of 3 comes up with its share: within 5 standard deviations. */
static void permutations_are_fair(void **state)
{
    enum { TRIES = 60000 };
    int count[27] = {0}, orders = 0;
    for (uint64_t key = 0; key < TRIES; key++) {
        uint32_t order[3];
        tw_rng_permutation(key, 3, order);
        count[9 * order[0] + 3 * order[1] + order[2]]++;
    }
    for (int i = 0; i < 27; i++) {
        orders += count[i] > 0;
        if (count[i] > 0)
            assert_true(fabs(count[i] - TRIES / 6.0) < 5 * sqrt(TRIES * 5 / 36.0));
    }
    assert_int_equal(orders, 6);
}

static void mixed_keys_differ(void **state)
{
    assert_true(tw_rng_mix(1, 2) == tw_rng_mix(1, 2));
    for (uint64_t a = 0; a < 30; a++) {
        for (uint64_t b = 0; b < 30; b++) {
            for (uint64_t c = 0; c < a; c++)
                assert_true(tw_rng_mix(a, b) != tw_rng_mix(c, b) && tw_rng_mix(b, a) != tw_rng_mix(b, c));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),           cmocka_unit_test(numbers_belong_to_events),
        cmocka_unit_test(distributions_are_right), cmocka_unit_test(permutations_are_permutations),
        cmocka_unit_test(permutations_are_fair),   cmocka_unit_test(mixed_keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
