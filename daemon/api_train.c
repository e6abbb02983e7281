/* Initial training: posted rows go into the spool first, as feed `train`, so that they have ordinals like all others;
 * then the operation that names them is stored. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "daemon/api.h"
#include "daemon/api_rows.h"
#include "daemon/clock.h"
#include "daemon/log.h"

enum { CHUNK_ROWS = 65536, CHUNK_BYTES = 16 << 20, EPOCHS_MAX = 10000 };

/* Two requests at once for the same twin may both spool their rows; one operation is made. */
static pthread_mutex_t insert_lock = PTHREAD_MUTEX_INITIALIZER;

struct plan {
    int64_t seed, epochs; /* -1: not given */
    bool spooled;
    const char *key; /* Idempotency-Key or NULL, and what stands for the request then */
    char digest[65];
};

/* Target, media type and body: what has to be the same for the same key. The operation keeps it, as it can't keep rows.
 */
static void digest_request(const struct http_request *request, char out[65])
{
    const char *media = request->header[HTTP_CONTENT_TYPE] != NULL ? request->header[HTTP_CONTENT_TYPE] : "";
    const char *parts[] = {request->uri, media};
    unsigned char hash[32];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (size_t i = 0; i < 2; i++) /* with their zeros */
        crypto_generichash_update(&state, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_update(&state, request->body, request->body_size);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

/* Was this asked for before, with the same key? True with the answer: the same operation, or 409. */
static bool answered_before(struct http_request *request, struct http_response *response, struct twin *twin,
                            const struct plan *plan)
{
    json_t *operation = plan->key != NULL ? store_operation_of_key(request->api->store, twin->id, plan->key) : NULL;
    if (operation == NULL)
        return false;
    const char *digest = json_string_value(json_object_get(json_object_get(operation, "request"), "digest"));
    if (digest != NULL && strcmp(digest, plan->digest) == 0) {
        api_again(response, operation);
    } else {
        json_decref(operation);
        api_key_taken(response);
    }
    return true;
}

/* A body {"source": "spool", ...} rather than rows. */
static json_t *source_body(const struct http_request *request)
{
    if (request->body_size == 0 || request->body_size > 4096 || api_rows_format(request) != TWP_FORMAT_JSON)
        return NULL;
    json_t *json = json_loadb((const char *)request->body, request->body_size, JSON_REJECT_DUPLICATES, NULL);
    if (json_object_get(json, "source") != NULL)
        return json;
    json_decref(json);
    return NULL;
}

static bool read_plan(struct http_request *request, struct http_response *response, struct plan *plan)
{
    *plan = (struct plan){.seed = -1, .epochs = -1};
    if (!api_key(request, response, &plan->key) ||
        !http_request_query_int(request, "seed", 0, STORE_SEED_MAX, &plan->seed, response) ||
        !http_request_query_int(request, "epochs", 1, EPOCHS_MAX, &plan->epochs, response))
        return false;
    if (plan->key != NULL)
        digest_request(request, plan->digest);
    json_t *json = source_body(request);
    if (json == NULL)
        return true;
    plan->spooled = true;
    const char *source = json_string_value(json_object_get(json, "source"));
    bool ok = http_request_members(json, "source,seed,epochs", response) &&
              http_request_member_int(json, "seed", 0, STORE_SEED_MAX, &plan->seed, response) &&
              http_request_member_int(json, "epochs", 1, EPOCHS_MAX, &plan->epochs, response);
    if (ok && (source == NULL || strcmp(source, "spool") != 0)) {
        http_response_problem(response, 400, "bad_request", "source must be \"spool\"; or post rows instead");
        ok = false;
    }
    json_decref(json);
    return ok;
}

/* 409 if the twin is trained or about to be. */
static bool may_train(struct http_request *request, struct http_response *response, struct twin *twin)
{
    pthread_mutex_lock(&twin->lock);
    bool trained = twin->champion != NULL;
    pthread_mutex_unlock(&twin->lock);
    json_t *pending = store_operation_pending(request->api->store, twin->id);
    json_t *operation;
    size_t i;
    json_array_foreach(pending, i, operation)
    {
        const char *kind = json_string_value(json_object_get(operation, "kind"));
        if (kind != NULL && strcmp(kind, "train") == 0)
            break;
    }
    bool waits = i < json_array_size(pending);
    json_decref(pending);
    if (trained)
        http_response_problem(response, 409, "trained", "twin %s is trained already; a retune adapts it", twin->name);
    else if (waits)
        http_response_problem(response, 409, "training", "a training of twin %s is under way", twin->name);
    return !trained && !waits;
}

/* Spools the posted rows; returns the operation's request, NULL after a problem. */
static json_t *spool_rows(struct http_request *request, struct http_response *response, struct twin *twin)
{
    struct api_rows rows = {0};
    struct twp_key key = {.run = clock_ms()};
    struct ingest_result result = {0};
    uint64_t first_ordinal = 0;
    snprintf(key.twin, sizeof key.twin, "%s", twin->name);
    strcpy(key.feed, "train");
    bool ok = api_rows_read(request, response, &rows);
    size_t total = rows.table.rows, most = ok ? CHUNK_BYTES / (rows.table.cols * sizeof(float)) + 1 : 1;
    if (most > CHUNK_ROWS)
        most = CHUNK_ROWS;
    for (size_t first = 0; ok && first < total; first += most, key.seq++) {
        size_t count = total - first < most ? total - first : most;
        ok = api_rows_spool(request, response, &key, &rows, first, count, true, &result);
        if (first == 0)
            first_ordinal = result.ordinal;
    }
    api_rows_fini(&rows);
    if (!ok)
        return NULL;
    return json_pack("{s:s, s:I, s:{s:I, s:I}, s:I}", "source", "posted", "run", (json_int_t)key.run, "ordinals",
                     "first", (json_int_t)first_ordinal, "last", (json_int_t)result.ordinal, "rows", (json_int_t)total);
}

static void insert(struct http_request *request, struct http_response *response, struct twin *twin,
                   const struct plan *plan, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    struct store_operation operation = {.twin = twin->id, .kind = "train", .request = text, .key = plan->key};
    struct tw_error error = {""};
    int status = TW_NO_MEMORY;
    pthread_mutex_lock(&insert_lock);
    bool may = !answered_before(request, response, twin, plan) && may_train(request, response, twin);
    if (may && text != NULL)
        status = store_operation_insert(request->api->store, &operation, &error);
    pthread_mutex_unlock(&insert_lock);
    free(text);
    if (may && status == TW_OK) {
        log_info("training_asked", "twin=%s operation=%lld", twin->name, (long long)operation.id);
        api_accepted(request, response, twin, operation.id);
    } else if (may) {
        api_failed(response, status, &error, "bad_request");
    }
}

enum route_outcome api_train_post(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    struct plan plan;
    json_t *json = NULL;
    if (read_plan(request, response, &plan) && !answered_before(request, response, twin, &plan) &&
        may_train(request, response, twin))
        json = plan.spooled ? json_pack("{s:s}", "source", "spool") : spool_rows(request, response, twin);
    if (json != NULL) {
        if (plan.seed >= 0)
            json_object_set_new(json, "seed", json_integer(plan.seed));
        if (plan.epochs >= 0)
            json_object_set_new(json, "epochs", json_integer(plan.epochs));
        if (plan.key != NULL)
            json_object_set_new(json, "digest", json_string(plan.digest));
        insert(request, response, twin, &plan, json);
        json_decref(json);
    }
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
