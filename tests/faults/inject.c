/* A library for LD_PRELOAD that makes calls of twind fail: the n-th of a class, or the first one from one place in the
 * program, once or from then on for ever.
 *
 * What counts is a call made by twind itself or by a library that reports a failure to it (jansson, SQLite,
 * libmicrohttpd, inih, libsodium): the return address decides. libzmq, libstdc++ and OpenBLAS end the process by their
 * own design when memory or descriptors are out, and what libc does inside is counted where it is asked for (strdup,
 * asprintf, fopen); they are left alone.
 *
 * A run makes so many allocations that not each can fail in a run of its own. They are told apart by their stack
 * instead: a hash of the innermost return addresses, relative to their modules, so that it is the same in every run.
 *
 *   FAULT_FILE   the report below, created here; without it nothing is done
 *   FAULT_CLASS  alloc, write, sync, open, thread; none: only count
 *   FAULT_AT     which call fails, counted from 1; 0: the first whose stack is FAULT_STACK
 *   FAULT_STACK  hexadecimal
 *   FAULT_EVER   1: and all that follow
 *   FAULT_ERRNO  a number; else ENOMEM, ENOSPC, EIO, EMFILE, EAGAIN
 */
#undef _FILE_OFFSET_BITS /* open and open64 are two functions here */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ALLOC, WRITE, SYNC, OPEN, THREAD, CLASSES };
enum { FRAMES = 7, DEEP = 24, MODULES_MAX = 16, STACKS = 1 << 14 };

struct place {
    uint64_t module; /* index of the counted modules, or MODULES_MAX: another one */
    uint64_t offset;
};

/* tests/faults/faults.py reads it: all members are 64-bit integers. */
struct report {
    _Atomic uint64_t calls[CLASSES];
    _Atomic uint64_t failed; /* calls that were made to fail */
    uint64_t frames;
    struct place where[DEEP]; /* the first of them, innermost first */
    struct {
        _Atomic uint64_t hash, order, count; /* order: which distinct stack of the run, from 1 */
    } stack[STACKS];                         /* open addressing; 0: free */
    _Atomic uint64_t distinct;
};

static const char *const class_names[CLASSES] = {"alloc", "write", "sync", "open", "thread"};
static const int class_errors[CLASSES] = {ENOMEM, ENOSPC, EIO, EMFILE, EAGAIN};

static struct {
    uintptr_t base, start, end;
} modules[MODULES_MAX];
static int module_count, sqlite = -1;

static struct report *report;
static int chosen = -1; /* class */
static uint64_t at, wanted;
static bool ever;
static int code;
static atomic_bool struck;
static __thread bool busy __attribute__((tls_model("initial-exec")));

/* --- whose call it is --- */

static int note_module(struct dl_phdr_info *info, size_t size, void *context)
{
    static const char *const names[] = {"libjansson", "libsqlite3", "libmicrohttpd", "libinih", "libsodium"};
    bool ours = info->dlpi_name[0] == '\0'; /* the program */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ours = ours || strstr(info->dlpi_name, names[i]);
    if (!ours || module_count == MODULES_MAX || (info->dlpi_name[0] == '\0' && module_count > 0))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
            modules[module_count].base = info->dlpi_addr;
            modules[module_count].start = info->dlpi_addr + part->p_vaddr;
            modules[module_count].end = modules[module_count].start + part->p_memsz;
            if (strstr(info->dlpi_name, "libsqlite3"))
                sqlite = module_count;
            module_count++;
            return 0;
        }
    }
    return 0;
}

static struct place find(const void *address)
{
    uintptr_t value = (uintptr_t)address;
    for (int i = 0; i < module_count; i++)
        if (value >= modules[i].start && value < modules[i].end)
            return (struct place){(uint64_t)i, value - modules[i].base};
    return (struct place){MODULES_MAX, 0};
}

/* --- which call it is --- */

/* The stack above this library: its innermost frame is the one that returns to `caller`. */
static int walk(const void *caller, struct place *out, int most)
{
    void *frames[DEEP + 6];
    int count = backtrace(frames, most + 6), first = 0;
    while (first < count && frames[first] != caller)
        first++;
    int kept = 0;
    for (int i = first; i < count && kept < most; i++)
        out[kept++] = find(frames[i]);
    return kept;
}

