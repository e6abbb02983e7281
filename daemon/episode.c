#include "daemon/episode.h"

#include <string.h>

#include "stat/gate.h"

bool episode_begins(const struct episode *episode, bool alarm)
{
    return alarm && (!episode->active || episode->promoted);
}

void episode_begin(struct episode *episode, uint64_t change, uint64_t rows, int champion)
{
    *episode =
        (struct episode){.active = true, .change = change, .rows = rows, .origin = champion, .champion = champion};
}

void episode_serves(struct episode *episode, int version)
{
    if (episode->champion && episode->champion != version)
        episode->active = false;
    episode->champion = version;
}

void episode_window(struct episode *episode, uint64_t rows, bool alarm)
{
    if (!episode->active)
        return;
    episode->rows += rows;
    episode->quiet = alarm || episode->promoted ? 0 : episode->quiet + 1;
    if (episode->quiet >= EPISODE_QUIET_MAX || episode->rows > EPISODE_ROWS_MAX)
        episode->active = false;
}

void episode_trim(struct episode *episode, uint64_t first)
{
    if (!episode->active || episode->change >= first)
        return;
    episode->change = first;
    episode->asked_rows = 0;
}

static bool has_grown(const struct episode *episode, uint64_t since, double growth)
{
    return (double)episode->rows >= (1 + growth) * (double)since;
}

bool episode_due(const struct episode *episode, double growth)
{
    return episode->active && has_grown(episode, episode->trained_rows, growth);
}

bool episode_asks(const struct episode *episode, double growth)
{
    bool open = episode->looks == 0 || episode->asked_rows > 0;
    return episode->active && open && !episode->promoted && has_grown(episode, episode->asked_rows, growth);
}

double episode_recall_level(double level)
{
    return tw_gate_spend(level, 1, EPISODE_LOOKS_MAX);
}

double episode_level(const struct episode *episode, double level)
{
    return tw_gate_spend(level, episode->looks + 1, EPISODE_LOOKS_MAX);
}

void episode_recalled(struct episode *episode, bool passed, bool promoted)
{
    if (episode->looks == 0)
        episode->looks = 1;
    episode->asked_rows = passed ? 0 : episode->rows;
    if (promoted)
        episode->active = false;
}

int episode_recall(struct episode *episode, long recall)
{
    if (!episode->recall)
        episode->recall = (int)recall;
    return episode->recall;
}

void episode_appeals(struct episode *episode, int version)
{
    episode->appeal = version;
}

void episode_puts_off(struct episode *episode)
{
    episode->put_off = episode->rows;
}

bool episode_hears(const struct episode *episode)
{
    return episode->active && episode->appeal;
}

void episode_appealed(struct episode *episode, bool promoted)
{
    if (promoted) {
        episode->champion = episode->appeal;
        episode->promoted = true;
        episode->rejections = episode->looks = 0;
        episode->gained_rows = episode->rows;
    }
    episode->appeal = 0;
}

void episode_decided(struct episode *episode, bool promoted, bool promising, bool asked)
{
    if (promoted || promising) /* which goes on in place of another */
        episode->appeal = 0;
    episode->trained_rows = episode->put_off ? episode->put_off : episode->rows;
    episode->put_off = 0;
    episode->attempts++;
    episode->looks = promoted ? 0 : episode->looks + asked;
    episode->rejections = promoted ? 0 : promising ? episode->rejections : episode->rejections + 1;
    episode->promoted = episode->promoted || promoted;
    if (promoted || promising)
        episode->gained_rows = episode->rows;
    bool vain = episode->promoted && episode->rejections >= EPISODE_REJECTIONS_MAX &&
                episode->rows >= EPISODE_VAIN * episode->gained_rows;
    if (vain || episode->attempts >= EPISODE_ATTEMPTS_MAX)
        episode->active = false;
}

json_t *episode_json(const struct episode *episode)
{
    return json_pack("{s:b, s:I, s:I, s:I, s:i, s:i, s:i, s:b, s:i, s:I, s:i, s:i, s:I, s:i, s:i, s:I}", "active",
                     episode->active, "change", (json_int_t)episode->change, "rows", (json_int_t)episode->rows,
                     "trained_rows", (json_int_t)episode->trained_rows, "attempts", episode->attempts, "rejections",
                     episode->rejections, "quiet", episode->quiet, "promoted", episode->promoted, "looks",
                     episode->looks, "gained_rows", (json_int_t)episode->gained_rows, "origin", episode->origin,
                     "champion", episode->champion, "asked_rows", (json_int_t)episode->asked_rows, "appeal",
                     episode->appeal, "recall", episode->recall, "put_off", (json_int_t)episode->put_off);
}

void episode_from_json(struct episode *episode, const json_t *json)
{
    memset(episode, 0, sizeof(*episode));
    int active, promoted, attempts, rejections, quiet, looks = -1, origin = 0, champion = 0, appeal = 0, recall = 0;
    json_int_t change, rows, trained, gained = 0, asked = 0,
                                      put_off = 0; /* older states lack what follows `promoted` */
    if (json_unpack((json_t *)json, "{s:b, s:I, s:I, s:I, s:i, s:i, s:i, s:b, s?i, s?I, s?i, s?i, s?I, s?i, s?i, s?I}",
                    "active", &active, "change", &change, "rows", &rows, "trained_rows", &trained, "attempts",
                    &attempts, "rejections", &rejections, "quiet", &quiet, "promoted", &promoted, "looks", &looks,
                    "gained_rows", &gained, "origin", &origin, "champion", &champion, "asked_rows", &asked, "appeal",
                    &appeal, "recall", &recall, "put_off", &put_off) != 0)
        return;
    *episode = (struct episode){.active = active != 0,
                                .change = (uint64_t)change,
                                .rows = (uint64_t)rows,
                                .trained_rows = (uint64_t)trained,
                                .attempts = attempts,
                                .rejections = rejections,
                                .quiet = quiet,
                                .looks = looks >= 0 ? looks : attempts,
                                .gained_rows = (uint64_t)gained,
                                .asked_rows = (uint64_t)asked,
                                .origin = origin,
                                .champion = champion,
                                .appeal = appeal,
                                .recall = recall,
                                .put_off = (uint64_t)put_off,
                                .promoted = promoted != 0};
}
