#include "model/coordinates.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow/mass.h"
#include "flow/peak.h"
#include "model/columns.h"

/* Features of a particle; its mass is one, or a number. */
struct particle {
    int pt, eta, phi, mass; /* mass: -1 if it is a number */
    double number;
    double radians; /* in a unit of phi */
};

struct coordinate {
    int feature; /* that is replaced */
    double open; /* the least that this feature may be, excluded */
    double min;  /* of the mass */
    struct tw_peak peak;
    int count;
    struct particle of[TW_COORDINATES_PARTICLES_MAX]; /* the last one is that whose pt is replaced */
};

struct tw_coordinates {
    int count;
    json_t *json;
    struct coordinate list[];
};

void tw_coordinates_free(struct tw_coordinates *coordinates)
{
    if (!coordinates)
        return;
    json_decref(coordinates->json);
    free(coordinates);
}

struct json_t *tw_coordinates_json(const struct tw_coordinates *coordinates)
{
    return json_deep_copy(coordinates->json);
}

int tw_coordinates_count(const struct tw_coordinates *coordinates)
{
    return coordinates ? coordinates->count : 0;
}

int tw_coordinates_feature(const struct tw_coordinates *coordinates, int k)
{
    return coordinates->list[k].feature;
}

int tw_coordinates_find(const struct tw_coordinates *coordinates, int f)
{
    for (int k = 0; coordinates && k < coordinates->count; k++)
        if (coordinates->list[k].feature == f)
            return k;
    return -1;
}

/* --- parsing --- */

struct reader {
    const struct tw_schema *schema;
    const struct tw_coordinates *before; /* those that stand earlier in the list */
    size_t index;
    struct tw_error *error;
};

