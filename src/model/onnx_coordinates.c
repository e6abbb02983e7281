/* Masses, pairs and differences as a graph, in double: docs/model-format.md has the formulas, flow/mass.h and
 * flow/decay.h their sources. Hyperbolic functions and their inverses are made of exponentials, logarithms and roots,
 * as runtimes have them in float32 alone; so has the arc tangent, which is not made of others, and whose error is that
 * of rounding a coordinate. */
#include <float.h>
#include <math.h>

#include "model/columns.h"
#include "model/coordinates_parts.h"
#include "model/onnx_parts.h"

#define PI TW_TRANSFORM_PI

static int number(struct tw_onnx_graph *g, double value)
{
    return tw_onnx_graph_number(g, TW_ONNX_DOUBLE, value);
}

static int square(struct tw_onnx_graph *g, int a)
{
    return tw_onnx_mul(g, a, a);
}

static int hypotenuse(struct tw_onnx_graph *g, int a, int b)
{
    return tw_onnx_sqrt(g, tw_onnx_add(g, square(g, a), square(g, b)));
}

static int cosh_of(struct tw_onnx_graph *g, int a)
{
    int e = tw_onnx_exp(g, a);

    return tw_onnx_mul_n(g, tw_onnx_add(g, e, tw_onnx_div(g, number(g, 1), e)), 0.5);
}

static int sinh_of(struct tw_onnx_graph *g, int a)
{
    int e = tw_onnx_exp(g, a);

    return tw_onnx_mul_n(g, tw_onnx_sub(g, e, tw_onnx_div(g, number(g, 1), e)), 0.5);
}

static int asinh_of(struct tw_onnx_graph *g, int a)
{
    int size = tw_onnx_abs(g, a), one = number(g, 1);
    int value = tw_onnx_log(g, tw_onnx_add(g, size, hypotenuse(g, size, one)));

    return tw_onnx_where(g, tw_onnx_less_n(g, a, 0), tw_onnx_neg(g, value), value);
}

static int atan2_of(struct tw_onnx_graph *g, int y, int x)
{
    int ratio = tw_onnx_graph_cast(g, tw_onnx_div(g, y, x), TW_ONNX_FLOAT);
    int angle = tw_onnx_graph_cast(g, tw_onnx_graph_op(g, "Atan", ratio, -1, -1), TW_ONNX_DOUBLE);
    int turn = tw_onnx_where(g, tw_onnx_less_n(g, y, 0), number(g, -PI), number(g, PI));

    return tw_onnx_where(g, tw_onnx_less_n(g, x, 0), tw_onnx_add(g, angle, turn), angle);
}

static int is_finite(struct tw_onnx_graph *g, int a)
{
    return tw_onnx_most_n(g, tw_onnx_abs(g, a), DBL_MAX);
}

/* --- angles: a feature of this circle in radians, not wrapped, and back from [-pi, pi) to a value in its domain --- */

static int angle_of(struct tw_onnx_graph *g, const struct tw_transform_column *circle, int x)
{
    double scale = 2 * PI / (circle->max - circle->min);

    return tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_sub_n(g, x, circle->min), scale), -PI);
}

static int angle_back(struct tw_onnx_graph *g, const struct tw_transform_column *circle, int angle)
{
    double scale = (circle->max - circle->min) / (2 * PI);
    int x = tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_add_n(g, angle, PI), scale), circle->min);

    return tw_onnx_min_n(g, tw_onnx_max_n(g, x, (double)tw_transform_to_float(circle, -DBL_MAX)),
                         (double)tw_transform_to_float(circle, DBL_MAX));
}

/* --- particles --- */

struct particle {
    int pt, eta, phi, mass;
};

static struct particle particle_of(struct tw_onnx_graph *g, const struct tw_coordinate_particle *p, const int *features)
{
    return (struct particle){.pt = features[p->pt],
                             .eta = features[p->eta],
                             .phi = angle_of(g, &p->circle, features[p->phi]),
                             .mass = p->mass < 0 ? number(g, p->number) : features[p->mass]};
}

struct momentum {
    int e, x, y, z;
};

static struct momentum momentum_of(struct tw_onnx_graph *g, const struct particle *p)
{
    int along = tw_onnx_mul(g, p->pt, cosh_of(g, p->eta));

