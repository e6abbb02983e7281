#include "stat/contrast.h"

#include <math.h>

/* The derivative of a component's mean with respect to a shift by one spread, and to the logarithm of the width, of a
 * normal column: 2 sqrt(3) int phi^2 and 6 sqrt(5) int phi^3. */
#define PER_SHIFT (sqrt(3.0 / M_PI))
#define PER_WIDTH (6 * sqrt(5.0) / (2 * M_PI * sqrt(3.0)))

static double rows_in(const uint64_t *counts, int first, int last)
{
    double rows = 0;
    for (int i = first; i <= last; i++)
        rows += (double)counts[i];
    return rows;
}

/* The value below which a share of the present ones lies, straight between edges; NaN in the outermost bins. */
static double quantile(const struct tw_sketch_grid *grid, int column, const uint64_t *counts, double share)
{
    const float *edges = grid->edges + column * TW_SKETCH_BINS;
    double wanted = share * rows_in(counts, 0, TW_SKETCH_BINS - 1), below = 0;
    for (int i = 0; i <= grid->count[column]; i++) {
        double here = (double)counts[i];
        if (below + here >= wanted && here > 0)
            return i == 0 || i == grid->count[column]
                       ? NAN
                       : (double)edges[i - 1] + ((double)edges[i] - (double)edges[i - 1]) * (wanted - below) / here;
        below += here;
    }
    return NAN;
}

static double mean(const uint64_t *counts, double rows, const double *scores)
{
    double sum = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        sum += (double)counts[i] * scores[i];
    return sum / rows;
}

/* What the component's change means for the column. */
static void translate(struct tw_contrast *out, double absent, double present)
{
    double per = NAN;
    if (out->component == TW_COMPONENT_LOCATION)
        per = PER_SHIFT;
    else if (out->component == TW_COMPONENT_SCALE)
        per = PER_WIDTH;
    else if (out->component == TW_COMPONENT_ABSENT) /* its standard deviation is sqrt(p (1 - p)) */
        per = (absent + present) / sqrt(absent * present);
    out->size = out->value / per;
    out->size_error = out->error / per;
}

void tw_contrast_column(const struct tw_sketch_grid *grid, const struct tw_sketch *before,
                        const struct tw_sketch *since, int column, bool periodic, struct tw_contrast *out)
{
    const uint64_t *a = before->counts + column * TW_SKETCH_CELLS, *b = since->counts + column * TW_SKETCH_CELLS;
    double n = rows_in(a, 0, TW_SKETCH_NAN), m = rows_in(b, 0, TW_SKETCH_NAN);
    double scores[TW_COMPONENTS][TW_SKETCH_CELLS];
    uint64_t all[TW_SKETCH_CELLS];
    for (int i = 0; i < TW_SKETCH_CELLS; i++)
        all[i] = a[i] + b[i];
    tw_smooth_scores(all, periodic, scores);
    *out = (struct tw_contrast){.error = sqrt(1 / n + 1 / m)};
    for (int k = 0; k < TW_COMPONENTS_PLAIN; k++) {
        double value = mean(b, m, scores[k]) - mean(a, n, scores[k]);
        if (k == 0 || fabs(value) > fabs(out->value)) {
            out->value = value;
            out->component = tw_smooth_component(periodic, k);
        }
    }
    out->spread = (quantile(grid, column, a, 0.8413) - quantile(grid, column, a, 0.1587)) / 2;
    translate(out, (double)all[TW_SKETCH_NAN], rows_in(all, 0, TW_SKETCH_BINS - 1));
}

void tw_contrast_excess(const struct tw_sketch_grid *grid, const struct tw_sketch *before,
                        const struct tw_sketch *since, int column, int sign, struct tw_excess *out)
{
    const uint64_t *a = before->counts + column * TW_SKETCH_CELLS, *b = since->counts + column * TW_SKETCH_CELLS;
    double n = rows_in(a, 0, TW_SKETCH_NAN), m = rows_in(b, 0, TW_SKETCH_NAN);
    *out = (struct tw_excess){.ratio = NAN, .error = NAN};
    for (int first = 0; first <= grid->count[column]; first++) {
        double then = 0, now = 0;
        for (int last = first; last <= grid->count[column]; last++) {
            then += (double)a[last];
            now += (double)b[last];
            double expected = then * m / n, share = (then + now) / (n + m);
            double width = sqrt(m * share * (1 - share) * (1 + m / n));
            double significance = width > 0 ? sign * (now - expected) / width : 0;
            if (significance <= out->significance)
                continue;
            *out = (struct tw_excess){first, last, now, expected, NAN, NAN, significance};
            if (then > 0) {
                out->ratio = now / expected - 1;
                out->error = width / expected;
            }
        }
    }
}
