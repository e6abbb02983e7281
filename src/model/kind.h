/* The table of model kinds.
 *
 * The daemon trains, gates, stores, serves and rolls back any kind without knowing which; everything that it needs is
 * an entry here. `flow` and `classifier` are the first. Kinds to come (docs/ARCHITECTURE.md, "What must fit later")
 * add members at the end of the table with a default for the kinds that lack them: phases and several parameter
 * groups, ragged rows, draws of a posterior, symmetries.
 *
 * A kind works on blocks of TW_BLOCK events in prepared coordinates (feature-major, see kernel.h) and is a pure
 * function of (config, statistics, parameters, inputs, random key).
 */
#ifndef TW_MODEL_KIND_H
#define TW_MODEL_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "model/data.h"
#include "model/schema.h"
#include "nn/params.h"

struct json_t;
struct tw_tape;
struct tw_var;

enum tw_output { TW_OUTPUT_LOG_PROB, TW_OUTPUT_SAMPLE, TW_OUTPUT_SCORE };

/* What a model of a kind consists of; all borrowed. */
struct tw_kind_state {
    const void *config;
    const struct tw_schema *schema;
    const struct tw_params *statistics; /* fixed by the data: means, widths, priors */
    const struct tw_params *parameters; /* trained */
};

/* A block of events as a kind sees it in training: pointers are (rows, cols) feature-major; padded columns have weight
 * zero and hold a copy of a real event. */
struct tw_block {
    int cols;                  /* a multiple of 16 */
    int events;                /* real ones among them */
    const tw_real *features;   /* (prepared_rows, cols), made by `prepare_block` */
    const tw_real *conditions; /* (C, cols), standardised; NULL if C == 0 */
    const tw_real *weights;    /* (cols) */
    const tw_real *labels;     /* (cols) or NULL */
    uint64_t key;              /* random key of (seed, step, block) */
};

struct tw_kind {
    const char *name;
    int format;          /* of its artifact; raised when the meaning of the tensors changes. One more where features are
                          * optional or discrete */
    unsigned outputs;    /* bit mask of 1 << TW_OUTPUT_... */
    bool labelled;       /* needs labels */
    bool couples_events; /* its loss couples the events of a batch */

    /* JSON of "model" (NULL: {}) -> config with defaults filled in; refuses what it cannot serve and says why. */
    int (*parse)(const struct json_t *json, const struct tw_schema *schema, void **config, struct tw_error *error);
    struct json_t *(*describe)(const void *config); /* the full JSON back: parse(describe(c)) equals c */
    void (*config_free)(void *config);

    /* How many parameter sets are trained and kept side by side (model/members.h); NULL: one. */
    int (*members)(const void *config);

    /* Declares the tensors of statistics and of the parameters of one member, and remembers in the config where they
     * are. */
    int (*layout)(void *config, const struct tw_schema *schema, struct tw_params *statistics,
                  struct tw_params *parameters);
    /* Statistics from the training rows. */
    int (*prepare)(const void *config, const struct tw_data *data, struct tw_params *statistics);
    int (*init)(const void *config, const struct tw_schema *schema, struct tw_params *parameters, uint64_t key);
    /* Are loaded statistics usable? They come from outside. */
    bool (*statistics_ok)(const void *config, const struct tw_schema *schema, const struct tw_params *statistics);
    /* A warm start keeps its parent's statistics; those that are to follow the rows all the same are changed here.
     * NULL: none. What it changes is part of the start that an epoch has to beat. */
    int (*adapt)(const void *config, const struct tw_data *data, struct tw_params *statistics);

    /* Rows of a block in prepared coordinates, and the map into them: values is (events, D) in the feed's units, all
     * in the hard domain; out is (prepared_rows, cols), padded with copies of the first event. log_jacobian (cols),
     * may be NULL, gets log |d prepared / d raw|. An event outside the model's own domain, which may be smaller, has
     * NaN in some coordinate and a log_jacobian of -inf. */
    int (*prepared_rows)(const void *config, const struct tw_schema *schema);
    void (*prepare_block)(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian);

    /* The loss of a block on the tape: a (1, cols) row of per-event losses, before weights. The trainer applies the
     * weights, sums, and descends. NULL when memory is out. */
    struct tw_var *(*loss)(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block);

    /* Outputs, without a tape, thread-safe; NULL where the kind has none. features (prepared_rows, cols) are prepared
     * and may be overwritten; conditions (C, cols) standardised or NULL.
     * log_prob: log p of each event in prepared coordinates (cols doubles).
     * score: one number an event, larger = more like label 1 (logit).
     * sample: the events with numbers events[0] .. events[cols-1] under `key`; raw units, (cols, D) row-major. */
    int (*log_prob)(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena,
                    int cols, tw_real *features, const tw_real *conditions, double *out);
    int (*score)(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                 tw_real *features, const tw_real *conditions, double *out);
    int (*sample)(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  uint64_t key, const uint64_t *events, const tw_real *conditions, float *out);
};

/* By name; NULL if there is none. */
const struct tw_kind *tw_kind_find(const char *name);
/* Members that a config asks for; at least 1. */
int tw_kind_members(const struct tw_kind *kind, const void *config);
/* All of them, in a fixed order, ending with NULL. */
const struct tw_kind *const *tw_kind_all(void);

#endif
