#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/command/command.h"
#include "clients/c/command/payload.h"
#include "clients/c/command/table.h"
#include "tests/clients/run_truekv.h"
#include "tests/support/check_main.h"

/* Goal: a bad command line ends with 2 and says what would be right, before anything is connected.
 */
START_TEST(bad_command_lines)
{
    static const struct {
        const char *arguments, *text;
    } rows[] = {
        {"", "usage: truekv"},
        {"frobnicate", "there is no command \"frobnicate\""},
        {"--frobnicate ping", "there is no option \"--frobnicate\" here"},
        {"ping --seqs 1", "there is no option \"--seqs\" here"},
        {"ping extra", "\"extra\" is too much"},
        {"ping -s", "-s wants something after it"},
        {"--timeout -1 ping", "--timeout takes seconds such as 5 or 0.5, not \"-1\""},
        {"read", "something is missing: truekv read SEQ"},
        {"read seven", "SEQ must be a number such as 12, not \"seven\""},
        {"read 7 --layers 3:1", "--layers takes layers such as 0:4"},
        {"read 7 --pos 1,2", "--pos takes one number here"},
        {"append", "say which sequences"},
        {"append --seqs 1", "say where the data come from"},
        {"append --seqs 1 --random 1 --values 1", "say where the data come from"},
        {"append --seqs 1,2 --pos 1,2,3 --values 1", "--pos has 3 numbers for 2 sequences"},
        {"append --seqs 1 --data /nonexistent", "cannot read /nonexistent: No such file"},
        {"append --seqs 1 --dtype f64 --values 1", "--dtype takes f16, bf16 or f32, not \"f64\""},
        {"verify --scratch-bytes 9Q", "--scratch-bytes takes a size such as 4096, 64M"},
        {"free 1,x", "LIST must be numbers such as 1,2,5-9"},
        {"free 1-99999999", "\"1-99999999\" names too many sequences: at most 4096 at once"},
        {"verify --seqs 1-99999999", "--seqs names too many numbers: at most 4096"},
        {"help frobnicate", "there is no command \"frobnicate\""},
        {"help apend", "did you mean append?"},
        {"aplend", "there is no command \"aplend\"; did you mean append?"},
        {"stat", "did you mean stats?"},
        {"create 8 --seq 9", "say the sequence's number once"},
        {"create --capacity 0", "--capacity must be at least 1"},
        {"create --ttl-ms 0", "--ttl-ms must be at least 1"},
        {"verify --scratch-bytes 0", "--scratch-bytes must be at least 1"},
        {"verify --batches 0", "--batches must be at least 1"},
        {"list --limit 0", "--limit must be at least 1"},
        {"selftest --head-dim 0", "--head-dim must be at least 1"},
        {"selftest --items 0", "--items must be at least 1"},
        {"selftest --n-layers 0", "--n-layers must be at least 1"},
        {"selftest --kv-heads 0", "--kv-heads must be at least 1"},
        {"selftest --capacity 0", "--capacity must be at least 1"},
        {"selftest --seed 0", "--seed must be at least 1"},
        {"-s foo:bar ping", "\"foo:bar\" is no address: unix:PATH, PATH or tcp:HOST:PORT"},
        {"raw '{\"payload\":3,\"id\":1}'", "the line promises a payload"},
        {"verify --html -", "--html takes the name of a file, not \"-\""},
        {"verify --last --batches 2", "--last shows a report as it is: --batches is for a new one"},
        {"verify --last --seqs 2", "--seqs is for a new one"},
        {"scrub --batches 2", "there is no option \"--batches\" here"},
        {"bench --method pong", "--method is append, ping, read or create-free, not \"pong\""},
        {"bench --source shm", "--source is payload or base64, not \"shm\""},
        {"bench --method ping --items 2", "--items has no meaning for --method ping"},
        {"bench --seconds 1 --requests 1", "say one of --seconds and --requests"},
        {"bench --seconds 0", "--seconds must be more than 0"},
        {"bench --verify --no-verify", "say one of --verify and --no-verify"},
        {"bench --tokens 1,2", "--tokens takes one number here"},
        {"bench --in-flight 4 --sequences 3", "--sequences must be a multiple of --items"},
        {"bench --items 3 --sequences 4", "--sequences must be a multiple of --items"},
        {"bench --clients 65536 --in-flight 16384", "at most 1048576 requests may be in flight"},
        {"bench --items 4097", "--items is at most 4096"},
        {"bench --plot -", "--plot takes the name of a file, not \"-\""},
        {"stats --watch --interval 0.05", "--interval must be at least 0.1"},
        {"top --interval 0", "--interval must be at least 0.1"},
        {"stats --interval 2", "--interval and --count are for --watch"},
        {"stats --count 2", "--interval and --count are for --watch"},
        {"stats --watch --count 0", "--count must be at least 1"},
        {"top --json", "--json is for \"truekv stats --watch\""},
        {"log-level", "something is missing: truekv log-level LEVEL"},
        {"--token-file /nonexistent ping", "cannot take a token from /nonexistent: No such file"},
        {"--token-file / ping", "cannot take a token from /: Is a directory"},
        {"--token-file /dev/null ping", "cannot take a token from /dev/null: it is empty"},
        {"--token-file /dev/zero ping", "cannot take a token from /dev/zero: it is longer than"},
        {"inject bit_flip --layer -1", "--layer takes a number such as 12, not \"-1\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        expect(rows[i].arguments, 2, rows[i].text);
}
END_TEST

static void check_narrow(void)
{
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n"))
        ck_assert_msg(out_columns(line) <= 80, "too wide: %s", line);
}

/* Goal: every command has help, in 80 columns; nobody needs a daemon for that. */
START_TEST(help_of_everything)
{
    char arguments[64];
    expect("--version", 0, "truekv 0.");
    expect("help", 0, "truekv.sock. Exit\ncode: 0 fine; 1 the");
    expect("--help", 0, "usage: truekv");
    for (size_t i = 0; i < n_commands; i++) {
        snprintf(arguments, sizeof arguments, "help %s", commands[i].name);
        expect(arguments, 0, commands[i].summary);
        check_narrow();
        snprintf(arguments, sizeof arguments, "%s --help", commands[i].name);
        expect(arguments, 0, commands[i].summary);
    }
    expect("help", 0, "commands");
    check_narrow();
    expect("help read", 0, "--pos N ");
    expect("help append", 0, "--pos LIST ");
    expect("help verify", 0, "only the newest N batches");
    expect("help inject", 0, "break the next N batches");
    expect("help inject", 0, "kv_swapped       K lands in V, and V in K\n");
    expect("help verify", 0, "  4  there was nothing to check\n");
    expect("help read", 0, "  1  the daemon says no\n");
    ck_assert_ptr_null(strstr(output, "  4  "));
    expect("help read free", 0, "usage: truekv free");
    expect("help selftest", 0, "tokens that fit (default 64)");
    expect("help bench", 0, "  1  a byte is wrong, or the daemon says no\n");
    expect("help bench", 0, "--json                  print the result as one line of JSON\n");
}
END_TEST

/* Goal: without a daemon the exit code is 3, and the sentence says which socket. */
START_TEST(no_daemon)
{
    char text[128];
    (void)unlink(socket_path);
    snprintf(text, sizeof text, "cannot connect to %s: No such file", socket_path);
    expect("ping", 3, text);
    expect("ping", 3, "Is truekvd running? (In the repository: ./dev run.)");
    ck_assert_ptr_null(strstr(output, "systemctl"));
    expect("-s no-such-socket ping", 3, "was taken for a socket in this directory");
    expect("--json ping", 3, "{\"code\":0,\"message\":\"cannot connect to ");
    expect("-s unix:/nonexistent list", 3, "cannot connect to unix:/nonexistent");
    expect("-s tcp:127.0.0.1 list", 2, "is not tcp:HOST:PORT");
    expect_with(NULL, 0, "ping", 3, "the connection"); /* closed or reset */
}
END_TEST

#define NO                                                                                         \
    "{\"id\":1,\"error\":{\"code\":-32002,\"message\":\"sequence 7: position 3 is not its length " \
    "5\",\"data\":{\"reason\":\"position_mismatch\",\"items\":[{\"index\":0,\"seq\":7,\"reason\":" \
    "\"position_mismatch\",\"expected\":5},{\"index\":1,\"seq\":8,\"reason\":\"not_found\"}]}}}\n"

/* Goal: a daemon that says no is 1, with its sentence and the items at fault, or its error as JSON.
 */
START_TEST(daemon_says_no)
{
    static const struct fake_step bad_m = FAKE_ANSWER(
        "{\"m\":5000}", "{\"id\":1,\"error\":{\"code\":-32602,\"message\":\"m must be 1 to 4096\","
                        "\"data\":{\"reason\":\"invalid_params\",\"param\":\"m\"}}}\n");
    expect_with(&bad_m, 1, "selftest --items 5000", 1, "m is --items of this command.");
    static const struct fake_step steps[] = {FAKE_ANSWER("\"pos\":[3,3]", NO)};
    expect_with(steps, 1, "append --seqs 7,8 --pos 3 --values 1", 1,
                "sequence 7: position 3 is not its length 5");
    ck_assert_ptr_nonnull(
        strstr(output, "item 0 (sequence 7): position_mismatch, it has 5 tokens"));
    expect_with(steps, 1, "append --seqs 7,8 --pos 3 --values 1 --json", 1,
                "{\"code\":-32002,\"message\":\"sequence 7");
    ck_assert_uint_eq(strcspn(output, "\n"), strlen(output) - 1);
}
END_TEST

/* Goal: each command sends what it was told, and shows what came. */
START_TEST(commands_and_their_answers)
{
    static const struct {
        const char *arguments;
        struct fake_step step;
        const char *text;
    } rows[] = {
        {"create 5 --capacity 64 --label 'a b' --ttl-ms 9",
         FAKE_ANSWER("{\"seq\":5,\"capacity\":64,\"label\":\"a b\",\"ttl_ms\":9}",
                     "{\"id\":1,\"result\":{\"seq\":5,\"model\":\"m\",\"capacity\":64,\"len\":0,"
                     "\"bytes\":2097152,\"device\":0}}\n"),
         "Created sequence 5: model m, room for 64 tokens, 2.0 MiB."},
        {"append --seqs 5-6 --values 1,2 --layers 0:1 --tokens 1",
         FAKE_ANSWER("{\"seqs\":[5,6],\"tokens\":1,\"layers\":[0,1],\"data\":{\"values\":[1,2]}}",
                     "{\"id\":1,\"result\":{\"lens\":[3,4],\"batch\":12}}\n"),
         "Appended numbers to 2 sequences in batch 12.\n  SEQ  TOKENS NOW\n    5           3\n"},
        {"truncate 5 2",
         FAKE_ANSWER("{\"seq\":5,\"len\":2}", "{\"id\":1,\"result\":{\"seq\":5,\"len\":2}}\n"),
         "Sequence 5 has 2 tokens now."},
        {"free 1,3-4", FAKE_ANSWER("{\"seqs\":[1,3,4]}", "{\"id\":1,\"result\":{\"freed\":3}}\n"),
         "Freed 3 sequences."},
        {"show 9",
         FAKE_ANSWER("{\"seq\":9}", "{\"id\":1,\"result\":{\"seq\":9,\"len\":1,\"capacity\":8,"
                                    "\"layer_lens\":[2,2,1],\"label\":\"\\u001b[2J\"}}\n"),
         "  layers 0-1: 2 tokens\n  layer 2: 1 token\n"},
        {"inject off_by_one --batches 3",
         FAKE_ANSWER("{\"fault\":\"off_by_one\",\"batches\":3}",
                     "{\"id\":1,\"result\":{\"armed\":[\"off_by_one\"]}}\n"),
         "Armed: off_by_one\n"},
        {"inject bit_flip --layer 0 --kv-head 3 --last-item --together",
         FAKE_ANSWER("{\"fault\":\"bit_flip\",\"layer\":0,\"kv_head\":3,\"last_item\":true,"
                     "\"together\":true}",
                     "{\"id\":1,\"result\":{\"armed\":[\"off_by_one\",\"bit_flip\"]}}\n"),
         "Armed: off_by_one bit_flip\n"},
        {"inject none",
         FAKE_ANSWER("{\"fault\":\"none\"}", "{\"id\":1,\"result\":{\"armed\":[]}}\n"),
         "Disarmed: no fault waits for a batch.\n"},
        {"inject half_lengths",
         FAKE_ANSWER("half_lengths", "{\"id\":1,\"result\":{\"armed\":[\"half_lengths\"]}}\n"),
         "half_lengths shows only in sequences that have tokens already"},
        {"inject swap_items",
         FAKE_ANSWER("{\"fault\":\"swap_items\"}",
                     "{\"id\":1,\"result\":{\"armed\":[\"swap_items\"]}}\n"),
         "swap_items shows only in a batch of at least two items"},
        {"reload",
         FAKE_ANSWER("\"method\":\"admin.reload\",\"params\":{}",
                     "{\"id\":1,\"result\":{\"changed\":[\"memory.budget\",\"log.level\"],"
                     "\"needs_restart\":[\"journal.bytes\"]}}\n"),
         "Changed: memory.budget, log.level\nWaits for a restart: journal.bytes\n"},
        {"reload",
         FAKE_ANSWER("admin.reload",
                     "{\"id\":1,\"result\":{\"changed\":[],\"needs_restart\":[]}}\n"),
         "Read: nothing has changed.\n"},
        {"reload --json",
         FAKE_ANSWER("admin.reload", "{\"id\":1,\"result\":{\"changed\":[\"log.level\"]}}\n"),
         "{\"changed\":[\"log.level\"]}\n"},
        {"drain",
         FAKE_ANSWER("\"method\":\"admin.drain\",\"params\":{}", "{\"id\":1,\"result\":{}}\n"),
         "Draining: what the daemon has accepted"},
        {"log-level debug",
         FAKE_ANSWER("\"method\":\"admin.log_level\",\"params\":{\"level\":\"debug\"}",
                     "{\"id\":1,\"result\":{\"level\":\"debug\",\"was\":\"info\"}}\n"),
         "log level is debug now; it was info."},
        {"selftest --items 2 --cache-len 0 --n-layers 3",
         FAKE_ANSWER("{\"m\":2,\"cache_len\":0,\"layers\":3}",
                     "{\"id\":1,\"result\":{\"ok\":true,\"items\":[]}}\n"),
         "OK: batched and per-item"},
        {"raw '{\"id\":1,\"x\":2}'", FAKE_ANSWER("{\"id\":1,\"x\":2}", "{\"id\":1,\"result\":4}\n"),
         "{\"id\":1,\"result\":4}\n"},
        {"raw '{\"method\":\"server.ping\"}'", FAKE_TAKE("server.ping"), "gets no answer"},
        {"read 5 --json",
         FAKE_ANSWER("\"encoding\":\"base64\"", "{\"id\":1,\"result\":{\"data\":{}}}\n"),
         "{\"data\":{}}\n"},
        {"read 5 --pos 2",
         FAKE_ANSWER("{\"seq\":5,\"pos\":2}",
                     "{\"id\":1,\"result\":{\"shape\":[1,2,1,1,1],\"dtype\":"
                     "\"f32\"},\"payload\":8}\n\1\1\200?\1\1\0@"),
         "Sequence 5, positions 2 to 2: [layers 1][K, V][heads 1][tokens 1][dim 1] of f32, 8 B."},
    };
    for (size_t i = 0; i < COUNT(rows) - 1; i++)
        expect_with(&rows[i].step, 1, rows[i].arguments, 0, rows[i].text);
    struct fake_step read = rows[COUNT(rows) - 1].step;
    read.send_bytes = strcspn(read.send, "\n") + 1 + 8; /* it holds a NUL */
    expect_with(&read, 1, rows[COUNT(rows) - 1].arguments, 0, rows[COUNT(rows) - 1].text);
    ck_assert_ptr_nonnull(strstr(output, "    0  K       0    2  1.00003\n"));
}
END_TEST

#define PONG FAKE_ANSWER("server.ping", "{\"id\":1,\"result\":{}}\n")
#define INFO(health) \
    FAKE_ANSWER("server.info", "{\"id\":2,\"result\":{\"models\":[]," health "}}\n")

/* Goal: a daemon that answers and is not healthy does not pass for a healthy one. */
START_TEST(health)
{
    static const struct fake_step well[] = {PONG, INFO("\"healthy\":true")};
    static const struct fake_step ill[] = {
        PONG, INFO("\"healthy\":false,\"unhealthy_because\":\"shadow mode found a divergence\"")};
    static const struct fake_step old[] = {PONG, INFO("\"healthy\":false")};
    static const struct fake_step info[] = {
        FAKE_ANSWER("server.info", "{\"id\":1,\"result\":{\"models\":[],\"healthy\":false,"
                                   "\"unhealthy_because\":\"damage\"}}\n")};
    expect_with(well, 2, "ping", 0, "OK: truekvd answers at");
    expect_with(well, 2, "--json ping", 0, "{}\n");
    expect_with(ill, 2, "ping", 1, "NOT HEALTHY: shadow mode found a divergence\ntruekvd answers");
    ck_assert_ptr_null(strstr(output, "OK:"));
    expect_with(ill, 2, "--json ping", 1, "{}\n");
    expect_with(old, 2, "ping", 1, "NOT HEALTHY: the daemon does not say why");
    expect_with(info, 1, "info", 0, "NOT HEALTHY: damage\n\nserver\n");
}
END_TEST

/* Goal: a file's bytes reach the daemon; what it sends reaches a file. */
START_TEST(files)
{
    static const struct fake_step append[] = {
        FAKE_PAYLOAD("\"payload\":6", 6, "{\"id\":1,\"result\":{\"lens\":[1],\"batch\":1}}\n")};
    static const struct fake_step read[] = {
        FAKE_ANSWER("seq.read", "{\"id\":1,\"result\":{\"shape\":[1,2,1,1,3],\"dtype\":\"f16\"},"
                                "\"payload\":12}\nhello worlds")};
    char arguments[128], line[32] = "", file[64];
    snprintf(file, sizeof file, "%s/rows", dir);
    FILE *f = fopen(file, "wb");
    ck_assert_ptr_nonnull(f);
    fputs("abcde\n", f);
    fclose(f);
    snprintf(arguments, sizeof arguments, "append --seqs 1 --data - < %s", file);
    fake_server_listen(&server, socket_path, append, 1);
    expect(arguments, 0, "Appended 6 B to 1 sequence in batch 1.");
    pthread_join(server.thread, NULL);
    ck_assert(server.payload_len == 6 && memcmp(server.payload, "abcde\n", 6) == 0);
    close(server.listener);
    free(server.payload);
    snprintf(arguments, sizeof arguments, "read 1 --out %s/rows", dir);
    expect_with(read, 1, arguments, 0, "Wrote 12 B to ");
    f = fopen(file, "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fread(line, 1, sizeof line, f), 12);
    ck_assert(memcmp(line, "hello worlds", 12) == 0);
    fclose(f);
    unlink(file);
    expect_with(read, 1, "read 1 --out -", 0, "hello worlds");
    ck_assert_uint_eq(strlen(output), 12);
}
END_TEST

#define MAY_NOT                                                                            \
    "{\"id\":1,\"error\":{\"code\":-32009,\"message\":\"the token is another\",\"data\":{" \
    "\"reason\":\"permission_denied\"}}}\n"

/* Goal: a token is the first thing that is sent, from the option's file or the environment's, as it
 * is but for the white space at its end; a daemon that refuses it is 1, with its words. */
START_TEST(tokens)
{
    static const struct fake_step fine[] = {
        FAKE_ANSWER("\"id\":1,\"method\":\"auth\",\"params\":{\"token\":\"s e\\\"c\"}}",
                    "{\"id\":1,\"result\":{}}\n"),
        FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{\"uptime_s\":1}}\n")};
    static const struct fake_step refused[] = {FAKE_ANSWER("auth", MAY_NOT)};
    static const struct fake_step may_not[] = {FAKE_ANSWER("admin.reload", MAY_NOT)};
    char file[64], arguments[160];
    snprintf(file, sizeof file, "%s/token", dir);
    FILE *f = fopen(file, "wb");
    ck_assert_ptr_nonnull(f);
    fputs("\n s e\"c \r\n\n", f);
    fclose(f);
    snprintf(arguments, sizeof arguments, "--json --token-file %s stats", file);
    expect_with(fine, 2, arguments, 0, "{\"uptime_s\":1}\n");
    expect_with(refused, 1, arguments, 1, "{\"code\":-32009,\"message\":\"the token is another\"");
    snprintf(arguments, sizeof arguments, "stats --token-file %s", file);
    expect_with(
        refused, 1, arguments, 1,
        "truekv: stats: the token is another (permission_denied)\n  The file must hold what");
    ck_assert_int_eq(setenv("TRUEKV_TOKEN_FILE", file, 1), 0);
    expect_with(fine, 2, "--json stats", 0, "{\"uptime_s\":1}\n");
    ck_assert_int_eq(setenv("TRUEKV_TOKEN_FILE", "/nonexistent", 1), 0);
    expect("stats", 2, "cannot take a token from /nonexistent");
    expect("help stats", 0, "usage");
    ck_assert_int_eq(unsetenv("TRUEKV_TOKEN_FILE"), 0);
    expect_with(may_not, 1, "reload", 1,
                "Who may do that is in the daemon's configuration (auth).");
    unlink(file);
}
END_TEST

/* Goal: --random sends as many bytes as the model asks for. */
START_TEST(random_data)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("seq.info", "{\"id\":1,\"result\":{\"seq\":1,\"len\":0,\"model\":\"m\"}}\n"),
        FAKE_ANSWER(
            "server.info",
            "{\"id\":2,\"result\":{\"models\":[{\"name\":\"m\",\"n_layers\":4,\"n_kv_heads\":"
            "2,\"head_dim\":8,\"dtype\":\"bf16\",\"capacity\":9}]}}\n"),
        FAKE_PAYLOAD("\"tokens\":5,\"layers\":[1,3]},\"payload\":640}", 640,
                     "{\"id\":3,\"result\":{\"lens\":[5],\"batch\":1}}\n"),
    };
    expect_with(steps, COUNT(steps), "append --seqs 1 --random 1 --tokens 5 --layers 1:3", 0,
                "Appended 640 B to 1 sequence in batch 1.");
}
END_TEST

/* Goal: verify ends with 1 where something was found, says it, and tells of planted faults. */
START_TEST(verify_finds)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER("{\"seqs\":[9],\"batches\":2,\"scratch_bytes\":67108864}",
                    "{\"id\":1,\"result\":{\"ok\":false,\"batches_checked\":1,\"items_checked\":2,"
                    "\"bytes_compared\":64,\"skipped\":{},\"divergent_items\":1,\"divergences\":[{"
                    "\"seq\":9,\"batch\":812,\"layer\":0,\"kv\":\"k\",\"between\":"
                    "\"per_item/batched\",\"kind\":\"wrong_item\",\"detail\":{\"source_seq\":7}}]"
                    "}}\n"),
        FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{\"verify\":{\"faults_injected\":1}}}\n"),
    };
    expect_with(steps, 2, "verify --seqs 9 --batches 2 --scratch-bytes 64M", 1,
                "FOUND: 1 of 2 items re-run (from 1 batch) differs: the batched kernel writes "
                "wrong bytes.");
    ck_assert_ptr_nonnull(strstr(output, "batch 812: sequence 9's K rows of layer 0 hold sequence "
                                         "7's rows (wrong_item)."));
    ck_assert_ptr_nonnull(strstr(output, "Note: 1 batch of this daemon went through a fault"));
    expect_with(steps, 1, "--json verify --seqs 9 --batches 2 --scratch-bytes 64M", 1,
                "{\"ok\":false,");
}
END_TEST

