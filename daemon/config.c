/* One table says everything about a setting: its name (flag --name, key `name`, variable TWIN_NAME), where it is kept,
 * what it may be, its default, and what it is for. */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "daemon/address.h"
#include "daemon/config.h"
#include "daemon/http_check.h"

enum type { TEXT, INTEGER, LONG };
enum when { AT_START, ON_RELOAD }; /* a change takes effect at a start only, or also by SIGHUP */

struct entry {
    const char *name;
    enum when when;
    enum type type;
    size_t offset, size; /* of the member; size of texts */
    const char *standard;
    long low, high;                                                            /* of numbers */
    int (*check)(const char *name, const char *value, struct tw_error *error); /* of texts; NULL: anything */
    const char *argument, *help;
};

/* --- what texts may be --- */

static int one_of(const char *name, const char *value, const char *const *names, struct tw_error *error)
{
    char list[160] = "";
    for (const char *const *n = names; *n; n++) {
        if (!strcmp(value, *n))
            return 0;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", **n ? *n : "nothing");
    }
    return tw_error_set(error, TW_INVALID, "%s is one of %s, not \"%.60s\"", name, list, value);
}

static int check_level(const char *name, const char *value, struct tw_error *error)
{
    static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
    return one_of(name, value, levels, error);
}

static int check_kernels(const char *name, const char *value, struct tw_error *error)
{
    static const char *const kernels[] = {"", "ref", "blas", "avx2", "avx512", "avx512bf16", NULL};
    return one_of(name, value, kernels, error);
}

static int check_http(const char *name, const char *value, struct tw_error *error)
{
    char host[64];
    struct tw_error why = {""};
    int status = http_check_address(value, host, NULL, &why);
    return status ? tw_error_set(error, status, "%s: %.220s", name, why.text) : 0;
}

static int check_hosts(const char *name, const char *value, struct tw_error *error)
{
    for (const char *c = value; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(".-,", *c))
            return tw_error_set(error, TW_INVALID, "%s holds host names separated by commas, not \"%.60s\"", name,
                                value);
    return 0;
}

static int check_state(const char *name, const char *value, struct tw_error *error)
{
    return *value
               ? 0
               : tw_error_set(error, TW_INVALID,
                              "%s: no folder is given, and STATE_DIRECTORY, XDG_STATE_HOME and HOME are not set", name);
}

/* --- the table --- */

#define TEXT_AT(member)      TEXT, offsetof(struct config, member), sizeof((struct config *)0)->member
#define NUMBER_AT(t, member) t, offsetof(struct config, member), 0

