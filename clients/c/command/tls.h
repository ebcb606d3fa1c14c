/* tls.h - how the command speaks TLS: from its options, or else from the environment. */
#ifndef TRUEKV_COMMAND_TLS_H
#define TRUEKV_COMMAND_TLS_H

#include "clients/c/command/command.h"

/* Whether app->address is spoken to with TLS. The environment counts for tcp: alone, since it is
 * for all commands; options always do. */
bool tls_is_on(const struct app *app);

/* Fills the members of *to that are about TLS. Borrowed: the command line, the environment. */
void tls_options(const struct app *app, struct truekv_options *to);

/* false: options do not go together, or not with the address; it has been said how. */
bool tls_check(struct app *app);

/* What to do about an error that has to do with TLS; NULL: it has not, or nobody knows. A constant.
 */
const char *tls_hint(const struct app *app, const struct truekv_error *e);

#endif
