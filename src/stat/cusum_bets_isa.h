/* The names of cusum_bets.c's table for each instruction set (src/stat/meson.build). */
#ifndef TW_STAT_CUSUM_BETS_ISA_H
#define TW_STAT_CUSUM_BETS_ISA_H

#include "stat/cusum_bets.h"

extern const struct tw_cusum_bets tw_cusum_bets_baseline;
#ifdef __x86_64__
extern const struct tw_cusum_bets tw_cusum_bets_v3;
extern const struct tw_cusum_bets tw_cusum_bets_v4;
#endif

#ifdef TW_BETS_ISA
#define TW_BETS_JOIN_(a, b) a##_##b
#define TW_BETS_JOIN(a, b)  TW_BETS_JOIN_(a, b)
#define TW_BETS_TEXT_(a)    #a
#define TW_BETS_TEXT(a)     TW_BETS_TEXT_(a)

#define tw_cusum_bets_isa TW_BETS_JOIN(tw_cusum_bets, TW_BETS_ISA)
#endif

#endif
