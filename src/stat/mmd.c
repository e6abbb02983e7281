/* With frequencies w_r drawn from the transform of a Gaussian kernel, the 2R numbers phi(x) = (cos w_r x, sin w_r x) /
 * sqrt R have the kernel as their mean product (Rahimi, Recht 2007), and
 *
 *     MMD^2 = |mean_a phi - mean_b phi|^2                                       (Gretton et al. 2012; Zhao, Meng 2015)
 *
 * costs one pass over the rows. Given the frequencies, the difference of means is normal in the limit, so that under
 * the null hypothesis MMD^2 is a sum of chi-squares, each weighted by an eigenvalue of the covariance of the
 * difference. Its tail is computed rather than sampled: permutations cannot reach the small levels that one detector
 * among many is given.
 *
 * The weighted mean of phi has the covariance sum w^2 (phi - mu)(phi - mu)^T / (sum w)^2, whatever the weights' signs.
 * The bandwidth is the median distance between events of both samples, as is customary.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "nn/trig.h"
#include "stat/eigen.h"
#include "stat/embed.h"
#include "stat/gamma.h"
#include "stat/mmd.h"
#include "stat/weights.h"

#define MARGIN 1.05 /* the saddlepoint may be so much below the chance where many terms count, as they do here */

enum { FREQUENCIES = 64, WIDTH = 2 * FREQUENCIES, TASKS = 16, EFFECTIVE_MIN = 50 };

/* Sums over some rows of one sample: of w phi, w^2 phi, and w^2 phi phi^T. phi without its 1 / sqrt R. */
struct sums {
    double first[WIDTH], second[WIDTH], products[WIDTH * WIDTH];
};

struct job {
    const struct tw_data *data[2];
    double scale[2]; /* of the weights, so that their squares are 1 on average; 0: all weights are equal, and count 1 */
    const struct tw_embed *embed;
    const struct tw_kernels *kernels;
    const tw_real *frequencies; /* (FREQUENCIES, width) */
    tw_real *scratch;           /* for each worker */
    size_t scratch_size;
    struct sums *sums; /* (2, TASKS) */
};

/* Scratch of a worker: coordinates (width, TW_BLOCK), angles (FREQUENCIES, TW_BLOCK), phi (WIDTH, TW_BLOCK), products
 * (WIDTH, WIDTH). */
static size_t scratch_of(int width)
{
    return ((size_t)width + FREQUENCIES + WIDTH) * TW_BLOCK + WIDTH * WIDTH;
}

/* One block: w phi into `phi`, padded with zeros; its sums are added. */
static void add_block(const struct job *job, int sample, size_t first, size_t rows, tw_real *scratch, struct sums *sums,
                      tw_real *products)
{
    const struct tw_data *data = job->data[sample];
    size_t features = (size_t)data->schema->features;
    int width = job->embed->width;
    tw_real *x = scratch, *angles = x + (size_t)width * TW_BLOCK, *phi = angles + FREQUENCIES * TW_BLOCK;
    double weights[TW_BLOCK] = {0};
    for (size_t i = 0; i < TW_BLOCK; i++) {
        size_t row = first + (i < rows ? i : 0);
        tw_embed_row(job->embed, data->features + row * features, TW_BLOCK, x + i);
        double weight = job->scale[sample] > 0 ? data->weights[row] * job->scale[sample] : 1;
        weights[i] = i < rows ? weight : 0;
    }
    job->kernels->gemm(false, false, FREQUENCIES, TW_BLOCK, width, job->frequencies, width, x, TW_BLOCK, 0, angles,
                       TW_BLOCK);
    tw_trig_cos_sin(FREQUENCIES * TW_BLOCK, 1, angles, phi, phi + FREQUENCIES * TW_BLOCK);
    for (int r = 0; r < WIDTH; r++) {
        tw_real *row = phi + (size_t)r * TW_BLOCK;
        double sum = 0, squares = 0;
        for (int i = 0; i < TW_BLOCK; i++) {
            double once = weights[i] * (double)row[i];
            sum += once;
            squares += weights[i] * once;
            row[i] = (tw_real)once;
        }
        sums->first[r] += sum;
        sums->second[r] += squares;
    }
    job->kernels->gemm(false, true, WIDTH, WIDTH, TW_BLOCK, phi, TW_BLOCK, phi, TW_BLOCK, 1, products, WIDTH);
}

/* Task t: part t % TASKS of the blocks of sample t / TASKS, so that sums do not depend on who makes them. */
static void sum_task(void *context, size_t task, unsigned worker)
{
    const struct job *job = context;
    int sample = (int)(task / TASKS);
    size_t part = task % TASKS, rows = job->data[sample]->rows, blocks = (rows + TW_BLOCK - 1) / TW_BLOCK;
    tw_real *scratch = job->scratch + worker * job->scratch_size;
    tw_real *products = scratch + job->scratch_size - WIDTH * WIDTH;
    struct sums *sums = &job->sums[task];
    for (int k = 0; k < WIDTH * WIDTH; k++)
        products[k] = 0;
    for (size_t block = blocks * part / TASKS; block < blocks * (part + 1) / TASKS; block++) {
        size_t first = block * TW_BLOCK, left = rows - first;
        add_block(job, sample, first, left < TW_BLOCK ? left : TW_BLOCK, scratch, sums, products);
    }
    for (int k = 0; k < WIDTH * WIDTH; k++)
        sums->products[k] = (double)products[k];
}

