/* Batches in flight. A list: it is short, bounded by the credit, and almost always taken from its front. */
#include "client/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"

int64_t outbox_cost(const struct outbox_batch *batch)
{
    return (int64_t)(strlen(TWP_BATCH) + batch->header_size + batch->payload_size);
}

bool outbox_add(struct outbox *outbox, int64_t seq, size_t rows, char *header, unsigned char *payload,
                size_t payload_size)
{
    struct outbox_batch *batch = header && payload ? calloc(1, sizeof *batch) : NULL;
    if (!batch) {
        free(header);
        free(payload);
        return false;
    }
    *batch = (struct outbox_batch){.seq = seq,
                                   .rows = rows,
                                   .header = header,
                                   .payload = payload,
                                   .header_size = strlen(header),
                                   .payload_size = payload_size,
                                   .waiting = true};
    if (outbox->last)
        outbox->last->next = batch;
    else
        outbox->first = batch;
    outbox->last = batch;
    outbox->waiting++;
    return true;
}

struct outbox_batch *outbox_next(struct outbox *outbox)
{
    struct outbox_batch *batch = outbox->waiting ? outbox->first : NULL;
    while (batch && !batch->waiting)
        batch = batch->next;
    return batch;
}

void outbox_mark_sent(struct outbox *outbox, struct outbox_batch *batch, double now)
{
    outbox->waiting -= batch->waiting;
    outbox->bytes += outbox_cost(batch);
    batch->waiting = false;
    batch->sent = true;
    batch->sent_at = now;
}

/* Bytes count from sending until the answer. */
static bool settle(struct outbox *outbox, struct outbox_batch *batch)
{
    if (batch->acked)
        return false;
    if (batch->waiting)
        outbox->waiting--;
    else
        outbox->bytes -= outbox_cost(batch);
    batch->waiting = false;
    batch->acked = true;
    outbox->acked += batch->sent && !batch->check;
    return true;
}

static void free_batch(struct outbox_batch *batch)
{
    free(batch->header);
    free(batch->payload);
    free(batch);
}

int64_t outbox_drop_unsent(struct outbox *outbox)
{
    int64_t count = 0;
    struct outbox_batch **link = &outbox->first;
    outbox->last = NULL;
    while (*link && (*link)->sent) {
        outbox->last = *link;
        link = &(*link)->next;
    }
    while (*link) {
        struct outbox_batch *batch = *link;
        *link = batch->next;
        outbox->waiting -= batch->waiting;
        free_batch(batch);
        count++;
    }
    return count;
}

static void drop_settled(struct outbox *outbox)
{
    struct outbox_batch **link = &outbox->first, *last = NULL;
    while (*link) {
        struct outbox_batch *batch = *link;
        if (batch->acked) {
            *link = batch->next;
            free_batch(batch);
        } else {
            last = batch;
            link = &batch->next;
        }
    }
    outbox->last = last;
}

static struct outbox_batch *find(struct outbox *outbox, int64_t seq)
{
    struct outbox_batch *batch = outbox->first;
    while (batch && batch->seq != seq)
        batch = batch->next;
    return batch;
}

bool outbox_ack(struct outbox *outbox, int64_t seq)
{
    struct outbox_batch *batch = find(outbox, seq);
    if (!batch || !batch->sent || !settle(outbox, batch))
        return false;
    drop_settled(outbox);
    return true;
}

bool outbox_ack_through(struct outbox *outbox, int64_t seq)
{
    bool news = false;
    for (struct outbox_batch *batch = outbox->first; batch && batch->seq <= seq; batch = batch->next)
        news |= !batch->check && settle(outbox, batch);
    drop_settled(outbox);
    return news;
}

static int64_t retry(struct outbox *outbox, struct outbox_batch *batch)
{
    if (batch->waiting)
        return 0;
    batch->waiting = true;
    outbox->waiting++;
    outbox->bytes -= outbox_cost(batch);
    return 1;
}

int64_t outbox_retry(struct outbox *outbox, int64_t seq)
{
    struct outbox_batch *batch = find(outbox, seq);
    return batch ? retry(outbox, batch) : 0;
}

int64_t outbox_retry_all(struct outbox *outbox)
{
    int64_t count = 0;
    for (struct outbox_batch *batch = outbox->first; batch; batch = batch->next)
        count += retry(outbox, batch);
    return count;
}

bool outbox_empty(const struct outbox *outbox)
{
    return !outbox->first;
}

int64_t outbox_first_seq(const struct outbox *outbox, int64_t otherwise)
{
    return outbox->first ? outbox->first->seq : otherwise;
}

void outbox_fini(struct outbox *outbox)
{
    while (outbox->first) {
        struct outbox_batch *next = outbox->first->next;
        free_batch(outbox->first);
        outbox->first = next;
    }
    memset(outbox, 0, sizeof *outbox);
}
