/* Input: an archive in pieces, whose size the first byte sets. Names are such that nothing leaves a folder; sizes are
 * those of the data that come; what is accepted can be written again and gives the same entries. */
#include <string.h>

#include "fuzz.h"
#include "proto/tar.h"

struct found {
    uint64_t left;
    bool open;
    char name[TWP_TAR_NAME_MAX + 1];
};

static bool entry(void *context, const char *name, uint64_t size)
{
    struct found *found = context;
    unsigned char block[TWP_TAR_BLOCK];
    FUZZ_CHECK(!found->open && twp_tar_name_ok(name) && name[0] != '/' && !strstr(name, ".."));
    *found = (struct found){.left = size, .open = true};
    FUZZ_CHECK(strlen(name) < sizeof found->name && twp_tar_header(block, name, size, 0));
    FUZZ_CHECK(strcmp((char *)block, name) == 0);
    return true;
}

static bool data(void *context, const void *bytes, size_t size)
{
    struct found *found = context;
    FUZZ_CHECK(found->open && size > 0 && size <= found->left);
    found->left -= size;
    return true;
}

static bool end(void *context)
{
    struct found *found = context;
    FUZZ_CHECK(found->open && found->left == 0);
    found->open = false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct found found = {.open = false};
    struct twp_tar tar = {.visitor = {entry, data, end, &found}};
    size_t step = size ? bytes[0] * 7u + 1 : 1;
    bool fine = true;
    for (size_t at = 1; at < size && fine; at += step)
        fine = twp_tar_push(&tar, bytes + at, size - at < step ? size - at : step);
    FUZZ_CHECK(fine == !tar.problem);
    if (twp_tar_finish(&tar))
        FUZZ_CHECK(!found.open);
    else
        FUZZ_CHECK(tar.problem && !twp_tar_push(&tar, "", 1));
    return 0;
}
