/* Since Linux 6.6 the thread with the earliest deadline runs, and one that wakes waits for the end of a slice of
 * whoever runs, some milliseconds, however low its priority; unless its own slice is shorter: then its deadline is
 * nearer, and it preempts (EEVDF: Stoica, Abdel-Wahab 1995; PREEMPT_SHORT since 6.12). */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/slice.h"

enum { SHORTEST_NS = 100000 };

/* sched_setattr(2), version 0; this C library has no name for it. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* runtime: the slice, in nanoseconds */
};

void tw_slice_shortest(void)
{
    struct attributes wish = {.size = sizeof wish, .policy = SCHED_OTHER, .runtime = SHORTEST_NS};
    errno = 0;
    wish.nice = getpriority(PRIO_PROCESS, 0); /* 0: this thread */
    if (errno == 0)
        (void)syscall(SYS_sched_setattr, 0, &wish, 0);
}
