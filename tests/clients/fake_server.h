/* fake_server.h - a scripted truekvd on one end of a socket pair, in a thread of its own.
 * It expects what it is told to expect and sends what it is told to send, to the byte. */
#ifndef TKV_TESTS_CLIENTS_FAKE_SERVER_H
#define TKV_TESTS_CLIENTS_FAKE_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/c/truekv.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One step: read a line and its payload, then send. */
struct fake_step {
    const char *expect;   /* the next line holds this text; NULL: read nothing */
    size_t payload_bytes; /* read after the line, appended to fake_server.payload */
    const char *send;     /* NULL: nothing */
    size_t send_bytes;    /* 0: strlen(send) */
    size_t cut;           /* > 0: the rest goes out once the client has taken this many */
    int pause_ms;         /* before sending */
};

/* The steps of most scripts. */
#define FAKE_TAKE(expected)  \
    {                        \
        .expect = (expected) \
    }
#define FAKE_ANSWER(expected, answer)          \
    {                                          \
        .expect = (expected), .send = (answer) \
    }
#define FAKE_PAYLOAD(expected, bytes, answer)                            \
    {                                                                    \
        .expect = (expected), .payload_bytes = (bytes), .send = (answer) \
    }

/* Hangs up, is away for so long, and takes the next that connects: after fake_server_listen(). */
#define FAKE_RESTART(ms)                         \
    {                                            \
        .expect = fake_restart, .pause_ms = (ms) \
    }
extern const char fake_restart[];

struct fake_server {
    const struct fake_step *steps;
    size_t n;
    int fd, peer;     /* peer is the client's end, for truekv_open_fd() */
    int listener;     /* -1: a socket pair */
    const char *path; /* of the listener; borrowed */
    pthread_t thread;
    char failure[256]; /* "": all went as scripted */
    uint8_t *payload;  /* all payloads received */
    size_t payload_len;
    char line[65536]; /* the last line received */
};

/* Starts the script; it ends by closing its socket. */
void fake_server_start(struct fake_server *s, const struct fake_step *steps, size_t n);

/* As above, for the first that connects to a Unix socket at path. */
void fake_server_listen(struct fake_server *s, const char *path, const struct fake_step *steps,
                        size_t n);

/* Waits for the script's end, checks that nothing failed, frees the payload. */
void fake_server_finish(struct fake_server *s);

/* The same where the client may go before the script ends. */
void fake_server_end(struct fake_server *s);

/* The one server of a test program, and a client of it. options may be NULL. */
extern struct fake_server server;
struct truekv *start_with(const struct fake_step *steps, size_t n,
                          const struct truekv_options *options);
struct truekv *start(const struct fake_step *steps, size_t n);

/* Closes the client, finishes the server. */
void finish(struct truekv *kv);

#endif
