#include "daemon/scrub.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_impl.h"
#include "kernels/checksum.h"

/* An append waits for one piece at most: some 0.1 ms of reading on a CPU, less on a GPU. */
enum {
    PIECE_BYTES_CPU = 1 << 20,
    PIECE_BYTES_CUDA = 16 << 20,
    PIECES_PER_SECOND = 16,      /* of the background, at least, where it is slow */
    PIECE_BYTES_PAID = 64 << 10, /* by the background, at least, where caches are small: a job that
                                    appends may have to wait for has a price of its own */
    SUMS_BYTES =
        512 << 10,    /* of a piece's checksums, left and found, unless one token takes more */
    IDLE_US = 1000000 /* until the background looks again, where there was nothing to read */
};

struct scrub_piece {
    struct tkv_job job; /* first */
    struct tkv_scrub_walk *walk;
    struct tkv_cache *cache; /* no reference: its release is a job behind this one */
    const struct tkv_model *model;
    uint64_t seq;
    uint32_t capacity, first, tokens;
    uint32_t *lens;        /* [n_layers] committed when it was planned */
    uint64_t newest_batch; /* and the newest batch then */
    size_t bytes;          /* of rows */
    uint64_t *sums;        /* [2][tokens][n_layers][2]: left by the appends, found now */
};

static size_t sums_of(const struct scrub_piece *piece)
{
    return piece->tokens * tkv_sums_each(&piece->model->geom);
}

/* --- on the engine's thread ------------------------------------------------------------------- */

static enum tkv_status run_piece(struct tkv_job *job, struct tkv_device *dev)
{
    struct scrub_piece *piece = (struct scrub_piece *)job;
    const struct tkv_geometry *g = &piece->model->geom;
    uint64_t *left = piece->sums, *found = left + sums_of(piece);
    struct tkv_checksum_range range = {.block = piece->cache->mem.ptr,
                                       .dtype = g->dtype,
                                       .positions = piece->capacity,
                                       .first = piece->first,
                                       .tokens = piece->tokens,
                                       .layers = g->n_layers};
    const uint64_t *sums = tkv_cache_sums(piece->cache) + tkv_sum_offset(g, piece->first, 0, TKV_K);
    enum tkv_status st = tkv_checksums(dev, g, &range, found, tkv_sums_each(g));
    if (st == TKV_OK) st = tkv_device_copy(dev, left, sums, sums_of(piece) * sizeof *left);
    return st == TKV_OK ? tkv_device_sync(dev) : st;
}

/* --- what was found --------------------------------------------------------------------------- */

static void list_damage(struct tkv_scrub_report *report, const struct tkv_damage *damage)
{
    const size_t room_min = 16;
    size_t n = report->n_damages, room = n < room_min ? room_min : n;
    report->damaged_tokens++;
    if (n == TKV_DIVERGENCES_MAX) return;
    if (n == 0 || (n >= room_min && (n & (n - 1)) == 0)) { /* full: room is a power of two */
        struct tkv_damage *more =
            realloc(report->damages, (n == 0 ? room : 2 * n) * sizeof *report->damages);
        if (more == NULL) return; /* it is counted */
        report->damages = more;
    }
    report->damages[report->n_damages++] = *damage;
}

/* Whether a truncation since may have let this position be written again. */
static bool is_superseded(const struct scrub_piece *piece, uint32_t pos)
{
    return tkv_cache_superseded(piece->cache, piece->newest_batch, pos + 1);
}

/* Compares the piece's committed tokens. False: some could not be judged. */
static bool judge(const struct scrub_piece *piece, struct tkv_scrub_report *report)
{
    const struct tkv_geometry *g = &piece->model->geom;
    const uint64_t *left = piece->sums, *found = left + sums_of(piece);
    size_t each = tkv_sums_each(g);
    bool judged = true;
    for (size_t i = 0; i < sums_of(piece); i++) {
        uint32_t pos = piece->first + (uint32_t)(i / each);
        uint32_t layer = (uint32_t)(i % each / TKV_KV);
        if (pos >= piece->lens[layer]) continue;
        report->checksums_checked++;
        if (left[i] == found[i]) continue;
        if (is_superseded(piece, pos)) {
            judged = false;
            continue;
        }
        struct tkv_damage d = {piece->seq, layer, pos, i % TKV_KV == TKV_V, left[i], found[i]};
        list_damage(report, &d);
    }
    return judged;
}

