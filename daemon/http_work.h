/* Worker threads with a queue: what may take longer than a thread of the server should wait.
 *
 * A unit of work is embedded in whatever it is about. Each submitted unit is either run or, after http_work_stop,
 * cancelled: exactly one of the two, once, so that whoever waits for it is always told.
 */
#ifndef DAEMON_HTTP_WORK_H
#define DAEMON_HTTP_WORK_H

#include <stdbool.h>

struct http_work_queue;

struct http_work {
    struct http_work *next;
    double due; /* clock_monotonic() before which it is not run; 0 = at once */
    void (*run)(struct http_work *work);
    void (*cancel)(struct http_work *work);
};

struct http_work_queue *http_work_new(int threads); /* NULL when memory or threads are out */
/* False if the queue is stopped; the unit is then left alone. Work that is due comes first in, first out. */
bool http_work_submit(struct http_work_queue *queue, struct http_work *work);
/* Waits for what is running, cancels what is waiting, ends the threads. */
void http_work_stop(struct http_work_queue *queue);
void http_work_free(struct http_work_queue *queue); /* after stop; accepts NULL */

#endif
