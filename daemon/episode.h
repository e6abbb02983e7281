/* An episode: what the loop does between the alarm that a drift raised and the last refinement that it pays for.
 *
 * A retune trains on what came after the estimated change point. One is not the end: whenever the data since the change
 * have grown by `loop.growth`, after a rejection too, another follows through the same gate, until nothing is gained.
 * Before it, and until one is promoted, champions of the past are asked: what returns needs no training. One that was
 * rejected, but promising, is on appeal meanwhile: what comes after it goes on with its gate. Each starts
 * from the version that the drift met, and has to beat the one that serves: what an early one learnt of the noise of
 * few rows is not handed on. This file is that policy alone: no data, no clocks, no threads; its state goes through
 * JSON into the store.
 */
#ifndef DAEMON_EPISODE_H
#define DAEMON_EPISODE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct episode {
    bool active;
    uint64_t change;       /* ordinal of the first batch after the change */
    uint64_t rows;         /* rows since the change, up to the last window */
    uint64_t trained_rows; /* rows when the last retune of this episode began, or was put off; 0: none yet */
    uint64_t gained_rows;  /* of these, rows of the last one that was promoted or promising; 0: none was */
    int origin;            /* version that the drift met; 0: unknown, in states of before it was kept */
    int champion;          /* version that serves, as the loop left it; 0: unknown */
    int attempts;          /* retunes of this episode */
    int looks;             /* gates that this champion was tried by: of retunes, and the recall. They share one level */
    uint64_t asked_rows;   /* rows when champions of the past were last asked; 0: not yet, or, with looks, no more */
    int rejections;        /* in a row, promising ones left out */
    int quiet;             /* windows in a row without an alarm, before anything was promoted */
    int appeal;            /* version that was rejected, but promising: later data go on with its gate. 0: none */
    int recall;       /* loop.recall when champions of the past were first asked: they share one level; 0: none yet */
    uint64_t put_off; /* rows when a retune that was due gave way to the promotion of an appeal; 0: none did */
    bool promoted;    /* something of this episode was */
};

enum {
    EPISODE_ATTEMPTS_MAX = 48,
    EPISODE_LOOKS_MAX = EPISODE_ATTEMPTS_MAX + 1,
    EPISODE_REJECTIONS_MAX = 3, /* in a row, once something was promoted, */
    EPISODE_VAIN = 4,           /* and over so many times the data of the last gain: nothing is gained any more. Fewer
                                 * say little, as rejections that follow closely have most of their rows in common */
    EPISODE_ROWS_MAX = 500000,  /* of one retune: what fits the memory budget */
    EPISODE_QUIET_MAX = 3,      /* windows without alarm while nothing was promoted: it was a false alarm */
};

/* True if an alarm now begins a new episode (none is active, or what this one promoted has drifted again). */
bool episode_begins(const struct episode *episode, bool alarm);
void episode_begin(struct episode *episode, uint64_t change, uint64_t rows, int champion);
/* `version` serves. If the loop did not bring it about, people have answered what drifted, and the episode ends. */
void episode_serves(struct episode *episode, int version);

/* Another window of `rows` rows was compared while active; ends an episode that was a false alarm. */
void episode_window(struct episode *episode, uint64_t rows, bool alarm);
/* Batches before `first` have left the spool: the episode's data begin no earlier. Data-taking is worth more than the
 * oldest data of an episode that people hold open. Champions of the past are asked no more, as theirs is a test from
 * the first row on. */
void episode_trim(struct episode *episode, uint64_t first);
/* True if a retune is due on the data since the change, which have to grow by the share `growth` from one to the next.
 */
bool episode_due(const struct episode *episode, double growth);
/* Level of the next gate, so that all of them against one champion err with a chance of at most `level`: so does any
 * move of the champion. */
double episode_level(const struct episode *episode, double level);
/* True if champions of the past are to be tried on the data since the change: when the episode begins, and again each
 * time these have grown by `growth`, until one of them passes or a retune is promoted. It is one test all along: the
 * same versions against the same champion on data that are only added to. Its bound is valid at every look, so that all
 * of them have the one level of the episode's first try. */
bool episode_asks(const struct episode *episode, double growth);
double episode_recall_level(double level);
/* They were. `passed`: one of them is better; `promoted`: it took over, which ends the episode. */
void episode_recalled(struct episode *episode, bool passed, bool promoted);
/* How many may be asked, as it was when they first were: another number would be other shares of the level. */
int episode_recall(struct episode *episode, long recall);
/* A retune was decided; ends the episode when nothing is gained any more. `promising`: it was not promoted, but its
 * gain stands above its error, so that more data may show what these could not; such a rejection does not count.
 * `asked`: its gate was, which costs a share of the level. */
void episode_decided(struct episode *episode, bool promoted, bool promising, bool asked);
/* The version that is on appeal (appeal.h), in place of any other; it was rejected, but promising. */
void episode_appeals(struct episode *episode, int version);
/* A retune is due, but the window has another decision: it begins with the next, and growth is counted from here. */
void episode_puts_off(struct episode *episode);
bool episode_hears(const struct episode *episode); /* one is on appeal */
/* It is no more. `promoted`: it passed and took over, and refinements go on. */
void episode_appealed(struct episode *episode, bool promoted);

json_t *episode_json(const struct episode *episode);
void episode_from_json(struct episode *episode, const json_t *json); /* NULL or odd members: inactive */

#endif
