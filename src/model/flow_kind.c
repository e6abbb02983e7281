/* Prepared coordinates of a flow: real features standardised, bounded ones on [-bound, bound], angles on [-pi, pi).
 *
 * Torus: angles of one period are taken relative to the first of them, t_k = wrap(phi_k - phi_0). The map preserves
 * volume, and makes explicit the differences that carry the physics, which a network would else have to build from
 * pairs of angles.
 */
#include "model/flow_kind.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow/coupling.h"
#include "flow/masks.h"
#include "model/columns.h"
#include "model/coordinates.h"
#include "model/members.h"

#define BLOCKS_MAX     64
#define PARAMETERS_MAX ((size_t)1 << 27) /* an artifact of 512 MiB: a row of SQLite takes 10^9 bytes */

struct config {
    struct tw_coupling coupling;
    bool torus;
    int members;
    struct tw_coordinates *coordinates; /* NULL: none */
};

static void config_free(void *config)
{
    struct config *c = config;

    if (!c)
        return;
    tw_coupling_fini(&c->coupling);
    tw_coordinates_free(c->coordinates);
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
        if (tw_columns_circle(schema, f) != f && tw_columns_circle(schema, f) >= 0)
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

static enum tw_spline_kind spline_kind(const struct tw_column *column)
{
    switch (tw_columns_kind(column)) {
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

    status = tw_coupling_init(c, schema->features, blocks);
    if (status)
        goto fail;
    c->conditions = schema->conditions;
    c->bins = 8;
    c->bound = 5;
    c->harmonics = 1;
    c->hidden_count = 2;
    c->hidden[0] = c->hidden[1] = 128;
    c->activation = TW_SILU;
    config->torus = has_circle(schema);
    config->members = 1;
    for (int f = 0; f < schema->features; f++)
        c->kinds[f] = spline_kind(&schema->columns[f]);
    status = read_members(json, config, error);
    if (!status)
        status = tw_coordinates_parse(json_object_get(json, "coordinates"), schema, &config->coordinates, error);
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

    return status ? status : tw_coupling_layout(&c->coupling, parameters);
}

static int prepare(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    int status = tw_columns_prepare(data, statistics);

    return status ? status : tw_coordinates_prepare(((const struct config *)config)->coordinates, data, statistics);
}

static int init(const void *config, const struct tw_schema *schema, struct tw_params *parameters, uint64_t key)
{
    tw_coupling_start(&((const struct config *)config)->coupling, parameters, key);
    return TW_OK;
}

/* --- coordinates --- */

static int prepared_rows(const void *config, const struct tw_schema *schema)
{
    return schema->features;
}

/* The angle that feature f is relative to; -1 if none. */
static int reference(const struct tw_kind_state *state, int f)
{
    int first = ((const struct config *)state->config)->torus ? tw_columns_circle(state->schema, f) : -1;

    return first == f ? -1 : first;
}

/* Rounding to tw_real must not leave the interval. */
static tw_real into(double y, double bound)
{
    tw_real limit = (tw_real)bound, r = (tw_real)y;

    return r < -limit ? -limit : r > limit ? limit : r;
}

/* The rows of coordinates, which features that they replace have left alone. */
static void prepare_coordinates(const struct tw_kind_state *state, const float *values, int events, int cols,
                                tw_real *out, double *log_jacobian)
{
    const struct tw_coordinates *coordinates = ((const struct config *)state->config)->coordinates;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(coordinates); k++) {
        tw_real *to = out + tw_coordinates_feature(coordinates, k) * cols;

        for (int i = 0; i < cols; i++) {
            double jacobian = 0;

            to[i] = (tw_real)tw_coordinates_forward(coordinates, k, state->statistics,
                                                    values + (size_t)(i < events ? i : 0) * n, &jacobian);
            if (log_jacobian)
                log_jacobian[i] += jacobian;
        }
    }
}

static bool replaced(const struct tw_kind_state *state, int f)
{
    return tw_coordinates_find(((const struct config *)state->config)->coordinates, f) >= 0;
}

static void prepare_block(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian)
{
    const struct tw_coupling *c = tw_flow_kind_coupling(state);
    int n = c->features;

    for (int i = 0; log_jacobian && i < cols; i++)
        log_jacobian[i] = 0;
    for (int f = 0; f < n; f++) {
        struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->bound);
        int first = reference(state, f);
        struct tw_transform_column origin =
            tw_columns_transform(state->schema, state->statistics, first < 0 ? f : first, c->bound);

        if (replaced(state, f))
            continue;

        for (int i = 0; i < cols; i++) {
            const float *row = values + (size_t)(i < events ? i : 0) * (size_t)n;
            double jacobian = 0, unused = 0, y = tw_transform_forward(&map, (double)row[f], &jacobian);

            if (first >= 0)
                y = tw_transform_wrap(y - tw_transform_forward(&origin, (double)row[first], &unused));
            if (log_jacobian)
                log_jacobian[i] += jacobian;
            out[f * cols + i] = c->kinds[f] == TW_SPLINE_TAILS ? (tw_real)y : into(y, tw_coupling_bound(c, f));
        }
    }
    prepare_coordinates(state, values, events, cols, out, log_jacobian);
}

