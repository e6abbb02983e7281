#include "stat/weight_map.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "stat/sort.h"

#define CUTS      31    /* candidates in a column */
#define ROWS_MOST 50000 /* that the tree is grown on */
#define SHARE_MIN 0.01  /* of the samples in a region */
#define DATA_MIN  20.0  /* rows of data that are expected in a region */
#define GAIN_MIN  5.0   /* nats that a cut must explain of the data: twice that is a chi-square of one parameter */

/* Value of a column, absent ones below all others. */
static double value_of(const struct tw_data *data, size_t row, int column)
{
    float x = data->features[row * (size_t)data->schema->features + (size_t)column];
    return isnan(x) ? -INFINITY : (double)x;
}

/* --- candidates --- */

struct column {
    int count;
    double cut[CUTS];
    bool absent;
};

struct tree {
    int columns;
    size_t rows;
    struct column *column; /* (columns) */
    unsigned char *bin;    /* (rows, columns): how many cuts lie at or below the value */
    double *weight;        /* (rows), mean 1 */
    int *leaf;             /* (rows) */
    struct tw_weight_map *map;
};

/* Quantiles, rounded to numbers that people would write: a grid of a power of ten, about a hundredth of the bulk. */
static void choose_cuts(struct column *column, float *values, size_t n, float *scratch)
{
    tw_sort_floats(values, n, scratch);
    double bulk = (double)values[(size_t)(0.99 * (double)(n - 1))] - (double)values[(size_t)(0.01 * (double)(n - 1))];
    double grid = pow(10, floor(log10((bulk > 0 ? bulk : 1) / 50)));
    for (int k = 1; k <= CUTS - 1 && isfinite(grid) && grid > 0; k++) {
        double x = (double)values[(size_t)((double)(n - 1) * k / CUTS)], cut = round(x / grid) * grid;
        if (isfinite(cut) && (column->count == 0 || cut > column->cut[column->count - 1]) && cut > (double)values[0] &&
            cut <= (double)values[n - 1])
            column->cut[column->count++] = cut;
    }
}

static int prepare_columns(struct tree *tree, const struct tw_data *samples)
{
    float *values = tw_size_alloc(tree->rows, 2 * sizeof *values);
    if (!values)
        return TW_NO_MEMORY;
    for (int c = 0; c < tree->columns; c++) {
        struct column *column = &tree->column[c];
        size_t n = 0;
        for (size_t i = 0; i < tree->rows; i++) {
            double x = value_of(samples, 2 * i, c);
            if (isfinite(x))
                values[n++] = (float)x;
            else
                column->absent = true;
        }
        if (column->absent)
            column->cut[column->count++] = TW_WEIGHT_MAP_ABSENT;
        if (n > 1)
            choose_cuts(column, values, n, values + tree->rows);
        for (size_t i = 0; i < tree->rows; i++) {
            double x = value_of(samples, 2 * i, c);
            int bin = 0;
            while (bin < column->count && x >= column->cut[bin])
                bin++;
            tree->bin[i * (size_t)tree->columns + (size_t)c] = (unsigned char)bin;
        }
    }
    free(values);
    return TW_OK;
}

/* --- growing --- */

struct side {
    double n, weight;
};

/* Nats that a region's weights explain, over one weight for all: W ln(W / n). */
static double explained(struct side s)
{
    return s.n > 0 && s.weight > 0 ? s.weight * log(s.weight / s.n) : 0;
}

struct cut {
    int leaf, column, index;
    double gain;
};

static void best_of_column(const struct tree *tree, int leaf, int column, const struct side *bins, size_t data_rows,
                           struct cut *best)
{
    struct side all = {0}, low = {0};
    double least = SHARE_MIN * (double)tree->rows, per_weight = (double)data_rows / (double)tree->rows;
    for (int b = 0; b <= tree->column[column].count; b++) {
        all.n += bins[b].n;
        all.weight += bins[b].weight;
    }
    for (int b = 0; b < tree->column[column].count; b++) {
        low.n += bins[b].n;
        low.weight += bins[b].weight;
        struct side high = {all.n - low.n, all.weight - low.weight};
        if (fmin(low.n, high.n) < least || fmin(low.weight, high.weight) * per_weight < DATA_MIN)
            continue;
        double gain = (explained(low) + explained(high) - explained(all)) * per_weight;
        if (gain > best->gain)
            *best = (struct cut){leaf, column, b, gain};
    }
}

