/* What an alarm is about: since which batch, which columns, by how much, and where in them.
 *
 * The detectors say that something changed, with honest p-values. This looks at the rows once more, to describe it:
 * sizes and regions are estimates made after the fact, with their standard errors, and raise no alarm themselves.
 */
#ifndef DAEMON_FINDING_H
#define DAEMON_FINDING_H

#include <stdint.h>

#include <jansson.h>

#include "daemon/cusum.h"
#include "daemon/window.h"
#include "stat/drift.h"

struct finding_input {
    struct twin *twin;
    const struct tw_model *champion;
    const struct tw_observables *observables;
    const struct tw_drift *drift;
    const struct cusum *cusum;       /* after the window; NULL: it does not run */
    const struct tw_data *reference; /* acceptance reference with observables */
    struct window window;
    uint64_t rows;     /* of the window, invalid ones included */
    uint64_t earliest; /* how far back the change is looked for; <= window.first */
    uint64_t oldest;   /* what the detector that accumulates has seen begins here, or later */
};

struct finding {
    uint64_t change;            /* ordinal of the first batch after the estimated change point */
    uint64_t rows_since_change; /* up to the end of the window */
    /* [{"feature", "change", "direction", "size", "error", "in_units", "significance", "p_value",
     * "regions", "words"}], the
     * one that stands out most first; docs/http.md says what they mean. Empty: no column shows it. */
    json_t *drifted;
};

int finding_make(const struct finding_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                 struct finding *out, struct tw_error *error);
void finding_fini(struct finding *finding);

#endif
