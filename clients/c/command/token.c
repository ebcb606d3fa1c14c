#include "clients/c/command/token.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *file_of(const struct app *app)
{
    const struct option_value *option = app_option(app, OPT_TOKEN_FILE);
    const char *file = getenv("TRUEKV_TOKEN_FILE");
    if (option->given) return option->text;
    return file != NULL && file[0] != '\0' ? file : NULL;
}

/* As many bytes as there are, size at most; -1: errno says why. */
static long read_file(const char *file, char *to, size_t size)
{
    FILE *from = fopen(file, "rb");
    if (from == NULL) return -1;
    size_t n = fread(to, 1, size, from);
    int error = ferror(from) != 0 ? errno : 0;
    (void)fclose(from);
    errno = error;
    return error == 0 ? (long)n : -1;
}

static const char *trim(const char *text, size_t *n)
{
    for (; *n > 0 && isspace((unsigned char)text[0]) != 0; text++)
        (*n)--;
    while (*n > 0 && isspace((unsigned char)text[*n - 1]) != 0)
        (*n)--;
    return text;
}

bool token_read(struct app *app, char *why, size_t size)
{
    char text[TOKEN_MAX + 64]; /* some room for the ends of lines */
    const char *file = file_of(app), *wrong = NULL;
    if (file == NULL) {
        app->token[0] = '\0';
        return true;
    }
    long got = read_file(file, text, sizeof text);
    size_t n = got > 0 ? (size_t)got : 0;
    const char *token = trim(text, &n);
    if (got < 0)
        wrong = strerror(errno);
    else if (n == 0)
        wrong = "it is empty";
    else if (n > TOKEN_MAX)
        wrong = "it is longer than a token may be";
    else if (memchr(token, '\0', n) != NULL)
        wrong = "it is no text";
    if (wrong != NULL) {
        snprintf(why, size, "cannot take a token from %s: %s", file, wrong);
        return false;
    }
    memcpy(app->token, token, n);
    app->token[n] = '\0';
    return true;
}