static const struct entry entries[] = {
    {"state", AT_START, TEXT_AT(state), "", 0, 0, check_state, "DIR",
     "folder of twin.db, spool and admin.token; default: STATE_DIRECTORY, else XDG_STATE_HOME/twin"},
    {"http", AT_START, TEXT_AT(http), "127.0.0.1:8470", 0, 0, check_http, "ADDR:PORT",
     "where HTTP is answered; port 0: any free one"},
    {"ingest", AT_START, TEXT_AT(ingest), "tcp://127.0.0.1:8471", 0, 0, address_check_zmq, "ENDPOINT",
     "ZeroMQ endpoint of the feeds; tcp://127.0.0.1:* takes any free port"},
    {"publish", AT_START, TEXT_AT(publish), "tcp://127.0.0.1:8472", 0, 0, address_check_zmq, "ENDPOINT",
     "ZeroMQ endpoint of the announcements"},
    {"log-level", ON_RELOAD, TEXT_AT(log_level), "info", 0, 0, check_level, "LEVEL", "error, warning, info or debug"},
    {"hosts", AT_START, TEXT_AT(hosts), "", 0, 0, check_hosts, "NAME,...",
     "names that a request may carry in Host besides localhost and the loopback addresses"},
    {"kernels", AT_START, TEXT_AT(kernels), "", 0, 0, check_kernels, "NAME",
     "ref, blas, avx2, avx512 or avx512bf16 (coarse); default: the best that works"},
    {"threads", AT_START, NUMBER_AT(INTEGER, threads), "0", 0, 1024, NULL, "N", "threads of training; 0: all cores"},
    {"query-threads", AT_START, NUMBER_AT(INTEGER, query_threads), "2", 1, 256, NULL, "N", "threads of heavy answers"},
    {"segment-mb", AT_START, NUMBER_AT(LONG, segment_mb), "64", 1, 4096, NULL, "MIB",
     "size of a spool segment, allocated ahead; each twin has one open"},
    {"credit-mb", ON_RELOAD, NUMBER_AT(LONG, credit_mb), "64", 16, 4096, NULL, "MIB",
     "bytes that a feed may have in flight after its hello"},
    {"memory-mb", ON_RELOAD, NUMBER_AT(LONG, memory_mb), "2048", 128, 1 << 20, NULL, "MIB",
     "ceiling of the memory that the daemon holds; what would go beyond it waits or is refused"},
    {"http-connections", AT_START, NUMBER_AT(LONG, http_connections), "512", 16, 65536, NULL, "N",
     "HTTP connections at once; beyond it the one that has been idle or slow longest goes"},
    {"zmq-connections", ON_RELOAD, NUMBER_AT(LONG, zmq_connections), "1024", 4, 65536, NULL, "N",
     "connections of feeds, and of listeners, at once"},
    {"reserve-mb", ON_RELOAD, NUMBER_AT(LONG, reserve_mb), "16", 0, 1 << 20, NULL, "MIB",
     "free disk space below which no data are accepted"},
    {"spool-mb", ON_RELOAD, NUMBER_AT(LONG, spool_mb), "16384", 0, 1l << 40, NULL, "MIB",
     "spool that each twin keeps; what is not processed is never removed: feeds wait; 0: no limit"},
    {"spool-days", ON_RELOAD, NUMBER_AT(LONG, spool_days), "0", 0, 36500, NULL, "DAYS",
     "age at which processed data leave the spool; 0: no limit"},
    {"iterations", ON_RELOAD, NUMBER_AT(LONG, iterations), "100000", 0, 1l << 40, NULL, "N",
     "iterations, and finished operations, that each twin keeps; 0: no limit"},
    {"iteration-days", ON_RELOAD, NUMBER_AT(LONG, iteration_days), "400", 0, 36500, NULL, "DAYS",
     "age at which iterations and finished operations are removed; means stay as metrics; 0: no limit"},
    {"versions", ON_RELOAD, NUMBER_AT(LONG, versions), "200", 0, 1l << 40, NULL, "N",
     "versions that each twin keeps besides those that aliases and history name; 0: no limit"},
    {"history", ON_RELOAD, NUMBER_AT(LONG, history), "2000", 0, 1l << 40, NULL, "N",
     "moves that each alias of a twin keeps, with the versions that they name; 0: no limit"},
    {"history-days", ON_RELOAD, NUMBER_AT(LONG, history_days), "400", 0, 36500, NULL, "DAYS",
     "age at which moves of aliases leave the history; those in force stay; 0: no limit"},
    {"metric-days", ON_RELOAD, NUMBER_AT(LONG, metric_days), "400", 0, 36500, NULL, "DAYS",
     "how long hourly means of the statistics are kept, daily ones ten times as long; 0: no limit"},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static const struct { /* flags without a value; they are no keys and no variables */
    const char *name;
    size_t offset;
    const char *help;
} switches[] = {
    {"check", offsetof(struct config, check),
     "validate the configuration and the state folder, and exit: 0, or 78 if one is refused"},
    {"print-config", offsetof(struct config, print_config), "print the configuration in force and exit"},
    {"help", offsetof(struct config, help), "print this and exit"},
    {"version", offsetof(struct config, version), "print the version and exit"},
};
enum { SWITCHES = sizeof switches / sizeof *switches };

const char *config_name(size_t i)
{
    return i < ENTRIES ? entries[i].name : NULL;
}

static const struct entry *find(const char *name, size_t length)
{
    for (int i = 0; i < ENTRIES; i++)
        if (strlen(entries[i].name) == length && !memcmp(entries[i].name, name, length))
            return &entries[i];
    return NULL;
}

/* --- values --- */

static int set_number(void *at, const struct entry *entry, const char *name, const char *value, struct tw_error *error)
{
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno || end == value || *end || isspace((unsigned char)*value) || number < entry->low || number > entry->high)
        return tw_error_set(error, TW_INVALID, "%s is a whole number from %ld to %ld, not \"%.60s\"", name, entry->low,
                            entry->high, value);
    if (entry->type == INTEGER)
        *(int *)at = (int)number;
    else
        *(long *)at = number;
    return 0;
}