#define REFUSE(reader, format, ...)                                                                                    \
    tw_error_set((reader)->error, TW_INVALID, "model: coordinates[%zu]: " format, (reader)->index, ##__VA_ARGS__)

static bool find_feature(const struct reader *r, const json_t *value, int *f)
{
    *f = json_is_string(value) ? tw_schema_find(r->schema, json_string_value(value)) : -1;
    return *f >= 0 && *f < r->schema->features;
}

static int check_there(const struct reader *r, int f)
{
    const struct tw_column *column = &r->schema->columns[f];

    return column->optional || column->kind == TW_DISCRETE
               ? REFUSE(r, "of: feature %s is %s", column->name, column->optional ? "optional" : "discrete")
               : TW_OK;
}

static bool is_positive(const struct reader *r, int f)
{
    const struct tw_column *column = &r->schema->columns[f];

    return column->transform == TW_LOG && column->min >= 0;
}

static int read_particle(const struct reader *r, const json_t *value, struct particle *p)
{
    const json_t *mass = json_array_get(value, 3);
    const struct tw_column *columns = r->schema->columns;
    int status;

    *p = (struct particle){.mass = -1};
    if (json_array_size(value) != 4 || !find_feature(r, json_array_get(value, 0), &p->pt) ||
        !find_feature(r, json_array_get(value, 1), &p->eta) || !find_feature(r, json_array_get(value, 2), &p->phi))
        return REFUSE(r, "of: a particle is [pt, eta, phi, mass], names of features; mass may be a number");
    if ((status = check_there(r, p->pt)) || (status = check_there(r, p->eta)) || (status = check_there(r, p->phi)))
        return status;
    if (!is_positive(r, p->pt))
        return REFUSE(r, "of: feature %s needs transform \"log\" and a min of at least 0", columns[p->pt].name);
    if (tw_columns_kind(&columns[p->eta]) == TW_TRANSFORM_PERIODIC)
        return REFUSE(r, "of: feature %s must not be periodic", columns[p->eta].name);
    if (columns[p->phi].kind != TW_PERIODIC)
        return REFUSE(r, "of: feature %s must be periodic", columns[p->phi].name);
    p->radians = 2 * TW_TRANSFORM_PI / (columns[p->phi].max - columns[p->phi].min);
    if (json_is_number(mass)) {
        p->number = json_number_value(mass);
        return p->number >= 0 && p->number <= 1e6 ? TW_OK : REFUSE(r, "of: a mass must be a number from 0 to 1e6");
    }
    if (!find_feature(r, mass, &p->mass) || !is_positive(r, p->mass))
        return REFUSE(r, "of: a mass must be a number, or a feature with transform \"log\" and a min of at least 0");
    return check_there(r, p->mass);
}

static int read_of(const struct reader *r, const json_t *value, struct coordinate *c)
{
    size_t n = json_array_size(value);

    if (n < 2 || n > TW_COORDINATES_PARTICLES_MAX)
        return REFUSE(r, "of must be an array of 2 to %d particles", TW_COORDINATES_PARTICLES_MAX);
    for (size_t i = 0; i < n; i++) {
        int status = read_particle(r, json_array_get(value, i), &c->of[i]);

        if (status)
            return status;
        if (r->schema->columns[c->of[i].phi].min != r->schema->columns[c->of[0].phi].min ||
            r->schema->columns[c->of[i].phi].max != r->schema->columns[c->of[0].phi].max)
            return REFUSE(r, "of: all angles must have the same min and max");
    }
    c->count = (int)n;
    return TW_OK;
}

static bool uses(const struct particle *p, int f)
{
    return p->pt == f || p->eta == f || p->phi == f || p->mass == f;
}

/* Brings the particle whose pt is replaced to the end, and sees that the replaced feature occurs nowhere else. */
static int order_particles(const struct reader *r, struct coordinate *c)
{
    const char *name = r->schema->columns[c->feature].name;
    int last = c->count - 1, at = last, occurs = 0;

    for (int i = 0; i < c->count; i++) {
        const struct particle *p = &c->of[i];

        occurs += (p->pt == c->feature) + (p->eta == c->feature) + (p->phi == c->feature) + (p->mass == c->feature);
        at = p->pt == c->feature ? i : at;
    }

    struct particle opened = c->of[at];

    c->of[at] = c->of[last];
    c->of[last] = opened;
    if (occurs != 1 || opened.pt != c->feature)
        return REFUSE(r, "replaces: feature %s must be the pt of exactly one particle in \"of\"", name);
    if (tw_coordinates_find(r->before, c->feature) >= 0)
        return REFUSE(r, "replaces: feature %s is replaced already", name);
    c->open = r->schema->columns[c->feature].min;
    for (int k = 0; k < r->before->count; k++)
        for (int i = 0; i < r->before->list[k].count; i++)
            if (uses(&r->before->list[k].of[i], c->feature))
                return REFUSE(r, "replaces: feature %s is needed by coordinates[%d], which stands before", name, k);
    return TW_OK;
}

static int read_positive(const struct reader *r, const json_t *value, const char *member, double *out)
{
    *out = json_number_value(value);
    return json_is_number(value) && *out > 0 && *out <= 1e9 ? TW_OK
                                                            : REFUSE(r, "%s must be a number above 0, to 1e9", member);
}

static int read_peak(const struct reader *r, const json_t *value, struct tw_peak *peak)
{
    if (json_is_null(value))
        return TW_OK;
    if (!json_is_object(value) || json_object_size(value) != 2)
        return REFUSE(r, "peak must be {\"at\", \"width\"}");

    int status = read_positive(r, json_object_get(value, "at"), "peak: at", &peak->at);

    if (!status)
        status = read_positive(r, json_object_get(value, "width"), "peak: width", &peak->width);
    return !status && peak->width < 1e-6 * peak->at ? REFUSE(r, "peak: width must be at least 1e-6 of at") : status;
}

static int read_name(const struct reader *r, const json_t *value)
{
    const char *name = json_string_value(value);

    if (!name || !tw_schema_name_ok(name))
        return REFUSE(r, "name must be letters, digits and _, at most %d, and not begin with a digit", TW_NAME_MAX - 1);
    if (tw_schema_find(r->schema, name) >= 0)
        return REFUSE(r, "name \"%s\" is taken by a column", name);
    for (size_t k = 0; k < r->index; k++)
        if (!strcmp(json_string_value(json_object_get(json_array_get(r->before->json, k), "name")), name))
            return REFUSE(r, "name \"%s\" is taken twice", name);
    return TW_OK;
}

static int read_member(const struct reader *r, const char *member, const json_t *value, struct coordinate *c)
{
    if (!strcmp(member, "name"))
        return read_name(r, value);
    if (!strcmp(member, "kind"))
        return json_is_string(value) && !strcmp(json_string_value(value), "mass") ? TW_OK
                                                                                  : REFUSE(r, "kind must be \"mass\"");
    if (!strcmp(member, "of"))
        return read_of(r, value, c);
    if (!strcmp(member, "replaces"))
        return find_feature(r, value, &c->feature) ? TW_OK : REFUSE(r, "replaces must be the name of a feature");
    if (!strcmp(member, "peak"))
        return read_peak(r, value, &c->peak);
    if (!strcmp(member, "min"))
        return json_is_number(value) && json_number_value(value) == 0 ? TW_OK : read_positive(r, value, "min", &c->min);
    return REFUSE(r, "unknown member \"%.60s\"", member);
}

static int read_coordinate(const struct reader *r, const json_t *json, struct coordinate *c)
{
    static const char *const required[] = {"name", "kind", "of", "replaces", NULL};
    const char *member;
    json_t *value;

    if (!json_is_object(json))
        return REFUSE(r, "must be an object");
    json_object_foreach((json_t *)(uintptr_t)json, member, value)
    {
        int status = read_member(r, member, value, c);

        if (status)
            return status;
    }
    for (const char *const *name = required; *name; name++)
        if (!json_object_get(json, *name))
            return REFUSE(r, "%s is missing", *name);
    return order_particles(r, c);
}

/* With numbers as reals, so that what is written is the same whoever wrote it first. */
static json_t *coordinate_json(const json_t *json, const struct coordinate *c)
{
    json_t *of = json_deep_copy(json_object_get(json, "of")), *particle, *peak = json_null();
    size_t i;

    json_array_foreach(of, i, particle)
    {
        json_t *mass = json_array_get(particle, 3);

        if (json_is_number(mass))
            json_array_set_new(particle, 3, json_real(json_number_value(mass)));
    }
    if (c->peak.width > 0)
        peak = json_pack("{s:f, s:f}", "at", c->peak.at, "width", c->peak.width);
    return json_pack("{s:O, s:s, s:o, s:O, s:o, s:f}", "name", json_object_get(json, "name"), "kind", "mass", "of", of,
                     "replaces", json_object_get(json, "replaces"), "peak", peak, "min", c->min);
}

int tw_coordinates_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_coordinates **out,
                         struct tw_error *error)
{
    size_t n = json_array_size(json), i;
    struct tw_coordinates *made;
    json_t *item;
    int status = TW_OK;

