/* Rows that a model makes on request, few at once or many in chunks.
 *
 * Few rows are answered on the server's thread; many are computed by the query workers and sent as they come. Every
 * chunk is a function of (version, input, index), so the same request gives the same bytes however it is cut.
 */
#ifndef DAEMON_API_STREAM_H
#define DAEMON_API_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/api.h"
#include "proto/table.h"

enum {
    API_STREAM_SMALL = TW_BLOCK,   /* rows that are answered without a worker */
    API_STREAM_ROWS_MAX = 1000000, /* samples of an answer */
};

#define API_STREAM_WEIGHT "weight" /* the column behind the features of weighted events */

struct api_stream {
    const struct tw_kernels *kernels;
    struct twin *twin;         /* reference */
    struct snapshot *snapshot; /* reference */
    enum twp_format format;
    size_t rows, done;
    size_t chunk_rows;
    size_t held; /* taken from the share of answers */
    bool head_sent, tail_sent;

    uint64_t seed;
    int member;        /* of an ensemble, -1: all of them as one */
    bool spread;       /* over the members, beside log_prob */
    bool weighted;     /* samples of what is under the version's weights, with a column `weight` */
    float *conditions; /* owned; one row (sample) or one for every event (log_prob); NULL: the defaults */
    float *values;     /* owned; events of log_prob */
    char *envelope;    /* owned; what another protocol sends in place of the head */

    /* Encoded pieces, malloc'd; NULL on failure. */
    void *(*head)(struct api_stream *stream, size_t *size);
    void *(*chunk)(struct api_stream *stream, size_t first, size_t rows, size_t *size);
    const char *tail;
    const char *media;        /* Content-Type */
    size_t npy_head, npy_row; /* bytes of the head and of a row in .npy */
};

/* The format that Accept asks for; false after a 406. */
bool api_stream_negotiate(const struct http_request *request, struct http_response *response, enum twp_format *format);
/* A stream for the version asked for (0: champion), if its kind offers `output`. Takes over the reference to `twin`,
 * also when it fails. NULL after a problem. */
struct api_stream *api_stream_new(struct http_request *request, struct http_response *response, struct twin *twin,
                                  int version, enum tw_output output, enum twp_format format);
/* Sets the member that is asked for, -1 for none. False, after a 400, if the version has no such member. */
bool api_stream_member(struct api_stream *stream, int64_t member, struct http_response *response);
void api_stream_free(struct api_stream *stream); /* accepts NULL */
/* The stream answers with samples of (n, seed), or with log_prob of the rows that it has. */
void api_stream_samples(struct api_stream *stream, size_t n, uint64_t seed); /* api_sample.c */
void api_stream_log_prob(struct api_stream *stream);                         /* api_log_prob.c */
/* A seed for who gave none: 53 random bits, which every reader of JSON keeps. */
uint64_t api_stream_seed(void); /* api_sample.c */
/* Answers with the stream, which it takes over; with 503 where too much is being answered already. */
void api_stream_answer(struct http_response *response, struct api_stream *stream);

#endif