#define ALL_WELL                                                                   \
    "{\"id\":1,\"result\":{\"ok\":true,\"batches_checked\":1,\"items_checked\":2," \
    "\"bytes_compared\":64,\"skipped\":{},\"divergent_items\":0,\"divergences\":[]}}\n"

/* Goal: who planted faults, and reads that all is well, is told why. */
START_TEST(verify_finds_nothing)
{
    static const struct fake_step planted[] = {
        FAKE_ANSWER("debug.verify", ALL_WELL),
        FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{\"verify\":{\"faults_injected\":3}}}\n"),
    };
    static const struct fake_step none[] = {
        FAKE_ANSWER("debug.verify", ALL_WELL),
        FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{\"verify\":{\"faults_injected\":0}}}\n"),
    };
    expect_with(planted, 2, "verify", 0,
                "Note: 3 batches of this daemon went through a fault that debug.inject had armed "
                "on purpose.");
    expect_with(none, 2, "verify", 0, "OK: 2 items of 1 batch re-run");
    ck_assert_ptr_null(strstr(output, "Note:"));
}
END_TEST

#define STATS FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{}}\n")
#define FOUND_AT(batch)                                                                    \
    "{\"ok\":false,\"items_checked\":2,\"divergent_items\":1,\"divergences\":[{\"seq\":9," \
    "\"batch\":" batch ",\"kind\":\"unknown\"}]}"

