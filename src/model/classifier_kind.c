/* Inputs of the classifier: features through their transforms, standardised and clipped (a score need not be
 * invertible); angles as cosine and sine, and so the differences of angles of one period, which are what events share
 * when the detector is rotated. What is absent is 0, and so are cosine and sine where an angle is; which features are
 * there and the values of discrete ones come as the code of the class. The score is the logit. */
#include "model/classifier_kind.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/classes.h"
#include "model/columns.h"
#include "nn/mlp.h"
#include "nn/reduce.h"

#define CLIP      8.0 /* standard deviations */
#define ALL_PAIRS 8   /* with more angles of one period only differences to the first are taken */

/* One input, or the cosine and sine of an angle or of a difference. */
struct input {
    int feature, minus; /* minus: -1, or the angle to subtract */
    bool angle;
};

struct config {
    bool quartiles; /* scales are those of the bulk */
    struct tw_mlp mlp;
    int count, rows; /* of inputs; of prepared rows, angles counted twice, and the code */
    struct input *inputs;
    struct tw_classes classes;
};

static void config_free(void *config)
{
    struct config *c = config;

    if (!c)
        return;
    free(c->inputs);
    tw_classes_fini(&c->classes);
    free(c);
}

static void add_input(struct config *c, int feature, int minus, bool angle)
{
    c->inputs[c->count++] = (struct input){.feature = feature, .minus = minus, .angle = angle};
    c->rows += angle ? 2 : 1;
}

/* Angles on the circle of f that come before it. */
static int earlier(const struct tw_schema *schema, int f)
{
    int count = 0;

    for (int g = 0; g < f; g++)
        count += tw_columns_circle(schema, g) == tw_columns_circle(schema, f);
    return count;
}

static int choose_inputs(struct config *c, const struct tw_schema *schema)
{
    c->inputs = malloc((size_t)schema->features * (ALL_PAIRS + 2) * sizeof *c->inputs);
    if (!c->inputs)
        return TW_NO_MEMORY;
    for (int f = 0; f < schema->features; f++) {
        int circle = tw_columns_circle(schema, f);

        if (schema->columns[f].kind == TW_DISCRETE)
            continue;
        add_input(c, f, -1, circle >= 0);
        if (circle < 0)
            continue;

        bool all = earlier(schema, f) < ALL_PAIRS;

        for (int g = 0; g < f; g++)
            if (g == circle || (all && tw_columns_circle(schema, g) == circle))
                add_input(c, f, g, true);
    }
    c->rows += c->classes.codes;
    return TW_OK;
}

static int parse(const struct json_t *json, const struct tw_schema *schema, void **out, struct tw_error *error)
{
    static const char *const known[] = {"kind", "hidden", "activation", "quartiles", NULL};
    struct config *config = calloc(1, sizeof *config);
    int status = TW_NO_MEMORY;

    *out = NULL;
    if (!config)
        return TW_NO_MEMORY;
    config->mlp = (struct tw_mlp){.hidden_count = 2, .hidden = {64, 64}, .activation = TW_SILU, .out = 1};
    if ((status = tw_columns_known(json, known, error)) ||
        (status = tw_columns_read_hidden(json, &config->mlp.hidden_count, config->mlp.hidden, error)) ||
        (status = tw_columns_read_activation(json, &config->mlp.activation, error)) ||
        (status = tw_columns_read_bool(json, "quartiles", &config->quartiles, error)) ||
        (status = tw_classes_init(&config->classes, schema)) || (status = choose_inputs(config, schema))) {
        config_free(config);
        return status;
    }
    config->mlp.in = config->rows + schema->conditions;
    *out = config;
    return TW_OK;
}

static struct json_t *describe(const void *config)
{
    const struct tw_mlp *mlp = &((const struct config *)config)->mlp;
    json_t *hidden = json_array();

    for (int i = 0; i < mlp->hidden_count && hidden; i++)
        if (json_array_append_new(hidden, json_integer(mlp->hidden[i]))) {
            json_decref(hidden);
            hidden = NULL;
        }

    json_t *json = json_pack("{s:s, s:o, s:s}", "kind", "classifier", "hidden", hidden, "activation",
                             tw_mlp_activation_name(mlp->activation));

    if (json && ((const struct config *)config)->quartiles && json_object_set_new(json, "quartiles", json_true())) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int layout(void *config, const struct tw_schema *schema, struct tw_params *statistics,
                  struct tw_params *parameters)
{
    int status = tw_columns_layout(schema, statistics);

