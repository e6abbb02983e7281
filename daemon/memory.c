/* A counter for each share. */
#include "daemon/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/config.h"

#define MIB ((size_t)1 << 20)
enum {
    BASE_MIB = 48,          /* measured: 15 MiB after a start, with twins, SQLite's caches and busy stacks 40 */
    HEAD_BYTES = 72 * 1024, /* of a connection, at most; see http.c */
    SIXTEENTHS = 16,
    ARENAS = 4,
    LARGE_BYTES = 1024 * 1024, /* blocks from this size on go back to the system when they are freed */
};

static const struct {
    const char *name;
    unsigned sixteenths;
} shares[MEMORY_SHARES] = {
    [MEMORY_BODIES] = {"bodies", 5},     [MEMORY_ANSWERS] = {"answers", 1}, [MEMORY_COMPARE] = {"compare", 4},
    [MEMORY_TRAINING] = {"training", 4}, [MEMORY_INGEST] = {"ingest", 2},
};

static const long *ceiling;
static size_t fixed;
static atomic_size_t held[MEMORY_SHARES];

void memory_init(const long *ceiling_mb, size_t connections)
{
    ceiling = ceiling_mb;
    fixed = BASE_MIB * MIB + connections * HEAD_BYTES;
    /* Left to itself glibc raises this limit with every large block that is freed, and keeps what is below it. */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
    mallopt(M_ARENA_MAX, ARENAS);
}

const char *memory_name(enum memory_share share)
{
    return shares[share].name;
}

size_t memory_limit(enum memory_share share)
{
    if (ceiling == NULL)
        return SIZE_MAX;
    size_t all = (size_t)config_live(ceiling) * MIB;
    size_t rest = fixed < all / 2 ? all - fixed : all / 2;
    return rest / SIXTEENTHS * shares[share].sixteenths;
}

size_t memory_held(enum memory_share share)
{
    return atomic_load(&held[share]);
}

bool memory_take(enum memory_share share, size_t bytes)
{
    size_t limit = memory_limit(share), now = atomic_load(&held[share]);
    do {
        if (bytes > limit || now > limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&held[share], &now, now + bytes));
    return true;
}

void memory_give(enum memory_share share, size_t bytes)
{
    atomic_fetch_sub(&held[share], bytes);
}

size_t memory_rows(enum memory_share share, double part, size_t row_bytes, size_t copies)
{
    double rows = (double)memory_limit(share) * part / ((double)row_bytes * (double)copies);
    return rows < 1 ? 1 : rows < 1e15 ? (size_t)rows : (size_t)1e15;
}

size_t memory_resident(void)
{
    long total, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL || fscanf(statm, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (statm != NULL)
        fclose(statm);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}
