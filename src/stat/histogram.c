/* Uniform bins with sums of weights and of their squares, so that a page can draw errors without the events. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/status.h"
#include "stat/histogram.h"
#include "stat/sort.h"

#define SAMPLE_MAX 16384 /* values that are sorted for the quantiles, taken evenly */
#define TAIL       0.005
#define WIDEN      0.05 /* of the distance between the quantiles, on each side */

/* The bounds of the bulk of the values; false if there are no finite ones or memory is out. */
static bool bulk(const float *values, size_t n, size_t stride, double *low, double *high)
{
    size_t every = n / SAMPLE_MAX + 1, count = 0;
    float *sorted = tw_size_alloc(2 * (n / every + 1), sizeof *sorted);
    if (!sorted)
        return false;
    for (size_t i = 0; i < n; i += every)
        if (isfinite(values[i * stride]))
            sorted[count++] = values[i * stride];
    if (count) {
        tw_sort_floats(sorted, count, sorted + count);
        *low = sorted[(size_t)(TAIL * (double)(count - 1))];
        *high = sorted[(size_t)ceil((1 - TAIL) * (double)(count - 1))];
    }
    free(sorted);
    return count > 0;
}

int tw_histogram_bins(const struct tw_column *column, int wanted)
{
    return column->kind == TW_DISCRETE ? (int)(column->max - column->min) + 1 : wanted;
}

void tw_histogram_range(const struct tw_column *column, const float *values, size_t n, size_t stride, double *low,
                        double *high)
{
    double half = column->kind == TW_DISCRETE ? 0.5 : 0;
    *low = column->min - half;
    *high = column->max + half;
    if (column->has_min && column->has_max)
        return;
    if (!bulk(values, n, stride, low, high)) {
        *low = column->has_min ? column->min : column->has_max ? column->max - 1 : 0;
        *high = *low + 1;
        return;
    }
    double margin = WIDEN * (*high - *low);
    if (!(margin > 1e-6 * fmax(fabs(*low), fabs(*high)))) /* one value, or as good as one */
        margin = fmax(0.5, 1e-3 * fabs(*low));
    *low -= margin;
    *high += margin;
    if (column->has_min && *low < column->min && column->min < *high)
        *low = column->min;
    if (column->has_max && *high > column->max && column->max > *low)
        *high = column->max;
}

int tw_histogram_init(struct tw_histogram *histogram, int bins, double low, double high)
{
    *histogram = (struct tw_histogram){.bins = bins, .low = low, .high = high};
    if (bins < 1 || !isfinite(low) || !isfinite(high) || !(low < high))
        return TW_INVALID;
    histogram->data = tw_size_alloc((size_t)bins, 2 * sizeof *histogram->data);
    if (!histogram->data)
        return TW_NO_MEMORY;
    histogram->data_variance = histogram->data + bins;
    return TW_OK;
}

void tw_histogram_fini(struct tw_histogram *histogram)
{
    if (!histogram)
        return;
    free(histogram->data); /* one block with the variances */
    *histogram = (struct tw_histogram){0};
}

void tw_histogram_fill(struct tw_histogram *histogram, const float *values, const float *weights, size_t n,
                       size_t stride)
{
    double scale = histogram->bins / (histogram->high - histogram->low);
    for (size_t i = 0; i < n; i++) {
        double value = values[i * stride], weight = weights ? weights[i] : 1;
        if (isnan(value)) {
            histogram->absent += weight;
        } else if (value < histogram->low) {
            histogram->under += weight;
        } else if (value > histogram->high) {
            histogram->over += weight;
        } else {
            int bin = (int)((value - histogram->low) * scale);
            if (bin >= histogram->bins) /* the upper edge belongs to the last bin */
                bin = histogram->bins - 1;
            histogram->data[bin] += weight;
            histogram->data_variance[bin] += weight * weight;
        }
    }
}
