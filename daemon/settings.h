/* settings.h - the one table of settings: parsing, range checks, defaults, help and the test of the
 * example file are all made from it. Units stand last in a name. */
#ifndef TKV_DAEMON_SETTINGS_H
#define TKV_DAEMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TKV_KIB UINT64_C(1024)
#define TKV_MIB (UINT64_C(1) << 20)
#define TKV_GIB (UINT64_C(1) << 30)
#define TKV_PIB (UINT64_C(1) << 50)

/* COUNT(key, field, when, default, min, max, meaning)  a whole number
 * SIZE (key, field, when, default, min, max, meaning)  bytes: a whole number, or such as "64M"
 * FLAG (key, field, when, default, meaning)            true or false
 * MODE (key, field, when, default, meaning)            of a file: octal digits, as text
 * WORD (key, field, when, words, default, meaning)     one of words; the field is its place
 * PART (key, field, when, default, meaning)            0.0 to 1.0; the field counts millionths
 * TEXT (key, field, when, meaning)                     the field is a string; NULL: none
 * when: LIVE takes effect with a reload, START when the daemon starts. Only the loop thread reads
 * what is LIVE.
 * The lists listen and models have code of their own in config.c, those of auth in access_config.c;
 * they stand here for their names:
 * LIST (key, when, default, meaning) */
#define TKV_SETTINGS(COUNT, SIZE, FLAG, MODE, WORD, PART, TEXT, LIST)                              \
    LIST("listen", START, "[\"unix:/run/truekv/truekv.sock\"]",                                    \
         "addresses: \"unix:PATH\", \"tcp:HOST:PORT\"")                                            \
    WORD("backend", backend, START, "auto|cuda|cpu", 0, "auto takes the GPU where there is one")   \
    COUNT("device", device, START, 0, 0, 63, "ordinal of the GPU")                                 \
    LIST("models", START, "()", "groups: name, n_layers, n_kv_heads, head_dim, dtype, capacity")   \
    COUNT("batch.max_items", batch_max_items, LIVE, 512, 1, 4096, "items in one launch")           \
    COUNT("batch.max_delay_us", batch_max_delay_us, LIVE, 0, 0, 1000000,                           \
          "wait for company before a launch, microseconds")                                        \
    COUNT("batch.spin_us", batch_spin_us, START, 100, 0, 10000,                                    \
          "how long the threads look out for each other before they sleep, microseconds; a GPU "   \
          "only")                                                                                  \
    SIZE("batch.upload_bytes", batch_upload_bytes, START, 8 * TKV_MIB, 0, TKV_PIB,                 \
         "a batch of so many bytes is copied to the GPU before its launch; 0: none is")            \
    SIZE("journal.bytes", journal_bytes, START, 256 * TKV_MIB, 0, TKV_PIB,                         \
         "recorded appends that debug.verify can re-run; 0: none")                                 \
    SIZE("memory.budget", memory_budget, LIVE, 0, 0, TKV_PIB,                                      \
         "device memory for caches; 0: nine tenths of what is free at start")                      \
    SIZE("limits.max_header_bytes", limits_max_header_bytes, START, TKV_MIB, TKV_KIB, TKV_GIB,     \
         "longest line of JSON")                                                                   \
    SIZE("limits.max_payload_bytes", limits_max_payload_bytes, START, 256 * TKV_MIB, 4 * TKV_KIB,  \
         1024 * TKV_GIB, "largest payload of one request or answer")                               \
    COUNT("limits.max_connections", limits_max_connections, LIVE, 1024, 1, 1000000,                \
          "clients at a time")                                                                     \
    COUNT("limits.max_sequences", limits_max_sequences, START, 100000, 1, 100000000,               \
          "sequences that exist at a time")                                                        \
    SIZE("limits.staging_bytes", limits_staging_bytes, START, TKV_GIB, 4 * TKV_KIB, TKV_PIB,       \
         "host memory for payloads and answers under way")                                         \
    SIZE("limits.output_bytes", limits_output_bytes, START, 64 * TKV_MIB, 4 * TKV_KIB, TKV_PIB,    \
         "unread answers of one client past which its requests wait")                              \
    COUNT("limits.frame_ms", limits_frame_ms, LIVE, 60000, 0, 86400000,                            \
          "a message must be whole so long after its first byte, milliseconds; 0: never")          \
    COUNT("limits.idle_ms", limits_idle_ms, LIVE, 0, 0, 86400000,                                  \
          "a client that asks nothing for so long is closed, milliseconds; 0: none is")            \
    COUNT("limits.drain_ms", limits_drain_ms, LIVE, 10000, 0, 3600000,                             \
          "how long requests under way may take after SIGTERM, milliseconds")                      \
    COUNT("limits.device_ms", limits_device_ms, LIVE, 30000, 100, 3600000,                         \
          "a device that is busy longer with one job hangs, milliseconds")                         \
    SIZE("debug.scratch_bytes", debug_scratch_bytes, LIVE, 256 * TKV_MIB, TKV_MIB, TKV_PIB,        \
         "scratch memory of debug.verify")                                                         \
    FLAG("debug.allow_fault_injection", debug_allow_fault_injection, LIVE, false,                  \
         "debug.inject may break batches on purpose")                                              \
    PART("shadow.sample", shadow_sample, LIVE, 0,                                                  \
         "share of production batches that are verified at once")                                  \
    WORD("shadow.on_divergence", shadow_on_divergence, LIVE, "log|latch", 0,                       \
         "what a divergence found in passing does: log it, or latch health bad, too")              \
    FLAG("scrub.checksums", scrub_checksums, START, true,                                          \
         "appends leave checksums of what they bring")                                             \
    SIZE("scrub.bytes_per_second", scrub_bytes_per_second, LIVE, 16 * TKV_MIB, 0, TKV_PIB,         \
         "how fast live caches are checked against them all the time; 0: not")                     \
    TEXT("http.listen", http_listen, START,                                                        \
         "tcp:HOST:PORT or unix:PATH of metrics, health, dashboard; empty: none")                  \
    FLAG("http.allow_verify", http_allow_verify, START, false,                                     \
         "the dashboard may start a debug.verify")                                                 \
    MODE("auth.socket_mode", auth_socket_mode, START, 0660, "mode of Unix sockets, octal")         \
    TEXT("auth.socket_group", auth_socket_group, START,                                            \
         "group of Unix sockets; empty: the process's")                                            \
    LIST("auth.uids", LIVE, NULL,                                                                  \
         "users who may connect, by number or name; absent: whom the socket's mode lets in")       \
    LIST("auth.debug_uids", LIVE, NULL, "users who may call debug.*; absent: all who connect")     \
    LIST("auth.admin_uids", LIVE, NULL,                                                            \
         "users who may call admin.*; absent: root and the daemon's own user")                     \
    TEXT("auth.token_file", auth_token_file, START,                                                \
         "file with the token that clients over TCP must send first, which a reload reads again; " \
         "empty: none")                                                                            \
    FLAG("auth.tcp_without_token", auth_tcp_without_token, START, false,                           \
         "whoever reaches a TCP address is a client; for a loopback that is trusted")              \
    TEXT("auth.tls_certificate", auth_tls_certificate, START,                                      \
         "PEM file of the certificate of TCP addresses, with its chain; a reload reads it again, " \
         "and "                                                                                    \
         "the next two; empty: no TLS")                                                            \
    TEXT("auth.tls_key", auth_tls_key, START, "PEM file of its key")                               \
    TEXT("auth.tls_client_ca", auth_tls_client_ca, START,                                          \
         "PEM file of those who sign clients' certificates; empty: clients need none")             \
    COUNT("auth.deadline_ms", auth_deadline_ms, LIVE, 5000, 100, 600000,                           \
          "how long a connection over TCP may take to send the token, milliseconds")               \
    LIST("auth.quotas", LIVE, "()",                                                                \
         "what users may have: groups of user, max_sequences, max_bytes")                          \
    COUNT("auth.quota_sequences", auth_quota_sequences, LIVE, 0, 0, 100000000,                     \
          "sequences that any other user may have; 0: as many as there may be")                    \
    SIZE("auth.quota_bytes", auth_quota_bytes, LIVE, 0, 0, TKV_PIB,                                \
         "device memory that their caches may take; 0: as much as there is")                       \
    FLAG("auth.tcp_debug", auth_tcp_debug, LIVE, false, "debug.* may be called over TCP")          \
    FLAG("auth.tcp_admin", auth_tcp_admin, LIVE, false, "admin.* may be called over TCP")          \
    WORD("log.level", log_level, LIVE, "error|warning|info|debug", 2, "what is logged")

