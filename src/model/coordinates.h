/* Coordinates that a flow works in instead of features.
 *
 * mass: that of some particles, in place of one of their transverse momenta.
 * pair: transverse momentum, rapidity, azimuth and mass of two particles and the direction of their decay, in place of
 * both momenta (flow/decay.h).
 * difference: of a feature and another one, in place of the first, which may be optional.
 *
 * Coordinate k replaces some features, one or six. It is a function of these and of others, of those replaced only by
 * coordinates before it. So the Jacobian is block triangular, and an event is recovered coordinate by coordinate.
 * Events outside the domain of a coordinate have density zero: those that kinematics or `min` forbid.
 */
#ifndef TW_MODEL_COORDINATES_H
#define TW_MODEL_COORDINATES_H

#include "base/status.h"
#include "flow/transform.h"
#include "model/data.h"
#include "model/schema.h"
#include "nn/params.h"

struct json_t;
struct tw_coordinates;

#define TW_COORDINATES_MAX           64
#define TW_COORDINATES_PARTICLES_MAX 8
#define TW_COORDINATES_SLOTS_MAX     6

/* The array "coordinates" of a model; absent or empty: *out = NULL, which all others accept as no coordinates.
 * TW_INVALID with a sentence that names the member. */
int tw_coordinates_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_coordinates **out,
                         struct tw_error *error);
void tw_coordinates_free(struct tw_coordinates *coordinates);
/* The same JSON with defaults written out; a new reference. */
struct json_t *tw_coordinates_json(const struct tw_coordinates *coordinates);

int tw_coordinates_count(const struct tw_coordinates *coordinates);
/* How many features coordinate k replaces, and which: value i of it stands in the place of (*features)[i]. */
int tw_coordinates_features(const struct tw_coordinates *coordinates, int k, const int **features);
/* The coordinate that replaces feature f; -1 if none does. */
int tw_coordinates_find(const struct tw_coordinates *coordinates, int f);
/* How the value in the place of feature f is spread: real, bounded or periodic. f is replaced. */
enum tw_transform_kind tw_coordinates_kind(const struct tw_coordinates *coordinates, int f);
/* The feature in whose place the azimuth of the first pair stands that is on the circle of feature f; -1 if none is. */
int tw_coordinates_origin(const struct tw_coordinates *coordinates, const struct tw_schema *schema, int f);

/* Means and widths over the rows in the domain, in place of those of the features that are replaced. */
int tw_coordinates_prepare(const struct tw_coordinates *coordinates, const struct tw_data *data,
                           struct tw_params *statistics);

/* Values y of coordinate k for an event in the feed's units; *log_jacobian += log |det dy / d features|. Outside the
 * domain all are NaN and *log_jacobian is -inf; where a difference is absent it is 0. `bound` is that of bounded
 * values. */
void tw_coordinates_forward(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                            double bound, const float *row, double *y, double *log_jacobian);
/* Sets the features that coordinate k replaces, given y and the other features of the row: in their domain, and in that
 * of the coordinate as far as float32 can tell. A difference whose feature is NaN stays absent. */
void tw_coordinates_inverse(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                            double bound, const double *y, float *row);

#endif
