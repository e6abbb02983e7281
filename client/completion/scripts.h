/* The completions of three shells, as they are installed; each ends in 0. */
#ifndef CLIENT_COMPLETION_SCRIPTS_H
#define CLIENT_COMPLETION_SCRIPTS_H

extern const char scripts_bash[], scripts_zsh[], scripts_fish[];

#endif
