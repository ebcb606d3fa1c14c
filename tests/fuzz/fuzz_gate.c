/* Whatever passes the gate must parse with cJSON, and nothing that cJSON refuses may pass; cutting
 * its last byte off, or a space around it, does what one expects. */
#include <cjson/cJSON.h>
#include <string.h>

#include "proto/mend.h"
#include "proto/text.h"
#include "tests/fuzz/target.h"

/* The number of values in a tree; all strings are UTF-8. */
static size_t count_values(const cJSON *value)
{
    size_t n = 1;
    if (cJSON_IsString(value))
        MUST(tkv_utf8_whole(value->valuestring, strlen(value->valuestring)) ==
             strlen(value->valuestring));
    for (const cJSON *child = value->child; child != NULL; child = child->next)
        n += count_values(child);
    return n;
}

/* Its texts come from the gate's own mending: the only ones that cJSON ever gets to see. */
static void check_cjson(const char *text, size_t len, const struct tkv_gate_facts *facts)
{
    char *mended = NULL;
    if (tkv_mend_needed(facts)) {
        size_t mended_len;
        mended = tkv_mend(text, len, &mended_len);
        MUST(mended != NULL && mended_len <= len);
        struct tkv_gate_error err;
        enum tkv_status st = tkv_gate_check(mended, mended_len, &err);
        /* Two keys may become equal, and infinity is no number; all else is as it was. */
        MUST(st == TKV_OK || strcmp(err.what, "key stands twice in an object") == 0 ||
             strcmp(err.what, "number out of range") == 0);
        text = mended;
        len = mended_len;
    }
    const char *parsed_end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &parsed_end, 0);
    MUST(root != NULL);
    MUST(count_values(root) >= 1);
    MUST(tkv_skip_space(parsed_end, text + len) == text + len);
    cJSON_Delete(root);
    free(mended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = text + size;
    struct tkv_gate_facts facts;
    struct tkv_gate_error err;
    enum tkv_status st = tkv_gate_scan(text, size, &facts, &err);
    MUST(st == TKV_OK || st == TKV_EPARSE);
    if (st == TKV_EPARSE) {
        MUST(err.what != NULL && err.offset <= size);
        return 0;
    }
    const char *value = tkv_skip_space(text, end);
    MUST(tkv_skip_space(tkv_skip_value(value, end), end) == end);
    check_cjson(text, size, &facts);
    return 0;
}
