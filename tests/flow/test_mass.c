/* Masses as functions of a momentum: against four-vectors in long double, slope and Jacobian by differences, roots
 * back, for particles of all masses, also nearly collinear and far forward; pairs as decays and back; the coordinate
 * of a mass and its open edge. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "flow/decay.h"
#include "flow/mass.h"
#include "flow/peak.h"

#define EVENTS 3000

static double uniform(uint64_t i, uint64_t k, double low, double high)
{
    return low + (high - low) * tw_rng_uniform(7, i, k);
}

/* Up to four particles; of every five events one is nearly collinear, one back to back, one without masses. */
static int draw(uint64_t i, struct tw_mass_particle *of)
{
    int n = 2 + (int)(i % 3);

    for (int p = 0; p < n; p++) {
        uint64_t k = 10 * (uint64_t)p;

        of[p] = (struct tw_mass_particle){.pt = exp(uniform(i, k, -1, 6)),
                                          .eta = uniform(i, k + 1, -5, 5),
                                          .phi = uniform(i, k + 2, -3.2, 3.2),
                                          .mass = i % 5 == 2 ? 0 : exp(uniform(i, k + 3, -3, 4))};
        if (p && i % 5 == 0) {
            of[p].eta = of[0].eta + uniform(i, k + 4, -0.02, 0.02);
            of[p].phi = of[0].phi + uniform(i, k + 5, -0.02, 0.02);
        }
        if (p && i % 5 == 1) {
            of[p].eta = -of[0].eta;
            of[p].phi = of[0].phi + 3.141592653589793;
        }
    }
    return n;
}

static long double square_of(const struct tw_mass_particle *of, int n)
{
    long double e = 0, x = 0, y = 0, z = 0;

    for (int p = 0; p < n; p++) {
        long double pt = of[p].pt, along = pt * sinhl(of[p].eta), m = of[p].mass;

        e += sqrtl(pt * pt + along * along + m * m);
        x += pt * cosl(of[p].phi);
        y += pt * sinl(of[p].phi);
        z += along;
    }
    return (e - z) * (e + z) - x * x - y * y;
}

static void test_square(void **state)
{
    for (uint64_t i = 0; i < EVENTS; i++) {
        struct tw_mass_particle of[4];
        int n = draw(i, of);
        struct tw_mass mass = tw_mass_of(of, n - 1, &of[n - 1]);
        double x = of[n - 1].pt, slope, unused, h = 1e-5 * x, got = tw_mass_square(&mass, x, &slope);
        double up = tw_mass_square(&mass, x + h, &unused), down = tw_mass_square(&mass, x - h, &unused);
        double wanted = (double)square_of(of, n);

        assert_float_equal(got, wanted, 1e-9 * (1 + fabs(wanted)));
        assert_float_equal(slope, (up - down) / (2 * h), 1e-6 * (fabs(slope) + got / x));
    }
}

/* Above the turn s rises and is solved for; below, it falls. */
static void test_solve(void **state)
{
    int turned = 0;

    for (uint64_t i = 0; i < EVENTS; i++) {
        struct tw_mass_particle of[4];
        int n = draw(i, of);
        struct tw_mass mass = tw_mass_of(of, n - 1, &of[n - 1]);
        double turn = tw_mass_turn(&mass), slope, least = tw_mass_square(&mass, turn, &slope);

        turned += turn > 0;
        for (double x = 1e-3; x < 1e4; x *= 7.3) {
            double s = tw_mass_square(&mass, x, &slope), back = tw_mass_solve(&mass, s);

            assert_true((slope > 0) == (x > turn) || fabs(x - turn) < 1e-6 * x);
            assert_true(s >= least * (1 - 1e-12));
            if (x > turn) /* rounding of s is all that may be lost */
                assert_float_equal(back, x, 1e-12 * x + 1e-14 * s / slope + 3e-8 * (x < 1.1 * turn) * x);
            else
                assert_true(back >= turn * (1 - 1e-7));
        }
        assert_float_equal(tw_mass_solve(&mass, 0.9 * least), turn, 1e-6 * turn);
    }
    assert_in_range(turned, EVENTS / 10, EVENTS);
}

/* Both muons of a Z far forward, where energies are 10^9 times the mass. */
static void test_forward(void **state)
{
    struct tw_mass_particle of[] = {{45, 20, 0, 0.10566}, {45, 20.5, 3, 0.10566}};
    struct tw_mass mass = tw_mass_of(of, 1, &of[1]);
    double slope, s = tw_mass_square(&mass, 45, &slope), massless = 2 * 45 * 45 * (cosh(0.5) - cos(3));

    assert_float_equal(s, massless, 0.1);
    assert_float_equal(tw_mass_solve(&mass, s), 45, 1e-9);
}

