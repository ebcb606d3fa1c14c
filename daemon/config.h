/* config.h - the daemon's configuration: a libconfig file, checked whole before anything starts.
 * One table of settings (settings.h) feeds parsing, range checks, defaults and help. */
#ifndef TKV_DAEMON_CONFIG_H
#define TKV_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "daemon/access_config.h"
#include "daemon/sequences.h"
#include "kernels/device.h"

enum { TKV_LISTEN_MAX = 16, TKV_MODELS_MAX = 64, TKV_WHOLE = 1000000 /* millionths */ };

#define TKV_LISTEN_DEFAULT \
    "unix:/run/truekv/truekv.sock" /* where neither file nor option has one */

struct tkv_config {
    char *listen[TKV_LISTEN_MAX]; /* "unix:PATH" or "tcp:HOST:PORT" */
    size_t n_listen;
    enum tkv_backend backend;
    int device; /* ordinal of the GPU */
    struct tkv_model models[TKV_MODELS_MAX];
    size_t n_models;
    uint32_t batch_max_items;
    uint32_t batch_max_delay_us;
    uint32_t batch_spin_us;
    uint64_t batch_upload_bytes;
    uint64_t journal_bytes;
    uint64_t memory_budget; /* bytes of device memory for caches; 0: nine tenths of what is free */
    uint64_t limits_max_header_bytes;
    uint64_t limits_max_payload_bytes;
    uint64_t limits_max_connections;
    uint64_t limits_max_sequences;
    uint64_t limits_staging_bytes;
    uint64_t limits_output_bytes; /* queued for one connection, past which it is not read */
    uint32_t limits_frame_ms;     /* from a message's first byte to its last; 0: no limit */
    uint32_t limits_idle_ms;      /* between the requests of a client; 0: no limit */
    uint32_t limits_drain_ms;     /* SIGTERM: how long work under way may take */
    uint32_t limits_device_ms;    /* a job that takes longer means that the device hangs */
    uint64_t debug_scratch_bytes; /* verification's scratch memory, where a request names none */
    bool debug_allow_fault_injection;
    uint32_t shadow_sample; /* millionths of the batches */
    enum { TKV_DIVERGENCE_LOG, TKV_DIVERGENCE_LATCH } shadow_on_divergence;
    bool scrub_checksums;
    uint64_t scrub_bytes_per_second; /* in the background; 0: not */
    char *http_listen;               /* NULL: there is no HTTP */
    bool http_allow_verify;
    uint32_t auth_socket_mode;
    char *auth_socket_group; /* NULL: the process's */
    struct tkv_users auth_uids, auth_debug_uids, auth_admin_uids;
    bool auth_tcp_debug, auth_tcp_admin;
    char *auth_token_file; /* NULL: none */
    char *auth_tls_certificate, *auth_tls_key, *auth_tls_client_ca;
    bool auth_tcp_without_token;
    uint64_t auth_quota_sequences, auth_quota_bytes; /* of users without one of their own */
    struct tkv_quota auth_quotas[TKV_QUOTAS_MAX];
    size_t n_auth_quotas;
    uint32_t auth_deadline_ms; /* a connection over TCP must have said who it is */
    enum tkv_log_level log_level;
};

/* Defaults, no models and no addresses. */
void tkv_config_init(struct tkv_config *config);
void tkv_config_close(struct tkv_config *config);

/* Reads and checks a file into an initialised config. TKV_EINVAL: message says the file, the line,
 * the key and what would be right. TKV_ENOMEM. The config must be closed in any case. */
enum tkv_status tkv_config_load(struct tkv_config *config, const char *path, char *message,
                                size_t size);

/* What a reload came to; keys are constants. */
enum { TKV_RELOAD_MAX = 64 };
struct tkv_reload {
    const char *changed[TKV_RELOAD_MAX]; /* in effect now */
    size_t n_changed;
    const char *waiting[TKV_RELOAD_MAX]; /* another value than before, for the next start */
    size_t n_waiting;
};

/* Takes over from `fresh`, which was loaded whole, what may change while the daemon runs. */
void tkv_config_reload(struct tkv_config *config, const struct tkv_config *fresh,
                       struct tkv_reload *report);

/* Adds a setting whose value is the same while what it names is not: it is in effect. */
void tkv_reload_tell(struct tkv_reload *report, const char *key);

/* Adds an address to listen on. TKV_EINVAL: message says what would be right. TKV_ENOMEM. */
enum tkv_status tkv_config_add_listen(struct tkv_config *config, const char *address, char *message,
                                      size_t size);
void tkv_config_clear_listen(struct tkv_config *config);

#endif
