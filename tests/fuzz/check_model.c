#include "check_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model/model.h"

enum { ROWS = 8 };

static const struct tw_kernels *kernels(void)
{
    static const struct tw_kernels *chosen;
    return chosen ? chosen : (chosen = tw_kernels_choose(NULL, NULL));
}

/* Ordinary, extreme and broken values, another one in each column. */
static void make_rows(const struct tw_schema *schema, float *rows)
{
    static const float telling[] = {0, 1, -1, 0.5f, 3e38f, -3e38f, 1e-45f, NAN, INFINITY, 20, 1e30f};
    for (int r = 0; r < ROWS; r++) {
        for (int f = 0; f < schema->features; f++) {
            const struct tw_column *column = &schema->columns[f];
            float inside = (float)(column->has_max ? 0.5 * (column->min + column->max) : column->min + r);
            size_t at = (size_t)(r + f) % (sizeof telling / sizeof *telling);
            rows[r * schema->features + f] = r < 3 ? inside : telling[at];
        }
    }
}

static void check_queries(const struct tw_model *model)
{
    const struct tw_schema *schema = tw_model_schema(model);
    size_t d = (size_t)schema->features;
    float *rows = malloc(ROWS * d * sizeof *rows);
    double out[ROWS];
    FUZZ_CHECK(rows);
    make_rows(schema, rows);
    if (tw_model_kind(model)->log_prob) {
        FUZZ_CHECK(tw_model_log_prob(model, kernels(), NULL, ROWS, rows, NULL, out) == 0);
        for (size_t r = 0; r < ROWS; r++) {
            FUZZ_CHECK(!isnan(out[r]) && out[r] < INFINITY);
            FUZZ_CHECK(tw_schema_row_ok(schema, rows + r * d) || out[r] == -INFINITY);
        }
    }
    if (tw_model_kind(model)->score)
        FUZZ_CHECK(tw_model_score(model, kernels(), NULL, ROWS, rows, NULL, out) == 0);
    if (tw_model_kind(model)->sample) {
        int status = tw_model_sample(model, kernels(), NULL, 1, 250, ROWS, NULL, rows);
        /* weights that are nobody's may let no event through */
        FUZZ_CHECK(status == 0 || (status == TW_NOT_FOUND && tw_model_reweighting(model)));
        for (size_t r = 0; r < ROWS && status == 0; r++)
            FUZZ_CHECK(tw_schema_row_ok(schema, rows + r * d));
    }
    free(rows);
}

static void check_saved(const struct tw_model *model, const struct tw_model_record *record)
{
    struct tw_model *again;
    struct tw_model_record read;
    struct tw_error error = {""};
    unsigned char *bytes, *second;
    size_t size, second_size;
    FUZZ_CHECK(tw_model_save(model, record, &bytes, &size) == 0);
    FUZZ_CHECK(tw_model_load(bytes, size, &again, &read, &error) == 0);
    FUZZ_CHECK(memcmp(&read, record, sizeof read) == 0);
    FUZZ_CHECK(tw_model_save(again, &read, &second, &second_size) == 0);
    FUZZ_CHECK(second_size == size && memcmp(second, bytes, size) == 0);
    tw_model_unref(again);
    free(bytes);
    free(second);
}

void check_model(const unsigned char *bytes, size_t size)
{
    struct tw_model *model;
    struct tw_model_record record;
    struct tw_error error = {""};
    int status = tw_model_load(bytes, size, &model, &record, &error);
    if (status) {
        FUZZ_CHECK(status == TW_CORRUPT && error.text[0] != '\0' && !model);
        return;
    }
    check_queries(model);
    check_saved(model, &record);
    tw_model_unref(model);
}
