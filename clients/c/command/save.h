/* save.h - a file written whole or not at all: what was there before stays until all is there. One
 * thread. */
#ifndef TRUEKV_COMMAND_SAVE_H
#define TRUEKV_COMMAND_SAVE_H

#include "clients/c/command/command.h"

/* Writes beside the file and renames; a device or a pipe is written as it is. false: it has been
 * said. */
bool save_file(struct app *app, const char *path, const char *text, size_t bytes);

#endif
