/* What a warm start can learn at all: coordinates beyond [-bound, bound].
 *
 * There every spline with tails is the identity and the base standard normal, so that such a coordinate has the density
 * of a normal law, whatever the parameters: exp(-y^2 / 2). New physics that fills a region which the parent's rows left
 * empty, as soft Z bosons do once multiparton interactions give the jet, has rows seven to ten widths out, and loses
 * some 20 to 50 nats for each of them, which no training takes back. So a warm start widens what its rows overrun.
 */
#ifndef TW_MODEL_REACH_H
#define TW_MODEL_REACH_H

#include "model/data.h"
#include "nn/params.h"

struct tw_flow_config;

enum {
    TW_REACH_LEAST = 10,    /* rows out of reach, below which nothing is changed */
    TW_REACH_SHARE = 400,   /* nor below one of so many */
    TW_REACH_SPARED = 1000, /* after it one of so many, on each side, may still be out of reach */
    TW_REACH_FAR = 4,       /* bounds: what lies beyond is broken rather than new, and left out of account */
};

/* Makes the width of each coordinate that has too many rows out of reach the least that leaves few. Its mean stays, so
 * that the parameters mean nearly what they did. Rows count once each, whatever their weight. TW_NO_MEMORY or 0. */
int tw_reach_extend(const struct tw_flow_config *config, const struct tw_data *data, struct tw_params *statistics);

#endif
