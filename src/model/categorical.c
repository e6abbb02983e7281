#include "model/categorical.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "nn/map.h"
#include "nn/softmax.h"

#define HALF   0.5                    /* of an event: what a class is given beside its count */
#define HIDDEN 32                     /* units of the network */
#define DRAW   UINT64_C(0x636c617373) /* "class": a stream of its own under the sample's key */
#define SLACK  1e-3                   /* of the sum of shares in float32 */

void tw_categorical_init(struct tw_categorical *law, const struct tw_classes *classes, int conditions,
                         enum tw_activation activation)
{
    *law = (struct tw_categorical){.classes = classes, .conditional = conditions > 0};
    law->slots = classes->combinations < TW_CATEGORICAL_SLOTS ? (int)classes->combinations : TW_CATEGORICAL_SLOTS;
    law->net = (struct tw_mlp){
        .in = conditions, .out = law->slots, .hidden_count = 1, .hidden = {HIDDEN}, .activation = activation};
}

int tw_categorical_layout(struct tw_categorical *law, struct tw_params *statistics, struct tw_params *parameters)
{
    law->levels = tw_params_add(statistics, "class_levels", law->slots, law->classes->count);
    law->shares = tw_params_add_vector(statistics, "class_shares", law->slots + 1);
    if (law->levels < 0 || law->shares < 0)
        return TW_NO_MEMORY;
    return law->conditional ? tw_mlp_layout(&law->net, "classes", parameters) : TW_OK;
}

void tw_categorical_start(const struct tw_categorical *law, struct tw_params *parameters, uint64_t key)
{
    if (law->conditional)
        tw_mlp_init(&law->net, parameters, 0, key);
}

/* --- the table --- */

static const tw_real *levels_at(const struct tw_categorical *law, const struct tw_params *statistics, int slot)
{
    return tw_params_at(statistics, law->levels) + (size_t)slot * (size_t)law->classes->count;
}

static double share_at(const struct tw_categorical *law, const struct tw_params *statistics, int slot)
{
    return (double)tw_params_at(statistics, law->shares)[slot];
}

int tw_categorical_used(const struct tw_categorical *law, const struct tw_params *statistics)
{
    int count = 0;

    while (count < law->slots && share_at(law, statistics, count) > 0)
        count++;
    return count;
}

/* Slot of the class whose levels are levels[0], levels[stride], ...; -1 if there is none. */
static int find(const struct tw_categorical *law, const struct tw_params *statistics, int count, const tw_real *levels,
                int stride)
{
    for (int slot = 0; slot < count; slot++) {
        const tw_real *at = levels_at(law, statistics, slot);
        int j = 0;

        while (j < law->classes->count && at[j] == levels[j * stride])
            j++;
        if (j == law->classes->count)
            return slot;
    }
    return -1;
}

void tw_categorical_find(const struct tw_categorical *law, const struct tw_params *statistics, int cols,
                         const tw_real *levels, tw_real *out)
{
    int count = tw_categorical_used(law, statistics);

    for (int c = 0; c < cols; c++)
        out[c] = (tw_real)find(law, statistics, count, levels + c, cols);
}

bool tw_categorical_ok(const struct tw_categorical *law, const struct tw_params *statistics)
{
    const struct tw_classes *classes = law->classes;
    int count = tw_categorical_used(law, statistics);
    double sum = 0;

    for (int slot = 0; slot <= law->slots; slot++) {
        double share = share_at(law, statistics, slot);

        if (!(share >= 0) || (slot >= count && slot < law->slots && share != 0))
            return false;
        sum += share;
    }
    for (int slot = 0; slot < law->slots; slot++) {
        const tw_real *levels = levels_at(law, statistics, slot);

        for (int j = 0; j < classes->count; j++) {
            double level = (double)levels[j];

            if (!(level >= 0 && level < classes->factors[j].levels) || level != rint(level) ||
                (slot >= count && level != 0))
                return false;
        }
        if (slot < count && find(law, statistics, count, levels, 1) != slot) /* there twice */
            return false;
    }
    return count > 0 && fabs(sum - 1) < SLACK;
}