    return (struct momentum){.e = hypotenuse(g, along, p->mass),
                             .x = tw_onnx_mul(g, p->pt, tw_onnx_cos(g, p->phi)),
                             .y = tw_onnx_mul(g, p->pt, tw_onnx_sin(g, p->phi)),
                             .z = tw_onnx_mul(g, p->pt, sinh_of(g, p->eta))};
}

static struct momentum sum(struct tw_onnx_graph *g, const struct momentum *a, const struct momentum *b)
{
    return (struct momentum){tw_onnx_add(g, a->e, b->e), tw_onnx_add(g, a->x, b->x), tw_onnx_add(g, a->y, b->y),
                             tw_onnx_add(g, a->z, b->z)};
}

static int square_mass(struct tw_onnx_graph *g, const struct momentum *p)
{
    int all = tw_onnx_add(g, tw_onnx_add(g, square(g, p->x), square(g, p->y)), square(g, p->z));

    return tw_onnx_max_n(g, tw_onnx_sub(g, square(g, p->e), all), 0);
}

/* --- a mass that is standardised, with its edge opened (flow/peak.h) --- */

struct moments {
    double mean, width;
};

static struct moments moments_of(const struct tw_params *statistics, int f)
{
    struct moments m;

    tw_columns_moments(statistics, f, &m.mean, &m.width);
    return m;
}

static int standard(struct tw_onnx_graph *g, const struct tw_params *statistics, int f, int value)
{
    struct moments m = moments_of(statistics, f);

    return tw_onnx_div_n(g, tw_onnx_sub_n(g, value, m.mean), m.width);
}

/* h of m, and in *log_slope log dh/dm. */
static int line(struct tw_onnx_graph *g, const struct tw_peak *peak, int m, int *log_slope)
{
    if (!(peak->width > 0)) {
        int h = tw_onnx_log(g, m);

        *log_slope = tw_onnx_neg(g, h);
        return h;
    }

    int ratio = tw_onnx_div(g, number(g, peak->at), m);
    int z = tw_onnx_div_n(g, tw_onnx_sub(g, m, tw_onnx_mul_n(g, ratio, peak->at)), peak->width);
    int slope = tw_onnx_div_n(g, tw_onnx_add_n(g, square(g, ratio), 1), peak->width);

    *log_slope = tw_onnx_sub(g, tw_onnx_log(g, slope), tw_onnx_log(g, hypotenuse(g, z, number(g, 1))));
    return asinh_of(g, z);
}

static int line_inverse(struct tw_onnx_graph *g, const struct tw_peak *peak, int h)
{
    if (!(peak->width > 0))
        return tw_onnx_exp(g, h);

    int half = tw_onnx_mul_n(g, sinh_of(g, tw_onnx_abs(g, h)), 0.5 * peak->width);
    int larger = tw_onnx_add(g, half, hypotenuse(g, half, number(g, peak->at)));
    int smaller = tw_onnx_div(g, number(g, peak->at * peak->at), larger);

    return tw_onnx_where(g, tw_onnx_less_n(g, h, 0), smaller, larger);
}

/* y of mass m in the place of f; *jacobian gets log dy/dm, *inside whether m is above the edge. */
static int open_mass(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics, int f,
                     int m, int edge, int *jacobian, int *inside)
{
    int slope, unused, high = standard(g, statistics, f, line(g, &c->peak, m, &slope));
    int low = standard(g, statistics, f, line(g, &c->peak, edge, &unused));
    int gap = tw_onnx_exp(g, tw_onnx_sub(g, low, high));
    int opened = tw_onnx_log(g, tw_onnx_add_n(g, tw_onnx_neg(g, gap), 1));

    *inside = tw_onnx_greater(g, m, edge);
    *jacobian = tw_onnx_sub(g, tw_onnx_add_n(g, slope, -log(moments_of(statistics, f).width)), opened);
    return tw_onnx_add(g, high, opened);
}

static int close_mass(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics, int f,
                      int y, int edge)
{
    struct moments moments = moments_of(statistics, f);
    int unused, low = standard(g, statistics, f, line(g, &c->peak, edge, &unused));
    int above = tw_onnx_sub(g, y, low), near = tw_onnx_less_n(g, above, 40);
    int softened = tw_onnx_log(g, tw_onnx_add_n(g, tw_onnx_exp(g, tw_onnx_min_n(g, above, 40)), 1));
    int h = tw_onnx_where(g, near, tw_onnx_add(g, low, softened), y);

    return line_inverse(g, &c->peak, tw_onnx_add_n(g, tw_onnx_mul_n(g, h, moments.width), moments.mean));
}

