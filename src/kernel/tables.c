/* The tables in the order in which they are tried: our own products first, widest vectors first, then OpenBLAS with
 * the loops of each instruction set. The last, with factors in bfloat16, is there for those who ask for it.
 *
 * Measured on one core of a Zen 4 (TWIN_KERNELS=avx512|blas twin-bench --json): inside a flow, strip by strip and with
 * bias and ReLU, our products reach 98 to 99 % of the peak of multiply-adds on layers of 128 x 128 and 128 x 184, and
 * 83 % where 8 inputs come in; OpenBLAS 0.3.21 at its best has 87 % of the large ones alone, before bias and
 * activation. Ours win at every shape of a flow from 32 to 512 wide, do not depend on what OpenBLAS makes of the
 * processor, and give a column the same bits whatever stands beside it, so that one event costs one pass over the
 * weights.
 */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernel/layer.h"
#include "kernel/loops.h"
#include "kernel/tables.h"

enum { TABLES = 6, DETAIL = 96 };

/* Constants in all but name: filled once, with the processor's features and the library's version. */
static struct tw_kernels tables[TABLES];
static char details[TABLES][DETAIL];
static int count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#ifdef __x86_64__
/* The levels of the x86-64 psABI, by those of their features that a virtual machine may hide one by one. */
static bool has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

#ifndef TW_REAL_IS_DOUBLE
static bool has_bf16(void)
{
    return has_v4() && __builtin_cpu_supports("avx512bf16");
}
#endif

static void add_own(const struct tw_kernels *table, const char *name)
{
    snprintf(details[count], DETAIL, "%s, own products", name);
    tables[count] = *table;
    tables[count].name = name;
    tables[count].detail = details[count];
    count++;
}
#endif

static void add_blas(const struct tw_kernels *table, const char *isa)
{
    /* "OpenBLAS 0.3.21 NO_LAPACKE ...": the first two words */
    const char *config = openblas_get_config(), *space = strchr(config, ' ');
    size_t words = space ? (size_t)(space + 1 - config) + strcspn(space + 1, " ") : strlen(config);
    snprintf(details[count], DETAIL, "%.*s %s, loops %s", (int)words, config, openblas_get_corename(), isa);
    tables[count] = *table;
    tables[count].detail = details[count];
    count++;
}

static void fill(void)
{
    openblas_set_num_threads(1);
#ifdef __x86_64__
    bool v3 = has_v3(), v4 = has_v4();
    if (v4)
        add_own(&tw_loops_own_v4, "avx512");
    if (v3)
        add_own(&tw_loops_own_v3, "avx2");
    if (v4)
        add_blas(&tw_loops_v4, "x86-64-v4");
    if (v3)
        add_blas(&tw_loops_v3, "x86-64-v3");
#endif
    add_blas(&tw_loops_baseline, "baseline");
#if defined(__x86_64__) && !defined(TW_REAL_IS_DOUBLE)
    if (has_bf16()) {
        add_own(&tw_loops_own_v4, "avx512bf16");
        tables[count - 1].coarse = 0x1p-9F;
        tables[count - 1].strip = 128; /* a weight is converted once for so many columns */
        tables[count - 1].dense = tw_layer_bf16_dense;
        tables[count - 1].single = tw_layer_bf16_single;
    }
#endif
}

int tw_tables_level(void)
{
#ifdef __x86_64__
    return has_v4() ? 4 : has_v3() ? 3 : 1;
#else
    return 0;
#endif
}

const struct tw_kernels *tw_tables(int rank)
{
    pthread_once(&once, fill);
    return rank < count ? &tables[rank] : NULL;
}
