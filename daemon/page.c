/* The page brings its own script and style; the policy allows exactly these, by their hashes, and nothing from
 * elsewhere. What every twin's verdict is stands in the page itself too, for readers without scripts. */
#include "daemon/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api.h"
#include "daemon/page_html.h" /* made from page.html */

/* Names, verdicts and activities are words of [a-z0-9_-]: nothing needs escaping. */
static void list_twins(const struct http_request *request, FILE *out)
{
    struct twin **twins = NULL;
    size_t count = registry_list(request->api->registry, &twins);
    for (size_t i = 0; i < count; i++) {
        json_t *json = registry_twin_json(twins[i]);
        const char *verdict = json_string_value(json_object_get(json, "verdict"));
        const char *activity = json_string_value(json_object_get(json, "activity"));
        fprintf(out, "<li>%s: %s, %s</li>\n", twins[i]->name, verdict != NULL ? verdict : "unknown",
                activity != NULL ? activity : "unknown");
        json_decref(json);
        registry_twin_unref(twins[i]);
    }
    free(twins);
}

enum route_outcome page_get(struct http_request *request, struct http_response *response)
{
    static const char mark[] = "<!--twins-->";
    const char *page = (const char *)page_html;
    const char *at = memmem(page, page_html_size, mark, sizeof mark - 1);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        fwrite(page, 1, (size_t)(at - page), out);
        list_twins(request, out);
        fwrite(at, 1, page_html_size - (size_t)(at - page), out);
    }
    if (out == NULL || fclose(out) != 0) {
        free(text);
        http_response_problem(response, 500, "internal", "memory is out");
        return ROUTE_DONE;
    }
    http_response_bytes(response, 200, "text/html; charset=utf-8", text, size);
    http_response_header(response, "Content-Security-Policy",
                         "default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; "
                         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                         page_html_script_hash, page_html_style_hash);
    http_response_header(response, "Referrer-Policy", "no-referrer");
    return ROUTE_DONE;
}