static void close_piece(struct scrub_piece *piece)
{
    free(piece->lens);
    free(piece);
}

/* The background's damage is said once for each cache, however often it comes by. */
static void say_damage(struct tkv_core *core, const struct scrub_piece *piece,
                       const struct tkv_scrub_report *report)
{
    const struct tkv_damage *d = &report->damages[0];
    tkv_core_diverged(core, "the background scrub found damage (debug.scrub says where)");
    if (piece->cache->damage_known || report->n_damages == 0) return;
    piece->cache->damage_known = true;
    tkv_log(TKV_LOG_ERROR, "damage",
            "seq=%llu layer=%u kv=%s pos=%u tokens=%llu what=\"live rows are not those that were "
            "appended; truekv scrub lists them\"",
            (unsigned long long)d->seq, d->layer, d->is_v ? "v" : "k", d->pos,
            (unsigned long long)report->damaged_tokens);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static size_t piece_bytes(const struct tkv_core *core, const struct tkv_scrub_walk *walk)
{
    size_t bytes = core->device.backend == TKV_BACKEND_CUDA ? PIECE_BYTES_CUDA : PIECE_BYTES_CPU;
    uint64_t slow = core->config->scrub_bytes_per_second / PIECES_PER_SECOND;
    return walk->op == NULL && slow < bytes ? (size_t)slow : bytes;
}

/* The walk's own room for checksums, allocated once: requests must not be able to starve it. */
static enum tkv_status take_room(struct tkv_core *core, struct tkv_scrub_room *room, size_t bytes)
{
    if (room->bytes >= bytes) return TKV_OK;
    void *fresh = NULL;
    size_t size = bytes > SUMS_BYTES ? bytes : SUMS_BYTES;
    enum tkv_status st = tkv_staging_alloc(core->device.backend, size, &fresh);
    if (st != TKV_OK) return st;
    tkv_staging_free(core->device.backend, room->sums, room->bytes);
    *room = (struct tkv_scrub_room){fresh, size};
    return TKV_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Positions and room for a piece of seq from walk->pos on, as far as any layer reaches. */
static enum tkv_status fill_piece(struct tkv_core *core, struct scrub_piece *piece,
                                  const struct tkv_sequence *seq, uint32_t end)
{
    const struct tkv_geometry *g = &seq->model->geom;
    size_t token_bytes, tokens, lens = g->n_layers * sizeof *piece->lens;
    size_t token_sums = 2 * tkv_sums_each(g) * sizeof *piece->sums;
    if (!tkv_block_bytes(g, g->n_layers, 1, g->dtype, &token_bytes)) return TKV_EINTERNAL;
    tokens = least(piece_bytes(core, piece->walk) / token_bytes, SUMS_BYTES / token_sums);
    tokens = least(tokens > 0 ? tokens : 1, end - piece->walk->pos);
    piece->model = seq->model;
    piece->seq = seq->id;
    piece->capacity = seq->capacity;
    piece->first = piece->walk->pos;
    piece->tokens = (uint32_t)tokens;
    piece->bytes = tokens * token_bytes;
    piece->newest_batch = core->newest_batch;
    piece->lens = malloc(lens);
    if (piece->lens == NULL) return TKV_ENOMEM;
    memcpy(piece->lens, seq->committed, lens);
    enum tkv_status st = take_room(core, &piece->walk->room, tokens * token_sums);
    if (st != TKV_OK) return st;
    piece->sums = piece->walk->room.sums;
    piece->cache = seq->cache;
    return TKV_OK;
}

static void complete_piece(struct tkv_job *job, void *arg);

static enum tkv_status submit_piece(struct tkv_core *core, struct tkv_scrub_walk *walk,
                                    const struct tkv_sequence *seq, uint32_t end)
{
    struct scrub_piece *piece = calloc(1, sizeof *piece);
    if (piece == NULL) return TKV_ENOMEM;
    piece->walk = walk;
    piece->job = (struct tkv_job){.run = run_piece, .complete = complete_piece};
    enum tkv_status st = fill_piece(core, piece, seq, end);
    if (st != TKV_OK) {
        close_piece(piece);
        return st;
    }
    walk->busy = true;
    tkv_engine_submit(core->engine, &piece->job);
    return TKV_OK;
}

/* --- walks ------------------------------------------------------------------------------------ */

/* Whether seqs[at] has been there already. */
static bool stands_before(const uint64_t *seqs, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (seqs[i] == seqs[at]) return true;
    }
    return false;
}

/* The next sequence of the walk, or NULL at its end. */
static struct tkv_sequence *next_sequence(struct tkv_core *core, struct tkv_scrub_walk *walk)
{
    const struct tkv_debug_scrub *p =
        walk->op != NULL ? &walk->op->request->params.debug_scrub : NULL;
    if (p == NULL || p->m == 0) return tkv_sequences_next(core->sequences, &walk->next);
    while (walk->next < p->m) {
        size_t at = walk->next++;
        struct tkv_sequence *seq = tkv_core_live(core, p->seqs[at]);
        if (stands_before(p->seqs, at)) continue;
        if (seq != NULL) return seq;
        walk->report.skipped[TKV_SKIP_FREED]++; /* since the request came */
    }
    return NULL;
}

/* The sequence that the walk is in, or NULL where it is none any more. */
static struct tkv_sequence *current_sequence(struct tkv_core *core, struct tkv_scrub_walk *walk)
{
    struct tkv_sequence *seq = tkv_core_live(core, walk->seq);
    if (seq != NULL && seq->cache->generation == walk->generation) return seq;
    walk->report.skipped[TKV_SKIP_FREED]++;
    walk->report.seqs_checked--;
    walk->generation = 0;
    return NULL;
}

static uint32_t longest_layer(const struct tkv_sequence *seq)
{
    uint32_t longest = 0;
    for (uint32_t l = 0; l < seq->model->geom.n_layers; l++)
        longest = seq->committed[l] > longest ? seq->committed[l] : longest;
    return longest;
}

/* Goes on with a walk. *end: it has come to its end; else a piece is under way. */
static enum tkv_status go_on(struct tkv_core *core, struct tkv_scrub_walk *walk, bool *end)
{
    struct tkv_sequence *seq;
    *end = false;
    for (;;) {
        seq = walk->generation != 0 ? current_sequence(core, walk) : NULL;
        if (seq == NULL) {
            seq = next_sequence(core, walk);
            *end = seq == NULL;
            if (*end) return TKV_OK;
            walk->seq = seq->id;
            walk->generation = seq->cache->generation;
            walk->pos = 0;
            walk->report.seqs_checked++;
        }
        uint32_t longest = longest_layer(seq);
        if (walk->pos < longest) return submit_piece(core, walk, seq, longest);
        walk->generation = 0;
    }
}

/* --- the request's ---------------------------------------------------------------------------- */

static void finish_asked(struct tkv_core *core, enum tkv_status st)
{
    struct tkv_scrub_walk *walk = &core->scrub.asked;
    struct tkv_op *op = walk->op;
    walk->report.ok = walk->report.damaged_tokens == 0;
    walk->report.duration_us = tkv_now_us() - walk->started_us;
    op->result.scrub = &walk->report;
    tkv_stat_add(&core->stats.scrub_runs, st == TKV_OK);
    if (st == TKV_OK)
        tkv_core_finish(core, op);
    else if (st == TKV_EDEVICE)
        tkv_core_fail(core, op, st, "the caches could not be read on the device");
    else
        tkv_core_fail(core, op, st, "no memory for the checksums of a piece");
    free(walk->report.damages);
    *walk = (struct tkv_scrub_walk){.room = walk->room};
}

static void go_on_asked(struct tkv_core *core)
{
    bool end;
    enum tkv_status st = go_on(core, &core->scrub.asked, &end);
    if (end || st != TKV_OK) finish_asked(core, st);
}

static void begin_asked(struct tkv_core *core)
{
    while (core->scrub.asked.op == NULL && core->scrubbing.head != NULL) {
        struct tkv_op *op = core->scrubbing.head;
        tkv_op_unlink(&core->scrubbing, op);
        core->scrub.asked.op = op;
        core->scrub.asked.started_us = tkv_now_us();
        go_on_asked(core);
    }
}

static bool all_live(struct tkv_core *core, struct tkv_op *op)
{
    const struct tkv_debug_scrub *p = &op->request->params.debug_scrub;
    for (size_t i = 0; i < p->m; i++) {
        if (tkv_core_live(core, p->seqs[i]) != NULL) continue;
        tkv_error_set(&op->error, TKV_ENOTFOUND, "there is no sequence %llu",
                      (unsigned long long)p->seqs[i]);
        tkv_error_number(&op->error, seq, p->seqs[i]);
        return false;
    }
    return true;
}

void tkv_run_scrub(struct tkv_core *core, struct tkv_op *op)
{
    if (!core->config->scrub_checksums) {
        tkv_core_fail(core, op, TKV_ENOTSUP,
                      "scrub.checksums is off: there is nothing to check by");
        return;
    }
    if (!all_live(core, op)) {
        tkv_core_finish(core, op);
        return;
    }
    tkv_op_push(&core->scrubbing, op);
    begin_asked(core);
}

/* --- the background's ------------------------------------------------------------------------- */

void tkv_scrub_init(struct tkv_core *core)
{
    core->scrub = (struct tkv_scrub){.resume_us = tkv_now_us()};
}

void tkv_scrub_close(struct tkv_core *core)
{
    struct tkv_scrub_room *rooms[] = {&core->scrub.asked.room, &core->scrub.background.room};
    for (size_t i = 0; i < 2; i++)
        tkv_staging_free(core->device.backend, rooms[i]->sums, rooms[i]->bytes);
}

static bool in_background(const struct tkv_core *core)
{
    return core->config->scrub_checksums && core->config->scrub_bytes_per_second > 0 &&
           !core->draining && !core->lost;
}

static void pause_background(struct tkv_core *core, uint64_t us)
{
    uint64_t now = tkv_now_us(), from = core->scrub.resume_us;
    core->scrub.resume_us = (from < now ? now : from) + us;
}

static void go_on_background(struct tkv_core *core)
{
    struct tkv_scrub_walk *walk = &core->scrub.background;
    bool end;
    enum tkv_status st = go_on(core, walk, &end);
    if (!end && st == TKV_OK) return;
    if (end) {
        tkv_stat_add(&core->stats.scrub_passes, walk->report.checksums_checked > 0);
        *walk = (struct tkv_scrub_walk){.room = walk->room};
    }
    pause_background(core, IDLE_US);
}

static void background_piece_done(struct tkv_core *core, const struct scrub_piece *piece)
{
    struct tkv_scrub_report *report = &core->scrub.background.report;
    if (report->damaged_tokens > 0) say_damage(core, piece, report);
    free(report->damages);
    report->damages = NULL;
    report->n_damages = 0;
    report->damaged_tokens = 0;
    uint64_t paid = piece->bytes > PIECE_BYTES_PAID ? piece->bytes : PIECE_BYTES_PAID;
    uint64_t rate = core->config->scrub_bytes_per_second; /* a reload may have made it 0 */
    if (rate > 0) pause_background(core, paid * 1000000 / rate);
}

static void complete_piece(struct tkv_job *job, void *arg)
{
    struct tkv_core *core = arg;
    struct scrub_piece *piece = (struct scrub_piece *)job;
    struct tkv_scrub_walk *walk = piece->walk;
    enum tkv_status st = job->status;
    uint64_t before = walk->report.damaged_tokens;
    walk->busy = false;
    if (st == TKV_OK) {
        walk->pos += piece->tokens;
        walk->report.bytes_read += piece->bytes;
        tkv_stat_add(&core->stats.scrub_bytes, piece->bytes);
        if (!judge(piece, &walk->report)) walk->report.skipped[TKV_SKIP_TRUNCATED]++;
        tkv_stat_add(&core->stats.scrub_damaged_tokens, walk->report.damaged_tokens - before);
    }
    if (walk->op == NULL) background_piece_done(core, piece);
    close_piece(piece);
    if (walk->op == NULL) return;
    if (st == TKV_OK)
        go_on_asked(core);
    else
        finish_asked(core, st);
    begin_asked(core);
}

bool tkv_scrub_busy(const struct tkv_core *core)
{
    return core->scrub.asked.op != NULL || core->scrub.background.busy;
}

void tkv_scrub_turn(struct tkv_core *core)
{
    if (!in_background(core) || core->scrub.background.busy) return;
    if (tkv_now_us() >= core->scrub.resume_us) go_on_background(core);
}

uint64_t tkv_scrub_deadline_us(const struct tkv_core *core)
{
    if (!in_background(core) || core->scrub.background.busy) return UINT64_MAX;
    return core->scrub.resume_us;
}
