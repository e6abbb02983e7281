#include "model/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"

void tw_data_init(struct tw_data *data, const struct tw_schema *schema)
{
    *data = (struct tw_data){.schema = schema};
}

void tw_data_fini(struct tw_data *data)
{
    free(data->features);
    free(data->conditions);
    free(data->weights);
    free(data->labels);
    free(data->keys);
    memset(data, 0, sizeof *data);
}

uint64_t tw_data_key(uint64_t ordinal, uint64_t row)
{
    return tw_rng_mix(tw_rng_mix(UINT64_C(0x726f77), ordinal), row);
}

/* The keys are themselves used to seed things, hence a stream of its own for the part. */
enum tw_part tw_data_part(uint64_t key)
{
    double u = tw_rng_uniform(key, UINT64_C(0x70617274), 0);

    return u < 0.8 ? TW_PART_TRAIN : u < 0.9 ? TW_PART_STOP : TW_PART_GATE;
}

static bool grow_one(void **memory, size_t rows, size_t each)
{
    size_t bytes;
    void *grown;

    if (each == 0)
        return true;
    if (!tw_size_mul(rows, each, &bytes) || !(grown = realloc(*memory, bytes)))
        return false;
    *memory = grown;
    return true;
}

/* Room for `more` further rows. */
static int reserve(struct tw_data *data, size_t more, bool labelled)
{
    size_t rows, capacity = data->capacity ? data->capacity : 256;

    if (!tw_size_add(data->rows, more, &rows))
        return TW_NO_MEMORY;
    if (rows <= data->capacity && (!labelled || data->labels))
        return TW_OK;
    while (capacity < rows)
        if (!tw_size_mul(capacity, 2, &capacity))
            return TW_NO_MEMORY;

    size_t d = (size_t)data->schema->features, c = (size_t)data->schema->conditions;

    if (!grow_one((void **)&data->features, capacity, d * sizeof(float)) ||
        !grow_one((void **)&data->conditions, capacity, c * sizeof(float)) ||
        !grow_one((void **)&data->weights, capacity, sizeof(float)) ||
        !grow_one((void **)&data->labels, capacity, labelled || data->labels ? sizeof(float) : 0) ||
        !grow_one((void **)&data->keys, capacity, sizeof(uint64_t)))
        return TW_NO_MEMORY;
    data->capacity = capacity;
    return TW_OK;
}

int tw_data_append(struct tw_data *data, uint64_t ordinal, uint64_t first_row, size_t rows, const float *values,
                   const float *conditions, const float *weights)
{
    const struct tw_schema *schema = data->schema;
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;

    if (reserve(data, rows, false))
        return TW_NO_MEMORY;
    for (size_t i = 0; i < rows; i++) {
        size_t at = data->rows;

        if (!tw_schema_row_ok(schema, values + i * d) || (weights && !isfinite(weights[i]))) {
            data->invalid++;
            data->invalid_part[tw_data_part(tw_data_key(ordinal, first_row + i))]++;
            continue;
        }
        for (size_t k = 0; k < d; k++)
            data->features[at * d + k] = tw_schema_wrap(&schema->columns[k], values[i * d + k]);
        for (size_t k = 0; k < c; k++)
            data->conditions[at * c + k] = conditions ? conditions[k] : (float)schema->columns[d + k].value;
        data->weights[at] = weights ? weights[i] : 1;
        if (data->labels)
            data->labels[at] = 0;
        data->keys[at] = tw_data_key(ordinal, first_row + i);
        data->rows++;
    }
    return TW_OK;
}

static void copy_row(struct tw_data *data, const struct tw_data *from, size_t row, float label)
{
    size_t d = (size_t)data->schema->features, c = (size_t)data->schema->conditions, at = data->rows;

    memcpy(data->features + at * d, from->features + row * d, d * sizeof(float));
    if (c)
        memcpy(data->conditions + at * c, from->conditions + row * c, c * sizeof(float));
    data->weights[at] = from->weights[row];
    if (data->labels)
        data->labels[at] = label;
    data->keys[at] = from->keys[row];
    data->rows++;
}

int tw_data_append_parts(struct tw_data *data, const struct tw_data *from, unsigned parts)
{
    size_t count = 0;

    for (size_t i = 0; i < from->rows; i++)
        count += parts >> tw_data_part(from->keys[i]) & 1;
    if (reserve(data, count, from->labels != NULL))
        return TW_NO_MEMORY;
    for (size_t i = 0; i < from->rows; i++)
        if (parts >> tw_data_part(from->keys[i]) & 1)
            copy_row(data, from, i, from->labels ? from->labels[i] : 0);
    for (int part = 0; part < 3; part++) {
        if (parts >> part & 1) {
            data->invalid += from->invalid_part[part];
            data->invalid_part[part] += from->invalid_part[part];
        }
    }
    return TW_OK;
}

int tw_data_append_rows(struct tw_data *data, const struct tw_data *from, size_t first, size_t count, int label)
{
    if (first > from->rows || count > from->rows - first)
        return TW_INVALID;
    if (reserve(data, count, label >= 0 || from->labels))
        return TW_NO_MEMORY;
    for (size_t i = first; i < first + count; i++)
        copy_row(data, from, i, label >= 0 ? (float)label : from->labels ? from->labels[i] : 0);
    return TW_OK;
}