/* --- mass --- */

/* The event without the momentum that is replaced: E, a, c and m of flow/mass.h, and M^2 + m^2. */
struct open_event {
    int energy, a, c, m, rest;
    int width; /* E^2 c^2 - a^2 */
    int least, edge;
};

/* s(x) */
static int square_at(struct tw_onnx_graph *g, const struct open_event *o, int x)
{
    int e = hypotenuse(g, o->m, tw_onnx_mul(g, o->c, x));
    int q = tw_onnx_sub(g, tw_onnx_mul(g, o->energy, e), tw_onnx_mul(g, o->a, x));

    return tw_onnx_max_n(g, tw_onnx_add(g, o->rest, tw_onnx_mul_n(g, q, 2)), 0);
}

static struct open_event open_event(struct tw_onnx_graph *g, const struct tw_coordinate *c, const int *features)
{
    struct particle open = particle_of(g, &c->of[c->count - 1], features);
    struct momentum all = {0};
    struct open_event o = {.c = cosh_of(g, open.eta), .m = open.mass};

    for (int i = 0; i < c->count - 1; i++) {
        struct particle p = particle_of(g, &c->of[i], features);
        struct momentum q = momentum_of(g, &p);

        all = i ? sum(g, &all, &q) : q;
    }
    o.energy = all.e;
    o.a = tw_onnx_add(g, tw_onnx_mul(g, all.x, tw_onnx_cos(g, open.phi)),
                      tw_onnx_mul(g, all.y, tw_onnx_sin(g, open.phi)));
    o.a = tw_onnx_add(g, o.a, tw_onnx_mul(g, all.z, sinh_of(g, open.eta)));
    o.rest = tw_onnx_add(g, square_mass(g, &all), square(g, o.m));
    o.width = tw_onnx_sub(g, square(g, tw_onnx_mul(g, o.energy, o.c)), square(g, o.a));

    int turn = tw_onnx_div(g, tw_onnx_mul(g, o.a, o.m), tw_onnx_mul(g, o.c, tw_onnx_sqrt(g, o.width)));
    int zero = number(g, 0), least = number(g, c->open);

    /* Where a or m is not positive there is no turn; without mass of both the quotient is not a number either. */
    turn = tw_onnx_where(g, tw_onnx_and(g, tw_onnx_greater(g, o.a, zero), tw_onnx_greater(g, o.m, zero)), turn, zero);
    o.least = tw_onnx_max(g, least, turn);
    o.edge = tw_onnx_max_n(g, tw_onnx_sqrt(g, square_at(g, &o, o.least)), c->min);
    return o;
}

static void forward_mass(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics,
                         const int *features, int *y, int *jacobian, int *inside)
{
    struct open_event o = open_event(g, c, features);
    int x = features[c->features[0]], m = tw_onnx_sqrt(g, square_at(g, &o, x)), rest;
    int e = hypotenuse(g, o.m, tw_onnx_mul(g, o.c, x));
    int slope = tw_onnx_div(g, tw_onnx_mul(g, o.energy, tw_onnx_mul(g, square(g, o.c), x)), e);

    slope = tw_onnx_div(g, tw_onnx_sub(g, slope, o.a), m);
    y[0] = open_mass(g, c, statistics, c->features[0], m, o.edge, &rest, inside);
    *jacobian = tw_onnx_add(g, rest, tw_onnx_log(g, slope));
    *inside = tw_onnx_and(g, *inside, tw_onnx_greater(g, x, o.least));
}

/* A feature as float32 holds it, above `low` or, if it is not, the next number that is. */
static int rounded(struct tw_onnx_graph *g, int x, double low)
{
    struct tw_transform_column column = {.kind = TW_TRANSFORM_LOG, .min = low};

    x = tw_onnx_min_n(g, tw_onnx_max_n(g, x, (double)tw_transform_to_float(&column, low)), FLT_MAX);
    return tw_onnx_graph_cast(g, tw_onnx_graph_cast(g, x, TW_ONNX_FLOAT), TW_ONNX_DOUBLE);
}

