#include "daemon/http/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

enum {
    /* Buckets of what is told are powers of two: 2^10 ns (1 us) to 2^35 ns (34 s). */
    NS_FROM = 10,
    NS_TO = 35,
    ITEMS_TO = 12 /* 1, 3, 7, ... 4095 */
};

static void head(struct tkv_buffer *out, const char *name, const char *type, const char *help)
{
    tkv_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct tkv_buffer *out, const char *name, const char *type, const char *help,
                    double value)
{
    head(out, name, type, help);
    tkv_buffer_printf(out, "%s %.15g\n", name, value);
}

/* --- counters and gauges of one number -------------------------------------------------------- */

/* X(name, type, member of struct tkv_stats, help) */
#define PLAIN(X)                                                                                 \
    X("truekv_sequences_created_total", "counter", sequences_created, "Sequences created.")      \
    X("truekv_sequences_freed_total", "counter", sequences_freed,                                \
      "Sequences freed, for whatever reason.")                                                   \
    X("truekv_sequences_expired_total", "counter", sequences_expired,                            \
      "Sequences freed because their ttl_ms had passed.")                                        \
    X("truekv_sequences_disconnected_total", "counter", sequences_disconnected,                  \
      "Sequences freed because their client went away.")                                         \
    X("truekv_quota_users", "gauge", quota_users, "Users on whose account sequences are.")       \
    X("truekv_quota_refused_total", "counter", quota_refused,                                    \
      "Creates refused because of a user's quota.")                                              \
    X("truekv_memory_budget_bytes", "gauge", memory_budget_bytes,                                \
      "Device memory that caches may take.")                                                     \
    X("truekv_staging_bytes", "gauge", memory_staging_bytes,                                     \
      "Host memory held by payloads and answers under way.")                                     \
    X("truekv_append_items_total", "counter", append_items, "Items written by appends.")         \
    X("truekv_append_tokens_total", "counter", append_tokens,                                    \
      "Positions written by appends, summed over items.")                                        \
    X("truekv_append_bytes_total", "counter", append_bytes, "Source bytes written by appends.")  \
    X("truekv_read_bytes_total", "counter", read_bytes, "Bytes of caches read back.")            \
    X("truekv_batches_failed_total", "counter", batch_failed, "Device batches that failed.")     \
    X("truekv_batches_in_flight", "gauge", batch_in_flight,                                      \
      "Device batches on the device or queued for it.")                                          \
    X("truekv_journal_batches", "gauge", journal_batches, "Batches in the journal.")             \
    X("truekv_journal_bytes", "gauge", journal_bytes, "Host memory held by the journal.")        \
    X("truekv_journal_evicted_batches_total", "counter", journal_evicted,                        \
      "Batches that left the journal.")                                                          \
    X("truekv_verifications_total", "counter", verify_runs, "Verifications completed.")          \
    X("truekv_verified_items_total", "counter", verify_items, "Items that they have checked.")   \
    X("truekv_faults_injected_total", "counter", verify_faults_injected,                         \
      "Batches that ran through a deliberately broken variant.")                                 \
    X("truekv_shadow_batches_total", "counter", shadow_batches,                                  \
      "Batches of production that shadow mode has verified.")                                    \
    X("truekv_shadow_missed_batches_total", "counter", shadow_missed,                            \
      "Batches chosen for it that were not verified.")                                           \
    X("truekv_scrub_passes_total", "counter", scrub_passes,                                      \
      "Times that the background scrub has been through all caches.")                            \
    X("truekv_scrub_bytes_total", "counter", scrub_bytes,                                        \
      "Bytes of live caches read to compare them with their checksums.")                         \
    X("truekv_scrub_damaged_tokens_total", "counter", scrub_damaged_tokens,                      \
      "Checksums found wrong, each time that they were looked at.")                              \
    X("truekv_connections", "gauge", connections_open, "Clients connected.")                     \
    X("truekv_connections_accepted_total", "counter", connections_accepted, "Clients accepted.") \
    X("truekv_connections_refused_total", "counter", connections_refused,                        \
      "Clients refused at the limit.")                                                           \
    X("truekv_network_receive_bytes_total", "counter", network_bytes_in,                         \
      "Bytes read from clients.")                                                                \
    X("truekv_network_transmit_bytes_total", "counter", network_bytes_out,                       \
      "Bytes written to clients.")

static void put_plain(struct tkv_buffer *out, const struct tkv_stats *s)
{
#define X(name, type, member, help) \
    put_one(out, name, type, help, (double)tkv_stat_get(&s->member));
    PLAIN(X)
#undef X
}

/* --- one number a label ----------------------------------------------------------------------- */

