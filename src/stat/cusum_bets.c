/* This file is an object for each instruction set, which TW_BETS_ISA names. Nothing of an object may run before
 * cusum_bets_table.c has asked the processor. Arithmetic is the compiler's, on vectors as long as its own. */
#include <math.h>
#include <string.h>

#include "stat/cusum_bets.h"
#include "stat/cusum_bets_isa.h"

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef double vec __attribute__((vector_size(BYTES), aligned(sizeof(double)), may_alias)); /* anywhere */
typedef float narrow __attribute__((vector_size(BYTES / 2), aligned(sizeof(float)), may_alias));
typedef uint64_t bits __attribute__((vector_size(BYTES), aligned(sizeof(uint64_t)), may_alias));

enum {
    LANES = BYTES / sizeof(double),
    PARTS = 8, /* of what goes over an array, whatever LANES is */
    AROUND = TW_SKETCH_BINS + 8
};

/* ln x for normal x > 0, to 2 ulp: x = 2^n (1 + y) with 1 + y between sqrt(1/2) and sqrt(2), and
 * ln(1 + y) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with s = y / (2 + y), s^2 < 0.0295. */
static inline vec log_of(vec x)
{
    const uint64_t one = UINT64_C(0x3ff0000000000000), root = UINT64_C(0x3fe6a09e667f3bcd); /* of 1/2 */
    const uint64_t whole = UINT64_C(0x4330000000000000); /* 2^52, whose last bits are the integer */
    bits exponent = ((bits)x + (one - root)) >> 52;
    vec n = (vec)(exponent | whole) - (0x1p52 + 1023);
    vec y = (vec)((bits)x - ((exponent - 1023) << 52)) - 1;
    vec s = y / (2 + y), z = s * s;
    vec q = z * (1.0 / 21) + 1.0 / 19;
    q = q * z + 1.0 / 17;
    q = q * z + 1.0 / 15;
    q = q * z + 1.0 / 13;
    q = q * z + 1.0 / 11;
    q = q * z + 1.0 / 9;
    q = q * z + 1.0 / 7;
    q = q * z + 1.0 / 5;
    q = q * z + 1.0 / 3;
    return n * M_LN2 + (2 * s + 2 * s * z * q);
}

/* Page's recursion of LANES paths, ln of max(W, 1) e with ln e = gain - rows ln(mean). */
struct page {
    double *log_w;
    uint64_t *start, tag;
    double rows;
};

static inline void climb(const struct page *page, int path, vec gain, vec mean)
{
    vec *log_w = (vec *)(page->log_w + path);
    bits *start = (bits *)(page->start + path);
    bits above = (bits)(*log_w > 0);
    *log_w = (vec)((bits)*log_w & above) + (gain - page->rows * log_of(mean));
    *start = (*start & above) | (page->tag & ~above);
}

static double dot(int n, const double *a, const double *b)
{
    vec sum[PARTS / LANES] = {0};
    double part[PARTS];
    int i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int l = 0; l < PARTS / LANES; l++)
            sum[l] += *(const vec *)(a + i + l * LANES) * *(const vec *)(b + i + l * LANES);
    memcpy(part, sum, sizeof part);
    for (int l = 0; i < n; i++, l++)
        part[l] += a[i] * b[i];
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

/* The cells that have values: a small block has few. */
struct cells {
    int count, at[TW_SKETCH_CELLS];
};

static inline void find(const struct tw_cusum_bets_values *values, struct cells *cells)
{
    int count = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++) { /* no branch that would be guessed wrongly */
        cells->at[count] = i;
        count += values->in[i] > 0;
    }
    cells->count = count;
}

static inline vec wide(const float *from)
{
    vec out;
    for (int l = 0; l < LANES; l++)
        out[l] = from[l];
    return out;
}

static void add(const struct tw_cusum_bets_column *column, const struct tw_cusum_bets_values *values,
                struct tw_cusum_bets_sums *sums)
{
    struct cells cells;
    find(values, &cells);
    for (int path = 0; path < TW_CUSUM_SMOOTH; path += LANES) {
        vec *sum = (vec *)(sums->of + path);
        for (int c = 0; c < cells.count; c++)
            *sum += values->in[cells.at[c]] * wide(column->cells[cells.at[c]].growth + path);
    }
}