/* Goal: what an earlier check found, and this one does not find, is not forgotten; what it has just
 * found is not told of twice; and where nothing was checked, the code says so. */
START_TEST(verify_and_before)
{
    static const struct fake_step before[] = {
        FAKE_ANSWER("debug.verify", ALL_WELL), STATS,
        FAKE_ANSWER("debug.last", "{\"id\":3,\"result\":{\"report\":" FOUND_AT(
                                      "3") ",\"source\":\"shadow\",\"age_ms\":1}}\n")};
    static const struct fake_step same[] = {
        FAKE_ANSWER("debug.verify", "{\"id\":1,\"result\":" FOUND_AT("3") "}\n"), STATS,
        FAKE_ANSWER("debug.last", "{\"id\":3,\"result\":{\"report\":" FOUND_AT(
                                      "3") ",\"source\":\"verify\",\"age_ms\":1}}\n")};
    static const struct fake_step first[] = {
        FAKE_ANSWER("debug.verify", "{\"id\":1,\"result\":" FOUND_AT("3") "}\n"), STATS,
        FAKE_ANSWER("debug.last", "{\"id\":3,\"result\":{\"report\":" FOUND_AT(
                                      "3") ",\"source\":\"verify\",\"age_ms\":1,\"first\":{"
                                           "\"report\":" FOUND_AT("1") ",\"source\":\"shadow\","
                                                                       "\"age_ms\":9}}}\n")};
    static const struct fake_step empty[] = {
        FAKE_ANSWER("debug.verify", "{\"id\":1,\"result\":{\"ok\":true,\"items_checked\":0}}\n")};
    expect_with(before, 3, "verify", 0,
                "Before: An earlier check found something: truekv verify --last\n");
    expect_with(same, 3, "verify", 1, "FOUND:");
    ck_assert_ptr_null(strstr(output, "Before:"));
    expect_with(first, 3, "verify", 1, "found something: truekv verify --first\n");
    expect_with(empty, 1, "verify", 4, "NOTHING CHECKED:");
    expect_with(empty, 1, "verify --json", 4, "\"items_checked\":0");
}
END_TEST

