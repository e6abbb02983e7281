/* A damaged database made whole again: what can be read of it goes into a new file, which takes its place.
 */
#ifndef DAEMON_STORE_SALVAGE_H
#define DAEMON_STORE_SALVAGE_H

#include "base/status.h"

/* `database` is <state>/twin.db, which nobody has open; `why` says what was found. Every table is read row by row
 * around what cannot be read. A twin whose row is lost comes back from spool/<id>/twin.json; batches come back from the
 * spool when the registry restores its twins; what refers to something lost is brought in order. The damaged file is
 * kept in quarantine (damage.h), the log says for each table how much came over. Until the new file takes the place of
 * the old one, nothing has changed: a crash repeats it. */
int store_salvage(const char *state, const char *database, const char *why, struct tw_error *error);

#endif
