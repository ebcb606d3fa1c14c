#include "clients/c/command/bench/plan.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/sizes.h"

enum {
    CLIENTS_MAX = 1 << 16,
    IN_FLIGHT_MAX = 1 << 14,
    SLOTS_MAX = 1 << 20,
    MEASURE_MS = 5000,
    WARMUP_MS = 1000,
    INTERVAL_MS = 1000,
    TIMEOUT_MS = 30000,
    LINE_ROOM = 128 * 1024 /* for what is in a line beside base64 */
};
/* Of all caches together, unless --capacity says otherwise: small enough for a test machine, larger
 * than what stays in a processor's cache. */
static const uint64_t CACHES_BYTES = (uint64_t)256 << 20;

static const char *const method_words[] = {
#define X(name, word, method) word,
    BENCH_METHODS(X)
#undef X
};

const char *bench_method_word(enum bench_method method)
{
    return method_words[method];
}

uint64_t bench_plan_slots(const struct bench_plan *plan)
{
    return (uint64_t)plan->clients * plan->in_flight;
}

/* ---- The command line ---------------------------------------------------------------------- */

/* The number of an option, or what it is where it is not given. false: it is too large. */
static bool number_of(struct app *app, enum option_id id, uint64_t otherwise, uint64_t most,
                      uint32_t *out)
{
    const struct option_value *v = app_option(app, id);
    uint64_t n = v->given ? v->number : otherwise;
    if (n > most) {
        app_usage(app, "--%s is at most %" PRIu64, option_specs[id].name, most);
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

/* --seconds and --warmup: "0" has been read as "without limit". */
static int ms_of(const struct app *app, enum option_id id, int otherwise)
{
    const struct option_value *v = app_option(app, id);
    if (!v->given) return otherwise;
    return v->ms > 0 ? v->ms : 0;
}

static bool read_method(struct app *app, struct bench_plan *plan)
{
    const struct option_value *v = app_option(app, OPT_METHOD);
    plan->method = BENCH_APPEND;
    for (int i = 0; v->given; i++) {
        if (i == BENCH_METHOD_COUNT) {
            app_usage(app, "--method is append, ping, read or create-free, not \"%s\"", v->text);
            return false;
        }
        plan->method = (enum bench_method)i;
        if (strcmp(v->text, method_words[i]) == 0) break;
    }
    return true;
}

static bool read_source(struct app *app, struct bench_plan *plan)
{
    const struct option_value *v = app_option(app, OPT_SOURCE);
    plan->base64 = v->given && strcmp(v->text, "base64") == 0;
    if (!v->given || plan->base64 || strcmp(v->text, "payload") == 0) return true;
    app_usage(app, "--source is payload or base64, not \"%s\"", v->text);
    return false;
}

static bool read_tokens(struct app *app, struct bench_plan *plan)
{
    const struct option_value *v = app_option(app, OPT_TOKENS);
    plan->tokens = 1;
    if (!v->given) return true;
    if (v->list.n != 1 || v->list.at[0] == 0 || v->list.at[0] > UINT32_MAX) {
        app_usage(app, "--tokens takes one number here, from 1 on");
        return false;
    }
    plan->tokens = (uint32_t)v->list.at[0];
    return true;
}

/* Options that would change nothing are refused: whoever gives one expects something of it. */
static bool check_belonging(struct app *app, const struct bench_plan *plan)
{
    static const struct {
        enum option_id id;
        unsigned methods; /* those that it belongs to */
    } rows[] = {
        {OPT_ITEMS, 1u << BENCH_APPEND},
        {OPT_SOURCE, 1u << BENCH_APPEND},
        {OPT_WITH_POS, 1u << BENCH_APPEND},
        {OPT_TOKENS, 1u << BENCH_APPEND | 1u << BENCH_READ},
        {OPT_DTYPE, 1u << BENCH_APPEND | 1u << BENCH_READ},
        {OPT_LAYERS, 1u << BENCH_APPEND | 1u << BENCH_READ},
        {OPT_N_LAYERS, 1u << BENCH_APPEND | 1u << BENCH_READ},
        {OPT_SEQUENCES, 1u << BENCH_APPEND | 1u << BENCH_READ},
        {OPT_MODEL, 1u << BENCH_APPEND | 1u << BENCH_READ | 1u << BENCH_CHURN},
        {OPT_CAPACITY, 1u << BENCH_APPEND | 1u << BENCH_READ | 1u << BENCH_CHURN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!app_option(app, rows[i].id)->given || (rows[i].methods >> plan->method & 1) != 0)
            continue;
        app_usage(app, "--%s has no meaning for --method %s", option_specs[rows[i].id].name,
                  method_words[plan->method]);
        return false;
    }
    return true;
}

static bool check_together(struct app *app)
{
    static const enum option_id pairs[][2] = {
        {OPT_SECONDS, OPT_REQUESTS}, {OPT_LAYERS, OPT_N_LAYERS}, {OPT_VERIFY, OPT_NO_VERIFY}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (!app_option(app, pairs[i][0])->given || !app_option(app, pairs[i][1])->given) continue;
        app_usage(app, "say one of --%s and --%s", option_specs[pairs[i][0]].name,
                  option_specs[pairs[i][1]].name);
        return false;
    }
    return true;
}

static bool read_sequences(struct app *app, struct bench_plan *plan)
{
    const struct option_value *v = app_option(app, OPT_SEQUENCES);
    uint64_t least = bench_plan_slots(plan) * plan->items;
    if (bench_plan_slots(plan) > SLOTS_MAX) {
        app_usage(app, "at most %d requests may be in flight together", SLOTS_MAX);
        return false;
    }
    if (plan->method != BENCH_APPEND && plan->method != BENCH_READ) return true;
    plan->sequences = v->given ? v->number : least;
    if (plan->sequences >= least && plan->sequences % plan->items == 0) return true;
    app_usage(app,
              "--sequences must be a multiple of --items, and at least %" PRIu64
              ": clients * in-flight * items, so that requests in flight name different ones",
              least);
    return false;
}

static void read_times(const struct app *app, struct bench_plan *plan)
{
    const struct option_value *timeout = app_option(app, OPT_TIMEOUT);
    const struct option_value *requests = app_option(app, OPT_REQUESTS);
    plan->requests = requests->given ? requests->number : 0;
    plan->measure_ms = ms_of(app, OPT_SECONDS, MEASURE_MS);
    plan->warmup_ms = ms_of(app, OPT_WARMUP, requests->given ? 0 : WARMUP_MS);
    plan->timeout_ms = timeout->given ? timeout->ms : TIMEOUT_MS;
}

bool bench_plan_read(struct app *app, struct bench_plan *plan)
{
    uint32_t interval;
    *plan = (struct bench_plan){.dtype = app_option(app, OPT_DTYPE)->dtype,
                                .with_pos = app_option(app, OPT_WITH_POS)->given};
    bool fine = read_method(app, plan) && read_source(app, plan) && read_tokens(app, plan) &&
                check_belonging(app, plan) && check_together(app) &&
                number_of(app, OPT_CLIENTS, 1, CLIENTS_MAX, &plan->clients) &&
                number_of(app, OPT_IN_FLIGHT, 1, IN_FLIGHT_MAX, &plan->in_flight) &&
                number_of(app, OPT_IDLE, 0, CLIENTS_MAX, &plan->idle_connections) &&
                number_of(app, OPT_ITEMS, 1, LIST_MAX, &plan->items) &&
                number_of(app, OPT_INTERVAL_MS, INTERVAL_MS, INT32_MAX, &interval) &&
                read_sequences(app, plan);
    if (!fine) return false;
    plan->interval_ms = (int)interval;
    read_times(app, plan);
    if (plan->requests == 0 && plan->measure_ms == 0) {
        app_usage(app, "--seconds must be more than 0");
        return false;
    }
    bool verifies = plan->method == BENCH_APPEND || app_option(app, OPT_VERIFY)->given;
    plan->verify = verifies && !app_option(app, OPT_NO_VERIFY)->given;
    return true;
}

/* ---- The daemon ---------------------------------------------------------------------------- */

static const struct truekv_model *find_model(const struct truekv_info *info, const char *name)
{
    for (size_t i = 0; i < info->n_models; i++) {
        if (name == NULL || strcmp(info->models[i].name, name) == 0) return &info->models[i];
    }
    return NULL;
}

static bool settle_layers(struct app *app, struct bench_plan *plan, const struct truekv_model *m)
{
    const struct option_value *n = app_option(app, OPT_N_LAYERS);
    plan->layers = app_option(app, OPT_LAYERS)->layers;
    if (n->given && n->number <= m->n_layers)
        plan->layers = (struct truekv_layers){0, (uint32_t)n->number};
    if (plan->layers.end > m->n_layers || (n->given && n->number > m->n_layers)) {
        app_usage(app, "model %s has %u layers", m->name, m->n_layers);
        return false;
    }
    bool all = plan->layers.end == 0;
    plan->n_layers = all ? m->n_layers : plan->layers.end - plan->layers.begin;
    return true;
}

static bool settle_sizes(struct bench_plan *plan, const struct truekv_model *m)
{
    plan->data_dtype = plan->dtype == TRUEKV_DTYPE_CACHE ? m->dtype : plan->dtype;
    size_t factors[] = {plan->n_layers, 2, m->n_kv_heads, m->head_dim,
                        truekv_dtype_bytes(plan->data_dtype)};
    return tkv_mul_all(factors, 5, &plan->token_bytes) &&
           tkv_mul(plan->token_bytes, plan->tokens, &plan->request_bytes) &&
           tkv_mul(plan->request_bytes, plan->items, &plan->request_bytes);
}

/* As many tokens as fit CACHES_BYTES, or half of the daemon's memory where that is less. */
static uint64_t default_capacity(const struct bench_plan *plan, const struct truekv_model *m,
                                 uint64_t budget)
{
    uint64_t token =
        (uint64_t)2 * m->n_layers * m->n_kv_heads * m->head_dim * truekv_dtype_bytes(m->dtype);
    uint64_t room = budget / 2 < CACHES_BYTES ? budget / 2 : CACHES_BYTES;
    uint64_t n = plan->sequences > 0 ? plan->sequences : bench_plan_slots(plan);
    uint64_t capacity = token > 0 ? room / token / n : 0;
    if (capacity > m->capacity) capacity = m->capacity;
    return capacity > plan->tokens ? capacity : plan->tokens;
}

static bool settle_capacity(struct app *app, struct bench_plan *plan, const struct truekv_model *m,
                            uint64_t budget)
{
    const struct option_value *v = app_option(app, OPT_CAPACITY);
    plan->capacity = v->given ? v->number : default_capacity(plan, m, budget);
    if (plan->capacity >= plan->tokens) return true;
    app_usage(app, "--capacity must be at least --tokens, %u", plan->tokens);
    return false;
}

static uint64_t room_for_base64(const struct truekv_info *info)
{
    uint64_t bytes = info->max_header_bytes / 4 * 3;
    return bytes > LINE_ROOM ? bytes - LINE_ROOM : 0;
}

static bool check_limits(struct app *app, const struct bench_plan *plan,
                         const struct truekv_info *info)
{
    uint64_t connections = (uint64_t)plan->clients + plan->idle_connections + 1;
    char size[32], limit[32];
    if (plan->request_bytes > info->max_payload_bytes) {
        app_usage(app,
                  "a request of %s is more than the daemon takes, %s: fewer --items, --tokens "
                  "or layers",
                  tkv_format_size(plan->request_bytes, size, sizeof size),
                  tkv_format_size(info->max_payload_bytes, limit, sizeof limit));
        return false;
    }
    if (plan->base64 && plan->request_bytes > room_for_base64(info)) {
        app_usage(app, "base64 is part of the line, which may have %s: %s of data are too many",
                  tkv_format_size(info->max_header_bytes, limit, sizeof limit),
                  tkv_format_size(plan->request_bytes, size, sizeof size));
        return false;
    }
    if (connections > info->max_connections) {
        app_usage(app,
                  "%" PRIu64 " connections, the bench's own with them, are more than the "
                  "daemon takes: %" PRIu64 " (limits.max_connections)",
                  connections, info->max_connections);
        return false;
    }
    return true;
}

enum exit_code bench_plan_settle(struct app *app, struct bench_plan *plan)
{
    struct truekv_info info;
    const struct option_value *name = app_option(app, OPT_MODEL);
    if (truekv_server_info(app->kv, &info) != TRUEKV_OK) return app_failed(app);
    const struct truekv_model *m = find_model(&info, name->given ? name->text : NULL);
    if (m == NULL)
        return app_usage(app, "the daemon has no model \"%s\": truekv info lists them",
                         name->given ? name->text : "");
    snprintf(plan->model, sizeof plan->model, "%s", m->name);
    snprintf(plan->backend, sizeof plan->backend, "%s", info.backend);
    if (!settle_layers(app, plan, m)) return EXIT_USAGE;
    if (!settle_sizes(plan, m)) return app_usage(app, "so many tokens do not fit into memory");
    if (!settle_capacity(app, plan, m, info.memory_budget_bytes)) return EXIT_USAGE;
    bool moves = plan->method == BENCH_APPEND || plan->method == BENCH_READ;
    if (!moves) plan->request_bytes = 0;
    return check_limits(app, plan, &info) ? EXIT_FINE : EXIT_USAGE;
}

/* ---- Saying it ----------------------------------------------------------------------------- */

static void say_what(const struct bench_plan *plan, char *text, size_t size)
{
    char items[48], tokens[48], layers[48], bytes[32];
    out_plural(plan->items, "sequence", "sequences", items, sizeof items);
    out_plural(plan->tokens, "token", "tokens", tokens, sizeof tokens);
    out_plural(plan->n_layers, "layer", "layers", layers, sizeof layers);
    tkv_format_size(plan->request_bytes, bytes, sizeof bytes);
    if (plan->method == BENCH_APPEND)
        snprintf(text, size, "append of %s of %s to %s%s, %s%s a request", tokens, layers, items,
                 plan->with_pos ? ", with pos" : "", bytes, plan->base64 ? " as base64" : "");
    else if (plan->method == BENCH_READ)
        snprintf(text, size, "read of %s of %s, %s an answer", tokens, layers, bytes);
    else
        snprintf(text, size, "%s", method_words[plan->method]);
}

const char *bench_plan_say(const struct bench_plan *plan, char *text, size_t size)
{
    char what[256], clients[48], idle[64] = "", count[32];
    say_what(plan, what, sizeof what);
    out_plural(plan->clients, "connection", "connections", clients, sizeof clients);
    if (plan->idle_connections > 0)
        snprintf(idle, sizeof idle, " (and %s idle)",
                 out_count(plan->idle_connections, count, sizeof count));
    snprintf(text, size, "%s; %s%s, %" PRIu32 " in flight on each", what, clients, idle,
             plan->in_flight);
    return text;
}
