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

static bool refuse(struct app *app, const char *file, const char *why)
{
    app_usage(app, "cannot take a token from %s: %s", file, why);
    return false;
}

bool token_read(struct app *app)
{
    char text[TOKEN_MAX + 64]; /* some room for the end of its line */
    const char *file = file_of(app);
    app->token[0] = '\0';
    if (file == NULL) return true;
    FILE *from = fopen(file, "rb");
    if (from == NULL) return refuse(app, file, strerror(errno));
    size_t n = fread(text, 1, sizeof text, from);
    int error = ferror(from) != 0 ? errno : 0;
    (void)fclose(from);
    if (error != 0) return refuse(app, file, strerror(error));
    while (n > 0 && isspace((unsigned char)text[n - 1]) != 0)
        n--;
    if (n == 0) return refuse(app, file, "it is empty");
    if (n > TOKEN_MAX) return refuse(app, file, "it is longer than a token may be");
    if (memchr(text, '\0', n) != NULL) return refuse(app, file, "it is no text");
    memcpy(app->token, text, n);
    app->token[n] = '\0';
    return true;
}
