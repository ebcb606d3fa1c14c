#include "daemon/upload.h"

#include <stdlib.h>
#include <string.h>

/* A copy is worth its start (some 5 us) from about here; blocks begin at such places. */
enum { BLOCK_MIN = 1 << 20, ALIGNMENT = 256 };

void tkv_upload_open(struct tkv_upload *u, uint64_t from_bytes)
{
    *u = (struct tkv_upload){.from_bytes = from_bytes};
}

void tkv_upload_close(struct tkv_upload *u, struct tkv_device *dev)
{
    if (u->rows != NULL) tkv_scratch_free(dev, u->rows);
    free(u->items);
    *u = (struct tkv_upload){.from_bytes = u->from_bytes};
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t room_for(const struct tkv_batch *batch)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < batch->n_blocks; i++)
        bytes += aligned(batch->blocks[i]->bytes);
    return bytes;
}

static bool is_worth_it(const struct tkv_upload *u, const struct tkv_batch *batch)
{
    if (u->from_bytes == 0 || batch->bytes < u->from_bytes) return false;
    return batch->bytes / batch->n_blocks >= BLOCK_MIN && room_for(batch) <= TKV_UPLOAD_MAX;
}

static bool take_memory(struct tkv_upload *u, struct tkv_device *dev, size_t bytes)
{
    size_t room = BLOCK_MIN;
    void *rows;
    if (u->items == NULL) u->items = calloc(TKV_ITEMS_MAX, sizeof *u->items);
    if (u->items == NULL) return false;
    if (bytes <= u->room) return true;
    while (room < bytes)
        room *= 2;
    if (u->rows != NULL) tkv_scratch_free(dev, u->rows);
    u->rows = NULL;
    u->room = 0;
    if (tkv_scratch_alloc(dev, room, &rows) != TKV_OK) return false;
    u->rows = rows;
    u->room = room;
    return true;
}

static bool holds(const struct tkv_staging *block, const void *rows)
{
    const uint8_t *at = rows;
    return at >= block->ptr && (size_t)(at - block->ptr) < block->bytes;
}

/* Items stand in the order of the blocks that hold their rows. */
static enum tkv_status copy(struct tkv_upload *u, struct tkv_device *dev,
                            const struct tkv_batch *batch)
{
    enum tkv_status st = TKV_OK;
    uint8_t *to = u->rows;
    for (uint32_t b = 0, i = 0; b < batch->n_blocks && st == TKV_OK; b++) {
        const struct tkv_staging *block = batch->blocks[b];
        st = tkv_device_copy(dev, to, block->ptr, block->bytes);
        for (; i < batch->n && holds(block, batch->items[i].rows); i++)
            u->items[i].rows = to + ((const uint8_t *)batch->items[i].rows - block->ptr);
        to += aligned(block->bytes);
    }
    return st;
}

enum tkv_status tkv_upload_rows(struct tkv_upload *u, struct tkv_device *dev,
                                const struct tkv_batch *batch, const struct tkv_append_item **out)
{
    *out = batch->items;
    if (!is_worth_it(u, batch) || !take_memory(u, dev, room_for(batch))) return TKV_OK;
    memcpy(u->items, batch->items, batch->n * sizeof *u->items);
    *out = u->items;
    return copy(u, dev, batch);
}
