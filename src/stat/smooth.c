#include "stat/smooth.h"

#include <math.h>

enum { SHAPES = TW_COMPONENTS - 1 }; /* all but the absent values */

/* Which component of the shape is the k-th of the scores. */
static int shape_of(int k)
{
    return k - (k > TW_COMPONENT_ABSENT);
}

enum tw_component tw_smooth_component(bool periodic, int k)
{
    if (k == TW_COMPONENT_ABSENT || !periodic)
        return (enum tw_component)k;
    return (enum tw_component)(TW_COMPONENT_COS + shape_of(k));
}

/* Legendre polynomials of 2u - 1 and what moves and widens a peak, or the harmonics. Their norm does not matter. */
static void components(double u, bool periodic, double out[SHAPES])
{
    double x = 2 * u - 1, angle = 2 * M_PI * u;
    if (periodic) {
        for (int k = 0; k < SHAPES / 2; k++) {
            out[2 * k] = cos((k + 1) * angle);
            out[2 * k + 1] = sin((k + 1) * angle);
        }
        return;
    }
    out[0] = x;
    out[1] = (3 * x * x - 1) / 2;
    out[2] = (5 * x * x - 3) * x / 2;
    out[3] = ((35 * x * x - 30) * x * x + 3) / 8;
    out[4] = -sin(angle);
    out[5] = cos(angle);
}

/* Mean 0 and variance 1 over the sample; first .. end-1 are the cells that have a score, the rest keep 0. */
static void standardise(const uint64_t *counts, int first, int end, double *scores)
{
    double n = 0, sum = 0, squares = 0;
    for (int i = first; i < end; i++) {
        n += (double)counts[i];
        sum += (double)counts[i] * scores[i];
    }
    double mean = n > 0 ? sum / n : 0;
    for (int i = first; i < end; i++)
        squares += (double)counts[i] * (scores[i] - mean) * (scores[i] - mean);
    double width = n > 0 ? sqrt(squares / n) : 0;
    for (int i = first; i < end; i++)
        scores[i] = width > 1e-9 ? fmin(fmax((scores[i] - mean) / width, -TW_SMOOTH_MAX), TW_SMOOTH_MAX) : 0;
}

/* Mid-ranks among the present values. */
static void find_ranks(const uint64_t counts[TW_SKETCH_CELLS], double ranks[TW_SKETCH_BINS])
{
    double present = 0, below = 0;
    for (int i = 0; i < TW_SKETCH_BINS; i++)
        present += (double)counts[i];
    for (int i = 0; i < TW_SKETCH_BINS; i++) {
        ranks[i] = present > 0 ? (below + (double)counts[i] / 2) / present : 0.5;
        below += (double)counts[i];
    }
}

void tw_smooth_scores(const uint64_t counts[TW_SKETCH_CELLS], bool periodic,
                      double scores[TW_COMPONENTS][TW_SKETCH_CELLS])
{
    double ranks[TW_SKETCH_BINS], shapes[SHAPES];
    find_ranks(counts, ranks);
    for (int i = 0; i < TW_SKETCH_BINS; i++) {
        components(ranks[i], periodic, shapes);
        for (int k = 0; k < TW_COMPONENTS; k++)
            scores[k][i] = k == TW_COMPONENT_ABSENT ? 0 : shapes[shape_of(k)];
    }
    for (int k = 0; k < TW_COMPONENTS; k++) {
        bool absent = k == TW_COMPONENT_ABSENT;
        scores[k][TW_SKETCH_NAN] = absent;
        standardise(counts, 0, absent ? TW_SKETCH_CELLS : TW_SKETCH_BINS, scores[k]);
    }
}

void tw_smooth_peak(const uint64_t counts[TW_SKETCH_CELLS], double shift, double ratio[TW_SKETCH_CELLS])
{
    double ranks[TW_SKETCH_BINS];
    find_ranks(counts, ranks);
    for (int i = 0; i < TW_SKETCH_BINS; i++) {
        double c = cos(M_PI * (ranks[i] - 0.5)), s = sin(M_PI * (ranks[i] - 0.5)); /* t = s / c, c may be 0 */
        double moved = s - 2 * shift * c;
        ratio[i] = 0.5 + 0.5 / (c * c + moved * moved);
    }
    ratio[TW_SKETCH_NAN] = 1;
}
