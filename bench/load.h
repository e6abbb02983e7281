/* What the programs share that put load on a daemon: a clock, and an end with a sentence. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

double load_now(void); /* seconds, monotonic */
/* Writes "PROGRAM: …" to stderr and exits with 1. */
void load_end(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
