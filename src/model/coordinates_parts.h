/* What a declared coordinate consists of: shared by the reader of JSON (coordinates_json.c) and the maps of events. */
#ifndef TW_MODEL_COORDINATES_PARTS_H
#define TW_MODEL_COORDINATES_PARTS_H

#include "flow/peak.h"
#include "flow/transform.h"
#include "model/coordinates.h"

/* Features of a particle; its mass is one, or a number. */
struct tw_coordinate_particle {
    int pt, eta, phi, mass; /* mass: -1 if it is a number */
    double number;
    struct tw_transform_column circle; /* of phi */
};

enum tw_coordinate_kind { TW_COORDINATE_MASS, TW_COORDINATE_PAIR, TW_COORDINATE_DIFFERENCE };

/* Of a pair, in this order; the features that they replace are pt, eta, phi of the first particle and of the second. */
enum { TW_PAIR_PT, TW_PAIR_RAPIDITY, TW_PAIR_PHI, TW_PAIR_MASS, TW_PAIR_COSINE, TW_PAIR_AZIMUTH };

struct tw_coordinate {
    enum tw_coordinate_kind kind;
    int slots, features[TW_COORDINATES_SLOTS_MAX]; /* that are replaced */
    /* difference: features[0] - minus */
    int minus;
    bool angles;
    struct tw_transform_column circle; /* of both, if they are angles */
    /* mass and pair */
    double open; /* mass: the least that the replaced feature may be, excluded */
    double min;  /* of the mass */
    struct tw_peak peak;
    int count;
    struct tw_coordinate_particle of[TW_COORDINATES_PARTICLES_MAX]; /* mass: the last is that whose pt is replaced */
};

struct tw_coordinates {
    int count;
    struct json_t *json;
    struct tw_coordinate list[];
};

#endif
