/* Events on their way into a model: rows of columns in the feed's units, with what belongs to each row.
 *
 * Every row carries its identity (ordinal, row), from which its part of a held-out split follows: splits are functions
 * of identities, never of timing or order of arrival.
 */
#ifndef TW_MODEL_DATA_H
#define TW_MODEL_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/schema.h"

enum tw_part { TW_PART_TRAIN, TW_PART_STOP, TW_PART_GATE }; /* 80 %, 10 %, 10 % */

/* Growable, row-major. Only valid rows are kept; invalid ones are counted. */
struct tw_data {
    const struct tw_schema *schema; /* borrowed */
    size_t rows;
    size_t invalid;         /* rows refused by tw_schema_row_ok */
    size_t invalid_part[3]; /* the same by the part that they would belong to; not kept in a blob */
    float *features;        /* (rows, D) */
    float *conditions;      /* (rows, C); NULL if C == 0 */
    float *weights;         /* (rows); 1 where none were given */
    float *labels;          /* (rows); NULL unless labelled: 0 or 1 */
    uint64_t *keys;         /* (rows): identity of the row, from tw_data_key */
    size_t capacity;
};

void tw_data_init(struct tw_data *data, const struct tw_schema *schema);
void tw_data_fini(struct tw_data *data);

/* Identity of row `row` of the batch with ordinal `ordinal`. */
uint64_t tw_data_key(uint64_t ordinal, uint64_t row);
/* The part that a row belongs to: a hash of its identity. */
enum tw_part tw_data_part(uint64_t key);

/* Appends a batch, periodic values wrapped: values (rows, D) in schema order, conditions (C) for the whole batch or
 * NULL for the defaults, weights (rows) or NULL. Row i gets the key (ordinal, first_row + i). TW_NO_MEMORY or 0. */
int tw_data_append(struct tw_data *data, uint64_t ordinal, uint64_t first_row, size_t rows, const float *values,
                   const float *conditions, const float *weights);

/* Appends the rows of `from` that are in one of the parts (bit mask of 1 << TW_PART_...), and counts the invalid ones
 * of these parts. */
int tw_data_append_parts(struct tw_data *data, const struct tw_data *from, unsigned parts);
/* Appends rows [first, first+count) of `from`; label >= 0 sets labels (then all rows of `data` must be labelled). */
int tw_data_append_rows(struct tw_data *data, const struct tw_data *from, size_t first, size_t count, int label);
/* Appends all rows of `from`, whose features are the first of data's and whose conditions are the same. The further
 * features are NaN, for the caller to fill; invalid rows are counted. */
int tw_data_append_wider(struct tw_data *data, const struct tw_data *from);

/* A self-contained blob of the rows (features, conditions, weights, keys, counts), for the acceptance reference, and
 * back. The blob names its schema's columns; one that does not fit `schema` is TW_CORRUPT. Release blobs with free().
 */
int tw_data_to_blob(const struct tw_data *data, unsigned char **blob, size_t *size);
int tw_data_from_blob(struct tw_data *data, const struct tw_schema *schema, const unsigned char *blob, size_t size);

#endif
