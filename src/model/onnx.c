#include "model/onnx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/columns.h"
#include "model/flow_kind.h"
#include "model/members.h"
#include "model/onnx_parts.h"

/* What both graphs begin with. */
struct start {
    const struct tw_model *model;
    int conditions; /* (N, C) float32, as they were given; -1: none */
};

static struct tw_kind_state state_of(const struct start *start, int member)
{
    return tw_model_state(start->model, member);
}

/* (c - mean) / width, as networks see them; -1: none. */
static int standardise(struct tw_onnx_graph *g, const struct tw_kind_state *state, int conditions)
{
    float means[TW_COLUMNS_MAX], widths[TW_COLUMNS_MAX];
    int count = state->schema->conditions;

    if (conditions < 0)
        return -1;
    for (int c = 0; c < count; c++) {
        double mean, width;

        tw_columns_condition_moments(state->statistics, c, &mean, &width);
        means[c] = (float)mean;
        widths[c] = (float)width;
    }
    return tw_onnx_div(g, tw_onnx_sub(g, conditions, tw_onnx_graph_matrix(g, 0, count, means)),
                       tw_onnx_graph_matrix(g, 0, count, widths));
}

static bool rows_alloc(struct tw_onnx_graph *g, const struct tw_kind_state *state, struct tw_onnx_rows *rows)
{
    size_t count = (size_t)((const struct tw_flow_config *)state->config)->coupling.features;

    *rows =
        (struct tw_onnx_rows){.row = calloc(count, sizeof(int)), .absent = calloc(count, sizeof(int)), .context = -1};
    for (size_t k = 0; rows->absent && k < count; k++)
        rows->absent[k] = -1;
    g->failed |= !rows->row || !rows->absent;
    return !g->failed;
}

static void rows_free(struct tw_onnx_rows *rows)
{
    free(rows->row);
    free(rows->absent);
}

/* --- log_prob --- */

/* log p of one member, double (N, 1); -inf outstart the domain. */
static int log_prob_of(struct tw_onnx_graph *g, const struct start *start, int member, const int *features)
{
    struct tw_kind_state state = state_of(start, member);
    const struct tw_flow_config *c = state.config;
    struct tw_onnx_rows rows;
    int conditions = standardise(g, &state, start->conditions), sum = 0;

    if (rows_alloc(g, &state, &rows)) {
        int levels = c->classes.count ? tw_onnx_classes_levels(g, &state, features) : -1;

        tw_onnx_events_enter(g, &state, features, &rows);
        tw_onnx_classes_tell(g, &state, levels, conditions, &rows);

        int log_det = tw_onnx_blocks(g, &state, false, &rows), base = tw_onnx_base(g, &state, &rows);

        sum =
            tw_onnx_add(g, tw_onnx_graph_cast(g, log_det, TW_ONNX_DOUBLE), tw_onnx_graph_cast(g, base, TW_ONNX_DOUBLE));
        sum = tw_onnx_add(g, sum, rows.jacobian);
        if (levels >= 0)
            sum = tw_onnx_add(
                g, sum, tw_onnx_graph_cast(g, tw_onnx_classes_log_prob(g, &state, levels, conditions), TW_ONNX_DOUBLE));
        sum = tw_onnx_where_n(g, rows.inside, sum, (double)-INFINITY);
    }
    rows_free(&rows);
    return sum;
}

/* log of the mean of two or more densities; one by one, since -inf less -inf is not a number. */
static int mixture(struct tw_onnx_graph *g, int members, const int *log_prob)
{
    int largest = log_prob[0], sum = -1;

    for (int m = 1; m < members; m++)
        largest = tw_onnx_max(g, largest, log_prob[m]);
    largest = tw_onnx_max_n(g, largest, -1e300);
    for (int m = 0; m < members; m++) {
        int part = tw_onnx_exp(g, tw_onnx_sub(g, log_prob[m], largest));

        sum = m ? tw_onnx_add(g, sum, part) : part;
    }
    return tw_onnx_add(g, largest, tw_onnx_log(g, tw_onnx_div_n(g, sum, members)));
}

static void log_prob_graph(struct tw_onnx_graph *g, struct start *start)
{
    int count = tw_model_schema(start->model)->features, members = tw_model_members(start->model);
    int x = tw_onnx_graph_input(g, "x", TW_ONNX_FLOAT, count), log_prob[TW_MEMBERS_MAX];
    int *features = calloc((size_t)count, sizeof *features);

    g->failed |= !features;
    for (int f = 0; !g->failed && f < count; f++)
        features[f] = tw_onnx_graph_cast(g, tw_onnx_graph_slice(g, x, f, f + 1), TW_ONNX_DOUBLE);
    if (tw_model_schema(start->model)->conditions)
        start->conditions =
            tw_onnx_graph_input(g, "conditions", TW_ONNX_FLOAT, tw_model_schema(start->model)->conditions);
    for (int m = 0; !g->failed && m < members; m++)
        log_prob[m] = log_prob_of(g, start, m, features);
    if (!g->failed) {
        int result = members > 1 ? mixture(g, members, log_prob) : log_prob[0];

        tw_onnx_graph_output(g, "log_prob", tw_onnx_graph_sum(g, result, false), 0);
    }
    free(features);
}

/* --- sample --- */

/* Columns of noise: one for each coordinate of the flow, then one for the class, one for the member. */
static int noise_columns(const struct tw_model *model)
{
    const struct tw_kind_state state = tw_model_state(model, 0);
    const struct tw_flow_config *c = state.config;

    return c->coupling.features + (c->classes.count > 0) + (tw_model_members(model) > 1);
}