/* --- counting --- */

/* A class of the rows, or a class of the table that no row has. */
struct tally {
    const unsigned char *levels; /* (J) */
    double weight;
    int slot; /* where the table has it; the last: nowhere yet */
};

struct counted {
    unsigned char *levels; /* (rows, J) */
    uint32_t *order;       /* (rows) */
    struct tally *tallies; /* (rows) */
    size_t count;
    double weight, squares; /* sums over the rows */
};

static void counted_fini(struct counted *counted)
{
    free(counted->levels);
    free(counted->order);
    free(counted->tallies);
}

struct by_levels {
    const unsigned char *levels;
    size_t width;
};

static int compare_levels(const void *a, const void *b, void *context)
{
    const struct by_levels *by = context;
    size_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = memcmp(by->levels + x * by->width, by->levels + y * by->width, by->width);

    return order ? order : (x > y) - (x < y);
}

/* Those of the table by slot, then the heaviest first; qsort_r is not stable, hence the levels. */
static int compare_tallies(const void *a, const void *b, void *context)
{
    const struct tally *x = a, *y = b;

    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return memcmp(x->levels, y->levels, ((const struct by_levels *)context)->width);
}

/* Rows with equal levels side by side, each run a tally. */
static void tally_rows(const struct tw_data *data, struct counted *counted, struct by_levels *by)
{
    for (size_t i = 0; i < data->rows; i++)
        counted->order[i] = (uint32_t)i;
    qsort_r(counted->order, data->rows, sizeof *counted->order, compare_levels, by);
    for (size_t i = 0; i < data->rows; i++) {
        const unsigned char *levels = counted->levels + (size_t)counted->order[i] * by->width;
        double weight = fmax(0, (double)data->weights[counted->order[i]]);

        if (i == 0 || memcmp(levels, counted->tallies[counted->count - 1].levels, by->width))
            counted->tallies[counted->count++] = (struct tally){.levels = levels};
        counted->tallies[counted->count - 1].weight += weight;
        counted->weight += weight;
        counted->squares += weight * weight;
    }
}

static int count_rows(const struct tw_categorical *law, const struct tw_data *data, struct counted *counted)
{
    size_t width = (size_t)law->classes->count, rows = data->rows;

    *counted = (struct counted){.levels = tw_size_alloc(rows ? rows : 1, width),
                                .order = tw_size_alloc(rows ? rows : 1, sizeof *counted->order),
                                .tallies = tw_size_alloc(rows ? rows : 1, sizeof *counted->tallies)};
    if (!counted->levels || !counted->order || !counted->tallies || rows > UINT32_MAX) {
        counted_fini(counted);
        return TW_NO_MEMORY;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++) {
            int feature = law->classes->factors[j].feature;
            float value = data->features[i * (size_t)data->schema->features + (size_t)feature];

            counted->levels[i * width + j] = (unsigned char)tw_classes_level(law->classes, data->schema, (int)j, value);
        }
    tally_rows(data, counted, &(struct by_levels){counted->levels, width});
    return TW_OK;
}

/* Gives each tally its slot: the one that it has, or the next that is free; weights (slots + 1) get the sums, the last
 * one that of tallies for which there is no room. Returns the number of slots in use. */
static int assign_slots(const struct tw_categorical *law, struct counted *counted, struct tw_params *statistics,
                        double *weights)
{
    size_t width = (size_t)law->classes->count;
    int count = tw_categorical_used(law, statistics), next = count;
    struct by_levels by = {counted->levels, width};
    tw_real levels[TW_COLUMNS_MAX];

    memset(weights, 0, (size_t)(law->slots + 1) * sizeof *weights);
    for (size_t t = 0; t < counted->count; t++) {
        for (size_t j = 0; j < width; j++)
            levels[j] = (tw_real)counted->tallies[t].levels[j];

        int slot = find(law, statistics, count, levels, 1);

        counted->tallies[t].slot = slot < 0 ? law->slots : slot;
    }
    qsort_r(counted->tallies, counted->count, sizeof *counted->tallies, compare_tallies, &by);
    for (size_t t = 0; t < counted->count; t++) {
        const struct tally *tally = &counted->tallies[t];
        int slot = tally->slot < law->slots ? tally->slot : next < law->slots ? next++ : law->slots;

        weights[slot] += tally->weight;
        if (slot < law->slots)
            for (size_t j = 0; j < width; j++)
                tw_params_at(statistics, law->levels)[(size_t)slot * width + j] = (tw_real)tally->levels[j];
    }
    return next;
}

