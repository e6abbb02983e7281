/* Weights on top of a model: what turns its samples into events like the data.
 *
 * A network that tells data (label 1) from samples (label 0), at equal shares of both, has the log-likelihood ratio as
 * its logit, so that D/(1-D) = exp(logit) is the weight of a sample (Cranmer, Pavez, Louppe 2015, arXiv:1506.02169).
 * The weight is made of several such networks,
 *
 *     log w(x) = min(scale mean_k logit_k(x), log_cap) - log_mean,
 *
 * with a scale that calibrates them, a cap that bounds w, so that events can be drawn, and the log of the mean of the
 * capped weight over the model's samples, so that p(x) w(x) is a density. Where the twin has conditions that mean is
 * over those of the training; at a condition of its own the density is normalised up to a constant.
 */
#ifndef TW_MODEL_REWEIGHTING_H
#define TW_MODEL_REWEIGHTING_H

#include <stdint.h>

#include "model/model.h"
#include "model/observables.h"

struct tw_artifact_set;

#define TW_REWEIGHTING_MEMBERS_MAX  8
#define TW_REWEIGHTING_MAX          64.0  /* largest weight, so that one event in so many proposals is kept at least */
#define TW_REWEIGHTING_LOG_MEAN_MAX 100.0 /* of either sign: beyond it samples and data have nothing in common */

struct tw_reweighting {
    int members;
    struct tw_model *member[TW_REWEIGHTING_MEMBERS_MAX]; /* classifiers of one architecture; references */
    struct tw_observables *observables; /* that they see beside the features: a reference; NULL: none */
    double scale;
    double log_cap, log_mean;
    double log_mean_error; /* standard error of log_mean */
    double ess;            /* effective sample size of the weights, as a share of the samples: (sum w)^2 / n sum w^2 */
    double overflow;       /* share of the sum of weights that the cap takes away */
};

/* Weights of events, normalised: their mean over samples is 1. As tw_model_log_prob; 0 where a network has no answer.
 */
int tw_reweighting_log_weights(const struct tw_reweighting *reweighting, const struct tw_kernels *kernels,
                               struct tw_pool *pool, size_t n, const float *values, const float *conditions,
                               double *out);
/* The weight that none exceeds. */
double tw_reweighting_largest(const struct tw_reweighting *reweighting);

/* Unweighted events of p w by accepting proposals of `base`, or of one of its members (-1: of all), with probability
 * w / largest. As tw_model_sample: event
 * 256 b + r is the r-th accepted one of a sequence of proposals of its own for each b. TW_NOT_FOUND if next to nothing
 * is accepted: the weights are not those of this model, or vanish at these conditions. */
int tw_reweighting_sample(const struct tw_reweighting *reweighting, const struct tw_model *base, int member,
                          const struct tw_kernels *kernels, struct tw_pool *pool, uint64_t seed, uint64_t first,
                          size_t n, const float *conditions, float *out);

/* What the networks of a model over `schema` see: the same columns, and the observables (NULL: none) as columns that
 * may be absent. To be freed; NULL when memory is out. */
struct tw_schema *tw_reweighting_schema(const struct tw_observables *observables, const struct tw_schema *schema);
/* TW_INVALID with a sentence unless members are classifiers of one architecture over tw_reweighting_schema and all
 * numbers are in range. */
int tw_reweighting_check(const struct tw_reweighting *reweighting, const struct tw_schema *schema,
                         struct tw_error *error);
/* A copy that holds references of its own. */
struct tw_reweighting tw_reweighting_copy(const struct tw_reweighting *reweighting);
void tw_reweighting_fini(struct tw_reweighting *reweighting); /* accepts a zeroed one */

/* --- for the artifact --- */

struct json_t *tw_reweighting_json(const struct tw_reweighting *reweighting);

/* What a file says: networks that are laid out but not filled, then made into models. */
struct tw_reweighting_parts {
    struct tw_reweighting reweighting;
    struct tw_schema *schema; /* of the networks */
    void *config[TW_REWEIGHTING_MEMBERS_MAX];
    struct tw_params statistics[TW_REWEIGHTING_MEMBERS_MAX], parameters[TW_REWEIGHTING_MEMBERS_MAX];
};
#define TW_REWEIGHTING_SETS (2 * TW_REWEIGHTING_MEMBERS_MAX)

/* Reads the JSON and lays the networks out over `schema`. */
int tw_reweighting_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_reweighting_parts *parts,
                         struct tw_error *error);
/* Two sets for each network, in the file's order; returns their number. */
int tw_reweighting_sets(struct tw_reweighting_parts *parts, struct tw_artifact_set *sets);
/* The same of networks that exist, to be written; `parts` borrows everything and is never _fini'd. */
int tw_reweighting_view(const struct tw_reweighting *reweighting, struct tw_reweighting_parts *parts,
                        struct tw_artifact_set *sets);
/* Once the sets are filled: *out takes over the networks. */
int tw_reweighting_build(struct tw_reweighting_parts *parts, struct tw_reweighting *out, struct tw_error *error);
void tw_reweighting_parts_fini(struct tw_reweighting_parts *parts); /* accepts zeroed ones */

#endif
