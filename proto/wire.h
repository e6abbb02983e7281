/* The wire: multipart ZeroMQ messages between a feed (DEALER) and twind (ROUTER).
 *
 *   hello  "TWH1" | {"twin", "feed", "run"}
 *   batch  "TWB1" | header | payload.npy [| weights.npy]
 *   reply  "WELCOME" | "ACK" | "NACK" | "CREDIT", each with one JSON frame
 *
 * Encoding and decoding only: no sockets, no files, no knowledge of the daemon.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/npy.h"

#define TWP_HELLO   "TWH1"
#define TWP_BATCH   "TWB1"
#define TWP_WELCOME "WELCOME"
#define TWP_ACK     "ACK"
#define TWP_NACK    "NACK"
#define TWP_CREDIT  "CREDIT"

enum {
    TWP_NAME_MAX = 64,   /* twin and feed names: [a-z0-9][a-z0-9_-]{0,63}; this many characters */
    TWP_COLUMN_MAX = 63, /* characters of a column's name */
    TWP_COLUMNS_MAX = 1024,
    TWP_CONDITIONS_MAX = 256,
    TWP_HEADER_MAX = 256 * 1024, /* bytes of the JSON frame */
    TWP_FRAMES_MAX = 4,
    TWP_ROWS_MAX = 4000000,
    TWP_FREE_CREDIT = 16 * 1024 * 1024, /* bytes a feed may have in flight without hello */
};
#define TWP_BATCH_BYTES_MAX (256u * 1024 * 1024) /* all frames of one message */

enum twp_code {
    TWP_OK = 0,
    TWP_BAD_FRAME,
    TWP_BAD_HEADER,
    TWP_UNKNOWN_TWIN,
    TWP_BAD_PAYLOAD,
    TWP_BAD_SHAPE,
    TWP_UNKNOWN_COLUMN,
    TWP_CONFLICT,
    TWP_NO_CREDIT,
    TWP_FULL,
};
/* "bad_frame", ... as they stand in a NACK. */
const char *twp_wire_code(enum twp_code code);

struct twp_frame {
    const void *data;
    size_t size;
};

/* The key of a batch, and where a reply goes. Fields that could not be read are empty or -1. */
struct twp_key {
    char twin[TWP_NAME_MAX + 1];
    char feed[TWP_NAME_MAX + 1];
    int64_t run; /* >= 0 */
    int64_t seq; /* >= 0; -1 in hello */
};

struct twp_condition {
    char name[TWP_COLUMN_MAX + 1];
    double value;
};

enum twp_stream { TWP_STREAM_DATA, TWP_STREAM_SIMULATION };

struct twp_batch {
    struct twp_key key;
    int columns;                        /* 0: the columns of the definition in their order */
    char (*column)[TWP_COLUMN_MAX + 1]; /* (columns) */
    int conditions;
    struct twp_condition *condition;
    enum twp_stream stream;
    char time[40];          /* RFC 3339 or "" */
    struct twp_npy payload; /* borrows the frame */
    bool has_weights;
    struct twp_npy weights; /* borrows the frame */
};

/* True if `name` is a valid name of a twin or feed. */
bool twp_wire_name_ok(const char *name);

/* Decodes frames (tag included). On failure returns the code, fills whatever of the key could be read, and writes a
 * sentence to `detail`. Checks names, limits, unknown members, payload and weights (a payload of 0 rows is
 * bad_shape; weights must be one-dimensional with as many rows). Does not know the twin's columns. */
/* TWP_FULL: it is memory that is out, nothing is said about the message. */
enum twp_code twp_wire_batch(const struct twp_frame *frames, size_t count, struct twp_batch *out, char detail[200]);
void twp_wire_batch_fini(struct twp_batch *batch);
enum twp_code twp_wire_hello(const struct twp_frame *frames, size_t count, struct twp_key *out, char detail[200]);

/* JSON frames of replies and messages; malloc'd strings, NULL when memory is out. */
char *twp_wire_welcome(const struct twp_key *key, int64_t last_durable_seq, int64_t credit_bytes, int64_t max_bytes);
char *twp_wire_ack(const struct twp_key *key);
char *twp_wire_nack(const struct twp_key *key, enum twp_code code, const char *detail);
char *twp_wire_credit(const struct twp_key *key, int64_t credit_bytes);
char *twp_wire_hello_header(const struct twp_key *key);
/* columns may be NULL; conditions may be NULL; time may be NULL. */
char *twp_wire_batch_header(const struct twp_key *key, const char *const *columns, size_t n_columns,
                            const struct twp_condition *conditions, size_t n_conditions, const char *time);

/* A reply as a feed reads it. */
struct twp_reply {
    char tag[8];
    struct twp_key key;
    int64_t last_durable_seq, credit_bytes, max_bytes; /* -1 where absent */
    char code[24];
    char detail[200];
};
enum twp_code twp_wire_reply(const struct twp_frame *frames, size_t count, struct twp_reply *out);

#endif
