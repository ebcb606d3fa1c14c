#include <cjson/cJSON.h>
#include <string.h>

#include "base/sizes.h"
#include "clients/c/command/command.h"
#include "clients/c/command/json_in.h"
#include "clients/c/command/payload.h"

/* A request without an id gets no answer; whatever cannot be read gets an error. */
static bool expects_answer(const cJSON *line)
{
    const cJSON *item;
    if (cJSON_IsArray(line) && cJSON_GetArraySize(line) > 0) {
        cJSON_ArrayForEach(item, line)
        {
            if (expects_answer(item)) return true;
        }
        return false;
    }
    bool notification = cJSON_IsObject(line) && json_text(line, "method") != NULL &&
                        cJSON_GetObjectItemCaseSensitive(line, "id") == NULL;
    return !notification;
}

/* An answer, or any of an array of them. */
static bool says_error(const cJSON *answer)
{
    const cJSON *item;
    bool error = cJSON_GetObjectItemCaseSensitive(answer, "error") != NULL;
    if (!cJSON_IsArray(answer)) return error;
    cJSON_ArrayForEach(item, answer) error = error || says_error(item);
    return error;
}

static enum exit_code put_answer(struct app *app, const struct truekv_answer *answer)
{
    const struct option_value *file = app_option(app, OPT_OUT);
    char size[32];
    cJSON *parsed = cJSON_Parse(answer->json);
    bool error = says_error(parsed);
    cJSON_Delete(parsed);
    fprintf(app->out.to, "%s\n", answer->json);
    fflush(app->out.to);
    if (answer->payload_bytes > 0 && file->given &&
        !payload_write(app, file->text, answer->payload, answer->payload_bytes))
        return EXIT_USAGE;
    if (answer->payload_bytes > 0 && !file->given)
        out_para(&app->err, 0, 0, DIM, "", "(and a payload of %s: --out FILE writes it)",
                 tkv_format_size(answer->payload_bytes, size, sizeof size));
    return error ? EXIT_NO : EXIT_FINE;
}

static enum exit_code send_line(struct app *app, const char *line, const struct payload *p,
                                bool answered)
{
    struct truekv_block block = {p->data, p->bytes};
    struct truekv_answer answer;
    enum exit_code code;
    if (!app_connect(app, &code)) return code;
    if (truekv_raw(app->kv, line, &block, p->bytes > 0 ? 1 : 0, answered ? &answer : NULL) !=
        TRUEKV_OK)
        return app_failed(app);
    if (answered) return put_answer(app, &answer);
    out_para(&app->err, 0, 0, DIM, "", "(sent; a request without an id gets no answer)");
    return EXIT_FINE;
}

enum exit_code cmd_raw(struct app *app)
{
    const char *line = app->options.rest[0];
    const struct option_value *data = app_option(app, OPT_DATA);
    struct payload p = {0};
    cJSON *parsed = cJSON_Parse(line);
    bool answered = expects_answer(parsed);
    double promised = json_number(parsed, "payload");
    cJSON_Delete(parsed);
    if (data->given && !payload_read(app, data->text, &p)) return EXIT_USAGE;
    enum exit_code code;
    if (p.bytes > 0 && !(promised == (double)p.bytes))
        code =
            app_usage(app, "the line must say \"payload\": %zu, as long as the data are", p.bytes);
    else if (p.bytes == 0 && promised > 0)
        code = app_usage(app, "the line promises a payload: --data FILE sends it");
    else
        code = send_line(app, line, &p, answered);
    payload_close(&p);
    return code;
}
