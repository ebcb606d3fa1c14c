#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/dtype.h"
#include "base/sizes.h"
#include "clients/c/command/command.h"
#include "clients/c/command/payload.h"
#include "clients/c/command/table.h"
#include "clients/c/json_out.h"

enum { ROWS_SHOWN = 16, VALUES_SHOWN = 6, REQUEST_MAX = 4096 };

/* A row of the block, and where it belongs. */
struct row {
    uint64_t layer, kv, head, token;
};

static struct row row_of(const struct truekv_rows *r, uint64_t i)
{
    struct row row;
    row.token = i % r->tokens;
    row.head = i / r->tokens % r->n_kv_heads;
    row.kv = i / r->tokens / r->n_kv_heads % 2;
    row.layer = i / r->tokens / r->n_kv_heads / 2;
    return row;
}

/* With the points below each other where sizes allow. */
static void put_value(struct table *t, double value)
{
    double size = fabs(value);
    bool plain = size == 0 || (size >= 1e-4 && size < 1e5);
    table_cell(t, plain ? "%.5f" : "%.3g", value);
}

static void put_row(struct table *t, const struct truekv_rows *r, const struct truekv_read *asked,
                    uint64_t i)
{
    struct row row = row_of(r, i);
    table_cell(t, "%" PRIu64, asked->layers.begin + row.layer);
    table_cell(t, "%c", row.kv == 0 ? 'K' : 'V');
    table_cell(t, "%" PRIu64, row.head);
    table_cell(t, "%" PRIu64, asked->pos + row.token);
    for (size_t d = 0; d < VALUES_SHOWN; d++) {
        if (d < r->head_dim)
            put_value(t,
                      (double)tkv_element(r->data, payload_dtype(r->dtype), i * r->head_dim + d));
        else
            table_cell(t, "%s", "");
    }
    table_cell(t, "%s", r->head_dim > VALUES_SHOWN ? "..." : "");
}

static void put_values(struct out *o, const struct truekv_rows *r, const struct truekv_read *asked)
{
    static const char *const heads[] = {">LAYER", "K|V",  ">HEAD", ">POS", ">[0]", ">[1]",
                                        ">[2]",   ">[3]", ">[4]",  ">[5]", ""};
    uint64_t rows = (uint64_t)r->layers * 2 * r->n_kv_heads * r->tokens;
    struct table t;
    char more[48];
    table_init(&t, heads, sizeof heads / sizeof heads[0]);
    for (uint64_t i = 0; i < rows && i < ROWS_SHOWN; i++)
        put_row(&t, r, asked, i);
    table_print(&t, o, 0);
    table_close(&t);
    if (rows <= ROWS_SHOWN) return;
    out_para(o, 0, 0, DIM, "",
             "and %s (--layers, --pos and --tokens choose others, --out FILE writes all)",
             out_plural(rows - ROWS_SHOWN, "more row", "more rows", more, sizeof more));
}

static void put_read(struct app *app, const struct truekv_rows *r, const struct truekv_read *asked)
{
    char size[32];
    struct out *o = &app->out;
    if (r->bytes == 0) {
        out_para(o, 0, 0, PLAIN, "", "Sequence %" PRIu64 " has no tokens there.", asked->seq);
        return;
    }
    out_para(o, 0, 0, PLAIN, "",
             "Sequence %" PRIu64 ", positions %" PRIu64 " to %" PRIu64
             ": [layers %u][K, V][heads %u][tokens %" PRIu64 "][dim %u] of %s, %s.",
             asked->seq, asked->pos, asked->pos + r->tokens - 1, r->layers, r->n_kv_heads,
             r->tokens, r->head_dim, truekv_dtype_word(r->dtype),
             tkv_format_size(r->bytes, size, sizeof size));
    fputc('\n', o->to);
    put_values(o, r, asked);
}

/* With --json the answer is one line, so the data come inside it. */
static enum exit_code read_json(struct app *app, const struct truekv_read *r)
{
    struct tkv_buffer b;
    struct tkc_json j;
    const uint64_t range[2] = {r->layers.begin, r->layers.end};
    tkv_buffer_init(&b, REQUEST_MAX);
    tkc_json_init(&j, &b);
    tkc_json_open(&j, '{');
    tkc_json_put_uint(&j, "seq", r->seq);
    if (r->layers.end > 0) tkc_json_put_list(&j, "layers", range, 2);
    tkc_json_put_uint(&j, "pos", r->pos);
    if (r->tokens > 0) tkc_json_put_uint(&j, "tokens", r->tokens);
    if (r->dtype != TRUEKV_DTYPE_CACHE)
        tkc_json_put_string(&j, "dtype", truekv_dtype_word(r->dtype));
    tkc_json_put_string(&j, "encoding", "base64");
    tkc_json_close(&j, '}');
    tkv_buffer_append(&b, "", 1);
    struct truekv_request request = {.method = "seq.read", .params = (const char *)b.data};
    enum truekv_status st = truekv_call(app->kv, &request, NULL);
    tkv_buffer_close(&b);
    if (st != TRUEKV_OK) return app_failed(app);
    (void)app_printed_json(app);
    return EXIT_FINE;
}

static enum exit_code write_out(struct app *app, const struct truekv_rows *rows, const char *file)
{
    char size[32];
    if (!payload_write(app, file, rows->data, rows->bytes)) return EXIT_USAGE;
    if (file[0] == '-' && file[1] == '\0') return EXIT_FINE;
    if (app_printed_json(app)) return EXIT_FINE;
    out_para(&app->out, 0, 0, PLAIN, "", "Wrote %s to %s: [%u][2][%u][%" PRIu64 "][%u] of %s.",
             tkv_format_size(rows->bytes, size, sizeof size), file, rows->layers, rows->n_kv_heads,
             rows->tokens, rows->head_dim, truekv_dtype_word(rows->dtype));
    return EXIT_FINE;
}

/* A list option that takes one number here. */
static bool single(struct app *app, enum option_id id, uint64_t *out)
{
    const struct option_value *v = app_option(app, id);
    *out = v->given ? v->list.at[0] : 0;
    if (v->list.n <= 1) return true;
    app_usage(app, "--%s takes one number here", option_specs[id].name);
    return false;
}

enum exit_code cmd_read(struct app *app)
{
    enum exit_code code;
    struct truekv_rows rows;
    struct truekv_read r = {.layers = app_option(app, OPT_LAYERS)->layers,
                            .dtype = app_option(app, OPT_DTYPE)->dtype};
    const struct option_value *file = app_option(app, OPT_OUT);
    if (!app_rest_number(app, 0, "SEQ", &r.seq)) return EXIT_USAGE;
    if (!single(app, OPT_POS, &r.pos) || !single(app, OPT_TOKENS, &r.tokens)) return EXIT_USAGE;
    if (app_option(app, OPT_TOKENS)->given && r.tokens == 0)
        return app_usage(app, "--tokens must be at least 1");
    if (!app_connect(app, &code)) return code;
    if (app_option(app, OPT_JSON)->given && !file->given) return read_json(app, &r);
    if (truekv_seq_read(app->kv, &r, NULL, 0, &rows) != TRUEKV_OK) return app_failed(app);
    if (file->given) return write_out(app, &rows, file->text);
    put_read(app, &rows, &r);
    return EXIT_FINE;
}
