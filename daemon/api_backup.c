/* The operator's routes: GET /v1/backup is the archive of backup.h as it is made, which holds every artifact and every
 * batch and so needs the token; GET /v1/doctor what the daemon finds when it looks at itself. */
#include <string.h>

#include "daemon/api.h"
#include "daemon/backup.h"
#include "daemon/doctor.h"

enum route_outcome api_backup_get(struct http_request *request, struct http_response *response)
{
    const struct api *api = request->api;
    struct backup *backup;
    struct tw_error error = {""};
    int status = backup_begin(api->store, api->registry, api->config->state, &backup, &error);
    if (status != TW_OK) {
        api_failed(response, status, &error, "bad_request");
        return ROUTE_DONE;
    }
    struct http_source source = {.total = -1, .next = backup_next, .release = backup_free, .context = backup};
    http_response_stream(response, "application/x-tar", &source);
    return ROUTE_DONE;
}

/* GET /v1/doctor[?deep=true]: what the daemon finds when it looks at itself. */
enum route_outcome api_backup_doctor(struct http_request *request, struct http_response *response)
{
    const char *deep = http_request_query(request, "deep");
    bool all = deep != NULL && strcmp(deep, "0") != 0 && strcmp(deep, "false") != 0;
    struct doctor *doctor;
    struct tw_error error = {""};
    int status = doctor_begin(request->api, request->http, all, &doctor, &error);
    if (status != TW_OK) {
        api_failed(response, status, &error, "bad_request");
        return ROUTE_DONE;
    }
    struct http_source source = {.total = -1, .next = doctor_next, .release = doctor_free, .context = doctor};
    http_response_stream(response, "application/json", &source);
    return ROUTE_DONE;
}
