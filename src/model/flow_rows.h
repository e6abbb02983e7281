/* Prepared coordinates of a flow: real features standardised, bounded ones on [-bound, bound], angles on [-pi, pi).
 *
 * Torus: angles of one period are taken relative to the first of them, t_k = wrap(phi_k - phi_0). The map preserves
 * volume, and makes explicit the differences that carry the physics, which a network would else have to build from
 * pairs of angles.
 *
 * Where features are optional or discrete, log p(x) = log p(class) + log p(present features | class): the classes have
 * a law of their own, every network gets the code of the class beside the conditions, and features that are absent take
 * no part. The prepared rows are then the coordinates, the levels of the class, and its slot in the table.
 */
#ifndef TW_MODEL_FLOW_ROWS_H
#define TW_MODEL_FLOW_ROWS_H

#include "model/flow_config.h"
#include "model/kind.h"

/* As prepared_rows and prepare_block of struct tw_kind; the config is a tw_flow_config. */
int tw_flow_rows_count(const void *config, const struct tw_schema *schema);
void tw_flow_rows_prepare(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian);

/* The row of feature f, which is not discrete. */
int tw_flow_rows_row(const struct tw_flow_config *config, int f);
/* The feature that angle f is relative to; -1 if none. A pair's azimuth comes before all that are measured. */
int tw_flow_rows_reference(const struct tw_kind_state *state, int f);

/* Back: coordinates x (features of the coupling, cols) and levels (J, cols) -> raw units, (cols, D). */
void tw_flow_rows_raw(const struct tw_kind_state *state, int cols, const tw_real *x, const tw_real *levels, float *out);

#endif
