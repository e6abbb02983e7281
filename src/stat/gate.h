/* The gate: may a challenger replace the champion?
 *
 * The paired gain of an event is score(challenger) - score(champion), clipped to [-clip, clip]. The lower bound of its
 * mean is a confidence sequence by betting (Waudby-Smith, Ramdas 2023, arXiv:2010.09686): valid at every look, so that
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
    double bound; /* lower confidence bound at `level` */
    bool pass;    /* bound > min_gain */
};

/* gains: paired gains in a fixed order (n). -inf and +inf are clipped; NaN counts as -clip. */
int tw_gate(const double *gains, size_t n, double min_gain, double level, struct tw_gate *out);

#endif
