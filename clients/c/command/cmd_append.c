#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/sizes.h"
#include "clients/c/command/command.h"
#include "clients/c/command/payload.h"
#include "clients/c/command/table.h"

enum { ROWS_SHOWN = 20 };

/* ---- --random: as many bytes as the models ask for ------------------------------------------ */

/* What a sequence's model asks for. */
struct geometry {
    size_t layers, heads, head_dim;
    enum truekv_dtype dtype;
};

/* The geometry of the model called name, from server.info. */
static enum truekv_status find_model(struct app *app, const char *name, struct geometry *out)
{
    struct truekv_info info;
    enum truekv_status st = truekv_server_info(app->kv, &info);
    for (size_t i = 0; st == TRUEKV_OK && i < info.n_models; i++) {
        const struct truekv_model *m = &info.models[i];
        if (strcmp(m->name, name) != 0) continue;
        *out = (struct geometry){m->n_layers, m->n_kv_heads, m->head_dim, m->dtype};
        break;
    }
    return st;
}

static enum truekv_status geometry_of(struct app *app, uint64_t seq, struct geometry *out)
{
    struct truekv_seq info;
    char model[256];
    enum truekv_status st = truekv_seq_info(app->kv, seq, &info);
    if (st != TRUEKV_OK) return st;
    snprintf(model, sizeof model, "%s", info.model); /* the next call forgets it */
    return find_model(app, model, out);
}

static bool elements_of(const struct geometry *g, const struct truekv_append *a, size_t i,
                        size_t *out)
{
    size_t layers = a->layers.end > 0 ? a->layers.end - a->layers.begin : g->layers;
    size_t tokens = a->tokens != NULL ? a->tokens[i] : 1;
    size_t factors[] = {layers, 2, g->heads, tokens, g->head_dim};
    return tkv_mul_all(factors, 5, out);
}

/* All items' data, one stream of the generator; where the models' dtypes differ it is f32. */
static enum exit_code make_up(struct app *app, struct truekv_append *a, struct payload *p)
{
    uint64_t state = payload_seed(app_option(app, OPT_RANDOM)->number);
    struct geometry *g = calloc(a->m, sizeof g[0]);
    enum exit_code code = EXIT_FINE;
    enum truekv_dtype dtype = a->dtype;
    if (g == NULL) return app_usage(app, "no memory for %zu sequences", a->m);
    for (size_t i = 0; code == EXIT_FINE && i < a->m; i++) {
        if (geometry_of(app, a->seqs[i], &g[i]) != TRUEKV_OK)
            code = app_failed(app);
        else if (g[i].dtype == TRUEKV_DTYPE_CACHE)
            code = app_usage(app, "the daemon does not say what model sequence %" PRIu64 " has",
                             a->seqs[i]);
        if (g[i].dtype != g[0].dtype && a->dtype == TRUEKV_DTYPE_CACHE) dtype = TRUEKV_F32;
    }
    if (dtype == TRUEKV_DTYPE_CACHE) dtype = g[0].dtype;
    for (size_t i = 0; code == EXIT_FINE && i < a->m; i++) {
        size_t n;
        if (!elements_of(&g[i], a, i, &n) || !payload_make(p, &state, n, dtype))
            code = app_usage(app, "so many tokens do not fit into this program's memory");
    }
    if (dtype != g[0].dtype) a->dtype = dtype;
    free(g);
    return code;
}

/* ---- append -------------------------------------------------------------------------------- */

/* One number for all, or one for each sequence. NULL where the option is not given; *fine turns
 * false where it does not match. The list is owned by `owner` then. */
static const uint64_t *one_for_each(struct app *app, enum option_id id, size_t m,
                                    struct u64_list *owner, bool *fine)
{
    const struct option_value *v = app_option(app, id);
    if (!v->given || v->list.n == m) return v->list.at;
    if (v->list.n != 1) {
        char sequences[48];
        app_usage(app, "--%s has %zu numbers for %s", option_specs[id].name, v->list.n,
                  out_plural(m, "sequence", "sequences", sequences, sizeof sequences));
        *fine = false;
        return NULL;
    }
    owner->at = malloc(m * sizeof(uint64_t));
    *fine = *fine && owner->at != NULL;
    for (size_t i = 0; owner->at != NULL && i < m; i++)
        owner->at[i] = v->list.at[0];
    return owner->at;
}

