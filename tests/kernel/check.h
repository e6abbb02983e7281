/* What the kernel tests share: random inputs from an explicit seed, outputs between canaries, and a comparison that
 * names the seed and the parameters of what went wrong. TWIN_TEST_SEED=n repeats or varies a run. */
#ifndef TESTS_KERNEL_CHECK_H
#define TESTS_KERNEL_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "kernel/tables.h"
#include "kernel/kernel.h"

#define CHECK_GUARD 64 /* numbers of canary on either side */

struct check_rng {
    uint64_t seed, next;
};

static inline struct check_rng check_rng(uint64_t stream)
{
    const char *text = getenv("TWIN_TEST_SEED");
    return (struct check_rng){tw_rng_mix(text ? strtoull(text, NULL, 0) : 20260101, stream), 0};
}

static inline double check_uniform(struct check_rng *rng, double low, double high)
{
    return low + (high - low) * tw_rng_uniform(rng->seed, rng->next++, 0);
}

/* low..high, both included */
static inline int check_int(struct check_rng *rng, int low, int high)
{
    return (int)floor(check_uniform(rng, low, (double)high + 1));
}

/* A buffer of n numbers, aligned as the kernels want them, with a canary before and behind. */
static inline tw_real *check_new(size_t n)
{
    tw_real *memory = tw_size_alloc(n + 2 * CHECK_GUARD, sizeof(tw_real));
    assert_non_null(memory);
    memset(memory, 0xa7, CHECK_GUARD * sizeof(tw_real));
    memset(memory + CHECK_GUARD + n, 0xa7, CHECK_GUARD * sizeof(tw_real));
    return memory + CHECK_GUARD;
}

static inline tw_real *check_random(struct check_rng *rng, size_t n, double scale)
{
    tw_real *buffer = check_new(n);
    for (size_t i = 0; i < n; i++)
        buffer[i] = (tw_real)check_uniform(rng, -scale, scale);
    return buffer;
}

static inline tw_real *check_copy(size_t n, const tw_real *from)
{
    tw_real *buffer = check_new(n);
    memcpy(buffer, from, n * sizeof *buffer);
    return buffer;
}

/* Releases the buffer and fails if something was written outside. */
static inline void check_free(size_t n, tw_real *buffer, const char *what)
{
    const unsigned char *before = (const unsigned char *)(buffer - CHECK_GUARD);
    const unsigned char *behind = (const unsigned char *)(buffer + n);
    for (size_t i = 0; i < CHECK_GUARD * sizeof(tw_real); i++) {
        if (before[i] != 0xa7 || behind[i] != 0xa7)
            fail_msg("%s: written outside its buffer", what);
    }
    free(buffer - CHECK_GUARD);
}

/* |got - want| <= limit for all; `what` names kernel and parameters. */
static inline void check_close(const char *what, size_t n, const tw_real *want, const tw_real *got, double limit)
{
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)want[i] - (double)got[i]);
        if (!(difference <= limit) && want[i] != got[i])
            fail_msg("%s: [%zu] is %.9g, not %.9g; off by %.3g, limit %.3g", what, i, (double)got[i], (double)want[i],
                     difference, limit);
    }
}

static inline double check_largest(size_t n, const tw_real *values)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

/* Table number `index`: 0 is the reference, then every other one; NULL behind the last. */
static inline const struct tw_kernels *check_table(int index)
{
    return index == 0 ? tw_kernels_ref() : tw_tables(index - 1);
}

/* The same for tests of the splines: tables that differ in their products alone count once. */
static inline const struct tw_kernels *check_splines(int index)
{
    const struct tw_kernels *table;
    for (int t = 0; (table = check_table(t)); t++) {
        bool known = false;
        for (int earlier = 0; earlier < t && !known; earlier++)
            known = check_table(earlier)->spline == table->spline;
        if (!known && index-- == 0)
            return table;
    }
    return NULL;
}

#ifdef TW_REAL_IS_DOUBLE
#define CHECK_EPSILON 0x1p-52
#else
#define CHECK_EPSILON 0x1p-23
#endif

#endif
