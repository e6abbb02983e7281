#include "stat/cusum_path.h"

#include <math.h>
#include <string.h>

/* What the smooth paths together weigh; the rest is for the notches. */
#define SMOOTH_WEIGHT 0.9

struct tw_cusum_path tw_cusum_path_of(int path, int fineness)
{
    if (path < TW_CUSUM_SMOOTH) {
        return (struct tw_cusum_path){
            .component = path % TW_CUSUM_HALF,
            .sign = path / TW_CUSUM_HALF % 2 ? -1 : 1,
            .lambda = ldexp(1, path / (2 * TW_CUSUM_HALF) - fineness),
        };
    }
    int notch = path - TW_CUSUM_SMOOTH, width = 2;
    while (notch >= 2 * TW_SKETCH_BINS / width) {
        notch -= 2 * TW_SKETCH_BINS / width;
        width *= 2;
    }
    return (struct tw_cusum_path){.component = -1, .sign = -1, .first = notch * width / 2, .width = width};
}

double tw_cusum_path_price(int path)
{
    if (path >= TW_CUSUM_SMOOTH)
        return log(TW_CUSUM_NOTCHES / (1 - SMOOTH_WEIGHT));
    return path % TW_CUSUM_HALF < TW_COMPONENTS ? log(2 * TW_CUSUM_SIZES * TW_COMPONENTS / SMOOTH_WEIGHT) : INFINITY;
}

double tw_cusum_path_fall(const struct tw_cusum_path *path)
{
    if (path->component >= 0)
        return path->lambda * path->lambda / 2;
    double share = (double)path->width / TW_SKETCH_BINS;
    return -share * log(TW_CUSUM_NOTCH_RATIO) + log1p((TW_CUSUM_NOTCH_RATIO - 1) * share);
}

void tw_cusum_path_scores(const struct tw_cusum_path *path, const double scores[TW_COMPONENTS][TW_SKETCH_CELLS],
                          double out[TW_SKETCH_CELLS])
{
    bool smooth = path->component >= 0 && path->component < TW_COMPONENTS;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        out[i] = smooth ? path->sign * scores[path->component][i] : 0;
    for (int i = 0; path->component < 0 && i < path->width; i++)
        out[(path->first + i) % TW_SKETCH_BINS] = -1;
}
