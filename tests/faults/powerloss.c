/* Preloaded into twind: keeps a journal of everything that changes files below one folder, and of every sync.
 *
 * SIGKILL leaves the page cache, so a test that kills proves nothing about fsync. From this journal tests/faults/
 * powerloss.py rebuilds what a disk may hold after the power went: what was synced for certain, of the rest whatever
 * it likes. The journal lies outside of the folder and in the page cache, so it outlives the kill.
 *
 *   TWIN_POWER_ROOT      the folder, without a slash at its end
 *   TWIN_POWER_JOURNAL   the journal, appended to
 *   TWIN_POWER_DIE       if set: after so many records the process kills itself; r3: after the third of kind r
 *
 * Calls are done and recorded under one mutex, so that the order of records is the order of effects. Contents are
 * recorded before the call: a process that dies in between has then issued a write that was not synced, which promises
 * nothing. Syncs are recorded before they return, and are not carried out: the journal stands for the disk, and the
 * campaign is the faster for it. Files that end in -shm are left out; they are mapped, and lost anyhow.
 *
 * A record: u32 size of the whole, u32 kind (a letter), u64 inode, i64 offset, u32 bytes of the path, u32 bytes of data
 * or of the second path; then both. Paths are relative to the root.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPENED = 'o',    /* path, inode: for writing; made if it was not there */
    WRITTEN = 'w',   /* inode, offset, data */
    RESIZED = 't',   /* inode, offset: the new size */
    ALLOCATED = 'a', /* inode, offset: the size is at least that */
    SYNCED = 's',    /* inode: of a file */
    FOLDER = 'd',    /* path: the names in it were synced */
    RENAMED = 'r',   /* path, second path */
    LINKED = 'l',    /* path, second path */
    UNLINKED = 'u',  /* path */
    MADE = 'm',      /* path: of a new folder */
    REMOVED = 'x',   /* path: of a folder */
};

struct header {
    uint32_t size, kind;
    uint64_t inode;
    int64_t offset;
    uint32_t path, data;
};

enum { FILES_MAX = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int journal = -1;
static long left;      /* records until the end; 0: no end */
static char left_kind; /* which count; 0: all */
static dev_t device;
/* Which inodes are files below the root: an open-addressing table; a hole is 0. Inodes are never taken out: one that
 * is used again for a file elsewhere on the device costs a needless record, which the reader passes over. */
static uint64_t watched[FILES_MAX];

#define REAL(name, ...)                                                                                                \
    static __typeof__(name) *real;                                                                                     \
    if (!real)                                                                                                         \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);

static void __attribute__((constructor)) begin(void)
{
    const char *path = getenv("TWIN_POWER_JOURNAL");
    struct stat stat_of;
    root = getenv("TWIN_POWER_ROOT");
    if (!path || !root)
        return;
    const char *die = getenv("TWIN_POWER_DIE");
    if (die && (die[0] < '0' || die[0] > '9'))
        left_kind = *die++;
    left = die ? atol(die) : 0;
    root_length = strlen(root);
    journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0 || stat(root, &stat_of) != 0) {
        fprintf(stderr, "powerloss: %s or %s: %s\n", path, root, strerror(errno));
        abort();
    }
    device = stat_of.st_dev;
}

/* The journal that ends before its time would make every later check a lie. */
static void put(enum kind kind, uint64_t inode, int64_t offset, const char *path, const struct iovec *parts, int count)
{
    struct iovec all[IOV_MAX];
    struct header header = {.kind = kind, .inode = inode, .offset = offset, .path = path ? (uint32_t)strlen(path) : 0};
    all[0] = (struct iovec){&header, sizeof header};
    all[1] = (struct iovec){(void *)(uintptr_t)path, header.path};
    for (int i = 0; i < count; i++) {
        all[2 + i] = parts[i];
        header.data += (uint32_t)parts[i].iov_len;
    }
    header.size = (uint32_t)sizeof header + header.path + header.data;
    if (writev(journal, all, 2 + count) != (ssize_t)header.size) {
        static const char why[] = "powerloss: the journal can't be written\n";
        if (write(STDERR_FILENO, why, sizeof why - 1) < 0)
            _exit(99);
        abort();
    }
    if (left && (!left_kind || left_kind == (char)kind) && --left == 0)
        kill(getpid(), SIGKILL);
}

/* --- what is below the root --- */

