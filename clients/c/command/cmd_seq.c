#include <inttypes.h>
#include <stdlib.h>

#include "base/sizes.h"
#include "clients/c/command/command.h"
#include "clients/c/command/table.h"

enum { PAGE = 1000 };

enum exit_code cmd_create(struct app *app)
{
    enum exit_code code;
    uint64_t seq = app_option(app, OPT_SEQ)->number;
    struct truekv_created made;
    struct truekv_create how = {
        .model = app_option(app, OPT_MODEL)->text,
        .capacity = app_option(app, OPT_CAPACITY)->number,
        .label = app_option(app, OPT_LABEL)->text,
        .ttl_ms = app_option(app, OPT_TTL_MS)->number,
        .free_on_disconnect = app_option(app, OPT_FREE_ON_DISCONNECT)->given,
    };
    bool named = app->options.n_rest == 1;
    if (named && app_option(app, OPT_SEQ)->given)
        return app_usage(app, "say the sequence's number once: SEQ, or --seq SEQ");
    if (named && !app_rest_number(app, 0, "SEQ", &seq)) return EXIT_USAGE;
    if (named || app_option(app, OPT_SEQ)->given) how.seq = &seq;
    if (!app_connect(app, &code)) return code;
    if (truekv_seq_create(app->kv, &how, &made) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    char bytes[32];
    out_para(&app->out, 0, 0, PLAIN, "",
             "Created sequence %" PRIu64 ": model %s, room for %" PRIu64 " tokens, %s.", made.seq,
             made.model, made.capacity, tkv_format_size(made.bytes, bytes, sizeof bytes));
    if (how.free_on_disconnect)
        out_para(&app->out, 0, 0, DIM, "", "It is gone again: this client's connection ends here.");
    return EXIT_FINE;
}

enum exit_code cmd_truncate(struct app *app)
{
    enum exit_code code;
    uint64_t seq, len;
    if (!app_rest_number(app, 0, "SEQ", &seq)) return EXIT_USAGE;
    if (!app_rest_number(app, 1, "LEN", &len)) return EXIT_USAGE;
    if (!app_connect(app, &code)) return code;
    if (truekv_seq_truncate(app->kv, seq, len, &len) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    char text[48];
    out_para(&app->out, 0, 0, PLAIN, "", "Sequence %" PRIu64 " has %s now.", seq,
             out_plural(len, "token", "tokens", text, sizeof text));
    return EXIT_FINE;
}

static enum exit_code free_list(struct app *app, const struct u64_list *list)
{
    enum exit_code code;
    uint64_t freed;
    if (!app_connect(app, &code)) return code;
    if (truekv_seq_free(app->kv, list->at, list->n, &freed) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    char text[48];
    out_para(&app->out, 0, 0, PLAIN, "", "Freed %s.",
             out_plural(freed, "sequence", "sequences", text, sizeof text));
    return EXIT_FINE;
}

enum exit_code cmd_free(struct app *app)
{
    struct u64_list list = {0};
    const char *text = app->options.rest[0];
    if (!parse_list(text, &list) && list_is_too_long(text))
        return app_usage(app, "\"%s\" names too many sequences: at most %d at once", text,
                         LIST_MAX);
    if (list.at == NULL)
        return app_usage(app, "LIST must be numbers such as 1,2,5-9, not \"%s\"", text);
    enum exit_code code = free_list(app, &list);
    free(list.at);
    return code;
}

/* ---- show ---------------------------------------------------------------------------------- */

/* "layers 0-4: 12 tokens" for each run of layers of one length. */
static void put_layer_lens(struct out *o, const struct truekv_seq *s)
{
    size_t from = 0;
    char text[48];
    for (size_t i = 1; i <= s->n_layer_lens; i++) {
        if (i < s->n_layer_lens && s->layer_lens[i] == s->layer_lens[from]) continue;
        out_plural(s->layer_lens[from], "token", "tokens", text, sizeof text);
        if (i - from == 1)
            out_put(o, PLAIN, "  layer %zu: %s\n", from, text);
        else
            out_put(o, PLAIN, "  layers %zu-%zu: %s\n", from, i - 1, text);
        from = i;
    }
}

static void put_seq(struct out *o, const struct truekv_seq *s)
{
    struct table t;
    char text[32];
    table_init(&t, NULL, 2);
    table_cell(&t, "sequence");
    table_cell(&t, "%" PRIu64, s->seq);
    table_cell(&t, "label");
    table_cell(&t, "%s", s->label != NULL ? s->label : "-");
    table_cell(&t, "model");
    table_cell(&t, "%s", s->model);
    table_cell(&t, "tokens");
    table_cell(&t, "%" PRIu64 " of %" PRIu64 "%s", s->len, s->capacity,
               s->n_layer_lens > 0 ? " (the shortest layer; see below)" : "");
    table_cell(&t, "memory");
    table_cell(&t, "%s on device %" PRId64, tkv_format_size(s->bytes, text, sizeof text),
               s->device);
    table_cell(&t, "appends");
    table_cell(&t, "%s", out_count(s->appends, text, sizeof text));
    table_print(&t, o, 0);
    table_close(&t);
}

enum exit_code cmd_show(struct app *app)
{
    enum exit_code code;
    uint64_t number;
    struct truekv_seq seq;
    if (!app_rest_number(app, 0, "SEQ", &number)) return EXIT_USAGE;
    if (!app_connect(app, &code)) return code;
    if (truekv_seq_info(app->kv, number, &seq) != TRUEKV_OK) return app_failed(app);
    if (app_printed_json(app)) return EXIT_FINE;
    put_seq(&app->out, &seq);
    put_layer_lens(&app->out, &seq);
    return EXIT_FINE;
}

/* ---- list ---------------------------------------------------------------------------------- */

struct listing {
    struct table table;
    uint64_t n, bytes;
    uint64_t left; /* of --limit */
    bool more;
    uint64_t cursor;
};

static void put_row(struct listing *l, const struct truekv_seq *s)
{
    char bytes[32], idle[32], appends[32];
    uint64_t longest = s->len;
    for (size_t i = 0; i < s->n_layer_lens; i++)
        longest = s->layer_lens[i] > longest ? s->layer_lens[i] : longest;
    struct table *t = &l->table;
    table_cell(t, "%" PRIu64, s->seq);
    table_cell(t, "%s", s->model);
    if (longest > s->len) /* in the middle of a step that comes layer by layer */
        table_cell(t, "%" PRIu64 "-%" PRIu64, s->len, longest);
    else
        table_cell(t, "%" PRIu64, s->len);
    table_cell(t, "%" PRIu64, s->capacity);
    table_cell(t, "%s", tkv_format_size(s->bytes, bytes, sizeof bytes));
    table_cell(t, "%s", out_count(s->appends, appends, sizeof appends));
    table_cell(t, "%s", out_duration((double)s->idle_ms / 1000, idle, sizeof idle));
    table_cell(t, "%s", s->label != NULL ? s->label : "");
    l->n++;
    l->bytes += s->bytes;
}

static enum truekv_status take_pages(struct app *app, struct listing *l)
{
    struct truekv_page page = {.more = app_option(app, OPT_CURSOR)->given,
                               .cursor = app_option(app, OPT_CURSOR)->number};
    do {
        const uint64_t *cursor = page.more ? &page.cursor : NULL;
        uint64_t limit = l->left < PAGE ? l->left : PAGE;
        enum truekv_status st = truekv_seq_list(app->kv, cursor, limit, &page);
        if (st != TRUEKV_OK) return st;
        for (size_t i = 0; i < page.n && l->left > 0; i++, l->left--)
            put_row(l, &page.seqs[i]);
    } while (page.more && page.n > 0 && l->left > 0);
    l->more = page.more;
    l->cursor = page.cursor;
    return TRUEKV_OK;
}

static void put_listing(struct app *app, const struct listing *l)
{
    char n[48], bytes[32];
    if (l->n > 0) table_print(&l->table, &app->out, 0);
    if (l->n > 0) fputc('\n', app->out.to);
    if (l->n > 0)
        out_para(&app->out, 0, 0, PLAIN, "", "%s, %s.",
                 out_plural(l->n, "sequence", "sequences", n, sizeof n),
                 tkv_format_size(l->bytes, bytes, sizeof bytes));
    else
        out_para(&app->out, 0, 0, PLAIN, "", "No sequences.");
    if (l->more)
        out_para(&app->out, 0, 0, DIM, "", "There are more: --cursor %" PRIu64 " goes on.",
                 l->cursor);
}

enum exit_code cmd_list(struct app *app)
{
    static const char *const heads[] = {">SEQ",    "MODEL",    ">TOKENS", ">CAPACITY",
                                        ">MEMORY", ">APPENDS", ">IDLE",   "LABEL"};
    enum exit_code code;
    const struct option_value *limit = app_option(app, OPT_LIMIT);
    const struct option_value *cursor = app_option(app, OPT_CURSOR);
    struct truekv_page page;
    struct listing l = {.left = limit->given ? limit->number : UINT64_MAX};
    if (!app_connect(app, &code)) return code;
    if (app_option(app, OPT_JSON)->given) {
        const uint64_t *from = cursor->given ? &cursor->number : NULL;
        if (truekv_seq_list(app->kv, from, limit->number, &page) != TRUEKV_OK)
            return app_failed(app);
        return app_printed_json(app) ? EXIT_FINE : EXIT_NO;
    }
    table_init(&l.table, heads, 8);
    code = take_pages(app, &l) == TRUEKV_OK ? EXIT_FINE : app_failed(app);
    if (code == EXIT_FINE) put_listing(app, &l);
    table_close(&l.table);
    return code;
}