static void inverse_mass(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics,
                         const int *y, int *features)
{
    struct open_event o = open_event(g, c, features);
    int m = close_mass(g, c, statistics, c->features[0], y[0], o.edge);
    int q = tw_onnx_max_n(g, tw_onnx_mul_n(g, tw_onnx_sub(g, square(g, m), o.rest), 0.5), 0);
    int under = tw_onnx_sub(g, square(g, tw_onnx_mul(g, q, o.c)), tw_onnx_mul(g, square(g, o.m), o.width));
    int root = tw_onnx_mul(g, o.energy, tw_onnx_sqrt(g, tw_onnx_max_n(g, under, 0))), aq = tw_onnx_mul(g, o.a, q);
    int em = tw_onnx_mul(g, o.energy, o.m);
    int product = tw_onnx_mul(g, tw_onnx_sub(g, q, em), tw_onnx_add(g, q, em));
    int towards = tw_onnx_div(g, tw_onnx_add(g, aq, root), o.width);
    int away = tw_onnx_div(g, tw_onnx_max_n(g, product, 0), tw_onnx_sub(g, root, aq));
    int x = tw_onnx_where(g, tw_onnx_greater_n(g, o.a, 0), towards, away);

    features[c->features[0]] = rounded(g, tw_onnx_max(g, x, o.least), c->open);
}

/* --- pair --- */

static int pair_edge(struct tw_onnx_graph *g, const struct tw_coordinate *c, int m1, int m2)
{
    return tw_onnx_max_n(g, tw_onnx_add(g, m1, m2), c->min);
}

/* k: momentum of two particles of masses a and b that have energy m at rest */
static int rest_momentum(struct tw_onnx_graph *g, int m, int a, int b)
{
    int total = tw_onnx_add(g, a, b), gap = tw_onnx_sub(g, a, b);
    int p = tw_onnx_mul(g, tw_onnx_sub(g, m, total), tw_onnx_add(g, m, total));
    int q = tw_onnx_mul(g, tw_onnx_sub(g, m, gap), tw_onnx_add(g, m, gap));

    return tw_onnx_div(g, tw_onnx_sqrt(g, tw_onnx_mul(g, p, q)), tw_onnx_mul_n(g, m, 2));
}

static void forward_pair(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics,
                         double bound, const int *features, int *y, int *jacobian, int *inside)
{
    const int *f = c->features;
    struct particle of[2] = {particle_of(g, &c->of[0], features), particle_of(g, &c->of[1], features)};
    struct momentum p[2] = {momentum_of(g, &of[0]), momentum_of(g, &of[1])}, both = sum(g, &p[0], &p[1]);
    int m = tw_onnx_sqrt(g, square_mass(g, &both)), pt = hypotenuse(g, both.x, both.y);
    int mt = hypotenuse(g, m, pt), log_pt = tw_onnx_log(g, pt);
    int rapidity = tw_onnx_div(g, tw_onnx_add(g, both.e, both.z), tw_onnx_sub(g, both.e, both.z));
    int k = rest_momentum(g, m, of[0].mass, of[1].mass), rest, above;

    /* the first particle, boosted along the beam, by E/mt and p_z/mt of the pair, then along its transverse momentum */
    int ch = tw_onnx_div(g, both.e, mt), sh = tw_onnx_div(g, both.z, mt);
    int energy = tw_onnx_sub(g, tw_onnx_mul(g, p[0].e, ch), tw_onnx_mul(g, p[0].z, sh));
    int beam = tw_onnx_sub(g, tw_onnx_mul(g, p[0].z, ch), tw_onnx_mul(g, p[0].e, sh));
    int cos_phi = tw_onnx_div(g, both.x, pt), sin_phi = tw_onnx_div(g, both.y, pt);
    int along = tw_onnx_add(g, tw_onnx_mul(g, p[0].x, cos_phi), tw_onnx_mul(g, p[0].y, sin_phi));
    int across = tw_onnx_sub(g, tw_onnx_mul(g, p[0].y, cos_phi), tw_onnx_mul(g, p[0].x, sin_phi));

    along = tw_onnx_div(g, tw_onnx_sub(g, tw_onnx_mul(g, mt, along), tw_onnx_mul(g, pt, energy)), m);
    rapidity = tw_onnx_mul_n(g, tw_onnx_log(g, rapidity), 0.5);
    y[TW_PAIR_PT] = standard(g, statistics, f[TW_PAIR_PT], log_pt);
    y[TW_PAIR_RAPIDITY] = standard(g, statistics, f[TW_PAIR_RAPIDITY], rapidity);
    y[TW_PAIR_PHI] = tw_onnx_wrap(g, atan2_of(g, both.y, both.x), PI);
    y[TW_PAIR_MASS] =
        open_mass(g, c, statistics, f[TW_PAIR_MASS], m, pair_edge(g, c, of[0].mass, of[1].mass), &rest, &above);
    y[TW_PAIR_COSINE] = tw_onnx_mul_n(g, tw_onnx_min_n(g, tw_onnx_max_n(g, tw_onnx_div(g, beam, k), -1), 1), bound);
    y[TW_PAIR_AZIMUTH] = tw_onnx_wrap(g, atan2_of(g, across, along), PI);

    *jacobian = tw_onnx_sub(g, rest, tw_onnx_add(g, tw_onnx_mul_n(g, log_pt, 2), tw_onnx_log(g, k)));
    *jacobian = tw_onnx_add_n(g, *jacobian,
                              log(bound) - log(moments_of(statistics, f[TW_PAIR_PT]).width) -
                                  log(moments_of(statistics, f[TW_PAIR_RAPIDITY]).width));
    for (int i = 0; i < 2; i++) {
        int size = tw_onnx_mul(g, of[i].pt, cosh_of(g, of[i].eta));
        int measure = tw_onnx_div(g, tw_onnx_mul(g, of[i].pt, size), p[i].e);

        *jacobian = tw_onnx_add(g, *jacobian, tw_onnx_log(g, measure));
        *jacobian = tw_onnx_add_n(g, *jacobian, log(2 * PI / (c->of[i].circle.max - c->of[i].circle.min)));
    }
    *inside = tw_onnx_and(g, above, tw_onnx_greater_n(g, pt, 0));
}

