/* What stands around the picture of a twin: names and state above it, keys below; and the text that explains it. */
#ifndef CLIENT_VIEW_EDGES_H
#define CLIENT_VIEW_EDGES_H

#include <jansson.h>

#include "client/output.h"
#include "client/view.h"

enum { VIEW_TEXT = 128 };

/* A line of names where there are several, and three of state. */
void view_edges_top(const struct view *view, struct frame *frame);
/* The keys, in the last row. */
void view_edges_bottom(const struct view *view, struct frame *frame);
void view_edges_help(struct frame *frame);

/* A member as a table shows it; and the local time of a day of an RFC 3339 stamp. */
const char *view_edges_cell(const json_t *object, const char *path, enum output_kind kind, char out[VIEW_TEXT]);
void view_edges_clock(const char *stamp, char out[VIEW_TEXT]);

#endif
