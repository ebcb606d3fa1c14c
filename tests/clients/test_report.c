#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/heatmap.h"
#include "clients/c/command/kinds.h"
#include "clients/c/command/report.h"
#include "clients/c/command/stats.h"
#include "tests/support/check_main.h"

#define FOLDER "tests/clients/reports/"

/* All of a file, NUL-terminated; NULL where it cannot be read. Owner: the caller. */
static char *read_file(const char *name, const char *ending)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s.%s", name, ending);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return NULL;
    char *text = calloc(1, 1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

/* What the report makes of a file of JSON. Owner: the caller. */
static char *render_in(const char *name, struct out o)
{
    char *json = read_file(name, "json"), *text = NULL;
    size_t size;
    ck_assert_msg(json != NULL, "cannot read %s", name);
    cJSON *result = cJSON_Parse(json);
    ck_assert_ptr_nonnull(result);
    o.to = open_memstream(&text, &size);
    if (strncmp(name, "selftest", 8) == 0)
        report_selftest(&o, result);
    else if (strncmp(name, "scrub", 5) == 0)
        report_scrub(&o, result);
    else
        report_verify(&o, result, NULL, false);
    fclose(o.to);
    cJSON_Delete(result);
    free(json);
    return text;
}

static char *render(const char *name, bool color, unsigned width)
{
    return render_in(name, (struct out){.color = color, .unicode = true, .width = width});
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s.txt", name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* Goal: a report reads as it was found good to read. Method: each reports/NAME.json must become
 * NAME.txt, to the byte. After a change that is meant, run with TKV_UPDATE_GOLDEN=1 and read the
 * difference. */
START_TEST(reports_read_as_before)
{
    static const char *const names[] = {
        "ok",
        "nothing",
        "skipped",
        "shared_pointers",
        "layer_by_layer",
        "many_kinds",
        "bit_flip_live",
        "selftest_ok",
        "selftest_failed",
        "odd",
        "gone",
        "partly_gone",
        "map",
        "wide",
        "ambiguous",
        "evicted",
        "scrub_ok",
        "scrub_damaged",
        "scrub_nothing",
        "ok_since",
        "nothing_left",
        "nothing_of_these",
        "stray_right",
        "scrub_zeros",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *got = render(names[i], false, 100);
        if (getenv("TKV_UPDATE_GOLDEN") != NULL) write_file(names[i], got);
        char *expected = read_file(names[i], "txt");
        ck_assert_msg(expected != NULL && strcmp(got, expected) == 0, "%s reads otherwise:\n%s",
                      names[i], got);
        free(expected);
        free(got);
    }
}
END_TEST

/* Goal: no line of prose is wider than the terminal, and nothing in a report can command it. */
START_TEST(reports_fit_and_are_harmless)
{
    char *text = render("odd", false, 40);
    for (const char *p = text; *p != '\0'; p++)
        ck_assert(*p == '\n' || (unsigned char)*p >= 0x20);
    free(text);
    text = render("bit_flip_live", false, 60);
    char *numbers = strstr(text, "\nPer-item re-run");
    ck_assert_ptr_nonnull(numbers);
    *numbers = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        ck_assert_uint_le(out_columns(line), 60);
    free(text);
    text = render("ok", true, 80);
    ck_assert_ptr_nonnull(strstr(text, "\033[1;32mOK:\033[0m"));
    free(text);
}
END_TEST

/* Goal: a map fits terminals of 40 to 80 columns, is ASCII where nothing else can be shown, and has
 * colour where there may be some. */
START_TEST(maps_fit_every_terminal)
{
    static const unsigned widths[] = {40, 60, 79, 80, 100};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        char *text = render("wide", false, widths[i]);
        char *from = strstr(text, "  Where:"), *end = strstr(text, "\nWhat it means");
        ck_assert(from != NULL && end != NULL);
        *end = '\0';
        for (char *line = strtok(from, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            unsigned most = strstr(line, "batch") != NULL || widths[i] < 80 ? widths[i] : 100;
            ck_assert_msg(out_columns(line) <= most, "%u: %s", widths[i], line);
        }
        free(text);
    }
    char *text = render_in("map", (struct out){.width = 80});
    for (const char *p = text; *p != '\0'; p++)
        ck_assert((unsigned char)*p < 0x80);
    ck_assert_ptr_nonnull(strstr(text, "\n     1  ####++   ####++\n"));
    ck_assert_ptr_nonnull(strstr(text, "bytes that differ: . none  :+%# up to 384 a cell"));
    free(text);
    text = render_in("map", (struct out){.color = true, .width = 80});
    ck_assert_ptr_nonnull(strstr(text, "\033[1;31m####\033[0m\033[33m++\033[0m"));
    free(text);
}
END_TEST

static struct heatmap map_of(const char *divergences, size_t columns, bool *taken)
{
    static const struct group all = {0, 1};
    struct heat_limits limits = {.columns = columns, .strip = columns};
    struct findings f;
    struct heatmap map;
    char json[1024];
    snprintf(json, sizeof json, "{\"divergences\":[%s]}", divergences);
    cJSON *result = cJSON_Parse(json);
    ck_assert(result != NULL && findings_take(&f, result));
    *taken = heatmap_take(&map, &f, &all, &limits);
    findings_close(&f);
    cJSON_Delete(result);
    return map;
}

/* Goal: cells are merged where there are too many, no byte is lost, and what is no map is none. */
START_TEST(heatmaps_merge)
{
    bool taken;
    char text[64];
    struct heatmap map =
        map_of("{\"layer\":7,\"map\":{\"heads\":[1,2,3,4,5],\"heads_per_cell\":2,\"pos\":30,"
               "\"positions\":[8,0,7],\"positions_per_cell\":4}}",
               2, &taken);
    ck_assert(taken && map.kv == HAS_K && map.layers.cells == 1 && map.layers.first == 7);
    ck_assert(map.heads.cells == 2 && map.heads.per_cell == 5 && map.heads.last == 9);
    ck_assert_uint_eq(map.planes[0][0][0] + map.planes[0][0][1], 15);
    ck_assert_str_eq(heat_places(&map.heads, 1, text, sizeof text), "5-9");
    ck_assert_uint_eq(map.strip[0] + map.strip[1], 15);
    ck_assert_str_eq(heat_axis_text(&map.positions, "position", text, sizeof text),
                     "positions 30-41 (6 a cell)");
    (void)map_of("{\"layer\":7}", 64, &taken);
    ck_assert(!taken);
    (void)map_of("{\"map\":{\"heads\":[0,0]}}", 64, &taken);
    ck_assert(!taken);
    (void)map_of("{\"map\":{\"heads\":7,\"positions\":{}}}", 64, &taken);
    ck_assert(!taken);
}
END_TEST

START_TEST(heat_levels)
{
    static const struct {
        uint64_t bytes, most;
        unsigned level;
    } rows[] = {{0, 0, 0},    {0, 9, 0},    {1, 1, 4},    {1, 100, 1},  {25, 100, 1},
                {26, 100, 2}, {50, 100, 2}, {75, 100, 3}, {76, 100, 4}, {100, 100, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_uint_eq(heat_level(rows[i].bytes, rows[i].most), rows[i].level);
}
END_TEST

/* Goal: every kind of the protocol has its words. */
START_TEST(every_kind_is_explained)
{
    static const char *const kinds[] = {
        "missing_write", "stray_write", "wrong_item", "wrong_position", "wrong_head",
        "wrong_layer",   "kv_swapped",  "rounding",   "bit_flip",       "unknown",
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ck_assert_ptr_null(strstr(kind_means(kinds[i]), "does not know"));
        ck_assert_ptr_null(strstr(kind_next(kinds[i]), "as new as"));
    }
    ck_assert_ptr_nonnull(strstr(kind_means("no_such"), "does not know"));
}
END_TEST

/* Goal: numbers of any order become the shortest text that names them all. */
START_TEST(numbers_as_text)
{
    static const struct {
        uint64_t values[20];
        size_t n;
        const char *text;
    } rows[] = {
        {{7}, 1, "7"},
        {{7, 7}, 1, "7"},
        {{4, 3}, 2, "3 and 4"},
        {{2, 0, 1}, 3, "0-2"},
        {{9, 0, 1, 2, 9, 7}, 6, "0-2, 7 and 9"},
        {{1, 3, 5, 7, 9, 11, 13, 15, 17}, 9, "1, 3, 5, 7, 9, 11 and 3 more"},
        {{1, 3, 5, 7, 9, 11, 13}, 7, "1, 3, 5, 7, 9, 11 and 13"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t values[20];
        char text[64];
        memcpy(values, rows[i].values, sizeof values);
        ck_assert_str_eq(numbers_text(values, rows[i].n, text, sizeof text), rows[i].text);
    }
}
END_TEST

/* Goal: what must not be read past stands right under the verdict. */
START_TEST(notes_stand_on_top)
{
    static const struct report_beside beside = {"part.", "planted.", "earlier.", true};
    char *json = read_file("stray_right", "json"), *text = NULL;
    size_t size;
    cJSON *result = cJSON_Parse(json);
    struct out o = {.to = open_memstream(&text, &size), .width = 80};
    report_verify(&o, result, &beside, false);
    fclose(o.to);
    char *note = strstr(text, "\nPart: part.\nNote: planted.\nBefore: earlier.\n\nbatch 9:");
    ck_assert_msg(note != NULL, "%s", text);
    ck_assert_ptr_null(strstr(text, "comes and goes"));
    ck_assert_ptr_null(strstr(text, "save this report"));
    ck_assert_ptr_nonnull(strstr(text, "layer 0 in heads 1 and 3"));
    cJSON_Delete(result);
    free(json);
    free(text);
}
END_TEST

static void check_stats(const char *json, const char *expected)
{
    char *text = NULL;
    size_t size;
    struct out o = {.to = open_memstream(&text, &size), .width = 80};
    cJSON *result = cJSON_Parse(json);
    stats_print(&o, result);
    fclose(o.to);
    ck_assert_str_eq(text, expected);
    cJSON_Delete(result);
    free(text);
}

/* Goal: a daemon's names and numbers do not command a terminal, nor break a conversion. */
START_TEST(stats_are_harmless)
{
    check_stats("{\"a\\u001b[31m\":{\"x_bytes\":1e300},\"b\\u0007.c\":1,\"b\\u0007.d\":2}",
                "a?[31m\n"
                "  x_bytes  1e+300\n"
                "\n"
                "b?\n"
                "  c  1\n"
                "  d  2\n");
}
END_TEST

/* Goal: any object of numbers becomes groups, whatever its shape. */
START_TEST(stats_of_any_shape)
{
    check_stats(
        "{\"memory\":{\"cache_bytes\":1048576,\"budget_bytes\":0},\"append\":{\"items\":12345,"
        "\"wait\":{\"p50_us\":1500,\"ratio\":0.25}}}",
        "memory\n"
        "  cache_bytes   1 048 576  1.0 MiB\n"
        "  budget_bytes          0\n"
        "\n"
        "append\n"
        "  items        12 345\n"
        "  wait.p50_us    1500  1.5 ms\n"
        "  wait.ratio     0.25\n");
    check_stats("{\"up\":true,\"batch.items\":3,\"batch.count\":1,\"x\":[1,2]}", "up  true\n"
                                                                                 "\n"
                                                                                 "batch\n"
                                                                                 "  items  3\n"
                                                                                 "  count  1\n"
                                                                                 "\n"
                                                                                 "x  [1,2]\n");
    check_stats("{\"a.b\":1,\"a.c\":2,\"a\":3}", "a\n  b  1\n  c  2\n\na  3\n");
    check_stats("{}", "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report");
    TCase *tc = tcase_create("report");
    tcase_add_test(tc, reports_read_as_before);
    tcase_add_test(tc, reports_fit_and_are_harmless);
    tcase_add_test(tc, maps_fit_every_terminal);
    tcase_add_test(tc, heatmaps_merge);
    tcase_add_test(tc, heat_levels);
    tcase_add_test(tc, every_kind_is_explained);
    tcase_add_test(tc, numbers_as_text);
    tcase_add_test(tc, notes_stand_on_top);
    tcase_add_test(tc, stats_are_harmless);
    tcase_add_test(tc, stats_of_any_shape);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
