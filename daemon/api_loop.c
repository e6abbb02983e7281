/* The comparison now and over time, and asking for a retune. */
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/log.h"
#include "daemon/spool.h"
#include "daemon/story.h"

enum route_outcome api_loop_iterations(struct http_request *request, struct http_response *response)
{
    return api_twin_list(request, response, store_list_iterations);
}

static json_t *drift_statistics(const json_t *iteration)
{
    json_t *kept = json_array(), *entry;
    size_t i;
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        const char *verdict = json_string_value(json_object_get(entry, "verdict"));
        if (verdict != NULL && strcmp(verdict, "drift") == 0)
            json_array_append(kept, entry);
    }
    return kept;
}

/* The last iteration's answer to "have the data changed?", and the story of the last alarm. */
enum route_outcome api_loop_drift(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    json_t *state = registry_twin_json(twin);
    json_t *last = json_object_get(state, "last_iteration");
    json_t *answer = json_object();
    static const char *const of_state[] = {"verdict", "verdict_reason", "since", "activity", "champion", "mode"};
    static const char *const of_last[] = {"iteration", "time",  "version",  "ordinals",
                                          "events",    "drift", "decision", "policy"};
    json_object_set_new(answer, "twin", json_string(twin->name));
    for (size_t i = 0; i < sizeof of_state / sizeof of_state[0]; i++)
        json_object_set(answer, of_state[i], json_object_get(state, of_state[i]));
    for (size_t i = 0; i < sizeof of_last / sizeof of_last[0]; i++) {
        json_t *value = json_object_get(last, of_last[i]);
        json_object_set(answer, of_last[i], value != NULL ? value : json_null());
    }
    pthread_mutex_lock(&twin->lock);
    json_object_set_new(answer, "hold", json_boolean(twin->hold));
    pthread_mutex_unlock(&twin->lock);
    json_object_set_new(answer, "statistics", drift_statistics(last));
    story_tell(twin, last, answer);
    json_decref(state);
    http_response_json(response, 200, answer);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}

/* {"kind": "weights" | "reweight", "ordinals"?: {"first", "last"}, "events"?: n, "seed"?: n, "promote"?: bool} */
static bool check_retune(const json_t *json, struct http_response *response)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    if (kind == NULL || (strcmp(kind, "weights") != 0 && strcmp(kind, "reweight") != 0)) {
        http_response_problem(response, 400, "bad_kind",
                              "kind must be \"weights\" or \"reweight\"; \"theta\" is not built yet");
        return false;
    }
    const json_t *promote = json_object_get(json, "promote");
    if (promote != NULL && !json_is_boolean(promote)) {
        http_response_problem(response, 400, "bad_request", "promote must be true or false");
        return false;
    }
    static const char *const counts[] = {"events", "seed"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_object_get(json, counts[i]);
        if (value != NULL && (!json_is_integer(value) || json_integer_value(value) < (i == 0 ? 1 : 0) ||
                              json_integer_value(value) > STORE_SEED_MAX)) {
            http_response_problem(response, 400, "bad_request", "%s must be an integer from %d to 2^53 - 1", counts[i],
                                  i == 0 ? 1 : 0);
            return false;
        }
    }
    json_t *ordinals = json_object_get(json, "ordinals");
    if (ordinals == NULL)
        return true;
    json_int_t first, last;
    if (!json_is_object(ordinals) || json_object_size(ordinals) != 2 ||
        json_unpack(ordinals, "{s:I, s:I}", "first", &first, "last", &last) != 0 || first < 0 || last < first) {
        http_response_problem(response, 400, "bad_request",
                              "ordinals must be {\"first\": n, \"last\": m} with 0 <= n <= m");
        return false;
    }
    return true;
}

static void insert_retune(struct http_request *request, struct http_response *response, struct twin *twin,
                          const json_t *json)
{
    struct tw_error error = {""};
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS); /* a canonical form, to compare with an earlier one */
    struct store_operation operation = {
        .twin = twin->id, .kind = "retune", .request = text, .key = request->header[HTTP_IDEMPOTENCY_KEY]};
    int status = text != NULL ? store_operation_insert(request->api->store, &operation, &error) : (int)TW_NO_MEMORY;
    free(text);
    if (status == TW_OK) {
        log_info("retune_asked", "twin=%s operation=%lld", twin->name, (long long)operation.id);
        api_accepted(request, response, twin, operation.id);
    } else if (status == TW_EXISTS) { /* the same request again: the same answer */
        api_again(response, store_operation_json(request->api->store, operation.id));
    } else if (status == TW_CONFLICT) {
        api_key_taken(response);
    } else {
        api_failed(response, status, &error, "bad_request");
    }
}

/* Ordinals must be of batches that are there. */
static bool ordinals_exist(struct http_request *request, struct http_response *response, struct twin *twin,
                           const json_t *json)
{
    const json_t *last = json_object_get(json_object_get(json, "ordinals"), "last");
    if (last == NULL || (uint64_t)json_integer_value(last) < spool_next(twin->spool))
        return true;
    http_response_problem(response, 400, "bad_request", "no batch with ordinal %lld has arrived yet",
                          (long long)json_integer_value(last));
    return false;
}

enum route_outcome api_loop_retune(struct http_request *request, struct http_response *response)
{
    struct twin *twin = api_twin(request, response);
    if (twin == NULL)
        return ROUTE_DONE;
    const char *key;
    json_t *json = http_request_object(request, "kind,ordinals,events,seed,promote", response);
    pthread_mutex_lock(&twin->lock);
    bool trained = twin->champion != NULL;
    pthread_mutex_unlock(&twin->lock);
    if (json == NULL || !check_retune(json, response) || !ordinals_exist(request, response, twin, json))
        goto done;
    if (!trained)
        http_response_problem(response, 409, "untrained", "twin %s is not trained yet", twin->name);
    else if (api_key(request, response, &key))
        insert_retune(request, response, twin, json);
done:
    json_decref(json);
    registry_twin_unref(twin);
    return ROUTE_DONE;
}
