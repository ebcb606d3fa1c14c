#include "docs/man/man.h"

#include <stdio.h>
#include <string.h>

#include "daemon/settings.h"

enum { VALUE_BYTES = 256 };

/* "auto|cuda|cpu" as "auto, cuda or cpu", each quoted. */
static void put_words(const char *words)
{
    for (;;) {
        size_t n = strcspn(words, "|");
        printf("\"%.*s\"", (int)n, words);
        words += n;
        if (*words++ == '\0') return;
        fputs(strchr(words, '|') != NULL ? ", " : " or ", stdout);
    }
}

static void put_range(const struct tkv_setting *s)
{
    char least[VALUE_BYTES], most[VALUE_BYTES];
    tkv_setting_format(s, s->min, least, sizeof least);
    tkv_setting_format(s, s->max, most, sizeof most);
    printf(" from %s to %s", least, most);
}

/* What may stand there: "A whole number from 1 to 4096". */
static void put_kind(const struct tkv_setting *s)
{
    switch (s->kind) {
    case TKV_SETTING_COUNT: fputs("A whole number", stdout); break;
    case TKV_SETTING_SIZE: fputs("Bytes", stdout); break;
    case TKV_SETTING_FLAG: fputs("Either true or false", stdout); return;
    case TKV_SETTING_PART: fputs("A number", stdout); break;
    case TKV_SETTING_WORD: put_words(s->words); return;
    case TKV_SETTING_LIST: fputs("A list", stdout); return;
    default: fputs("Text", stdout); return;
    }
    put_range(s);
}

static void put_fallback(const struct tkv_setting *s)
{
    char value[VALUE_BYTES];
    tkv_setting_format(s, s->fallback, value, sizeof value);
    bool quoted = s->kind == TKV_SETTING_WORD; /* of a TEXT it is there */
    fputs(value[0] != '\0' ? "; default " : "; none by default", stdout);
    if (quoted) putchar('"');
    man_put_text(value, strlen(value), false);
    if (quoted) putchar('"');
}

static void put_setting(const struct tkv_setting *s, bool of_model)
{
    man_put_tag(s->key, strlen(s->key));
    man_put_line(s->meaning);
    fputs(".br\n", stdout);
    put_kind(s);
    if (!of_model) put_fallback(s);
    puts(s->live ? ". A reload changes it." : ".");
}

void man_put_models(void)
{
    for (const struct tkv_setting *s = tkv_model_settings; s->key != NULL; s++)
        put_setting(s, true);
}

/* Those of one group stand together, under its name. */
void man_put_settings(void)
{
    const char *group = "";
    size_t n = 0;
    for (const struct tkv_setting *s = tkv_settings; s->key != NULL; s++) {
        const char *dot = strchr(s->key, '.');
        size_t m = dot != NULL ? (size_t)(dot - s->key) : 0;
        if (m > 0 && (m != n || strncmp(group, s->key, n) != 0)) {
            group = s->key;
            n = m;
            printf(".SS %.*s\n", (int)n, group);
        }
        put_setting(s, false);
    }
}
