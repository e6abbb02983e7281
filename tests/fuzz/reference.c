/* Input: the blob of an acceptance reference. What is taken has rows inside the domain and makes the same blob again.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model/data.h"

static struct tw_schema *make_schema(const char *features, const char *conditions)
{
    json_t *first = json_loads(features, 0, NULL), *second = json_loads(conditions, 0, NULL);
    struct tw_schema *schema = NULL;
    FUZZ_CHECK(tw_schema_parse(first, second, &schema, NULL) == 0);
    json_decref(first);
    json_decref(second);
    return schema;
}

static void check_rows(const struct tw_data *data)
{
    const struct tw_schema *schema = data->schema;
    for (size_t i = 0; i < data->rows; i++) {
        FUZZ_CHECK(tw_schema_row_ok(schema, data->features + i * (size_t)schema->features));
        FUZZ_CHECK(isfinite(data->weights[i]));
        for (int c = 0; c < schema->conditions; c++)
            FUZZ_CHECK(isfinite(data->conditions[i * (size_t)schema->conditions + (size_t)c]));
    }
}

static void try_schema(const struct tw_schema *schema, const uint8_t *bytes, size_t size)
{
    struct tw_data data, part;
    unsigned char *blob = NULL, *second = NULL;
    size_t blob_size, second_size;
    int status = tw_data_from_blob(&data, schema, bytes, size);
    FUZZ_CHECK(status == 0 || (status == TW_CORRUPT && data.rows == 0));
    if (status == 0) {
        check_rows(&data);
        FUZZ_CHECK(tw_data_to_blob(&data, &blob, &blob_size) == 0 && blob_size == size);
        tw_data_fini(&data);
        FUZZ_CHECK(tw_data_from_blob(&data, schema, blob, blob_size) == 0);
        FUZZ_CHECK(tw_data_to_blob(&data, &second, &second_size) == 0);
        FUZZ_CHECK(second_size == blob_size && memcmp(second, blob, blob_size) == 0);
        tw_data_init(&part, schema);
        FUZZ_CHECK(tw_data_append_parts(&part, &data, 7) == 0 && part.rows == data.rows);
        tw_data_fini(&part);
    }
    free(blob);
    free(second);
    tw_data_fini(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tw_schema *plain, *full;
    if (!plain) {
        plain = make_schema("[{\"name\": \"x\"}]", "null");
        full = make_schema("[{\"name\": \"x\", \"min\": 0, \"max\": 1}, {\"name\": \"pt\", \"transform\": \"log\"},"
                           " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3, \"max\": 3}]",
                           "[{\"name\": \"alpha_s\", \"value\": 0.118}]");
    }
    try_schema(plain, data, size);
    try_schema(full, data, size);
    return 0;
}
