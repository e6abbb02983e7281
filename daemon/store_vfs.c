/* The VFS: each file is the default VFS's file with a few words in front. Only the main database file is looked at;
 * everything else is handed on. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/crc32c.h"
#include "daemon/clock.h"
#include "daemon/read_at.h"
#include "daemon/store_vfs.h"

#define TAG 0x31505754u /* "TWP1" */
enum { PAGE_MAX = 65536, PAGE_NEW = 4096, HEADER = 100, SIZE_AT = 16, RESERVED_AT = 20, COUNTER_AT = 24 };

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
    const char *path;   /* of a main file; NULL: another kind, handed on */
    bool checked;       /* its pages have checksums */
    bool trust_first;   /* but page 1 is not looked at */
    uint32_t page_size; /* of a main file, once its header was seen */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what is remembered of the last damage */
static char last_damage[240];

static struct file *file_of(sqlite3_file *file)
{
    return (struct file *)file;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return file_of(file)->real;
}

static sqlite3_vfs *below(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* --- pages --- */

static void checksum(const unsigned char *page, uint32_t size, uint32_t number, unsigned char out[STORE_VFS_RESERVED])
{
    uint32_t words[2] = {tw_crc32c(tw_crc32c(0, &number, sizeof number), page, size - STORE_VFS_RESERVED), TAG};
    if (number == 1)
        memcpy(&words[1], page + COUNTER_AT, 4);
    memcpy(out, words, sizeof words);
}

static bool page_ok(const unsigned char *page, uint32_t size, uint32_t number)
{
    unsigned char expected[STORE_VFS_RESERVED];
    checksum(page, size, number, expected);
    return memcmp(page + size - STORE_VFS_RESERVED, expected, sizeof expected) == 0;
}

static bool blank(const unsigned char *page, uint32_t size)
{
    return page[0] == 0 && memcmp(page, page + 1, size - 1) == 0;
}

/* What the first bytes of a main file say. False: they are not a header. */
static bool read_header(const unsigned char *bytes, uint32_t *page_size, bool *checked)
{
    if (memcmp(bytes, "SQLite format 3", 16) != 0)
        return false;
    uint32_t size = (uint32_t)bytes[SIZE_AT] << 8 | bytes[SIZE_AT + 1];
    *page_size = size == 1 ? PAGE_MAX : size;
    *checked = bytes[RESERVED_AT] == STORE_VFS_RESERVED && size != 0 && (*page_size & (*page_size - 1)) == 0;
    return true;
}

static void learn(struct file *file, const void *bytes, int amount, sqlite3_int64 offset)
{
    if (file->path && offset == 0 && amount >= HEADER)
        read_header(bytes, &file->page_size, &file->checked);
}

static bool is_page(const struct file *file, int amount, sqlite3_int64 offset)
{
    return file->path && file->checked && (uint32_t)amount == file->page_size && offset % amount == 0;
}

static int report(const struct file *file, uint32_t number)
{
    pthread_mutex_lock(&lock);
    snprintf(last_damage, sizeof last_damage, "page %u of %.180s does not have its checksum", number, file->path);
    pthread_mutex_unlock(&lock);
    return SQLITE_IOERR_DATA;
}

void store_vfs_last_damage(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    snprintf(text, size, "%s", last_damage);
    pthread_mutex_unlock(&lock);
}

/* --- methods of files --- */

static int vfs_close(sqlite3_file *file)
{
    return real(file)->pMethods ? real(file)->pMethods->xClose(real(file)) : SQLITE_OK;
}

static int vfs_read(sqlite3_file *file, void *bytes, int amount, sqlite3_int64 offset)
{
    struct file *self = file_of(file);
    int code = real(file)->pMethods->xRead(real(file), bytes, amount, offset);
    if (code != SQLITE_OK)
        return code;
    learn(self, bytes, amount, offset);
    uint32_t number = (uint32_t)(offset / amount) + 1;
    if (number == 1 && self->trust_first)
        return SQLITE_OK;
    return is_page(self, amount, offset) && !page_ok(bytes, (uint32_t)amount, number) ? report(self, number)
                                                                                      : SQLITE_OK;
}

/* The page as it goes to the file. SQLite keeps its own copy, with whatever is in the reserved bytes. */
static int write_page(struct file *self, const void *bytes, int amount, sqlite3_int64 offset)
{
    unsigned char page[PAGE_MAX];
    memcpy(page, bytes, (size_t)amount);
    checksum(page, (uint32_t)amount, (uint32_t)(offset / amount) + 1, page + amount - STORE_VFS_RESERVED);
    return self->real->pMethods->xWrite(self->real, page, amount, offset);
}

/* SQLite does not write pages that are free when the file grows over them. They get blank pages with a checksum, so
 * that whoever copies the file page by page may read them. */
static int fill(struct file *self, sqlite3_int64 end)
{
    static const unsigned char zeros[PAGE_MAX];
    sqlite3_int64 size, page = self->page_size;
    if (!self->path || !self->checked)
        return SQLITE_OK;
    int code = self->real->pMethods->xFileSize(self->real, &size);
    for (sqlite3_int64 at = (size + page - 1) / page * page; code == SQLITE_OK && at < end; at += page)
        code = write_page(self, zeros, (int)page, at);
    return code;
}

static int vfs_write(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset)
{
    struct file *self = file_of(file);
    learn(self, bytes, amount, offset);
    if (!is_page(self, amount, offset))
        return real(file)->pMethods->xWrite(real(file), bytes, amount, offset);
    int code = fill(self, offset);
    return code == SQLITE_OK ? write_page(self, bytes, amount, offset) : code;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = fill(file_of(file), size);
    return code == SQLITE_OK ? real(file)->pMethods->xTruncate(real(file), size) : code;
}

static int vfs_sync(sqlite3_file *file, int flags)
{
    return real(file)->pMethods->xSync(real(file), flags);
}

static int vfs_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int vfs_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int vfs_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int vfs_check_reserved_lock(sqlite3_file *file, int *held)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), held);
}