static uint64_t stack_hash(const void *caller)
{
    struct place place[FRAMES];
    uint64_t hash = 0xcbf29ce484222325u;
    int count = walk(caller, place, FRAMES);
    for (int i = 0; i < count; i++) {
        hash = (hash ^ place[i].module) * 0x100000001b3u;
        hash = (hash ^ place[i].offset) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash ? hash : 1;
}

static void note_stack(uint64_t hash)
{
    for (uint64_t i = 0; i < STACKS; i++) {
        uint64_t slot = (hash + i) % STACKS, free = 0;
        if (atomic_compare_exchange_strong(&report->stack[slot].hash, &free, hash))
            atomic_store(&report->stack[slot].order, atomic_fetch_add(&report->distinct, 1) + 1);
        else if (free != hash)
            continue;
        atomic_fetch_add(&report->stack[slot].count, 1);
        return;
    }
}

static bool due(int class, uint64_t number, const void *caller)
{
    if (class == ALLOC && (chosen < 0 || (chosen == ALLOC && at == 0 && !atomic_load(&struck)))) {
        uint64_t hash = stack_hash(caller);
        if (chosen < 0)
            note_stack(hash);
        else if (hash == wanted && !atomic_exchange(&struck, true))
            return true;
    }
    if (class != chosen)
        return false;
    if (at == 0)
        return ever && atomic_load(&struck);
    return number == at || (ever && number > at);
}

/* True: this call is to fail, errno is set. */
static bool fails(int class, const void *caller)
{
    if (!report || busy || find(caller).module == MODULES_MAX)
        return false;
    busy = true;
    int before = errno;
    uint64_t number = atomic_fetch_add(&report->calls[class], 1) + 1;
    bool fail = due(class, number, caller);
    if (fail && atomic_fetch_add(&report->failed, 1) == 0)
        report->frames = (uint64_t)walk(caller, report->where, DEEP);
    errno = fail ? code : before;
    busy = false;
    return fail;
}

static uint64_t number(const char *name, int base)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, base) : 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULT_FILE"), *class = getenv("FAULT_CLASS");
    if (!path)
        return;
    void *frames[2];
    backtrace(frames, 2); /* loads what it needs now */
    dl_iterate_phdr(note_module, NULL);
    for (int i = 0; i < CLASSES; i++)
        if (class && !strcmp(class, class_names[i]))
            chosen = i;
    at = number("FAULT_AT", 10);
    wanted = number("FAULT_STACK", 16);
    ever = number("FAULT_EVER", 10) != 0;
    code = (int)number("FAULT_ERRNO", 10);
    if (!code && chosen >= 0)
        code = class_errors[chosen];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *report))
        abort();
    struct report *map = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    close(fd);
    report = map;
}

/* --- the calls --- */

#define CALLER __builtin_return_address(0)
/* The function behind ours, looked up when it is first wanted; the same value whoever is first. */
#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real)                                                                                                         \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return fails(ALLOC, CALLER) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(ALLOC, CALLER) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(ALLOC, CALLER) ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return fails(ALLOC, CALLER) ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(ALLOC, CALLER) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = fails(ALLOC, CALLER) ? NULL : __libc_memalign(alignment, size);
    if (memory)
        *out = memory;
    return memory ? 0 : ENOMEM;
}

char *strdup(const char *text)
{
    REAL(strdup);
    return fails(ALLOC, CALLER) ? NULL : real(text);
}

char *strndup(const char *text, size_t most)
{
    REAL(strndup);
    return fails(ALLOC, CALLER) ? NULL : real(text, most);
}

int vasprintf(char **out, const char *format, va_list values)
{
    REAL(vasprintf);
    return fails(ALLOC, CALLER) ? -1 : real(out, format, values);
}

int asprintf(char **out, const char *format, ...)
{
    REAL(vasprintf);
    if (fails(ALLOC, CALLER))
        return -1;
    va_list values;
    va_start(values, format);
    int length = real(out, format, values);
    va_end(values);
    return length;
}

FILE *open_memstream(char **out, size_t *size)
{
    REAL(open_memstream);
    return fails(ALLOC, CALLER) ? NULL : real(out, size);
}

/* Sockets, pipes and the log are not what can be full. */
static bool is_file(int fd)
{
    struct stat stat;
    return fd > STDERR_FILENO && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

#define FAILS_ON_FILE(fd) (report && is_file(fd) && fails(WRITE, CALLER))

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(write);
    return FAILS_ON_FILE(fd) ? -1 : real(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    return FAILS_ON_FILE(fd) ? -1 : real(fd, parts, count);
}

#define POSITIONED(name)                                                                                               \
    ssize_t name(int fd, const void *bytes, size_t size, off_t offset)                                                 \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return FAILS_ON_FILE(fd) ? -1 : real(fd, bytes, size, offset);                                                 \
    }