/* A few vectors of paths at a time, so that their sums stay in registers. */
static void take_smooth(const struct page *page, const struct tw_cusum_bets_column *column,
                        const struct tw_cusum_bets_values *block, double all_rows, struct tw_cusum_bets_sums *sums)
{
    enum { PATHS = 24, VECTORS = PATHS / LANES };
    struct cells cells;
    double share = 1 / all_rows;
    find(block, &cells);
    for (int first = 0; first < TW_CUSUM_SMOOTH; first += PATHS) {
        vec gain[VECTORS] = {0}, sum[VECTORS];
        memcpy(sum, sums->of + first, sizeof sum);
        for (int c = 0; c < cells.count; c++) {
            const struct tw_cusum_bets_cell *cell = &column->cells[cells.at[c]];
            double n = block->in[cells.at[c]];
            for (int v = 0; v < VECTORS; v++) {
                gain[v] += n * wide(cell->gain + first + v * LANES);
                sum[v] += n * wide(cell->growth + first + v * LANES);
            }
        }
        memcpy(sums->of + first, sum, sizeof sum);
        for (int v = 0; v < VECTORS; v++)
            climb(page, first + v * LANES, gain[v], sum[v] * share);
    }
}

/* Values in the runs of bins that are notches, by the bins counted on around the circle. */
static void insides(const double bins[AROUND], double inside[TW_CUSUM_NOTCHES])
{
    for (int i = 0; i < TW_SKETCH_BINS; i++)
        *inside++ = bins[i] + bins[i + 1];
    for (int i = 0; i < TW_SKETCH_BINS; i += 2)
        *inside++ = (bins[i] + bins[i + 1]) + (bins[i + 2] + bins[i + 3]);
    for (int i = 0; i < TW_SKETCH_BINS; i += 4)
        *inside++ = ((bins[i] + bins[i + 1]) + (bins[i + 2] + bins[i + 3])) +
                    ((bins[i + 4] + bins[i + 5]) + (bins[i + 6] + bins[i + 7]));
}

static void take_notches(const struct page *page, bool periodic, const double block[AROUND], const double all[AROUND],
                         double all_rows)
{
    static const double loss = 1 - TW_CUSUM_NOTCH_RATIO;
    double log_ratio = log(TW_CUSUM_NOTCH_RATIO), lost[TW_CUSUM_NOTCHES], inside[TW_CUSUM_NOTCHES];
    insides(all, lost);
    insides(block, inside);
    for (int width = 2, end = 0; width <= 8 && !periodic; width *= 2) { /* the last of each goes around: no bet */
        end += 2 * TW_SKETCH_BINS / width;
        lost[end - 1] = inside[end - 1] = 0;
    }
    for (int notch = 0; notch < TW_CUSUM_NOTCHES; notch += LANES)
        climb(page, TW_CUSUM_SMOOTH + notch, log_ratio * *(const vec *)(inside + notch),
              1 - loss / all_rows * *(const vec *)(lost + notch));
}

static void around(const struct tw_cusum_bets_values *values, double bins[AROUND])
{
    memcpy(bins, values->in, TW_SKETCH_BINS * sizeof *bins);
    memcpy(bins + TW_SKETCH_BINS, values->in, (AROUND - TW_SKETCH_BINS) * sizeof *bins);
}

static void take(const struct tw_cusum_bets_column *column, const struct tw_cusum_bets_values *block,
                 const struct tw_cusum_bets_values *all, struct tw_cusum_bets_sums *sums, uint64_t tag,
                 double log_w[TW_CUSUM_PATHS], uint64_t start[TW_CUSUM_PATHS])
{
    struct page page = {log_w, start, tag, block->rows};
    double bins[2][AROUND]; /* written well before they are read, at other places */
    around(block, bins[0]);
    around(all, bins[1]);
    take_smooth(&page, column, block, all->rows, sums);
    take_notches(&page, column->periodic, bins[0], bins[1], all->rows);
}

static inline vec larger(vec a, vec b)
{
    vec out;
    for (int l = 0; l < LANES; l++)
        out[l] = a[l] > b[l] ? a[l] : b[l];
    return out;
}

static double largest(int n, const double *x, const double *less)
{
    vec most[PARTS / LANES];
    double top[PARTS];
    for (int l = 0; l < PARTS / LANES; l++)
        most[l] = *(const vec *)(x + l * LANES) - *(const vec *)(less + l * LANES);
    for (int i = PARTS; i < n; i += PARTS)
        for (int l = 0; l < PARTS / LANES; l++) {
            vec here = *(const vec *)(x + i + l * LANES) - *(const vec *)(less + i + l * LANES);
            most[l] = larger(here, most[l]);
        }
    memcpy(top, most, sizeof top);
    for (int half = PARTS / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            top[l] = top[l + half] > top[l] ? top[l + half] : top[l];
    return top[0];
}

static void values(const uint64_t counts[TW_SKETCH_CELLS], struct tw_cusum_bets_values *out)
{
    uint64_t rows = 0;
    for (int i = 0; i < TW_SKETCH_CELLS; i++) {
        out->in[i] = (double)(int64_t)counts[i];
        rows += counts[i];
    }
    out->rows = (double)rows;
}

const struct tw_cusum_bets tw_cusum_bets_isa = {TW_BETS_TEXT(TW_BETS_ISA), values, add, take, dot, largest};
