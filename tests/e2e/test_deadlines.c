/* Clients that keep the daemon waiting: those that do not finish a message, those that say nothing.
 * And what server.stats tells of it all. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

#define MODELS "models = ( " FX_TINY " );\n"
#define APPEND                                                             \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":" \
    "%d,\"params\":{\"seqs\":[1]}}"
enum { TOKEN_BYTES = FX_TINY_BYTES };

static struct daemon d;
static struct wire w;

static void start(const char *config)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
    wire_ok(&w, "seq.create", "{\"seq\":1}");
}

static void stop(void)
{
    wire_close(&w);
    daemon_close(&d);
}

/* Goal: who begins a message and does not end it is closed, wherever it stopped, and trickling
 * bytes does not help; who is between messages stays. */
START_TEST(slow_writers_are_closed)
{
    struct wire line, payload, patient;
    start(MODELS "limits: { frame_ms = 700; };");
    wire_open(&line, &d);
    wire_open(&payload, &d);
    wire_open(&patient, &d);
    wire_send(&line, "{\"jsonrpc\"", 10);
    wire_sendf(&payload, APPEND, TOKEN_BYTES);
    wire_send(&payload, "12345678", 8);
    wire_ok(&patient, "server.ping", NULL);
    bool open = true;
    for (int i = 0; i < 100 && open; i++) {
        usleep(100000);
        open = wire_try_send(&line, " ", 1);
    }
    ck_assert(!open);
    ck_assert_ptr_null(wire_line(&payload));
    wire_ok(&patient, "server.ping", NULL);
    wire_ok(&w, "server.ping", NULL);
    wire_await_stat(&w, "closed.slow_writer", 2);
    wire_close(&line);
    wire_close(&payload);
    wire_close(&patient);
    wire_verify_ok(&w, false);
    stop();
}
END_TEST

/* Goal: a message that comes in pieces, each in time, is served: the deadline is for a message, and
 * begins anew with the next one. */
START_TEST(steady_writers_stay)
{
    char rows[TOKEN_BYTES] = {0};
    start(MODELS "limits: { frame_ms = 1500; };");
    for (int i = 0; i < 5; i++) {
        wire_sendf(&w, APPEND, TOKEN_BYTES);
        wire_send(&w, rows, TOKEN_BYTES / 2);
        usleep(400000);
        wire_send(&w, rows, TOKEN_BYTES / 2);
        cJSON *answer = wire_answer(&w);
        ck_assert_int_eq((int)json_number(answer, "result.lens[0]"), i + 1);
        cJSON_Delete(answer);
    }
    wire_await_stat(&w, "closed.slow_writer", 0);
    stop();
}
END_TEST

/* Goal: so does who sends message after message, whole in time, in pieces that never end where one
 * does. */
START_TEST(streams_without_a_seam_stay)
{
    static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server.ping\"}\n";
    enum { BYTES = sizeof ping - 1, HALF = BYTES / 2, PINGS = 12 };
    struct wire stream;
    char piece[BYTES];
    start(MODELS "limits: { frame_ms = 800; };");
    wire_open(&stream, &d);
    wire_send(&stream, ping, HALF);
    memcpy(piece, ping + HALF, BYTES - HALF);
    memcpy(piece + BYTES - HALF, ping, HALF);
    for (int i = 0; i < PINGS; i++) {
        usleep(150000);
        wire_send(&stream, piece, BYTES);
        ck_assert_ptr_nonnull(wire_line(&stream));
    }
    ck_assert_ptr_null(wire_line(&stream)); /* the last half never becomes whole */
    wire_await_stat(&w, "closed.slow_writer", 1);
    wire_close(&stream);
    stop();
}
END_TEST

/* Goal: with a limit, who asks nothing is closed and who asks is not; by default nobody is. */
START_TEST(idle_clients_are_closed)
{
    struct wire idle;
    start(_i == 0 ? MODELS "limits: { idle_ms = 600; };" : MODELS);
    wire_open(&idle, &d);
    for (int i = 0; i < 8; i++) {
        usleep(200000);
        wire_ok(&w, "server.ping", NULL);
    }
    if (_i == 0)
        ck_assert_ptr_null(wire_line(&idle));
    else
        wire_ok(&idle, "server.ping", NULL);
    wire_await_stat(&w, "closed.idle", _i == 0);
    wire_close(&idle);
    stop();
}
END_TEST

/* Goal: requests are counted by method and by reason, connections by why they were closed, batches
 * by size, memory by state; what was counted does not depend on who looks. */
START_TEST(stats_tell)
{
    struct wire other;
    start(MODELS "limits: { max_header_bytes = 1024; };");
    char rows[3 * TOKEN_BYTES] = {0}, line[2000];
    wire_ok(&w, "seq.create", "{\"seq\":2}");
    wire_refused(&w, "seq.create", "{\"seq\":2}", "already_exists");
    wire_refused(&w, "seq.info", "{\"seq\":77}", "not_found");
    wire_refused(&w, "seq.info", "{}", "invalid_params");
    wire_refused(&w, "nonsense", NULL, "method_not_found");
    wire_sendf(&w,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"seq.append\",\"payload\":%d,\"params\":"
               "{\"seqs\":[1,2,1]}}",
               3 * TOKEN_BYTES);
    wire_send(&w, rows, sizeof rows);
    cJSON_Delete(wire_answer(&w));
    wire_open(&other, &d);
    memset(line, ' ', sizeof line);
    wire_send(&other, line, sizeof line);
    cJSON_Delete(wire_answer(&other));
    wire_close(&other);
    wire_await_stat(&w, "methods['seq.create'].count", 3);
    wire_await_stat(&w, "methods['seq.create'].errors", 1);
    wire_await_stat(&w, "methods['seq.info'].errors", 2);
    wire_await_stat(&w, "methods['seq.append'].count", 1);
    wire_await_stat(&w, "reasons.already_exists", 1);
    wire_await_stat(&w, "reasons.not_found", 1);
    wire_await_stat(&w, "reasons.invalid_params", 1);
    wire_await_stat(&w, "reasons.method_not_found", 1);
    wire_await_stat(&w, "reasons.too_large", 1);
    wire_await_stat(&w, "requests.errors", 5);
    wire_await_stat(&w, "batch_size.max", 3);
    wire_await_stat(&w, "recent.batch_size.count", 1);
    wire_await_stat(&w, "sequence_states.live", 2);
    wire_ok(&w, "seq.free", "{\"seqs\":[1,2]}");
    wire_await_stat(&w, "sequence_states.live", 0);
    wire_await_stat(&w, "memory_states.live", 0);
    for (int i = 0; i < 100; i++) { /* it lingers until the peer has closed */
        cJSON *stats = wire_call(&w, "server.stats", NULL);
        bool told = json_number(stats, "result.closed.broken_stream") == 1;
        cJSON_Delete(stats);
        if (told) break;
        usleep(50000);
    }
    wire_await_stat(&w, "closed.broken_stream", 1);
    stop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deadlines");
    TCase *tc = tcase_create("deadlines");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, slow_writers_are_closed);
    tcase_add_test(tc, steady_writers_stay);
    tcase_add_test(tc, streams_without_a_seam_stay);
    tcase_add_loop_test(tc, idle_clients_are_closed, 0, 2);
    tcase_add_test(tc, stats_tell);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