/* Smoothed shares of `count` classes and of what is beyond the table, from sums of weights. Counts are in units of the
 * effective number of rows, (sum w)^2 / sum w^2. */
static void share_out(const struct tw_categorical *law, const struct counted *counted, int count, double *weights)
{
    double rows = counted->squares > 0 ? counted->weight * counted->weight / counted->squares : 0;
    double each = counted->weight > 0 ? rows / counted->weight : 0, sum = 0;
    bool others = law->classes->combinations > count;

    for (int slot = 0; slot <= law->slots; slot++) {
        bool exists = slot < count || (slot == law->slots && others);

        weights[slot] = exists ? each * weights[slot] + HALF : 0;
        sum += weights[slot];
    }
    for (int slot = 0; slot <= law->slots; slot++)
        weights[slot] /= sum;
}

/* The first `kept` classes get the proportions of the old shares. */
static void keep_proportions(const struct tw_categorical *law, const struct tw_params *statistics, int kept,
                             double *shares)
{
    double before = 0, now = 0;

    for (int slot = 0; slot < kept; slot++) {
        before += share_at(law, statistics, slot);
        now += shares[slot];
    }
    for (int slot = 0; slot < kept; slot++)
        shares[slot] = share_at(law, statistics, slot) * now / before;
}

static int fill(const struct tw_categorical *law, const struct tw_data *data, struct tw_params *statistics)
{
    struct counted counted;
    double shares[TW_CATEGORICAL_SLOTS + 1];
    int status = count_rows(law, data, &counted), kept = tw_categorical_used(law, statistics);

    if (status)
        return status;

    int count = assign_slots(law, &counted, statistics, shares);

    share_out(law, &counted, count, shares);
    if (law->conditional)
        keep_proportions(law, statistics, kept, shares);
    for (int slot = 0; slot <= law->slots; slot++)
        tw_params_at(statistics, law->shares)[slot] = (tw_real)(float)shares[slot];
    counted_fini(&counted);
    return TW_OK;
}

int tw_categorical_prepare(const struct tw_categorical *law, const struct tw_data *data, struct tw_params *statistics)
{
    return fill(law, data, statistics); /* they are zero: no class is known */
}

int tw_categorical_adapt(const struct tw_categorical *law, const struct tw_data *data, struct tw_params *statistics)
{
    return data->rows ? fill(law, data, statistics) : TW_OK;
}

/* --- probabilities --- */

/* log p of a class that is not in the table: an even part of their common share. */
static double log_prob_other(const struct tw_categorical *law, const struct tw_params *statistics)
{
    double combinations = law->classes->combinations, rest = combinations - tw_categorical_used(law, statistics);
    double log_rest = isfinite(rest) ? log(rest) : law->classes->log_combinations;
    double share = share_at(law, statistics, law->slots);

    return share > 0 && rest > 0 ? log(share) - log_rest : -INFINITY;
}

/* log share of each slot, -inf where there is no class; returns the log of their sum. */
static double priors(const struct tw_categorical *law, const struct tw_params *statistics, double *prior)
{
    double sum = 0;

    for (int slot = 0; slot < law->slots; slot++) {
        sum += share_at(law, statistics, slot);
        prior[slot] = log(share_at(law, statistics, slot));
    }
    return log(sum);
}

/* log p of all classes of the table together. */
static double log_prob_table(const struct tw_categorical *law, const struct tw_params *statistics)
{
    return log1p(-share_at(law, statistics, law->slots));
}