/* A normal number's place among all, uniform in [0, 1]. */
static int uniform(struct tw_onnx_graph *g, int normal)
{
    int erf = tw_onnx_graph_op(g, "Erf", tw_onnx_mul_n(g, normal, sqrt(0.5)), -1, -1);

    return tw_onnx_mul_n(g, tw_onnx_add_n(g, erf, 1), 0.5);
}

/* Events of one member, (N, D) float32. */
static int sample_of(struct tw_onnx_graph *g, const struct start *start, int member, int noise)
{
    struct tw_kind_state state = state_of(start, member);
    const struct tw_flow_config *c = state.config;
    int rows_count = c->coupling.features, conditions = standardise(g, &state, start->conditions), levels = -1, all = 0;
    int *features = calloc((size_t)state.schema->features, sizeof *features);
    struct tw_onnx_rows rows;

    g->failed |= !features;
    if (!g->failed && rows_alloc(g, &state, &rows)) {
        if (c->classes.count)
            levels = tw_onnx_classes_draw(
                g, &state, uniform(g, tw_onnx_graph_slice(g, noise, rows_count, rows_count + 1)), conditions);
        tw_onnx_classes_tell(g, &state, levels, conditions, &rows);
        for (int k = 0; k < rows_count; k++) {
            double bound = tw_coupling_bound(&c->coupling, k);
            int z = tw_onnx_graph_slice(g, noise, k, k + 1);

            if (c->coupling.kinds[k] != TW_SPLINE_TAILS)
                z = tw_onnx_add_n(g, tw_onnx_mul_n(g, uniform(g, z), 2 * bound), -bound);
            if (rows.absent[k] >= 0)
                z = tw_onnx_where(g, rows.absent[k], tw_onnx_graph_number(g, TW_ONNX_FLOAT, 0), z);
            rows.row[k] = z;
        }
        tw_onnx_blocks(g, &state, true, &rows);
        tw_onnx_events_leave(g, &state, &rows, levels, features);
        all = tw_onnx_graph_concat(g, state.schema->features, features);
        rows_free(&rows);
    }
    free(features);
    return all;
}

static void sample_graph(struct tw_onnx_graph *g, struct start *start)
{
    const struct tw_schema *schema = tw_model_schema(start->model);
    int columns = noise_columns(start->model), members = tw_model_members(start->model);
    int noise = tw_onnx_graph_input(g, "noise", TW_ONNX_FLOAT, columns), x = 0;

    if (schema->conditions)
        start->conditions = tw_onnx_graph_input(g, "conditions", TW_ONNX_FLOAT, schema->conditions);

    int drawn =
        members > 1 ? tw_onnx_mul_n(g, uniform(g, tw_onnx_graph_slice(g, noise, columns - 1, columns)), members) : -1;

    for (int m = 0; !g->failed && m < members; m++) {
        int next = sample_of(g, start, m, noise);

        x = m ? tw_onnx_where(g, tw_onnx_least_n(g, drawn, m), next, x) : next;
    }
    tw_onnx_graph_output(g, "x", x, schema->features);
}

/* --- the file --- */

static const char *const names[] = {[TW_ONNX_LOG_PROB] = "log_prob", [TW_ONNX_SAMPLE] = "sample"};

bool tw_onnx_output_find(const char *name, enum tw_onnx_output *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum tw_onnx_output)i;
            return true;
        }
    return false;
}

/* Names of columns first .. first + count - 1 with commas between them; to be freed, NULL when memory is out. */
static char *list_of(const struct tw_schema *schema, int first, int count)
{
    char *list = malloc((size_t)count * TW_NAME_MAX + 1), *end = list;

    for (int i = 0; list && i < count; i++)
        end = stpcpy(i ? stpcpy(end, ",") : end, schema->columns[first + i].name);
    if (list)
        *end = '\0';
    return list;
}

static bool finish(struct tw_onnx_graph *graph, const struct tw_schema *schema, const char *name,
                   const struct tw_onnx_record *record, unsigned char **bytes, size_t *size)
{
    char *columns = list_of(schema, 0, schema->features),
         *conditions = list_of(schema, schema->features, schema->conditions);
    char version[16];
    bool done = columns && conditions;

    snprintf(version, sizeof version, "%d", record ? record->version : 0);

    const char *texts[] = {"columns",
                           columns,
                           "conditions",
                           conditions,
                           record ? "twin" : NULL,
                           record ? record->twin : NULL,
                           "version",
                           version,
                           "sha256",
                           record ? record->sha256 : NULL,
                           NULL};

    done = done && tw_onnx_graph_finish(graph, name, TW_VERSION, texts, bytes, size);
    free(columns);
    free(conditions);
    return done;
}

int tw_onnx_export(const struct tw_model *model, enum tw_onnx_output output, const struct tw_onnx_record *record,
                   unsigned char **bytes, size_t *size, struct tw_error *error)
{
    struct start start = {.model = model, .conditions = -1};
    struct tw_onnx_graph graph;

    if (tw_model_kind(model) != &tw_flow_kind)
        return tw_error_set(error, TW_INVALID, "only a flow can be exported as ONNX, this is a %s",
                            tw_model_kind(model)->name);
    if (tw_model_reweighting(model))
        return tw_error_set(error, TW_INVALID,
                            "a version with discriminator weights has no ONNX form: export the version under it");
    tw_onnx_graph_init(&graph);
    (output == TW_ONNX_SAMPLE ? sample_graph : log_prob_graph)(&graph, &start);

    bool done = !graph.failed && finish(&graph, tw_model_schema(model), names[output], record, bytes, size);

    tw_onnx_graph_fini(&graph);
    return done ? TW_OK : TW_NO_MEMORY;
}
