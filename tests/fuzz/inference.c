/* Input: a line with the header Inference-Header-Content-Length (empty: not sent), then the body of an inference. What
 * is refused has a sentence; what is accepted has tensors that lie in the body and can be read as their shapes say. */
#include <stdlib.h>
#include <string.h>

#include "daemon/inference.h"
#include "fuzz.h"

static void check_tensor(const struct inference_tensor *tensor, const unsigned char *body, size_t size)
{
    size_t count = 1, item = tensor->type == INFERENCE_FP32 || tensor->type == INFERENCE_INT32 ? 4 : 8;
    char detail[200] = "";
    int64_t value;
    FUZZ_CHECK(tensor->name[0] && tensor->dims >= 1 && tensor->dims <= INFERENCE_DIMS_MAX);
    for (int d = 0; d < tensor->dims; d++)
        count *= tensor->shape[d];
    FUZZ_CHECK(count == tensor->count && !tensor->bytes == !!tensor->values);
    const unsigned char *bytes = tensor->bytes;
    FUZZ_CHECK(!bytes || (bytes >= body && bytes + count * item <= body + size));
    FUZZ_CHECK(count <= size); /* what is allocated for it is bounded by what came */
    float *floats = malloc(count * sizeof *floats + 1);
    FUZZ_CHECK(floats);
    FUZZ_CHECK(inference_floats(tensor, floats, detail) || detail[0]);
    free(floats);
    detail[0] = '\0';
    if (inference_integer(tensor, -3, 1000, &value, detail))
        FUZZ_CHECK(value >= -3 && value <= 1000 && count == 1);
    else
        FUZZ_CHECK(detail[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *stop = size ? memchr(data, '\n', size) : NULL;
    if (!stop)
        return 0;
    size_t line = (size_t)(stop - data), length = size - line - 1;
    char *header = strndup((const char *)data, line), detail[200] = "";
    unsigned char *body = malloc(length + !length);
    FUZZ_CHECK(header && body);
    memcpy(body, stop + 1, length);
    struct inference_request request;
    if (inference_parse(body, length, header[0] ? header : NULL, &request, detail) == 0) {
        FUZZ_CHECK(request.inputs >= 1 && request.inputs <= INFERENCE_TENSORS_MAX);
        for (int i = 0; i < request.inputs; i++) {
            check_tensor(&request.input[i], body, length);
            FUZZ_CHECK(inference_input(&request, request.input[i].name) == &request.input[i]);
        }
    } else {
        FUZZ_CHECK(detail[0] && strlen(detail) < sizeof detail);
    }
    inference_fini(&request);
    free(header);
    free(body);
    return 0;
}