static int vfs_file_control(sqlite3_file *file, int operation, void *argument)
{
    if (operation == STORE_VFS_TRUST_FIRST) {
        file_of(file)->trust_first = true;
        return SQLITE_OK;
    }
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}

static int vfs_sector_size(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int vfs_device_characteristics(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int vfs_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
}

static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}

static void vfs_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int vfs_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

/* Version 2: without xFetch nothing is read through a mapping, past the checks. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_file_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved_lock,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_device_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* --- methods of the VFS --- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    struct file *self = file_of(file);
    *self = (struct file){.real = (sqlite3_file *)(self + 1)};
    memset(self->real, 0, (size_t)below(vfs)->szOsFile);
    int code = below(vfs)->xOpen(below(vfs), name, self->real, flags, out_flags);
    if (flags & SQLITE_OPEN_MAIN_DB)
        self->path = name; /* SQLite keeps it as long as the file is open */
    sqlite3_int64 size;
    if (code == SQLITE_OK && self->path && self->real->pMethods->xFileSize(self->real, &size) == SQLITE_OK &&
        size == 0) {
        self->checked = true; /* a new one will have checksums; its other pages may be written before the first */
        self->page_size = PAGE_NEW;
    }
    self->base.pMethods = self->real->pMethods ? &methods : NULL;
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    return below(vfs)->xDelete(below(vfs), name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    return below(vfs)->xAccess(below(vfs), name, flags, out);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    return below(vfs)->xFullPathname(below(vfs), name, size, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    return below(vfs)->xRandomness(below(vfs), size, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return below(vfs)->xSleep(below(vfs), microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
    return below(vfs)->xCurrentTimeInt64(below(vfs), now);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    return below(vfs)->xGetLastError(below(vfs), size, text);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int registered = SQLITE_ERROR;

static void register_once(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .zName = STORE_VFS,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTimeInt64 = vfs_current_time,
        .xGetLastError = vfs_last_error,
    };
    sqlite3_vfs *real_vfs = sqlite3_vfs_find(NULL);
    if (!real_vfs || real_vfs->iVersion < 2)
        return;
    vfs.pAppData = real_vfs;
    vfs.mxPathname = real_vfs->mxPathname;
    vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    registered = sqlite3_vfs_register(&vfs, 0);
}

int store_vfs_register(struct tw_error *error)
{
    pthread_once(&once, register_once);
    return registered == SQLITE_OK ? TW_OK : tw_error_set(error, TW_IO, "SQLite has no file system to build on");
}

/* --- the whole file --- */

static int sweep_pages(int fd, uint32_t size, double until, bool (*found)(void *, uint32_t), void *context,
                       uint64_t *pages)
{
    enum { CHUNK = 1 << 20 };
    unsigned char *chunk = malloc(CHUNK);
    bool go_on = chunk != NULL;
    ssize_t got = 0;
    for (int64_t at = 0; go_on && clock_monotonic() < until && (got = read_at(fd, chunk, CHUNK, (uint64_t)at)) > 0;
         at += got) {
        for (ssize_t i = 0; go_on && i + (ssize_t)size <= got; i += size, ++*pages) {
            uint32_t number = (uint32_t)((at + i) / size) + 1;
            if (!page_ok(chunk + i, size, number) && !blank(chunk + i, size))
                go_on = found(context, number);
        }
    }
    free(chunk);
    return !chunk ? TW_NO_MEMORY : got < 0 ? TW_IO : TW_OK;
}

int store_vfs_sweep(const char *path, double seconds, bool (*found)(void *context, uint32_t page), void *context,
                    bool *checked, uint64_t *pages, struct tw_error *error)
{
    unsigned char header[HEADER];
    uint32_t size = 0;
    *checked = false;
    *pages = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int status = fd < 0 ? TW_IO : TW_OK;
    if (fd >= 0 && read_at(fd, header, sizeof header, 0) == HEADER && read_header(header, &size, checked) && *checked)
        status = sweep_pages(fd, size, clock_monotonic() + seconds, found, context, pages);
    if (status)
        tw_error_set(error, status, "reading %.180s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

/* --- what others wrote --- */

/* Opens a file that has checksums; -1 if it has none. */
static int open_checked(const char *path, int flags, uint32_t *size)
{
    unsigned char header[HEADER];
    bool checked = false;
    int fd = open(path, flags | O_CLOEXEC);
    if (fd >= 0 && read_at(fd, header, sizeof header, 0) == HEADER)
        read_header(header, size, &checked);
    if (fd >= 0 && !checked) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool store_vfs_foreign(const char *path)
{
    unsigned char page[PAGE_MAX];
    uint32_t size = 0;
    int fd = open_checked(path, O_RDONLY, &size);
    if (fd < 0)
        return false;
    bool foreign = read_at(fd, page, size, 0) == (ssize_t)size && !page_ok(page, size, 1) &&
                   memcmp(page + size - 4, page + COUNTER_AT, 4) != 0;
    close(fd);
    return foreign;
}

static bool adopt_page(int fd, uint32_t size, uint32_t number, uint64_t *pages)
{
    unsigned char page[PAGE_MAX];
    off_t at = (off_t)(number - 1) * size;
    if (read_at(fd, page, size, (uint64_t)at) != (ssize_t)size)
        return false;
    if (page_ok(page, size, number))
        return true;
    checksum(page, size, number, page + size - STORE_VFS_RESERVED);
    ++*pages;
    return pwrite(fd, page + size - STORE_VFS_RESERVED, STORE_VFS_RESERVED, at + size - STORE_VFS_RESERVED) ==
           STORE_VFS_RESERVED;
}

int store_vfs_adopt(const char *path, uint64_t *pages, struct tw_error *error)
{
    uint32_t size = 0;
    int fd = open_checked(path, O_RDWR, &size);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    bool ok = end > 0;
    *pages = 0;
    for (uint32_t number = 2; ok && number <= (uint64_t)end / size; number++)
        ok = adopt_page(fd, size, number, pages);
    ok = ok && fsync(fd) == 0 && adopt_page(fd, size, 1, pages) && fsync(fd) == 0;
    int status = ok ? TW_OK : tw_error_set(error, TW_IO, "writing checksums into %.180s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}
