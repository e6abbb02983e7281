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
#include "model/flow_kind.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "flow/coupling.h"
#include "flow/masks.h"
#include "model/categorical.h"
#include "model/columns.h"
#include "model/coordinates.h"
#include "model/members.h"
#include "nn/map.h"

#define BLOCKS_MAX     64
#define CLASSES        UINT64_C(0x636c6173736573) /* a stream of the start, for the network of the classes */
#define PARAMETERS_MAX ((size_t)1 << 27)          /* an artifact of 512 MiB: a row of SQLite takes 10^9 bytes */

struct config {
    struct tw_coupling coupling;
    int *columns; /* (features of the coupling): which of the events' features; those that are not discrete */
    bool torus;
    int members;
    struct tw_coordinates *coordinates; /* NULL: none */
    struct tw_classes classes;
    struct tw_categorical law; /* if there are classes */
};

static void config_free(void *config)
{
    struct config *c = config;

    if (!c)
        return;
    tw_coupling_fini(&c->coupling);
    tw_coordinates_free(c->coordinates);
    tw_classes_fini(&c->classes);
    free(c->columns);
    free(c);
}

const struct tw_coupling *tw_flow_kind_coupling(const struct tw_kind_state *state)
{
    return &((const struct config *)state->config)->coupling;
}

/* --- JSON --- */

static int read_mask(const json_t *value, int block, int features, unsigned char *mask, struct tw_error *error)
{
    const char *text = json_string_value(value);
    int moved = 0;

    if (!text || json_string_length(value) != (size_t)features || strspn(text, "01") != (size_t)features)
        return tw_error_set(error, TW_INVALID, "model: masks[%d] must be a string of %d digits 0 or 1", block,
                            features);
    for (int f = 0; f < features; f++)
        moved += mask[f] = text[f] == '1';
    if (moved == 0 || (moved == features && features > 1))
        return tw_error_set(error, TW_INVALID, "model: masks[%d] must have both 0 and 1", block);
    return TW_OK;
}

static int read_masks(const json_t *json, struct tw_coupling *c, struct tw_error *error)
{
    const json_t *masks = json_object_get(json, "masks");

    if (!masks)
        return tw_masks_default(c->blocks, c->features, c->masks);
    if (!json_is_array(masks) || json_array_size(masks) != (size_t)c->blocks)
        return tw_error_set(error, TW_INVALID, "model: masks must be an array with one string for each block");
    for (int b = 0; b < c->blocks; b++) {
        int status = read_mask(json_array_get(masks, (size_t)b), b, c->features, c->masks + b * c->features, error);

        if (status)
            return status;
    }
    return TW_OK;
}

static bool has_circle(const struct tw_schema *schema)
{
    for (int f = 0; f < schema->features; f++)
        if (tw_columns_origin(schema, f) != f && tw_columns_origin(schema, f) >= 0)
            return true;
    return false;
}

static int read_members(const json_t *json, struct config *config, struct tw_error *error)
{
    struct tw_coupling *c = &config->coupling;
    int status;

    if ((status = tw_columns_read_int(json, "members", 1, TW_MEMBERS_MAX, &config->members, error)) ||
        (status = tw_columns_read_int(json, "bins", 2, 64, &c->bins, error)) ||
        (status = tw_columns_read_real(json, "bound", 0.5, 100, &c->bound, error)) ||
        (status = tw_columns_read_int(json, "harmonics", 1, 8, &c->harmonics, error)) ||
        (status = tw_columns_read_bool(json, "torus", &config->torus, error)) ||
        (status = tw_columns_read_hidden(json, &c->hidden_count, c->hidden, error)) ||
        (status = tw_columns_read_activation(json, &c->activation, error)))
        return status;
    return read_masks(json, c, error);
}

/* Refuses what could be asked for in a few bytes and never be trained or stored, before anything of it is allocated. */
static int check_size(struct config *config, struct tw_error *error)
{
    struct tw_params counted;

    tw_params_init(&counted);

    int status = tw_coupling_layout(&config->coupling, &counted); /* far beyond the limit it ends with TW_NO_MEMORY */
    bool fits = tw_params_values(&counted) <= PARAMETERS_MAX / (size_t)config->members;

    tw_params_fini(&counted);
    return fits ? status
                : tw_error_set(error, TW_INVALID,
                               "model: members, blocks, hidden and bins make more than %zu parameters", PARAMETERS_MAX);
}

