/* A batch as the daemon understands it: wire frames checked against a twin's schema.
 */
#ifndef DAEMON_BATCH_H
#define DAEMON_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/data.h"
#include "proto/wire.h"

/* twp_wire_batch, with TWP_FULL whenever memory ran out on the way (see shortage.h): whatever jansson then made of the
 * header, the message is not to blame. */
enum twp_code batch_decode(const struct twp_frame *frames, size_t count, struct twp_batch *out, char detail[200]);

/* Column mapping: for each feature of the schema, the column of the payload. map has schema->features entries. On an
 * unknown, missing or repeated column, or a condition that the schema lacks: the code and a sentence. */
enum twp_code batch_map(const struct tw_schema *schema, const struct twp_batch *batch, int *map, char detail[200]);

/* Appends the rows of a decoded batch to data (schema order, conditions and weights applied). */
int batch_append(const struct tw_schema *schema, const struct twp_batch *batch, uint64_t ordinal, struct tw_data *data);

/* Rows of the batch that are invalid under the schema. */
size_t batch_invalid_rows(const struct tw_schema *schema, const struct twp_batch *batch);

/* What makes rows invalid: the column whose values break its rule most often, and the rule with the first such value,
 * words that follow the column's name. */
struct batch_fault {
    char column[TW_NAME_MAX];
    char rule[96]; /* "is below min = 0: -3.5" */
};
/* False: every row is valid, or memory is out. */
bool batch_fault(const struct tw_schema *schema, const struct twp_batch *batch, struct batch_fault *out);

/* Content of a batch as far as duplicates are concerned (columns, conditions, stream, payload, weights; not time):
 * the first 16 bytes of its SHA-256. Independent of the order in which JSON members came. */
void batch_digest(const struct twp_batch *batch, uint8_t out[16]);

#endif
