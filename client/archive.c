/* Reading a backup's archive. The manifest comes last, because the sums are known only when all has been sent; until it
 * has been seen nothing may be trusted. */
#include "client/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/timer.h"

enum { FORMAT = 1, MANIFEST_MAX = 64 << 20, PIECE = 256 << 10 };

static const char MANIFEST[] = "manifest.json";

static bool fail(struct archive *archive, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct archive *archive, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!*archive->problem)
        vsnprintf(archive->problem, sizeof archive->problem, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_segment(const char *name)
{
    if (strncmp(name, "spool/", 6) != 0)
        return false;
    size_t id = strspn(name + 6, "0123456789");
    const char *rest = name + 6 + id;
    return id > 0 && id < 20 && *rest == '/' && strspn(rest + 1, "0123456789abcdef") == 16 &&
           strcmp(rest + 17, ".seg") == 0;
}

static bool entry(void *context, const char *name, uint64_t size)
{
    struct archive *archive = context;
    bool manifest = !strcmp(name, MANIFEST);
    if (archive->text)
        return fail(archive, "%s follows the manifest", name);
    if (!manifest && strcmp(name, "twin.db") != 0 && !is_segment(name))
        return fail(archive, "%s does not belong into a backup", name);
    if (json_object_get(archive->files, name))
        return fail(archive, "%s is there twice", name);
    snprintf(archive->name, sizeof archive->name, "%s", name);
    archive->size = size;
    crypto_hash_sha256_init(&archive->sha256);
    if (!manifest)
        return !archive->sink || archive->sink->open(archive->sink->context, name, archive->problem);
    if (size > MANIFEST_MAX)
        return fail(archive, "the manifest is too large");
    archive->text = malloc((size_t)size + 1);
    return archive->text || fail(archive, "out of memory");
}

static bool data(void *context, const void *bytes, size_t size)
{
    struct archive *archive = context;
    if (archive->text) {
        memcpy(archive->text + archive->length, bytes, size);
        archive->length += size;
        return true;
    }
    crypto_hash_sha256_update(&archive->sha256, bytes, size);
    return !archive->sink || archive->sink->write(archive->sink->context, bytes, size, archive->problem);
}

static bool end(void *context)
{
    struct archive *archive = context;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];
    if (archive->text)
        return true;
    crypto_hash_sha256_final(&archive->sha256, digest);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    json_object_set_new(archive->files, archive->name,
                        json_pack("{s:I, s:s}", "size", (json_int_t)archive->size, "sha256", hex));
    return !archive->sink || archive->sink->close(archive->sink->context, archive->problem);
}

void archive_init(struct archive *archive, const struct archive_sink *sink)
{
    *archive = (struct archive){.sink = sink, .files = json_object()};
    archive->tar.visitor = (struct twp_tar_visitor){entry, data, end, archive};
}

void archive_fini(struct archive *archive)
{
    json_decref(archive->files);
    json_decref(archive->manifest);
    free(archive->text);
    *archive = (struct archive){.sink = NULL};
}

bool archive_push(struct archive *archive, const void *bytes, size_t size)
{
    archive->bytes += size;
    return twp_tar_push(&archive->tar, bytes, size) || fail(archive, "%s", archive->tar.problem);
}

/* --- the manifest --- */

static bool check_file(struct archive *archive, const json_t *listed)
{
    const char *name = json_string_value(json_object_get(listed, "name"));
    const char *sum = json_string_value(json_object_get(listed, "sha256"));
    json_t *found = name ? json_object_get(archive->files, name) : NULL;
    if (!name || !sum)
        return fail(archive, "the manifest is not valid");
    if (!found)
        return fail(archive, "%.100s is missing", name);
    if (json_integer_value(json_object_get(listed, "size")) != json_integer_value(json_object_get(found, "size")) ||
        strcmp(sum, json_string_value(json_object_get(found, "sha256"))) != 0)
        return fail(archive, "%.100s is damaged: its size or SHA-256 is not that of the manifest", name);
    if (json_object_get(found, "listed"))
        return fail(archive, "the manifest lists %.100s twice", name);
    return !json_object_set_new(found, "listed", json_true());
}

/* Everything that archive_summary shows. */
static bool manifest_ok(const json_t *manifest)
{
    return json_is_array(json_object_get(manifest, "files")) && json_is_string(json_object_get(manifest, "version")) &&
           json_is_integer(json_object_get(manifest, "schema")) &&
           json_is_string(json_object_get(manifest, "created")) && json_is_array(json_object_get(manifest, "twins"));
}

static bool check_files(struct archive *archive, const json_t *listed)
{
    size_t i;
    json_t *file;
    json_array_foreach((json_t *)listed, i, file)
    {
        if (!check_file(archive, file))
            return false;
    }
    /* No name is there or listed twice, and each that is listed was found: equal numbers mean equal lists. */
    if (json_array_size(listed) != json_object_size(archive->files))
        return fail(archive, "it holds files that its manifest does not list");
    return json_object_get(archive->files, "twin.db") || fail(archive, "twin.db is missing");
}

bool archive_finish(struct archive *archive)
{
    if (!twp_tar_finish(&archive->tar))
        return fail(archive, "%s", archive->tar.problem);
    if (!archive->text)
        return fail(archive, "it has no manifest");
    json_t *manifest = json_loadb(archive->text, archive->length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *format = json_object_get(manifest, "format"), *files = json_object_get(manifest, "files");
    bool fine = true;
    if (!json_is_integer(format))
        fine = fail(archive, "the manifest is not valid");
    else if (json_integer_value(format) != FORMAT)
        fine = fail(archive, "it has format %lld, and this twinctl knows format %d: use a newer twinctl",
                    (long long)json_integer_value(format), FORMAT);
    else if (!manifest_ok(manifest))
        fine = fail(archive, "the manifest is not valid");
    fine = fine && check_files(archive, files);
    if (fine)
        archive->manifest = manifest;
    else
        json_decref(manifest);
    return fine;
}

bool archive_read(struct archive *archive, const char *path)
{
    bool input = !strcmp(path, "-");
    int file = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = malloc(PIECE);
    bool fine = file >= 0 && bytes ? true : fail(archive, "%.300s: %s", path, strerror(errno));
    ssize_t n = 1;
    while (fine && n) {
        n = read(file, bytes, PIECE);
        if (timer_signal())
            fine = fail(archive, "stopped");
        else if (n < 0 && errno != EINTR)
            fine = fail(archive, "%.300s: %s", path, strerror(errno));
        else if (n > 0)
            fine = archive_push(archive, bytes, (size_t)n);
    }
    if (file >= 0 && !input)
        close(file);
    free(bytes);
    return fine && archive_finish(archive);
}

json_t *archive_summary(const struct archive *archive)
{
    const json_t *manifest = archive->manifest;
    return json_pack("{s:O, s:O, s:O, s:I, s:I, s:O}", "version", json_object_get(manifest, "version"), "schema",
                     json_object_get(manifest, "schema"), "created", json_object_get(manifest, "created"), "files",
                     (json_int_t)json_object_size(archive->files), "bytes", (json_int_t)archive->bytes, "twins",
                     json_object_get(manifest, "twins"));
}
