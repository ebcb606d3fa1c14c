/* The first byte says how the rest is cut into reads; the events must not depend on it. A line that
 * begins with p or d and a digit announces a payload (d: thrown away, and x: given up on the way).
 */
#include <string.h>

#include "proto/frame.h"
#include "tests/fuzz/target.h"

enum { LINE_MAX_BYTES = 64, PAYLOAD_MAX = 9 * 9 };

/* A digest of what was seen, and how much of it. */
struct seen {
    uint64_t digest;
    size_t lines, payloads, lost;
};

static void see(struct seen *seen, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seen->digest = (seen->digest ^ (uint8_t)bytes[i]) * 1099511628211u;
    seen->digest = (seen->digest ^ n) * 1099511628211u;
}

struct player {
    struct tkv_frame frame;
    struct seen seen;
    char *payload; /* of just its size */
    size_t payload_len;
    bool wanted;
};

static void take_line(struct player *p, const char *line, size_t len)
{
    MUST(len > 0 && len <= LINE_MAX_BYTES && memchr(line, '\n', len) == NULL);
    see(&p->seen, line, len);
    p->seen.lines++;
    if (len < 2 || strchr("pdx", line[0]) == NULL || line[1] < '1' || line[1] > '9') return;
    p->payload_len = (size_t)(line[1] - '0') * 9;
    p->wanted = line[0] == 'p';
    p->payload = malloc(p->payload_len);
    MUST(p->payload != NULL);
    tkv_frame_expect(&p->frame, line[0] == 'd' ? NULL : p->payload, p->payload_len);
    if (line[0] == 'x') tkv_frame_discard(&p->frame);
}

static void take_events(struct player *p)
{
    const char *line;
    size_t len;
    enum tkv_frame_event event;
    while ((event = tkv_frame_next(&p->frame, &line, &len)) != TKV_FRAME_MORE) {
        MUST(event != TKV_FRAME_FAILED && p->seen.lost == 0);
        if (event == TKV_FRAME_LINE) take_line(p, line, len);
        if (event == TKV_FRAME_TOO_LONG) p->seen.lost++;
        if (event != TKV_FRAME_PAYLOAD) continue;
        if (p->wanted) see(&p->seen, p->payload, p->payload_len);
        p->seen.payloads++;
        free(p->payload);
        p->payload = NULL;
    }
}

static struct seen play(const uint8_t *data, size_t size, size_t step)
{
    struct player p = {.payload = NULL};
    tkv_frame_init(&p.frame, LINE_MAX_BYTES);
    while (size > 0) {
        void *to;
        size_t room, piece = size < step ? size : step;
        MUST(tkv_frame_space(&p.frame, &to, &room) == TKV_OK && room > 0);
        if (piece > room) piece = room;
        memcpy(to, data, piece);
        tkv_frame_filled(&p.frame, piece);
        take_events(&p);
        data += piece;
        size -= piece;
    }
    tkv_frame_close(&p.frame);
    free(p.payload);
    return p.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct seen whole = play(data + 1, size - 1, size),
                cut = play(data + 1, size - 1, data[0] % 70 + 1u);
    MUST(whole.digest == cut.digest && whole.lines == cut.lines && whole.lost == cut.lost);
    MUST(whole.payloads == cut.payloads);
    return 0;
}
