/* Regret keeps its level at every look, sees what is there, and does not depend on how the events were cut into
 * windows; and the gates of an episode keep theirs together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "stat/gate.h"
#include "stat/regret.h"

static void draw(uint64_t key, uint64_t number, double mean, double sd, double *gains, size_t n)
{
    tw_real *draws = test_malloc(n * sizeof *draws);
    tw_rng_normal(key, number, 0, n, draws);
    for (size_t i = 0; i < n; i++)
        gains[i] = mean + sd * (double)draws[i];
    test_free(draws);
}

/* How many of `repeat` sequences of `looks` windows of 100 events are decided against the truth 0 at any look. */
static int errs(double sd, bool below, int looks, int repeat, double level)
{
    double gains[100];
    int count = 0;
    for (int r = 0; r < repeat; r++) {
        struct tw_regret regret = {0};
        struct tw_regret_bounds bounds;
        bool err = false;
        for (int k = 0; k < looks && !err; k++) {
            draw(3, (uint64_t)(r * looks + k), 0, sd, gains, 100);
            tw_regret_add(&regret, gains, 100);
            assert_int_equal(tw_regret_bounds(&regret, level, &bounds), TW_OK);
            err = below ? bounds.upper < 0 : bounds.lower > 0;
        }
        count += err;
    }
    return count;
}

static void test_level(void **state)
{
    /* 300 sequences at 30 %: 90 expected at most. The mixture of bets and the bound on the variance are paid for with
     * a good part of the level, so that few are expected in truth. */
    assert_in_range(errs(0.5, true, 20, 300, 0.3), 1, 90);
    assert_in_range(errs(0.5, false, 20, 300, 0.3), 1, 90);
    assert_in_range(errs(0.5, true, 20, 300, 0.05), 0, 15);
    assert_in_range(errs(0.05, true, 20, 300, 0.3), 0, 90);
    assert_in_range(errs(4, true, 20, 300, 0.3), 1, 90); /* most gains clipped */
}

/* Events until a gain of a tenth of the spread is seen: no more than twice what the law of large numbers asks for. */
static void test_power(void **state)
{
    double gains[4000];
    for (int sign = -1; sign <= 1; sign += 2) {
        struct tw_regret regret = {0};
        struct tw_regret_bounds bounds;
        draw(5, (uint64_t)(sign + 1), 0.05 * sign, 0.5, gains, 4000);
        tw_regret_add(&regret, gains, 4000);
        assert_int_equal(tw_regret_bounds(&regret, 0.01, &bounds), TW_OK);
        assert_true(sign > 0 ? bounds.lower > 0 : bounds.upper < 0);
        assert_true(bounds.lower < bounds.gain && bounds.gain < bounds.upper);
        assert_true(fabs(bounds.error - 0.5 / sqrt(4000)) < 1e-3);
    }
}

/* The capital against the bound is 1/level: the formula, once more and differently. */
static void test_by_hand(void **state)
{
    double gains[3] = {2, 0, 1}, x[3] = {1, 0.5, 0.75}, p[3] = {0.5, 0.75, 2.0 / 3}, square = 0, total = 0;
    struct tw_regret regret = {0};
    struct tw_regret_bounds bounds;
    tw_regret_add(&regret, gains, 3);
    for (int i = 0; i < 3; i++)
        square += pow(x[i] - p[i], 2);
    assert_true(fabs(regret.sum - 2.25) < 1e-12 && fabs(regret.square - square) < 1e-12);
    assert_int_equal(tw_regret_bounds(&regret, 0.8, &bounds), TW_OK);
    for (double f = 0.9, weight = 512.0 / 1023; f > 0.0017; f /= 2, weight /= 2)
        total += weight * exp(f * (2.25 - 3 * (bounds.lower + 2) / 4) + (log(1 - f) + f) * square);
    assert_true(fabs(total * 0.8 - 1) < 1e-9);
    assert_true(fabs(bounds.gain - 1) < 1e-12);
}

static void test_mirror_and_cuts(void **state)
{
    double gains[300], mirrored[300];
    struct tw_regret whole = {0}, cut = {0}, other = {0};
    struct tw_regret_bounds a, b;
    draw(9, 0, 0.1, 0.4, gains, 300);
    for (int i = 0; i < 300; i++)
        mirrored[i] = -gains[i];
    tw_regret_add(&whole, gains, 300);
    for (int i = 0; i < 300; i += 60)
        tw_regret_add(&cut, gains + i, 60);
    assert_memory_equal(&whole, &cut, sizeof whole);
    tw_regret_add(&other, mirrored, 300);
    tw_regret_bounds(&whole, 0.01, &a);
    tw_regret_bounds(&other, 0.01, &b);
    assert_true(fabs(a.lower + b.upper) < 1e-9 && fabs(a.upper + b.lower) < 1e-9 && fabs(a.gain + b.gain) < 1e-9);
}

