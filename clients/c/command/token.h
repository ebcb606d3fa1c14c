/* token.h - the token that a daemon wants over TCP, from a file. */
#ifndef TRUEKV_COMMAND_TOKEN_H
#define TRUEKV_COMMAND_TOKEN_H

#include "clients/c/command/command.h"

/* Fills app->token from --token-file, or else $TRUEKV_TOKEN_FILE, without the white space at its
 * end; "" where neither names a file. false: it has been said what is wrong with the file. */
bool token_read(struct app *app);

#endif
