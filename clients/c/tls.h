/* tls.h - TLS over a connected socket, with the manners of sendmsg() and recv(); for libtruekv
 * alone.
 *
 * A peer whose certificate does not hold for the address is never spoken to; nothing switches that
 * off. One thread at a time. It waits in tkc_tls_shake_hands() alone, and raises no signal; errors
 * that OpenSSL queues for a thread are taken away again. */
#ifndef TRUEKV_TLS_H
#define TRUEKV_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "clients/c/truekv.h"

struct tkc_tls; /* opaque: tkc_tls_open() .. tkc_tls_close() */

/* Reads the files that o names, for a connection to address. *out is written on success only.
 * EARGUMENT (a file, the address, what goes with what), ENOMEM: *why says it. */
enum truekv_status tkc_tls_open(struct tkc_tls **out, const char *address,
                                const struct truekv_options *o, struct truekv_error *why);

/* Makes fd, connected and borrowed, a connection with TLS. timeout_ms negative: no limit.
 * ECONNECT, ETIMEOUT, ENOMEM: *why says it; os_error EPROTO where it is not the socket's. */
enum truekv_status tkc_tls_shake_hands(struct tkc_tls *tls, int fd, const char *address,
                                       int timeout_ms, struct truekv_error *why);

/* How many bytes went, at least one, or came; 0: the peer has said that it ends. -1 and errno:
 * EAGAIN, what befell the socket, or EPROTO, about which tkc_tls_words() knows more. What a send
 * that said EAGAIN was given must begin the next one. */
ssize_t tkc_tls_send(struct tkc_tls *tls, const struct iovec *iov, size_t n);
ssize_t tkc_tls_receive(struct tkc_tls *tls, void *to, size_t room);

/* Whether something may be received though the socket is empty. */
bool tkc_tls_holds_more(const struct tkc_tls *tls);

/* What to poll() for, to go on with receiving (POLLIN) and sending (POLLOUT). */
short tkc_tls_events(const struct tkc_tls *tls, short events);

/* os_error in words, right after the call that set errno to it. */
const char *tkc_tls_words(const struct tkc_tls *tls, int os_error);

/* Frees all; the socket stays. NULL is fine. well: tells the peer that this is the end. */
void tkc_tls_close(struct tkc_tls *tls, bool well);

#endif
