/* tls_peer.h - the other end of a client's TLS, in a thread of its own: a function of the test's
 * reads and writes there. Its certificate is its own, for 127.0.0.1 and localhost. */
#ifndef TKV_TESTS_CLIENTS_TLS_PEER_H
#define TKV_TESTS_CLIENTS_TLS_PEER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Made by peer_begin(): the certificate (and what trusts it), its key, another one of that kind. */
extern char peer_certificate[], peer_key[], peer_other[];
void peer_begin(void);
void peer_end(void);

struct peer {
    int listener, fd;
    char address[64]; /* tcp:127.0.0.1:PORT */
    SSL_CTX *ctx;     /* for the test to change, before it connects */
    void (*serve)(struct peer *p, SSL *ssl);
    pthread_t thread;
    char server_name[64]; /* what the client asked for (SNI); "": nothing */
    bool shaken;          /* the handshake went well */
};

/* Listens; the thread begins with peer_run(), and takes one connection. */
void peer_open(struct peer *p, void (*serve)(struct peer *p, SSL *ssl));
void peer_run(struct peer *p);
void peer_close(struct peer *p);

/* For serve: a line without its newline, in line; false: the client has gone. */
bool peer_line(SSL *ssl, char *line, size_t size);
bool peer_read(SSL *ssl, void *to, size_t n);
bool peer_write(SSL *ssl, const void *bytes, size_t n);
void peer_say(SSL *ssl, const char *text);

/* The number after `name` in a line, or 0. */
size_t peer_number(const char *line, const char *name);

#endif
