/* Input: an artifact's bytes. */
#include "check_model.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_model(data, size);
    return 0;
}