/* Pt, eta and phi of a particle that has this momentum in the pair's rest frame, as float32 holds them. */
struct frame {
    int pt, mt, m, rapidity, phi;
};

static void boost(struct tw_onnx_graph *g, const struct frame *d, int along, int across, int beam,
                  const struct tw_coordinate_particle *of, int mass, int *features)
{
    int size = tw_onnx_add(g, tw_onnx_add(g, square(g, along), square(g, across)), square(g, beam));
    int energy = tw_onnx_sqrt(g, tw_onnx_add(g, size, square(g, mass)));
    int forward = tw_onnx_add(g, tw_onnx_mul(g, d->mt, along), tw_onnx_mul(g, d->pt, energy));

    forward = tw_onnx_div(g, forward, d->m);

    int pt = hypotenuse(g, forward, across), mt = hypotenuse(g, pt, mass);
    int y = tw_onnx_add(g, asinh_of(g, tw_onnx_div(g, beam, mt)), d->rapidity);
    int eta = asinh_of(g, tw_onnx_div(g, tw_onnx_mul(g, mt, sinh_of(g, y)), pt));
    int phi = tw_onnx_wrap(g, tw_onnx_add(g, d->phi, atan2_of(g, across, forward)), PI);
    features[of->pt] = rounded(g, pt, 0);
    features[of->eta] = eta;
    features[of->phi] = angle_back(g, &of->circle, phi);
}

static void inverse_pair(struct tw_onnx_graph *g, const struct tw_coordinate *c, const struct tw_params *statistics,
                         double bound, const int *y, int *features)
{
    const int *f = c->features;
    int masses[2];

    for (int i = 0; i < 2; i++)
        masses[i] = c->of[i].mass < 0 ? number(g, c->of[i].number) : features[c->of[i].mass];

    struct moments pt = moments_of(statistics, f[TW_PAIR_PT]), rapidity = moments_of(statistics, f[TW_PAIR_RAPIDITY]);
    struct frame d = {
        .pt = tw_onnx_exp(g, tw_onnx_add_n(g, tw_onnx_mul_n(g, y[TW_PAIR_PT], pt.width), pt.mean)),
        .rapidity = tw_onnx_add_n(g, tw_onnx_mul_n(g, y[TW_PAIR_RAPIDITY], rapidity.width), rapidity.mean),
        .phi = y[TW_PAIR_PHI],
        .m = close_mass(g, c, statistics, f[TW_PAIR_MASS], y[TW_PAIR_MASS], pair_edge(g, c, masses[0], masses[1]))};

    d.mt = hypotenuse(g, d.m, d.pt);

    int k = rest_momentum(g, d.m, masses[0], masses[1]);
    int cosine = tw_onnx_min_n(g, tw_onnx_max_n(g, tw_onnx_div_n(g, y[TW_PAIR_COSINE], bound), -1), 1);
    int sine = tw_onnx_sqrt(g, tw_onnx_add_n(g, tw_onnx_neg(g, square(g, cosine)), 1));
    int side = tw_onnx_mul(g, k, sine), beam = tw_onnx_mul(g, k, cosine);
    int along = tw_onnx_mul(g, side, tw_onnx_cos(g, y[TW_PAIR_AZIMUTH]));
    int across = tw_onnx_mul(g, side, tw_onnx_sin(g, y[TW_PAIR_AZIMUTH]));

    boost(g, &d, along, across, beam, &c->of[0], masses[0], features);
    boost(g, &d, tw_onnx_neg(g, along), tw_onnx_neg(g, across), tw_onnx_neg(g, beam), &c->of[1], masses[1], features);
}