/* The path relative to the root, in `out`; NULL if it is elsewhere or left out. "" is the root itself. */
static const char *below(int folder, const char *path, char out[PATH_MAX])
{
    char whole[PATH_MAX], link[64];
    if (journal < 0 || !path)
        return NULL;
    whole[0] = '\0';
    if (path[0] != '/' && folder != AT_FDCWD) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, whole, sizeof whole - 1);
        if (size < 0)
            return NULL;
        whole[size] = '\0';
    }
    size_t length = strlen(whole);
    snprintf(whole + length, sizeof whole - length, "%s%s", length && path[0] ? "/" : "", path);
    if (strncmp(whole, root, root_length) != 0 || (whole[root_length] && whole[root_length] != '/'))
        return NULL;
    const char *rest = whole + root_length;
    while (*rest == '/')
        rest++;
    length = strlen(rest);
    if (length > 4 && strcmp(rest + length - 4, "-shm") == 0)
        return NULL;
    memcpy(out, rest, length + 1);
    return out;
}

static bool find(uint64_t inode, bool add)
{
    for (size_t i = 0, at = inode * 0x9e3779b97f4a7c15u >> 48; i < FILES_MAX; i++, at = (at + 1) % FILES_MAX) {
        if (!watched[at] && add)
            watched[at] = inode;
        if (!watched[at] || watched[at] == inode)
            return watched[at] != 0;
    }
    return false;
}

/* The inode behind a descriptor if it is a file that was opened for writing below the root, else 0. */
static uint64_t inode_of(int fd)
{
    struct stat stat_of;
    if (journal < 0 || fd == journal || fstat(fd, &stat_of) != 0 || !S_ISREG(stat_of.st_mode) ||
        stat_of.st_dev != device)
        return 0;
    return find(stat_of.st_ino, false) ? stat_of.st_ino : 0;
}

/* --- opening --- */

static int open_below(int folder, const char *path, int flags, mode_t mode)
{
    REAL(openat)
    char name[PATH_MAX];
    struct stat stat_of;
    if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_TMPFILE) == O_TMPFILE || !below(folder, path, name))
        return real(folder, path, flags, mode);
    pthread_mutex_lock(&lock);
    int fd = real(folder, path, flags, mode);
    int code = errno;
    if (fd >= 0 && fstat(fd, &stat_of) == 0 && S_ISREG(stat_of.st_mode)) {
        find(stat_of.st_ino, true);
        put(OPENED, stat_of.st_ino, 0, name, NULL, 0);
        if (flags & O_TRUNC)
            put(RESIZED, stat_of.st_ino, 0, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = code;
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        return open_below(AT_FDCWD, path, flags, mode);                                                                \
    }
#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...)                                                             \
    {                                                                                                                  \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode_t mode = mode_of(flags, arguments);                                                                       \
        va_end(arguments);                                                                                             \
        return open_below(folder, path, flags, mode);                                                                  \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* --- contents --- */

/* Records a write that begins now, and does it. One that fails or comes out short stands in the journal as a whole one
 * that was not synced: campaigns leave the disk enough room. */
#define WRITE(result, inode, offset, parts, count, call)                                                               \
    do {                                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        put(WRITTEN, inode, offset, NULL, parts, count);                                                               \
        result = call;                                                                                                 \
        pthread_mutex_unlock(&lock);                                                                                   \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(write)
    uint64_t inode = inode_of(fd);
    if (!inode)
        return real(fd, bytes, size);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    ssize_t put_out;
    WRITE(put_out, inode, lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR), &part, 1,
          real(fd, bytes, size));
    return put_out;
}

#define PWRITE(name)                                                                                                   \
    ssize_t name(int fd, const void *bytes, size_t size, off_t offset)                                                 \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        uint64_t inode = inode_of(fd);                                                                                 \
        if (!inode)                                                                                                    \
            return real(fd, bytes, size, offset);                                                                      \
        struct iovec part = {(void *)(uintptr_t)bytes, size};                                                          \
        ssize_t put_out;                                                                                               \
        WRITE(put_out, inode, offset, &part, 1, real(fd, bytes, size, offset));                                        \
        return put_out;                                                                                                \
    }
#define PWRITEV(name)                                                                                                  \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset)                                           \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        uint64_t inode = inode_of(fd);                                                                                 \
        if (!inode)                                                                                                    \
            return real(fd, parts, count, offset);                                                                     \
        ssize_t put_out;                                                                                               \
        WRITE(put_out, inode, offset, parts, count, real(fd, parts, count, offset));                                   \
        return put_out;                                                                                                \
    }
#define SIZED(name, kind, ...)                                                                                         \
    {                                                                                                                  \
        uint64_t inode = inode_of(fd);                                                                                 \
        if (!inode)                                                                                                    \
            return real(__VA_ARGS__);                                                                                  \
        pthread_mutex_lock(&lock);                                                                                     \
        put(kind, inode, size, NULL, NULL, 0);                                                                         \
        int result = real(__VA_ARGS__);                                                                                \
        pthread_mutex_unlock(&lock);                                                                                   \
        return result;                                                                                                 \
    }
