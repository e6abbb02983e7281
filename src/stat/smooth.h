/* Components of a smooth change of one column (Neyman 1937, Skand. Aktuarietidskr. 20:149): functions of the rank that
 * answer to a shift, a width, a skewness, tails; to the place and width of a peak; around a circle, to its first three
 * harmonics; and to how many values are absent.
 *
 * With u in [0, 1] the mid-rank of a value among the present ones of a sample, the components are the Legendre
 * polynomials of 2u - 1 of degree 1 to 4, for a periodic column cos and sin of 2 pi u, 4 pi u and 6 pi u. A resonance
 * is a Cauchy law, whose efficient scores for place and width are -sin 2 pi u and cos 2 pi u (Hajek, Sidak 1967, Theory
 * of rank tests, I.2.4): the Legendre polynomials have 61 % and 92 % of their information. Over the sample each
 * component is brought to mean 0 and variance 1. They are symmetric functions of the sample, and bounded.
 */
#ifndef TW_STAT_SMOOTH_H
#define TW_STAT_SMOOTH_H

#include <stdbool.h>
#include <stdint.h>

#include "stat/sketch.h"

enum tw_component {
    TW_COMPONENT_LOCATION,
    TW_COMPONENT_SCALE,
    TW_COMPONENT_SKEW,
    TW_COMPONENT_TAILS,
    TW_COMPONENT_ABSENT,
    TW_COMPONENT_PEAK, /* its place */
    TW_COMPONENT_PEAK_WIDTH,
    TW_COMPONENT_COS, /* periodic columns have these six in place of all but the absent ones */
    TW_COMPONENT_SIN,
    TW_COMPONENT_COS2,
    TW_COMPONENT_SIN2,
    TW_COMPONENT_COS3,
    TW_COMPONENT_SIN3,
    TW_COMPONENT_NOTCH /* no function of the rank: a run of bins has emptied (stat/cusum_path.h) */
};
enum {
    TW_COMPONENTS = 7,      /* of a column */
    TW_COMPONENTS_PLAIN = 5 /* the first of them, which have words of their own: those of a peak repeat them */
};

/* No score is larger: what is very rare (absent values, a bin of a column of few values) counts for no more. */
#define TW_SMOOTH_MAX 16.0

/* Which component of a column is the k-th of its scores. */
enum tw_component tw_smooth_component(bool periodic, int k);

/* scores[k][i]: component k of a value in cell i, for the sample whose cells hold `counts`. All 0 where the component
 * has no meaning: one value only, none absent. */
void tw_smooth_scores(const uint64_t counts[TW_SKETCH_CELLS], bool periodic,
                      double scores[TW_COMPONENTS][TW_SKETCH_CELLS]);

/* ratio[i]: how much likelier a value in cell i is where a half of a peak has moved by twice `shift`, in its half
 * widths, as a Cauchy law has it: 1/2 + 1/2 (1 + t^2) / (1 + (t - 2 shift)^2) with t = tan(pi (u - 1/2)). For small
 * shifts its logarithm is shift / sqrt(2) times the score of TW_COMPONENT_PEAK. Of a whole peak that has moved by
 * `shift` it gains as much as that peak's own ratio, and loses less where the peak is none, or moved by more. 1 for
 * absent values. */
void tw_smooth_peak(const uint64_t counts[TW_SKETCH_CELLS], double shift, double ratio[TW_SKETCH_CELLS]);

#endif
