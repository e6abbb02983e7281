/* Nothing is read but the bytes of the head: each step first makes sure that its line begins where the last one ended.
 */
#include "daemon/http_head.h"

#include <string.h>

#include <microhttpd.h>

enum { LINE_END = 2 }; /* CR LF, overwritten by two zeros */

bool http_head_known(void)
{
    return strcmp(MHD_get_version(), "0.9.75") == 0;
}

/* A line of text that ends at `end`, where its terminator is: was that CR LF? */
static bool ends(const char *end)
{
    return end[0] == '\0' && end[1] == '\0';
}

void http_head_begin(struct http_head *head, const char *method, const char *target, size_t target_size,
                     const char *version)
{
    size_t size = strlen(version);
    head->strict = method + strlen(method) + 1 == target && target + target_size + 1 == version && ends(version + size);
    head->line = version + size + LINE_END;
}

void http_head_field(struct http_head *head, const char *name, const char *value)
{
    if (!head->strict || name != head->line || value == NULL) {
        head->strict = false;
        return;
    }
    const char *text = name + strlen(name) + 1; /* behind the colon */
    while (text < value && (*text == ' ' || *text == '\t'))
        text++;
    size_t size = strlen(value);
    head->strict = text == value && ends(value + size);
    head->line = value + size + LINE_END;
}

bool http_head_end(const struct http_head *head)
{
    return head->strict && ends(head->line);
}
