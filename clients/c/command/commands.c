#include <string.h>

#include "clients/c/command/command.h"

enum { QUICK = 30 * 1000, SLOW = 600 * 1000 };

const struct command commands[] = {
    {"ping", "", "ask whether the daemon answers and is healthy", NULL, cmd_ping, 0, 0, 0, QUICK},
    {"info", "", "show version, backend, devices, models and limits", NULL, cmd_info, 0, 0, 0,
     QUICK},
    {"stats", "", "show the daemon's counters and gauges",
     "With --watch prints a line for each interval, with rates, until Ctrl-C, or --count of them; "
     "with --json each is an object. A daemon that goes away is waited for: it says so, and goes "
     "on when the daemon is back. \"errs\" are requests answered with an error, p50 and p99 are "
     "of seq.append, \"batch\" is the mean number of items in a batch, \"queue\" the requests "
     "that wait, \"memory\" that of the caches, \"wrong\" what verifications and scrubs have "
     "found since the daemon started.",
     cmd_stats, OPTION(WATCH) | OPTION(INTERVAL) | OPTION(TIMES), 0, 0, QUICK},
    {"top", "", "watch the daemon at work, on a terminal",
     "Draws the daemon's load, latency, memory, checks and busiest sequences every second, until q "
     "or Ctrl-C. Where standard output is no terminal it prints pictures one after the other. A "
     "daemon that goes away is waited for.\n"
     "Rates are of the interval, p50 and p99 of the last ten seconds. Of many sequences it looks "
     "at 500 at a time, round and round: a sequence is as it was when its turn came.",
     cmd_top, OPTION(INTERVAL) | OPTION(TIMES), 0, 0, QUICK},
    {"create", "[SEQ]", "create a sequence",
     "Without SEQ the daemon chooses its number. A fresh cache reads as zeros.", cmd_create,
     OPTION(SEQ) | OPTION(MODEL) | OPTION(CAPACITY) | OPTION(LABEL) | OPTION(TTL_MS) |
         OPTION(FREE_ON_DISCONNECT),
     0, 1, QUICK},
    {"append", "--seqs LIST (--data FILE | --random SEED | --values LIST)",
     "append K and V to one or more sequences",
     "The data are one block for each sequence of --seqs, one after the other, each of them "
     "[layers][2][n_kv_heads][tokens][head_dim] where 2 is {K, V}, little endian. Either all of "
     "it is written or nothing.\n"
     "With --pos, the append is refused unless each sequence is exactly that long: a retry "
     "cannot write twice.\n"
     "--random makes up as many bytes as the sequences' models ask for, the same ones for the "
     "same SEED.",
     cmd_append,
     OPTION(SEQS) | OPTION(POS) | OPTION(TOKENS) | OPTION(LAYERS) | OPTION(DTYPE) | OPTION(DATA) |
         OPTION(RANDOM) | OPTION(VALUES),
     0, 0, QUICK},
    {"read", "SEQ", "read K and V back",
     "Prints the shape and the first values as a table, or with --out writes the bytes: "
     "[layers][2][n_kv_heads][tokens][head_dim], little endian. With --json the data come along "
     "as base64.",
     cmd_read, OPTION(LAYERS) | OPTION(POS) | OPTION(TOKENS) | OPTION(DTYPE) | OPTION(OUT), 1, 1,
     QUICK},
    {"truncate", "SEQ LEN", "roll a sequence back to LEN tokens", NULL, cmd_truncate, 0, 2, 2,
     QUICK},
    {"free", "LIST", "free sequences, such as 1,2,5-9", "All of them are freed, or none.", cmd_free,
     0, 1, 1, QUICK},
    {"list", "", "list the sequences",
     "With --json prints one page of the daemon's list; --cursor goes on from there.", cmd_list,
     OPTION(LIMIT) | OPTION(CURSOR), 0, 0, QUICK},
    {"show", "SEQ", "show one sequence", NULL, cmd_show, 0, 1, 1, QUICK},
    {"verify", "", "re-run recorded appends and compare every byte",
     "Takes the appends that are still in the daemon's journal and runs them again, one item at "
     "a time and batched, into scratch caches; compares the two with each other and with the "
     "live caches. Serving goes on, and no live cache is changed. Says what differs, where, and "
     "what to do; and which batches it reached: older ones have left the journal, but not "
     "truekv scrub's reach.\n"
     "With --last it runs nothing, and shows what shadow mode or a verification found last; with "
     "--first, what was found first since the daemon started. --html writes the report as one page "
     "that needs nothing beside it, for a browser or a "
     "ticket.",
     cmd_verify,
     OPTION(SEQS) | OPTION(BATCHES) | OPTION(SCRATCH_BYTES) | OPTION(LAST) | OPTION(FIRST) |
         OPTION(HTML) | OPTION(ALL),
     0, 0, SLOW},
    {"scrub", "", "compare live caches with the checksums of their appends",
     "Reads live caches, makes the checksums of their rows again, and compares them with those of "
     "the appends. It reaches sequences whose appends have left the journal, too, but cannot say "
     "how a row went wrong: verify can. Serving goes on, and nothing is changed.\n"
     "Checksums are of the rows as the launch loaded them: a kernel that loads wrong rows sums "
     "wrong rows. Serve only when verify and scrub are both OK.",
     cmd_scrub, OPTION(SEQS), 0, 0, SLOW},
    {"selftest", "", "compare batched and per-item appends on made-up data",
     "Touches no sequence. Says whether this build on this device appends right.", cmd_selftest,
     OPTION(ITEMS) | OPTION(KV_HEADS) | OPTION(HEAD_DIM) | OPTION(CAPACITY) | OPTION(CACHE_LEN) |
         OPTION(N_LAYERS) | OPTION(SEED),
     0, 0, SLOW},
    {"inject", "FAULT", "break the next batches on purpose, to see verify find it",
     "FAULT is one of those below, or none, which disarms what waits. Wrong bytes get into live "
     "caches: never do this to a daemon that serves. Only where the configuration says "
     "debug.allow_fault_injection = true.\n"
     "--layer, --kv-head and --last-item limit what is broken; where the fault cannot be limited "
     "so, the daemon says no. --together puts two faults into the same batches: arm one, then the "
     "other with it.",
     cmd_inject,
     OPTION(BATCHES) | OPTION(LAYER) | OPTION(KV_HEAD) | OPTION(LAST_ITEM) | OPTION(TOGETHER), 1, 1,
     QUICK},
    {"bench", "", "measure how fast the daemon answers",
     "Sends one kind of request over and over, and says how many a second were answered and how "
     "long they took. Appends go to sequences of its own, which are gone when it ends, however it "
     "ends; a sequence that is full is rolled back. After a run of appends the daemon verifies and "
     "scrubs these sequences, and the run ends with 1 where a byte is wrong. Who may not call "
     "debug.* "
     "hears that nothing was checked.\n"
     "It is a closed loop: each place in flight sends its next request when the last one is "
     "answered. Latencies are from there to the answer. While the daemon stands still, only as "
     "many requests wait as are in flight, so the tail looks better than clients of a fixed rate "
     "would see it (coordinated omission): compare runs of the same kind, and look at max.\n"
     "Ctrl-C ends the run early and reports what there is. It does not speak TLS.",
     cmd_bench,
     OPTION(METHOD) | OPTION(CLIENTS) | OPTION(IN_FLIGHT) | OPTION(ITEMS) | OPTION(TOKENS) |
         OPTION(LAYERS) | OPTION(N_LAYERS) | OPTION(DTYPE) | OPTION(MODEL) | OPTION(CAPACITY) |
         OPTION(SEQUENCES) | OPTION(SOURCE) | OPTION(WITH_POS) | OPTION(SECONDS) |
         OPTION(REQUESTS) | OPTION(WARMUP) | OPTION(IDLE) | OPTION(INTERVAL_MS) | OPTION(PLOT) |
         OPTION(VERIFY) | OPTION(NO_VERIFY),
     0, 0, SLOW},
    {"reload", "", "have the daemon read its configuration again",
     "Says which settings have changed, and which wait for a restart. A file with a mistake "
     "changes "
     "nothing: the daemon says where the mistake is.",
     cmd_reload, 0, 0, 0, QUICK},
    {"drain", "", "have the daemon finish its work and end",
     "New requests are refused, accepted ones are finished and answered; then the daemon ends with "
     "exit code 0, and its caches are gone. This does not wait for the end.",
     cmd_drain, 0, 0, 0, QUICK},
    {"log-level", "LEVEL", "change how much the daemon logs",
     "LEVEL is error, warning, info or debug. It holds until a reload or a restart.", cmd_log_level,
     0, 1, 1, QUICK},
    {"raw", "LINE", "send a line of JSON as it is, print the answer",
     "--data adds a payload: the line must say how long it is (\"payload\": N).", cmd_raw,
     OPTION(DATA) | OPTION(OUT), 1, 1, QUICK},
    {"help", "[COMMAND...]", "say what a command does", NULL, cmd_help, 0, 0, -1, QUICK},
};
const size_t n_commands = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < n_commands; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

/* ---- The command that was meant ------------------------------------------------------------ */

enum { NAME_MAX_BYTES = 16, SLIPS_MAX = 2 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t d = a < b ? a : b;
    return d < c ? d : c;
}

/* Letters to add, drop or change, to make one of the other. b is shorter than NAME_MAX_BYTES. */
static size_t slips(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES], n = strlen(b);
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < n; k++) {
            size_t above = row[k + 1];
            row[k + 1] = least(above + 1, row[k] + 1, diagonal + (a[i] != b[k]));
            diagonal = above;
        }
    }
    return row[n];
}

const struct command *command_nearest(const char *name)
{
    const struct command *best = NULL;
    size_t fewest = SLIPS_MAX + 1, n = strlen(name);
    for (size_t i = 0; i < n_commands; i++) {
        const char *other = commands[i].name;
        bool begun = n >= 2 && strncmp(name, other, n) == 0;
        size_t off = begun ? 1 : strlen(other) < NAME_MAX_BYTES ? slips(name, other) : n;
        if (off >= fewest || off >= n) continue;
        fewest = off;
        best = &commands[i];
    }
    return best;
}
