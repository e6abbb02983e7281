/* Whole files in and out. */
#include "client/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *file_read(const char *path, size_t most, size_t *size, char problem[512])
{
    bool input = !strcmp(path, "-");
    const char *name = input ? "standard input" : path;
    FILE *stream = input ? stdin : fopen(path, "re");
    char *bytes = NULL;
    size_t used = 0, capacity = 0, n = 1;
    while (stream && n && used <= most) {
        if (capacity - used < 65536) {
            capacity = 2 * capacity + 65536;
            char *more = realloc(bytes, capacity + 1);
            if (!more) {
                errno = ENOMEM;
                break;
            }
            bytes = more;
        }
        n = fread(bytes + used, 1, capacity - used, stream);
        used += n;
    }
    bool failed = !stream || n || ferror(stream);
    if (stream && used > most)
        snprintf(problem, 512, "%s has more than %zu bytes", name, most);
    else if (failed)
        snprintf(problem, 512, "%s: %s", name, strerror(errno));
    if (stream && !input)
        fclose(stream);
    if (failed || used > most) {
        free(bytes);
        return NULL;
    }
    bytes[used] = 0;
    *size = used;
    return bytes;
}

static bool fail(const struct file_out *out, char problem[512])
{
    snprintf(problem, 512, "%s: %s", out->temporary ? out->path : "standard output", strerror(errno));
    return false;
}

bool file_create(struct file_out *out, const char *path, char problem[512])
{
    *out = (struct file_out){.file = STDOUT_FILENO, .path = path};
    if (!strcmp(path, "-"))
        return true;
    mode_t mask = umask(0);
    umask(mask);
    if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0)
        out->temporary = NULL;
    out->file = out->temporary ? mkostemp(out->temporary, O_CLOEXEC) : -1;
    if (out->file >= 0 && !fchmod(out->file, 0666 & ~mask))
        return true;
    fail(out, problem);
    file_abandon(out);
    return false;
}

bool file_write(struct file_out *out, const void *data, size_t size)
{
    for (const char *bytes = data; size;) {
        ssize_t n = write(out->file, bytes, size);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return true;
}

bool file_commit(struct file_out *out, char problem[512])
{
    if (!out->temporary)
        return true;
    int synced = fsync(out->file); /* a name must not come before what it names */
    if (close(out->file) || synced || rename(out->temporary, out->path)) {
        fail(out, problem);
        unlink(out->temporary);
        free(out->temporary);
        return false;
    }
    free(out->temporary);
    return true;
}

void file_abandon(struct file_out *out)
{
    if (!out->temporary)
        return;
    if (out->file >= 0)
        close(out->file);
    unlink(out->temporary);
    free(out->temporary);
}
