#include "daemon/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/errno_status.h"

/* 0 or errno. */
static int sync_names(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return code;
}

/* Without descriptors it was not tried: that may be over soon. Anything else is final. */
static int not_synced(const char *path, int code, struct tw_error *error)
{
    return tw_error_set(error, errno_status(code) == TW_NO_MEMORY ? TW_NO_MEMORY : TW_IO,
                        "cannot sync the folder %.150s: %s", path, strerror(code));
}

int folder_sync(const char *path, struct tw_error *error)
{
    int code = sync_names(path);
    return code ? not_synced(path, code, error) : 0;
}

/* The folder that holds the one that `path` ends in, cut out of `path` itself. */
static const char *parent_of(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    slash[slash == path] = '\0';
    return path;
}

int folder_sync_name(const char *path, struct tw_error *error)
{
    char *copy = strdup(path);
    if (!copy)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
    int code = sync_names(parent_of(copy));
    int status = code && code != ENOENT ? not_synced(copy, code, error) : 0; /* no folder holds no name either */
    free(copy);
    return status;
}

/* One folder, its parent there. One that was there and is ours may have been made by a start that died before it could
 * sync the name, so its name is synced again; not where we may not, as then we can't have made it. */
static int make_one(char *path, struct tw_error *error)
{
    struct stat stat_of;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return tw_error_set(error, errno_status(errno), "cannot make the folder %.150s: %s", path, strerror(errno));
    if (!made && (stat(path, &stat_of) != 0 || stat_of.st_uid != geteuid()))
        return 0;
    const char *parent = parent_of(path);
    int code = sync_names(parent);
    if (!made && (code == EACCES || code == EROFS || code == EINVAL))
        return 0;
    return code ? not_synced(parent, code, error) : 0;
}

int folder_make(const char *path, struct tw_error *error)
{
    int status = 0;
    for (const char *end = path; *end && status == 0;) {
        end = strchrnul(end + 1, '/');
        char *part = strndup(path, (size_t)(end - path));
        status = part ? make_one(part, error) : tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
        free(part);
    }
    return status;
}

int folder_make_in(const char *path, struct tw_error *error)
{
    char *copy = strdup(path);
    int status = copy ? make_one(copy, error) : tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
    free(copy);
    return status;
}

int folder_check(const char *path, struct tw_error *error)
{
    char *copy = strdup(path);
    struct stat stat_of;
    if (!copy)
        return tw_error_set(error, TW_NO_MEMORY, "no memory for a path");
    const char *there = copy; /* what there is of it */
    bool found = stat(there, &stat_of) == 0;
    while (!found && (errno == ENOENT || errno == ENOTDIR) && strcmp(there, ".") != 0) {
        there = parent_of(copy);
        found = stat(there, &stat_of) == 0;
    }
    int status = 0;
    if (found && !S_ISDIR(stat_of.st_mode))
        status = tw_error_set(error, TW_INVALID, "%.150s is not a folder", there);
    else if (!found || faccessat(AT_FDCWD, there, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        status = tw_error_set(error, TW_INVALID, "the folder %.150s cannot be written: %s", there, strerror(errno));
    free(copy);
    return status;
}
