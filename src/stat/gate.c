/* The lower bound by betting. For a candidate mean m of x in [0, 1], a gambler who bets the fraction f of the capital
 * on x at the fair price m holds prod(1 - f + f x_i / m): under a mean of m or less this is a supermartingale, so that
 * by Ville's inequality it ever reaches 1/level with a chance of at most `level`. We keep an average over a grid of
 * fractions (the diversified bet of Waudby-Smith and Ramdas 2024, section B): no tuning, close to the best fixed bet.
 * The larger fractions have the larger weights, 2^-j: they are the best while events are few, and then it counts. Every
 * factor falls with m, hence so does the capital at any time and its running maximum: the means refuted are an interval
 * [0, bound), and bisection finds its end.
 */
#include <math.h>

#include "base/status.h"
#include "stat/gate.h"

#define BETS     8 /* fractions LARGEST 2^-j: the best one lies near (mean - m) m / variance */
#define LARGEST  0.9
#define HALVINGS 40 /* of the interval of length 1 */

double tw_gate_payoff(double gain)
{
    if (isnan(gain))
        return 0;
    return (fmin(fmax(gain, -TW_GATE_CLIP), TW_GATE_CLIP) + TW_GATE_CLIP) / (2 * TW_GATE_CLIP);
}

/* Did the capital against mean m > 0 ever reach 1/level? */
static bool refuted(const double *gains, size_t n, double m, double level)
{
    double capital[BETS], fraction[BETS];
    for (int j = 0; j < BETS; j++) {
        capital[j] = ldexp(1, -j) / (2 - ldexp(2, -BETS));
        fraction[j] = ldexp(LARGEST, -j);
    }
    for (size_t i = 0; i < n; i++) {
        double win = tw_gate_payoff(gains[i]) / m - 1, sum = 0;
        for (int j = 0; j < BETS; j++) {
            capital[j] *= 1 + fraction[j] * win;
            sum += capital[j];
        }
        if (sum * level >= 1)
            return true;
    }
    return false;
}

static double lower_bound(const double *gains, size_t n, double level)
{
    double low = 0, high = 1; /* refuted (no mean is below 0), not refuted (no payoff beats the price 1) */
    for (int k = 0; k < HALVINGS; k++) {
        double m = (low + high) / 2;
        if (refuted(gains, n, m, level))
            low = m;
        else
            high = m;
    }
    return low;
}

static void mean_and_error(const double *gains, size_t n, struct tw_gate *out)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += tw_gate_payoff(gains[i]);
    double mean = n ? sum / (double)n : 0.5;
    for (size_t i = 0; i < n; i++)
        squares += (tw_gate_payoff(gains[i]) - mean) * (tw_gate_payoff(gains[i]) - mean);
    out->gain = (2 * mean - 1) * TW_GATE_CLIP;
    out->error = n > 1 ? 2 * TW_GATE_CLIP * sqrt(squares / (double)(n - 1) / (double)n) : NAN;
}

int tw_gate(const double *gains, size_t n, double min_gain, double level, struct tw_gate *out)
{
    *out = (struct tw_gate){.events = n, .error = NAN, .bound = -TW_GATE_CLIP};
    if (!(level > 0 && level < 1) || isnan(min_gain))
        return TW_INVALID;
    mean_and_error(gains, n, out);
    /* where physics changed within the events, what was won on the first of them may lie above the mean of all */
    out->bound = fmin((2 * lower_bound(gains, n, level) - 1) * TW_GATE_CLIP, out->gain);
    out->pass = out->bound > min_gain;
    return TW_OK;
}

void tw_gate_gains(const double *after, const double *before, const float *weights, size_t n, double *gains)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)weights[i];
    for (size_t i = 0; i < n; i++) {
        double weight = total > 0 ? (double)weights[i] * (double)n / total : 0;
        gains[i] = after[i] == before[i] || weight == 0 ? 0 : weight * (after[i] - before[i]);
    }
}

double tw_gate_spend(double level, int k, int most)
{
    double sum = 0;
    for (int i = 1; i <= most; i++)
        sum += 1.0 / i;
    return level / (k * sum);
}
