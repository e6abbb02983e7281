/* Feature transforms, in double: the feed's units <-> the coordinates that a flow works in.
 *
 *   real      y = (x - mean) / width
 *   log       y = (ln(x - min) - mean) / width
 *   bounded   y = bound (2 (x - min) / (max - min) - 1), in [-bound, bound]
 *   periodic  y = pi (2 (x' - min) / (max - min) - 1), in [-pi, pi), x' = x wrapped into [min, max)
 */
#ifndef TW_FLOW_TRANSFORM_H
#define TW_FLOW_TRANSFORM_H

#include <stdbool.h>

#define TW_TRANSFORM_PI 3.14159265358979323846

enum tw_transform_kind {
    TW_TRANSFORM_REAL,
    TW_TRANSFORM_LOG,
    TW_TRANSFORM_BOUNDED,
    TW_TRANSFORM_PERIODIC,
};

struct tw_transform_column {
    enum tw_transform_kind kind;
    double min, max;    /* log: min; bounded and periodic: both */
    double mean, width; /* real and log */
    double bound;       /* bounded */
};

/* In the hard domain: finite, and x > min (log), min <= x <= max (bounded). */
bool tw_transform_ok(const struct tw_transform_column *column, double x);

/* *log_jacobian += log |dy/dx|. x must be in the hard domain. */
double tw_transform_forward(const struct tw_transform_column *column, double x, double *log_jacobian);

/* y -> x. */
double tw_transform_inverse(const struct tw_transform_column *column, double y);

/* The float32 nearest to x that lies in the hard domain, periodic ones in [min, max). */
float tw_transform_to_float(const struct tw_transform_column *column, double x);

/* An angle wrapped into [-pi, pi). */
double tw_transform_wrap(double angle);

#endif
