#include "clients/c/command/watch/screen.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 79, PLAIN_ROWS = 30, PLAIN_COLUMNS = 100, FRAME_BYTES = 1 << 16 };

/* The other screen, no cursor, no wrapping of long lines; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

/* ---- The terminal -------------------------------------------------------------------------- */

/* The last column stays free: to erase behind a character that stands there is to erase it. */
static void measure(struct screen *s)
{
    struct winsize size;
    s->rows = s->terminal ? ROWS : PLAIN_ROWS;
    s->columns = s->terminal ? COLUMNS : PLAIN_COLUMNS;
    if (!s->terminal || ioctl(fileno(s->to), TIOCGWINSZ, &size) < 0) return;
    if (size.ws_row > 0) s->rows = size.ws_row;
    if (size.ws_col > 1) s->columns = size.ws_col - 1U;
}

/* Keys come one by one and unseen; Ctrl-C and its like stay signals. */
static void take_keys(struct screen *s)
{
    s->has_mode = tcgetattr(STDIN_FILENO, &s->old_mode) == 0;
    s->keys = false;
    if (!s->has_mode) return;
    struct termios mode = s->old_mode;
    mode.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    s->keys = tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

static void enter(struct screen *s)
{
    take_keys(s);
    fputs(ENTER, s->to);
    (void)fflush(s->to);
    s->entered = true;
}

static void leave(struct screen *s)
{
    if (!s->entered) return;
    s->entered = false;
    fputs(LEAVE, s->to);
    (void)fflush(s->to);
    if (s->has_mode) (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->old_mode);
}

static bool take_signals(struct screen *s)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaddset(&set, taken[i]);
    if (sigprocmask(SIG_BLOCK, &set, &s->old_mask) < 0) return false;
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0;
}

bool screen_open(struct screen *s, FILE *to)
{
    const char *term = getenv("TERM");
    bool dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
    *s = (struct screen){.to = to, .signals = -1};
    s->terminal = !dumb && isatty(fileno(to)) == 1;
    measure(s);
    if (!s->terminal) return true;
    if (!take_signals(s)) return false;
    (void)setvbuf(to, NULL, _IOFBF, FRAME_BYTES); /* one write a picture */
    enter(s);
    return true;
}

void screen_close(struct screen *s)
{
    leave(s);
    if (s->signals < 0) return;
    close(s->signals);
    s->signals = -1;
    if (s->killed_by != 0) (void)raise(s->killed_by); /* pending until the mask is back */
    (void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

/* ---- Events -------------------------------------------------------------------------------- */

/* Stops as one expects it of Ctrl-Z: the shell gets its terminal as it was. SIGCONT, which has come
 * once this returns, takes it again. */
static void stop(struct screen *s)
{
    leave(s);
    (void)kill(getpid(), SIGSTOP);
}

static enum screen_event take_signal(struct screen *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info) return SCREEN_REDRAW;
    switch ((int)info.ssi_signo) {
    case SIGWINCH: break;
    case SIGTSTP: stop(s); break;
    case SIGCONT:
        leave(s); /* whoever had the terminal meanwhile may have changed its mode */
        enter(s);
        break;
    case SIGINT: return SCREEN_QUIT; /* Ctrl-C is how one ends it, as is q */
    default: s->killed_by = (int)info.ssi_signo; return SCREEN_QUIT;
    }
    measure(s);
    return SCREEN_REDRAW;
}

static bool take_key(struct screen *s)
{
    char keys[32];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) s->keys = false;
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q') return true;
    }
    return false;
}

enum screen_event screen_wait(struct screen *s, int fd, int timeout_ms)
{
    struct pollfd p[] = {
        {s->signals, POLLIN, 0}, {s->keys ? STDIN_FILENO : -1, POLLIN, 0}, {fd, POLLIN, 0}};
    int n = poll(p, sizeof p / sizeof p[0], timeout_ms);
    if (n <= 0) return SCREEN_TIME;
    if (p[0].revents != 0) return take_signal(s);
    if (p[1].revents != 0 && take_key(s)) return SCREEN_QUIT;
    return p[2].revents != 0 ? SCREEN_READABLE : SCREEN_REDRAW;
}

/* ---- Drawing ------------------------------------------------------------------------------- */

/* Each line erases what the old one has to its right, the last one what is below: nothing that
 * stays is ever gone, so nothing flickers. */
static void draw_over(struct screen *s, const char *text, size_t len)
{
    fputs("\033[H", s->to);
    for (const char *end; len > 0; len -= (size_t)(end - text) + 1, text = end + 1) {
        end = memchr(text, '\n', len);
        assert(end != NULL);
        fwrite(text, 1, (size_t)(end - text), s->to);
        fputs((size_t)(end - text) + 1 < len ? "\033[K\r\n" : "\033[K\033[J", s->to);
    }
}

bool screen_draw(struct screen *s, const char *text, size_t len)
{
    if (s->terminal && !s->entered) return true; /* another has the terminal */
    if (s->terminal) {
        draw_over(s, text, len);
    } else {
        if (s->frames > 0) fputc('\n', s->to);
        fwrite(text, 1, len, s->to);
    }
    s->frames++;
    return fflush(s->to) == 0 && ferror(s->to) == 0;
}
