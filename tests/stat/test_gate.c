/* The gate keeps its level under a null that is looked at after every event, and still passes what deserves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "stat/gate.h"

/* n gains: normal with mean and sd, or, if skewed, 2 with a chance of 1/10 and else what makes the mean come out. */
static void draw(uint64_t key, uint64_t number, double mean, double sd, bool skewed, double *gains, size_t n)
{
    tw_real *draws = test_malloc(n * sizeof *draws);
    if (skewed)
        tw_rng_uniforms(key, number, 0, n, draws);
    else
        tw_rng_normal(key, number, 0, n, draws);
    for (size_t i = 0; i < n; i++)
        gains[i] = skewed ? (draws[i] < 0.1 ? 2 : (mean - 0.2) / 0.9) : mean + sd * (double)draws[i];
    test_free(draws);
}

/* How many of `repeat` sequences of n events pass; the bound is a running maximum, so the last look counts them all. */
static int passes(double mean, double sd, bool skewed, double level, size_t n, int repeat)
{
    double *gains = test_malloc(n * sizeof *gains);
    int count = 0;
    for (int r = 0; r < repeat; r++) {
        struct tw_gate gate;
        draw(71, (uint64_t)r, mean, sd, skewed, gains, n);
        assert_int_equal(tw_gate(gains, n, 0, level, &gate), TW_OK);
        count += gate.pass;
    }
    test_free(gains);
    return count;
}

static void test_level(void **state)
{
    /* 500 sequences at 5 %: 25 expected at most, sqrt(25) = 5 */
    assert_in_range(passes(0, 0.5, false, 0.05, 1500, 500), 1, 40);
    assert_in_range(passes(0, 0.05, false, 0.05, 1500, 500), 0, 40);
    assert_in_range(passes(0, 0, true, 0.05, 1500, 500), 1, 40);
    assert_in_range(passes(0, 4, false, 0.05, 1500, 500), 1, 40); /* most gains clipped, as many above as below */
    assert_int_equal(passes(-0.05, 0.5, false, 0.05, 1500, 100), 0);
}

static void test_power(void **state)
{
    assert_in_range(passes(0.05, 0.5, false, 0.01, 3000, 60), 54, 60);
    assert_in_range(passes(0.2, 0.5, false, 0.01, 300, 60), 54, 60);
    assert_in_range(passes(0.01, 0.05, false, 0.01, 2200, 60), 54, 60);
}

/* No bet gains more than 0.45 a nat, so that nothing passes whose clipped gains do not add up to ln(1/level) / 0.45:
 * which rows were chosen to look at counts for less than that (docs/statistics.md). */
static void test_what_a_pass_takes(void **state)
{
    enum { MOST = 20000 };
    const double each[] = {1e-3, 0.02, 0.3, 2, 5}, levels[] = {0.05, 0.0029};
    double *gains = test_malloc(MOST * sizeof *gains);
    for (int k = 0; k < 10; k++) {
        double gain = each[k / 2], level = levels[k % 2], clipped = fmin(gain, 2);
        size_t fails = 0, passes = MOST; /* the number of events with which it begins to pass */
        for (size_t i = 0; i < MOST; i++)
            gains[i] = gain;
        while (passes - fails > 1) {
            struct tw_gate gate;
            size_t n = (fails + passes) / 2;
            assert_int_equal(tw_gate(gains, n, 0, level, &gate), TW_OK);
            *(gate.pass ? &passes : &fails) = n;
        }
        double least = log(1 / level) / 0.45, total = (double)passes * clipped;
        assert_true(total >= least && total <= 3 * least + 2);
    }
    test_free(gains);
}

/* More events never lower the bound, and what it refutes is what it says. */
static void test_every_look(void **state)
{
    enum { N = 600 };
    double gains[N], bound = -TW_GATE_CLIP;
    draw(5, 0, 0.1, 0.4, false, gains, N);
    for (size_t n = 0; n <= N; n += 20) {
        struct tw_gate gate, above, below;
        assert_int_equal(tw_gate(gains, n, 0, 0.01, &gate), TW_OK);
        assert_int_equal(gate.events, n);
        assert_true(gate.bound >= bound);
        bound = gate.bound;
        tw_gate(gains, n, bound + 1e-6, 0.01, &above);
        tw_gate(gains, n, bound - 1e-6, 0.01, &below);
        assert_true(!above.pass && below.pass);
    }
    assert_true(bound > 0 && bound < 0.1);
}

/* The capital for two events by hand: the bound is where the weighted average over bets of their product is 1/level. */
static void test_by_hand(void **state)
{
    double gains[2] = {2, 1}, level = 0.5, x[2] = {1, 0.75};
    struct tw_gate gate;
    assert_int_equal(tw_gate(gains, 2, 0, level, &gate), TW_OK);
    double m = (gate.bound + 2) / 4, first = 0, both = 0;
    for (int j = 0; j < 8; j++) {
        double f = 0.9 / (1 << j), weight = (128.0 / (1 << j)) / 255;
        first += weight * (1 - f + f * x[0] / m);
        both += weight * (1 - f + f * x[0] / m) * (1 - f + f * x[1] / m);
    }
    assert_true(fabs(fmax(first, both) * level - 1) < 1e-9);
    assert_true(fabs(gate.gain - 1.5) < 1e-12 && fabs(gate.error - 0.5) < 1e-12);
}

/* Physics that changes within the events: what the first of them gain is no bound for the mean of all. */
static void test_gain_that_was(void **state)
{
    (void)state;
    double gains[1000];
    struct tw_gate gate;
    for (int i = 0; i < 1000; i++)
        gains[i] = i < 300 ? 0.5 : -0.4;
    assert_int_equal(tw_gate(gains, 1000, 0, 0.01, &gate), TW_OK);
    assert_true(fabs(gate.gain + 0.13) < 1e-9 && gate.bound <= gate.gain && !gate.pass);
}

static void test_edges(void **state)
{
    double bad[4] = {NAN, -INFINITY, -9, -2}, good[4] = {INFINITY, 9, 2, 2.5}, mixed[2] = {INFINITY, NAN};
    struct tw_gate gate;
    assert_int_equal(tw_gate(bad, 4, 0, 0.01, &gate), TW_OK);
    assert_true(gate.gain == -2 && gate.error == 0 && gate.bound < -1.99 && !gate.pass);
    assert_int_equal(tw_gate(good, 4, 0, 0.01, &gate), TW_OK);
    assert_true(gate.gain == 2 && gate.bound < 2);
    assert_int_equal(tw_gate(mixed, 2, 0, 0.01, &gate), TW_OK);
    assert_true(gate.gain == 0);
    assert_int_equal(tw_gate(NULL, 0, 0, 0.01, &gate), TW_OK);
    assert_true(!gate.pass && gate.bound == -2 && isnan(gate.error));
    assert_int_equal(tw_gate(good, 4, 0, 0, &gate), TW_INVALID);
    assert_int_equal(tw_gate(good, 4, 0, 1, &gate), TW_INVALID);
    assert_int_equal(tw_gate(good, 4, NAN, 0.01, &gate), TW_INVALID);
    assert_false(gate.pass);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_every_look),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_gain_that_was),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_what_a_pass_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
