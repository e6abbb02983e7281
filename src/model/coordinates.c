#include "model/coordinates.h"

#include <math.h>
#include <stdlib.h>

#include "flow/decay.h"
#include "flow/mass.h"
#include "model/columns.h"
#include "model/coordinates_parts.h"

int tw_coordinates_count(const struct tw_coordinates *coordinates)
{
    return coordinates ? coordinates->count : 0;
}

int tw_coordinates_features(const struct tw_coordinates *coordinates, int k, const int **features)
{
    *features = coordinates->list[k].features;
    return coordinates->list[k].slots;
}

/* Which value of which coordinate stands in the place of f; false if it is not replaced. */
static bool find(const struct tw_coordinates *coordinates, int f, int *k, int *slot)
{
    for (*k = 0; *k < tw_coordinates_count(coordinates); ++*k)
        for (*slot = 0; *slot < coordinates->list[*k].slots; ++*slot)
            if (coordinates->list[*k].features[*slot] == f)
                return true;
    return false;
}

int tw_coordinates_find(const struct tw_coordinates *coordinates, int f)
{
    int k, slot;

    return find(coordinates, f, &k, &slot) ? k : -1;
}

static enum tw_transform_kind kind_of(const struct tw_coordinate *c, int slot)
{
    if (c->kind == TW_COORDINATE_DIFFERENCE)
        return c->angles ? TW_TRANSFORM_PERIODIC : TW_TRANSFORM_REAL;
    if (c->kind == TW_COORDINATE_PAIR && (slot == TW_PAIR_PHI || slot == TW_PAIR_AZIMUTH))
        return TW_TRANSFORM_PERIODIC;
    return c->kind == TW_COORDINATE_PAIR && slot == TW_PAIR_COSINE ? TW_TRANSFORM_BOUNDED : TW_TRANSFORM_REAL;
}

enum tw_transform_kind tw_coordinates_kind(const struct tw_coordinates *coordinates, int f)
{
    int k, slot;

    return find(coordinates, f, &k, &slot) ? kind_of(&coordinates->list[k], slot) : TW_TRANSFORM_REAL;
}

int tw_coordinates_origin(const struct tw_coordinates *coordinates, const struct tw_schema *schema, int f)
{
    int circle = tw_columns_circle(schema, f);

    for (int k = 0; circle >= 0 && k < tw_coordinates_count(coordinates); k++) {
        const struct tw_coordinate *c = &coordinates->list[k];

        if (c->kind == TW_COORDINATE_PAIR && tw_columns_circle(schema, c->features[TW_PAIR_PHI]) == circle)
            return c->features[TW_PAIR_PHI];
    }
    return -1;
}

/* --- a mass that is standardised, with its edge opened --- */

static double standard(const struct tw_params *statistics, int f, double h)
{
    double mean, width;

    tw_columns_moments(statistics, f, &mean, &width);
    return (h - mean) / width;
}

/* The edge at mass `edge` in standardised units. */
static double edge_of(const struct tw_coordinate *c, const struct tw_params *statistics, int f, double edge)
{
    double unused = 0;

    return edge > 0 ? standard(statistics, f, tw_peak_forward(&c->peak, edge, &unused)) : -INFINITY;
}

/* NaN unless m is above the edge. */
static double open_mass(const struct tw_coordinate *c, const struct tw_params *statistics, int f, double m, double edge,
                        double *log_jacobian)
{
    double mean, width, h = m > edge ? tw_peak_forward(&c->peak, m, log_jacobian) : NAN;

    tw_columns_moments(statistics, f, &mean, &width);
    *log_jacobian -= log(width);
    return tw_peak_open((h - mean) / width, edge_of(c, statistics, f, edge), log_jacobian);
}

static double close_mass(const struct tw_coordinate *c, const struct tw_params *statistics, int f, double y,
                         double edge)
{
    double mean, width;

    tw_columns_moments(statistics, f, &mean, &width);
    return tw_peak_inverse(&c->peak, mean + width * tw_peak_close(y, edge_of(c, statistics, f, edge)));
}

/* --- particles --- */

static double mass_at(const struct tw_coordinate_particle *p, const float *row)
{
    return p->mass < 0 ? p->number : (double)row[p->mass];
}

static struct tw_mass_particle particle_of(const struct tw_coordinate_particle *p, const float *row)
{
    double unused = 0;

    return (struct tw_mass_particle){.pt = (double)row[p->pt],
                                     .eta = (double)row[p->eta],
                                     .phi = tw_transform_forward(&p->circle, (double)row[p->phi], &unused),
                                     .mass = mass_at(p, row)};
}

static float above(double x, double least)
{
    struct tw_transform_column column = {.kind = TW_TRANSFORM_LOG, .min = fmin(least, 1e30)};

    return tw_transform_to_float(&column, x);
}

static float any(double x)
{
    struct tw_transform_column column = {.kind = TW_TRANSFORM_REAL};

    return tw_transform_to_float(&column, x);
}

/* --- mass --- */