static void put_appended(struct app *app, const struct truekv_append *a, const uint64_t *lens,
                         uint64_t batch, size_t bytes)
{
    static const char *const heads[] = {">SEQ", ">TOKENS NOW"};
    char sequences[48], size[32] = "numbers";
    struct table t;
    if (bytes > 0) tkv_format_size(bytes, size, sizeof size);
    out_para(&app->out, 0, 0, PLAIN, "", "Appended %s to %s in batch %" PRIu64 ".", size,
             out_plural(a->m, "sequence", "sequences", sequences, sizeof sequences), batch);
    table_init(&t, heads, 2);
    for (size_t i = 0; i < a->m && i < ROWS_SHOWN; i++) {
        table_cell(&t, "%" PRIu64, a->seqs[i]);
        table_cell(&t, "%" PRIu64, lens[i]);
    }
    table_print(&t, &app->out, 2);
    table_close(&t);
    if (a->m > ROWS_SHOWN)
        out_para(&app->out, 2, 2, DIM, "", "and %zu more (--json prints all)", a->m - ROWS_SHOWN);
}

static enum exit_code send_append(struct app *app, const struct truekv_append *a)
{
    uint64_t batch, *lens = calloc(a->m, sizeof lens[0]);
    enum exit_code code = EXIT_FINE;
    if (lens == NULL) return app_usage(app, "no memory for %zu sequences", a->m);
    if (truekv_seq_append(app->kv, a, lens, &batch) != TRUEKV_OK)
        code = app_failed(app);
    else if (!app_printed_json(app))
        put_appended(app, a, lens, batch, a->n_blocks > 0 ? a->blocks[0].bytes : 0);
    free(lens);
    return code;
}

/* The data from where the command line says, then the append. */
static enum exit_code load_and_send(struct app *app, const struct truekv_append *asked)
{
    struct truekv_append a = *asked;
    struct payload p = {0};
    enum exit_code code = EXIT_FINE;
    const struct option_value *data = app_option(app, OPT_DATA);
    if (data->given && !payload_read(app, data->text, &p)) return EXIT_USAGE;
    if (!app_connect(app, &code)) {
        payload_close(&p);
        return code;
    }
    if (app_option(app, OPT_RANDOM)->given) code = make_up(app, &a, &p);
    struct truekv_block block = {p.data, p.bytes};
    if (p.bytes > 0) {
        a.blocks = &block;
        a.n_blocks = 1;
    }
    if (code == EXIT_FINE) code = send_append(app, &a);
    payload_close(&p);
    return code;
}

enum exit_code cmd_append(struct app *app)
{
    const struct option_value *seqs = app_option(app, OPT_SEQS);
    const struct option_value *values = app_option(app, OPT_VALUES);
    int sources =
        app_option(app, OPT_DATA)->given + app_option(app, OPT_RANDOM)->given + values->given;
    struct u64_list pos = {0}, tokens = {0};
    bool fine = true;
    if (!seqs->given) return app_usage(app, "say which sequences: --seqs 1,2");
    if (sources != 1)
        return app_usage(app, "say where the data come from, by one of --data FILE (- is standard "
                              "input), --random SEED and --values 1,2,3");
    struct truekv_append a = {
        .m = seqs->list.n,
        .seqs = seqs->list.at,
        .layers = app_option(app, OPT_LAYERS)->layers,
        .dtype = app_option(app, OPT_DTYPE)->dtype,
        .values = values->numbers.at,
        .n_values = values->numbers.n,
    };
    a.pos = one_for_each(app, OPT_POS, a.m, &pos, &fine);
    a.tokens = one_for_each(app, OPT_TOKENS, a.m, &tokens, &fine);
    enum exit_code code = fine ? load_and_send(app, &a) : EXIT_USAGE;
    free(pos.at);
    free(tokens.at);
    return code;
}
