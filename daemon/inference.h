/* Requests of the Open Inference Protocol v2 with the binary tensor extension, as they come: JSON, and behind it the
 * bytes of those tensors whose parameters say `binary_data_size`, in order. Knows nothing of twins.
 *
 * https://github.com/kserve/open-inference-protocol, and Triton's extension_binary_data for the bytes. Pure functions
 * of their input.
 */
#ifndef DAEMON_INFERENCE_H
#define DAEMON_INFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    INFERENCE_TENSORS_MAX = 8,
    INFERENCE_DIMS_MAX = 2, /* no tensor of ours has more */
};

enum inference_type { INFERENCE_FP32, INFERENCE_FP64, INFERENCE_INT32, INFERENCE_INT64 };
const char *inference_type_name(enum inference_type type); /* "FP32" */

struct inference_tensor {
    const char *name;
    enum inference_type type;
    int dims;
    size_t shape[INFERENCE_DIMS_MAX];
    size_t count;         /* product of the shape; as many are there */
    const void *bytes;    /* count values, little endian, not necessarily aligned; or NULL: */
    const json_t *values; /* flat or nested as the shape is */
};

struct inference_output {
    const char *name;
    bool binary;
};

struct inference_request {
    json_t *json;   /* owned; names and values lie in it, bytes in the body */
    const char *id; /* or NULL */
    int inputs, outputs;
    bool binary; /* what the client wants of outputs that it does not name */
    struct inference_tensor input[INFERENCE_TENSORS_MAX];
    struct inference_output output[INFERENCE_TENSORS_MAX];
};

/* `header_length` is the header Inference-Header-Content-Length, NULL where it was not sent: the body is JSON alone.
 * 0, or -1 with a sentence. Release with _fini in both cases. */
int inference_parse(const void *body, size_t size, const char *header_length, struct inference_request *out,
                    char detail[200]);
void inference_fini(struct inference_request *request); /* accepts a zeroed one */

/* The input of this name, or NULL. */
const struct inference_tensor *inference_input(const struct inference_request *request, const char *name);

/* All values as floats; null is NaN. out: (count). False with a sentence: a type without fractions, or
 * what is no number. */
bool inference_floats(const struct inference_tensor *tensor, float *out, char detail[200]);
/* The one integer of a tensor of integers, in [low, high]. False with a sentence. */
bool inference_integer(const struct inference_tensor *tensor, int64_t low, int64_t high, int64_t *out,
                       char detail[200]);

#endif