/* The event without the replaced momentum; *least is what this momentum has to be above, *edge the mass there. */
static struct tw_mass open_event(const struct tw_coordinate *c, const float *row, double *least, double *edge)
{
    struct tw_mass_particle of[TW_COORDINATES_PARTICLES_MAX];
    double unused;

    for (int i = 0; i < c->count; i++)
        of[i] = particle_of(&c->of[i], row);

    struct tw_mass mass = tw_mass_of(of, c->count - 1, &of[c->count - 1]);

    *least = fmax(c->open, tw_mass_turn(&mass));
    *edge = fmax(c->min, sqrt(tw_mass_square(&mass, *least, &unused)));
    return mass;
}

static double mass_of(const struct tw_coordinate *c, const float *row, double *edge, double *log_jacobian)
{
    double least, slope, x = (double)row[c->features[0]];
    struct tw_mass mass = open_event(c, row, &least, edge);
    double m = sqrt(tw_mass_square(&mass, x, &slope));

    *log_jacobian += log(slope / (2 * m));
    return x > least ? m : NAN;
}

static void forward_mass(const struct tw_coordinate *c, const struct tw_params *statistics, const float *row, double *y,
                         double *log_jacobian)
{
    double edge, m = mass_of(c, row, &edge, log_jacobian);

    y[0] = open_mass(c, statistics, c->features[0], m, edge, log_jacobian);
}

static void inverse_mass(const struct tw_coordinate *c, const struct tw_params *statistics, const double *y, float *row)
{
    double least, edge;
    struct tw_mass mass = open_event(c, row, &least, &edge);
    double m = close_mass(c, statistics, c->features[0], y[0], edge);

    row[c->features[0]] = above(tw_mass_solve(&mass, m * m), least);
}

/* --- pair --- */

static double pair_edge(const struct tw_coordinate *c, const struct tw_mass_particle *of)
{
    return fmax(c->min, of[0].mass + of[1].mass);
}

static void forward_pair(const struct tw_coordinate *c, const struct tw_params *statistics, double bound,
                         const float *row, double *y, double *log_jacobian)
{
    const int *f = c->features;
    struct tw_mass_particle of[2] = {particle_of(&c->of[0], row), particle_of(&c->of[1], row)};
    struct tw_decay d = tw_decay_of(&of[0], &of[1], log_jacobian);
    double width[2], unused;

    y[TW_PAIR_PT] = standard(statistics, f[TW_PAIR_PT], log(d.pt));
    y[TW_PAIR_RAPIDITY] = standard(statistics, f[TW_PAIR_RAPIDITY], d.rapidity);
    y[TW_PAIR_PHI] = tw_transform_wrap(d.phi);
    y[TW_PAIR_MASS] = open_mass(c, statistics, f[TW_PAIR_MASS], d.mass, pair_edge(c, of), log_jacobian);
    y[TW_PAIR_COSINE] = bound * d.cosine;
    y[TW_PAIR_AZIMUTH] = tw_transform_wrap(d.azimuth);
    tw_columns_moments(statistics, f[TW_PAIR_PT], &unused, &width[0]);
    tw_columns_moments(statistics, f[TW_PAIR_RAPIDITY], &unused, &width[1]);
    *log_jacobian += log(bound) - log(d.pt) - log(width[0]) - log(width[1]);
    for (int i = 0; i < 2; i++)
        *log_jacobian += log(2 * TW_TRANSFORM_PI / (c->of[i].circle.max - c->of[i].circle.min));
}

static void inverse_pair(const struct tw_coordinate *c, const struct tw_params *statistics, double bound,
                         const double *y, float *row)
{
    const int *f = c->features;
    struct tw_mass_particle of[2] = {{.mass = mass_at(&c->of[0], row)}, {.mass = mass_at(&c->of[1], row)}};
    double mean[2], width[2];

    tw_columns_moments(statistics, f[TW_PAIR_PT], &mean[0], &width[0]);
    tw_columns_moments(statistics, f[TW_PAIR_RAPIDITY], &mean[1], &width[1]);

    struct tw_decay d = {.pt = exp(mean[0] + width[0] * y[TW_PAIR_PT]),
                         .rapidity = mean[1] + width[1] * y[TW_PAIR_RAPIDITY],
                         .phi = y[TW_PAIR_PHI],
                         .mass = close_mass(c, statistics, f[TW_PAIR_MASS], y[TW_PAIR_MASS], pair_edge(c, of)),
                         .cosine = fmin(fmax(y[TW_PAIR_COSINE] / bound, -1), 1),
                         .azimuth = y[TW_PAIR_AZIMUTH]};

    tw_decay_particles(&d, &of[0], &of[1]);
    for (int i = 0; i < 2; i++) {
        const struct tw_transform_column *circle = &c->of[i].circle;

        row[c->of[i].pt] = above(of[i].pt, 0);
        row[c->of[i].eta] = any(of[i].eta);
        row[c->of[i].phi] = tw_transform_to_float(circle, tw_transform_inverse(circle, of[i].phi));
    }
}

