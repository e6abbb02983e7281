/* Data over samples, feature by feature and observable by observable. An ensemble's samples come with two errors: that
 * of the draws and that of the model (stat/band.h). */
#ifndef DAEMON_HISTOGRAMS_H
#define DAEMON_HISTOGRAMS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "model/model.h"
#include "model/observables.h"

/* Items of the answer for the rows of `data`, in the model's schema, which give way to the same with observables;
 * samples are drawn under `seed` at the rows' conditions and scaled to their sum of weights. NULL when memory is out or
 * the model fails. */
json_t *histograms_make(struct tw_data *data, const struct tw_model *model, const struct tw_kernels *kernels,
                        const struct tw_observables *observables, uint64_t seed, int bins);

/* Bytes that it takes beside the rows. */
size_t histograms_bytes(const struct tw_model *model, const struct tw_observables *observables);

#endif
