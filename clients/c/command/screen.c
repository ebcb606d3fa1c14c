#include "clients/c/command/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define ESC   "\x1b"
#define ENTER ESC "[?1049h" ESC "[?25l" /* the alternate screen; no cursor */
#define LEAVE ESC "[?25h" ESC "[?1049l"

enum { WIDTH = 80, HEIGHT = 24 };

/* The terminal's, for whoever ends the process; there is one terminal. */
static struct termios before;
static volatile sig_atomic_t taken, keys_taken;

static void give_back(void)
{
    if (!taken) return;
    taken = 0;
    ssize_t ignored = write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
    (void)ignored;
    if (keys_taken) (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    keys_taken = 0;
}

static void measure(struct screen *s)
{
    struct winsize size;
    s->width = WIDTH;
    s->height = HEIGHT;
    if (!s->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return;
    if (size.ws_col > 0) s->width = size.ws_col;
    if (size.ws_row > 0) s->height = size.ws_row;
}

/* A signal that only has to end a wait. */
static void on_resize(int number)
{
    (void)number;
}

static void take_keys(struct screen *s)
{
    if (isatty(STDIN_FILENO) != 1 || tcgetattr(STDIN_FILENO, &before) != 0) return;
    struct termios raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO); /* ISIG stays: Ctrl-C is a signal */
    s->raw = tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0;
    keys_taken = s->raw;
}

void screen_open(struct screen *s)
{
    struct sigaction resize = {.sa_handler = on_resize};
    *s = (struct screen){.terminal = isatty(STDOUT_FILENO) == 1};
    measure(s);
    if (!s->terminal) return;
    taken = 1;
    (void)atexit(give_back);
    take_keys(s);
    sigaction(SIGWINCH, &resize, NULL);
    fputs(ENTER, stdout);
}

void screen_close(struct screen *s)
{
    (void)fflush(stdout);
    give_back();
    s->raw = false;
}

/* The bytes of a line that fill so many columns. */
static size_t cut(const char *line, size_t n, unsigned width)
{
    unsigned columns = 0;
    for (size_t i = 0; i < n; i++) {
        if (line[i] == '\x1b') { /* up to its letter */
            while (i + 1 < n && strchr("mK", line[i + 1]) == NULL)
                i++;
            i++;
            continue;
        }
        if (((unsigned char)line[i] & 0xc0) == 0x80) continue; /* more of the same character */
        if (columns++ == width) return i;
    }
    return n;
}

/* From the top, each line over the old one: nothing flickers. */
void screen_draw(struct screen *s, const char *frame)
{
    measure(s);
    if (!s->terminal) {
        printf("%s\n", frame);
        (void)fflush(stdout);
        return;
    }
    fputs(ESC "[H", stdout);
    for (unsigned row = 0; *frame != '\0' && row < s->height; row++) {
        size_t n = strcspn(frame, "\n");
        printf("%s%.*s" ESC "[0m" ESC "[K", row > 0 ? "\r\n" : "", (int)cut(frame, n, s->width),
               frame);
        frame += n + (frame[n] == '\n');
    }
    fputs(ESC "[J", stdout);
    (void)fflush(stdout);
}

int screen_key(struct screen *s, unsigned long long at_ns)
{
    struct pollfd keys = {.fd = s->raw ? STDIN_FILENO : -1, .events = POLLIN};
    unsigned long long now = tkv_now_ns();
    unsigned char key;
    if (now >= at_ns) return 0;
    if (poll(&keys, 1, (int)((at_ns - now) / 1000000) + 1) != 1) return 0;
    if (read(STDIN_FILENO, &key, 1) == 1) return key;
    s->raw = false; /* nobody types there any more */
    return 0;
}
