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
    const char *feed = json_string_value(json_object_get(entry, "feed"));
    const char *column = json_string_value(json_object_get(entry, "column"));
    const char *rule = json_string_value(json_object_get(entry, "rule"));
    long long batches = json_integer_value(json_object_get(entry, "batches"));
    if (!feed)
        return NULL;
    char *last = batches == 1 ? cli_text("last batch") : cli_text("last %lld batches", batches);
    char *sentence = cli_text("no row of the %s of feed %s, run %lld, is valid%s%s%s%s", last, feed,
                              (long long)json_integer_value(json_object_get(entry, "run")), column && rule ? ": " : "",
                              column && rule ? column : "", column && rule ? " " : "", column && rule ? rule : "");
    free(last);
    return output_clean(sentence);
}