/* The best cut of one region; `bins` is scratch for every column. */
static struct cut best_cut(const struct tree *tree, int leaf, size_t data_rows, struct side (*bins)[CUTS + 1])
{
    struct cut best = {.leaf = leaf, .column = -1, .gain = 0};
    memset(bins, 0, (size_t)tree->columns * sizeof *bins);
    for (size_t i = 0; i < tree->rows; i++) {
        if (tree->leaf[i] != leaf)
            continue;
        const unsigned char *bin = tree->bin + i * (size_t)tree->columns;
        for (int c = 0; c < tree->columns; c++) {
            bins[c][bin[c]].n++;
            bins[c][bin[c]].weight += tree->weight[i];
        }
    }
    for (int c = 0; c < tree->columns; c++)
        best_of_column(tree, leaf, c, bins[c], data_rows, &best);
    return best;
}

static struct tw_weight_map_range *range_of(struct tw_weight_map_leaf *leaf, int column, bool absent)
{
    for (int r = 0; r < leaf->count; r++)
        if (leaf->ranges[r].column == column)
            return &leaf->ranges[r];
    leaf->ranges[leaf->count] = (struct tw_weight_map_range){column, -INFINITY, INFINITY, absent};
    return &leaf->ranges[leaf->count++];
}

static void apply(struct tree *tree, const struct cut *cut)
{
    struct tw_weight_map *map = tree->map;
    const struct column *column = &tree->column[cut->column];
    int other = map->count++;
    map->leaves[other] = map->leaves[cut->leaf];
    range_of(&map->leaves[cut->leaf], cut->column, column->absent)->high = column->cut[cut->index];
    range_of(&map->leaves[other], cut->column, column->absent)->low = column->cut[cut->index];
    for (size_t i = 0; i < tree->rows; i++)
        if (tree->leaf[i] == cut->leaf && tree->bin[i * (size_t)tree->columns + (size_t)cut->column] > cut->index)
            tree->leaf[i] = other;
}

static void grow(struct tree *tree, size_t data_rows, struct side (*bins)[CUTS + 1])
{
    struct cut best[TW_WEIGHT_MAP_LEAVES];
    best[0] = best_cut(tree, 0, data_rows, bins);
    while (tree->map->count < TW_WEIGHT_MAP_LEAVES) {
        int first = 0, other = tree->map->count;
        for (int l = 1; l < other; l++)
            if (best[l].gain > best[first].gain)
                first = l;
        if (best[first].column < 0 || best[first].gain < GAIN_MIN)
            return;
        apply(tree, &best[first]);
        best[first] = best_cut(tree, first, data_rows, bins);
        best[other] = best_cut(tree, other, data_rows, bins);
    }
}

/* --- counting --- */

static bool inside(const struct tw_weight_map_leaf *leaf, const struct tw_data *data, size_t row)
{
    for (int r = 0; r < leaf->count; r++) {
        double x = value_of(data, row, leaf->ranges[r].column);
        if (x < leaf->ranges[r].low || x >= leaf->ranges[r].high)
            return false;
    }
    return true;
}

struct count {
    double sum, squares; /* of weights inside, and of their squares */
    double all;          /* sum of all weights */
    size_t rows;
};

static void count_rows(const struct tw_weight_map *map, const struct tw_data *data, size_t first, size_t step,
                       struct count counts[TW_WEIGHT_MAP_LEAVES])
{
    double all = 0;
    for (int l = 0; l < map->count; l++)
        counts[l] = (struct count){0};
    for (size_t i = first; i < data->rows; i += step) {
        double w = data->weights[i];
        int l = 0;
        while (l + 1 < map->count && !inside(&map->leaves[l], data, i))
            l++;
        counts[l].sum += w;
        counts[l].squares += w * w;
        counts[l].rows++;
        all += w;
    }
    for (int l = 0; l < map->count; l++)
        counts[l].all = all;
}

/* Relative variance of a share p = sum / all of independent events: (1 - p) sum w^2 / (sum w)^2. */
static double relative_variance(const struct count *c)
{
    return c->sum > 0 ? fmax(1 - c->sum / c->all, 0) * c->squares / (c->sum * c->sum) : 0;
}

/* How many standard errors the ratio is off. */
static double surety(const struct tw_weight_map_leaf *leaf)
{
    return leaf->error > 0 ? fabs(leaf->ratio - 1) / leaf->error : 0;
}

static int surest_first(const void *a, const void *b)
{
    double x = surety(a), y = surety(b);
    return (x < y) - (x > y);
}

