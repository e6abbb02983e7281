#include "daemon/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "daemon/errno_status.h"
#include "daemon/folder.h"

static int read_token(const char *path, char token[TOKEN_SIZE], struct tw_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? TW_NOT_FOUND
                               : tw_error_set(error, errno_status(errno), "%s: %s", path, strerror(errno));
    ssize_t n = read(fd, token, TOKEN_SIZE - 1);
    close(fd);
    if (n != TOKEN_SIZE - 1)
        return tw_error_set(error, TW_CORRUPT, "%s does not hold a token; remove it and a new one is written", path);
    token[TOKEN_SIZE - 1] = '\0';
    if (strspn(token, "0123456789abcdef") != TOKEN_SIZE - 1)
        return tw_error_set(error, TW_CORRUPT, "%s does not hold a token; remove it and a new one is written", path);
    return TW_OK;
}

/* Written beside and renamed, so that a kill leaves either no token or a whole one. */
static int write_token(const char *state, const char *path, const char *token, struct tw_error *error)
{
    char beside[4200];
    snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tw_error_set(error, errno_status(errno), "%s: %s", beside, strerror(errno));
    char line[TOKEN_SIZE + 1];
    snprintf(line, sizeof(line), "%s\n", token);
    int status = TW_OK;
    if (write(fd, line, TOKEN_SIZE) != TOKEN_SIZE)
        status = tw_error_set(error, errno_status(errno), "writing %s: %s", beside, strerror(errno));
    else if (fsync(fd) != 0)
        status = tw_error_set(error, TW_IO, "fsync %s: %s", beside, strerror(errno));
    close(fd);
    if (status == TW_OK && rename(beside, path) != 0)
        status = tw_error_set(error, errno_status(errno), "renaming %s: %s", beside, strerror(errno));
    return status == TW_OK ? folder_sync(state, error) : status;
}

int token_load(const char *state, char token[TOKEN_SIZE], struct tw_error *error)
{
    char path[4160];
    snprintf(path, sizeof(path), "%s/admin.token", state);
    int status = read_token(path, token, error);
    if (status != TW_NOT_FOUND)
        return status;
    unsigned char bytes[(TOKEN_SIZE - 1) / 2];
    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2hex(token, TOKEN_SIZE, bytes, sizeof(bytes));
    return write_token(state, path, token, error);
}