/* --- difference --- */

static void forward_difference(struct tw_onnx_graph *g, const struct tw_coordinate *c,
                               const struct tw_params *statistics, const int *features, int *y, int *jacobian,
                               int *inside)
{
    int first = features[c->features[0]], second = features[c->minus], gap = tw_onnx_sub(g, first, second);
    double range = c->circle.max - c->circle.min;

    *jacobian = number(g, c->angles ? log(2 * PI / range) : -log(moments_of(statistics, c->features[0]).width));
    y[0] = c->angles ? tw_onnx_wrap(g, tw_onnx_mul_n(g, gap, 2 * PI / range), PI)
                     : standard(g, statistics, c->features[0], gap);
    *inside = is_finite(g, y[0]);
}

static void inverse_difference(struct tw_onnx_graph *g, const struct tw_coordinate *c,
                               const struct tw_params *statistics, const int *y, int *features)
{
    struct moments m = moments_of(statistics, c->features[0]);
    int second = features[c->minus];

    if (!c->angles) {
        int gap = tw_onnx_add_n(g, tw_onnx_mul_n(g, y[0], m.width), m.mean);

        features[c->features[0]] = tw_onnx_add(g, second, gap);
        return;
    }

    int angle = tw_onnx_wrap(g, tw_onnx_add(g, y[0], angle_of(g, &c->circle, second)), PI);

    features[c->features[0]] = angle_back(g, &c->circle, angle);
}

/* --- all of them --- */

void tw_onnx_coordinates_forward(struct tw_onnx_graph *g, const struct tw_coordinates *coordinates, int k,
                                 const struct tw_params *statistics, double bound, const int *features, int *y,
                                 int *jacobian, int *inside)
{
    const struct tw_coordinate *c = &coordinates->list[k];

    switch (c->kind) {
    case TW_COORDINATE_MASS:
        forward_mass(g, c, statistics, features, y, jacobian, inside);
        break;
    case TW_COORDINATE_PAIR:
        forward_pair(g, c, statistics, bound, features, y, jacobian, inside);
        break;
    case TW_COORDINATE_DIFFERENCE:
        forward_difference(g, c, statistics, features, y, jacobian, inside);
        break;
    }
    *inside = tw_onnx_and(g, *inside, is_finite(g, *jacobian));
}

void tw_onnx_coordinates_inverse(struct tw_onnx_graph *g, const struct tw_coordinates *coordinates, int k,
                                 const struct tw_params *statistics, double bound, const int *y, int *features)
{
    const struct tw_coordinate *c = &coordinates->list[k];

    switch (c->kind) {
    case TW_COORDINATE_MASS:
        inverse_mass(g, c, statistics, y, features);
        break;
    case TW_COORDINATE_PAIR:
        inverse_pair(g, c, statistics, bound, y, features);
        break;
    case TW_COORDINATE_DIFFERENCE:
        inverse_difference(g, c, statistics, y, features);
        break;
    }
    for (int s = 0; s < c->slots; s++) { /* what comes next sees them as they are handed out */
        int *x = &features[c->features[s]];

        *x = tw_onnx_graph_cast(g, tw_onnx_graph_cast(g, *x, TW_ONNX_FLOAT), TW_ONNX_DOUBLE);
    }
}
