/* Random streams: requests in any order, some bytes changed, cut anywhere, clients that leave at
 * any moment. The seed is printed; TKV_TEST_SEED repeats it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/wire.h"
#include "tests/support/check_main.h"

enum { STREAMS = 1500, REQUESTS_MAX = 30, STREAM_BYTES_MAX = 16 * 1024, SEQS = 4 };

static const char config[] = "models = ( " FX_TINY " );\n"
                             "debug: { allow_fault_injection = false; };\n";

#define REQUEST(method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}\n"
#define PAYLOAD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* %u: a sequence */
static const char *const requests[] = {
    REQUEST("seq.create", "{\"seq\":%u,\"on_disconnect\":\"free\"}"),
    REQUEST("seq.create", "{\"seq\":%u,\"ttl_ms\":20}"),
    REQUEST("seq.info", "{\"seq\":%u}"),
    REQUEST("seq.read", "{\"seq\":%u}"),
    REQUEST("seq.read", "{\"seq\":%u,\"encoding\":\"base64\",\"dtype\":\"f32\"}"),
    REQUEST("seq.truncate", "{\"seq\":%u,\"len\":1}"),
    REQUEST("seq.free", "{\"seqs\":[%u]}"),
    REQUEST("seq.append", "{\"seqs\":[%u],\"layers\":[0,1],\"data\":{\"values\":"
                          "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}}"),
    "{\"jsonrpc\":\"2.0\",\"method\":\"seq.append\",\"payload\":64,\"params\":{\"seqs\":[%u]}}"
    "\n" PAYLOAD,
    "[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"seq.info\",\"params\":{\"seq\":%u}},"
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"server.stats\"}]\n",
    "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"seq.list\"}\n",
};

static struct daemon d;
static struct wire w;
static uint64_t state;

static unsigned below(unsigned n)
{
    assert(n > 0);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 16) % n;
}

static void setup(void)
{
    daemon_start(&d, config);
    wire_open(&w, &d);
}

static void teardown(void)
{
    wire_close(&w);
    daemon_close(&d);
}

/* Requests one after the other, in bytes; then a few of these changed, and the end cut off. */
static size_t make_stream(char *bytes)
{
    size_t n = 0;
    for (unsigned left = 1 + below(REQUESTS_MAX); left > 0; left--) {
        const char *request = requests[below(sizeof requests / sizeof requests[0])];
        char text[512];
        int len = snprintf(text, sizeof text, request, below(SEQS)); // NOLINT: one of the above
        ck_assert(len > 0 && n + (size_t)len <= STREAM_BYTES_MAX);
        memcpy(bytes + n, text, (size_t)len);
        n += (size_t)len;
    }
    for (unsigned left = below(3) * below(3); left > 0; left--) {
        static const char likely[] = "\n\"9-{}[],:";
        unsigned kind = below(sizeof likely);
        bytes[below((unsigned)n)] = kind < sizeof likely - 1 ? likely[kind] : (char)below(256);
    }
    return below(3) == 0 ? 1 + below((unsigned)n) : n;
}

/* Sends a stream and leaves: at once, after the first answer, or after the last. */
static void run_stream(void)
{
    static char bytes[STREAM_BYTES_MAX];
    struct wire other;
    wire_open(&other, &d);
    size_t n = make_stream(bytes);
    bool sent = wire_try_send(&other, bytes, n); /* it may have been closed for what it sends */
    switch (below(3)) {
    case 0: break;
    case 1:
        if (sent && shutdown(other.fd, SHUT_WR) == 0) wire_line(&other);
        break;
    default:
        if (!sent || shutdown(other.fd, SHUT_WR) != 0) break;
        while (wire_line(&other) != NULL) { /* bytes of payloads are lines like others here */
        }
    }
    wire_close(&other);
}

/* Goal: whatever arrives, the daemon lives, its caches are right, and nothing stays behind. */
START_TEST(random_streams)
{
    const char *given = getenv("TKV_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("TKV_TEST_SEED=%llu\n", (unsigned long long)seed);
    state = seed * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < STREAMS; i++)
        run_stream();
    wire_await_quiet(&w);
    wire_verify_ok(&w, false);
    daemon_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random_bytes");
    TCase *tests = tcase_create("random_bytes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, random_streams);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
