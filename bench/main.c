/* twin-bench: times the library in-process, and does one thing on given input. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "model/members.h"

static const char help[] =
    "Usage: twin-bench --json [OPTIONS]\n"
    "       twin-bench --log-prob ARTIFACT EVENTS.npy OUT.npy [OPTIONS]\n"
    "       twin-bench --sample ARTIFACT N OUT.npy [OPTIONS]\n"
    "       twin-bench --onnx ARTIFACT log_prob|sample OUT.onnx\n"
    "       twin-bench --train DEFINITION.json EVENTS.npy OUT.safetensors [OPTIONS]\n"
    "       twin-bench --recovery DEFINITION.json BEFORE AFTER TRAIN.npy HELD.npy [OPTIONS]\n"
    "       twin-bench --drift DEFINITION.json REFERENCE.npy STREAM.npy [OPTIONS]\n"
    "       twin-bench --test TEST DEFINITION.json A.npy B.npy [OPTIONS]\n"
    "       twin-bench --peak [OPTIONS]\n"
    "\n"
    "Times the library, or does one thing on given input. Prints one JSON object.\n"
    "\n"
    "  --json        events per second of log_prob, sample and training on made-up events\n"
    "  --log-prob    log p of events in their units, float64\n"
    "  --sample      N events, float32\n"
    "  --onnx        the artifact's density or generator as a graph that any ONNX runtime takes\n"
    "  --train       a training as the daemon does it: 80 % of the rows are trained on, 10 % decide\n"
    "                when to stop, 10 % give held_out_log_prob\n"
    "  --recovery    how much of a drift the retune from BEFORE to AFTER recovered, on HELD events: R =\n"
    "                (after - before) / (best - before), where best is the better of a fresh and a\n"
    "                warm-started training on TRAIN, each within ten times the retune's epochs\n"
    "  --drift       compares a stream with a reference window by window, as the loop does, and retunes\n"
    "                nothing: one line of JSON a window. Bins are made from samples of the --from\n"
    "                artifact, whose log-likelihood is then watched too; without one, from the first\n"
    "                tenth of the reference, which is set aside\n"
    "  --test        one two-sample test, c2st, ks, cvm, chi2 or mmd, of A against B: each statistic with\n"
    "                its p-value, and the least one after Holm's correction\n"
    "  --peak        multiply-adds of one core, in GFLOP/s: what every other figure is measured against\n"
    "\n"
    "  --features N --blocks N --hidden N,N --bins N    the flow of --json (16, 8, 128,128, 8)\n"
    "  --activation NAME    of its hidden layers: silu, relu or tanh (silu)\n"
    "  --seconds S          of each measurement of --json and --peak (2)\n"
    "  --threads N          workers (1)\n"
    "  --repeat N           repeat, quote the shortest time (1)\n"
    "  --rows A:B           rows of EVENTS.npy (all)\n"
    "  --columns A:B        columns of the .npy files (all)\n"
    "  --seed S             of a training or a sample (1)\n"
    "  --member K           of --sample: events of this member of an ensemble, from 0 (of their mixture)\n"
    "  --from ARTIFACT      warm start; of --drift: the champion\n"
    "  --epochs N --batch N --rate X --decay X --weight-decay X --patience N\n"
    "                       instead of the defaults; patience -1: never stop early\n"
    "  --parts FILE.npy     which rows --train put where: 0 train, 1 stop, 2 gate\n"
    "  --window N           rows of a window of --drift (2000)\n"
    "  --run-time N         windows between false alarms that are promised (1000)\n"
    "  --detectors A,B      of c2st, ks, cvm, chi2, mmd, cusum (c2st,ks,cusum); invalid_rows always runs\n"
    "  --below P            print only statistics with p at or below P (1), and windows that have one\n"
    "  --until-alarm        stop at the first alarm\n"
    "  --quiet              no progress bar\n"
    "\n"
    "TWIN_KERNELS=ref|blas|avx2|avx512|avx512bf16 forces a kernel table.\n"
    "\n"
    "Examples:\n"
    "  twin-bench --json --threads 2\n"
    "  twin-bench --train zjets.json zjets_nominal.npy zjets.safetensors --rows 0:100000 --columns 1:11\n"
    "  twin-bench --train zjets.json zjets_mpi_on.npy retuned.safetensors --columns 1:11 --from zjets.safetensors\n"
    "  twin-bench --drift zjets.json zjets_nominal.npy zjets_mpi_on.npy --columns 1:11 --from zjets.safetensors\n"
    "  twin-bench --sample zjets.safetensors 50000 samples.npy --seed 2\n"
    "  twin-bench --log-prob zjets.safetensors samples.npy log_prob.npy --repeat 5\n";

double bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void usage(const char *what, const char *value)
{
    fprintf(stderr, "twin-bench: %s%s%s (see --help)\n", what, value ? ": " : "", value ? value : "");
    exit(64);
}

static double number(const char *name, const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || end == text || !(value >= low && value <= high))
        usage(name, text);
    return value;
}

static struct range range(const char *name, const char *text)
{
    struct range r;
    char colon, extra;

    if (strchr(text, '-') || sscanf(text, "%zu%c%zu%c", &r.first, &colon, &r.last, &extra) != 3 || colon != ':' ||
        r.first >= r.last)
        usage(name, text);
    return r;
}

enum {
    JSON = 1,
    LOG_PROB,
    SAMPLE,
    ONNX,
    TRAIN,
    RECOVERY,
    DRIFT,
    TEST,
    PEAK,
    FEATURES,
    BLOCKS,
    HIDDEN,
    ACTIVATION,
    BINS,
    SECONDS,
    THREADS,
    REPEAT,
    ROWS,
    COLUMNS,
    SEED,
    MEMBER,
    FROM,
    EPOCHS,
    BATCH,
    RATE,
    DECAY,
    WEIGHT_DECAY,
    PATIENCE,
    PARTS,
    WINDOW,
    RUN_TIME,
    DETECTORS,
    BELOW,
    UNTIL_ALARM,
    QUIET,
    HELP
};

static const struct option options[] = {{"json", 0, 0, JSON},
                                        {"log-prob", 0, 0, LOG_PROB},
                                        {"sample", 0, 0, SAMPLE},
                                        {"onnx", 0, 0, ONNX},
                                        {"train", 0, 0, TRAIN},
                                        {"recovery", 0, 0, RECOVERY},
                                        {"drift", 0, 0, DRIFT},
                                        {"test", 0, 0, TEST},
                                        {"peak", 0, 0, PEAK},
                                        {"features", 1, 0, FEATURES},
                                        {"blocks", 1, 0, BLOCKS},
                                        {"hidden", 1, 0, HIDDEN},
                                        {"activation", 1, 0, ACTIVATION},
                                        {"bins", 1, 0, BINS},
                                        {"seconds", 1, 0, SECONDS},
                                        {"threads", 1, 0, THREADS},
                                        {"repeat", 1, 0, REPEAT},
                                        {"rows", 1, 0, ROWS},
                                        {"columns", 1, 0, COLUMNS},
                                        {"seed", 1, 0, SEED},
                                        {"member", 1, 0, MEMBER},
                                        {"from", 1, 0, FROM},
                                        {"epochs", 1, 0, EPOCHS},
                                        {"batch", 1, 0, BATCH},
                                        {"rate", 1, 0, RATE},
                                        {"decay", 1, 0, DECAY},
                                        {"weight-decay", 1, 0, WEIGHT_DECAY},
                                        {"patience", 1, 0, PATIENCE},
                                        {"parts", 1, 0, PARTS},
                                        {"window", 1, 0, WINDOW},
                                        {"run-time", 1, 0, RUN_TIME},
                                        {"detectors", 1, 0, DETECTORS},
                                        {"below", 1, 0, BELOW},
                                        {"until-alarm", 0, 0, UNTIL_ALARM},
                                        {"quiet", 0, 0, QUIET},
                                        {"help", 0, 0, HELP},
                                        {0}};

static void set(struct bench *b, int option, const char *text, int *mode)
{
    switch (option) {
    case JSON:
    case LOG_PROB:
    case SAMPLE:
    case ONNX:
    case TRAIN:
    case RECOVERY:
    case DRIFT:
    case TEST:
    case PEAK:
        if (*mode)
            usage("one mode at a time", NULL);
        *mode = option;
        break;
    case FEATURES:
        b->features = (int)number("--features", text, 1, 1000);
        break;
    case BLOCKS:
        b->blocks = (int)number("--blocks", text, 1, 64);
        break;
    case HIDDEN:
        b->hidden = text;
        break;
    case ACTIVATION:
        if (strcmp(text, "silu") && strcmp(text, "relu") && strcmp(text, "tanh"))
            usage("--activation is silu, relu or tanh, not", text);
        b->activation = text;
        break;
    case BINS:
        b->bins = (int)number("--bins", text, 2, 64);
        break;
    case SECONDS:
        b->seconds = number("--seconds", text, 0, 1e6);
        break;
    case THREADS:
        b->threads = (unsigned)number("--threads", text, 1, 256);
        break;
    case REPEAT:
        b->repeat = (long)number("--repeat", text, 1, 1e6);
        break;
    case ROWS:
        b->rows = range("--rows", text);
        break;
    case COLUMNS:
        b->columns = range("--columns", text);
        break;
    case SEED:
        b->seed = (uint64_t)number("--seed", text, 0, 9007199254740992.0);
        break;
    case MEMBER:
        b->member = (int)number("--member", text, 0, TW_MEMBERS_MAX - 1);
        break;
    case FROM:
        b->from = text;
        break;
    case EPOCHS:
        b->epochs = (int)number("--epochs", text, 1, 100000);
        break;
    case BATCH:
        b->batch = (int)number("--batch", text, 256, 16384);
        break;
    case RATE:
        b->rate = number("--rate", text, 1e-9, 1);
        break;
    case DECAY:
        b->decay = number("--decay", text, 0, 0.999999);
        break;
    case WEIGHT_DECAY:
        b->weight_decay = number("--weight-decay", text, 0, 100);
        break;
    case PATIENCE:
        b->patience = (int)number("--patience", text, -1, 100000);
        break;
    case PARTS:
        b->parts = text;
        break;
    case WINDOW:
        b->window = (long)number("--window", text, 1, 1e7);
        break;
    case RUN_TIME:
        b->run_time = number("--run-time", text, 1, 1e12);
        break;
    case DETECTORS:
        b->detectors = text;
        break;
    case BELOW:
        b->below = number("--below", text, 0, 1);
        break;
    case UNTIL_ALARM:
        b->until_alarm = true;
        break;
    case QUIET:
        b->progress = false;
        break;
    case HELP:
        fputs(help, stdout);
        exit(0);
    default:
        exit(64);
    }
}

static void run(const struct bench *b, int mode, char **args, int count)
{
    static const int wanted[] = {[JSON] = 0,     [LOG_PROB] = 3, [SAMPLE] = 3, [ONNX] = 3, [TRAIN] = 3,
                                 [RECOVERY] = 5, [DRIFT] = 3,    [TEST] = 4,   [PEAK] = 0};

    if (!mode)
        usage("one of --json, --log-prob, --sample, --onnx, --train, --recovery, --drift, --test, --peak is needed",
              NULL);
    if (count != wanted[mode])
        usage("wrong number of files", NULL);
    switch (mode) {
    case JSON:
        throughput_run(b);
        break;
    case LOG_PROB:
        query_log_prob(b, args[0], args[1], args[2]);
        break;
    case SAMPLE:
        query_sample(b, args[0], args[1], args[2]);
        break;
    case ONNX:
        query_onnx(args[0], args[1], args[2]);
        break;
    case TRAIN:
        training_run(b, args[0], args[1], args[2]);
        break;
    case RECOVERY:
        recovery_run(b, args[0], args[1], args[2], args[3], args[4]);
        break;
    case DRIFT:
        drift_run(b, args[0], args[1], args[2]);
        break;
    case TEST:
        two_sample_run(b, args[0], args[1], args[2], args[3]);
        break;
    case PEAK:
        peak_run(b);
        break;
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.threads = 1,
                          .repeat = 1,
                          .seed = 1,
                          .member = -1,
                          .features = 16,
                          .blocks = 8,
                          .bins = 8,
                          .hidden = "128,128",
                          .activation = "silu",
                          .seconds = 2,
                          .window = 2000,
                          .run_time = 1000,
                          .below = 1,
                          .weight_decay = -1};
    char note[160] = "";
    int mode = 0, option;

    bench.progress = isatty(STDERR_FILENO);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        set(&bench, option, optarg, &mode);
    bench.kernels = tw_kernels_choose(getenv("TWIN_KERNELS"), note);
    if (note[0])
        fprintf(stderr, "twin-bench: %s\n", note);
    if (!bench.kernels)
        usage("TWIN_KERNELS names no kernels that work here", getenv("TWIN_KERNELS"));
    bench.pool = tw_pool_new(bench.threads, false);
    if (!bench.pool)
        files_die("threads can't be started");
    run(&bench, mode, argv + optind, argc - optind);
    tw_pool_free(bench.pool);
    return 0;
}