/* A pair comes back from its decay, and the decay has the pair's momentum, mass and direction. */
static void test_decay(void **state)
{
    for (uint64_t i = 0; i < EVENTS; i++) {
        struct tw_mass_particle of[4], back[2];
        double jacobian = 0;

        draw(i, of);

        struct tw_decay d = tw_decay_of(&of[0], &of[1], &jacobian);
        double s = (double)square_of(of, 2), room = d.mass - of[0].mass - of[1].mass;
        /* digits are lost by a boost that is large, and by a mass that is hardly above the sum of both */
        double limit = 1e-13 * (1 + d.pt * d.pt / s) * (1 + s / (room * room));

        assert_float_equal(d.mass * d.mass, s, 1e-9 * (1 + s));
        if (d.pt < 1e-9 * of[0].pt) /* back to back: no azimuth */
            continue;
        assert_true(isfinite(jacobian) && fabs(d.cosine) <= 1);
        back[0].mass = of[0].mass;
        back[1].mass = of[1].mass;
        tw_decay_particles(&d, &back[0], &back[1]);
        for (int p = 0; p < 2; p++) {
            assert_float_equal(back[p].pt, of[p].pt, of[p].pt * (1e-9 + limit));
            assert_float_equal(back[p].eta, of[p].eta, 1e-9 + limit * 10);
            assert_float_equal(remainder(back[p].phi - of[p].phi, 6.283185307179586), 0, 1e-9 + limit * 10);
        }
    }

    /* cosine 1 is the first particle forward */
    struct tw_mass_particle of[] = {{1, 5, 0.1, 0}, {1, -5, 3, 0}};
    double unused = 0;

    assert_true(tw_decay_of(&of[0], &of[1], &unused).cosine > 0.99);
    assert_true(tw_decay_of(&of[1], &of[0], &unused).cosine < -0.99);
}

static void test_peak(void **state)
{
    static const struct tw_peak peaks[] = {{0, 0}, {91.19, 2.5}, {3.0969, 9.3e-5}, {125, 1e3}};

    for (size_t k = 0; k < sizeof peaks / sizeof *peaks; k++)
        for (double m = 1e-6; m < 1e7; m *= 1.07) {
            double jacobian = 0, unused = 0, h = tw_peak_forward(&peaks[k], m, &jacobian), d = 1e-6 * m;
            double up = tw_peak_forward(&peaks[k], m + d, &unused), down = tw_peak_forward(&peaks[k], m - d, &unused);

            assert_true(up > h && h > down);
            assert_float_equal(tw_peak_inverse(&peaks[k], h), m, 1e-11 * m);
            if (k != 2 || fabs(m - 3.0969) > 0.2) /* the differences are as wide as the J/psi */
                assert_float_equal(jacobian, log((up - down) / (2 * d)), 1e-6);
        }
    /* half the height at half the width: h = 0 at M, asinh(1) at M + Gamma/2 */
    double unused = 0;

    assert_float_equal(tw_peak_forward(&peaks[1], 91.19, &unused), 0, 1e-12);
    assert_float_equal(tw_peak_forward(&peaks[1], 91.19 + 1.25, &unused), asinh(1), 0.01);
}

static void test_edge(void **state)
{
    static const double lows[] = {-INFINITY, -800, -4, 0, 3};

    for (size_t k = 0; k < sizeof lows / sizeof *lows; k++)
        for (double y = -30; y < 60; y += 0.37) {
            double low = lows[k], h = tw_peak_close(y, low), jacobian = 0, unused = 0, d = 1e-4 * fmin(1, h - low);

            assert_true(h > low);
            if (y - low < -12) /* H - L has few digits left */
                continue;
            assert_float_equal(tw_peak_open(h, low, &jacobian), y, 1e-6);
            assert_float_equal(
                jacobian, log((tw_peak_open(h + d, low, &unused) - tw_peak_open(h - d, low, &unused)) / (2 * d)), 1e-4);
            if (y > low + 20)
                assert_float_equal(h, y, 1e-8);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_square), cmocka_unit_test(test_solve), cmocka_unit_test(test_forward),
        cmocka_unit_test(test_decay),  cmocka_unit_test(test_peak),  cmocka_unit_test(test_edge),
    };

    return cmocka_run_group_tests_name("flow/mass", tests, NULL, NULL);
}