POSITIONED(pwrite)
POSITIONED(pwrite64)

#define POSITIONED_PARTS(name)                                                                                         \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset)                                           \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return FAILS_ON_FILE(fd) ? -1 : real(fd, parts, count, offset);                                                \
    }
POSITIONED_PARTS(pwritev)
POSITIONED_PARTS(pwritev64)

#define TRUNCATE(name)                                                                                                 \
    int name(int fd, off_t length)                                                                                     \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return FAILS_ON_FILE(fd) ? -1 : real(fd, length);                                                              \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define ALLOCATE(name)                                                                                                 \
    int name(int fd, off_t offset, off_t length)                                                                       \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return FAILS_ON_FILE(fd) ? code : real(fd, offset, length);                                                    \
    }
ALLOCATE(posix_fallocate)
ALLOCATE(posix_fallocate64)

#define FALLOCATE(name)                                                                                                \
    int name(int fd, int mode, off_t offset, off_t length)                                                             \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return FAILS_ON_FILE(fd) ? -1 : real(fd, mode, offset, length);                                                \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

int rename(const char *from, const char *to)
{
    REAL(rename);
    return fails(WRITE, CALLER) ? -1 : real(from, to);
}

int link(const char *from, const char *to)
{
    REAL(link);
    return fails(WRITE, CALLER) ? -1 : real(from, to);
}

int unlink(const char *path)
{
    REAL(unlink);
    return fails(WRITE, CALLER) ? -1 : real(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    return fails(WRITE, CALLER) ? -1 : real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return fails(WRITE, CALLER) ? -1 : real(path, mode);
}

/* SQLite syncs the folder after it made a journal, and does not look whether that failed; twind syncs the folder itself
 * when the database is open, before anything is acked. */
static bool is_folder_of_sqlite(int fd, const void *caller)
{
    struct stat stat;
    int module = (int)find(caller).module;
    return module == sqlite && fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode);
}

int fsync(int fd)
{
    REAL(fsync);
    return !is_folder_of_sqlite(fd, CALLER) && fails(SYNC, CALLER) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return !is_folder_of_sqlite(fd, CALLER) && fails(SYNC, CALLER) ? -1 : real(fd);
}

static mode_t mode_of(int flags, va_list values)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(values, mode_t) : 0;
}

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        va_list values;                                                                                                \
        va_start(values, flags);                                                                                       \
        mode_t mode = mode_of(flags, values);                                                                          \
        va_end(values);                                                                                                \
        return fails(OPEN, CALLER) ? -1 : real(path, flags, mode);                                                     \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                                 \
    int name(int folder, const char *path, int flags, ...)                                                             \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        va_list values;                                                                                                \
        va_start(values, flags);                                                                                       \
        mode_t mode = mode_of(flags, values);                                                                          \
        va_end(values);                                                                                                \
        return fails(OPEN, CALLER) ? -1 : real(folder, path, flags, mode);                                             \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

DIR *opendir(const char *path)
{
    REAL(opendir);
    return fails(OPEN, CALLER) ? NULL : real(path);
}

#define OPENS_STREAM(name)                                                                                             \
    FILE *name(const char *path, const char *mode)                                                                     \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        return fails(OPEN, CALLER) ? NULL : real(path, mode);                                                          \
    }
OPENS_STREAM(fopen)
OPENS_STREAM(fopen64)

FILE *fdopen(int fd, const char *mode)
{
    REAL(fdopen);
    return fails(ALLOC, CALLER) ? NULL : real(fd, mode);
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    return fails(OPEN, CALLER) ? -1 : real(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int pair[2])
{
    REAL(socketpair);
    return fails(OPEN, CALLER) ? -1 : real(domain, type, protocol, pair);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
    REAL(accept4);
    int before = errno;
    int accepted = real(fd, address, size, flags);
    if (accepted >= 0 && fails(OPEN, CALLER)) { /* only one that would have come counts */
        close(accepted);
        return -1;
    }
    if (accepted >= 0)
        errno = before;
    return accepted;
}

int eventfd(unsigned count, int flags)
{
    REAL(eventfd);
    return fails(OPEN, CALLER) ? -1 : real(count, flags);
}

int epoll_create1(int flags)
{
    REAL(epoll_create1);
    return fails(OPEN, CALLER) ? -1 : real(flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    REAL(pthread_create);
    return fails(THREAD, CALLER) ? code : real(thread, attributes, run, argument);
}