    *out = NULL;
    if (json && (!json_is_array(json) || n > TW_COORDINATES_MAX))
        return tw_error_set(error, TW_INVALID, "model: coordinates must be an array of at most %d", TW_COORDINATES_MAX);
    if (n == 0)
        return TW_OK;
    made = calloc(1, sizeof *made + n * sizeof *made->list);
    if (!made || !(made->json = json_array())) {
        free(made);
        return TW_NO_MEMORY;
    }
    json_array_foreach(json, i, item)
    {
        struct reader reader = {.schema = schema, .before = made, .index = i, .error = error};

        status = read_coordinate(&reader, item, &made->list[i]);
        if (!status && json_array_append_new(made->json, coordinate_json(item, &made->list[i])))
            status = TW_NO_MEMORY;
        if (status) {
            tw_coordinates_free(made);
            return status;
        }
        made->count++;
    }
    *out = made;
    return TW_OK;
}

/* --- an event --- */

static struct tw_mass_particle particle_of(const struct particle *p, const float *row)
{
    return (struct tw_mass_particle){.pt = (double)row[p->pt],
                                     .eta = (double)row[p->eta],
                                     .phi = p->radians * (double)row[p->phi],
                                     .mass = p->mass < 0 ? p->number : (double)row[p->mass]};
}

/* The event without the replaced momentum; *least is what this momentum has to be above, *edge the mass there. */
static struct tw_mass open_event(const struct coordinate *c, const float *row, double *least, double *edge)
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

/* h, before it is standardised, and of the edge; NaN outside the domain. */
static double line(const struct coordinate *c, const float *row, double *low, double *log_jacobian)
{
    double least, edge, slope, unused = 0, x = (double)row[c->feature];
    struct tw_mass mass = open_event(c, row, &least, &edge);
    double m = sqrt(tw_mass_square(&mass, x, &slope));

    *low = edge > 0 ? tw_peak_forward(&c->peak, edge, &unused) : -INFINITY;
    if (!(x > least && m > edge && slope > 0))
        return NAN;
    *log_jacobian += log(slope / (2 * m));
    return tw_peak_forward(&c->peak, m, log_jacobian);
}

double tw_coordinates_forward(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                              const float *row, double *log_jacobian)
{
    const struct coordinate *c = &coordinates->list[k];
    double mean, width, low, jacobian = 0, h = line(c, row, &low, &jacobian);

    tw_columns_moments(statistics, c->feature, &mean, &width);

    double y = tw_peak_open((h - mean) / width, (low - mean) / width, &jacobian);

    jacobian -= log(width);
    if (!isfinite(y) || !isfinite(jacobian)) {
        *log_jacobian = -INFINITY;
        return NAN;
    }
    *log_jacobian += jacobian;
    return y;
}

float tw_coordinates_inverse(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                             const float *row, double y)
{
    const struct coordinate *c = &coordinates->list[k];
    double mean, width, least, edge, unused = 0;
    struct tw_mass mass = open_event(c, row, &least, &edge);

    tw_columns_moments(statistics, c->feature, &mean, &width);

    double low = edge > 0 ? (tw_peak_forward(&c->peak, edge, &unused) - mean) / width : -INFINITY;
    double m = tw_peak_inverse(&c->peak, mean + width * tw_peak_close(y, low));
    struct tw_transform_column column = {.kind = TW_TRANSFORM_LOG, .min = fmin(least, 1e30)};

    return tw_transform_to_float(&column, tw_mass_solve(&mass, m * m));
}

int tw_coordinates_prepare(const struct tw_coordinates *coordinates, const struct tw_data *data,
                           struct tw_params *statistics)
{
    double *h = malloc((data->rows + 1) * sizeof *h);

    if (!h)
        return TW_NO_MEMORY;
    for (int k = 0; k < tw_coordinates_count(coordinates); k++) {
        const struct coordinate *c = &coordinates->list[k];
        size_t kept = 0;

        for (size_t i = 0; i < data->rows; i++) {
            double low, unused = 0;

            h[kept] = line(c, data->features + i * (size_t)data->schema->features, &low, &unused);
            kept += isfinite(h[kept]);
        }
        tw_columns_set_moments(statistics, c->feature, h, kept);
    }
    free(h);
    return TW_OK;
}
