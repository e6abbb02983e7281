/* Words of the daemon, and what they mean to people. A word that is newer than this program is shown as it is. */
#include "client/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/output.h"

static const struct {
    const char *reason, *sentence;
} known[] = {
    {"champion_moved", "the champion has not been compared with data yet"},
    {"lag", "a full window has waited for longer than the policy's max_lag_s"},
    {"silence", "no data have come for longer than the policy's silence_s"},
    {"invalid_rows", "no row of the last batches is valid"},
};

char *verdict_why(const json_t *twin)
{
    const char *reason = json_string_value(json_object_get(twin, "verdict_reason"));
    const char *name = json_string_value(json_object_get(twin, "name"));
    if (!reason)
        return NULL;
    if (!strcmp(reason, "untrained"))
        return output_clean(cli_text("not trained yet: twinctl train %s FILE", name ? name : "NAME"));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].reason, reason))
            return cli_text("%s", known[i].sentence);
    return output_clean(cli_text("unknown: %s", reason));
}

char *verdict_invalid(const json_t *entry)
{
    const char *words = json_string_value(json_object_get(entry, "words"));
    return words ? output_clean(cli_text("%s", words)) : NULL;
}
