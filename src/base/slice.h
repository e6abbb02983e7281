/* A thread that works in short bursts and that somebody waits for. */
#ifndef TW_BASE_SLICE_H
#define TW_BASE_SLICE_H

/* Asks for the shortest time slices for the calling thread: when it wakes, it is to run at once, though others of lower
 * priority, or none, are busy on every core. It gets no larger share. Best effort: kernels before 6.12 know no such
 * wish; theirs favours whoever slept. */
void tw_slice_shortest(void);

#endif