static enum tw_spline_kind spline_kind(enum tw_transform_kind kind)
{
    switch (kind) {
    case TW_TRANSFORM_PERIODIC:
        return TW_SPLINE_CIRCULAR;
    case TW_TRANSFORM_BOUNDED:
        return TW_SPLINE_BOUNDED;
    case TW_TRANSFORM_REAL:
    case TW_TRANSFORM_LOG:
        break;
    }
    return TW_SPLINE_TAILS;
}

static int parse(const struct json_t *json, const struct tw_schema *schema, void **out, struct tw_error *error)
{
    static const char *const known[] = {"kind",       "members",   "blocks", "hidden", "bins",        "bound",
                                        "activation", "harmonics", "torus",  "masks",  "coordinates", NULL};
    int blocks = 8;
    int status = tw_columns_known(json, known, error);

    *out = NULL;
    if (status || (status = tw_columns_read_int(json, "blocks", 1, BLOCKS_MAX, &blocks, error)))
        return status;

    struct config *config = calloc(1, sizeof *config);

    if (!config)
        return TW_NO_MEMORY;

    struct tw_coupling *c = &config->coupling;
    int count = 0;

    config->columns = malloc((size_t)schema->features * sizeof *config->columns);
    status = config->columns ? tw_classes_init(&config->classes, schema) : TW_NO_MEMORY;
    if (status)
        goto fail;
    for (int f = 0; f < schema->features; f++)
        if (schema->columns[f].kind != TW_DISCRETE)
            config->columns[count++] = f;
    status = count ? tw_coupling_init(c, count, blocks)
                   : tw_error_set(error, TW_INVALID, "features: a flow needs one that is not discrete");
    if (status)
        goto fail;
    c->conditions = config->classes.codes + schema->conditions;
    c->bins = 8;
    c->bound = 5;
    c->harmonics = 1;
    c->hidden_count = 2;
    c->hidden[0] = c->hidden[1] = 128;
    c->activation = TW_SILU;
    config->torus = has_circle(schema);
    config->members = 1;
    status = read_members(json, config, error);
    if (!status)
        status = tw_coordinates_parse(json_object_get(json, "coordinates"), schema, &config->coordinates, error);
    for (int k = 0; k < count; k++) {
        int f = config->columns[k];
        bool other = tw_coordinates_find(config->coordinates, f) >= 0;

        c->kinds[k] =
            spline_kind(other ? tw_coordinates_kind(config->coordinates, f) : tw_columns_kind(&schema->columns[f]));
    }
    tw_categorical_init(&config->law, &config->classes, schema->conditions, c->activation);
    if (!status)
        status = tw_coupling_plan(c);
    if (!status)
        status = check_size(config, error);
    if (status)
        goto fail;
    *out = config;
    return TW_OK;

fail:
    config_free(config);
    return status;
}

static json_t *masks_json(const struct tw_coupling *c)
{
    json_t *masks = json_array();
    char *text = malloc((size_t)c->features + 1);

    bool whole = masks && text;

    for (int b = 0; whole && b < c->blocks; b++) {
        for (int f = 0; f < c->features; f++)
            text[f] = c->masks[b * c->features + f] ? '1' : '0';
        text[c->features] = 0;
        whole = json_array_append_new(masks, json_string(text)) == 0;
    }
    free(text);
    if (whole)
        return masks;
    json_decref(masks);
    return NULL;
}

static struct json_t *describe(const void *config)
{
    const struct config *cf = config;
    const struct tw_coupling *c = &cf->coupling;
    json_t *hidden = json_array();

    for (int i = 0; i < c->hidden_count && hidden; i++)
        if (json_array_append_new(hidden, json_integer(c->hidden[i]))) {
            json_decref(hidden);
            hidden = NULL;
        }
    json_t *json =
        json_pack("{s:s, s:i, s:i, s:o, s:s, s:i, s:f, s:i, s:b, s:o}", "kind", "flow", "members", cf->members,
                  "blocks", c->blocks, "hidden", hidden, "activation", tw_mlp_activation_name(c->activation), "bins",
                  c->bins, "bound", c->bound, "harmonics", c->harmonics, "torus", cf->torus, "masks", masks_json(c));

