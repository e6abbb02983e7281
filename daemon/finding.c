#include "daemon/finding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/finding_words.h"
#include "daemon/spool.h"
#include "stat/contrast.h"

enum {
    ROWS_MAX = 500000, /* read to describe a change: what an episode learns from */
    COLUMNS_MAX = 8,   /* that are named */
    HINTS_MAX = 3,     /* where the classifier alone alarms: columns that might be it */
    HINT_SIGNIFICANCE = 4,
};

/* The rows from some way before the change to the end of the window. */
struct rows {
    struct tw_data data, seen; /* without and with observables */
    size_t *offsets, batches;
    uint64_t *ordinals;
};

static void rows_fini(struct rows *rows)
{
    tw_data_fini(&rows->data);
    tw_data_fini(&rows->seen);
    free(rows->offsets);
    free(rows->ordinals);
}

/* The column of the detector that accumulates which alarms with the least p; -1: none does. */
static int leading_column(const struct finding_input *input)
{
    const struct tw_drift *drift = input->drift;
    int best = -1;
    for (int i = 0, column = 0; i < drift->count; i++) {
        if (drift->statistics[i].detector != TW_DETECT_CUSUM)
            continue;
        if (drift->statistics[i].alarm && (best < 0 || drift->cusum[column].p_value < drift->cusum[best].p_value))
            best = column;
        column++;
    }
    return best;
}

static bool alarms(const struct tw_drift *drift, enum tw_detector detector)
{
    for (int i = 0; i < drift->count; i++)
        if (drift->statistics[i].detector == detector && drift->statistics[i].alarm)
            return true;
    return false;
}

static int read_rows(const struct finding_input *input, int leading, struct rows *rows, struct tw_error *error)
{
    struct window range = {.first = input->earliest, .last = input->window.last};
    uint64_t width = input->window.last - input->window.first + 1, first = spool_first(input->twin->spool);
    if (leading >= 0) { /* the window before the one with which the path began, too */
        uint64_t start = input->drift->cusum[leading].start;
        start = start > width ? start - width : 0;
        range.first = start < range.first ? start : range.first;
    }
    first = first > input->oldest ? first : input->oldest;
    if (range.first < first)
        range.first = first < input->window.first ? first : input->window.first;
    tw_data_init(&rows->data, input->twin->definition->schema);
    tw_data_init(&rows->seen, input->observables->extended);
    size_t most = window_rows_compare(input->twin);
    int status = window_read(input->twin, &range, most < ROWS_MAX ? most : ROWS_MAX, &rows->data, &rows->offsets,
                             &rows->ordinals, &rows->batches, NULL, NULL, error);
    if (status == TW_OK)
        status = tw_observables_extend(input->observables, &rows->data, &rows->seen);
    return status;
}

static bool is_periodic(const struct tw_schema *schema, int column)
{
    return column < schema->features && schema->columns[column].kind == TW_PERIODIC;
}

/* Scores by the path that leads, larger for what came after the change. */
static int score_component(const struct finding_input *input, const struct rows *rows, int column,
                           const double *log_prob, double *out)
{
    const struct tw_cusum *cusum = &input->cusum->state;
    const struct tw_cusum_column *found = &input->drift->cusum[column];
    const struct tw_schema *schema = rows->seen.schema;
    double scores[TW_SKETCH_CELLS];
    struct tw_cusum_path path = tw_cusum_path_of(found->path, cusum->fineness);
    tw_cusum_path_scores(&path, cusum->scores[column], scores);
    for (size_t i = 0; i < rows->seen.rows; i++) {
        float value = column < schema->features ? rows->seen.features[i * (size_t)schema->features + (size_t)column]
                                                : (float)log_prob[i];
        out[i] = scores[tw_sketch_grid_cell(&cusum->grid, column, value)];
    }
    return TW_OK;
}

/* The last batch that may be the first after the change: from it on there is half of the window, which begins with
 * batch `window`. Fewer rows would not be the ones that raised the alarm. */
static size_t last_boundary(const struct rows *rows, size_t window)
{
    size_t end = rows->offsets[rows->batches], half = (end - rows->offsets[window]) / 2, last = window;
    while (last + 1 < rows->batches && end - rows->offsets[last + 1] >= half)
        last++;
    return last;
}

/* The first batch after the change. What accumulated is looked for with the component that shows it, what is large
 * with the classifier that tells window from reference. */
