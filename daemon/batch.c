/* From wire frames to rows in the schema's order. Rows are converted in blocks, so that a batch of 256 MiB needs no
 * second copy of itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "daemon/batch.h"
#include "daemon/shortage.h"

enum { BLOCK_VALUES = 64 * 1024 };

enum twp_code batch_decode(const struct twp_frame *frames, size_t count, struct twp_batch *out, char detail[200])
{
    unsigned before = shortage_count();
    enum twp_code code = twp_wire_batch(frames, count, out, detail);
    if (code != TWP_OK && shortage_count() != before) {
        snprintf(detail, 200, "out of memory; send again");
        code = TWP_FULL;
    }
    return code;
}

static enum twp_code map_columns(const struct tw_schema *schema, const struct twp_batch *batch, int *map,
                                 char detail[200])
{
    for (int i = 0; i < schema->features; i++)
        map[i] = -1;
    for (int column = 0; column < batch->columns; column++) {
        const char *name = batch->column[column];
        bool in_place = column < schema->features && strcmp(schema->columns[column].name, name) == 0;
        int index = in_place ? column : tw_schema_find(schema, name);
        if (index >= schema->features)
            snprintf(detail, 200, "column \"%s\" is a condition; conditions per event are not supported yet", name);
        else if (index < 0)
            snprintf(detail, 200, "the twin has no column \"%s\"", name);
        else if (map[index] >= 0)
            snprintf(detail, 200, "column \"%s\" is there twice", name);
        else {
            map[index] = column;
            continue;
        }
        return TWP_UNKNOWN_COLUMN;
    }
    for (int i = 0; i < schema->features; i++) {
        if (map[i] < 0) {
            snprintf(detail, 200, "column \"%s\" is missing", schema->columns[i].name);
            return TWP_UNKNOWN_COLUMN;
        }
    }
    return TWP_OK;
}

static enum twp_code check_conditions(const struct tw_schema *schema, const struct twp_batch *batch, char detail[200])
{
    for (int i = 0; i < batch->conditions; i++) {
        const struct twp_condition *condition = &batch->condition[i];
        int index = tw_schema_find(schema, condition->name);
        if (index < schema->features) {
            snprintf(detail, 200, "the twin has no condition \"%s\"", condition->name);
            return TWP_UNKNOWN_COLUMN;
        }
        if (!tw_schema_value_ok(&schema->columns[index], (float)condition->value)) {
            snprintf(detail, 200, "condition \"%s\" = %g is outside its range", condition->name, condition->value);
            return TWP_BAD_HEADER;
        }
    }
    return TWP_OK;
}

enum twp_code batch_map(const struct tw_schema *schema, const struct twp_batch *batch, int *map, char detail[200])
{
    size_t wanted = batch->columns ? (size_t)batch->columns : (size_t)schema->features;
    if (batch->payload.cols != wanted) {
        snprintf(detail, 200, "payload: %zu columns instead of %zu", batch->payload.cols, wanted);
        return TWP_BAD_SHAPE;
    }
    enum twp_code code = TWP_OK;
    if (batch->columns)
        code = map_columns(schema, batch, map, detail);
    for (int i = 0; i < schema->features && !batch->columns; i++)
        map[i] = i;
    return code ? code : check_conditions(schema, batch, detail);
}

/* --- rows in blocks --- */

struct rows {
    const struct tw_schema *schema;
    const struct twp_batch *batch;
    int *map;
    bool in_order;          /* the columns are the schema's, in its order */
    size_t block;           /* rows a block */
    float *payload, *value; /* (block, columns) as sent, (block, D) in the schema's order */
};

static void rows_fini(struct rows *rows)
{
    free(rows->map);
    free(rows->payload);
    free(rows->value);
}