    if (json && cf->coordinates && json_object_set_new(json, "coordinates", tw_coordinates_json(cf->coordinates))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int members(const void *config)
{
    return ((const struct config *)config)->members;
}

/* --- tensors --- */

static int layout(void *config, const struct tw_schema *schema, struct tw_params *statistics,
                  struct tw_params *parameters)
{
    struct config *c = config;
    int status = tw_columns_layout(schema, statistics);

    if (!status)
        status = tw_coupling_layout(&c->coupling, parameters);
    return status || !c->classes.count ? status : tw_categorical_layout(&c->law, statistics, parameters);
}

static int prepare(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    const struct config *c = config;
    int status = tw_columns_prepare(data, statistics);

    if (!status)
        status = tw_coordinates_prepare(c->coordinates, data, statistics);
    return status || !c->classes.count ? status : tw_categorical_prepare(&c->law, data, statistics);
}

static int adapt(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    const struct config *c = config;

    return c->classes.count ? tw_categorical_adapt(&c->law, data, statistics) : TW_OK;
}

static bool statistics_ok(const void *config, const struct tw_schema *schema, const struct tw_params *statistics)
{
    const struct config *c = config;

    return tw_columns_ok(schema, statistics) && (!c->classes.count || tw_categorical_ok(&c->law, statistics));
}

static int init(const void *config, const struct tw_schema *schema, struct tw_params *parameters, uint64_t key)
{
    const struct config *c = config;

    tw_coupling_start(&c->coupling, parameters, key);
    if (c->classes.count)
        tw_categorical_start(&c->law, parameters, tw_rng_mix(key, CLASSES));
    return TW_OK;
}

/* --- coordinates --- */

static int prepared_rows(const void *config, const struct tw_schema *schema)
{
    const struct config *c = config;

    return c->coupling.features + (c->classes.count ? c->classes.count + 1 : 0);
}

/* Rounding to tw_real must not leave the interval. */
static tw_real into(double y, double bound)
{
    tw_real limit = (tw_real)bound, r = (tw_real)y;

    return r < -limit ? -limit : r > limit ? limit : r;
}

static bool replaced(const struct config *c, int f)
{
    return tw_coordinates_find(c->coordinates, f) >= 0;
}

/* The feature that angle f is relative to; -1 if none. A pair's azimuth comes before all that are measured. */
static int reference(const struct tw_kind_state *state, int f)
{
    const struct config *c = state->config;
    int first = c->torus ? tw_coordinates_origin(c->coordinates, state->schema, f) : -1;

    if (c->torus && first < 0)
        first = tw_columns_origin(state->schema, f);
    return first == f ? -1 : first;
}

/* The row of feature f. */
static int row_of(const struct config *c, int f)
{
    int k = 0;

    while (c->columns[k] != f)
        k++;
    return k;
}

/* Row k of a block, `all`; 0 where the feature is absent. */
static void prepare_feature(const struct tw_kind_state *state, int k, const float *values, int events, int cols,
                            tw_real *all, double *log_jacobian)
{
    const struct config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t n = (size_t)state->schema->features;
    int f = config->columns[k], first = reference(state, f);
    struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->bound);
    struct tw_transform_column origin =
        tw_columns_transform(state->schema, state->statistics, first < 0 ? f : first, c->bound);
    const tw_real *pair = first >= 0 && replaced(config, first) ? all + row_of(config, first) * cols : NULL;
    tw_real *out = all + k * cols;

    for (int i = 0; i < cols; i++) {
        const float *row = values + (size_t)(i < events ? i : 0) * n;

        if (isnan(row[f])) {
            out[i] = 0;
            continue;
        }

        double jacobian = 0, unused = 0, y = tw_transform_forward(&map, (double)row[f], &jacobian);

        if (first >= 0)
            y = tw_transform_wrap(
                y - (pair ? (double)pair[i] : tw_transform_forward(&origin, (double)row[first], &unused)));
        if (log_jacobian)
            log_jacobian[i] += jacobian;
        out[i] = c->kinds[k] == TW_SPLINE_TAILS ? (tw_real)y : into(y, tw_coupling_bound(c, k));
    }
}

/* Levels of the class and its slot in the table. */
static void prepare_class(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out)
{
    const struct config *c = state->config;
    size_t n = (size_t)state->schema->features;

    for (int j = 0; j < c->classes.count; j++)
        for (int i = 0; i < cols; i++) {
            float value = values[(size_t)(i < events ? i : 0) * n + (size_t)c->classes.factors[j].feature];

            out[j * cols + i] = (tw_real)tw_classes_level(&c->classes, state->schema, j, value);
        }
    tw_categorical_find(&c->law, state->statistics, cols, out, out + c->classes.count * cols);
}

/* The rows of coordinates. */
static void prepare_coordinates(const struct tw_kind_state *state, const float *values, int events, int cols,
                                tw_real *out, double *log_jacobian)
{
    const struct config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(config->coordinates); k++) {
        const int *features;
        int slots = tw_coordinates_features(config->coordinates, k, &features);

        for (int i = 0; i < cols; i++) {
            const float *event = values + (size_t)(i < events ? i : 0) * n;
            double jacobian = 0, y[TW_COORDINATES_SLOTS_MAX];

            tw_coordinates_forward(config->coordinates, k, state->statistics, c->bound, event, y, &jacobian);
            if (log_jacobian)
                log_jacobian[i] += jacobian;
            for (int s = 0; s < slots; s++) {
                int row = row_of(config, features[s]);

                out[row * cols + i] =
                    c->kinds[row] == TW_SPLINE_TAILS ? (tw_real)y[s] : into(y[s], tw_coupling_bound(c, row));
            }
        }
    }
}