static void test_edges(void **state)
{
    double bad[3] = {NAN, -INFINITY, -9};
    struct tw_regret regret = {0};
    struct tw_regret_bounds bounds;
    assert_int_equal(tw_regret_bounds(&regret, 0.01, &bounds), TW_OK);
    assert_true(isnan(bounds.gain) && bounds.lower == -2 && bounds.upper == 2);
    tw_regret_add(&regret, bad, 3);
    assert_int_equal(tw_regret_bounds(&regret, 0.01, &bounds), TW_OK);
    assert_true(bounds.gain == -2 && bounds.lower == -2 && bounds.upper > -2);
    assert_int_equal(tw_regret_bounds(&regret, 0, &bounds), TW_INVALID);
    assert_int_equal(tw_regret_bounds(&regret, 1, &bounds), TW_INVALID);
}

static void test_gains(void **state)
{
    double after[4] = {1, -INFINITY, -INFINITY, 5}, before[4] = {0.5, -INFINITY, 2, 0}, gains[4];
    float weights[4] = {2, 1, 1, 0};
    tw_gate_gains(after, before, weights, 4, gains);
    assert_true(fabs(gains[0] - 1) < 1e-12 && gains[1] == 0 && gains[2] == -INFINITY && gains[3] == 0);
    tw_gate_gains(after, before, weights, 4, before); /* in place */
    assert_memory_equal(gains, before, sizeof gains);

    /* weights without a positive sum: no event speaks for or against anything */
    const float nothing[3][4] = {{0, 0, 0, 0}, {1, -1, 1, -1}, {-1, -1, -1, -1}};
    for (int k = 0; k < 3; k++) {
        tw_gate_gains(after, (double[4]){0.5, 0, 2, 0}, nothing[k], 4, gains);
        for (int i = 0; i < 4; i++)
            assert_true(gains[i] == 0);
    }
}

enum tries { ALONE, SHARED, APPEALED };

/* An episode in which nothing is to be gained: challengers that differ from the champion at random, by as much for the
 * better as for the worse, come up for the gate again and again on data that grow by half; one that passes becomes the
 * champion against which the next is held, on rows that were looked at before. Each try has the whole level, or those
 * against one champion share it; with appeals the bet of one that gains more than its error goes on besides, until the
 * next try. How often the champion moved. */
static int null_episode(uint64_t number, int looks, double level, enum tries tries)
{
    enum { FIRST = 100, MOST = 4000 };
    double *champion = test_calloc(MOST, sizeof *champion), *gains = test_malloc(MOST * sizeof *gains);
    double *challenger = test_malloc(MOST * sizeof *challenger);
    int moves = 0;
    size_t n = FIRST;
    for (int k = 1, try = 1; k <= looks && n <= MOST; k++, try++, n += n / 2) {
        double share = tries == ALONE ? level : tw_gate_spend(level, try, looks);
        struct tw_gate gate;
        draw(11, number * 64 + (uint64_t)k, 0, 0.5, challenger, MOST);
        for (size_t i = 0; i < MOST; i++)
            gains[i] = challenger[i] - champion[i];
        assert_int_equal(tw_gate(gains, n, 0, share, &gate), TW_OK);
        size_t later = n + n / 2 < MOST ? n + n / 2 : MOST;
        if (tries == APPEALED && !gate.pass && gate.gain > gate.error)
            assert_int_equal(tw_gate(gains, later, 0, share, &gate), TW_OK);
        if (gate.pass) {
            moves++;
            try = tries == APPEALED ? 0 : try;
            memcpy(champion, challenger, MOST * sizeof *champion);
        }
    }
    test_free(champion);
    test_free(challenger);
    test_free(gains);
    return moves;
}

static void test_looks_share_a_level(void **state)
{
    double sum = 0;
    for (int k = 1; k <= 17; k++)
        sum += tw_gate_spend(0.01, k, 17);
    assert_true(fabs(sum - 0.01) < 1e-15);
    /* 200 episodes of ten looks at 10 %: 20 at most, sqrt(20) = 4.5; without spending about 40. With appeals each
     * champion has the level: 22 of 222 */
    int moved[3] = {0}, moves = 0;
    for (uint64_t r = 0; r < 200; r++) {
        moved[ALONE] += null_episode(r, 10, 0.1, ALONE) > 0;
        moved[SHARED] += null_episode(r, 10, 0.1, SHARED) > 0;
        moves += null_episode(r, 10, 0.1, APPEALED);
    }
    assert_true(moved[ALONE] > 33);
    assert_in_range(moved[SHARED], 0, 33);
    assert_in_range(moves, 0, 22 + 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_mirror_and_cuts),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_gains),
        cmocka_unit_test(test_looks_share_a_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