static void count_shares(struct tw_weight_map *map, const struct tw_data *samples, const struct tw_data *data)
{
    struct count of_data[TW_WEIGHT_MAP_LEAVES], of_samples[TW_WEIGHT_MAP_LEAVES];
    count_rows(map, data, 0, 1, of_data);
    count_rows(map, samples, 1, 2, of_samples);
    for (int l = 0; l < map->count; l++) {
        struct tw_weight_map_leaf *leaf = &map->leaves[l];
        leaf->rows = of_data[l].rows;
        leaf->data = of_data[l].all > 0 ? of_data[l].sum / of_data[l].all : 0;
        leaf->samples = of_samples[l].all > 0 ? of_samples[l].sum / of_samples[l].all : 0;
        leaf->ratio = leaf->samples > 0 ? leaf->data / leaf->samples : NAN;
        leaf->error = leaf->ratio * sqrt(relative_variance(&of_data[l]) + relative_variance(&of_samples[l]));
        if (leaf->data <= 0 && of_data[l].all > 0) /* no event seen: as if it had been one */
            leaf->error = 1 / ((double)data->rows * leaf->samples);
    }
    qsort(map->leaves, (size_t)map->count, sizeof *map->leaves, surest_first);
}

int tw_weight_map(const struct tw_data *samples, const double *log_weights, const struct tw_data *data,
                  struct tw_weight_map *out)
{
    int columns = samples->schema->features;
    size_t half = (samples->rows + 1) / 2, rows = half < ROWS_MOST ? half : ROWS_MOST;
    *out = (struct tw_weight_map){.count = 1};
    if (rows < 2 || data->rows == 0)
        return TW_OK;
    struct tree tree = {
        .columns = columns,
        .rows = rows,
        .column = tw_size_alloc((size_t)columns, sizeof *tree.column),
        .bin = tw_size_alloc(rows, (size_t)columns),
        .weight = tw_size_alloc(rows, sizeof *tree.weight),
        .leaf = tw_size_alloc(rows, sizeof *tree.leaf),
        .map = out,
    };
    struct side(*bins)[CUTS + 1] = tw_size_alloc((size_t)columns, sizeof *bins);
    int status = tree.column && tree.bin && tree.weight && tree.leaf && bins ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = prepare_columns(&tree, samples);
    if (status == TW_OK) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++)
            sum += tree.weight[i] = exp(log_weights[2 * i]);
        for (size_t i = 0; i < rows; i++)
            tree.weight[i] *= (double)rows / sum;
        grow(&tree, data->rows, bins);
        count_shares(out, samples, data);
    }
    free(bins);
    free(tree.column);
    free(tree.bin);
    free(tree.weight);
    free(tree.leaf);
    return status;
}

/* --- words --- */

static void put_range(const struct tw_weight_map_range *r, const struct tw_schema *schema, char *text, size_t size)
{
    const struct tw_column *column = &schema->columns[r->column];
    const char *space = column->unit[0] ? " " : "";
    bool low = r->low > TW_WEIGHT_MAP_ABSENT, high = r->high < INFINITY;
    if (r->high == TW_WEIGHT_MAP_ABSENT)
        snprintf(text, size, "%s absent", column->name);
    else if (low && high)
        snprintf(text, size, "%s %.6g to %.6g%s%s", column->name, r->low, r->high, space, column->unit);
    else if (low)
        snprintf(text, size, "%s above %.6g%s%s", column->name, r->low, space, column->unit);
    else if (high)
        snprintf(text, size, "%s below %.6g%s%s%s", column->name, r->high, space, column->unit,
                 r->absent && r->low < TW_WEIGHT_MAP_ABSENT ? " or absent" : "");
    else
        snprintf(text, size, "%s present", column->name);
}

void tw_weight_map_words(const struct tw_weight_map_leaf *leaf, const struct tw_schema *schema,
                         char words[TW_WEIGHT_MAP_WORDS])
{
    size_t used = 0;
    words[0] = 0;
    for (int r = 0; r < leaf->count && used + 1 < TW_WEIGHT_MAP_WORDS; r++) {
        if (r > 0)
            used += (size_t)snprintf(words + used, TW_WEIGHT_MAP_WORDS - used, " and ");
        if (used + 1 < TW_WEIGHT_MAP_WORDS)
            put_range(&leaf->ranges[r], schema, words + used, TW_WEIGHT_MAP_WORDS - used);
        used = strlen(words);
    }
    if (leaf->count == 0)
        snprintf(words, TW_WEIGHT_MAP_WORDS, "everywhere");
}