static void prepare_block(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian)
{
    const struct config *c = state->config;
    int rows = c->coupling.features;

    for (int i = 0; log_jacobian && i < cols; i++)
        log_jacobian[i] = 0;
    prepare_coordinates(state, values, events, cols, out, log_jacobian);
    for (int k = 0; k < rows; k++)
        if (!replaced(c, c->columns[k]))
            prepare_feature(state, k, values, events, cols, out, log_jacobian);
    if (c->classes.count)
        prepare_class(state, values, events, cols, out + rows * cols);
}

/* Fills in the replaced features: functions of the coordinates and of features that are there already, as they are in
 * float32, so that the event has the very mass that was drawn. */
static void recover(const struct tw_kind_state *state, int cols, const tw_real *x, float *out)
{
    const struct config *config = state->config;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(config->coordinates); k++) {
        const int *features;
        int slots = tw_coordinates_features(config->coordinates, k, &features);

        for (int i = 0; i < cols; i++) {
            double y[TW_COORDINATES_SLOTS_MAX];

            for (int s = 0; s < slots; s++)
                y[s] = (double)x[row_of(config, features[s]) * cols + i];
            tw_coordinates_inverse(config->coordinates, k, state->statistics, config->coupling.bound, y,
                                   out + (size_t)i * n);
        }
    }
}

/* x (rows, cols) and levels (J, cols) -> raw units, (cols, D). */
static void to_raw(const struct tw_kind_state *state, int cols, const tw_real *x, const tw_real *levels, float *out)
{
    const struct config *c = state->config;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < c->coupling.features; k++) {
        int f = c->columns[k], first = reference(state, f);
        struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->coupling.bound);
        const tw_real *origin = first >= 0 ? x + row_of(c, first) * cols : NULL;

        if (replaced(c, f)) {
            for (int i = 0; i < cols; i++)
                out[(size_t)i * n + (size_t)f] = 0; /* there, for now */
            continue;
        }
        for (int i = 0; i < cols; i++) {
            double y = (double)x[k * cols + i] + (origin ? (double)origin[i] : 0);

            out[(size_t)i * n + (size_t)f] = tw_transform_to_float(&map, tw_transform_inverse(&map, y));
        }
    }
    for (int j = 0; j < c->classes.count; j++) {
        int f = c->classes.factors[j].feature;
        bool discrete = state->schema->columns[f].kind == TW_DISCRETE;

        for (int i = 0; i < cols; i++) {
            float value = tw_classes_value(&c->classes, state->schema, j, (int)levels[j * cols + i]);

            if (discrete || isnan(value))
                out[(size_t)i * n + (size_t)f] = value;
        }
    }
    recover(state, cols, x, out);
}

/* --- what the blocks are told about the class --- */

struct context {
    const tw_real *conditions; /* (codes + C, cols), NULL if there are none */
    const tw_real *present;    /* (coordinates, cols), NULL if all are */
};

