#include "daemon/operation.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/loop_state.h"
#include "daemon/shortage.h"
#include "daemon/spool.h"

/* Without an episode and without a wish, a retune takes this many windows of the newest data. */
enum { DEFAULT_WINDOWS = 10 };

/* The newest data batches that hold at least `rows` rows, or all that the spool has. */
static int newest(struct store *store, struct twin *twin, uint64_t rows, uint64_t end, struct window *window,
                  struct tw_error *error)
{
    int status = store_batch_newest(store, twin->id, end, rows, &window->first, &window->last);
    uint64_t kept = spool_first(twin->spool);
    if (status == TW_NOT_FOUND || (status == TW_OK && window->last < kept))
        return tw_error_set(error, TW_INVALID, "no window of data has been compared yet");
    if (window->first < kept)
        window->first = kept;
    return status;
}

static bool read_ordinals(const json_t *request, struct window *window)
{
    json_int_t first, last;
    if (json_unpack((json_t *)request, "{s:{s:I, s:I}}", "ordinals", "first", &first, "last", &last) != 0 ||
        first < 0 || last < first)
        return false;
    window->first = (uint64_t)first;
    window->last = (uint64_t)last;
    return true;
}

static int plan_train(struct twin *twin, const json_t *request, struct loop_task *task, struct tw_error *error)
{
    const char *source = json_string_value(json_object_get(request, "source"));
    task->initial = true;
    task->spooled = source && strcmp(source, "spool") == 0;
    if (task->parent)
        return tw_error_set(error, TW_INVALID, "the twin is trained already; a retune adapts it");
    if (!task->spooled) {
        task->window.posted = true;
        return read_ordinals(request, &task->window) ? TW_OK
                                                     : tw_error_set(error, TW_INVALID, "the request names no rows");
    }
    size_t batches;
    uint64_t rows;
    if (!registry_window(twin, true, &task->window.first, &task->window.last, &batches, &rows))
        return tw_error_set(error, TW_INVALID, "no data batches have arrived yet");
    struct pending_batch last = {0};
    pthread_mutex_lock(&twin->lock);
    if (twin->pending_count > 0)
        last = twin->pending[twin->pending_count - 1];
    pthread_mutex_unlock(&twin->lock);
    if (last.ordinal > task->window.last)
        task->window.last = last.ordinal;
    return TW_OK;
}

static int plan_retune(struct store *store, struct twin *twin, const struct episode *episode, const json_t *request,
                       struct loop_task *task, struct tw_error *error)
{
    if (!task->parent)
        return tw_error_set(error, TW_INVALID, "the twin is not trained yet");
    /* What has not been compared yet stays out: the next windows must be new to the version and its reference. */
    pthread_mutex_lock(&twin->lock);
    uint64_t window = (uint64_t)twin->definition->loop.window;
    uint64_t end = twin->pending_count > 0 ? twin->pending[0].ordinal : UINT64_MAX;
    pthread_mutex_unlock(&twin->lock);
    if (read_ordinals(request, &task->window)) {
        uint64_t kept = spool_first(twin->spool);
        if (task->window.last >= end)
            return tw_error_set(error, TW_INVALID, "ordinals from %llu on have not been compared yet",
                                (unsigned long long)end);
        if (task->window.first < kept)
            return tw_error_set(error, TW_INVALID, "ordinals below %llu have left the spool", (unsigned long long)kept);
        return TW_OK;
    }
    json_int_t events = json_integer_value(json_object_get(request, "events"));
    if (events <= 0 && episode->active)
        events = (json_int_t)episode->rows;
    return newest(store, twin, events > 0 ? (uint64_t)events : DEFAULT_WINDOWS * window, end, &task->window, error);
}

static int plan(struct store *store, struct twin *twin, const struct episode *episode, const json_t *operation,
                struct loop_task *task, struct tw_error *error)
{
    const json_t *request = json_object_get(operation, "request");
    const char *kind = json_string_value(json_object_get(operation, "kind"));
    memset(task, 0, sizeof(*task));
    task->operation = json_integer_value(json_object_get(operation, "id"));
    task->epochs = (int)json_integer_value(json_object_get(request, "epochs"));
    const char *update = json_string_value(json_object_get(request, "kind"));
    task->reweight = update && strcmp(update, "reweight") == 0;
    task->proposes = json_is_false(json_object_get(request, "promote"));
    pthread_mutex_lock(&twin->lock);
    task->parent = task->champion = twin->champion ? twin->champion->version : 0;
    task->move = twin->champion_move;
    double replay = twin->definition->loop.replay;
    pthread_mutex_unlock(&twin->lock);
    int status = kind && strcmp(kind, "train") == 0 ? plan_train(twin, request, task, error)
                                                    : plan_retune(store, twin, episode, request, task, error);
    if (status == TW_OK && task->parent)
        loop_state_replay(store, twin, replay, task);
    const json_t *seed = json_object_get(request, "seed");
    task->seed =
        seed ? (uint64_t)json_integer_value(seed) : loop_state_seed(twin->name, task->window.first, task->window.last);
    return status;
}

static int refuse(struct store *store, int64_t operation, const struct tw_error *why, struct tw_error *error)
{
    json_t *json = json_pack("{s:s}", "detail", why->text);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int status = text ? store_operation_set(store, operation, "failed", 0, NULL, text, error) : TW_NO_MEMORY;
    free(text);
    json_decref(json);
    return status == TW_CONFLICT ? TW_OK : status;
}

int operation_next(struct store *store, struct twin *twin, const struct episode *episode, struct loop_task *task,
                   struct tw_error *error)
{
    json_t *pending = store_operation_pending(store, twin->id);
    int status = TW_NOT_FOUND;
    size_t i;
    json_t *operation;
    json_array_foreach(pending, i, operation)
    {
        struct tw_error why = {""};
        unsigned before = shortage_count();
        status = plan(store, twin, episode, operation, task, &why);
        if (status != TW_OK && (status < 0 || shortage_count() != before)) { /* the request is not to blame */
            status = tw_error_set(error, status < 0 ? status : (int)TW_NO_MEMORY, "%s", why.text);
            break;
        }
        if (status == TW_OK)
            break;
        char quoted[300];
        log_warning("operation_refused", "twin=%s operation=%lld reason=%s", twin->name, (long long)task->operation,
                    log_quote(why.text, quoted, sizeof(quoted)));
        status = refuse(store, task->operation, &why, error);
        if (status != TW_OK)
            break;
        status = TW_NOT_FOUND;
    }
    json_decref(pending);
    return status;
}
