/* Regret: on the events that came after a promotion, was the new champion better than the version that it replaced?
 *
 * A confidence sequence of the mean clipped paired gain, valid at every look, that is carried from window to window in
 * three numbers. What is bounded is the average over the events so far of the gain that was to be expected of each, so
 * it holds for physics that changes too.
 */
#ifndef TW_STAT_REGRET_H
#define TW_STAT_REGRET_H

#include <stddef.h>
#include <stdint.h>

struct tw_regret { /* all zero: no event yet */
    uint64_t events;
    double sum;    /* of payoffs in [0, 1], see tw_gate_payoff */
    double square; /* of their distance from the mean of those before, squared */
};

struct tw_regret_bounds {
    double gain, error;  /* mean clipped gain and its standard error, nats; NaN without events */
    double lower, upper; /* each holds at every look with probability 1 - level */
};

/* gains: as for tw_gate, in a fixed order. */
void tw_regret_add(struct tw_regret *regret, const double *gains, size_t n);
/* level in (0, 1), else TW_INVALID. */
int tw_regret_bounds(const struct tw_regret *regret, double level, struct tw_regret_bounds *out);

#endif
