#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/command/page.h"
#include "clients/c/command/report.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

enum { TRIES_MAX = 2000 };

static void print_verify(FILE *to, const cJSON *result)
{
    struct out o = {.to = to, .width = 80};
    report_verify(&o, result, NULL, false);
}

static void print_scrub(FILE *to, const cJSON *result)
{
    struct out o = {.to = to, .width = 80};
    report_scrub(&o, result);
}

static void print_page(FILE *to, const cJSON *result)
{
    struct page page = {result, "{}", "", "", "", "", "", "", "", NULL, NULL};
    (void)page_write(to, &page);
}

static cJSON *read_report(const char *path)
{
    static char text[1 << 18];
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot read %s", path);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return cJSON_Parse(text);
}

/* Goal: a report that lacks memory says less, but never crashes or leaks. Method: each printer with
 * the first, second, ... allocation failing, until none is left to fail. */
START_TEST(every_allocation_fails_in_turn)
{
    static const struct {
        const char *path;
        void (*print)(FILE *to, const cJSON *result);
    } rows[] = {
        {"tests/clients/reports/ambiguous.json", print_verify},
        {"tests/clients/reports/ambiguous.json", print_page},
        {"tests/clients/reports/scrub_damaged.json", print_scrub},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cJSON *result = read_report(rows[i].path);
        FILE *nowhere = fopen("/dev/null", "w");
        size_t nth = 1;
        bool reached = true;
        ck_assert(result != NULL && nowhere != NULL);
        for (; reached && nth < TRIES_MAX; nth++) {
            failing_alloc_arm(nth);
            rows[i].print(nowhere, result);
            reached = failing_alloc_disarm();
        }
        ck_assert_uint_gt(nth, 3);
        ck_assert(!reached);
        fclose(nowhere);
        cJSON_Delete(result);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report_memory");
    TCase *tc = tcase_create("report_memory");
    tcase_add_test(tc, every_allocation_fails_in_turn);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
