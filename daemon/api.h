/* The handlers of /v1, one file a subject, and what they share. */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "daemon/http.h"
#include "daemon/http_request.h"
#include "daemon/http_response.h"
#include "daemon/registry.h"
#include "daemon/route.h"

/* --- api.c --- */

/* The twin of the path, with a reference; NULL after a 404. */
struct twin *api_twin(struct http_request *request, struct http_response *response);
/* A refusal of the lower layers as a problem: 400, 404, 409, 503, 507, 500. `what` is its code for TW_INVALID. */
void api_failed(struct http_response *response, int status, const struct tw_error *error, const char *what);
/* The answer of a list: 400 where the cursor is malformed (NULL). */
void api_list(struct http_response *response, json_t *list);
/* GET of a list that belongs to the twin of the path, with limit and cursor. */
enum route_outcome api_twin_list(struct http_request *request, struct http_response *response,
                                 json_t *(*list)(struct store *store, int64_t twin, int limit, const char *cursor));
/* ?limit=; false after a 400. */
bool api_limit(struct http_request *request, struct http_response *response, int *limit);
/* A query parameter that is a time; *ms stays where it was not sent. False after a 400. */
bool api_time(struct http_request *request, struct http_response *response, const char *name, int64_t *ms);
/* Conditions {"name": number, ...} as one row of the schema's conditions (defaults where not named), malloc'd, NULL if
 * the schema has none or `json` is NULL. False after a 400. */
bool api_conditions(const struct tw_schema *schema, const json_t *json, float **out, struct http_response *response);
/* The same from the query parameter `conditions`, which holds JSON. *json gets the object (NULL: absent). */
bool api_query_object(struct http_request *request, const char *name, json_t **json, struct http_response *response);
/* The header Idempotency-Key, NULL where it was not sent. False after a 400. */
bool api_key(const struct http_request *request, struct http_response *response, const char **key);
/* 202 with an operation that was asked for before; takes the reference. */
void api_again(struct http_response *response, json_t *operation);
/* 409: the key belongs to another request. */
void api_key_taken(struct http_response *response);
/* 202 with Location and the operation as body. Announces it, wakes the pipeline. */
void api_accepted(struct http_request *request, struct http_response *response, const struct twin *twin, int64_t id);
/* Twin-Version and Twin-Columns. */
void api_model_headers(struct http_response *response, const struct twin *twin, int version);
/* ?version= and the member `version` of a body: a number, or an alias of the twin of the path. *version stays as it is
 * where it was not sent. False after a 400 or 404. */
bool api_version(struct http_request *request, struct http_response *response, int64_t *version);
bool api_version_member(struct http_request *request, struct http_response *response, const json_t *json,
                        int64_t *version);
/* The snapshot that ?version= or a body names (0: champion); NULL after 404 or 409. */
struct snapshot *api_snapshot(struct http_request *request, struct http_response *response, struct twin *twin,
                              int version);

/* --- api_backup.c --- */
enum route_outcome api_backup_get(struct http_request *request, struct http_response *response);
enum route_outcome api_backup_doctor(struct http_request *request, struct http_response *response);

/* --- api_twins.c --- */
enum route_outcome api_twins_list(struct http_request *request, struct http_response *response);
enum route_outcome api_twins_create(struct http_request *request, struct http_response *response);
enum route_outcome api_twins_get(struct http_request *request, struct http_response *response);
enum route_outcome api_twins_definition(struct http_request *request, struct http_response *response);
enum route_outcome api_twins_patch(struct http_request *request, struct http_response *response);
enum route_outcome api_twins_delete(struct http_request *request, struct http_response *response);

/* --- api_data.c, api_train.c --- */
enum route_outcome api_data_submit(struct http_request *request, struct http_response *response);
enum route_outcome api_data_batches(struct http_request *request, struct http_response *response);
enum route_outcome api_data_feeds(struct http_request *request, struct http_response *response);
enum route_outcome api_train_post(struct http_request *request, struct http_response *response);

/* --- api_sample.c, api_log_prob.c, api_histograms.c --- */
enum route_outcome api_sample_get(struct http_request *request, struct http_response *response);
enum route_outcome api_sample_post(struct http_request *request, struct http_response *response);
enum route_outcome api_log_prob_post(struct http_request *request, struct http_response *response);
enum route_outcome api_histograms_get(struct http_request *request, struct http_response *response);

/* --- api_loop.c, api_operations.c --- */
enum route_outcome api_loop_iterations(struct http_request *request, struct http_response *response);
enum route_outcome api_loop_drift(struct http_request *request, struct http_response *response);
enum route_outcome api_loop_retune(struct http_request *request, struct http_response *response);
enum route_outcome api_operations_list(struct http_request *request, struct http_response *response);
enum route_outcome api_operations_get(struct http_request *request, struct http_response *response);
enum route_outcome api_operations_cancel(struct http_request *request, struct http_response *response);

/* --- api_events.c --- */
enum route_outcome api_events_get(struct http_request *request, struct http_response *response);

/* --- api_weights.c --- */
enum route_outcome api_weights_get(struct http_request *request, struct http_response *response);

/* --- api_metrics.c --- */
enum route_outcome api_metrics_get(struct http_request *request, struct http_response *response);

/* --- api_inference.c, api_infer.c --- */
enum route_outcome api_inference_server(struct http_request *request, struct http_response *response);
enum route_outcome api_inference_live(struct http_request *request, struct http_response *response);
enum route_outcome api_inference_ready(struct http_request *request, struct http_response *response);
enum route_outcome api_inference_index(struct http_request *request, struct http_response *response);
enum route_outcome api_inference_model(struct http_request *request, struct http_response *response);
enum route_outcome api_inference_model_ready(struct http_request *request, struct http_response *response);
enum route_outcome api_infer_post(struct http_request *request, struct http_response *response);

/* --- api_versions.c, api_aliases.c --- */
enum route_outcome api_versions_list(struct http_request *request, struct http_response *response);
enum route_outcome api_versions_get(struct http_request *request, struct http_response *response);
enum route_outcome api_versions_artifact(struct http_request *request, struct http_response *response);
enum route_outcome api_versions_onnx(struct http_request *request, struct http_response *response);
enum route_outcome api_aliases_get(struct http_request *request, struct http_response *response);
enum route_outcome api_aliases_put(struct http_request *request, struct http_response *response);
enum route_outcome api_aliases_history(struct http_request *request, struct http_response *response);

#endif
