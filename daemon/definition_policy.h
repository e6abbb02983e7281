/* The members of "loop" that say what the loop may do by itself: mode, cooldown, max_retunes, max_distance, recall,
 * replay.
 */
#ifndef DAEMON_DEFINITION_POLICY_H
#define DAEMON_DEFINITION_POLICY_H

#include "daemon/definition.h"

/* Reads one member; TW_NOT_FOUND: it is none of these. */
int definition_policy_read(const char *member, const json_t *value, struct loop_policy *loop, struct tw_error *error);
/* `mode` and its older form `auto`, which must not contradict each other. */
int definition_policy_mode(const json_t *loop_json, struct loop_policy *loop, struct tw_error *error);
const char *definition_policy_mode_name(enum loop_mode mode);
/* Before a patch is merged into `loop`: naming one of mode and auto takes the other away. */
void definition_policy_patch(json_t *loop, const json_t *patch);
/* Adds them all, defaults written out. */
void definition_policy_json(const struct loop_policy *loop, json_t *out);

#endif
