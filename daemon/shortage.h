/* Memory that ran out while JSON was made, parsed or read from the database.
 *
 * A document is built in many calls that each may fail, and then lacks a member or is not there at all. Nobody looks at
 * each of them: whoever answers for the whole compares this thread's count of shortages before and after, and if it
 * grew throws away what came out and says TW_NO_MEMORY.
 */
#ifndef DAEMON_SHORTAGE_H
#define DAEMON_SHORTAGE_H

/* Has jansson's allocations counted; before its first use. */
void shortage_watch(void);
/* Of the calling thread, since it began. */
unsigned shortage_count(void);
/* A shortage that another library met on behalf of a document. */
void shortage_note(void);

#endif