static void gather(struct sums *parts)
{
    for (int task = 1; task < TASKS; task++) {
        for (int r = 0; r < WIDTH; r++) {
            parts[0].first[r] += parts[task].first[r];
            parts[0].second[r] += parts[task].second[r];
        }
        for (int k = 0; k < WIDTH * WIDTH; k++)
            parts[0].products[k] += parts[task].products[k];
    }
}

/* Adds factor * sum w^2 (phi - mu)(phi - mu)^T. */
static void add_covariance(const struct sums *s, const double *mu, double squares, double factor, double *out)
{
    for (int r = 0; r < WIDTH; r++)
        for (int q = 0; q < WIDTH; q++)
            out[r * WIDTH + q] += factor * (s->products[r * WIDTH + q] - s->second[r] * mu[q] - mu[r] * s->second[q] +
                                            squares * mu[r] * mu[q]);
}

/* From the sums of both samples to value, floor and p. `w` are the sums of the scaled weights. */
static int decide(const struct sums *a, const struct sums *b, const struct tw_weights w[2], struct tw_mmd *out)
{
    double *covariance = tw_size_alloc(WIDTH * WIDTH, sizeof *covariance), mu[WIDTH], lambda[WIDTH];
    if (!covariance)
        return TW_NO_MEMORY;
    double share = w[0].effective / (w[0].effective + w[1].effective);
    out->value = 0;
    for (int r = 0; r < WIDTH; r++) {
        double mean_a = a->first[r] / w[0].sum, mean_b = b->first[r] / w[1].sum;
        out->value += (mean_a - mean_b) * (mean_a - mean_b) / FREQUENCIES;
        mu[r] = share * mean_a + (1 - share) * mean_b;
    }
    /* Where no row weighs more than another, the rows of both samples are alike under the null hypothesis, and the
     * covariance of a row is known from all of them. */
    bool alike = w[0].equal && w[1].equal;
    double rows = w[0].squares + w[1].squares, pooled = (1 / w[0].squares + 1 / w[1].squares) / rows;
    double factor_a = alike ? pooled : 1 / (w[0].sum * w[0].sum);
    double factor_b = alike ? pooled : 1 / (w[1].sum * w[1].sum);
    add_covariance(a, mu, w[0].squares, factor_a / FREQUENCIES, covariance);
    add_covariance(b, mu, w[1].squares, factor_b / FREQUENCIES, covariance);
    out->floor = 0;
    for (int r = 0; r < WIDTH; r++)
        out->floor += covariance[r * WIDTH + r];
    int status = tw_eigen_values(covariance, WIDTH, 1e-6, lambda);
    for (int r = 0; r < WIDTH; r++)
        lambda[r] = fmax(0, lambda[r]);
    if (status == TW_OK)
        out->p_value = fmin(1, fmax(MARGIN * tw_gamma_mixture_survival(lambda, WIDTH, out->value), DBL_MIN));
    free(covariance);
    return status;
}

/* The sums of weights with root mean square 1. */
static struct tw_weights scaled(const struct tw_weights *w, size_t rows, double *scale)
{
    struct tw_weights out = *w;
    *scale = w->equal ? 0 : sqrt((double)rows / w->squares);
    out.sum = w->equal ? (double)rows : w->sum * *scale;
    out.squares = (double)rows;
    return out;
}

static int run(const struct tw_data *a, const struct tw_data *b, const struct tw_embed *embed,
               const struct tw_weights weights[2], uint64_t seed, const struct tw_kernels *kernels,
               struct tw_pool *pool, struct tw_mmd *out)
{
    struct job job = {.data = {a, b}, .embed = embed, .kernels = kernels, .scratch_size = scratch_of(embed->width)};
    struct tw_weights w[2] = {scaled(&weights[0], a->rows, &job.scale[0]), scaled(&weights[1], b->rows, &job.scale[1])};
    size_t drawn = (size_t)embed->width * FREQUENCIES;
    tw_real *frequencies = tw_size_alloc(drawn, sizeof *frequencies);
    job.scratch = tw_size_alloc(tw_pool_workers(pool), job.scratch_size * sizeof *job.scratch);
    job.sums = tw_size_alloc(2 * TASKS, sizeof *job.sums);
    int status = frequencies && job.scratch && job.sums ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_embed_median(embed, a, b, tw_rng_mix(seed, 1), &out->bandwidth);
    if (status == TW_OK) {
        tw_rng_normal(tw_rng_mix(seed, 0), 0, 0, drawn, frequencies);
        for (size_t k = 0; k < drawn; k++)
            frequencies[k] /= (tw_real)out->bandwidth;
        job.frequencies = frequencies;
        tw_pool_run(pool, 2 * TASKS, sum_task, &job);
        gather(job.sums);
        gather(job.sums + TASKS);
        status = decide(&job.sums[0], &job.sums[TASKS], w, out);
    }
    free(frequencies);
    free(job.scratch);
    free(job.sums);
    return status;
}

int tw_mmd(const struct tw_data *a, const struct tw_data *b, uint64_t seed, const struct tw_kernels *kernels,
           struct tw_pool *pool, struct tw_mmd *out, struct tw_error *error)
{
    *out = (struct tw_mmd){.value = NAN, .floor = NAN, .p_value = 1};
    struct tw_weights weights[2] = {tw_weights_of(a->weights, a->rows), tw_weights_of(b->weights, b->rows)};
    int status = tw_weights_need_sums(&weights[0], &weights[1], EFFECTIVE_MIN, error);
    struct tw_embed embed;
    if (status == TW_OK)
        status = tw_embed_init(&embed, a, b);
    if (status)
        return status;
    status = run(a, b, &embed, weights, seed, kernels, pool, out);
    tw_embed_fini(&embed);
    return status;
}
