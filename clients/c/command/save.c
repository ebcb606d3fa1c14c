#include "clients/c/command/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* As open() would make it: mkstemp() lets nobody else read. */
static bool open_to_others(int fd)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    return fchmod(fd, 0666 & ~mask) == 0;
}

static bool write_beside(const char *path, const char *text, size_t bytes)
{
    size_t room = strlen(path) + sizeof ".XXXXXX";
    char *beside = malloc(room);
    if (beside == NULL) return false;
    snprintf(beside, room, "%s.XXXXXX", path);
    int fd = mkstemp(beside);
    bool fine = fd >= 0 && open_to_others(fd) && write_all(fd, text, bytes) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) fine = false;
    if (fine) fine = rename(beside, path) == 0;
    int why = errno;
    if (fd >= 0 && !fine) (void)unlink(beside);
    free(beside);
    errno = why;
    return fine;
}

static bool write_into(const char *path, const char *text, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool fine = fd >= 0 && write_all(fd, text, bytes);
    if (fd >= 0 && close(fd) != 0) fine = false;
    return fine;
}

/* What a link points to is replaced, not the link. */
static bool write_regular(const char *path, const char *text, size_t bytes)
{
    char *target = realpath(path, NULL);
    bool fine = write_beside(target != NULL ? target : path, text, bytes);
    int why = errno;
    free(target);
    errno = why;
    return fine;
}

bool save_file(struct app *app, const char *path, const char *text, size_t bytes)
{
    struct stat there;
    bool other = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    bool fine = other ? write_into(path, text, bytes) : write_regular(path, text, bytes);
    if (!fine) app_usage(app, "cannot write %s: %s", path, strerror(errno));
    return fine;
}