int tw_data_append_wider(struct tw_data *data, const struct tw_data *from)
{
    size_t d = (size_t)from->schema->features, c = (size_t)from->schema->conditions;
    size_t width = (size_t)data->schema->features;

    if (width < d || (size_t)data->schema->conditions != c)
        return TW_INVALID;
    if (reserve(data, from->rows, from->labels != NULL))
        return TW_NO_MEMORY;
    for (size_t i = 0; i < from->rows; i++) {
        size_t at = data->rows++;

        memcpy(data->features + at * width, from->features + i * d, d * sizeof(float));
        for (size_t k = d; k < width; k++)
            data->features[at * width + k] = NAN;
        if (c)
            memcpy(data->conditions + at * c, from->conditions + i * c, c * sizeof(float));
        data->weights[at] = from->weights[i];
        if (data->labels)
            data->labels[at] = from->labels ? from->labels[i] : 0;
        data->keys[at] = from->keys[i];
    }
    data->invalid += from->invalid;
    for (int part = 0; part < 3; part++)
        data->invalid_part[part] += from->invalid_part[part];
    return TW_OK;
}

/* --- blob: magic, counts, column names, then the arrays; little endian as the machine --- */

#define MAGIC "TWDATA1"

struct blob_header {
    char magic[8];
    uint64_t rows, invalid;
    uint32_t features, conditions;
};

static size_t blob_size(const struct tw_schema *schema, size_t rows, bool *ok)
{
    size_t columns = (size_t)(schema->features + schema->conditions), each, body, size = 0;

    each = columns * sizeof(float) + sizeof(float) + sizeof(uint64_t);
    *ok =
        tw_size_mul(each, rows, &body) && tw_size_add(body, sizeof(struct blob_header) + columns * TW_NAME_MAX, &size);
    return size;
}

static unsigned char *put(unsigned char *at, const void *from, size_t size)
{
    if (size)
        memcpy(at, from, size);
    return at + size;
}

int tw_data_to_blob(const struct tw_data *data, unsigned char **blob, size_t *size)
{
    const struct tw_schema *schema = data->schema;
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    struct blob_header header = {.magic = MAGIC,
                                 .rows = data->rows,
                                 .invalid = data->invalid,
                                 .features = (uint32_t)d,
                                 .conditions = (uint32_t)c};
    bool ok;

    *blob = NULL;
    *size = blob_size(schema, data->rows, &ok);
    if (!ok || !(*blob = malloc(*size)))
        return TW_NO_MEMORY;

    unsigned char *at = put(*blob, &header, sizeof header);

    for (size_t i = 0; i < d + c; i++) {
        char name[TW_NAME_MAX] = "";

        strcpy(name, schema->columns[i].name);
        at = put(at, name, sizeof name);
    }
    at = put(at, data->keys, data->rows * sizeof *data->keys);
    at = put(at, data->features, data->rows * d * sizeof(float));
    at = put(at, data->conditions, data->rows * c * sizeof(float));
    put(at, data->weights, data->rows * sizeof(float));
    return TW_OK;
}

static const unsigned char *get(const unsigned char *at, void *to, size_t size)
{
    if (size)
        memcpy(to, at, size);
    return at + size;
}

static bool row_usable(const struct tw_data *data, size_t row)
{
    size_t d = (size_t)data->schema->features, c = (size_t)data->schema->conditions;

    for (size_t k = 0; k < c; k++)
        if (!isfinite(data->conditions[row * c + k]))
            return false;
    return tw_schema_row_ok(data->schema, data->features + row * d) && isfinite(data->weights[row]);
}

int tw_data_from_blob(struct tw_data *data, const struct tw_schema *schema, const unsigned char *blob, size_t size)
{
    size_t d = (size_t)schema->features, c = (size_t)schema->conditions;
    struct blob_header header;
    bool ok;

    tw_data_init(data, schema);
    if (size < sizeof header)
        return TW_CORRUPT;

    const unsigned char *at = get(blob, &header, sizeof header);

    if (memcmp(header.magic, MAGIC, sizeof header.magic) || header.features != d || header.conditions != c ||
        blob_size(schema, header.rows, &ok) != size || !ok)
        return TW_CORRUPT;
    for (size_t i = 0; i < d + c; i++, at += TW_NAME_MAX)
        if (strncmp((const char *)at, schema->columns[i].name, TW_NAME_MAX))
            return TW_CORRUPT;
    if (reserve(data, header.rows, false))
        return TW_NO_MEMORY;
    at = get(at, data->keys, header.rows * sizeof *data->keys);
    at = get(at, data->features, header.rows * d * sizeof(float));
    at = get(at, data->conditions, header.rows * c * sizeof(float));
    get(at, data->weights, header.rows * sizeof(float));
    data->rows = header.rows;
    data->invalid = header.invalid;
    for (size_t i = 0; i < data->rows; i++)
        if (!row_usable(data, i)) {
            tw_data_fini(data);
            tw_data_init(data, schema);
            return TW_CORRUPT;
        }
    return TW_OK;
}
