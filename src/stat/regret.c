/* For payoffs x_i in [0, 1], predictions p_i made before them, and any 0 < f < 1,
 *
 *     exp(f sum(x_i - m_i) - psi(f) sum (x_i - p_i)^2),    psi(f) = -ln(1 - f) - f,
 *
 * is a supermartingale, m_i being the conditional mean (Howard, Ramdas, McAuliffe, Sekhon 2021, arXiv:1810.08240,
 * theorem 4; after Fan, Grama, Liu 2015). It is the capital of a bettor as in gate.c, with a bet that needs no more of
 * the past than two sums. We keep an average over a grid of f, weighted as in gate.c; by Ville's inequality it ever
 * reaches 1/level with a chance of at most `level`. With p_i the mean so far, begun at 1/2, gain and loss are mirror
 * images: the upper bound is the lower one of 1 - x.
 */
#include <math.h>

#include "base/status.h"
#include "stat/gate.h"
#include "stat/regret.h"

#define BETS     10 /* f = LARGEST 2^-j: the best one is about sqrt(2 ln(1/level) / square) */
#define LARGEST  0.9
#define HALVINGS 40

void tw_regret_add(struct tw_regret *regret, const double *gains, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double payoff = tw_gate_payoff(gains[i]);
        double expected = (0.5 + regret->sum) / (1 + (double)regret->events);
        regret->square += (payoff - expected) * (payoff - expected);
        regret->sum += payoff;
        regret->events++;
    }
}

/* Capital against the mean m of `events` payoffs with this sum. */
static double capital(double sum, double square, double events, double m)
{
    double total = 0;
    for (int j = 0; j < BETS; j++) {
        double f = ldexp(LARGEST, -j);
        double weight = ldexp(1, -j) / (2 - ldexp(2, -BETS));
        total += weight * exp(f * (sum - events * m) - (-log1p(-f) - f) * square);
    }
    return total;
}

/* The least mean that is not refuted. */
static double lower_bound(double sum, double square, double events, double level)
{
    double low = 0, high = 1; /* no payoff lies outside, so neither does a mean */
    for (int k = 0; k < HALVINGS; k++) {
        double m = (low + high) / 2;
        if (capital(sum, square, events, m) * level >= 1)
            low = m;
        else
            high = m;
    }
    return low;
}

int tw_regret_bounds(const struct tw_regret *regret, double level, struct tw_regret_bounds *out)
{
    double n = (double)regret->events, width = 2 * TW_GATE_CLIP;
    *out = (struct tw_regret_bounds){NAN, NAN, -TW_GATE_CLIP, TW_GATE_CLIP};
    if (!(level > 0 && level < 1))
        return TW_INVALID;
    if (regret->events == 0)
        return TW_OK;
    out->gain = width * (regret->sum / n - 0.5);
    out->error = width * sqrt(regret->square / n / n);
    out->lower = width * (lower_bound(regret->sum, regret->square, n, level) - 0.5);
    out->upper = width * (0.5 - lower_bound(n - regret->sum, regret->square, n, level));
    return TW_OK;
}