/* Goal: of two reports that are kept, each can be asked for, and each tells of the other. */
START_TEST(verify_first)
{
    static const struct fake_step kept[] = {
        FAKE_ANSWER("debug.last", "{\"id\":1,\"result\":{\"report\":" FOUND_AT(
                                      "3") ",\"source\":\"verify\",\"age_ms\":1000,\"first\":{"
                                           "\"report\":" FOUND_AT("1") ",\"source\":\"shadow\","
                                                                       "\"age_ms\":9000}}}\n"),
        STATS};
    static const struct fake_step none[] = {
        FAKE_ANSWER("debug.last", "{\"id\":1,\"result\":{\"report\":null}}\n")};
    expect_with(kept, 2, "verify --last", 1, "batch 3:");
    ck_assert_ptr_nonnull(strstr(output, "--first.\nFOUND:"));
    expect_with(kept, 2, "verify --first", 1, "batch 1:");
    ck_assert_ptr_nonnull(strstr(output, "found 9 s ago"));
    ck_assert_ptr_nonnull(strstr(output, "--last.\nFOUND:"));
    expect_with(none, 1, "verify --first", 0, "NOTHING KEPT:");
    expect("verify --first --seqs 1", 2, "--first shows a report as it is: --seqs is for a new");
}
END_TEST

