/* upload.h - rows of a large batch, copied to the device in front of its launch.
 *
 * A kernel can read pinned host memory itself, and for small batches that is faster: no copy has to
 * be started, and nothing waits for its end. A copy engine asks for more bytes at a time, though,
 * and so gets some more out of the link. Engine thread only, but for open and close. */
#ifndef TKV_DAEMON_UPLOAD_H
#define TKV_DAEMON_UPLOAD_H

#include "daemon/batch.h"

enum { TKV_UPLOAD_MAX = 64 << 20 }; /* bytes of a batch; more is read from where it lies */

struct tkv_upload {
    uint64_t from_bytes; /* batches of so many bytes are copied; 0: none */
    uint8_t *rows;       /* scratch memory; NULL until the first of them */
    size_t room;
    struct tkv_append_item *items; /* [TKV_ITEMS_MAX], with `rows` */
};

/* Memory is taken when the first large batch comes. */
void tkv_upload_open(struct tkv_upload *u, uint64_t from_bytes);
void tkv_upload_close(struct tkv_upload *u, struct tkv_device *dev);

/* Queues the copies that are worth it. *out: the items to launch; the batch's own where its rows
 * stay where they are, also for lack of memory. They are borrowed until the launch has completed.
 * A failure is the device's. */
enum tkv_status tkv_upload_rows(struct tkv_upload *u, struct tkv_device *dev,
                                const struct tkv_batch *batch, const struct tkv_append_item **out);

#endif
