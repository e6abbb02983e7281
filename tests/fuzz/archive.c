/* Input: a byte that says how large the pieces are, a manifest, a zero byte, and the bytes of twin.db and of a segment,
 * half of them each. The archive around them is right, and so is every size and sum that the manifest leaves out as
 * "?": what the manifest says is what is tried. Where an archive is taken, each of its files is listed, and there is
 * something to show. */
#include <stdlib.h>
#include <string.h>

#include "client/archive.h"
#include "fuzz.h"

#define SEGMENT "spool/1/0000000000000000.seg"

struct file {
    const char *name;
    const uint8_t *bytes;
    size_t size;
};

/* Sizes and sums of the entries that say "?". */
static void complete(json_t *manifest, const struct file *files, size_t count)
{
    size_t i;
    json_t *listed;
    json_array_foreach(json_object_get(manifest, "files"), i, listed)
    {
        const char *name = json_string_value(json_object_get(listed, "name"));
        const char *sum = json_string_value(json_object_get(listed, "sha256"));
        for (size_t f = 0; name && sum && strcmp(sum, "?") == 0 && f < count; f++) {
            unsigned char digest[crypto_hash_sha256_BYTES];
            char hex[2 * sizeof digest + 1];
            if (strcmp(name, files[f].name) != 0)
                continue;
            crypto_hash_sha256(digest, files[f].bytes, files[f].size);
            json_object_set_new(listed, "sha256", json_string(sodium_bin2hex(hex, sizeof hex, digest, sizeof digest)));
            json_object_set_new(listed, "size", json_integer((json_int_t)files[f].size));
            break;
        }
    }
}

static bool push(struct archive *archive, const void *bytes, size_t size, size_t piece)
{
    bool fine = true;
    for (size_t at = 0; fine && at < size; at += piece)
        fine = archive_push(archive, (const uint8_t *)bytes + at, size - at < piece ? size - at : piece);
    return fine;
}

static bool push_file(struct archive *archive, const struct file *file, size_t piece)
{
    static const unsigned char zeros[TWP_TAR_BLOCK];
    unsigned char block[TWP_TAR_BLOCK];
    FUZZ_CHECK(twp_tar_header(block, file->name, file->size, 0));
    return push(archive, block, sizeof block, piece) && push(archive, file->bytes, file->size, piece) &&
           push(archive, zeros, twp_tar_padding(file->size), piece);
}

static void check_taken(const struct archive *archive)
{
    const char *name;
    json_t *found, *listed;
    json_object_foreach(archive->files, name, found)
    {
        size_t i, times = 0;
        json_array_foreach(json_object_get(archive->manifest, "files"), i, listed)
        {
            const char *other = json_string_value(json_object_get(listed, "name"));
            times += other && strcmp(other, name) == 0;
        }
        FUZZ_CHECK(times == 1);
    }
    json_t *summary = archive_summary(archive);
    FUZZ_CHECK(summary);
    json_decref(summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char end[TWP_TAR_END];
    const uint8_t *zero = size > 1 ? memchr(data + 1, 0, size - 1) : NULL;
    if (!zero)
        return 0;
    size_t rest = size - (size_t)(zero + 1 - data), piece = 1 + data[0] * 4u;
    struct file files[] = {{"twin.db", zero + 1, rest / 2},
                           {SEGMENT, zero + 1 + rest / 2, rest - rest / 2},
                           {"manifest.json", data + 1, (size_t)(zero - data - 1)}};
    json_t *manifest = json_loadb((const char *)data + 1, files[2].size, JSON_REJECT_DUPLICATES, NULL);
    complete(manifest, files, 2);
    char *text = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
    if (text)
        files[2] = (struct file){"manifest.json", (const uint8_t *)text, strlen(text)};
    struct archive archive;
    archive_init(&archive, NULL);
    bool fine = true;
    for (size_t i = 0; i < 3; i++)
        fine = fine && push_file(&archive, &files[i], piece);
    FUZZ_CHECK(fine && push(&archive, end, sizeof end, piece));
    if (archive_finish(&archive))
        check_taken(&archive);
    else
        FUZZ_CHECK(archive.problem[0] != '\0' && !archive.manifest);
    archive_fini(&archive);
    free(text);
    json_decref(manifest);
    return 0;
}
