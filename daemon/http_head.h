/* Was the head of a request written as RFC 9112 says, to the byte?
 *
 * libmicrohttpd 0.9.75 takes lines that end in LF alone, cuts values and targets at a zero byte, joins folded lines and
 * skips what it cannot read, all before its callbacks see anything. Each is a way for a proxy in front and this server
 * to disagree about where a request ends. But it parses in place: every name and value is a pointer into the bytes that
 * came, with zeros where the line ends were. So the head is strict exactly if its pieces lie where a strict head has
 * them: "method target version CR LF (name : blanks value CR LF)* CR LF". A piece that was copied lies elsewhere and is
 * refused as well.
 *
 * For the server's thread, while it holds the head.
 */
#ifndef DAEMON_HTTP_HEAD_H
#define DAEMON_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct http_head {
    const char *line; /* where the next line has to begin */
    bool strict;
};

/* The request line. `target` as it came, with its length when it was whole. */
void http_head_begin(struct http_head *head, const char *method, const char *target, size_t target_size,
                     const char *version);
/* The next header. */
void http_head_field(struct http_head *head, const char *name, const char *value);
/* After the last: true if all of it was strict. */
bool http_head_end(const struct http_head *head);

/* False for other versions of the library, whose buffers nobody has looked into; theirs is the judgement then. */
bool http_head_known(void);

#endif