/* The members of a group of models; each must be given. TEXT(key, field). Fields of tkv_model. */
#define TKV_MODEL_SETTINGS(COUNT, WORD, TEXT)                                        \
    TEXT("name", name, "what clients call it")                                       \
    COUNT("n_layers", geom.n_layers, 0, 1, 65536, "layers")                          \
    COUNT("n_kv_heads", geom.n_kv_heads, 0, 1, 65536, "K/V heads of a layer")        \
    COUNT("head_dim", geom.head_dim, 0, 1, 65536, "elements of a head's K or V row") \
    WORD("dtype", geom.dtype, "f16|bf16", 0, "element type of its caches")           \
    COUNT("capacity", capacity, 0, 1, 1u << 30, "positions of a sequence, unless create says so")

enum tkv_setting_kind {
    TKV_SETTING_COUNT,
    TKV_SETTING_SIZE,
    TKV_SETTING_FLAG,
    TKV_SETTING_PART,
    TKV_SETTING_MODE,
    TKV_SETTING_WORD,
    TKV_SETTING_TEXT,
    TKV_SETTING_LIST
};

struct tkv_setting {
    const char *key; /* dotted: "batch.max_items" */
    enum tkv_setting_kind kind;
    bool live;            /* takes effect with a reload */
    size_t offset, width; /* of the field; an unsigned integer of width bytes, but for TEXT */
    uint64_t fallback, min, max;
    const char *words; /* WORD: "auto|cuda|cpu"; LIST: the default, as written; NULL: absence */
    const char *meaning;
};

/* Both end with an entry whose key is NULL. */
extern const struct tkv_setting tkv_settings[];
extern const struct tkv_setting tkv_model_settings[];

/* Reads and writes the field of a COUNT, SIZE, FLAG, PART, MODE or WORD in the struct at base. */
uint64_t tkv_setting_get(const struct tkv_setting *s, const void *base);
void tkv_setting_set(const struct tkv_setting *s, void *base, uint64_t value);

/* The same of a TEXT, whose string is the struct's own (malloc). NULL: none. */
const char *tkv_setting_text(const struct tkv_setting *s, const void *base);
void tkv_setting_set_text(const struct tkv_setting *s, void *base, char *text);

/* A value as the configuration file has it ("64M", true, 0.01, "auto"), in out. Returns out. */
const char *tkv_setting_format(const struct tkv_setting *s, uint64_t value, char *out, size_t size);

/* The place of word in words ("a|b|c"), or -1. */
int tkv_words_find(const char *words, const char *word);

/* The key of the table most like the mistyped one, or NULL where none is near. */
const char *tkv_settings_nearest(const struct tkv_setting *table, const char *key);

#endif
