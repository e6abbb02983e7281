/* HTTP to twind through libcurl. */
#include "client/rest.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <curl/curl.h>

#include "client/output.h"
#include "client/timer.h"

#define SERVICE_TOKEN "/var/lib/twin/admin.token"
enum { CONNECT_SECONDS = 5, ANSWER_MAX = 64 << 20, TOKEN_MAX = 256, PAGE = 1000 };

struct rest {
    CURL *curl;
    char *base;             /* without a slash at the end */
    const char *token_file; /* as the user gave it, or NULL */
    char token_path[1024];  /* where it was looked for last */
    char token[TOKEN_MAX + 1];
    char token_problem[256];
    char problem[1024], error[64];
    long timeout;
};

/* One request under way. */
struct transfer {
    struct rest *rest;
    const struct rest_request *request;
    struct rest_answer *answer;
    size_t capacity;
    bool refused; /* the sink said stop */
};

struct rest *rest_new(const char *url, const char *token_file, double timeout, char problem[512])
{
    struct rest *rest = calloc(1, sizeof *rest);
    if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8)) {
        snprintf(problem, 512, "\"%.200s\" is not a URL of twind, such as http://127.0.0.1:8470", url);
        free(rest);
        return NULL;
    }
    if (rest) {
        rest->base = strdup(url);
        rest->curl = curl_easy_init();
        rest->token_file = token_file;
        rest_patience(rest, timeout);
    }
    if (!rest || !rest->base || !rest->curl) {
        snprintf(problem, 512, "out of memory");
        rest_free(rest);
        return NULL;
    }
    for (size_t n = strlen(rest->base); n && rest->base[n - 1] == '/'; n--)
        rest->base[n - 1] = 0;
    return rest;
}

void rest_patience(struct rest *rest, double seconds)
{
    rest->timeout = seconds < 1 ? 1 : seconds > 86400 ? 86400 : (long)(seconds + 0.5);
}

void rest_free(struct rest *rest)
{
    if (!rest)
        return;
    if (rest->curl)
        curl_easy_cleanup(rest->curl);
    explicit_bzero(rest->token, sizeof rest->token);
    free(rest->base);
    free(rest);
}

const char *rest_url(const struct rest *rest)
{
    return rest->base;
}

const char *rest_problem(const struct rest *rest)
{
    return rest->problem;
}

const char *rest_error(const struct rest *rest)
{
    return rest->error;
}

char *rest_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;
    curl_free(escaped);
    return copy;
}

/* Reads rest->token_path. A token is one line of visible characters: anything else would break the header. */
static bool read_token(struct rest *rest)
{
    char text[TOKEN_MAX + 3] = {0};
    int file = open(rest->token_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (size < 0)
        snprintf(rest->token_problem, sizeof rest->token_problem, "%s", strerror(errno));
    if (file >= 0)
        close(file);
    if (size < 0)
        return false;
    while (size && isspace((unsigned char)text[size - 1]))
        text[--size] = 0;
    bool fine = size > 0 && size <= TOKEN_MAX;
    for (ssize_t i = 0; fine && i < size; i++)
        fine = isgraph((unsigned char)text[i]);
    if (fine)
        memcpy(rest->token, text, (size_t)size + 1);
    else
        snprintf(rest->token_problem, sizeof rest->token_problem, "it holds no token");
    explicit_bzero(text, sizeof text);
    return fine;
}

/* The folder of a daemon that was started by this user, then that of the systemd service, which others cannot look
 * into. */
static void find_token(struct rest *rest)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    const char *folder = getenv("TWIN_STATE"), *service = getenv("STATE_DIRECTORY");
    size_t size = sizeof rest->token_path;
    if (*rest->token)
        return;
    if (rest->token_file) {
        snprintf(rest->token_path, size, "%s", rest->token_file);
        read_token(rest);
        return;
    }
    if (folder && *folder)
        snprintf(rest->token_path, size, "%s/admin.token", folder);
    else if (service && *service) /* systemd may give several, separated by colons */
        snprintf(rest->token_path, size, "%.*s/admin.token", (int)strcspn(service, ":"), service);
    else if (xdg && *xdg == '/')
        snprintf(rest->token_path, size, "%s/twin/admin.token", xdg);
    else
        snprintf(rest->token_path, size, "%s/.local/state/twin/admin.token", home ? home : "");
    if (!access(rest->token_path, F_OK) || (access(SERVICE_TOKEN, F_OK) && errno != EACCES)) {
        read_token(rest);
        return;
    }
    snprintf(rest->token_path, size, "%s", SERVICE_TOKEN);
    if (!read_token(rest) && errno == EACCES)
        snprintf(rest->token_problem, sizeof rest->token_problem, "user twin may read it: sudo -u twin twinctl ...");
}

