/* Monotonic time, and the wish to stop: SIGINT, SIGTERM and a reader of our output that has left (SIGPIPE) set a flag
 * that loops look at, so that files are removed, acks awaited and the terminal left in order before the program ends.
 */
#ifndef CLIENT_TIMER_H
#define CLIENT_TIMER_H

#include <stdbool.h>

double timer_now(void); /* seconds, monotonic */

/* Installs the handlers. System calls return EINTR when a signal comes. */
void timer_catch_signals(void);
int timer_signal(void);  /* the signal that came, 0 if none */
int timer_signals(void); /* how many came: the second one means "at once" */

/* Sleeps; false if a signal came before or while. */
bool timer_sleep(double seconds);

#endif