/* Fills in the replaced features: each is a function of its coordinate and of features that are there already, as they
 * are in float32, so that the event has the very mass that was drawn. */
static void recover(const struct tw_kind_state *state, int cols, const tw_real *x, float *out)
{
    const struct tw_coordinates *coordinates = ((const struct config *)state->config)->coordinates;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(coordinates); k++) {
        int f = tw_coordinates_feature(coordinates, k);

        for (int i = 0; i < cols; i++) {
            float *row = out + (size_t)i * n;

            row[f] = tw_coordinates_inverse(coordinates, k, state->statistics, row, (double)x[f * cols + i]);
        }
    }
}

/* x (D, cols) -> raw units, (cols, D). */
static void to_raw(const struct tw_kind_state *state, int cols, const tw_real *x, float *out)
{
    const struct tw_coupling *c = tw_flow_kind_coupling(state);
    int n = c->features;

    for (int f = 0; f < n; f++) {
        struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->bound);
        int first = reference(state, f);

        for (int i = 0; i < cols && !replaced(state, f); i++) {
            double y = (double)x[f * cols + i] + (first >= 0 ? (double)x[first * cols + i] : 0);

            out[(size_t)i * (size_t)n + (size_t)f] = tw_transform_to_float(&map, tw_transform_inverse(&map, y));
        }
    }
    recover(state, cols, x, out);
}

/* --- training and queries --- */

static struct tw_var *loss(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block)
{
    const struct tw_coupling *c = tw_flow_kind_coupling(state);

    return tw_coupling_loss(c, tape, tw_tape_constant(tape, c->features, block->features),
                            c->conditions ? tw_tape_constant(tape, c->conditions, block->conditions) : NULL);
}

static int log_prob(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena,
                    int cols, tw_real *features, const tw_real *conditions, double *out)
{
    const struct tw_coupling *c = tw_flow_kind_coupling(state);
    tw_real *log_det = tw_arena_alloc(arena, (size_t)cols * sizeof *log_det);

    if (!log_det)
        return TW_NO_MEMORY;
    memset(log_det, 0, (size_t)cols * sizeof *log_det);

    int status = tw_coupling_forward(c, state->parameters, kernels, arena, cols, features, conditions, log_det);

    if (status)
        return status;
    tw_coupling_base_log_prob(c, cols, features, out);
    for (int i = 0; i < cols; i++)
        out[i] += (double)log_det[i];
    return TW_OK;
}

static int sample(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  uint64_t key, const uint64_t *events, const tw_real *conditions, float *out)
{
    const struct tw_coupling *c = tw_flow_kind_coupling(state);
    tw_real *x = tw_arena_alloc(arena, (size_t)(c->features + 1) * (size_t)cols * sizeof *x);

    if (!x)
        return TW_NO_MEMORY;

    tw_real *log_det = x + (size_t)c->features * (size_t)cols;

    memset(log_det, 0, (size_t)cols * sizeof *log_det);
    tw_coupling_base_draw(c, key, events, cols, x);

    int status = tw_coupling_inverse(c, state->parameters, kernels, arena, cols, x, conditions, log_det);

    if (!status)
        to_raw(state, cols, x, out);
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
    .statistics_ok = tw_columns_ok,
    .prepared_rows = prepared_rows,
    .prepare_block = prepare_block,
    .loss = loss,
    .log_prob = log_prob,
    .sample = sample,
};
