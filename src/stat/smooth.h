/* Components of a smooth change of one column (Neyman 1937, Skand. Aktuarietidskr. 20:149): functions of the rank that
 * answer to a shift, a width, a skewness, tails; around a circle, to its first two harmonics; and to how many values
 * are absent.
 *
 * With u in [0, 1] the mid-rank of a value among the present ones of a sample, the components are the Legendre
 * polynomials of 2u - 1 of degree 1 to 4, for a periodic column cos and sin of 2 pi u and 4 pi u. Over the sample each
 * is brought to mean 0 and variance 1. They are symmetric functions of the sample, and bounded.
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
    TW_COMPONENT_COS, /* periodic columns have these four in place of the first four */
    TW_COMPONENT_SIN,
    TW_COMPONENT_COS2,
    TW_COMPONENT_SIN2
};
enum { TW_COMPONENTS = 5 }; /* of a column */

/* No score is larger: what is very rare (absent values, a bin of a column of few values) counts for no more. */
#define TW_SMOOTH_MAX 16.0

/* Which component of a column is the k-th of its scores. */
enum tw_component tw_smooth_component(bool periodic, int k);

/* scores[k][i]: component k of a value in cell i, for the sample whose cells hold `counts`. All 0 where the component
 * has no meaning: one value only, none absent. */
void tw_smooth_scores(const uint64_t counts[TW_SKETCH_CELLS], bool periodic,
                      double scores[TW_COMPONENTS][TW_SKETCH_CELLS]);

#endif
