#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/config_text.h"
#include "daemon/settings.h"
#include "tests/support/check_main.h"

#define MODEL \
    "{ name = \"a\"; n_layers = 1; n_kv_heads = 1; head_dim = 8; dtype = \"f16\"; capacity = 4; }"
#define MODELS "models = ( " MODEL " );"

/* libconfig 1.5 leaks the start of a string that a file's end cuts off. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

static char path[32];
static char message[1024];

static void setup(void)
{
    snprintf(path, sizeof path, "/tmp/tkv-config-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

static void write_file(const void *text, size_t n)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, n, file), n);
    fclose(file);
}

static enum tkv_status load(struct tkv_config *config, const char *text)
{
    write_file(text, strlen(text));
    tkv_config_init(config);
    message[0] = '\0';
    return tkv_config_load(config, path, message, sizeof message);
}

/* Whether the file has a line "# NAME = " for the last part of a key. */
static bool is_in_a_comment(const char *file_name, const char *key)
{
    char wanted[80], line[256];
    bool found = false;
    snprintf(wanted, sizeof wanted, "# %s = ", strrchr(key, '.') + 1);
    FILE *file = fopen(file_name, "r");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, wanted) != NULL;
    fclose(file);
    return found;
}

/* Goal: the example file explains every setting and shows its default.
 * Method: each name of the table is looked up in the file, each value compared with the default. */
START_TEST(example_file_has_every_default)
{
    static const char example[] = "config/truekvd.conf";
    struct tkv_config config;
    config_t file;
    tkv_config_init(&config);
    ck_assert_msg(tkv_config_load(&config, example, message, sizeof message) == TKV_OK, "%s",
                  message);
    config_init(&file);
    ck_assert_int_eq(config_read_file(&file, example), CONFIG_TRUE);
    for (const struct tkv_setting *s = tkv_settings; s->key != NULL; s++) {
        if (s->kind == TKV_SETTING_LIST && s->words == NULL) { /* absent by default: a comment */
            ck_assert_msg(is_in_a_comment(example, s->key), "%s is not explained", s->key);
            continue;
        }
        ck_assert_msg(config_lookup(&file, s->key) != NULL, "%s is not explained", s->key);
        if (s->kind == TKV_SETTING_LIST) continue;
        if (s->kind == TKV_SETTING_TEXT) {
            ck_assert_msg(tkv_setting_text(s, &config) == NULL, "%s is not empty", s->key);
            continue;
        }
        ck_assert_msg(tkv_setting_get(s, &config) == s->fallback, "%s is not its default", s->key);
    }
    ck_assert_uint_eq(config.n_listen, 1);
    ck_assert_str_eq(config.listen[0], TKV_LISTEN_DEFAULT);
    ck_assert_uint_eq(config.n_models, 1);
    config_destroy(&file);
    tkv_config_close(&config);
}
END_TEST

