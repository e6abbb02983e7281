/* The commands of twinctl: what their help says, and the functions behind them. */
#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H

#include <stddef.h>

#include <jansson.h>

struct cli;
struct cli_command;

size_t commands_count(void);
const struct cli_command *commands_at(size_t i);
const struct cli_command *commands_find(const char *name); /* NULL: none */

/* One line for each twin; and one twin, which as JSON is no list. */
void cmd_twins_print(const struct cli *cli, const json_t *items);
void cmd_twins_print_one(const struct cli *cli, json_t *twin);

/* Calls take for every setting of a definition's loop, by its dotted name: "gate.level". `prefix` is "". */
void cmd_set_each(json_t *settings, const char *prefix, void (*take)(void *context, const char *key, json_t *value),
                  void *context);

/* Every command parses its own options and returns the exit status. */
int cmd_twins_status(struct cli *cli, int argc, char **argv);
int cmd_twins_show(struct cli *cli, int argc, char **argv);
int cmd_backup_run(struct cli *cli, int argc, char **argv);
int cmd_backup_restore(struct cli *cli, int argc, char **argv);
int cmd_set_run(struct cli *cli, int argc, char **argv);
int cmd_doctor_run(struct cli *cli, int argc, char **argv);
int cmd_completion_run(struct cli *cli, int argc, char **argv);
int cmd_create_run(struct cli *cli, int argc, char **argv);
int cmd_delete_run(struct cli *cli, int argc, char **argv);
int cmd_train_run(struct cli *cli, int argc, char **argv);
int cmd_export_run(struct cli *cli, int argc, char **argv);
int cmd_feed_run(struct cli *cli, int argc, char **argv);
int cmd_events_sample(struct cli *cli, int argc, char **argv);
int cmd_events_log_prob(struct cli *cli, int argc, char **argv);
int cmd_drift_run(struct cli *cli, int argc, char **argv);
int cmd_weights_show(struct cli *cli, int argc, char **argv);
int cmd_watch_run(struct cli *cli, int argc, char **argv);
int cmd_ops_retune(struct cli *cli, int argc, char **argv);
int cmd_ops_tune(struct cli *cli, int argc, char **argv);
int cmd_ops_list(struct cli *cli, int argc, char **argv);
int cmd_versions_list(struct cli *cli, int argc, char **argv);
int cmd_versions_history(struct cli *cli, int argc, char **argv);
int cmd_promote_run(struct cli *cli, int argc, char **argv);
int cmd_promote_rollback(struct cli *cli, int argc, char **argv);

#endif
