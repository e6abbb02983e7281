/* Rows k of n in a region of the data and r of m of the reference: given k + r, k is binomial, and by Chernoff's bound
 * (k + r) kl(k / (k + r), p) exceeds ln(1/delta) with a chance of at most delta on either side, p being the share that
 * the data would have in the sum. The p nearest to n / (n + m), no change, that is not refuted gives the bound on the
 * ratio of shares. It holds for a region without a row as well, where normal errors say nothing. delta is level / 2
 * divided by the number of regions.
 *
 * Edges are taken from the reference. Where its least or largest value bounds a region it has no row there by
 * construction; but that k of n new rows lie beyond all m is as likely, if nothing changed, as that the k outermost of
 * n + m are new, less than p^k, which is what the bound of 0 in k + 0 says. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stat/distance.h"
#include "stat/sort.h"

enum {
    FINE = 80,                 /* bins of equal share in the reference */
    WIDE = 4,                  /* bins of a region */
    REGIONS = FINE - WIDE + 4, /* of a column, with the absent rows and those beyond either end */
    HALVINGS = 50
};

/* A column of the reference: edges of bins, and where it ends. */
struct range {
    float edges[FINE + 1], least, largest;
};

/* A column of one sample: what is in each bin, what is beyond the reference, and where it is absent. */
struct counts {
    double bin[FINE], below, above, absent, total;
    float next; /* the least value above the reference's largest */
};

static double kl(double a, double p)
{
    return (a > 0 ? a * log(a / p) : 0) + (a < 1 ? (1 - a) * log((1 - a) / (1 - p)) : 0);
}

/* The least |ln ratio| of shares that is not refuted; `limit` is ln(1/delta). */
static double least_change(double k, double n, double r, double m, double limit)
{
    double sum = k + r, seen = k / sum, none = n / (n + m);
    if (sum <= 0 || sum * kl(seen, none) <= limit)
        return 0;
    double near = seen, far = none; /* not refuted, refuted */
    for (int i = 0; i < HALVINGS; i++) {
        double p = (near + far) / 2;
        if (sum * kl(seen, p) < limit)
            near = p;
        else
            far = p;
    }
    return fabs(log(far / (1 - far) * m / n));
}

static int range_of(const struct tw_data *reference, int column, struct range *out)
{
    size_t n = 0, stride = (size_t)reference->schema->features;
    float *values = malloc((reference->rows + 1) * sizeof(*values));
    float *scratch = malloc((reference->rows + 1) * sizeof(*scratch));
    int status = values && scratch ? TW_OK : TW_NO_MEMORY;
    for (size_t i = 0; status == TW_OK && i < reference->rows; i++) {
        float value = reference->features[i * stride + (size_t)column];
        if (!isnan(value))
            values[n++] = value;
    }
    if (status == TW_OK)
        tw_sort_floats(values, n, scratch);
    *out = (struct range){.least = -INFINITY, .largest = INFINITY};
    out->edges[0] = -INFINITY;
    out->edges[FINE] = INFINITY;
    for (size_t i = 1; status == TW_OK && i < FINE; i++)
        out->edges[i] = n ? values[i * n / FINE] : INFINITY;
    if (status == TW_OK && n) {
        out->least = values[0];
        out->largest = values[n - 1];
    }
    free(values);
    free(scratch);
    return status;
}

/* Bins hold their lower edge. */
static int bin_of(const float edges[FINE + 1], float value)
{
    int low = 0, high = FINE;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (edges[middle] <= value)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void count(const struct tw_data *data, int column, const struct range *range, struct counts *out)
{
    size_t stride = (size_t)data->schema->features;
    double sum = 0, squares = 0;
    *out = (struct counts){.next = INFINITY};
    for (size_t i = 0; i < data->rows; i++) {
        float value = data->features[i * stride + (size_t)column];
        double weight = (double)data->weights[i];
        if (isnan(value))
            out->absent += weight;
        else
            out->bin[bin_of(range->edges, value)] += weight;
        if (value < range->least)
            out->below += weight;
        if (value > range->largest) {
            out->above += weight;
            out->next = fminf(out->next, value);
        }
        sum += weight;
        squares += weight * weight;
    }
    double effective = squares > 0 && sum > 0 ? sum / squares : 0; /* rows of the same error for each unit of weight */
    for (int i = 0; i < FINE; i++)
        out->bin[i] = fmax(effective * out->bin[i], 0);
    out->below = fmax(effective * out->below, 0);
    out->above = fmax(effective * out->above, 0);
    out->absent = fmax(effective * out->absent, 0);
    out->total = effective * sum;
}

static void look(double k, double n, double r, double m, double limit, int column, double low, double high,
                 struct tw_distance *out)
{
    double bound = least_change(k, n, r, m, limit);
    if (bound <= out->bound)
        return;
    *out = (struct tw_distance){
        .bound = bound,
        .value = log((k + 0.5) / (n + 1) * (m + 1) / (r + 0.5)), /* finite where one of them is empty */
        .error = sqrt(1 / (k + 0.5) + 1 / (r + 0.5)),
        .column = column,
        .low = low,
        .high = high,
        .found = k,
        .expected = r * n / m,
    };
}

int tw_distance(const struct tw_data *reference, const struct tw_data *data, double level, struct tw_distance *out)
{
    int columns = reference->schema->features, status = TW_OK;
    *out = (struct tw_distance){.value = NAN, .error = NAN, .column = -1, .low = NAN, .high = NAN};
    if (!(level > 0 && level < 1))
        return TW_INVALID;
    double limit = log(2.0 * columns * REGIONS / level);
    for (int d = 0; status == TW_OK && d < columns; d++) {
        struct range range;
        struct counts then, now;
        status = range_of(reference, d, &range);
        if (status != TW_OK)
            break;
        count(reference, d, &range, &then);
        count(data, d, &range, &now);
        if (!(then.total > 0 && now.total > 0))
            continue;
        look(now.absent, now.total, then.absent, then.total, limit, d, NAN, NAN, out);
        look(now.below, now.total, 0, then.total, limit, d, -INFINITY, (double)range.least, out);
        look(now.above, now.total, 0, then.total, limit, d, (double)now.next, INFINITY, out);
        for (int i = 0; i + WIDE <= FINE; i++) {
            double k = 0, r = 0;
            for (int j = 0; j < WIDE; j++) {
                k += now.bin[i + j];
                r += then.bin[i + j];
            }
            look(k, now.total, r, then.total, limit, d, (double)range.edges[i], (double)range.edges[i + WIDE], out);
        }
    }
    return status;
}