/* Goal: the model that the example has commented out is right, too. Method: take the # away. */
START_TEST(example_file_second_model_is_right)
{
    struct tkv_config config;
    char text[32768];
    FILE *file = fopen("config/truekvd.conf", "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    char *comment = strstr(text, "# , {");
    ck_assert_ptr_nonnull(comment);
    *comment = ' ';
    ck_assert_msg(load(&config, text) == TKV_OK, "%s", message);
    ck_assert_uint_eq(config.n_models, 2);
    tkv_config_close(&config);
}
END_TEST

/* Goal: what is written arrives in its field. */
START_TEST(values_arrive)
{
    struct tkv_config c;
    ck_assert_msg(load(&c,
                       "listen = [\"tcp:127.0.0.1:7\", \"unix:/a\"]; backend = \"cpu\"; device = 3;"
                       "models = (" MODEL ", { name = \"org/b-1:2\"; n_layers = 32;"
                       " n_kv_heads = 8; head_dim = 63; dtype = \"bf16\"; capacity = 9; } );"
                       "batch: { max_items = 7; max_delay_us = 0x10; };"
                       "journal: { bytes = 0; };"
                       "memory: { budget = \"40G\"; };"
                       "limits: { max_payload_bytes = \"3000KiB\"; drain_ms = 5; };"
                       "debug: { allow_fault_injection = true; };"
                       "log: { level = \"debug\"; };") == TKV_OK,
                  "%s", message);
    ck_assert_uint_eq(c.n_listen, 2);
    ck_assert_str_eq(c.listen[1], "unix:/a");
    ck_assert_int_eq(c.backend, TKV_BACKEND_CPU);
    ck_assert_int_eq(c.device, 3);
    ck_assert_uint_eq(c.n_models, 2);
    ck_assert_str_eq(c.models[1].name, "org/b-1:2");
    ck_assert_uint_eq(c.models[1].geom.n_layers, 32);
    ck_assert_uint_eq(c.models[1].geom.n_kv_heads, 8);
    ck_assert_uint_eq(c.models[1].geom.head_dim, 63);
    ck_assert_int_eq(c.models[1].geom.dtype, TKV_BF16);
    ck_assert_uint_eq(c.models[1].capacity, 9);
    ck_assert_uint_eq(c.batch_max_items, 7);
    ck_assert_uint_eq(c.batch_max_delay_us, 16);
    ck_assert_uint_eq(c.journal_bytes, 0);
    ck_assert_uint_eq(c.memory_budget, 40 * TKV_GIB);
    ck_assert_uint_eq(c.limits_max_payload_bytes, 3000 * TKV_KIB);
    ck_assert_uint_eq(c.limits_drain_ms, 5);
    ck_assert(c.debug_allow_fault_injection);
    ck_assert_int_eq(c.log_level, TKV_LOG_DEBUG);
    tkv_config_close(&c);
}
END_TEST

/* Goal: integers are never cut to 32 bits, as libconfig does by itself; comments and strings that
 * look like integers stay as they are. */
START_TEST(large_integers_are_whole)
{
    static const struct {
        const char *text;
        uint64_t budget;
    } cases[] = {
        {"memory: { budget = 2147483647; };", 2147483647},
        {"memory: { budget = 2147483648; };", 2147483648},
        {"memory: { budget = 4294967297; };", 4294967297},
        {"memory: { budget = 4294967297L; };", 4294967297},
        {"memory: { budget = 0xFFFFFFFF; };", 4294967295},
        {"memory: { budget = 0x1FFFFFFFF; };", 8589934591},
        {"# 99999999999\n// 99999999999 @\nmemory: { /* 9999999999 */ budget = 5; };", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tkv_config c;
        char text[512];
        snprintf(text, sizeof text, "%s%s", cases[i].text, MODELS);
        ck_assert_msg(load(&c, text) == TKV_OK, "%s: %s", cases[i].text, message);
        ck_assert_msg(c.memory_budget == cases[i].budget, "%s", cases[i].text);
        tkv_config_close(&c);
    }
}
END_TEST

/* Goal: every mistake is refused with line, key and what would be right. */
START_TEST(mistakes_are_named)
{
    static const struct {
        const char *text, *line_key, *advice;
    } cases[] = {
        {"", ":1: models:", "add models"},
        {"models = ();", ":1: models:", "add models"},
        {"\n\nmodel = ();", ":3: model:", "\"models\""},
        {"bakcend = \"cpu\";", ":1: bakcend:", "\"backend\""},
        {"zebra = 1;", ":1: zebra:", "--help"},
        {"max_items = 3;", ":1: max_items:", "\"batch.max_items\""},
        {"batch: {\n max_item = 3; };", ":2: batch.max_item:", "\"batch.max_items\""},
        {"batch: {\n\n max_items = 0; };", ":3: batch.max_items:", "1 to 4096"},
        {"batch: { max_items = 4097; };", ":1: batch.max_items:", "1 to 4096"},
        {"batch: { max_items = -1; };", ":1: batch.max_items: -1", "1 to 4096"},
        {"batch: { max_items = 4294967297; };", ":1: batch.max_items: 4294967297", "1 to 4096"},
        {"batch: { max_items = 99999999999999999999; };", ":1: batch.max_items:", "1 to 4096"},
        {"batch: { max_items = 1.5; };", ":1: batch.max_items:", "whole number"},
        {"batch: { max_items = \"3\"; };", ":1: batch.max_items:", "whole number"},
        {"batch: { max_items = { a = 1; }; };", ":1: batch.max_items:", "whole number"},
        {"batch = 3;", ":1: batch:", "group"},
        {"batch: { deeper: { max_items = 3; }; };", ":1: batch.deeper:", "no such"},
        {"journal: { bytes = \"12Q\"; };", ":1: journal.bytes:", "\"64M\""},
        {"journal: { bytes = true; };", ":1: journal.bytes:", "size"},
        {"journal: { bytes = \"99999999999G\"; };", ":1: journal.bytes:", "0 to 1024T"},
        {"debug: { allow_fault_injection = 1; };", ":1: debug.allow_fault_injection:", "true"},
        {"log: { level = \"loud\"; };", ":1: log.level:", "error|warning|info|debug"},
        {"log: { level = 1; };", ":1: log.level:", "word in quotes"},
        {"listen = \"unix:/a\";", ":1: listen:", "array"},
        {"listen = [];", ":1: listen:", "one address"},
        {"listen = [1];", ":1: listen:", "text"},
        {"listen = [\"unix:/a\", \"unix:/a\"];", ":1: listen:", "twice"},
        {"listen = [\"ftp:x\"];", ":1: listen:", "unix:PATH"},
        {"models = \"a\";", ":1: models:", "list of groups"},
        {"models = ( 1 );", ":1: models[0]:", "group"},
        {"models = (\n{ name = \"a\"; } );", ":2: models[0].n_layers:", "missing"},
        {"models = (\n{ nmae = \"a\"; } );", ":2: models[0].nmae:", "name"},
        {"models = ( " MODEL ",\n" MODEL " );", ":2: models[1]:", "name of its own"},
        {"models = ( { name = \"\"; } );", ":1: models[0].name:", "letters"},
        {"models = ( { name = \"a b\"; } );", ":1: models[0].name:", "letters"},
        {"models = ( { head_dim = 0; } );", ":1: models[0].head_dim:", "1 to 65536"},
        {"models = ( { dtype = \"f32\"; } );", ":1: models[0].dtype:", "f16|bf16"},
        {"models = ( { name = \"a\"; n_layers = 65536; n_kv_heads = 65536; head_dim = 65536;"
         " dtype = \"f16\"; capacity = 1073741824; } );",
         ":1: models[0]:", "check its numbers"},
        {MODELS "\nlimits: { staging_bytes = \"1M\"; };",
         ":2: limits.staging_bytes:", "max_payload_bytes"},
        {MODELS "\nlimits: { staging_bytes = \"1M\"; staging_bytes = \"1M\"; };",
         ":2: ", "duplicate"},
        {MODELS "\nhttp: { listen = \"9464\"; };", ":2: http.listen:", "unix:PATH"},
        {"a = [1", ":1: ", "name = value;"},
        {"\n@include \"x\"", ":2: ", "one file"},
        {"a = \"@include", ":1: ", "name = value;"},
        {"/* open", ":1: ", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tkv_config c;
        ck_assert_msg(load(&c, cases[i].text) == TKV_EINVAL, "taken: %s", cases[i].text);
        size_t n = strlen(path);
        ck_assert_msg(strncmp(message, path, n) == 0, "no file: %s", message);
        ck_assert_msg(strncmp(message + n, cases[i].line_key, strlen(cases[i].line_key)) == 0 &&
                          strstr(message, cases[i].advice) != NULL,
                      "%s -> %s", cases[i].text, message);
        tkv_config_close(&c);
    }
}
END_TEST

/* Goal: a reload changes what may change live, names it, names what needs a restart, and leaves all
 * else as it was. */
START_TEST(reloads_change_what_is_live)
{
    struct tkv_config now, fresh;
    struct tkv_reload report;
    ck_assert_int_eq(load(&now, MODELS "batch: { max_items = 8; };"), TKV_OK);
    ck_assert_int_eq(load(&fresh, MODELS "batch: { max_items = 8; };"), TKV_OK);
    tkv_config_reload(&now, &fresh, &report);
    ck_assert_uint_eq(report.n_changed + report.n_waiting, 0);
    tkv_config_close(&fresh);
    ck_assert_int_eq(load(&fresh,
                          "models = ( " MODEL ", { name = \"b\"; n_layers = 1; n_kv_heads = 1;"
                          " head_dim = 8; dtype = \"f16\"; capacity = 8; } );"
                          "batch: { max_items = 9; };\nlimits: { max_sequences = 5; };"
                          "log: { level = \"debug\"; };\nhttp: { listen = \"tcp:h:1\"; };"
                          "listen = [ \"unix:/x\" ];"),
                     TKV_OK);
    tkv_config_reload(&now, &fresh, &report);
    ck_assert_uint_eq(report.n_changed, 2);
    ck_assert_str_eq(report.changed[0], "batch.max_items");
    ck_assert_str_eq(report.changed[1], "log.level");
    ck_assert_uint_eq(report.n_waiting, 4);
    ck_assert_str_eq(report.waiting[0], "listen");
    ck_assert_str_eq(report.waiting[1], "models");
    ck_assert_str_eq(report.waiting[2], "limits.max_sequences");
    ck_assert_str_eq(report.waiting[3], "http.listen");
    ck_assert_uint_eq(now.batch_max_items, 9);
    ck_assert_uint_eq(now.limits_max_sequences, 100000);
    ck_assert_uint_eq(now.n_models, 1);
    ck_assert_uint_eq(now.n_listen, 0);
    ck_assert_ptr_null(now.http_listen);
    tkv_config_close(&fresh);
    tkv_config_close(&now);
}
END_TEST

/* Goal: what is no file to read is refused in words. */
START_TEST(unreadable_files_are_refused)
{
    struct tkv_config c;
    static char huge[TKV_CONFIG_FILE_MAX + 1];
    tkv_config_init(&c);
    ck_assert_int_eq(tkv_config_load(&c, "/nonexistent", message, sizeof message), TKV_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "No such file"));
    ck_assert_int_eq(tkv_config_load(&c, "/tmp", message, sizeof message), TKV_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "directory"));
    write_file("a = 1;\n\0b = 2;", 14);
    ck_assert_int_eq(tkv_config_load(&c, path, message, sizeof message), TKV_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, ":2: holds a NUL"));
    memset(huge, '\n', sizeof huge);
    write_file(huge, sizeof huge);
    ck_assert_int_eq(tkv_config_load(&c, path, message, sizeof message), TKV_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "longer than"));
    tkv_config_close(&c);
}
END_TEST

