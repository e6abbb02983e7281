/* twin-bench --peak: how many multiply-adds a second one core can do, with nothing to wait for.
 *
 * Sums that do not depend on each other stay in registers and are multiplied and added to, as many as hide the latency
 * of an instruction (4 to 5 cycles) at two instructions a cycle. Whatever computes with matrices is measured against
 * this; memory, loads and everything that is no product only take from it. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bench/bench.h"

#define SUMS   12     /* independent sums */
#define ROUNDS 100000 /* multiply-adds of each of them in a call: about 100 us */

static volatile float sink; /* what is computed has to be used */

/* One function for vectors of `bytes` bytes; the compiler makes multiply-add instructions of it. */
#define MULTIPLY_ADD(name, attributes, bytes)                                                                          \
    attributes static void name(void)                                                                                  \
    {                                                                                                                  \
        typedef float vector __attribute__((vector_size(bytes)));                                                      \
        vector sum[SUMS], total = {0}, factor = {0}, term = {0};                                                       \
        factor += 0.999f;                                                                                              \
        term += 1e-3f;                                                                                                 \
        for (int i = 0; i < SUMS; i++)                                                                                 \
            sum[i] = term * (float)(i + 1);                                                                            \
        for (long round = 0; round < ROUNDS; round++) {                                                                \
            _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sum[i] = sum[i] * factor + term;                   \
        }                                                                                                              \
        for (int i = 0; i < SUMS; i++)                                                                                 \
            total += sum[i];                                                                                           \
        sink = total[0];                                                                                               \
    }

MULTIPLY_ADD(baseline, , 16)

struct unit {
    const char *name;
    void (*run)(void);
    double operations; /* of one instruction: two for each product that it adds */
};

#if defined(__x86_64__)
MULTIPLY_ADD(avx2, __attribute__((target("avx2,fma"))), 32)
MULTIPLY_ADD(avx512, __attribute__((target("avx512f,fma"))), 64)

/* Pairs of products of bfloat16, added to sums in float. */
__attribute__((target("avx512f,avx512bf16"))) static void bf16(void)
{
    __m512 sum[SUMS], total = _mm512_setzero_ps();
    __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(2e-3f));
    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (long round = 0; round < ROUNDS; round++) {
        _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], factor, factor);
    }
    for (int i = 0; i < SUMS; i++)
        total = _mm512_add_ps(total, sum[i]);
    sink = _mm512_reduce_add_ps(total);
}

static struct unit unit_float32(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return (struct unit){"avx512", avx512, 32};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct unit){"avx2", avx2, 16};
    return (struct unit){"baseline", baseline, 8};
}

static struct unit unit_bf16(void)
{
    return __builtin_cpu_supports("avx512bf16") ? (struct unit){"avx512bf16", bf16, 64} : (struct unit){0};
}
#else
static struct unit unit_float32(void)
{
    return (struct unit){"baseline", baseline, 8};
}

static struct unit unit_bf16(void)
{
    return (struct unit){0};
}
#endif

/* Floating-point operations a second, the most that any call within the time did. */
static double rate(const struct unit *unit, double seconds)
{
    double shortest = 1e300, start = bench_now();
    do {
        double begin = bench_now();
        unit->run();
        shortest = fmin(shortest, bench_now() - begin);
    } while (bench_now() - start < seconds);
    return unit->operations * SUMS * ROUNDS / shortest;
}

void peak_run(const struct bench *bench)
{
    struct unit float32 = unit_float32(), half = unit_bf16();
    json_t *json = json_pack("{s:s, s:f}", "instructions", float32.name, "float32_gflop_per_s",
                             1e-9 * rate(&float32, bench->seconds));
    if (half.run)
        json_object_set_new(json, "bf16_gflop_per_s", json_real(1e-9 * rate(&half, bench->seconds)));
    else
        json_object_set_new(json, "bf16_gflop_per_s", json_null());
    json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
}