/* Logits beside the priors: (slots, cols); zero without conditions. NULL when memory is out. */
static const tw_real *logits_of(const struct tw_categorical *law, const struct tw_params *parameters,
                                const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                                const tw_real *conditions)
{
    size_t n = (size_t)cols, width = (size_t)tw_mlp_width(&law->net);
    tw_real *logits = tw_arena_alloc(arena, ((size_t)law->slots + 2 * width) * n * sizeof *logits);

    if (!logits)
        return NULL;
    if (law->conditional)
        tw_mlp_plain(&law->net, parameters, kernels, cols, conditions, logits + (size_t)law->slots * n, logits);
    else
        memset(logits, 0, (size_t)law->slots * n * sizeof *logits);
    return logits;
}

struct tw_var *tw_categorical_loss(const struct tw_categorical *law, const struct tw_params *statistics,
                                   struct tw_tape *tape, const tw_real *slots, struct tw_var *conditions)
{
    double *prior = tw_tape_alloc(tape, (size_t)law->slots * sizeof *prior);
    tw_real *constant = tw_tape_rows(tape, 1);

    if (!prior || !constant)
        return NULL;

    double sum = priors(law, statistics, prior), other = log_prob_other(law, statistics);
    double table = log_prob_table(law, statistics);

    for (int c = 0; c < tape->cols; c++) {
        double known = law->conditional || slots[c] < 0 ? table : table + prior[(int)slots[c]] - sum;

        constant[c] = (tw_real) - (slots[c] < 0 ? other : known);
    }

    struct tw_var *rest = tw_tape_constant(tape, 1, constant);

    if (!law->conditional)
        return rest;
    return tw_map_add(tape, tw_softmax_cross_entropy(tape, tw_mlp_tape(&law->net, tape, conditions), prior, slots),
                      rest);
}

int tw_categorical_log_prob(const struct tw_categorical *law, const struct tw_params *statistics,
                            const struct tw_params *parameters, const struct tw_kernels *kernels,
                            struct tw_arena *arena, int cols, const tw_real *slots, const tw_real *conditions,
                            double *out)
{
    double prior[TW_CATEGORICAL_SLOTS], table = log_prob_table(law, statistics);
    double other = log_prob_other(law, statistics);
    const tw_real *logits = logits_of(law, parameters, kernels, arena, cols, conditions);

    if (!logits)
        return TW_NO_MEMORY;
    priors(law, statistics, prior);
    for (int c = 0; c < cols; c++) {
        int slot = (int)slots[c];

        out[c] += slot < 0 ? other
                           : table + (double)logits[slot * cols + c] + prior[slot] -
                                 tw_softmax_log_sum(law->slots, cols, c, logits, prior);
    }
    return TW_OK;
}

/* The slot where the running sum of p passes u. */
static int pick(const struct tw_categorical *law, int cols, int c, const tw_real *logits, const double *prior, double u)
{
    double sum = tw_softmax_log_sum(law->slots, cols, c, logits, prior);
    int last = 0;

    for (int slot = 0; slot < law->slots; slot++) {
        double p = exp((double)logits[slot * cols + c] + prior[slot] - sum);

        if (!(p > 0))
            continue;
        last = slot;
        if ((u -= p) < 0)
            break;
    }
    return last;
}

int tw_categorical_draw(const struct tw_categorical *law, const struct tw_params *statistics,
                        const struct tw_params *parameters, const struct tw_kernels *kernels, struct tw_arena *arena,
                        uint64_t key, const uint64_t *events, int cols, const tw_real *conditions, tw_real *levels)
{
    double prior[TW_CATEGORICAL_SLOTS];
    const tw_real *logits = logits_of(law, parameters, kernels, arena, cols, conditions);

    if (!logits)
        return TW_NO_MEMORY;
    priors(law, statistics, prior);
    for (int c = 0; c < cols; c++) {
        double u = tw_rng_uniform(tw_rng_mix(key, DRAW), 0, events[c]);
        const tw_real *from = levels_at(law, statistics, pick(law, cols, c, logits, prior, u));

        for (int j = 0; j < law->classes->count; j++)
            levels[j * cols + c] = from[j];
    }
    return TW_OK;
}
