#include "flow/transform.h"

#include <float.h>
#include <math.h>

bool tw_transform_ok(const struct tw_transform_column *column, double x)
{
    if (!isfinite(x))
        return false;
    switch (column->kind) {
    case TW_TRANSFORM_LOG:
        return x > column->min;
    case TW_TRANSFORM_BOUNDED:
        return x >= (double)(float)column->min && x <= (double)(float)column->max;
    case TW_TRANSFORM_REAL:
    case TW_TRANSFORM_PERIODIC:
        return true;
    }
    return false;
}

double tw_transform_wrap(double angle)
{
    double wrapped = fmod(angle + TW_TRANSFORM_PI, 2 * TW_TRANSFORM_PI);

    if (wrapped < 0)
        wrapped += 2 * TW_TRANSFORM_PI;
    wrapped -= TW_TRANSFORM_PI;
    /* rounding may leave the half-open interval at either end */
    return wrapped >= TW_TRANSFORM_PI || wrapped < -TW_TRANSFORM_PI ? -TW_TRANSFORM_PI : wrapped;
}

double tw_transform_forward(const struct tw_transform_column *column, double x, double *log_jacobian)
{
    double range = column->max - column->min;

    switch (column->kind) {
    case TW_TRANSFORM_REAL:
        *log_jacobian -= log(column->width);
        return (x - column->mean) / column->width;
    case TW_TRANSFORM_LOG: {
        double u = log(x - column->min);

        *log_jacobian -= u + log(column->width);
        return (u - column->mean) / column->width;
    }
    case TW_TRANSFORM_BOUNDED:
        *log_jacobian += log(2 * column->bound / range);
        return column->bound * (2 * (x - column->min) / range - 1);
    case TW_TRANSFORM_PERIODIC:
        *log_jacobian += log(2 * TW_TRANSFORM_PI / range);
        return tw_transform_wrap(TW_TRANSFORM_PI * (2 * (x - column->min) / range - 1));
    }
    return 0;
}

double tw_transform_inverse(const struct tw_transform_column *column, double y)
{
    double range = column->max - column->min;

    switch (column->kind) {
    case TW_TRANSFORM_REAL:
        return column->mean + column->width * y;
    case TW_TRANSFORM_LOG:
        return column->min + exp(column->mean + column->width * y);
    case TW_TRANSFORM_BOUNDED:
        return column->min + range * 0.5 * (y / column->bound + 1);
    case TW_TRANSFORM_PERIODIC:
        return column->min + range * 0.5 * (tw_transform_wrap(y) / TW_TRANSFORM_PI + 1);
    }
    return 0;
}

/* The float32 nearest to x and strictly above (up) or below `edge`, or on it if `closed`. */
static float inside(float value, double edge, bool up, bool closed)
{
    while (up ? (double)value < edge : (double)value > edge)
        value = nextafterf(value, up ? INFINITY : -INFINITY);
    while (!closed && (double)value == edge)
        value = nextafterf(value, up ? INFINITY : -INFINITY);
    return value;
}

/* x itself first: a value far outside would take nextafter too many steps. */
static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

float tw_transform_to_float(const struct tw_transform_column *column, double x)
{
    x = isnan(x) ? 0 : clamp(x, -FLT_MAX, FLT_MAX);
    switch (column->kind) {
    case TW_TRANSFORM_REAL:
        return (float)x;
    case TW_TRANSFORM_LOG:
        return inside((float)clamp(x, column->min, FLT_MAX), column->min, true, false);
    case TW_TRANSFORM_BOUNDED:
        x = clamp(x, column->min, column->max);
        return inside(inside((float)x, column->min, true, true), column->max, false, true);
    case TW_TRANSFORM_PERIODIC:
        x = clamp(x, column->min, column->max);
        return inside(inside((float)x, column->min, true, true), column->max, false, false);
    }
    return 0;
}
