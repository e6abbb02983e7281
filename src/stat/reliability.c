#include "stat/reliability.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"

struct row {
    double log_weight, share; /* the latter sums to 1/2 over either sample */
    int label;
};

static int rising(const void *a, const void *b)
{
    double x = ((const struct row *)a)->log_weight, y = ((const struct row *)b)->log_weight;
    return (x > y) - (x < y);
}

static size_t fill(struct row *rows, const double *log_weights, const float *weights, size_t n, int label)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += weights ? (double)weights[i] : 1;
    for (size_t i = 0; i < n; i++) {
        double share = (weights ? (double)weights[i] : 1) / (2 * sum);
        rows[i] = (struct row){isfinite(log_weights[i]) ? log_weights[i] : 0, share, label};
    }
    return n;
}

static struct tw_reliability_bin bin_of(const struct row *rows, size_t n)
{
    struct tw_reliability_bin bin = {.rows = n};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += rows[i].share;
        squares += rows[i].share * rows[i].share;
        bin.predicted += rows[i].share / (1 + exp(-rows[i].log_weight));
        bin.observed += rows[i].label ? rows[i].share : 0;
    }
    bin.predicted /= sum;
    bin.observed /= sum;
    bin.error = sqrt(bin.observed * (1 - bin.observed) * squares) / sum;
    return bin;
}

int tw_reliability(const double *of_data, const float *weights, size_t n, const double *of_samples, size_t m,
                   struct tw_reliability *out)
{
    size_t count;
    *out = (struct tw_reliability){0};
    if (n == 0 || m == 0)
        return TW_OK;
    struct row *rows = tw_size_add(n, m, &count) ? tw_size_alloc(count, sizeof *rows) : NULL;
    if (!rows)
        return TW_NO_MEMORY;
    fill(rows + fill(rows, of_data, weights, n, 1), of_samples, NULL, m, 0);
    qsort(rows, count, sizeof *rows, rising);
    for (size_t first = 0, end; first < count; first = end) {
        int left = TW_RELIABILITY_BINS - out->count;
        end = left > 1 ? first + (count - first) / (size_t)left : count;
        end = end > first ? end : first + 1;
        while (end < count && rows[end].log_weight == rows[end - 1].log_weight)
            end++;
        out->bins[out->count++] = bin_of(rows + first, end - first);
    }
    free(rows);
    return TW_OK;
}