/* Can a line of the file say it? It takes blanks off both ends, and what follows a blank and ';' for a comment. */
static bool fits_line(const char *value)
{
    size_t length = strlen(value);
    if (*value == ';' || (length && (isspace((unsigned char)*value) || isspace((unsigned char)value[length - 1]))))
        return false;
    return !strstr(value, " ;");
}

/* `name` is how the setting was given: --http, TWIN_HTTP, FILE:3: http. */
static int set(struct config *config, const struct entry *entry, const char *name, const char *value,
               struct tw_error *error)
{
    char *at = (char *)config + entry->offset;
    if (entry->type != TEXT)
        return set_number(at, entry, name, value, error);
    if (strlen(value) >= entry->size)
        return tw_error_set(error, TW_INVALID, "%s is longer than %zu bytes", name, entry->size - 1);
    for (const char *c = value; *c; c++)
        if (iscntrl((unsigned char)*c))
            return tw_error_set(error, TW_INVALID, "%s holds a control character", name);
    if (!fits_line(value))
        return tw_error_set(error, TW_INVALID, "%s begins or ends with a blank, or holds \";\" behind one", name);
    int status = entry->check ? entry->check(name, value, error) : 0;
    if (!status)
        strcpy(at, value);
    return status;
}

/* --- where values come from, weakest first --- */

static int default_state(char *out, size_t size)
{
    const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state) /* systemd may give several, separated by colons */
        return snprintf(out, size, "%.*s", (int)strcspn(state, ":"), state);
    if (xdg && *xdg == '/')
        return snprintf(out, size, "%s/twin", xdg);
    if (home && *home)
        return snprintf(out, size, "%s/.local/state/twin", home);
    return snprintf(out, size, "%s", "");
}

static int set_defaults(struct config *config, struct tw_error *error)
{
    *config = (struct config){.check = false};
    for (int i = 0; i < ENTRIES; i++) {
        const struct entry *entry = &entries[i];
        if (!strcmp(entry->name, "state"))
            continue; /* only once everything else was asked */
        int status = set(config, entry, entry->name, entry->standard, error);
        if (status)
            return status;
    }
    return 0;
}

struct file {
    struct config *config;
    const char *path;
    FILE *stream;
    int line;
    struct tw_error *error;
    int status;
};

/* inih cuts long lines and takes an indented one as more of the value before; neither is wanted here. */
static char *read_line(char *line, int size, void *context)
{
    struct file *file = context;
    if (file->status || !fgets(line, size, file->stream))
        return NULL;
    file->line++;
    size_t length = strlen(line), blank = strspn(line, " \t");
    if (length + 1 == (size_t)size && line[length - 1] != '\n')
        file->status = tw_error_set(file->error, TW_INVALID, "%s:%d: the line is too long", file->path, file->line);
    memmove(line, line + blank, length + 1 - blank);
    return line;
}

static int set_key(void *context, const char *section, const char *key, const char *value)
{
    struct file *file = context;
    char name[4300];
    if (file->status)
        return 0;
    const struct entry *entry = find(key, strlen(key));
    snprintf(name, sizeof name, "%s:%d: %.60s", file->path, file->line, key);
    if (*section && strcmp(section, "twind"))
        file->status = tw_error_set(file->error, TW_INVALID, "%s:%d: there is no section [%.60s], only [twind]",
                                    file->path, file->line, section);
    else if (!entry)
        file->status = tw_error_set(file->error, TW_INVALID, "%s is not a setting", name);
    else
        file->status = set(file->config, entry, name, value, file->error);
    return !file->status;
}

