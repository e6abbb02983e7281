#include "stat/band.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/status.h"

int tw_band_init(struct tw_band *band, int members, int bins, double low, double high)
{
    *band = (struct tw_band){.bins = bins, .members = members, .low = low, .high = high};
    if (members < 1 || bins < 1 || !isfinite(low) || !isfinite(high) || !(low < high))
        return TW_INVALID;
    band->counts = tw_size_alloc((size_t)(members + 1) * (size_t)bins, sizeof *band->counts);
    band->hits = tw_size_alloc((size_t)bins, sizeof *band->hits);
    if (!band->counts || !band->hits) {
        tw_band_fini(band);
        return TW_NO_MEMORY;
    }
    band->squares = band->counts + (size_t)members * (size_t)bins;
    return TW_OK;
}

void tw_band_fini(struct tw_band *band)
{
    free(band->counts); /* one block with the squares */
    free(band->hits);
    *band = (struct tw_band){0};
}

/* The bin of a value; -1 after it was counted as lying outside. */
static int place(struct tw_band *band, double value)
{
    double share = 1.0 / band->members;
    if (isnan(value))
        band->absent += share;
    else if (value < band->low)
        band->under += share;
    else if (value > band->high)
        band->over += share;
    else {
        int bin = (int)((value - band->low) * (band->bins / (band->high - band->low)));
        return bin < band->bins ? bin : band->bins - 1; /* the upper edge belongs to the last bin */
    }
    return -1;
}

void tw_band_fill(struct tw_band *band, const float *const *values, size_t n, size_t stride)
{
    for (size_t i = 0; i < n; i++) {
        for (int m = 0; m < band->members; m++) {
            int bin = place(band, (double)values[m][i * stride]);
            if (bin < 0)
                continue;
            /* y grows by 1/M with each hit, and y^2 by what is added here */
            band->squares[bin] += (2 * band->hits[bin]++ + 1) / ((double)band->members * band->members);
            band->counts[m * band->bins + bin]++;
        }
        for (int m = 0; m < band->members; m++) {
            double value = (double)values[m][i * stride];
            if (value >= band->low && value <= band->high)
                band->hits[place(band, value)] = 0;
        }
    }
    band->events += n;
}

double tw_band_mean(const struct tw_band *band, int bin)
{
    double sum = 0;
    for (int m = 0; m < band->members; m++)
        sum += band->counts[m * band->bins + bin];
    return sum / band->members;
}

double tw_band_statistical_error(const struct tw_band *band, int bin)
{
    return sqrt(band->squares[bin]);
}

/* Within how many standard errors lie as many of Student's distribution as of the normal one within one: the expansion
 * in 1/nu at x = 1 (Abramowitz, Stegun 26.7.5), 1.3 % too small for one degree of freedom, right for more. */
static double student(double nu)
{
    return 1 + 1 / (2 * nu) + 1 / (4 * nu * nu) + 1 / (16 * nu * nu * nu);
}

double tw_band_model_error(const struct tw_band *band, int bin)
{
    double members = band->members, mean = tw_band_mean(band, bin), sum = 0;
    double draws = members * (mean - band->squares[bin]);
    if (band->members == 1)
        return NAN;
    for (int m = 0; m < band->members; m++) {
        double delta = band->counts[m * band->bins + bin] - mean;
        sum += delta * delta;
    }
    return student(members - 1) * sqrt(fmax((sum - draws) / (members - 1), 0) * (1 + 1 / members));
}