static int rows_init(struct rows *rows, const struct tw_schema *schema, const struct twp_batch *batch)
{
    char detail[200];
    size_t cols = batch->payload.cols, features = (size_t)schema->features;
    *rows = (struct rows){.schema = schema, .batch = batch, .map = calloc(features + 1, sizeof *rows->map)};
    if (!rows->map)
        return TW_NO_MEMORY;
    if (batch_map(schema, batch, rows->map, detail) != TWP_OK) {
        rows_fini(rows);
        return TW_INVALID;
    }
    rows->in_order = cols == features;
    for (size_t i = 0; i < features; i++)
        rows->in_order = rows->in_order && rows->map[i] == (int)i;
    rows->block = cols < BLOCK_VALUES ? BLOCK_VALUES / cols : 1;
    if (rows->block > batch->payload.rows)
        rows->block = batch->payload.rows;
    rows->payload = calloc(rows->block, cols * sizeof *rows->payload);
    rows->value = calloc(rows->block, features * sizeof *rows->value);
    if (rows->payload && rows->value)
        return 0;
    rows_fini(rows);
    return TW_NO_MEMORY;
}

/* Fills `value` with the block that starts at row `first`; returns its rows, 0 at the end. */
static size_t rows_load(struct rows *rows, size_t first)
{
    const struct twp_npy *npy = &rows->batch->payload;
    size_t cols = npy->cols, features = (size_t)rows->schema->features;
    size_t count = npy->rows - first < rows->block ? npy->rows - first : rows->block;
    twp_npy_floats(npy, first * cols, count * cols, rows->in_order ? rows->value : rows->payload);
    for (size_t row = 0; row < count && !rows->in_order; row++) {
        for (size_t i = 0; i < features; i++)
            rows->value[row * features + i] = rows->payload[row * cols + (size_t)rows->map[i]];
    }
    return count;
}

/* The conditions of the batch, defaults where it sets none: (C), malloc'd. */
static float *conditions_of(const struct tw_schema *schema, const struct twp_batch *batch)
{
    float *value = calloc((size_t)schema->conditions, sizeof *value);
    for (int i = 0; value && i < schema->conditions; i++)
        value[i] = (float)schema->columns[schema->features + i].value;
    for (int i = 0; value && i < batch->conditions; i++)
        value[tw_schema_find(schema, batch->condition[i].name) - schema->features] = (float)batch->condition[i].value;
    return value;
}

int batch_append(const struct tw_schema *schema, const struct twp_batch *batch, uint64_t ordinal, struct tw_data *data)
{
    struct rows rows;
    float *conditions = NULL, *weights = NULL;
    int status = rows_init(&rows, schema, batch);
    if (status)
        return status;
    if (schema->conditions > 0 && !(conditions = conditions_of(schema, batch)))
        status = TW_NO_MEMORY;
    if (batch->has_weights && !(weights = calloc(rows.block, sizeof *weights)))
        status = TW_NO_MEMORY;
    for (size_t first = 0, count; status == 0 && (count = rows_load(&rows, first)) > 0; first += count) {
        if (weights)
            twp_npy_floats(&batch->weights, first, count, weights);
        status = tw_data_append(data, ordinal, first, count, rows.value, conditions, weights);
    }
    free(conditions);
    free(weights);
    rows_fini(&rows);
    return status;
}

/* The lower and upper limits of all features, (2, D), malloc'd. */
static float *limits_of(const struct tw_schema *schema)
{
    float *low = calloc(2 * (size_t)schema->features + 1, sizeof *low);
    if (low)
        tw_schema_limits(schema, low, low + schema->features);
    return low;
}

size_t batch_invalid_rows(const struct tw_schema *schema, const struct twp_batch *batch)
{
    struct rows rows;
    size_t invalid = 0, features = (size_t)schema->features;
    float *low = limits_of(schema);
    if (!low || rows_init(&rows, schema, batch)) {
        free(low);
        return 0;
    }
    for (size_t first = 0, count; (count = rows_load(&rows, first)) > 0; first += count) {
        for (size_t row = 0; row < count; row++) {
            const float *value = rows.value + row * features;
            invalid +=
                !tw_schema_within(schema->features, value, low, low + features) && !tw_schema_row_ok(schema, value);
        }
    }
    free(low);
    rows_fini(&rows);
    return invalid;
}