/* X(name, type, label, value of the label, member, help); rows of a name stand together. */
#define LABELLED(X)                                                                              \
    X("truekv_sequences", "gauge", "state", "creating", sequence_states_creating,                \
      "Sequences by state.")                                                                     \
    X("truekv_sequences", "gauge", "state", "live", sequence_states_live, "")                    \
    X("truekv_sequences", "gauge", "state", "freeing", sequence_states_freeing, "")              \
    X("truekv_device_bytes", "gauge", "state", "live", memory_states_live,                       \
      "Device memory by state: of live sequences, of freed ones, of checksums, free of the "     \
      "budget.")                                                                                 \
    X("truekv_device_bytes", "gauge", "state", "freeing", memory_states_freeing, "")             \
    X("truekv_device_bytes", "gauge", "state", "checksums", memory_states_checksums, "")         \
    X("truekv_device_bytes", "gauge", "state", "free", memory_states_free, "")                   \
    X("truekv_queue_requests", "gauge", "queue", "gathering", queue_gathering,                   \
      "Appends that wait for a batch, requests that wait for an earlier one on their sequence.") \
    X("truekv_queue_requests", "gauge", "queue", "waiting", queue_waiting, "")

static void put_labelled(struct tkv_buffer *out, const struct tkv_stats *s)
{
#define X(name, type, label, word, member, help)                             \
    if ((help)[0] != '\0') head(out, name, type, help);                      \
    tkv_buffer_printf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, \
                      tkv_stat_get(&s->member));
    LABELLED(X)
#undef X
}

/* Those that shadow mode finds are among those of all verifications. */
static void put_divergent(struct tkv_buffer *out, const struct tkv_stats *s)
{
    const char *name = "truekv_divergent_items_total";
    uint64_t shadow = tkv_stat_get(&s->shadow_divergent_items);
    uint64_t all = tkv_stat_get(&s->verify_divergent_items);
    head(out, name, "counter", "Items found divergent, by who found them.");
    tkv_buffer_printf(out, "%s{by=\"verify\"} %" PRIu64 "\n", name,
                      all > shadow ? all - shadow : 0);
    tkv_buffer_printf(out, "%s{by=\"shadow\"} %" PRIu64 "\n", name, shadow);
}

/* Reasons that never came up are left out, but for "ok": 400 lines of zeros would tell nothing. */
static void put_requests(struct tkv_buffer *out, const struct tkv_tally *tally)
{
    const char *name = "truekv_requests_total";
    head(out, name, "counter", "Requests answered, by method and outcome (none: no known method).");
    for (unsigned m = 0; m <= TKV_METHOD_NONE; m++) {
        const char *method = m < TKV_METHOD_COUNT ? tkv_method_word((enum tkv_method)m) : "none";
        for (unsigned st = 0; st < TKV_STATUS_COUNT; st++) {
            uint64_t n = tkv_stat_get(&tally->outcomes[m][st]);
            if (n == 0 && (st != TKV_OK || m == TKV_METHOD_NONE)) continue;
            tkv_buffer_printf(out, "%s{method=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, method,
                              tkv_status_reason((enum tkv_status)st), n);
        }
    }
}

static void put_closed(struct tkv_buffer *out, const struct tkv_tally *tally)
{
    const char *name = "truekv_connections_closed_total";
    head(out, name, "counter", "Connections closed, by why.");
    for (unsigned why = 0; why < TKV_CLOSED_COUNT; why++)
        tkv_buffer_printf(out, "%s{why=\"%s\"} %" PRIu64 "\n", name,
                          tkv_closed_word((enum tkv_closed)why), tkv_stat_get(&tally->closed[why]));
}

/* --- histograms ------------------------------------------------------------------------------- */

/* Values below a power of two, cumulated as far as `bucket`, which moves on. */
static uint64_t cumulate(const struct tkv_histogram *h, size_t *bucket, uint64_t below)
{
    uint64_t n = 0;
    for (; *bucket < TKV_HISTOGRAM_BUCKETS && tkv_histogram_upper(*bucket) < below; (*bucket)++)
        n += tkv_stat_get(&h->counts[*bucket]);
    return n;
}

/* The count is the sum of the buckets as they were read: the page must agree with itself. */
static void put_end(struct tkv_buffer *out, const char *name, const char *labels, double sum,
                    uint64_t count)
{
    const char *comma = labels[0] != '\0' ? "," : "";
    const char *open = labels[0] != '\0' ? "{" : "", *close = labels[0] != '\0' ? "}" : "";
    tkv_buffer_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, count);
    tkv_buffer_printf(out, "%s_sum%s%s%s %.15g\n", name, open, labels, close, sum);
    tkv_buffer_printf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, count);
}

