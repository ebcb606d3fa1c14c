/* keys.h - the keys of the objects that a text has open, to find duplicates. One thread at a time.
 * Time is O(n log n) in the keys of an object whatever they are; memory is 16 bytes a key. */
#ifndef TKV_PROTO_KEYS_H
#define TKV_PROTO_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tkv_key {
    const char *at; /* behind the opening quote; the string is valid */
    uint32_t hash;  /* of the characters meant, not of how they are written */
};

enum { TKV_KEYS_FEW = 32 };

struct tkv_keys {
    struct tkv_key *all; /* few, or memory of its own */
    size_t n, cap;
    struct tkv_key few[TKV_KEYS_FEW];
};

void tkv_keys_init(struct tkv_keys *keys);
void tkv_keys_close(struct tkv_keys *keys);

/* Adds the key that stands at `at`. TKV_ENOMEM. */
enum tkv_status tkv_keys_add(struct tkv_keys *keys, const char *at);

/* Takes the keys from the one with number `first` on away again: an object has ended. Returns the
 * place of one that stands twice (the later one), or NULL. */
const char *tkv_keys_end_object(struct tkv_keys *keys, size_t first);

#endif
