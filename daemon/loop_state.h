/* What comparing and training of a loop have in common: its state as the store keeps it, and what the twin shows.
 * Internal to loop.c and loop_training.c. */
#ifndef DAEMON_LOOP_STATE_H
#define DAEMON_LOOP_STATE_H

#include "daemon/loop.h"

/* JSON, malloc'd; and back. */
char *loop_state_text(const struct loop *loop);
void loop_state_restore(struct loop *loop, const json_t *state);

/* Which rows of the past a retune gets, whose parent and window are set. */
void loop_state_replay(struct store *store, const struct twin *twin, double share, struct loop_task *task);

/* The loop of this twin stops: only people can mend it. Logged once. */
void loop_state_break(struct loop *loop, const char *where, const struct tw_error *error);
/* Around a step of the loop: the first before it, the other when it went well. */
void loop_state_begin(struct loop *loop);
void loop_state_end(struct loop *loop);
/* Did memory run out in this step, on this thread? Then what it made of JSON is not to be used. */
bool loop_state_short(const struct loop *loop);
/* Is it over by itself, so that the step is worth repeating? No space, no memory, a store that is busy. */
bool loop_state_passes(const struct loop *loop, int status);
/* A step did not end with TW_OK: what passes is tried again later, anything else breaks the loop. */
void loop_state_fail(struct loop *loop, const char *where, int status, const struct tw_error *error);

/* A reference on the champion (NULL: untrained) with the policy, last move and hold of the same moment. */
struct snapshot *loop_state_champion(struct twin *twin, struct loop_policy *policy, int64_t *move, bool *hold);

/* The champion has moved to `version` in the store: what is served follows, and listeners are told. A want of memory is
 * waited for a while, here; anything else breaks the loop. */
int loop_state_serve(struct loop *loop, int version, int64_t move, struct tw_error *error);

/* Rows that `version` was accepted on, in place of what `rows` holds, and the last ordinal of its data (`last` may be
 * NULL). TW_CORRUPT, TW_NOT_FOUND. */
int loop_state_acceptance(struct loop *loop, int version, struct tw_data *rows, uint64_t *last, struct tw_error *error);
/* Follows alias `reference`: its snapshot and acceptance reference. That there is none, or that it cannot be read, is
 * no error. */
int loop_state_reference(struct loop *loop);

/* A seed below 2^53, which JSON carries exactly everywhere. */
uint64_t loop_state_seed(const char *twin, uint64_t a, uint64_t b);

/* After a commit: the last iteration becomes what the twin shows, with the verdict on `version` (0: none, as nothing
 * was compared; LOOP_STATE_NOTHING: it says nothing, the verdict before stands), and listeners are told. */
enum { LOOP_STATE_NOTHING = -1 };
void loop_state_show(struct loop *loop, int version, bool drifted);
void loop_state_announce(struct loop *loop, int64_t operation);

#endif