/* Goal: the kept report is shown with its origin and its age, also as JSON; none kept is fine. */
START_TEST(verify_last)
{
    static const struct fake_step none[] = {FAKE_ANSWER(
        "\"method\":\"debug.last\",\"params\":{}", "{\"id\":1,\"result\":{\"report\":null}}\n")};
    static const struct fake_step kept[] = {
        FAKE_ANSWER("debug.last",
                    "{\"id\":1,\"result\":{\"report\":{\"ok\":false,\"items_checked\":2,"
                    "\"batches_checked\":1,\"divergent_items\":1,\"divergences\":[]},\"source\":"
                    "\"verify\",\"age_ms\":300000}}\n"),
        FAKE_ANSWER("server.stats", "{\"id\":2,\"result\":{}}\n"),
    };
    expect_with(none, 1, "verify --last", 0, "NOTHING KEPT: no verification has found anything");
    expect_with(none, 1, "verify --last --json", 0, "{\"report\":null}\n");
    expect_with(kept, 2, "verify --last", 1,
                "Kept from a verification, 5 min ago. It tells of then:");
    expect_with(kept, 1, "verify --last --json", 1, "\"source\":\"verify\",\"age_ms\":300000}\n");
}
END_TEST

/* Goal: scrub says what it is asked to, ends with 1 where rows are damaged, and where the daemon
 * keeps no checksums, says what still helps. */
