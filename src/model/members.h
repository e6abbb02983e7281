/* Ensembles: several models of one architecture, trained on resampled rows, that share an artifact.
 *
 * A kind knows one of them. What asks for `members` in the model's JSON gets the tensors that the kind declares, those
 * of statistics and of parameters, once for each member, named member<m>/..., side by side in one block; a view of a
 * member is what the kind works on. With one member names and block are those of the kind.
 *
 * The ensemble's density is the mean of its members' densities, p(x) = 1/M sum_m p_m(x), and its events are that
 * mixture's. The spread of the members is the uncertainty: each is trained from a start of its own on the Bayesian
 * bootstrap of the rows (Rubin 1981): weights drawn from the exponential distribution. Over such weights an estimate
 * varies as it does over data sets of the same size, to first order in 1/n. Rows drawn with replacement would do so
 * too, but a member would lack a third of them, and fewer rows make a worse density (by 0.02 nats where there are
 * 3,000).
 */
#ifndef TW_MODEL_MEMBERS_H
#define TW_MODEL_MEMBERS_H

#include <stdint.h>

#include "model/kind.h"

#define TW_MEMBERS_MAX 32

/* Declares the kind's tensors once for each member. As tw_kind.layout. */
int tw_members_layout(const struct tw_kind *kind, void *config, const struct tw_schema *schema,
                      struct tw_params *statistics, struct tw_params *parameters);

/* The statistics or the parameters of one member, as the kind declared them. Everything is borrowed from `all`: never
 * _fini it. */
struct tw_params tw_members_view(const struct tw_params *all, int members, int member);

/* The seed of a member's training; that of the first is the seed itself. */
uint64_t tw_members_seed(uint64_t seed, int member);

/* The weight that a member gives to a row, by the row's identity alone (tw_data.keys): mean 1, variance 1, never 0. So
 * a retune that meets a row again gives it the same weight. */
double tw_members_weight(int member, uint64_t key);
/* Appends the rows with the weights that they have for a member: their own, times the member's. TW_NO_MEMORY or 0. */
int tw_members_resample(const struct tw_data *from, int member, struct tw_data *to);

/* Whose event number `event` of the sequence `seed` is: uniform and independent. */
int tw_members_of_event(uint64_t seed, uint64_t event, int members);

#endif
