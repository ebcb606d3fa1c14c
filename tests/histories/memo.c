#include "tests/histories/memo.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 256 };

static bool is_free(const XXH128_hash_t *slot)
{
    return slot->low64 == 0 && slot->high64 == 0;
}

static XXH128_hash_t *find(const struct h_memo *memo, XXH128_hash_t key)
{
    for (size_t i = key.low64;; i++) {
        XXH128_hash_t *slot = &memo->slots[i & (memo->room - 1)];
        if (is_free(slot) || XXH128_isEqual(*slot, key)) return slot;
    }
}

static void grow(struct h_memo *memo)
{
    struct h_memo larger = {.room = memo->room > 0 ? 2 * memo->room : ROOM_MIN, .n = memo->n};
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    assert(larger.slots != NULL);
    for (size_t i = 0; i < memo->room; i++) {
        if (!is_free(&memo->slots[i])) *find(&larger, memo->slots[i]) = memo->slots[i];
    }
    free(memo->slots);
    *memo = larger;
}

bool h_memo_add(struct h_memo *memo, XXH128_hash_t key)
{
    if (4 * memo->n >= 3 * memo->room) grow(memo);
    XXH128_hash_t *slot = find(memo, key);
    if (!is_free(slot)) return false;
    *slot = key;
    memo->n++;
    return true;
}

void h_memo_clear(struct h_memo *memo)
{
    if (memo->n > 0) memset(memo->slots, 0, memo->room * sizeof *memo->slots);
    memo->n = 0;
}

void h_memo_close(struct h_memo *memo)
{
    free(memo->slots);
    *memo = (struct h_memo){0};
}
