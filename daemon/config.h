/* Configuration: one table {name, type, default, help}; every entry is a key of the file, a flag and an environment
 * variable TWIN_<NAME>. Order of precedence: flag, environment, file, default; the last of a repeated flag wins.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { CONFIG_WAITING_MAX = 240 };

struct config {
    char state[4096]; /* folder */
    char http[256];   /* ADDR:PORT; port 0 = any free one */
    char ingest[256]; /* ZeroMQ endpoint; "tcp://127.0.0.1:*" = any free port */
    char publish[256];
    char log_level[16]; /* error|warning|info|debug */
    char hosts[1024];   /* further names accepted in Host, separated by commas */
    char kernels[16];   /* "", ref, blas, avx2, avx512, avx512bf16 */
    int threads;        /* of training; 0 = all cores */
    int query_threads;  /* of heavy answers */
    long segment_mb;    /* size of a spool segment */
    /* Numbers that a reload may change are read with config_live. */
    long credit_mb;        /* bytes in flight a feed may have after hello */
    long memory_mb;        /* ceiling of what the daemon holds in memory */
    long http_connections; /* at once */
    long zmq_connections;  /* at once, of feeds and of listeners each */
    long reserve_mb;       /* free disk space below which no data are accepted */
    long spool_mb;         /* processed data kept, each twin; 0: all */
    long spool_days;       /* the same by age */
    long iterations;       /* kept, each twin; 0: all */
    long iteration_days;
    long versions;      /* kept, each twin, beyond those that aliases and history name; 0: all */
    long history;       /* moves of each alias, and what they name, each twin; 0: all */
    long history_days;  /* the same by age */
    long metric_days;   /* hourly means; daily ones ten times as long; 0: all */
    bool check;         /* --check */
    bool print_config;  /* --print-config */
    bool help, version; /* --help, --version */
};

/* Fills defaults, reads the file (--config or TWIN_CONFIG; must exist if given), environment, flags; checks every
 * value. Empty variables count as unset. A name that is not known, on the command line or in the file, is refused; so
 * is an address that is not on the loopback, as there are no credentials for it yet. TW_INVALID with a sentence. With
 * --help or --version nothing else is looked at. */
int config_load(struct config *config, int argc, char **argv, struct tw_error *error);
/* The same again while the daemon runs. Refused: nothing changes. Else what may change is taken over, by atomic stores
 * that config_live sees (of texts only the log level), and `waiting` gets the names, separated by ", ", of settings
 * that differ but take effect at a start only; "" if there are none. */
int config_reload(struct config *config, int argc, char **argv, char waiting[CONFIG_WAITING_MAX],
                  struct tw_error *error);
void config_print(const struct config *config); /* to stdout, as a configuration file with comments */
void config_help(void);                         /* to stdout */

/* A number that may change while the daemon runs. */
static inline long config_live(const long *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* The table, for the test that compares it with the documentation: name of entry i, NULL behind the last. */
const char *config_name(size_t i);

#endif
