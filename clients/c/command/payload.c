#include "clients/c/command/payload.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/dtype.h"

enum { CHUNK = 1 << 20 };
static const size_t PAYLOAD_MAX = (size_t)16 << 30;

void payload_close(struct payload *p)
{
    free(p->data);
    *p = (struct payload){0};
}

static bool read_all(FILE *from, struct tkv_buffer *b)
{
    for (;;) {
        void *to = tkv_buffer_reserve(b, CHUNK);
        if (to == NULL) return false;
        size_t n = fread(to, 1, CHUNK, from);
        b->len += n;
        if (n < CHUNK) return ferror(from) == 0;
    }
}

bool payload_read(struct app *app, const char *file, struct payload *out)
{
    struct tkv_buffer b;
    bool standard = strcmp(file, "-") == 0;
    FILE *from = standard ? stdin : fopen(file, "rb");
    tkv_buffer_init(&b, PAYLOAD_MAX);
    bool fine = from != NULL && read_all(from, &b);
    if (!fine)
        app_usage(app, "cannot read %s: %s", standard ? "standard input" : file,
                  tkv_buffer_status(&b) == TKV_OK ? strerror(errno) : "it is too large");
    if (from != NULL && !standard) (void)fclose(from);
    if (!fine) {
        tkv_buffer_close(&b);
        return false;
    }
    *out = (struct payload){b.data, b.len};
    return true;
}

bool payload_write(struct app *app, const char *file, const void *data, size_t bytes)
{
    bool standard = strcmp(file, "-") == 0;
    FILE *to = standard ? stdout : fopen(file, "wb");
    bool fine = to != NULL && (bytes == 0 || fwrite(data, 1, bytes, to) == bytes);
    if (fine) fine = fflush(to) == 0;
    if (!fine) app_usage(app, "cannot write %s: %s", file, strerror(errno));
    if (to != NULL && !standard && fclose(to) != 0 && fine) {
        app_usage(app, "cannot write %s: %s", file, strerror(errno));
        return false;
    }
    return fine;
}

enum tkv_dtype payload_dtype(enum truekv_dtype dtype)
{
    assert(dtype != TRUEKV_DTYPE_CACHE);
    if (dtype == TRUEKV_F16) return TKV_F16;
    return dtype == TRUEKV_BF16 ? TKV_BF16 : TKV_F32;
}

uint64_t payload_seed(uint64_t seed)
{
    return seed * UINT64_C(0x9E3779B97F4A7C15);
}

/* xorshift64, into a value of [-0.3, 0.3]. */
static float next_value(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return ((float)*state / (float)UINT64_MAX * 2 - 1) * 0.3f;
}

bool payload_make(struct payload *p, uint64_t *state, size_t n, enum truekv_dtype dtype)
{
    size_t bytes, total, each = truekv_dtype_bytes(dtype);
    if (!tkv_mul(n, each, &bytes) || !tkv_add(p->bytes, bytes, &total) || total > PAYLOAD_MAX)
        return false;
    uint8_t *data = realloc(p->data, total > 0 ? total : 1);
    if (data == NULL) return false;
    p->data = data;
    for (size_t i = 0; i < n; i++) {
        float value = next_value(state);
        tkv_convert(data + p->bytes + i * each, payload_dtype(dtype), &value, TKV_F32, 1);
    }
    p->bytes = total;
    return true;
}
