/* The classifier two-sample test. What makes its p-value honest is the split: given the classifier, the held-out scores
 * of both samples are independent draws of one law if the samples are, whatever was learnt. Everything else here
 * (architecture, schedule, class weights) is power, not validity.
 *
 * Event weights count in the training and in U, as they do in the twin's own training: what is compared is the weighted
 * distribution, which is what the twin has to describe. Where the weights of a sample are all equal they change
 * nothing, to the last bit. Weights below zero are refused: ranks need distribution functions that rise.
 */
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/kind.h"
#include "model/trainer.h"
#include "stat/c2st.h"
#include "stat/split.h"
#include "stat/weights.h"

#define SIDE_MIN                                                                                                       \
    40 /* effective events: 20 held out, from where on the normal law of U holds to some per cent at 1e-3 */

/* --- the U statistic --- */

struct scored {
    double score;
    int label;
};

static int by_score(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x > y) - (x < y);
}

/* Sums over the sorted scores. Each row has a placement: the share of the other sample that it is on the right side
 * of, ties for one half. Their mean is the AUC (either sample's), their variances give its error (DeLong, DeLong,
 * Clarke-Pearson 1988, eqs. 3-5). */
struct placements {
    double sum, squares_a, squares_b; /* of a's placements; squares of both */
    double ties;                      /* sum of t^3 - t over groups of t equal scores */
};

static struct placements place(const struct scored *rows, size_t n, size_t m)
{
    struct placements p = {0};
    double below_a = 0, below_b = 0;
    for (size_t i = 0; i < n + m;) {
        double equal_a = 0, equal_b = 0;
        size_t j = i;
        for (; j < n + m && rows[j].score == rows[i].score; j++) {
            equal_a += rows[j].label == 0;
            equal_b += rows[j].label == 1;
        }
        double a = ((double)m - below_b - equal_b / 2) / (double)m, b = (below_a + equal_a / 2) / (double)n;
        double t = equal_a + equal_b;
        p.sum += equal_a * a;
        p.squares_a += equal_a * a * a;
        p.squares_b += equal_b * b * b;
        p.ties += t * (t - 1) * (t + 1);
        below_a += equal_a;
        below_b += equal_b;
        i = j;
    }
    return p;
}

static double variance_of_mean(double squares, double mean, size_t n)
{
    return n > 1 ? fmax(0, squares - (double)n * mean * mean) / (double)(n - 1) / (double)n : NAN;
}

/* A score that is not a number tells nothing about its row: it ranks lowest, in both samples alike. */
static void label_scores(const double *scores, size_t n, int label, struct scored *rows)
{
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct scored){.score = isnan(scores[i]) ? -INFINITY : scores[i], .label = label};
}

/* What stands where a sample is empty. */
static void say_nothing(size_t n, size_t m, struct tw_c2st *out)
{
    out->auc = out->error = NAN;
    out->p_value = 1;
    out->tested_a = n;
    out->tested_b = m;
}

int tw_c2st_u(const double *a, size_t n, const double *b, size_t m, struct tw_c2st *out)
{
    say_nothing(n, m, out);
    size_t count;
    if (n == 0 || m == 0)
        return TW_OK;
    struct scored *rows = tw_size_add(n, m, &count) ? tw_size_alloc(count, sizeof *rows) : NULL;
    if (!rows)
        return TW_NO_MEMORY;
    label_scores(a, n, 0, rows);
    label_scores(b, m, 1, rows + n);
    qsort(rows, count, sizeof *rows, by_score);
    struct placements p = place(rows, n, m);
    free(rows);

    double dn = (double)n, dm = (double)m, total = dn + dm;
    out->auc = p.sum / dn;
    out->error = sqrt(variance_of_mean(p.squares_a, out->auc, n) + variance_of_mean(p.squares_b, out->auc, m));
    double variance = dn * dm / 12 * (total + 1 - p.ties / (total * (total - 1)));
    if (variance > 0) {
        double z = (p.sum * dm - dn * dm / 2 - 0.5) / sqrt(variance); /* 1/2: U moves in steps */
        out->p_value = fmax(0.5 * erfc(z * M_SQRT1_2), DBL_MIN);      /* not zero, whatever underflows */
    }
    return TW_OK;
}

/* --- the same with weights --- */

struct heavy {
    double score, weight;
    int label;
};

static int by_heavy_score(const void *a, const void *b)
{
    double x = ((const struct heavy *)a)->score, y = ((const struct heavy *)b)->score;
    return (x > y) - (x < y);
}

static void label_heavy(const double *scores, const double *weights, size_t n, int label, struct heavy *rows)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += weights[i];
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct heavy){isnan(scores[i]) ? -INFINITY : scores[i], weights[i] / sum, label};
}

