/* An end that comes within its time.
 *
 * What is not committed when the process ends is repeated or read again at the next start, so that a daemon which is
 * told to end need not finish what it is doing: it tries to for a while, and then just exits.
 *
 * One for the process. SIGTERM and SIGINT must be blocked in every thread.
 */
#ifndef DAEMON_PATIENCE_H
#define DAEMON_PATIENCE_H

/* Until _ready, SIGTERM or SIGINT end the process at once: a start may read, copy or convert large files. */
void patience_start(void);
void patience_ready(void);

/* From here on the process has these seconds to end by itself; then it exits with `status`. */
void patience_end(double seconds, int status);

#endif
