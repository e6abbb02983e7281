#include "stat/cusum_path.h"

#include <math.h>
#include <string.h>

/* What the smooth paths together weigh; the rest is for the notches. */
#define SMOOTH_WEIGHT 0.9

/* ln of the price of what never bets. */
#define OUT_OF_REACH 1e9

/* Shares of the components; those of a column that is periodic, or is not, sum to ALL. */
enum { ALL = 19 };
static const double shares[] = {
    [TW_COMPONENT_LOCATION] = 6, [TW_COMPONENT_SCALE] = 2,      [TW_COMPONENT_SKEW] = 1, [TW_COMPONENT_TAILS] = 1,
    [TW_COMPONENT_PEAK] = 6,     [TW_COMPONENT_PEAK_WIDTH] = 2, [TW_COMPONENT_COS] = 6,  [TW_COMPONENT_SIN] = 6,
    [TW_COMPONENT_COS2] = 2,     [TW_COMPONENT_SIN2] = 2,       [TW_COMPONENT_COS3] = 1, [TW_COMPONENT_SIN3] = 1,
    [TW_COMPONENT_ABSENT] = 1,
};

struct tw_cusum_path tw_cusum_path_of(int path, int fineness)
{
    if (path < TW_CUSUM_SMOOTH_BETS) {
        int size = path / 2 % TW_CUSUM_SIZES;
        return (struct tw_cusum_path){
            .component = path / (2 * TW_CUSUM_SIZES),
            .sign = path % 2 ? -1 : 1,
            .lambda = ldexp(1, size - fineness),
        };
    }
    if (path < TW_CUSUM_SMOOTH)
        return (struct tw_cusum_path){.sign = 0};
    int notch = path - TW_CUSUM_SMOOTH, width = 2;
    while (notch >= 2 * TW_SKETCH_BINS / width) {
        notch -= 2 * TW_SKETCH_BINS / width;
        width *= 2;
    }
    return (struct tw_cusum_path){.component = -1, .sign = -1, .first = notch * width / 2, .width = width};
}

double tw_cusum_path_price(int path, bool periodic)
{
    if (path >= TW_CUSUM_SMOOTH)
        return log(TW_CUSUM_NOTCHES / (1 - SMOOTH_WEIGHT));
    if (path >= TW_CUSUM_SMOOTH_BETS)
        return OUT_OF_REACH;
    enum tw_component component = tw_smooth_component(periodic, path / (2 * TW_CUSUM_SIZES));
    return log(ALL * 2 * TW_CUSUM_SIZES / (SMOOTH_WEIGHT * shares[component]));
}

double tw_cusum_path_fall(const struct tw_cusum_path *path)
{
    if (path->component >= 0)
        return path->lambda * path->lambda / 2;
    double share = (double)path->width / TW_SKETCH_BINS;
    return -share * log(TW_CUSUM_NOTCH_RATIO) + log1p((TW_CUSUM_NOTCH_RATIO - 1) * share);
}

void tw_cusum_path_growth(const struct tw_cusum_path *path, const double scores[TW_COMPONENTS][TW_SKETCH_CELLS],
                          const uint64_t made[TW_SKETCH_CELLS], bool periodic, double out[TW_SKETCH_CELLS])
{
    double step = path->sign * path->lambda;
    if (tw_smooth_component(periodic, path->component) == TW_COMPONENT_PEAK) {
        tw_smooth_peak(made, M_SQRT2 * step, out);
        return;
    }
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        out[i] = exp(step * scores[path->component][i]);
}

void tw_cusum_path_scores(const struct tw_cusum_path *path, const double scores[TW_COMPONENTS][TW_SKETCH_CELLS],
                          double out[TW_SKETCH_CELLS])
{
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        out[i] = path->component >= 0 ? path->sign * scores[path->component][i] : 0;
    for (int i = 0; path->component < 0 && i < path->width; i++)
        out[(path->first + i) % TW_SKETCH_BINS] = -1;
}