static bool keep(struct transfer *transfer, const void *data, size_t size)
{
    struct rest_answer *answer = transfer->answer;
    if (size > ANSWER_MAX - answer->size)
        return false;
    if (answer->size + size + 1 > transfer->capacity) {
        size_t capacity = 2 * (answer->size + size) + 1024;
        char *body = realloc(answer->body, capacity);
        if (!body)
            return false;
        answer->body = body;
        transfer->capacity = capacity;
    }
    memcpy(answer->body + answer->size, data, size);
    answer->size += size;
    answer->body[answer->size] = 0;
    return true;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    long status = 0;
    curl_easy_getinfo(transfer->rest->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->request->sink && status >= 200 && status < 300) {
        transfer->refused = !transfer->request->sink(transfer->request->context, data, one * size);
        return transfer->refused ? 0 : one * size;
    }
    return keep(transfer, data, one * size) ? one * size : 0;
}

/* A signal ends a transfer within a second. */
static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    return timer_signal() != 0;
}

static char *header_copy(CURL *curl, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return strdup(header->value);
}

/* The server's problem+json as a sentence: its detail, else its title, else the number; and its word. */
static void explain_answer(struct rest *rest, const struct rest_answer *answer)
{
    json_t *problem = json_loadb(answer->body, answer->size, 0, NULL);
    const char *text = json_string_value(json_object_get(problem, "detail"));
    if (!text || !*text)
        text = json_string_value(json_object_get(problem, "title"));
    if (text && *text)
        snprintf(rest->problem, sizeof rest->problem, "%s", text);
    else
        snprintf(rest->problem, sizeof rest->problem, "%s answered with HTTP status %ld", rest->base, answer->status);
    output_clean(rest->problem);
    const char *word = json_string_value(json_object_get(problem, "error"));
    snprintf(rest->error, sizeof rest->error, "%s", word ? word : "");
    json_decref(problem);
}

static int judge_status(struct rest *rest, const struct rest_request *request, const struct rest_answer *answer)
{
    long status = answer->status;
    if (status >= 200 && status < 300)
        return CLI_OK;
    explain_answer(rest, answer);
    size_t length = strlen(rest->problem);
    char *end = rest->problem + length;
    size_t left = sizeof rest->problem - length;
    if (status == 401 && request->change && !*rest->token)
        snprintf(end, left, " (no token: %s: %s; see --token-file)", rest->token_path, rest->token_problem);
    else if (status == 401 && request->change)
        snprintf(end, left, " (not the token of %s; see --token-file)", rest->token_path);
    if (status == 401 || status == 403)
        return CLI_PERMISSION;
    return status == 412 || status == 429 || status == 503 || status == 507 ? CLI_AGAIN : CLI_FAILED;
}

static int judge_failure(struct transfer *transfer, CURLcode code, const char *words)
{
    struct rest *rest = transfer->rest;
    char *problem = rest->problem;
    size_t size = sizeof rest->problem;
    if (timer_signal()) {
        snprintf(problem, size, "stopped");
        return CLI_FAILED;
    }
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        snprintf(problem, size,
                 "nobody listens at %s; is twind running? Start it, or say where it is (--url, TWIN_URL)", rest->base);
        return CLI_UNAVAILABLE;
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(problem, size, "%s does not answer", rest->base);
        return CLI_UNAVAILABLE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the answer: rest_open has seen to the URL's own */
        snprintf(problem, size,
                 "what listens at %s does not speak HTTP: is it the port of the feeds? (--url, TWIN_URL)", rest->base);
        return CLI_USAGE;
    case CURLE_URL_MALFORMAT:
        snprintf(problem, size, "\"%s\" is not a URL of twind", rest->base);
        return CLI_USAGE;
    case CURLE_WRITE_ERROR:
        snprintf(problem, size, transfer->refused ? "the answer could not be written" : "the answer is too large");
        return CLI_FAILED;
    case CURLE_OUT_OF_MEMORY:
        snprintf(problem, size, "out of memory");
        return CLI_FAILED;
    default: /* resolving, sending, receiving, breaking off: all end the same way */
        snprintf(problem, size, "no answer from %s: %s", rest->base, *words ? words : curl_easy_strerror(code));
        return CLI_UNAVAILABLE;
    }
}

