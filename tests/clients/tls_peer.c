#include "tests/clients/tls_peer.h"

#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char folder[] = "/tmp/truekv-tls-XXXXXX";
char peer_certificate[64], peer_key[64], peer_other[64];

/* A certificate that has signed itself, and its key. */
static void make(const char *certificate, const char *key)
{
    char line[512];
    snprintf(line, sizeof line,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
             "-subj /CN=peer -addext subjectAltName=IP:127.0.0.1,DNS:localhost "
             "-keyout %s -out %s 2>/dev/null",
             key, certificate);
    ck_assert_int_eq(system(line), 0);
}

void peer_begin(void)
{
    char key[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(peer_certificate, sizeof peer_certificate, "%s/peer.pem", folder);
    snprintf(peer_key, sizeof peer_key, "%s/peer.key", folder);
    snprintf(peer_other, sizeof peer_other, "%s/other.pem", folder);
    snprintf(key, sizeof key, "%s/other.key", folder);
    make(peer_certificate, peer_key);
    make(peer_other, key);
    (void)unlink(key);
}

void peer_end(void)
{
    (void)unlink(peer_certificate);
    (void)unlink(peer_key);
    (void)unlink(peer_other);
    (void)rmdir(folder);
}

/* Small buffers, so that both sides find the socket full; the accepted one inherits them. */
void peer_open(struct peer *p, void (*serve)(struct peer *p, SSL *ssl))
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int bytes = 32 * 1024;
    *p = (struct peer){.serve = serve, .fd = -1};
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setsockopt(p->listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    ck_assert_int_eq(setsockopt(p->listener, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    ck_assert_int_eq(bind(p->listener, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(p->listener, 4), 0);
    getsockname(p->listener, (struct sockaddr *)&in, &size);
    snprintf(p->address, sizeof p->address, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    p->ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(p->ctx, peer_certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(p->ctx, peer_key, SSL_FILETYPE_PEM), 1);
}

static void *run(void *arg)
{
    struct peer *p = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* of this end's own writes; not the client's */
    p->fd = accept(p->listener, NULL, NULL);
    SSL *ssl = SSL_new(p->ctx);
    SSL_set_fd(ssl, p->fd);
    p->shaken = SSL_accept(ssl) == 1;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(p->server_name, sizeof p->server_name, "%s", name != NULL ? name : "");
    if (p->shaken) p->serve(p, ssl);
    SSL_free(ssl);
    close(p->fd);
    return NULL;
}

void peer_run(struct peer *p)
{
    ck_assert_int_eq(pthread_create(&p->thread, NULL, run, p), 0);
}

void peer_close(struct peer *p)
{
    pthread_join(p->thread, NULL);
    close(p->listener);
    SSL_CTX_free(p->ctx);
}

bool peer_read(SSL *ssl, void *to, size_t n)
{
    size_t got = 0;
    for (size_t at = 0; at < n; at += got) {
        if (SSL_read_ex(ssl, (char *)to + at, n - at, &got) != 1) return false;
    }
    return true;
}

bool peer_line(SSL *ssl, char *line, size_t size)
{
    for (size_t at = 0; at + 1 < size; at++) {
        if (!peer_read(ssl, line + at, 1)) return false;
        if (line[at] != '\n') continue;
        line[at] = '\0';
        return true;
    }
    return false;
}

bool peer_write(SSL *ssl, const void *bytes, size_t n)
{
    size_t written;
    return SSL_write_ex(ssl, bytes, n, &written) == 1 && written == n;
}

void peer_say(SSL *ssl, const char *text)
{
    ck_assert(peer_write(ssl, text, strlen(text)));
}

size_t peer_number(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}