/* --- difference --- */

static void forward_difference(const struct tw_coordinate *c, const struct tw_params *statistics, const float *row,
                               double *y, double *log_jacobian)
{
    double first = (double)row[c->features[0]], second = (double)row[c->minus], mean, width, unused = 0;

    if (c->angles) {
        y[0] = tw_transform_forward(&c->circle, first, log_jacobian);
        y[0] = tw_transform_wrap(y[0] - tw_transform_forward(&c->circle, second, &unused));
        return;
    }
    tw_columns_moments(statistics, c->features[0], &mean, &width);
    y[0] = (first - second - mean) / width;
    *log_jacobian -= log(width);
}

static void inverse_difference(const struct tw_coordinate *c, const struct tw_params *statistics, const double *y,
                               float *row)
{
    double second = (double)row[c->minus], mean, width, unused = 0;

    if (c->angles) {
        double angle = y[0] + tw_transform_forward(&c->circle, second, &unused);

        row[c->features[0]] = tw_transform_to_float(&c->circle, tw_transform_inverse(&c->circle, angle));
        return;
    }
    tw_columns_moments(statistics, c->features[0], &mean, &width);
    row[c->features[0]] = any(second + mean + width * y[0]);
}

/* --- all of them --- */

static bool is_absent(const struct tw_coordinate *c, const float *row)
{
    return c->kind == TW_COORDINATE_DIFFERENCE && isnan(row[c->features[0]]);
}

void tw_coordinates_forward(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                            double bound, const float *row, double *y, double *log_jacobian)
{
    const struct tw_coordinate *c = &coordinates->list[k];
    double jacobian = 0;

    if (is_absent(c, row)) {
        y[0] = 0;
        return;
    }
    switch (c->kind) {
    case TW_COORDINATE_MASS:
        forward_mass(c, statistics, row, y, &jacobian);
        break;
    case TW_COORDINATE_PAIR:
        forward_pair(c, statistics, bound, row, y, &jacobian);
        break;
    case TW_COORDINATE_DIFFERENCE:
        forward_difference(c, statistics, row, y, &jacobian);
        break;
    }

    bool inside = isfinite(jacobian);

    for (int i = 0; i < c->slots; i++)
        inside = inside && isfinite(y[i]);
    for (int i = 0; i < c->slots && !inside; i++)
        y[i] = NAN;
    *log_jacobian += inside ? jacobian : -INFINITY;
}

void tw_coordinates_inverse(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                            double bound, const double *y, float *row)
{
    const struct tw_coordinate *c = &coordinates->list[k];

    if (is_absent(c, row))
        return;
    switch (c->kind) {
    case TW_COORDINATE_MASS:
        inverse_mass(c, statistics, y, row);
        break;
    case TW_COORDINATE_PAIR:
        inverse_pair(c, statistics, bound, y, row);
        break;
    case TW_COORDINATE_DIFFERENCE:
        inverse_difference(c, statistics, y, row);
        break;
    }
}

/* --- statistics --- */

/* What is standardised of an event in the place of `slot`, NaN outside the domain. */
static double raw(const struct tw_coordinate *c, int slot, const float *row)
{
    double edge, unused = 0, m;

    if (c->kind == TW_COORDINATE_DIFFERENCE)
        return (double)row[c->features[0]] - (double)row[c->minus];
    if (c->kind == TW_COORDINATE_MASS) {
        m = mass_of(c, row, &edge, &unused);
        return m > edge ? tw_peak_forward(&c->peak, m, &unused) : NAN;
    }

    struct tw_mass_particle of[2] = {particle_of(&c->of[0], row), particle_of(&c->of[1], row)};
    struct tw_decay d = tw_decay_of(&of[0], &of[1], &unused);

    if (slot == TW_PAIR_PT)
        return log(d.pt);
    if (slot == TW_PAIR_RAPIDITY)
        return d.rapidity;
    return d.mass > pair_edge(c, of) ? tw_peak_forward(&c->peak, d.mass, &unused) : NAN;
}

int tw_coordinates_prepare(const struct tw_coordinates *coordinates, const struct tw_data *data,
                           struct tw_params *statistics)
{
    size_t d = (size_t)data->schema->features;
    double *values = malloc((data->rows + 1) * sizeof *values);

    if (!values)
        return TW_NO_MEMORY;
    for (int k = 0; k < tw_coordinates_count(coordinates); k++) {
        const struct tw_coordinate *c = &coordinates->list[k];

        for (int slot = 0; slot < c->slots; slot++) {
            size_t kept = 0;

            for (size_t i = 0; i < data->rows && kind_of(c, slot) == TW_TRANSFORM_REAL; i++) {
                values[kept] = raw(c, slot, data->features + i * d);
                kept += isfinite(values[kept]);
            }
            tw_columns_set_moments(statistics, c->features[slot], values, kept); /* of none: 0 and 1 */
        }
    }
    free(values);
    return TW_OK;
}
