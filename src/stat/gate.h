/* The gate: may a challenger replace the champion?
 *
 * The paired gain of an event is score(challenger) - score(champion), clipped to [-clip, clip]. The lower bound of its
 * mean is a confidence sequence by betting (Waudby-Smith, Ramdas 2024, arXiv:2010.09686): valid at every look, so that
 * more events may be added until it decides.
 */
#ifndef TW_STAT_GATE_H
#define TW_STAT_GATE_H

#include <stdbool.h>
#include <stddef.h>

#define TW_GATE_CLIP 2.0 /* nats */

struct tw_gate {
    size_t events;
    double gain;  /* mean clipped gain */
    double error; /* its standard error */
    double bound; /* lower confidence bound at `level`, never above the gain */
    bool pass;    /* bound > min_gain */
};

/* gains: paired gains in a fixed order (n). -inf and +inf are clipped; NaN counts as -clip. */
int tw_gate(const double *gains, size_t n, double min_gain, double level, struct tw_gate *out);

/* Paired gains of n events from their scores: weight * (after - before), weights scaled to a mean of one as in a
 * training. Where both scores are -inf neither model can say anything about the event, so neither gains; where the
 * weights have no positive sum, no event does, as they are no sample of anything. `gains` may be `after` or `before`.
 */
void tw_gate_gains(const double *after, const double *before, const float *weights, size_t n, double *gains);
/* A gain as a payoff in [0, 1]; what has no gain has 1/2. */
double tw_gate_payoff(double gain);

/* The level of the k-th (from 1) of at most `most` tests that are to err with a chance of `level` in all: level / (k
 * H), H = 1 + 1/2 + ... + 1/most, which sums to level. Early tests get more, as most series end early. */
double tw_gate_spend(double level, int k, int most);

#endif