/* From levels (J, cols), which are not read without classes. TW_NO_MEMORY or 0. */
static int context_of(const struct tw_kind_state *state, struct tw_arena *arena, int cols, const tw_real *levels,
                      const tw_real *conditions, struct context *out)
{
    const struct config *c = state->config;
    size_t n = (size_t)cols, codes = (size_t)c->classes.codes, rows = (size_t)c->coupling.conditions;

    *out = (struct context){.conditions = conditions};
    if (!c->classes.count)
        return TW_OK;

    tw_real *all = tw_arena_alloc(arena, (rows + (size_t)c->coupling.features) * n * sizeof *all);

    if (!all)
        return TW_NO_MEMORY;
    tw_classes_code(&c->classes, cols, levels, all);
    if (rows > codes)
        memcpy(all + codes * n, conditions, (rows - codes) * n * sizeof *all);
    out->conditions = all;
    if (!c->classes.incomplete)
        return TW_OK;
    for (int k = 0; k < c->coupling.features; k++)
        tw_classes_present(&c->classes, state->schema, c->columns[k], cols, levels, all + (rows + (size_t)k) * n);
    out->present = all + rows * n;
    return TW_OK;
}

/* --- training and queries --- */

static struct tw_var *loss(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block)
{
    const struct config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    const tw_real *levels = block->features + c->features * block->cols;
    struct context context;

    if (context_of(state, tape->arena, block->cols, levels, block->conditions, &context))
        return NULL;

    struct tw_var *loss = tw_coupling_loss(
        c, tape, tw_tape_constant(tape, c->features, block->features),
        c->conditions ? tw_tape_constant(tape, c->conditions, context.conditions) : NULL, context.present);

    if (!config->classes.count)
        return loss;

    int conditions = state->schema->conditions;
    const tw_real *slots = levels + config->classes.count * block->cols;

    return tw_map_add(tape, loss,
                      tw_categorical_loss(&config->law, state->statistics, tape, slots,
                                          conditions ? tw_tape_constant(tape, conditions, block->conditions) : NULL));
}

static int log_prob(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena,
                    int cols, tw_real *features, const tw_real *conditions, double *out)
{
    const struct config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    const tw_real *levels = features + c->features * cols;
    tw_real *log_det = tw_arena_alloc(arena, (size_t)cols * sizeof *log_det);
    struct context context;

    if (!log_det)
        return TW_NO_MEMORY;
    memset(log_det, 0, (size_t)cols * sizeof *log_det);

    int status = context_of(state, arena, cols, levels, conditions, &context);

    if (status || (status = tw_coupling_forward(c, state->parameters, kernels, arena, cols, features,
                                                context.conditions, context.present, log_det)))
        return status;
    tw_coupling_base_log_prob(c, cols, features, context.present, out);
    for (int i = 0; i < cols; i++)
        out[i] += (double)log_det[i];
    if (!config->classes.count)
        return TW_OK;
    return tw_categorical_log_prob(&config->law, state->statistics, state->parameters, kernels, arena, cols,
                                   levels + config->classes.count * cols, conditions, out);
}

static int sample(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  uint64_t key, const uint64_t *events, const tw_real *conditions, float *out)
{
    const struct config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t factors = (size_t)config->classes.count, n = (size_t)cols;
    tw_real *x = tw_arena_alloc(arena, ((size_t)c->features + factors + 1) * n * sizeof *x);
    struct context context;
    int status = TW_OK;

    if (!x)
        return TW_NO_MEMORY;

    tw_real *levels = x + (size_t)c->features * n, *log_det = levels + factors * n;

    memset(log_det, 0, n * sizeof *log_det);
    if (factors)
        status = tw_categorical_draw(&config->law, state->statistics, state->parameters, kernels, arena, key, events,
                                     cols, conditions, levels);
    if (status || (status = context_of(state, arena, cols, levels, conditions, &context)))
        return status;
    tw_coupling_base_draw(c, key, events, cols, x);
    for (size_t i = 0; context.present && i < (size_t)c->features * n; i++)
        x[i] *= context.present[i];
    status = tw_coupling_inverse(c, state->parameters, kernels, arena, cols, x, context.conditions, context.present,
                                 log_det);
    if (!status)
        to_raw(state, cols, x, levels, out);
    return status;
}

const struct tw_kind tw_flow_kind = {
    .name = "flow",
    .format = 1,
    .outputs = 1u << TW_OUTPUT_LOG_PROB | 1u << TW_OUTPUT_SAMPLE,
    .parse = parse,
    .describe = describe,
    .config_free = config_free,
    .members = members,
    .layout = layout,
    .prepare = prepare,
    .init = init,
    .statistics_ok = statistics_ok,
    .adapt = adapt,
    .prepared_rows = prepared_rows,
    .prepare_block = prepare_block,
    .loss = loss,
    .log_prob = log_prob,
    .sample = sample,
};
