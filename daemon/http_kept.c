/* A handful of answers, looked through from the front. A place is taken by whoever comes first, for good. */
#include "daemon/http_kept.h"

#include <stdatomic.h>
#include <stdlib.h>

struct http_kept_answer {
    const void *body;
    size_t size;
    const char *type;
    struct MHD_Response *response;
};

static bool same(const struct http_kept_answer *kept, const struct http_response *answer)
{
    return kept->body == answer->body && kept->size == answer->size && kept->type == answer->type;
}

struct MHD_Response *http_kept_find(const struct http_kept *kept, const struct http_response *answer)
{
    for (int i = 0; i < HTTP_KEPT_MOST; i++) {
        const struct http_kept_answer *one = atomic_load_explicit(&kept->answer[i], memory_order_acquire);
        if (one == NULL)
            return NULL;
        if (same(one, answer))
            return one->response;
    }
    return NULL;
}

bool http_kept_add(struct http_kept *kept, const struct http_response *answer, struct MHD_Response *response)
{
    struct http_kept_answer *mine = malloc(sizeof *mine);
    if (mine == NULL)
        return false;
    *mine = (struct http_kept_answer){answer->body, answer->size, answer->type, response};
    for (int i = 0; i < HTTP_KEPT_MOST; i++) {
        struct http_kept_answer *there = NULL;
        if (atomic_compare_exchange_strong(&kept->answer[i], &there, mine))
            return true;
        if (same(there, answer))
            break;
    }
    free(mine);
    return false;
}

void http_kept_fini(struct http_kept *kept)
{
    for (int i = 0; i < HTTP_KEPT_MOST; i++) {
        struct http_kept_answer *one = atomic_exchange(&kept->answer[i], NULL);
        if (one != NULL)
            MHD_destroy_response(one->response);
        free(one);
    }
}
