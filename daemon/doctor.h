/* Is all well? What the daemon can find out about itself and its state, as findings with advice: the cheap facts at
 * once, then database, spool and blobs in bounded steps, so that a check of everything stalls nobody.
 *
 *   {"items": [{"name", "ok", "level": "ok|warning|error", "detail", "advice"}], "time", "version", "deep"}
 *
 * `ok` is false for warnings and errors; only those have advice.
 */
#ifndef DAEMON_DOCTOR_H
#define DAEMON_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "daemon/http.h"

struct doctor;

/* `deep`: every record's checksum, every blob's SHA-256, the whole database; else a sample of each. TW_BUSY: it is
 * being done already. `http` tells when the daemon stops, which ends the check early. */
int doctor_begin(const struct api *api, const struct http *http, bool deep, struct doctor **out,
                 struct tw_error *error);
/* As the `next` of an http_source: one step; bytes of size 0 until all is known, then the JSON, then NULL. */
int doctor_next(void *doctor, void **bytes, size_t *size);
void doctor_free(void *doctor);

/* --- shared by the files of the doctor --- */

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_ERROR };
/* `advice` NULL where all is well. */
void doctor_add(json_t *items, const char *name, enum doctor_level level, const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* doctor_facts.c: state folder, disk, clock, kernels, libraries, limits, troubles, twins. */
void doctor_facts(const struct api *api, json_t *items);

#endif
