/* token.h - the token that a daemon wants over TCP, from a file. */
#ifndef TRUEKV_COMMAND_TOKEN_H
#define TRUEKV_COMMAND_TOKEN_H

#include "clients/c/command/command.h"

/* Fills app->token from --token-file, or else $TRUEKV_TOKEN_FILE, without the white space around
 * it; "" where neither names a file. false: why says what is wrong with the file, and the token is
 * what it was. */
bool token_read(struct app *app, char *why, size_t size);

#endif
