/* option_list.h - every option of every command, in one list. */
#ifndef TRUEKV_COMMAND_OPTION_LIST_H
#define TRUEKV_COMMAND_OPTION_LIST_H

/* X(ID, name, letter or 0, kind, placeholder, help). The first few go with every command. Where an
 * option is another thing to another command, help.c has that command's words. */
#define OPTIONS(X)                                                                                \
    X(SOCKET, "socket", 's', TEXT, "SOCKET", "unix:PATH, PATH or tcp:HOST:PORT")                  \
    X(JSON, "json", 0, FLAG, "", "print the daemon's answer as one line of JSON")                 \
    X(TIMEOUT, "timeout", 0, SECONDS, "S",                                                        \
      "give up when nothing moved for S seconds (30; 600 for long work); 0: never")               \
    X(TOKEN_FILE, "token-file", 0, TEXT, "FILE", "the token for tcp: (or $TRUEKV_TOKEN_FILE)")    \
    X(TLS_CA, "tls-ca", 0, TEXT, "FILE", "speak TLS; whose certificates to trust")                \
    X(TLS_CERTIFICATE, "tls-certificate", 0, TEXT, "FILE", "of this client, where one is wanted") \
    X(TLS_KEY, "tls-key", 0, TEXT, "FILE", "its key, where it is in a file of its own")           \
    X(TLS_NAME, "tls-name", 0, TEXT, "NAME", "in the daemon's certificate, in place of HOST")     \
    X(HELP, "help", 'h', FLAG, "", "say what the command does")                                   \
    X(VERSION, "version", 'V', FLAG, "", "print the version")                                     \
    X(MODEL, "model", 0, TEXT, "NAME", "a model of the configuration (default: its first)")       \
    X(CAPACITY, "capacity", 0, COUNT, "TOKENS", "tokens that fit (default: the model's)")         \
    X(LABEL, "label", 0, TEXT, "TEXT", "a note for people, shown by list")                        \
    X(TTL_MS, "ttl-ms", 0, COUNT, "MS", "free it when nothing has named it for that long")        \
    X(FREE_ON_DISCONNECT, "free-on-disconnect", 0, FLAG, "", "free it when this client goes")     \
    X(SEQ, "seq", 0, UINT, "SEQ", "the sequence's number")                                        \
    X(SEQS, "seqs", 0, LIST, "LIST", "sequences, such as 1,2,5-9")                                \
    X(POS, "pos", 0, LIST, "LIST", "where the first tokens go: one for all, or one each")         \
    X(TOKENS, "tokens", 0, LIST, "LIST", "how many tokens: one for all, or one each (default 1)") \
    X(LAYERS, "layers", 0, LAYERS, "B:E", "layers B to E-1 (default: all)")                       \
    X(DTYPE, "dtype", 0, DTYPE, "DTYPE", "f16, bf16 or f32 (default: the cache's own)")           \
    X(DATA, "data", 0, TEXT, "FILE", "the bytes to send; - is standard input")                    \
    X(RANDOM, "random", 0, UINT, "SEED", "as many made-up bytes as it takes")                     \
    X(VALUES, "values", 0, NUMBERS, "LIST", "numbers, such as 1,-0.5,2e3")                        \
    X(OUT, "out", 0, TEXT, "FILE", "write the bytes that come there; - is standard output")       \
    X(LIMIT, "limit", 0, COUNT, "N", "at most N of them")                                         \
    X(CURSOR, "cursor", 0, UINT, "CURSOR", "go on where an earlier answer stopped")               \
    X(BATCHES, "batches", 0, COUNT, "N", "only the newest N batches (default: all recorded)")     \
    X(SCRATCH_BYTES, "scratch-bytes", 0, SIZE, "SIZE", "memory for the re-runs, such as 256M")    \
    X(LAST, "last", 0, FLAG, "", "the newest report that found something, in place of a new one") \
    X(FIRST, "first", 0, FLAG, "", "the first report that found something, and is kept for good") \
    X(HTML, "html", 0, TEXT, "FILE", "write the report as a page for a browser, too")             \
    X(ALL, "all", 0, FLAG, "", "print every row of the table")                                    \
    X(ITEMS, "items", 0, COUNT, "M", "items in the batch (default 4)")                            \
    X(KV_HEADS, "kv-heads", 0, COUNT, "N", "K/V heads (default 8)")                               \
    X(HEAD_DIM, "head-dim", 0, COUNT, "N", "elements of a head (default 128)")                    \
    X(CACHE_LEN, "cache-len", 0, UINT, "TOKENS", "tokens there before (default 4)")               \
    X(N_LAYERS, "n-layers", 0, COUNT, "N", "layers (default 1)")                                  \
    X(SEED, "seed", 0, COUNT, "SEED", "of the made-up data (default 1)")                          \
    X(LAYER, "layer", 0, UINT, "N", "break this layer only (default: all)")                       \
    X(KV_HEAD, "kv-head", 0, UINT, "N", "break this K/V head only (default: all)")                \
    X(LAST_ITEM, "last-item", 0, FLAG, "", "break the last item of a batch only")                 \
    X(TOGETHER, "together", 0, FLAG, "", "hit the same batches as the fault armed before it")     \
    X(METHOD, "method", 0, TEXT, "NAME", "append (default), ping, read or create-free")           \
    X(CLIENTS, "clients", 0, COUNT, "N", "connections (default 1)")                               \
    X(IN_FLIGHT, "in-flight", 0, COUNT, "N", "requests at once, each connection (default 1)")     \
    X(SEQUENCES, "sequences", 0, COUNT, "N", "to rotate over (default: one for each in flight)")  \
    X(SOURCE, "source", 0, TEXT, "KIND", "the data as payload (default) or base64")               \
    X(WITH_POS, "pos", 0, FLAG, "", "say in each append where its tokens go")                     \
    X(SECONDS, "seconds", 0, SECONDS, "S", "how long to measure (default 5)")                     \
    X(REQUESTS, "requests", 0, COUNT, "N", "measure N requests, in place of --seconds")           \
    X(WARMUP, "warmup", 0, SECONDS, "S", "not measured (default 1; 0 with --requests)")           \
    X(IDLE, "idle-connections", 0, COUNT, "N", "N more connections that say nothing")             \
    X(INTERVAL_MS, "interval-ms", 0, COUNT, "MS", "between two lines of progress (default 1000)") \
    X(PLOT, "plot", 0, TEXT, "FILE", "draw latencies and throughput (SVG), too")                  \
    X(VERIFY, "verify", 0, FLAG, "", "verify and scrub at the end, whatever the method")          \
    X(NO_VERIFY, "no-verify", 0, FLAG, "", "do not: the journal may be long")                     \
    X(WATCH, "watch", 0, FLAG, "", "a line for each interval, until Ctrl-C")                      \
    X(INTERVAL, "interval", 0, SECONDS, "S", "seconds from one to the next (default 1)")          \
    X(TIMES, "count", 0, COUNT, "N", "end after N of them")

#endif
