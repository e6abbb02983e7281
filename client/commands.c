/* The table of commands. */
#include "client/commands.h"

#include <string.h>

#include "client/cli.h"

/* clang-format off */
static const struct cli_command commands[] = {
    {"status", "[NAME]", "how the twins are",
     "One line for each twin: is it true, what is it doing, which version is served.\n\n"
     "examples:\n"
     "  twinctl status\n"
     "  twinctl status zmumu -o json",
     cmd_twins_status},
    {"create", "NAME DEFINITION.json | --file FILE | NAME --from EVENTS", "make a twin from a definition",
     "Makes a twin. With --from, the definition is guessed from a file of events (.csv with a header, .h5, or .npy\n"
     "with --columns) and printed, for you to change: log where a feature is positive with a long tail, periodic where it\n"
     "is an angle, discrete where it has few whole numbers, optional where it is NaN in some rows. With --dry-run\n"
     "nothing is made.\n\n"
     "examples:\n"
     "  twinctl create zmumu zmumu.json\n"
     "  twinctl create --file zmumu.json\n"
     "  twinctl create zmumu --from events.csv --dry-run > zmumu.json",
     cmd_create_run},
    {"train", "NAME FILE | NAME --spooled", "train the first version",
     "Trains the first version of a twin on the events of a file (.npy, .csv, .h5, - for standard input) or on what\n"
     "its feeds have sent so far. Prints the operation; with --wait, waits until it has ended.\n\n"
     "examples:\n"
     "  twinctl train zmumu nominal.npy --wait\n"
     "  twinctl train zmumu nominal.npy --rows 0:100000 --seed 1\n"
     "  twinctl train zmumu --spooled",
     cmd_train_run},
    {"feed", "NAME FILE...", "send events to the loop",
     "Sends the events of files (.npy, .csv, .h5, - for standard input), or of the files in a folder, in batches over\n"
     "ZeroMQ, and ends when all are acknowledged, which means on the daemon's disk. A feed that was stopped goes on\n"
     "where the last acknowledgement was: start it again with the same files, --feed, --run, --rows and --batch. A\n"
     "folder may have got more files since, behind those that it had. Other data need another --run. Arrays may be of any integers or floats,\n"
     "in C or Fortran order.\n\n"
     "examples:\n"
     "  twinctl feed zmumu today.npy --run 12 --dry-run\n"
     "  twinctl feed zmumu today.npy --run 12\n"
     "  twinctl feed zmumu run15/ --run 15\n"
     "  twinctl feed zmumu a.csv b.csv --feed daq1 --run 13 --rate 5000\n"
     "  simulate | twinctl feed zmumu - --run 14 --batch 500",
     cmd_feed_run},
    {"sample", "NAME", "events from the surrogate",
     "Draws events, a million at most in one go; further seeds give further events. The same seed, version and number\n"
     "give the same events. Without --out they go to standard output as CSV (-o json: JSON). A file appears when it is\n"
     "whole.\n\n"
     "examples:\n"
     "  twinctl sample zmumu -n 5\n"
     "  twinctl sample zmumu -n 1000000 --seed 7 --out sample.npy\n"
     "  twinctl sample zmumu -n 100000 --version reference --out reference.h5\n"
     "  twinctl sample zmumu -n 1000 --version 3 --out v3.csv",
     cmd_events_sample},
    {"log-prob", "NAME FILE", "log-density of events",
     "The natural logarithm of the surrogate's density, in raw units, for each event of a file (.npy, .csv, .h5, -).\n"
     "-inf where an event lies outside the domain.\n\n"
     "examples:\n"
     "  twinctl log-prob zmumu events.npy --out lp.npy\n"
     "  twinctl log-prob zmumu events.csv --rows 0:10",
     cmd_events_log_prob},
    {"drift", "NAME", "the last comparison, statistic by statistic",
     "Every statistic of the last compared window beside its threshold. Exit status: 0 no drift, 1 drift, more than 1\n"
     "no answer (75: nothing was compared yet).\n\n"
     "examples:\n"
     "  twinctl drift zmumu\n"
     "  twinctl drift zmumu -o csv\n"
     "  until ! twinctl drift zmumu >/dev/null; do sleep 10; done   # ends at a drift, or for want of an answer",
     cmd_drift_run},
    {"weights", "NAME", "where the twin is off",
     "The regions in which data and samples differ most, as the newest weights see them: shares of both, and their\n"
     "ratio with its error, on events that no network was trained on. twinctl retune --kind reweight makes weights.\n\n"
     "examples:\n"
     "  twinctl retune zmumu --kind reweight --propose --wait\n"
     "  twinctl weights zmumu\n"
     "  twinctl weights zmumu --version 7 --reliability",
     cmd_weights_show},
    {"watch", "[NAME]", "the loop, live",
     "On a terminal a view that is kept up to date: the verdict, how near each detector is to an alarm, window by\n"
     "window, fidelity, the feeds' rates, and what was decided. Arrows choose another twin, h explains, q ends.\n"
     "Elsewhere one line for each iteration of NAME (-o json: one object a line), until Ctrl-C or --count.\n\n"
     "examples:\n"
     "  twinctl watch\n"
     "  twinctl watch zmumu --interval 5\n"
     "  twinctl watch zmumu --last 20 --count 5 -o csv",
     cmd_watch_run},
    {"retune", "NAME", "make a challenger now",
     "Trains the champion on with the latest events, or puts weights on top of it. What comes out is served only if it\n"
     "passes the gate.\n\n"
     "examples:\n"
     "  twinctl retune zmumu --wait\n"
     "  twinctl retune zmumu --kind reweight --propose\n"
     "  twinctl retune zmumu --events 30000 --seed 3",
     cmd_ops_retune},
    {"ops", "[NAME]", "long work: list, wait for, cancel",
     "The operations of a twin or of all, newest first.\n\n"
     "examples:\n"
     "  twinctl ops zmumu\n"
     "  twinctl ops --wait-for 17\n"
     "  twinctl ops --cancel 17",
     cmd_ops_list},
    {"versions", "NAME", "versions and where they come from",
     "Every version with its cause, parent and status, newest first. A rejected one keeps its reason.\n\n"
     "examples:\n"
     "  twinctl versions zmumu\n"
     "  twinctl versions zmumu -o json",
     cmd_versions_list},
    {"show", "NAME [VERSION]", "all that is known of a twin or version",
     "Everything the daemon says about a twin, or about one of its versions, which is named by its number or by an\n"
     "alias.\n\n"
     "examples:\n"
     "  twinctl show zmumu\n"
     "  twinctl show zmumu reference\n"
     "  twinctl show zmumu 3 -o json",
     cmd_twins_show},
    {"set", "NAME KEY=VALUE...", "change settings of the loop",
     "Changes settings of the loop by their names in the definition (man twin-definition), and shows them before and\n"
     "after; gate.level is level of gate. Values are JSON or words. All are changed or none; what comes next is compared\n"
     "and decided by them. Exit status 75: somebody else changed the definition in between.\n\n"
     "examples:\n"
     "  twinctl set zmumu mode=manual --dry-run\n"
     "  twinctl set zmumu mode=manual\n"
     "  twinctl set zmumu mode=auto growth=0.5 gate.level=0.001\n"
     "  twinctl set zmumu 'max_retunes={\"count\": 4, \"hours\": 24}' max_distance=1\n"
     "  twinctl set zmumu max_retunes=null max_distance=null",
     cmd_set_run},
    {"promote", "NAME VERSION [--reason REASON] | NAME --lift-hold", "serve a version",
     "Moves the alias champion to a version. The loop is then on hold: it advises and moves nothing by itself until\n"
     "the hold is lifted. Exit status 75: somebody else moved the alias in between.\n\n"
     "examples:\n"
     "  twinctl promote zmumu 3 --reason 'validated in run 1204'\n"
     "  twinctl promote zmumu 3 --alias reference --reason 'new baseline'\n"
     "  twinctl promote zmumu --lift-hold",
     cmd_promote_run},
    {"rollback", "NAME [--reason REASON]", "serve the champion before",
     "Moves the alias champion back to the version that it named before, or to the one given with --to. Rolled back\n"
     "again, it goes one further back. The loop is then on hold, as with promote.\n\n"
     "examples:\n"
     "  twinctl rollback zmumu --reason 'bad jets since noon'\n"
     "  twinctl rollback zmumu --to 2 --reason 'back to the last long run' --no-hold",
     cmd_promote_rollback},
    {"history", "NAME", "every move of an alias",
     "Who moved which alias when, and why, newest first; with --at, what was in force at that time.\n\n"
     "examples:\n"
     "  twinctl history zmumu\n"
     "  twinctl history zmumu --alias reference\n"
     "  twinctl history zmumu --at 2026-03-01T12:00:00Z",
     cmd_versions_history},
    {"backup", "[FILE | -] | --verify FILE", "everything that the daemon keeps, as one file",
     "Writes an archive (tar) of the database and of every batch, while ingest and training go on. It holds every batch\n"
     "that was acknowledged before it began. Sizes and SHA-256 are checked as it comes; the file appears when it is\n"
     "whole and on the disk. Without FILE its name has the time; - writes to standard output. The admin token is not\n"
     "in it.\n\n"
     "examples:\n"
     "  twinctl backup\n"
     "  twinctl backup - | ssh vault 'cat > twin.tar'\n"
     "  twinctl backup --verify twin-20260301T120000Z.tar",
     cmd_backup_run},
    {"restore", "FILE --state DIR", "a state folder from a backup",
     "Makes a new state folder from a backup, without a daemon. The folder must be empty or not be there. Nothing is\n"
     "left of a restore that fails. With --dry-run the archive is checked and nothing is written.\n\n"
     "examples:\n"
     "  twinctl restore twin-20260301T120000Z.tar --state /var/lib/twin\n"
     "  ssh vault 'cat twin.tar' | twinctl restore - --state /tmp/twin",
     cmd_backup_restore},
    {"export", "NAME [VERSION]", "a version as a file",
     "Saves the artifact of a version, the champion's if none is named: a safetensors file with all that is needed to\n"
     "compute densities and samples elsewhere. Its SHA-256, the version's identity, is checked; the file appears when\n"
     "it is whole. With --onnx it is one computation of that version, log_prob or sample, as a graph of standard\n"
     "operators that other frameworks run (docs/onnx.md).\n\n"
     "examples:\n"
     "  twinctl export zmumu\n"
     "  twinctl export zmumu 1 --out reference.safetensors\n"
     "  twinctl export zmumu champion --out - | sha256sum\n"
     "  twinctl export zmumu --onnx --compute sample",
     cmd_export_run},
    {"tune", "NAME", "fit the physics parameters",
     "Fits the physics parameters that a twin is conditioned on to the latest events, where the daemon has models that\n"
     "can: a retune of kind theta. Where it has none it says so. twinctl retune trains the network instead.\n\n"
     "examples:\n"
     "  twinctl tune zmumu --wait\n"
     "  twinctl tune zmumu --events 30000 --propose",
     cmd_ops_tune},
    {"delete", "NAME", "remove a twin for ever",
     "Removes a twin with its versions, its history and the batches that it was fed. There is no way back, so that it\n"
     "asks first; where nobody can be asked it wants --yes. twinctl backup keeps everything before.\n\n"
     "examples:\n"
     "  twinctl delete zmumu --dry-run\n"
     "  twinctl delete zmumu --yes",
     cmd_delete_run},
    {"doctor", "", "is all well, and what to do",
     "Looks at the daemon and its state: folder, disk, clock, database, spool, artifacts, kernels, libraries, limits,\n"
     "lag, gaps, and what the daemon knows to be wrong; says what to do. Where nobody answers it looks at the folder.\n"
     "Exit status: 0 all is well, 1 something is wrong, 69 the daemon does not answer.\n\n"
     "examples:\n"
     "  twinctl doctor\n"
     "  twinctl doctor --deep -o json",
     cmd_doctor_run},
    {"completion", "SHELL", "completions for bash, zsh and fish",
     "Prints what a shell needs to complete commands, options, files, and the names that the daemon knows. Installed\n"
     "with twinctl, it works without this command.\n\n"
     "examples:\n"
     "  source <(twinctl completion bash)\n"
     "  twinctl completion zsh > _twinctl\n"
     "  twinctl completion fish > twinctl.fish",
     cmd_completion_run},
};
/* clang-format on */

size_t commands_count(void)
{
    return sizeof commands / sizeof *commands;
}

const struct cli_command *commands_at(size_t i)
{
    return &commands[i];
}

const struct cli_command *commands_find(const char *name)
{
    for (size_t i = 0; i < commands_count(); i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}
