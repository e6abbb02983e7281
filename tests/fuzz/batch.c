/* Input: a message (frames.h) to a twin with three features and two conditions. Every row of a batch that fits the twin
 * is kept or counted as invalid, and its content has one digest, however the header is written. */
#include <jansson.h>
#include <string.h>

#include "daemon/batch.h"
#include "frames.h"
#include "fuzz.h"

enum { FEATURES = 3 };

static const struct tw_schema *twin(void)
{
    static struct tw_schema *schema;
    if (!schema) {
        json_t *features = json_loads("[{\"name\": \"a\", \"min\": 0, \"max\": 1}, {\"name\": \"b\","
                                      " \"transform\": \"log\"}, {\"name\": \"c\", \"kind\": \"periodic\","
                                      " \"min\": -3, \"max\": 3}]",
                                      0, NULL);
        json_t *conditions = json_loads("[{\"name\": \"alpha_s\"}, {\"name\": \"beam\", \"min\": 1}]", 0, NULL);
        FUZZ_CHECK(tw_schema_parse(features, conditions, &schema, NULL) == 0);
        json_decref(features);
        json_decref(conditions);
    }
    return schema;
}

static void check_digest(const struct twp_batch *batch, const struct twp_frame *frames, size_t count)
{
    const char *columns[TWP_COLUMNS_MAX];
    struct twp_batch again;
    uint8_t digest[16], second[16];
    char detail[200];
    for (int i = 0; i < batch->columns; i++)
        columns[i] = batch->column[i];
    char *header = twp_wire_batch_header(&batch->key, batch->columns ? columns : NULL, (size_t)batch->columns,
                                         batch->condition, (size_t)batch->conditions, NULL);
    FUZZ_CHECK(header);
    struct twp_frame copy[TWP_FRAMES_MAX];
    memcpy(copy, frames, count * sizeof *copy);
    copy[1] = (struct twp_frame){header, strlen(header)};
    FUZZ_CHECK(twp_wire_batch(copy, count, &again, detail) == TWP_OK);
    again.stream = batch->stream;
    batch_digest(batch, digest);
    batch_digest(&again, second);
    FUZZ_CHECK(memcmp(digest, second, sizeof digest) == 0);
    twp_wire_batch_fini(&again);
    free(header);
}

static void check_rows(const struct twp_batch *batch)
{
    struct tw_data data;
    tw_data_init(&data, twin());
    FUZZ_CHECK(batch_append(twin(), batch, 5, &data) == 0);
    FUZZ_CHECK(data.rows + data.invalid == batch->payload.rows);
    FUZZ_CHECK(batch->has_weights || data.invalid == batch_invalid_rows(twin(), batch));
    for (size_t i = 0; i < data.rows; i++)
        FUZZ_CHECK(tw_schema_row_ok(twin(), data.features + i * FEATURES) && data.weights[i] >= 0);
    tw_data_fini(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct twp_frame frames[FRAMES];
    size_t count = frames_split(data, size, frames);
    struct twp_batch batch;
    char detail[200] = "";
    int map[FEATURES];
    if (twp_wire_batch(frames, count, &batch, detail) != TWP_OK)
        return 0;
    if (batch_map(twin(), &batch, map, detail) == TWP_OK) {
        for (int i = 0; i < FEATURES; i++)
            FUZZ_CHECK(map[i] >= 0 && (size_t)map[i] < batch.payload.cols);
        check_rows(&batch);
    } else {
        FUZZ_CHECK(detail[0] != '\0');
    }
    check_digest(&batch, frames, count);
    twp_wire_batch_fini(&batch);
    return 0;
}