/* With the weights of each sample adding up to 1: AUC = sum_a w V(s), where V is the placement. Its error has w^2 in
 * the place of 1/n^2. Under the null hypothesis V is 1 - H of one distribution function H of the scores of both
 * samples, so that AUC - 1/2 has the variance sum w^2 (H - 1/2)^2 over both. Weights that depend on the score make it
 * skewed, and the variance that is estimated moves with it: Hall's transformation (1992, J. R. Stat. Soc. B 54, 221) of
 * z = (AUC - 1/2) / sqrt(variance) with the skewness k, z + k/6 + k z^2/3 + k^2 z^3/27, which rises with z, takes out
 * both to first order for sums of numbers. Ranks take out part of the second by themselves: z is only ever lowered.
 * share_a: a's part of H. */
static void weigh(const struct heavy *rows, size_t count, double share_a, struct tw_c2st *out)
{
    double below_a = 0, below_b = 0, auc = 0, null = 0, third = 0, first[2] = {0}, second[2] = {0}, squares[2] = {0};
    for (size_t i = 0; i < count;) {
        double equal[2] = {0}, square[2] = {0}, cube = 0; /* a's with the sign that its rows have in AUC */
        size_t j = i;
        for (; j < count && rows[j].score == rows[i].score; j++) {
            equal[rows[j].label] += rows[j].weight;
            square[rows[j].label] += rows[j].weight * rows[j].weight;
            cube += (rows[j].label ? 1 : -1) * pow(rows[j].weight, 3);
        }
        double placed[2] = {1 - below_b - equal[1] / 2, below_a + equal[0] / 2};
        double h = share_a * placed[1] + (1 - share_a) * (1 - placed[0]) - 0.5;
        auc += equal[0] * placed[0];
        null += (square[0] + square[1]) * h * h;
        third += cube * h * h * h;
        for (int k = 0; k < 2; k++) {
            first[k] += square[k] * placed[k];
            second[k] += square[k] * placed[k] * placed[k];
            squares[k] += square[k];
        }
        below_a += equal[0];
        below_b += equal[1];
        i = j;
    }
    double variance = 0;
    for (int k = 0; k < 2; k++)
        variance += second[k] - 2 * auc * first[k] + auc * auc * squares[k];
    out->auc = auc;
    out->error = sqrt(fmax(0, variance));
    if (null > 0) {
        double z = (auc - 0.5) / sqrt(null), k = third / (null * sqrt(null));
        double hall = z + k / 6 + k * z * z / 3 + k * k * z * z * z / 27;
        out->p_value = fmax(0.5 * erfc(fmin(z, hall) * M_SQRT1_2), DBL_MIN);
    }
}

int tw_c2st_u_weighted(const double *a, const double *weights_a, size_t n, const double *b, const double *weights_b,
                       size_t m, struct tw_c2st *out)
{
    say_nothing(n, m, out);
    size_t count;
    if (n == 0 || m == 0)
        return TW_OK;
    struct heavy *rows = tw_size_add(n, m, &count) ? tw_size_alloc(count, sizeof *rows) : NULL;
    if (!rows)
        return TW_NO_MEMORY;
    label_heavy(a, weights_a, n, 0, rows);
    label_heavy(b, weights_b, m, 1, rows + n);
    double squares[2] = {0};
    for (size_t i = 0; i < count; i++)
        squares[rows[i].label] += rows[i].weight * rows[i].weight;
    qsort(rows, count, sizeof *rows, by_heavy_score);
    weigh(rows, count, squares[1] / (squares[0] + squares[1]), out); /* by effective events: 1 / squares */
    free(rows);
    return TW_OK;
}

/* --- the split and the training --- */

/* Appends the first half of a sample for training. Both samples get the same total weight, whatever their sizes, shared
 * out by the events' own weights. The
 * trainer takes its stopping rows by the hash of their keys; ours are in random order already, so each row gets the
 * next key that is not set aside for a gate, and none is lost. */
static int append_training_half(const struct tw_split *split, int label, double total, uint64_t *next,
                                struct tw_data *to)
{
    size_t first = to->rows;
    int status = tw_split_append(split, 0, label, to);
    struct tw_weights weights = tw_weights_of(to->weights + first, to->rows - first);
    for (size_t i = first; i < to->rows; i++) {
        while (tw_data_part(tw_data_key(0, *next)) == TW_PART_GATE)
            ++*next;
        to->keys[i] = tw_data_key(0, (*next)++);
        double even = total / (2 * (double)split->count[0]);
        to->weights[i] = (float)(weights.equal ? even : even * to->weights[i] * (double)split->count[0] / weights.sum);
    }
    return status;
}

static int train(const struct tw_data *data, uint64_t seed, const struct tw_kernels *kernels, struct tw_pool *pool,
                 struct tw_model **out, struct tw_error *error)
{
    const struct tw_kind *kind = tw_kind_find("classifier");
    json_t *config = json_pack("{s:s}", "kind", "classifier");
    struct tw_trainer *trainer = NULL;
    struct tw_train_options options;
    int status = config && kind ? TW_OK : TW_NO_MEMORY;
    if (status)
        goto done;
    tw_trainer_defaults(&options, kind, data->rows, false);
    options.seed = seed;
    status = tw_trainer_new(kind, config, data->schema, data, NULL, &options, kernels, &trainer, error);
    bool finished = false;
    while (status == TW_OK && !finished)
        status = tw_trainer_run(trainer, pool, 0, &finished);
    if (status == TW_NOT_FINITE)
        tw_error_set(error, status, "the classifier's training did not stay finite");
    if (status == TW_OK)
        status = tw_trainer_model(trainer, out);
done:
    tw_trainer_free(trainer);
    json_decref(config);
    return status;
}

