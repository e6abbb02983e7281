/* Input: a message (frames.h). What is refused has a sentence and can be answered; a batch that
 * is accepted has a header that can be written and read again. */
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "fuzz.h"
#include "proto/wire.h"

static void write_again(const struct twp_batch *batch, const struct twp_frame *frames, size_t count)
{
    const char *columns[TWP_COLUMNS_MAX];
    struct twp_batch again;
    char detail[200];
    for (int i = 0; i < batch->columns; i++)
        columns[i] = batch->column[i];
    char *header =
        twp_wire_batch_header(&batch->key, batch->columns ? columns : NULL, (size_t)batch->columns, batch->condition,
                              (size_t)batch->conditions, batch->time[0] ? batch->time : NULL);
    FUZZ_CHECK(header);
    struct twp_frame copy[4];
    memcpy(copy, frames, count * sizeof *copy);
    copy[1] = (struct twp_frame){header, strlen(header)};
    FUZZ_CHECK(twp_wire_batch(copy, count, &again, detail) == TWP_OK);
    FUZZ_CHECK(memcmp(&again.key, &batch->key, sizeof again.key) == 0 && again.columns == batch->columns &&
               again.conditions == batch->conditions);
    twp_wire_batch_fini(&again);
    free(header);
}

static void answer(const struct twp_key *key, enum twp_code code, const char *detail)
{
    struct twp_reply reply;
    char *nack = twp_wire_nack(key, code, detail);
    FUZZ_CHECK(detail[0] != '\0' && strlen(detail) < 200 && nack);
    struct twp_frame frames[2] = {{TWP_NACK, strlen(TWP_NACK)}, {nack, strlen(nack)}};
    FUZZ_CHECK(twp_wire_reply(frames, 2, &reply) == TWP_OK && strcmp(reply.code, twp_wire_code(code)) == 0);
    FUZZ_CHECK(reply.key.run == key->run && reply.key.seq == key->seq && strcmp(reply.key.twin, key->twin) == 0);
    free(nack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct twp_frame frames[FRAMES];
    size_t count = frames_split(data, size, frames);
    struct twp_batch batch;
    struct twp_reply reply;
    struct twp_key key;
    char detail[200];
    enum twp_code code = twp_wire_batch(frames, count, &batch, detail);
    if (code == TWP_OK) {
        write_again(&batch, frames, count);
        twp_wire_batch_fini(&batch);
    } else {
        answer(&batch.key, code, detail);
    }
    code = twp_wire_hello(frames, count, &key, detail);
    if (code != TWP_OK)
        answer(&key, code, detail);
    twp_wire_reply(frames, count, &reply);
    return 0;
}
