/* The story of a twin's last alarm: what drifted, where, since which batch, how sure that is, what the loop did about
 * it, and whether it helped; with a summary for a shifter. Told from what the store has, whenever somebody asks.
 */
#ifndef DAEMON_STORY_H
#define DAEMON_STORY_H

#include <jansson.h>

#include "daemon/registry.h"

/* `last`: the last iteration (NULL or null: none). Sets members of `answer`: "expected_run_time", "alarm" (null: there
 * was none) and "summary"; docs/http.md has their shapes. */
void story_tell(struct twin *twin, const json_t *last, json_t *answer);

#endif
