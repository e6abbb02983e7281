/* Products by OpenBLAS, on one thread: our own pool works on blocks of events, and OpenBLAS's threads get in its way
 * (a small product beside a busy core went from 0.08 to 35 ms). The loops are those of the processor. */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "kernel/blas.h"
#include "kernel/loops.h"

#define TABLES 3

/* Constants in all but name: filled once, with the processor's features and the library's version. */
static struct tw_kernels tables[TABLES];
static char details[TABLES][96];
static int table_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void tw_blas_gemm(bool ta, bool tb, int m, int n, int k, const tw_real *a, int lda, const tw_real *b, int ldb,
                  tw_real beta, tw_real *c, int ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) { /* leading dimensions of empty matrices are nothing to argue about */
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++)
                c[(size_t)i * ldc + j] = beta == 0 ? 0 : beta * c[(size_t)i * ldc + j];
        }
        return;
    }
    CBLAS_TRANSPOSE trans_a = ta ? CblasTrans : CblasNoTrans, trans_b = tb ? CblasTrans : CblasNoTrans;
#ifdef TW_REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#else
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#endif
}

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
#endif

static void add_table(const struct tw_kernels *loops, const char *isa)
{
    /* "OpenBLAS 0.3.21 NO_LAPACKE ...": the first two words */
    const char *config = openblas_get_config(), *space = strchr(config, ' ');
    size_t words = space ? (size_t)(space + 1 - config) + strcspn(space + 1, " ") : strlen(config);
    snprintf(details[table_count], sizeof details[0], "%.*s %s, loops %s", (int)words, config, openblas_get_corename(),
             isa);
    tables[table_count] = *loops;
    tables[table_count].detail = details[table_count];
    table_count++;
}

static void fill_tables(void)
{
    openblas_set_num_threads(1);
#ifdef __x86_64__
    if (has_v4())
        add_table(&tw_loops_v4, "x86-64-v4");
    if (has_v3())
        add_table(&tw_loops_v3, "x86-64-v3");
#endif
    add_table(&tw_loops_baseline, "baseline");
}

const struct tw_kernels *tw_blas_kernels(int rank)
{
    pthread_once(&once, fill_tables);
    return rank < table_count ? &tables[rank] : NULL;
}