START_TEST(scrub)
{
    static const struct fake_step fine[] = {FAKE_ANSWER(
        "{\"seqs\":[7,8]}",
        "{\"id\":1,\"result\":{\"ok\":true,\"seqs_checked\":2,\"checksums_checked\":"
        "64,\"bytes_read\":4096,\"skipped\":{},\"damaged_tokens\":0,\"damages\":[]}}\n")};
    static const struct fake_step damaged[] = {FAKE_ANSWER(
        "\"method\":\"debug.scrub\",\"params\":{}}",
        "{\"id\":1,\"result\":{\"ok\":false,\"seqs_checked\":1,\"checksums_checked\":"
        "64,\"damaged_tokens\":1,\"damages\":[{\"seq\":7,\"layer\":3,\"kv\":\"k\",\"pos\":"
        "12,\"expected\":\"00ff\",\"found\":\"\\u001b[31m\"},7]}}\n")};
    static const struct fake_step off[] = {FAKE_ANSWER(
        "debug.scrub", "{\"id\":1,\"error\":{\"code\":-32010,\"message\":\"no checksums\","
                       "\"data\":{\"reason\":\"not_supported\"}}}\n")};
    expect_with(
        fine, 1, "scrub --seqs 7,8", 0,
        "OK: 64 checksums of 2 sequences fit the live caches (4.0 KiB read).\nChecksums are of the "
        "rows as the launch loaded them");
    expect_with(damaged, 1, "scrub", 1, "DAMAGED: 1 of 64 checksums (of 1 sequence) does not fit");
    ck_assert_ptr_null(strchr(output, '\033'));
    expect_with(damaged, 1, "scrub --json", 1, "\"damages\":[{\"seq\":7,");
    expect_with(off, 1, "scrub", 1, "has checksums turned off");
    static const struct fake_step empty[] = {FAKE_ANSWER(
        "debug.scrub", "{\"id\":1,\"result\":{\"ok\":true,\"checksums_checked\":0}}\n")};
    expect_with(empty, 1, "scrub", 4, "NOTHING CHECKED:");
}
END_TEST

