#include "kernel/tables.h"
#include "stat/cusum_bets_isa.h"

const struct tw_cusum_bets *tw_cusum_bets(int rank)
{
    const struct tw_cusum_bets *tables[3];
    int count = 0;
#ifdef __x86_64__
    int level = tw_tables_level();
    if (level >= 4)
        tables[count++] = &tw_cusum_bets_v4;
    if (level >= 3)
        tables[count++] = &tw_cusum_bets_v3;
#endif
    tables[count++] = &tw_cusum_bets_baseline;
    return rank < count ? tables[rank] : NULL;
}
