/* Drift that accumulates: a sequential detector for changes too small to be seen in any one window, and for those that
 * small windows find sooner.
 *
 * The setting. Accepted with a version are reference rows B_0; then windows B_1, B_2, ... arrive. Without drift all
 * rows are exchangeable. A window is cut into blocks by a hash of its rows' identities, and each block B_t (m rows) is
 * compared with the pool of everything before it, sketched in bins. U_t, pool and block together, is a multiset; given
 * U_t and all that comes later, B_t is a subset of U_t drawn uniformly. For a bounded score a(), and S_t the sum of a
 * over the block,
 *
 *     e_t = exp(S_t) / (mean over U_t of exp(a))^m,      E[e_t | U_t, B_t+1, B_t+2, ...] <= 1,
 *
 * as drawing without replacement spreads no wider than drawing with it (Hoeffding 1963, JASA 58:13, theorem 4). The
 * reference may be as small as it likes: its error is inside. The e-values of later blocks are functions of what the
 * expectation is conditional on, so going back from block n, R_k = e_k e_k+1 ... e_n is a supermartingale in reverse
 * time, and by Ville's inequality
 *
 *     P(max over k <= n of e_k ... e_n >= 1/p) <= p        for every n.
 *
 * That maximum is the CUSUM W_n = max(W_n-1, 1) e_n (Page 1954, Biometrika 41:100; with e-values: Shin, Ramdas,
 * Rinaldo, arXiv:2203.03532). So 1/W_n is a p-value at every window, whatever the dependence between windows, and
 * enters the joint decision of stat/drift.h by the union bound like any other. (Forward in time the e-values need not
 * be conditionally valid: a window says something about the pool that the next is compared with. Nothing here needs
 * it.) The blocks keep the price of "with replacement", a factor 1 - m/N of the information, small; contrasts of each
 * block with all before it lose none against the two-sample test with the reference (Helmert 1876).
 *
 * A column has a path for each score of stat/cusum_path.h, and p is the least price / W, at most 1. Scores are
 * functions of the bin, fixed once by the sample that the bins are made from, so that tables of exp(a) serve for ever.
 * When a path was last at or below 1 is when the change began.
 *
 * Windows that alarm stay out of the pool, and so do those after it until TW_CUSUM_UNREST in a row were quiet; then all
 * paths begin anew. A path is capped, which keeps it valid, so that a few windows without drift end an alarm. (The
 * bound is about the run until the first alarm, which none of this touches.)
 */
#ifndef TW_STAT_CUSUM_H
#define TW_STAT_CUSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "model/data.h"
#include "stat/cusum_bets.h"
#include "stat/cusum_path.h"
#include "stat/sketch.h"
#include "stat/smooth.h"

enum {
    TW_CUSUM_BLOCKS = 16,      /* of a window, at most: as many as keep each below a sixteenth of the pool */
    TW_CUSUM_UNREST = 3,       /* windows without alarm that end one */
    TW_CUSUM_FINENESS_MIN = 2, /* exp(2^4-2 TW_SMOOTH_MAX) and its inverse are floats */
    TW_CUSUM_FINENESS_MAX = 22
};

/* More rows than any pool will hold, few enough that sums do not wrap and doubles count them. */
#define TW_CUSUM_ROWS_MAX ((uint64_t)1 << 45)

struct tw_cusum {
    int columns;    /* the features, then the log-likelihood if it is watched */
    bool log_prob;  /* it is */
    bool *periodic; /* (columns) */
    int fineness;   /* the smallest lambda is 2^-fineness, about what the reference knows a mean to */
    struct tw_sketch_grid grid;
    struct tw_sketch made; /* the sample that the grid was made from, in its bins */
    struct tw_sketch pool;
    struct tw_cusum_bets_sums *sums; /* (columns) over the pool: added to by each window, and rounded each time */
    double *log_w;                   /* (columns, TW_CUSUM_PATHS): ln W */
    uint64_t *start; /* (columns, TW_CUSUM_PATHS): tag of the window with which the path last rose from 1 */
    int unrest;      /* windows without alarm that are wanting before an alarm is over; 0: there is none */
    uint64_t paused; /* tag of the first window that stays out of the pool, while there is unrest */
    uint64_t windows;
    /* The last window and its tag, and the sums over pool and window, until it is settled; not part of the state. */
    struct tw_sketch last;
    struct tw_cusum_bets_sums *next;
    uint64_t tag;
    /* Functions of what is above and not part of the state either: the scores of `made`, and what bets are made of. */
    double (*scores)[TW_COMPONENTS][TW_SKETCH_CELLS];    /* (columns) */
    struct tw_cusum_bets_cell (*cells)[TW_SKETCH_CELLS]; /* (columns) */
    double (*prices)[TW_CUSUM_PATHS]; /* (2): of columns that are not periodic, and of those that are */
    const struct tw_cusum_bets *bets; /* the best for this processor */
};

