/* The terminal while a view fills it: another screen, no echo, keys one by one.
 *
 * Whatever ends or stops the program, the terminal is as it was before: at terminal_close, on SIGINT and SIGTERM (the
 * loop sees timer_signal and closes), on SIGTSTP (put back, stopped, taken again at SIGCONT), and on signals that end
 * the program at once. There is one terminal, so its state is the file's own.
 */
#ifndef CLIENT_TERMINAL_H
#define CLIENT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Keys beyond the characters of ASCII. */
enum { TERMINAL_NONE = -1, TERMINAL_UP = 256, TERMINAL_DOWN, TERMINAL_LEFT, TERMINAL_RIGHT };

/* True where a view can be shown: stdout is a terminal that moves its cursor. */
bool terminal_able(void);
void terminal_open(void);
void terminal_close(void);

/* True once after the size changed, or after the screen was somebody else's: all has to be drawn again. */
bool terminal_changed(void);
void terminal_size(int *rows, int *columns);
/* False when the terminal has gone. */
bool terminal_write(const char *bytes, size_t size);

/* The next key, TERMINAL_NONE if none comes within so many seconds, or when a signal or a new size did. */
int terminal_key(double seconds);

#endif
