/* config_text.h - a configuration file's text, made safe for libconfig 1.5. */
#ifndef TKV_DAEMON_CONFIG_TEXT_H
#define TKV_DAEMON_CONFIG_TEXT_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/status.h"

enum { TKV_CONFIG_FILE_MAX = 1 << 20 };

/* Reads the file and appends it to out, with its NUL. libconfig 1.5 cuts integers to 32 bits
 * without a word unless they end in L, so one that needs more gets its L here; lines stay where
 * they are. TKV_EINVAL (message says the file, the line and why): cannot be read, too large, holds
 * a NUL, or includes another file, whose integers nobody could guard. TKV_ENOMEM. */
enum tkv_status tkv_config_text_read(const char *path, struct tkv_buffer *out, char *message,
                                     size_t size);

#endif