static void put_rule(const struct tw_column *column, float value, char out[96])
{
    double x = (double)value;
    if (isnan(x))
        snprintf(out, 96, "is not a number");
    else if (isinf(x))
        snprintf(out, 96, "is infinite");
    else if (column->kind == TW_DISCRETE)
        snprintf(out, 96, "is none of the integers %g to %g: %g", column->min, column->max, x);
    else if (column->transform == TW_LOG)
        snprintf(out, 96, "is not above min = %g: %g", column->min, x);
    else if (x < column->min)
        snprintf(out, 96, "is below min = %g: %g", column->min, x);
    else
        snprintf(out, 96, "is above max = %g: %g", column->max, x);
}

bool batch_fault(const struct tw_schema *schema, const struct twp_batch *batch, struct batch_fault *out)
{
    struct rows rows;
    size_t features = (size_t)schema->features, worst = 0;
    if (rows_init(&rows, schema, batch))
        return false;
    size_t *bad = calloc(features, sizeof *bad);
    float *first_bad = calloc(features, sizeof *first_bad);
    for (size_t first = 0, count; bad && first_bad && (count = rows_load(&rows, first)) > 0; first += count) {
        for (size_t k = 0; k < count * features; k++) {
            size_t i = k % features;
            if (!tw_schema_value_ok(&schema->columns[i], rows.value[k]) && bad[i]++ == 0)
                first_bad[i] = rows.value[k];
        }
    }
    for (size_t i = 0; bad && first_bad && i < features; i++)
        worst = bad[i] > bad[worst] ? i : worst;
    bool found = bad && first_bad && bad[worst] > 0;
    if (found) {
        strcpy(out->column, schema->columns[worst].name);
        put_rule(&schema->columns[worst], first_bad[worst], out->rule);
    }
    free(bad);
    free(first_bad);
    rows_fini(&rows);
    return found;
}

/* --- content --- */

static void hash_number(crypto_hash_sha256_state *hash, uint64_t number)
{
    tw_sha256_update(hash, &number, sizeof number);
}

/* With its length, so that two texts in a row can't be cut elsewhere. */
static void hash_text(crypto_hash_sha256_state *hash, const char *text)
{
    hash_number(hash, strlen(text));
    tw_sha256_update(hash, text, strlen(text));
}

static void hash_npy(crypto_hash_sha256_state *hash, const struct twp_npy *npy)
{
    hash_number(hash, (uint64_t)npy->dims);
    hash_number(hash, npy->rows);
    hash_number(hash, npy->cols);
    hash_number(hash, (uint64_t)npy->item);
    tw_sha256_update(hash, npy->data, npy->rows * npy->cols * (size_t)npy->item);
}

/* The next name after `after` in alphabetical order; names are unique, and there are few. */
static const struct twp_condition *next_condition(const struct twp_batch *batch, const char *after)
{
    const struct twp_condition *next = NULL;
    for (int i = 0; i < batch->conditions; i++) {
        const struct twp_condition *at = &batch->condition[i];
        if ((!after || strcmp(at->name, after) > 0) && (!next || strcmp(at->name, next->name) < 0))
            next = at;
    }
    return next;
}

void batch_digest(const struct twp_batch *batch, uint8_t out[16])
{
    crypto_hash_sha256_state hash;
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_init(&hash);
    hash_number(&hash, (uint64_t)batch->columns);
    for (int i = 0; i < batch->columns; i++)
        hash_text(&hash, batch->column[i]);
    hash_number(&hash, (uint64_t)batch->conditions);
    const struct twp_condition *at = NULL;
    while ((at = next_condition(batch, at ? at->name : NULL))) {
        uint64_t bits;
        memcpy(&bits, &at->value, sizeof bits);
        hash_text(&hash, at->name);
        hash_number(&hash, bits);
    }
    hash_number(&hash, batch->stream);
    hash_npy(&hash, &batch->payload);
    hash_number(&hash, batch->has_weights);
    if (batch->has_weights)
        hash_npy(&hash, &batch->weights);
    crypto_hash_sha256_final(&hash, digest);
    memcpy(out, digest, 16);
}
