/* screen.h - a terminal that is drawn over and over, and given back as it was. One thread; at most
 * one at a time. */
#ifndef TRUEKV_COMMAND_SCREEN_H
#define TRUEKV_COMMAND_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

struct screen {
    bool terminal; /* false: frames go out one after the other, as they are */
    bool raw;      /* keys are read one by one */
    unsigned width, height;
};

/* Takes the terminal of stdout and stdin, where they are one: the alternate screen, no cursor, keys
 * unseen. screen_close() gives it back, and so does the end of the process by exit(). */
void screen_open(struct screen *s);
void screen_close(struct screen *s);

/* Draws a frame: lines of text, cut where the terminal ends. Escapes for colours do not count. */
void screen_draw(struct screen *s, const char *frame);

/* Waits for a key until at_ns, as tkv_now_ns(); 0: there was none (or a signal came). */
int screen_key(struct screen *s, unsigned long long at_ns);

#endif