/* Goal: no text makes the loader crash or forget its message. Method: the example, cut at every
 * byte, and with each byte changed in turn. */
START_TEST(cut_and_changed_files_are_survived)
{
    char text[32768], copy[32768];
    FILE *file = fopen("config/truekvd.conf", "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    for (size_t i = 0; i < 2 * n; i++) {
        struct tkv_config c;
        memcpy(copy, text, n);
        if (i >= n) copy[i - n] ^= 0x15;
        write_file(copy, i < n ? i : n);
        tkv_config_init(&c);
        message[0] = '\0';
        enum tkv_status st = tkv_config_load(&c, path, message, sizeof message);
        ck_assert(st == TKV_OK || (st == TKV_EINVAL && strncmp(message, path, strlen(path)) == 0));
        tkv_config_close(&c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, example_file_has_every_default);
    tcase_add_test(tests, example_file_second_model_is_right);
    tcase_add_test(tests, values_arrive);
    tcase_add_test(tests, large_integers_are_whole);
    tcase_add_test(tests, mistakes_are_named);
    tcase_add_test(tests, reloads_change_what_is_live);
    tcase_add_test(tests, unreadable_files_are_refused);
    tcase_add_test(tests, cut_and_changed_files_are_survived);
    suite_add_tcase(suite, tests);
    return tkv_check_main(suite);
}
