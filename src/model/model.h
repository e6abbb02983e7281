/* A trained model: an immutable, reference-counted snapshot that any thread may query.
 */
#ifndef TW_MODEL_MODEL_H
#define TW_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "model/data.h"
#include "model/kind.h"
#include "model/schema.h"

struct json_t;
struct tw_model;
struct tw_reweighting;

struct tw_model *tw_model_ref(struct tw_model *model);
void tw_model_unref(struct tw_model *model); /* accepts NULL */

const struct tw_kind *tw_model_kind(const struct tw_model *model);
const struct tw_schema *tw_model_schema(const struct tw_model *model);
/* Number of trained parameters, those of all members. */
size_t tw_model_parameters(const struct tw_model *model);
/* Members of the ensemble (model/members.h); 1 if it is none. */
int tw_model_members(const struct tw_model *model);

/* The model's JSON with every default written out; a new reference, NULL when memory is out. */
struct json_t *tw_model_json(const struct tw_model *model);

/* --- weights on top (model/reweighting.h) --- */

/* A model of the density p w: `base` with other weights than it may have. Takes references of its own, to networks and
 * base. Kind, JSON, state and everything else but log_prob, sample and the artifact are those of the base. TW_INVALID
 * with a sentence unless base has log_prob and sample and the weights fit its columns. */
int tw_model_reweight(struct tw_model *base, const struct tw_reweighting *reweighting, struct tw_model **out,
                      struct tw_error *error);
/* NULL where there is none. */
const struct tw_reweighting *tw_model_reweighting(const struct tw_model *model);
/* The model under the weights; the model itself where there are none. Borrowed. */
const struct tw_model *tw_model_base(const struct tw_model *model);

/* --- for the trainer --- */

/* Takes over config, schema and both sets (which are left empty), also on failure. The sets are those of all members
 * (tw_members_layout). One reference. */
int tw_model_new(const struct tw_kind *kind, void *config, struct tw_schema *schema, struct tw_params *statistics,
                 struct tw_params *parameters, struct tw_model **out);
/* The same from what the caller keeps: all four are copied. */
int tw_model_new_copy(const struct tw_kind *kind, const void *config, const struct tw_schema *schema,
                      const struct tw_params *statistics, const struct tw_params *parameters, struct tw_model **out);
struct tw_kind_state tw_model_state(const struct tw_model *model, int member);

/* --- the artifact: one safetensors file (docs/model-format.md) --- */

/* What the artifact records beside the model. The same model with the same record gives the same bytes. */
struct tw_model_record {
    char twin[65]; /* a name of up to 64 characters */
    uint64_t seed;
    char parent[65];   /* SHA-256 of the parent's artifact or "" */
    char cause[16];    /* train, weights, ... */
    char kernels[128]; /* tw_kernels.detail that trained it */
};

/* bytes is allocated with malloc. */
int tw_model_save(const struct tw_model *model, const struct tw_model_record *record, unsigned char **bytes,
                  size_t *size);
/* Checks everything before use: header length, JSON, offsets, shapes, finite values. TW_CORRUPT with a sentence.
 * record may be NULL. */
int tw_model_load(const unsigned char *bytes, size_t size, struct tw_model **out, struct tw_model_record *record,
                  struct tw_error *error);

/* --- queries; any thread; pool may be NULL (calling thread). values (n, D) row-major raw units; conditions (n, C)
 * raw units row-major, or NULL for the defaults. An event outside the hard domain or with NaN gets -inf (log_prob) or
 * NaN (score). TW_INVALID if the kind does not offer the output. --- */

int tw_model_log_prob(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                      const float *values, const float *conditions, double *out);
/* log_prob under each member: out (n, members). The model's log_prob is the log of the mean of their densities. */
int tw_model_log_prob_members(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool,
                              size_t n, const float *values, const float *conditions, double *out);
/* From the `members` numbers of an event: the log of the mean of the densities. */
double tw_model_mixture(const double *log_prob, int members);

int tw_model_score(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, size_t n,
                   const float *values, const float *conditions, double *out);
/* Events first .. first+n-1 of the infinite sequence that `seed` names: any cut of the sequence into calls gives the
 * same events. out (n, D). conditions is one row (C) for all events, or NULL. Each event of an ensemble is that of a
 * member drawn for it. */
int tw_model_sample(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool, uint64_t seed,
                    uint64_t first, size_t n, const float *conditions, float *out);
/* The same of one member. Events of equal number come from equal random numbers in all members, so that the difference
 * between two members is theirs and not that of the draws. */
int tw_model_sample_member(const struct tw_model *model, int member, const struct tw_kernels *kernels,
                           struct tw_pool *pool, uint64_t seed, uint64_t first, size_t n, const float *conditions,
                           float *out);

/* Proper score of each event for the gate: log_prob where the kind has it. (n doubles; data's rows.) */
int tw_model_proper_score(const struct tw_model *model, const struct tw_kernels *kernels, struct tw_pool *pool,
                          const struct tw_data *data, double *out);

#endif