/* Of nanoseconds, told in seconds. A value of exactly 2^k ns counts in the next bucket. */
static void put_seconds(struct tkv_buffer *out, const char *name, const char *labels,
                        const struct tkv_histogram *h)
{
    size_t bucket = 0;
    uint64_t n = 0;
    double sum = (double)tkv_stat_get(&h->sum) / 1e9;
    for (unsigned k = NS_FROM; k <= NS_TO; k++) {
        n += cumulate(h, &bucket, UINT64_C(1) << k);
        tkv_buffer_printf(out, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", name, labels,
                          (double)(UINT64_C(1) << k) / 1e9, n);
    }
    put_end(out, name, labels, sum, n + cumulate(h, &bucket, UINT64_MAX));
}

static void put_items(struct tkv_buffer *out, const struct tkv_histogram *h)
{
    const char *name = "truekv_batch_items";
    size_t bucket = 0;
    uint64_t n = 0;
    double sum = (double)tkv_stat_get(&h->sum);
    head(out, name, "histogram", "Items in a device batch.");
    for (unsigned k = 1; k <= ITEMS_TO; k++) {
        n += cumulate(h, &bucket, UINT64_C(1) << k);
        tkv_buffer_printf(out, "%s_bucket{le=\"%u\"} %" PRIu64 "\n", name, (1u << k) - 1, n);
    }
    put_end(out, name, "", sum, n + cumulate(h, &bucket, UINT64_MAX));
}

/* Methods that nobody has used are left out. */
static void put_durations(struct tkv_buffer *out, const struct tkv_telemetry *t)
{
    const char *name = "truekv_request_duration_seconds";
    char label[64];
    head(out, name, "histogram", "From a request's arrival to its answer, by method.");
    for (unsigned m = 0; m < TKV_METHOD_COUNT; m++) {
        if (tkv_stat_get(&t->tally.latency[m].count) == 0) continue;
        snprintf(label, sizeof label, "method=\"%s\"", tkv_method_word((enum tkv_method)m));
        put_seconds(out, name, label, &t->tally.latency[m]);
    }
    name = "truekv_step_duration_seconds";
    head(out, name, "histogram", "Where the time of appends goes, by stage.");
    for (unsigned i = 0; i < TKV_STAGE_COUNT; i++) {
        snprintf(label, sizeof label, "stage=\"%s\"", tkv_stage_word((enum tkv_stage)i));
        put_seconds(out, name, label, &t->steps->stages[i]);
    }
}

/* --- the process ------------------------------------------------------------------------------ */

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", "..", and the folder itself */
}

static double cpu_seconds(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0) return 0;
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void put_process(struct tkv_buffer *out, const struct tkv_server *server)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    put_one(out, "truekv_start_time_seconds", "gauge", "When the daemon started, Unix time.",
            server->telemetry.started_unix);
    put_one(out, "truekv_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.",
            (double)tkv_telemetry_rss_bytes());
    put_one(out, "truekv_cpu_seconds_total", "counter", "Processor time used.", cpu_seconds());
    put_one(out, "truekv_open_files", "gauge", "Open file descriptors.", open_files());
    put_one(out, "truekv_open_files_limit", "gauge", "The limit of open file descriptors.",
            (double)limit.rlim_cur);
}

static void put_state(struct tkv_buffer *out, const struct tkv_server *server)
{
    const struct tkv_health *health = &server->health;
    head(out, "truekv_build_info", "gauge", "Always 1; version and backend are labels.");
    tkv_buffer_printf(out, "truekv_build_info{version=\"%s\",backend=\"%s\"} 1\n", TKV_VERSION,
                      tkv_backend_word(server->telemetry.backend));
    put_one(out, "truekv_healthy", "gauge",
            "1 while loop and device make progress and no divergence has latched health.",
            tkv_health_stalled(health) == NULL && atomic_load(&health->unhealthy) == NULL);
    put_one(out, "truekv_ready", "gauge", "1 while requests are welcome, as /readyz says.",
            tkv_health_unready(health) == NULL);
    put_one(out, "truekv_journal_limit_bytes", "gauge", "What the journal may hold.",
            (double)server->config->journal_bytes);
}

void tkv_metrics_write(struct tkv_buffer *out, const struct tkv_server *server)
{
    const struct tkv_telemetry *t = &server->telemetry;
    put_state(out, server);
    put_process(out, server);
    put_plain(out, t->stats);
    put_labelled(out, t->stats);
    put_divergent(out, t->stats);
    put_requests(out, &t->tally);
    put_closed(out, &t->tally);
    put_items(out, &t->stats->batch_size);
    put_durations(out, t);
}
