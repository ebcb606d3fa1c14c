#include "clients/c/command/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sizes.h"

const struct option_spec option_specs[OPT_COUNT] = {
#define X(id, name, letter, kind, placeholder, help) \
    [OPT_##id] = {name, placeholder, help, KIND_##kind, letter},
    OPTIONS(X)
#undef X
};

static_assert(OPT_COUNT <= 64, "a set of options is 64 bits");

enum { LONG_BASE = 256 }; /* getopt's values: LONG_BASE + id */

/* What a value of that kind should have looked like. */
static const char *const forms[] = {
    [KIND_FLAG] = "nothing",
    [KIND_TEXT] = "text",
    [KIND_UINT] = "a number such as 12",
    [KIND_COUNT] = "a number such as 12",
    [KIND_SIZE] = "a size such as 4096, 64M or 2G",
    [KIND_LIST] = "numbers such as 1,2,5-9",
    [KIND_NUMBERS] = "finite numbers such as 1,-0.5,2e3 (at most 65536 of them)",
    [KIND_LAYERS] = "layers such as 0:4 (0 to 3) or 7",
    [KIND_DTYPE] = "f16, bf16 or f32",
    [KIND_SECONDS] = "seconds such as 5 or 0.5",
};

static void release(struct option_value *v)
{
    free(v->list.at);
    free(v->numbers.at);
    *v = (struct option_value){0};
}

static bool read_value(enum option_kind kind, const char *text, struct option_value *v)
{
    switch (kind) {
    case KIND_FLAG:
    case KIND_TEXT: return true;
    case KIND_UINT:
    case KIND_COUNT: return parse_u64(text, &v->number);
    case KIND_SIZE: return tkv_parse_size(text, &v->number) == TKV_OK;
    case KIND_LIST: return parse_list(text, &v->list);
    case KIND_NUMBERS: return parse_numbers(text, &v->numbers);
    case KIND_LAYERS: return parse_layers(text, &v->layers);
    case KIND_DTYPE: return truekv_dtype_from_word(text, &v->dtype);
    case KIND_SECONDS: return parse_seconds(text, &v->ms);
    }
    return false;
}

/* What is wrong with a text that read_value() did not take, or with the 0 that it read. */
static bool refuse_value(const struct option_spec *spec, const char *text, bool is_read)
{
    if (is_read)
        fprintf(stderr, "truekv: --%s must be at least 1\n", spec->name);
    else if (spec->kind == KIND_LIST && list_is_too_long(text))
        fprintf(stderr, "truekv: --%s names too many numbers: at most %d\n", spec->name, LIST_MAX);
    else
        fprintf(stderr, "truekv: --%s takes %s, not \"%s\"\n", spec->name, forms[spec->kind], text);
    return false;
}

static bool set(struct options *o, enum option_id id, const char *text)
{
    const struct option_spec *spec = &option_specs[id];
    struct option_value *v = &o->of[id];
    bool from_1 = spec->kind == KIND_COUNT || spec->kind == KIND_SIZE;
    release(v); /* said twice: the last one counts */
    v->given = true;
    v->text = text;
    bool is_read = read_value(spec->kind, text, v);
    if (is_read && !(from_1 && v->number == 0)) return true;
    return refuse_value(spec, text, is_read);
}

/* getopt's tables for the allowed options. letters has room for 2 * OPT_COUNT + 3. */
static void fill_tables(uint64_t allowed, bool stop_at_first, struct option *table, char *letters)
{
    size_t n = 0, at = 0;
    if (stop_at_first) letters[at++] = '+';
    letters[at++] = ':'; /* tells a missing argument from an unknown option */
    for (int i = 0; i < OPT_COUNT; i++) {
        if ((allowed >> i & 1) == 0) continue;
        bool argument = option_specs[i].kind != KIND_FLAG;
        table[n++] = (struct option){
            option_specs[i].name, argument ? required_argument : no_argument, NULL, LONG_BASE + i};
        if (option_specs[i].letter == 0) continue;
        letters[at++] = (char)option_specs[i].letter;
        if (argument) letters[at++] = ':';
    }
    table[n] = (struct option){0};
    letters[at] = '\0';
}

/* The option that getopt's value stands for; OPT_COUNT: none. */
static int id_of(int value)
{
    int id = 0;
    if (value >= LONG_BASE) return value - LONG_BASE;
    while (id < OPT_COUNT && option_specs[id].letter != value)
        id++;
    return id;
}

static bool refuse(int value, const char *word)
{
    if (value == ':')
        fprintf(stderr, "truekv: %s wants something after it\n", word);
    else
        fprintf(stderr, "truekv: there is no option \"%s\" here\n", word);
    return false;
}

bool options_parse(struct options *o, uint64_t allowed, bool stop_at_first, int argc, char **argv)
{
    struct option table[OPT_COUNT + 1];
    char letters[2 * OPT_COUNT + 3];
    int value;
    fill_tables(allowed, stop_at_first, table, letters);
    optind = 0; /* getopt of the GNU library begins anew */
    opterr = 0;
    while ((value = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        int id = id_of(value);
        if (value == '?' || value == ':') return refuse(value, argv[optind - 1]);
        if (id == OPT_COUNT || !set(o, (enum option_id)id, optarg != NULL ? optarg : ""))
            return false;
    }
    o->rest = argv + optind;
    o->n_rest = argc - optind;
    return true;
}

void options_close(struct options *o)
{
    for (int i = 0; i < OPT_COUNT; i++)
        release(&o->of[i]);
}
