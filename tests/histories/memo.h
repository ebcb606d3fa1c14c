/* memo.h - a set of 128-bit hashes. */
#ifndef TKV_TESTS_HISTORIES_MEMO_H
#define TKV_TESTS_HISTORIES_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <xxhash.h>

/* Zeroed: empty. */
struct h_memo {
    XXH128_hash_t *slots; /* of a power of two; 0,0: free */
    size_t room, n;
};

/* False where it is there already. */
bool h_memo_add(struct h_memo *memo, XXH128_hash_t key);
void h_memo_clear(struct h_memo *memo);
void h_memo_close(struct h_memo *memo);

#endif