static int find_change(const struct finding_input *input, const struct rows *rows, int leading, const double *log_prob,
                       const struct tw_kernels *kernels, struct tw_pool *pool, size_t *change)
{
    const struct tw_model *classifier = input->drift->c2st.classifier;
    size_t window = 0;
    while (window + 1 < rows->batches && rows->ordinals[window] < input->window.first)
        window++;
    *change = window;
    bool by_component = leading >= 0 && !alarms(input->drift, TW_DETECT_C2ST);
    if (!by_component && !classifier)
        return TW_OK;
    double *scores = malloc((rows->seen.rows + 1) * sizeof(*scores));
    int status = !scores        ? TW_NO_MEMORY
                 : by_component ? score_component(input, rows, leading, log_prob, scores)
                                : tw_model_score(classifier, kernels, pool, rows->seen.rows, rows->seen.features,
                                                 rows->seen.conditions, scores);
    if (status == TW_OK)
        *change = tw_drift_change_point(scores, rows->offsets, rows->batches, window, last_boundary(rows, window));
    free(scores);
    /* no boundary stands out: the path knows when it began to rise */
    for (size_t b = 0; status == TW_OK && by_component && *change == window && b < window; b++)
        if (rows->ordinals[b] >= input->drift->cusum[leading].start)
            *change = b;
    return status;
}

/* --- what changed --- */

struct sketches {
    struct tw_sketch_grid grid; /* owned, unless the detector's is used */
    const struct tw_sketch_grid *use;
    struct tw_sketch before, since;
    int columns;
};

static void sketches_fini(struct sketches *sketches)
{
    tw_sketch_grid_fini(&sketches->grid);
    tw_sketch_fini(&sketches->before);
    tw_sketch_fini(&sketches->since);
}

static void fill(struct tw_sketch *sketch, const struct tw_sketch_grid *grid, const struct tw_data *data,
                 const double *log_prob, size_t first, size_t end)
{
    size_t width = (size_t)data->schema->features;
    for (int c = 0; c < data->schema->features; c++)
        tw_sketch_fill(sketch, grid, c, data->features + first * width + (size_t)c, end - first, width);
    for (size_t i = first; i < end && log_prob && sketch->columns > data->schema->features; i++) {
        float value = (float)log_prob[i];
        tw_sketch_fill(sketch, grid, data->schema->features, &value, 1, 1);
    }
}

/* Before: the detector's pool without what belongs to the change and entered it before the alarm (rows
 * first..paused-1); else the reference, in bins of its own. */
static int sketch_before(const struct finding_input *input, const struct rows *rows, const double *log_prob,
                         size_t first, size_t paused, struct sketches *out)
{
    const struct tw_data *reference = input->reference;
    int status = TW_OK;
    if (input->cusum) {
        out->use = &input->cusum->state.grid;
        tw_sketch_add(&out->before, &input->cusum->state.pool);
        if (first >= paused)
            return TW_OK;
        struct tw_sketch early;
        status = tw_sketch_init(&early, out->columns);
        if (status == TW_OK) {
            fill(&early, out->use, &rows->seen, log_prob, first, paused);
            tw_sketch_subtract(&out->before, &early);
        }
        tw_sketch_fini(&early);
        return status;
    }
    status = tw_sketch_grid_init(&out->grid, out->columns);
    for (int c = 0; status == TW_OK && c < out->columns; c++)
        status = tw_sketch_grid_column(&out->grid, c, reference->features + c, reference->rows,
                                       (size_t)reference->schema->features);
    out->use = &out->grid;
    if (status == TW_OK)
        fill(&out->before, out->use, reference, NULL, 0, reference->rows);
    return status;
}

static int make_sketches(const struct finding_input *input, const struct rows *rows, const double *log_prob,
                         size_t change, struct sketches *out)
{
    *out = (struct sketches){.columns = input->cusum ? input->cusum->state.columns : rows->seen.schema->features};
    size_t paused = 0;
    while (input->cusum && paused < rows->batches && rows->ordinals[paused] < input->cusum->state.paused)
        paused++;
    int status = tw_sketch_init(&out->before, out->columns);
    if (status == TW_OK)
        status = tw_sketch_init(&out->since, out->columns);
    if (status == TW_OK)
        status = sketch_before(input, rows, log_prob, rows->offsets[change], rows->offsets[paused], out);
    if (status == TW_OK)
        fill(&out->since, out->use, &rows->seen, log_prob, rows->offsets[change], rows->seen.rows);
    return status;
}