/* What stands out most in a column. */
struct tw_cusum_column {
    double p_value;
    int path;                    /* the one that gives p */
    enum tw_component component; /* its own */
    int sign;                    /* +1: the component is larger than in the pool; -1 for a notch */
    uint64_t start;              /* tag of the window with which it began */
    double value, error; /* window less pool in this component, in standard deviations, and its standard error */
};

/* A sample with what the champion thinks of it: rows doubles, or NULL. The same for all of a detector's samples. */
struct tw_cusum_sample {
    const struct tw_data *data;
    const double *log_prob;
};

/* Empty, no column periodic; TW_NO_MEMORY or 0. */
int tw_cusum_alloc(struct tw_cusum *cusum, int columns, bool log_prob);
/* Makes the tables of a column, once periodic, grid, made and fineness are there. */
void tw_cusum_tables(struct tw_cusum *cusum, int column);
struct tw_cusum_bets_column tw_cusum_bets_of(const struct tw_cusum *cusum, int column);
/* The sums over the pool of a column, by its counts. */
struct tw_cusum_bets_sums tw_cusum_sum(const struct tw_cusum *cusum, int column);
/* The values of one column of a sample: a feature as it lies, or the log-likelihood as floats. TW_NO_MEMORY or 0. */
struct tw_cusum_values {
    const float *at;
    size_t stride;
    float *own;
};
int tw_cusum_values_init(struct tw_cusum_values *values, const struct tw_cusum_sample *sample, int column);
void tw_cusum_values_fini(struct tw_cusum_values *values);

/* Starts on the reference, with a grid from `events`, which must not depend on reference or windows: the champion's
 * samples. TW_NO_MEMORY or 0. Release with _fini, also a zeroed one. */
int tw_cusum_init(struct tw_cusum *cusum, const struct tw_cusum_sample *events,
                  const struct tw_cusum_sample *reference);
void tw_cusum_fini(struct tw_cusum *cusum);
int tw_cusum_copy(const struct tw_cusum *cusum, struct tw_cusum *out);

/* What the detector needs of a window: counts by column, block and cell. Those of several daemons, which share grid and
 * version, add up to one window; blocks go by identity, so it does not matter who counted which row. */
struct tw_cusum_window {
    int columns, blocks; /* TW_CUSUM_BLOCKS, or fewer (a power of two): such a window stays where it is */
    uint64_t *counts;    /* (columns, blocks, TW_SKETCH_CELLS) */
};
int tw_cusum_window_init(struct tw_cusum_window *window, int columns, int blocks); /* empty; TW_NO_MEMORY or 0 */
void tw_cusum_window_fini(struct tw_cusum_window *window);
/* Counts rows. `pool` may be NULL. TW_NO_MEMORY or 0. */
int tw_cusum_window_count(struct tw_cusum_window *window, const struct tw_cusum *cusum,
                          const struct tw_cusum_sample *sample, struct tw_pool *pool);
void tw_cusum_window_add(struct tw_cusum_window *window, const struct tw_cusum_window *other);
/* In bytes (malloc'd) and back, with TW_CUSUM_BLOCKS blocks. Any bytes are taken: TW_CORRUPT. */
int tw_cusum_window_to_bytes(const struct tw_cusum_window *window, unsigned char **bytes, size_t *size);
int tw_cusum_window_from_bytes(struct tw_cusum_window *window, const unsigned char *bytes, size_t size);

/* The path of a column with the least price / W, and the logarithm of that. */
int tw_cusum_leading(const struct tw_cusum *cusum, int column, double *log_ratio);
/* Takes a window in. out: (columns). `tag` names the window in `start`. One without rows says nothing: p = 1. */
int tw_cusum_blocks(const struct tw_cusum *cusum, uint64_t rows); /* that a window of so many is cut into */
void tw_cusum_take(struct tw_cusum *cusum, const struct tw_cusum_window *window, uint64_t tag, struct tw_pool *pool,
                   struct tw_cusum_column *out);
/* The same with rows that are counted here. TW_NO_MEMORY or 0. */
int tw_cusum_step(struct tw_cusum *cusum, const struct tw_cusum_sample *window, uint64_t tag, struct tw_pool *pool,
                  struct tw_cusum_column *out);
/* After each step: did this window alarm, by whatever detector? `threshold` is that of a column's p-value. */
void tw_cusum_settle(struct tw_cusum *cusum, bool alarm, double threshold);

/* The state in bytes (malloc'd) and back, exactly. Any bytes are taken: TW_CORRUPT. */
int tw_cusum_to_bytes(const struct tw_cusum *cusum, unsigned char **bytes, size_t *size);
int tw_cusum_from_bytes(struct tw_cusum *cusum, const unsigned char *bytes, size_t size);

#endif