#define TRUNCATE(name)                                                                                                 \
    int name(int fd, off_t size)                                                                                       \
    {                                                                                                                  \
        REAL(name) SIZED(name, RESIZED, fd, size)                                                                      \
    }
#define POSIX_ALLOCATE(name)                                                                                           \
    int name(int fd, off_t offset, off_t length)                                                                       \
    {                                                                                                                  \
        REAL(name) off_t size = offset + length;                                                                       \
        SIZED(name, ALLOCATED, fd, offset, length)                                                                     \
    }
/* Modes that punch, shift or zero are used nowhere: refused as a file system without them would. */
#define ALLOCATE(name)                                                                                                 \
    int name(int fd, int mode, off_t offset, off_t length)                                                             \
    {                                                                                                                  \
        REAL(name) off_t size = offset + length;                                                                       \
        if (mode && inode_of(fd)) {                                                                                    \
            errno = EOPNOTSUPP;                                                                                        \
            return -1;                                                                                                 \
        }                                                                                                              \
        SIZED(name, ALLOCATED, fd, mode, offset, length)                                                               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
POSIX_ALLOCATE(posix_fallocate)
POSIX_ALLOCATE(posix_fallocate64)
ALLOCATE(fallocate)
ALLOCATE(fallocate64)

/* --- syncs --- */

static bool sync_recorded(int fd)
{
    char link[64], path[PATH_MAX], name[PATH_MAX];
    uint64_t inode = inode_of(fd);
    struct stat stat_of;
    if (inode) {
        pthread_mutex_lock(&lock);
        put(SYNCED, inode, 0, NULL, NULL, 0);
        pthread_mutex_unlock(&lock);
        return true;
    }
    if (journal < 0 || fstat(fd, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    if (!below(AT_FDCWD, path, name))
        return false;
    pthread_mutex_lock(&lock);
    put(FOLDER, 0, 0, name, NULL, 0);
    pthread_mutex_unlock(&lock);
    return true;
}

int fsync(int fd)
{
    REAL(fsync)
    return sync_recorded(fd) ? 0 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    return sync_recorded(fd) ? 0 : real(fd);
}

/* --- names --- */

/* A call on one name: recorded once it is done, as it may fail. */
#define NAME(kind, folder, path, call)                                                                                 \
    {                                                                                                                  \
        char name[PATH_MAX];                                                                                           \
        if (!below(folder, path, name))                                                                                \
            return call;                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        int result = call, code = errno;                                                                               \
        if (result == 0)                                                                                               \
            put(kind, 0, 0, name, NULL, 0);                                                                            \
        pthread_mutex_unlock(&lock);                                                                                   \
        errno = code;                                                                                                  \
        return result;                                                                                                 \
    }
/* A call on two names. */
#define NAMES(kind, folder_a, a, folder_b, b, call)                                                                    \
    {                                                                                                                  \
        char from[PATH_MAX], to[PATH_MAX];                                                                             \
        if (!below(folder_a, a, from) || !below(folder_b, b, to))                                                      \
            return call;                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        int result = call, code = errno;                                                                               \
        struct iovec part = {to, strlen(to)};                                                                          \
        if (result == 0)                                                                                               \
            put(kind, 0, 0, from, &part, 1);                                                                           \
        pthread_mutex_unlock(&lock);                                                                                   \
        errno = code;                                                                                                  \
        return result;                                                                                                 \
    }

int unlink(const char *path)
{
    REAL(unlink)
    NAME(UNLINKED, AT_FDCWD, path, real(path))
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat)
    NAME(flags & AT_REMOVEDIR ? REMOVED : UNLINKED, folder, path, real(folder, path, flags))
}

int remove(const char *path)
{
    int result = unlink(path);
    return result != 0 && errno == EISDIR ? rmdir(path) : result;
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir)
    NAME(MADE, AT_FDCWD, path, real(path, mode))
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat)
    NAME(MADE, folder, path, real(folder, path, mode))
}

int rmdir(const char *path)
{
    REAL(rmdir)
    NAME(REMOVED, AT_FDCWD, path, real(path))
}

int rename(const char *from_path, const char *to_path)
{
    REAL(rename)
    NAMES(RENAMED, AT_FDCWD, from_path, AT_FDCWD, to_path, real(from_path, to_path))
}

int renameat(int from_folder, const char *from_path, int to_folder, const char *to_path)
{
    REAL(renameat)
    NAMES(RENAMED, from_folder, from_path, to_folder, to_path, real(from_folder, from_path, to_folder, to_path))
}

int link(const char *from_path, const char *to_path)
{
    REAL(link)
    NAMES(LINKED, AT_FDCWD, from_path, AT_FDCWD, to_path, real(from_path, to_path))
}
