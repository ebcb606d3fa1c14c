/* screen.h - the terminal: a picture drawn over the one before, keys, and signals that arrive as
 * events, so that it is left as it was found. Plain frames, one after the other, where standard
 * output is no terminal. One thread, one screen. */
#ifndef TRUEKV_COMMAND_WATCH_SCREEN_H
#define TRUEKV_COMMAND_WATCH_SCREEN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <termios.h>

struct screen {
    FILE *to;               /* borrowed */
    bool terminal;          /* else plain frames */
    bool keys;              /* standard input is a terminal, and its keys come here */
    bool entered;           /* the terminal is in use now */
    bool has_mode;          /* old_mode is to be restored */
    int signals;            /* signalfd; -1: none */
    int killed_by;          /* after SCREEN_QUIT: the signal to die of; 0: none */
    size_t frames;          /* drawn */
    unsigned rows, columns; /* to draw on */
    sigset_t old_mask;
    struct termios old_mode;
};

enum screen_event {
    SCREEN_TIME,     /* the time is up */
    SCREEN_READABLE, /* the descriptor is */
    SCREEN_REDRAW,   /* the size has changed, or the terminal is back */
    SCREEN_QUIT
};

/* Takes the terminal where `to` is one, and no dumb one. false: errno says why not. */
bool screen_open(struct screen *s, FILE *to);

/* Gives it back. Then, where a signal ended it, dies of that signal. */
void screen_close(struct screen *s);

/* Waits for what comes first. fd -1: none. */
enum screen_event screen_wait(struct screen *s, int fd, int timeout_ms);

/* Draws lines, each with its newline, over what is there. false: it cannot be written. */
bool screen_draw(struct screen *s, const char *text, size_t len);

#endif