/* Goal: list follows the pages to their end, or stops where it was told to. */
START_TEST(list_of_pages)
{
    static const struct fake_step steps[] = {
        FAKE_ANSWER(
            "\"params\":{\"limit\":1000}",
            "{\"id\":1,\"result\":{\"seqs\":[{\"seq\":1,\"len\":2,\"bytes\":1024}],\"cursor\":"
            "2}}\n"),
        FAKE_ANSWER("{\"cursor\":2,\"limit\":1000}",
                    "{\"id\":2,\"result\":{\"seqs\":[{\"seq\":2,\"len\":3,\"bytes\":1024}]}}\n"),
    };
    static const struct fake_step one[] = {
        FAKE_ANSWER("\"params\":{\"limit\":1}",
                    "{\"id\":1,\"result\":{\"seqs\":[{\"seq\":1,\"len\":2}],\"cursor\":2}}\n")};
    expect_with(steps, 2, "list", 0, "2 sequences, 2.0 KiB.");
    expect_with(one, 1, "list --limit 1", 0, "There are more: --cursor 2 goes on.");
    static const struct fake_step none[] = {
        FAKE_ANSWER("{}", "{\"id\":1,\"result\":{\"seqs\":[]}}\n")};
    expect_with(none, 1, "list --json", 0, "{\"seqs\":[]}\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("command");
    TCase *tc = tcase_create("command");
    if (!run_begin()) return EXIT_FAILURE;
    tcase_add_test(tc, bad_command_lines);
    tcase_add_test(tc, help_of_everything);
    tcase_add_test(tc, no_daemon);
    tcase_add_test(tc, daemon_says_no);
    tcase_add_test(tc, commands_and_their_answers);
    tcase_add_test(tc, health);
    tcase_add_test(tc, files);
    tcase_add_test(tc, tokens);
    tcase_add_test(tc, random_data);
    tcase_add_test(tc, verify_finds);
    tcase_add_test(tc, verify_finds_nothing);
    tcase_add_test(tc, verify_and_before);
    tcase_add_test(tc, verify_first);
    tcase_add_test(tc, verify_last);
    tcase_add_test(tc, scrub);
    tcase_add_test(tc, list_of_pages);
    suite_add_tcase(s, tc);
    int code = tkv_check_main(s);
    run_end();
    return code;
}