static int train_on_halves(const struct tw_split *a, const struct tw_split *b, uint64_t seed,
                           const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_model **out,
                           struct tw_error *error)
{
    struct tw_data data;
    tw_data_init(&data, a->data->schema);
    double total = (double)(a->count[0] + b->count[0]);
    uint64_t next = 0;
    int status = append_training_half(a, 0, total, &next, &data);
    if (status == TW_OK)
        status = append_training_half(b, 1, total, &next, &data);
    if (status == TW_OK)
        status = train(&data, seed, kernels, pool, out, error);
    tw_data_fini(&data);
    return status;
}

/* Scores of the held-out half; *scores is to be freed. */
static int score_held_out(const struct tw_split *split, const struct tw_model *model, const struct tw_kernels *kernels,
                          struct tw_pool *pool, double **scores)
{
    struct tw_data rows;
    tw_data_init(&rows, split->data->schema);
    *scores = tw_size_alloc(split->count[1], sizeof **scores);
    int status = *scores ? tw_split_append(split, 1, -1, &rows) : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_model_score(model, kernels, pool, rows.rows, rows.features, rows.conditions, *scores);
    tw_data_fini(&rows);
    return status;
}

/* The weights of the held-out half, in the order of its scores. */
static double *held_out_weights(const struct tw_split *split)
{
    double *weights = tw_size_alloc(split->count[1], sizeof *weights);
    for (size_t i = 0; weights && i < split->count[1]; i++)
        weights[i] = split->data->weights[split->order[split->count[0] + i]];
    return weights;
}

static int test(const struct tw_split *a, const double *scores_a, const struct tw_split *b, const double *scores_b,
                struct tw_c2st *out)
{
    if (tw_weights_of(a->data->weights, a->data->rows).equal && tw_weights_of(b->data->weights, b->data->rows).equal)
        return tw_c2st_u(scores_a, a->count[1], scores_b, b->count[1], out);
    double *weights_a = held_out_weights(a), *weights_b = held_out_weights(b);
    int status = TW_NO_MEMORY;
    if (weights_a && weights_b)
        status = tw_c2st_u_weighted(scores_a, weights_a, a->count[1], scores_b, weights_b, b->count[1], out);
    free(weights_a);
    free(weights_b);
    return status;
}

static int compare(const struct tw_split *a, const struct tw_split *b, uint64_t seed, const struct tw_kernels *kernels,
                   struct tw_pool *pool, struct tw_c2st *out, struct tw_error *error)
{
    double *scores_a = NULL, *scores_b = NULL;
    int status = train_on_halves(a, b, seed, kernels, pool, &out->classifier, error);
    if (status == TW_OK)
        status = score_held_out(a, out->classifier, kernels, pool, &scores_a);
    if (status == TW_OK)
        status = score_held_out(b, out->classifier, kernels, pool, &scores_b);
    if (status == TW_OK)
        status = test(a, scores_a, b, scores_b, out);
    free(scores_a);
    free(scores_b);
    return status;
}

int tw_c2st(const struct tw_data *a, const struct tw_data *b, uint64_t seed, const struct tw_kernels *kernels,
            struct tw_pool *pool, struct tw_c2st *out, struct tw_error *error)
{
    *out = (struct tw_c2st){.auc = NAN, .error = NAN, .p_value = 1};
    if (a->rows < SIDE_MIN || b->rows < SIDE_MIN)
        return tw_error_set(error, TW_INVALID, "a classifier test needs %d valid rows on each side, not %zu and %zu",
                            SIDE_MIN, a->rows, b->rows);
    struct tw_weights weights_a = tw_weights_of(a->weights, a->rows), weights_b = tw_weights_of(b->weights, b->rows);
    struct tw_split first = {0}, second = {0};
    int status = tw_weights_need_rising(&weights_a, &weights_b, SIDE_MIN, error);
    if (status == TW_OK)
        status = tw_split_init(&first, a, tw_rng_mix(seed, 0));
    if (status == TW_OK)
        status = tw_split_init(&second, b, tw_rng_mix(seed, 1));
    if (status == TW_OK)
        status = compare(&first, &second, tw_rng_mix(seed, 2), kernels, pool, out, error);
    tw_split_fini(&first);
    tw_split_fini(&second);
    if (status)
        tw_c2st_fini(out);
    return status;
}

void tw_c2st_fini(struct tw_c2st *result)
{
    if (!result)
        return;
    tw_model_unref(result->classifier);
    result->classifier = NULL;
}