static int read_file(struct config *config, const char *path, struct tw_error *error)
{
    FILE *stream = fopen(path, "re");
    if (!stream)
        return tw_error_set(error, TW_INVALID, "cannot read the configuration %s: %s", path, strerror(errno));
    struct file file = {.config = config, .path = path, .stream = stream, .error = error};
    int line = ini_parse_stream(read_line, &file, set_key, &file);
    if (!file.status && ferror(stream))
        file.status = tw_error_set(error, TW_INVALID, "cannot read the configuration %s", path);
    if (!file.status && line)
        file.status = tw_error_set(error, TW_INVALID, "%s:%d: neither `key = value` nor a comment", path, line);
    fclose(stream);
    return file.status;
}

static int read_environment(struct config *config, struct tw_error *error)
{
    int status = 0;
    for (int i = 0; i < ENTRIES && !status; i++) {
        char name[32] = "TWIN_", *at = name + 5;
        for (const char *c = entries[i].name; *c; c++)
            *at++ = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        *at = 0;
        const char *value = getenv(name);
        if (value && *value)
            status = set(config, &entries[i], name, value, error);
    }
    return status;
}

/* --- the command line: --name value, --name=value, --switch --- */

struct flag {
    const char *name; /* without the dashes */
    size_t length;
    const char *value; /* NULL: none */
};

static bool *find_switch(struct config *config, const struct flag *flag)
{
    for (int i = 0; i < SWITCHES; i++)
        if (strlen(switches[i].name) == flag->length && !memcmp(switches[i].name, flag->name, flag->length))
            return (bool *)((char *)config + switches[i].offset);
    return NULL;
}

/* Reads the flag at argv[*i]; *i is left at the last argument that belongs to it. */
static int next_flag(struct config *config, int argc, char **argv, int *i, struct flag *flag, struct tw_error *error)
{
    const char *text = argv[*i];
    if (strncmp(text, "--", 2) || !text[2])
        return tw_error_set(error, TW_INVALID, "%.60s is not a flag; see --help", text);
    flag->name = text + 2;
    flag->length = strcspn(flag->name, "=");
    flag->value = flag->name[flag->length] ? flag->name + flag->length + 1 : NULL;
    bool known = find(flag->name, flag->length) || (flag->length == 6 && !memcmp(flag->name, "config", 6));
    if (find_switch(config, flag))
        return flag->value ? tw_error_set(error, TW_INVALID, "--%.*s takes no value", (int)flag->length, flag->name)
                           : 0;
    if (!known)
        return tw_error_set(error, TW_INVALID, "there is no flag --%.*s; see --help",
                            flag->length < 60 ? (int)flag->length : 60, flag->name);
    if (!flag->value && *i + 1 == argc)
        return tw_error_set(error, TW_INVALID, "--%.*s wants a value", (int)flag->length, flag->name);
    if (!flag->value)
        flag->value = argv[++*i];
    return 0;
}

/* First pass: syntax, switches, and which file; second pass, with `values`: the settings. */
static int read_flags(struct config *config, int argc, char **argv, bool values, const char **path,
                      struct tw_error *error)
{
    for (int i = 1; i < argc; i++) {
        struct flag flag;
        char name[32];
        int status = next_flag(config, argc, argv, &i, &flag, error);
        if (status)
            return status;
        bool *at = find_switch(config, &flag);
        const struct entry *entry = find(flag.name, flag.length);
        if (at) {
            *at = true;
        } else if (!entry) {
            *path = flag.value;
        } else if (values) {
            snprintf(name, sizeof name, "--%s", entry->name);
            status = set(config, entry, name, flag.value, error);
        }
        if (status)
            return status;
    }
    return 0;
}

