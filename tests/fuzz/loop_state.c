/* Input: the state of a loop as the store keeps it. What comes out of any JSON can be written and read again. */
#include <stdlib.h>
#include <string.h>

#include "daemon/loop_state.h"
#include "fuzz.h"

static char *through(const json_t *json)
{
    struct loop loop = {0};
    loop_state_restore(&loop, json);
    char *text = loop_state_text(&loop);
    FUZZ_CHECK(text);
    cusum_free(loop.cusum);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    char *first = through(json);
    json_t *read = json_loads(first, 0, NULL);
    char *second = through(read);
    FUZZ_CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    json_decref(read);
    json_decref(json);
    return 0;
}