    return status ? status : tw_mlp_layout(&((struct config *)config)->mlp, "net", parameters);
}

static int prepare(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    int status = tw_columns_prepare(data, statistics);

    return status || !((const struct config *)config)->quartiles ? status : tw_columns_quartiles(data, statistics);
}

static bool statistics_ok(const void *config, const struct tw_schema *schema, const struct tw_params *statistics)
{
    return tw_columns_ok(schema, statistics);
}

static int init(const void *config, const struct tw_schema *schema, struct tw_params *parameters, uint64_t key)
{
    tw_mlp_init(&((const struct config *)config)->mlp, parameters, 1, key);
    return TW_OK;
}

static int prepared_rows(const void *config, const struct tw_schema *schema)
{
    return ((const struct config *)config)->rows;
}

static double forward(const struct tw_transform_column *map, double x)
{
    double unused = 0;

    return tw_transform_forward(map, x, &unused);
}

/* The code of the class: (E, cols). */
static void prepare_class(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out)
{
    const struct config *c = state->config;
    size_t n = (size_t)state->schema->features;

    memset(out, 0, (size_t)c->classes.codes * (size_t)cols * sizeof *out);
    for (int j = 0; j < c->classes.count; j++) {
        for (int i = 0; i < cols; i++) {
            float value = values[(size_t)(i < events ? i : 0) * n + (size_t)c->classes.factors[j].feature];
            int level = tw_classes_level(&c->classes, state->schema, j, value);

            if (level > 0)
                out[(level - 1) * cols + i] = 1;
        }
        out += (c->classes.factors[j].levels - 1) * cols;
    }
}

static void prepare_block(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian)
{
    const struct config *c = state->config;
    size_t n = (size_t)state->schema->features;

    for (int i = 0; log_jacobian && i < cols; i++)
        log_jacobian[i] = 0; /* has no meaning here */
    for (int k = 0; k < c->count; k++) {
        const struct input *input = &c->inputs[k];
        int other = input->minus < 0 ? input->feature : input->minus;
        struct tw_transform_column map =
            tw_columns_transform(state->schema, state->statistics, input->feature, sqrt(3));
        struct tw_transform_column origin = tw_columns_transform(state->schema, state->statistics, other, sqrt(3));

        for (int i = 0; i < cols; i++) {
            const float *row = values + (size_t)(i < events ? i : 0) * n;
            double y = forward(&map, (double)row[input->feature]);

            if (input->minus >= 0)
                y -= forward(&origin, (double)row[input->minus]);
            if (isnan(y)) { /* absent: the mean */
                out[i] = 0;
                if (input->angle)
                    out[cols + i] = 0;
            } else if (input->angle) {
                out[i] = (tw_real)cos(y);
                out[cols + i] = (tw_real)sin(y);
            } else {
                out[i] = (tw_real)(y < -CLIP ? -CLIP : y > CLIP ? CLIP : y);
            }
        }
        out += input->angle ? 2 * cols : cols;
    }
    prepare_class(state, values, events, cols, out);
}

static struct tw_var *loss(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block)
{
    const struct config *c = state->config;
    int conditions = state->schema->conditions;
    struct tw_var *x = tw_tape_constant(tape, c->rows, block->features);

    if (conditions) {
        struct tw_ops_row *map = tw_tape_alloc(tape, (size_t)c->mlp.in * sizeof *map);

        for (int i = 0; map && i < c->mlp.in; i++)
            map[i] = (struct tw_ops_row){.source = i >= c->rows, .row = i < c->rows ? i : i - c->rows, .sign = 1};
        x = map ? tw_ops_colmap(tape, (struct tw_var *[]){x, tw_tape_constant(tape, conditions, block->conditions)}, 2,
                                map, c->mlp.in)
                : NULL;
    }
    return tw_reduce_bce_logits(tape, tw_mlp_tape(&c->mlp, tape, x), block->labels);
}

static int score(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                 tw_real *features, const tw_real *conditions, double *out)
{
    const struct config *c = state->config;
    size_t n = (size_t)cols, rows = (size_t)c->rows, extra = (size_t)state->schema->conditions;
    size_t width = (size_t)tw_mlp_width(&c->mlp);
    tw_real *x = tw_arena_alloc(arena, (rows + extra + 2 * width + 1) * n * sizeof *x);

    if (!x)
        return TW_NO_MEMORY;

    tw_real *hidden = x + (rows + extra) * n, *logit = hidden + 2 * width * n;

    memcpy(x, features, rows * n * sizeof *x);
    if (extra)
        memcpy(x + rows * n, conditions, extra * n * sizeof *x);
    tw_mlp_plain(&c->mlp, state->parameters, kernels, cols, x, hidden, logit);
    for (int i = 0; i < cols; i++)
        out[i] = (double)logit[i];
    return TW_OK;
}

const struct tw_kind tw_classifier_kind = {
    .name = "classifier",
    .format = 1,
    .outputs = 1u << TW_OUTPUT_SCORE,
    .labelled = true,
    .parse = parse,
    .describe = describe,
    .config_free = config_free,
    .layout = layout,
    .prepare = prepare,
    .init = init,
    .statistics_ok = statistics_ok,
    .prepared_rows = prepared_rows,
    .prepare_block = prepare_block,
    .loss = loss,
    .score = score,
};
