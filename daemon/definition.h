/* A twin's definition: the JSON of POST /v1/twins, checked, with defaults.
 *
 * Every member that is not built yet (update other than weights, detectors that stat/drift.h does not offer) is refused
 * by name, never ignored.
 */
#ifndef DAEMON_DEFINITION_H
#define DAEMON_DEFINITION_H

#include <stdbool.h>

#include <jansson.h>

#include "base/status.h"
#include "model/kind.h"
#include "model/observables.h"
#include "model/schema.h"

/* What the loop may do by itself. */
enum loop_mode {
    LOOP_AUTO,   /* retunes and promotes; the default */
    LOOP_ADVISE, /* retunes; what passes its gate becomes `challenger` and waits for people */
    LOOP_MANUAL, /* compares and says what is due; "auto": false means the same */
};

enum { LOOP_RETUNES_MAX = 100 };

struct loop_policy {
    enum loop_mode mode;
    long cooldown;   /* windows after a change by the loop in which no retune begins; default 0 */
    int max_retunes; /* of the loop, that begin within max_retunes_hours; 0: no limit, the default */
    double max_retunes_hours;
    double max_distance;      /* from `reference`, how far the loop may promote by itself; 0: no limit, the default */
    double replay;            /* share of a retune's weight that old rows get, weighted as new physics; default 0 */
    double growth;            /* share by which data since the change grow from one retune to the next; default 0.1 */
    long recall;              /* champions of the past that are tried when an episode begins; default 4, 0: none */
    long window;              /* rows; default 20000; 100 .. 10^6 */
    unsigned detectors;       /* mask of 1 << TW_DETECT_...; default c2st, ks and cusum */
    double expected_run_time; /* iterations; default 1000; >= 1 */
    double silence_s;         /* default 60 */
    double max_lag_s;         /* default 300 */
    long max_lag_windows;     /* 0: never skip, the default */
    double gate_min_gain;     /* default 0 */
    double gate_level;        /* default 0.01 */
};

struct definition {
    char name[65];
    char *description;
    const struct tw_kind *kind;
    json_t *model; /* checked by the kind, defaults written out */
    struct tw_schema *schema;
    struct tw_observables *observables; /* never NULL */
    struct loop_policy loop;
};

int definition_parse(const json_t *json, struct definition **out, struct tw_error *error);
void definition_free(struct definition *definition);
json_t *definition_json(const struct definition *definition); /* with every default */
/* 32 hexadecimal digits that stand for this JSON; empty when memory is out. */
enum { DEFINITION_TAG_SIZE = 33 };
void definition_tag(const struct definition *definition, char out[DEFINITION_TAG_SIZE]);

#endif