static struct curl_slist *headers_of(const struct rest *rest, const struct rest_request *request)
{
    struct curl_slist *list = NULL;
    const char *name[] = {"Accept", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Authorization"};
    const char *value[] = {request->accept ? request->accept : "application/json",
                           request->content_type,
                           request->if_match,
                           request->if_none ? "*" : NULL,
                           request->idempotency_key,
                           NULL};
    char bearer[TOKEN_MAX + 16], line[1024];
    snprintf(bearer, sizeof bearer, "Bearer %s", rest->token);
    if (request->change && *rest->token)
        value[5] = bearer;
    for (int i = 0; i < 6; i++) {
        if (!value[i])
            continue;
        snprintf(line, sizeof line, "%s: %s", name[i], value[i]);
        list = curl_slist_append(list, line);
    }
    explicit_bzero(bearer, sizeof bearer);
    explicit_bzero(line, sizeof line);
    return curl_slist_append(list, "Expect:"); /* no waiting for 100 Continue */
}

static void set_options(struct transfer *transfer, const char *url, struct curl_slist *headers, char *words)
{
    CURL *curl = transfer->rest->curl;
    const struct rest_request *request = transfer->request;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, transfer->rest->timeout);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "twinctl");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (request->body || (request->method && !strcmp(request->method, "POST"))) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    }
    if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

int rest_send(struct rest *rest, const struct rest_request *request, struct rest_answer *answer)
{
    char words[CURL_ERROR_SIZE] = "", *url = NULL;
    struct transfer transfer = {.rest = rest, .request = request, .answer = answer};
    memset(answer, 0, sizeof *answer);
    *rest->problem = *rest->error = 0;
    if (request->change)
        find_token(rest);
    if (asprintf(&url, "%s%s", rest->base, request->path) < 0 || !keep(&transfer, "", 0)) {
        snprintf(rest->problem, sizeof rest->problem, "out of memory");
        return CLI_FAILED;
    }
    struct curl_slist *headers = headers_of(rest, request);
    set_options(&transfer, url, headers, words);
    CURLcode code = curl_easy_perform(rest->curl);
    curl_easy_getinfo(rest->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    /* A server that refuses a large body may close before it has read all of it; its answer is what counts. */
    bool answered = code == CURLE_OK || (code == CURLE_SEND_ERROR && answer->status >= 400);
    int rc = answered ? judge_status(rest, request, answer) : judge_failure(&transfer, code, words);
    answer->etag = header_copy(rest->curl, "ETag");
    answer->location = header_copy(rest->curl, "Location");
    answer->version = header_copy(rest->curl, "Twin-Version");
    answer->seed = header_copy(rest->curl, "Twin-Seed");
    answer->columns = header_copy(rest->curl, "Twin-Columns");
    curl_slist_free_all(headers);
    free(url);
    return rc;
}

void rest_answer_fini(struct rest_answer *answer)
{
    free(answer->body);
    free(answer->etag);
    free(answer->location);
    free(answer->version);
    free(answer->seed);
    free(answer->columns);
    memset(answer, 0, sizeof *answer);
}

int rest_get(struct rest *rest, const char *path, json_t **out)
{
    struct rest_request request = {.path = path};
    struct rest_answer answer;
    int rc = rest_send(rest, &request, &answer);
    *out = NULL;
    if (!rc && !(*out = json_loadb(answer.body, answer.size, 0, NULL))) {
        snprintf(rest->problem, sizeof rest->problem, "%s did not answer with JSON: is that twind?", rest->base);
        rc = CLI_FAILED;
    }
    rest_answer_fini(&answer);
    return rc;
}

int rest_list(struct rest *rest, const char *path, size_t limit, json_t **out)
{
    json_t *all = json_array(), *page = NULL;
    char *url = NULL, *cursor = NULL;
    int rc = all ? CLI_OK : CLI_FAILED;
    while (!rc && json_array_size(all) < limit) {
        size_t left = limit - json_array_size(all), want = left < PAGE ? left : PAGE;
        if (asprintf(&url, "%s%climit=%zu%s%s", path, strchr(path, '?') ? '&' : '?', want, cursor ? "&cursor=" : "",
                     cursor ? cursor : "") < 0)
            url = NULL;
        rc = url ? rest_get(rest, url, &page) : CLI_FAILED;
        free(url);
        free(cursor);
        cursor = NULL;
        json_array_extend(all, json_object_get(page, "items"));
        const char *next = json_string_value(json_object_get(page, "next_cursor"));
        if (next)
            cursor = rest_escape(next);
        json_decref(page);
        page = NULL;
        if (!cursor)
            break;
    }
    free(cursor);
    if (rc) {
        json_decref(all);
        all = NULL;
    }
    *out = all;
    return rc;
}