/* A column that might be named. */
struct candidate {
    int column;
    bool alarms;
    double p_value; /* the least of its statistics */
    struct tw_contrast contrast;
};

static double significance(const struct candidate *candidate)
{
    return fabs(candidate->contrast.value) / candidate->contrast.error;
}

/* Those that alarm first, then by what stands out. */
static int by_significance(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->alarms != y->alarms)
        return y->alarms - x->alarms;
    double sx = significance(x), sy = significance(y);
    return sx != sy ? (sx < sy) - (sx > sy) : x->column - y->column;
}

static void judge(const struct tw_drift *drift, int features, struct candidate *candidate)
{
    candidate->p_value = 1;
    for (int i = 0; i < drift->count; i++) {
        const struct tw_statistic *s = &drift->statistics[i];
        bool log_prob = s->detector == TW_DETECT_CUSUM && s->feature < 0 && candidate->column == features;
        if (s->feature != candidate->column && !log_prob)
            continue;
        candidate->alarms = candidate->alarms || s->alarm;
        candidate->p_value = fmin(candidate->p_value, s->p_value);
    }
}

static int name_columns(const struct finding_input *input, const struct sketches *sketches, json_t *out)
{
    const struct tw_schema *schema = input->observables->extended;
    struct candidate *candidates = calloc((size_t)sketches->columns, sizeof(*candidates));
    if (!candidates)
        return TW_NO_MEMORY;
    int count = 0;
    for (int c = 0; c < sketches->columns; c++) {
        struct candidate *candidate = &candidates[count];
        *candidate = (struct candidate){.column = c};
        if (!tw_sketch_rows(&sketches->before, c) || !tw_sketch_rows(&sketches->since, c))
            continue;
        judge(input->drift, schema->features, candidate);
        tw_contrast_column(sketches->use, &sketches->before, &sketches->since, c, is_periodic(schema, c),
                           &candidate->contrast);
        count++;
    }
    qsort(candidates, (size_t)count, sizeof(*candidates), by_significance);
    bool any = count > 0 && candidates[0].alarms;
    int most = any ? COLUMNS_MAX : HINTS_MAX, status = TW_OK;
    for (int i = 0; i < count && i < most && status == TW_OK; i++) {
        const struct candidate *c = &candidates[i];
        if (any ? !c->alarms : significance(c) < HINT_SIGNIFICANCE)
            break;
        struct tw_excess excess[2];
        tw_contrast_excess(sketches->use, &sketches->before, &sketches->since, c->column, 1, &excess[0]);
        tw_contrast_excess(sketches->use, &sketches->before, &sketches->since, c->column, -1, &excess[1]);
        const struct tw_column *column = c->column < schema->features ? &schema->columns[c->column] : NULL;
        json_t *entry = finding_words_json(column, sketches->use, c->column, &c->contrast, excess, c->p_value);
        status = entry && json_array_append_new(out, entry) == 0 ? TW_OK : TW_NO_MEMORY;
    }
    free(candidates);
    return status;
}

int finding_make(const struct finding_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                 struct finding *out, struct tw_error *error)
{
    *out = (struct finding){.change = input->window.first, .rows_since_change = input->rows};
    int leading = leading_column(input);
    struct rows rows = {0};
    struct sketches sketches = {0};
    double *log_prob = NULL;
    size_t change = 0;
    int status = read_rows(input, leading, &rows, error);
    if (status == TW_OK && !(out->drifted = json_array()))
        status = TW_NO_MEMORY;
    if (status == TW_OK && rows.batches > 0) {
        if (input->cusum && input->cusum->state.log_prob)
            status = cusum_log_prob(input->champion, &rows.data, kernels, pool, &log_prob);
        if (status == TW_OK)
            status = find_change(input, &rows, leading, log_prob, kernels, pool, &change);
        if (status == TW_OK)
            status = make_sketches(input, &rows, log_prob, change, &sketches);
        if (status == TW_OK)
            status = name_columns(input, &sketches, out->drifted);
        if (status == TW_OK && rows.ordinals[change] != input->window.first) {
            out->change = rows.ordinals[change];
            out->rows_since_change = rows.data.rows - rows.offsets[change];
        }
    }
    sketches_fini(&sketches);
    free(log_prob);
    rows_fini(&rows);
    if (status != TW_OK)
        finding_fini(out);
    return status;
}

void finding_fini(struct finding *finding)
{
    json_decref(finding->drifted);
    finding->drifted = NULL;
}