int config_load(struct config *config, int argc, char **argv, struct tw_error *error)
{
    const char *path = getenv("TWIN_CONFIG");
    int status = set_defaults(config, error);
    if (!status)
        status = read_flags(config, argc, argv, false, &path, error);
    if (status || config->help || config->version)
        return status;
    if (path && *path)
        status = read_file(config, path, error);
    if (!status)
        status = read_environment(config, error);
    if (!status)
        status = read_flags(config, argc, argv, true, &path, error);
    if (!status && !*config->state) {
        char state[sizeof config->state + 1];
        if (default_state(state, sizeof state) >= (int)sizeof state)
            state[sizeof state - 1] = 0; /* too long: refused below */
        status = set(config, &entries[0], "state", state, error);
    }
    return status;
}

/* --- again, while the daemon runs --- */

static long number_at(const struct entry *entry, const struct config *config)
{
    const void *at = (const char *)config + entry->offset;
    return entry->type == INTEGER ? (long)*(const int *)at : config_live(at);
}

static bool differs(const struct entry *entry, const struct config *a, const struct config *b)
{
    if (entry->type == TEXT)
        return strcmp((const char *)a + entry->offset, (const char *)b + entry->offset) != 0;
    return number_at(entry, a) != number_at(entry, b);
}

/* The main thread alone reads texts that may change; of numbers they are all long. */
static void take_over(const struct entry *entry, struct config *to, const struct config *from)
{
    void *at = (char *)to + entry->offset;
    if (entry->type == TEXT)
        strcpy(at, (const char *)from + entry->offset);
    else
        __atomic_store_n((long *)at, number_at(entry, from), __ATOMIC_RELAXED);
}

int config_reload(struct config *config, int argc, char **argv, char waiting[CONFIG_WAITING_MAX],
                  struct tw_error *error)
{
    struct config *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return tw_error_set(error, TW_NO_MEMORY, "out of memory");
    int status = config_load(fresh, argc, argv, error);
    *waiting = 0;
    for (int i = 0; i < ENTRIES && !status; i++) {
        const struct entry *entry = &entries[i];
        size_t used = strlen(waiting);
        if (!differs(entry, config, fresh))
            continue;
        if (entry->when == ON_RELOAD)
            take_over(entry, config, fresh);
        else
            snprintf(waiting + used, CONFIG_WAITING_MAX - used, "%s%s", used ? ", " : "", entry->name);
    }
    free(fresh);
    return status;
}

/* --- for people --- */

void config_print(const struct config *config)
{
    for (int i = 0; i < ENTRIES; i++) {
        const struct entry *entry = &entries[i];
        const char *at = (const char *)config + entry->offset;
        printf("%s# %s\n# takes effect %s\n%s = ", i ? "\n" : "", entry->help,
               entry->when == ON_RELOAD ? "at a reload" : "at a start", entry->name);
        if (entry->type == TEXT)
            printf("%s\n", at);
        else
            printf("%ld\n", number_at(entry, config));
    }
}

void config_help(void)
{
    puts("usage: twind [FLAG]...\n\n"
         "Keeps digital twins true while data arrive. Every setting is a flag --name, a key `name` of the\n"
         "configuration file and a variable TWIN_NAME; a flag wins over a variable, a variable over the file; the\n"
         "last of a repeated flag wins. SIGHUP makes it read all of them again; what is marked * then changes at\n"
         "once, the rest at the next start.\n");
    printf("  --%-24s %s\n", "config FILE", "configuration file of lines `key = value`");
    for (int i = 0; i < ENTRIES; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "%s %s", entries[i].name, entries[i].argument);
        printf("  --%-24s %s%s%s%s%s\n", flag, entries[i].help, *entries[i].standard ? " [" : "", entries[i].standard,
               *entries[i].standard ? "]" : "", entries[i].when == ON_RELOAD ? " *" : "");
    }
    for (int i = 0; i < SWITCHES; i++)
        printf("  --%-24s %s\n", switches[i].name, switches[i].help);
}
