/* Changes of a definition: RFC 7396 merge patches.
 */
#ifndef DAEMON_PATCH_H
#define DAEMON_PATCH_H

#include <jansson.h>

#include "base/status.h"

struct definition;

/* `patch` over `target`; a new reference, neither is changed. NULL when memory is out. */
json_t *patch_merge(const json_t *target, const json_t *patch);

/* The definition that the patch makes of `before`. TW_INVALID: refused by the definition's rules; TW_CONFLICT: it
 * changes name, features, conditions or model, or the expression of an observable that keeps its name. */
int patch_definition(const struct definition *before, const json_t *patch, struct definition **out,
                     struct tw_error *error);

#endif
