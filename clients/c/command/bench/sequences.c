#include "clients/c/command/bench/sequences.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "clients/c/command/json_in.h"
#include "clients/c/command/payload.h"
#include "clients/c/json_out.h"

enum { WINDOW = 64, PARAMS_BYTES_MAX = 1 << 12 }; /* WINDOW: requests in flight */

/* ---- Creating ------------------------------------------------------------------------------ */

/* The params, as text that ends with a NUL. false: no memory. */
static bool make_params(const struct bench_plan *plan, struct tkv_buffer *b)
{
    struct tkc_json j;
    tkv_buffer_init(b, PARAMS_BYTES_MAX);
    tkc_json_init(&j, b);
    tkc_json_open(&j, '{');
    tkc_json_put_string(&j, "model", plan->model);
    tkc_json_put_uint(&j, "capacity", plan->capacity);
    tkc_json_put_string(&j, "label", "truekv bench");
    tkc_json_put_string(&j, "on_disconnect", "free");
    tkc_json_close(&j, '}');
    tkv_buffer_append(b, "", 1);
    return tkv_buffer_status(b) == TKV_OK;
}

static enum truekv_status take_created(struct app *app, uint64_t ticket, uint64_t *seq)
{
    struct truekv_answer answer;
    enum truekv_status st = truekv_wait(app->kv, ticket, &answer);
    if (st != TRUEKV_OK) return st;
    cJSON *result = cJSON_Parse(answer.json);
    *seq = json_count(result, "seq");
    cJSON_Delete(result);
    return TRUEKV_OK;
}

static enum truekv_status create_all(struct app *app, const char *params, uint64_t n,
                                     uint64_t *seqs)
{
    struct truekv_request request = {.method = "seq.create", .params = params};
    uint64_t tickets[WINDOW], sent = 0;
    enum truekv_status st = TRUEKV_OK;
    for (uint64_t i = 0; st == TRUEKV_OK && i < n; i++) {
        for (; st == TRUEKV_OK && sent < n && sent < i + WINDOW; sent++)
            st = truekv_submit(app->kv, &request, &tickets[sent % WINDOW]);
        if (st == TRUEKV_OK) st = take_created(app, tickets[i % WINDOW], &seqs[i]);
    }
    return st;
}

/* ---- Tokens to read ------------------------------------------------------------------------ */

static enum truekv_status fill_all(struct app *app, const struct bench_plan *plan,
                                   const uint64_t *seqs, const struct payload *p)
{
    struct truekv_block block = {p->data, p->bytes};
    uint64_t tokens = plan->tokens;
    enum truekv_status st = TRUEKV_OK;
    for (uint64_t i = 0; st == TRUEKV_OK && i < plan->sequences; i++) {
        struct truekv_append a = {.m = 1,
                                  .seqs = &seqs[i],
                                  .tokens = &tokens,
                                  .layers = plan->layers,
                                  .dtype = plan->dtype,
                                  .blocks = &block,
                                  .n_blocks = 1};
        st = truekv_seq_append(app->kv, &a, NULL, NULL);
    }
    return st;
}

static enum exit_code fill(struct app *app, const struct bench_plan *plan, const uint64_t *seqs)
{
    struct payload p = {0};
    uint64_t state = payload_seed(1);
    enum exit_code code = EXIT_FINE;
    size_t n = plan->request_bytes / truekv_dtype_bytes(plan->data_dtype);
    if (!payload_make(&p, &state, n, plan->data_dtype))
        code = app_usage(app, "no memory for the data");
    else if (fill_all(app, plan, seqs, &p) != TRUEKV_OK)
        code = app_failed(app);
    payload_close(&p);
    return code;
}

enum exit_code bench_sequences_make(struct app *app, const struct bench_plan *plan, uint64_t **seqs)
{
    struct tkv_buffer params;
    enum exit_code code = EXIT_FINE;
    uint64_t *made = calloc((size_t)plan->sequences + 1, sizeof made[0]);
    if (!make_params(plan, &params) || made == NULL)
        code = app_usage(app, "no memory for so many sequences");
    else if (create_all(app, (const char *)params.data, plan->sequences, made) != TRUEKV_OK)
        code = app_failed(app);
    else if (plan->method == BENCH_READ)
        code = fill(app, plan, made);
    tkv_buffer_close(&params);
    if (code == EXIT_FINE)
        *seqs = made;
    else
        free(made);
    return code;
}

/* ---- Are they right? ----------------------------------------------------------------------- */

enum exit_code bench_sequences_check(struct app *app, const struct bench_plan *plan,
                                     const uint64_t *seqs, struct bench_check *out)
{
    size_t m = plan->sequences <= LIST_MAX ? (size_t)plan->sequences : 0;
    struct truekv_verify how = {.seqs = seqs, .m = m};
    *out = (struct bench_check){0};
    enum truekv_status st = truekv_debug_verify(app->kv, &how, &out->verify);
    out->denied = st == TRUEKV_EPERM && !app_option(app, OPT_VERIFY)->given;
    if (out->denied) return EXIT_FINE;
    if (st != TRUEKV_OK) return app_failed(app);
    st = truekv_debug_scrub(app->kv, seqs, m, &out->scrub);
    out->scrubbed = st == TRUEKV_OK;
    return st == TRUEKV_OK || st == TRUEKV_ENOTSUP ? EXIT_FINE : app_failed(app);
}
