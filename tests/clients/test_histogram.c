#include <stdlib.h>

#include "clients/c/command/histogram.h"
#include "tests/support/check_main.h"

static struct histogram *h;

static void setup(void)
{
    h = malloc(sizeof *h);
    ck_assert_ptr_nonnull(h);
    histogram_clear(h);
}

static void teardown(void)
{
    free(h);
}

/* Goal: buckets follow one another without gap or overlap, and none is wider than it may be.
 * Method: the last latency of each bucket, and the first of the next. */
START_TEST(buckets_are_seamless)
{
    uint64_t begin = 0;
    for (size_t i = 0; begin <= HISTOGRAM_MAX_NS; i++) {
        uint64_t end = histogram_bucket_end_ns(i), wide = end - begin + 1;
        ck_assert_uint_eq(histogram_bucket(begin), i);
        if (end <= HISTOGRAM_MAX_NS) ck_assert_uint_eq(histogram_bucket(end), i);
        ck_assert(wide == HISTOGRAM_UNIT_NS || wide * HISTOGRAM_HALF <= begin + 1);
        begin = end + 1;
    }
    ck_assert_uint_lt(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS);
    ck_assert_uint_eq(histogram_bucket(UINT64_MAX), histogram_bucket(HISTOGRAM_MAX_NS));
}
END_TEST

START_TEST(empty)
{
    ck_assert_uint_eq(histogram_at(h, 0.5), 0);
    ck_assert_uint_eq(histogram_at(h, 1), 0);
    ck_assert(histogram_mean_ns(h) == 0);
}
END_TEST

/* Goal: one measurement is every percentile, and exactly so. */
START_TEST(one)
{
    histogram_add(h, 123456789);
    ck_assert_uint_eq(histogram_at(h, 0), 123456789);
    ck_assert_uint_eq(histogram_at(h, 0.5), 123456789);
    ck_assert_uint_eq(histogram_at(h, 1), 123456789);
    ck_assert_uint_eq(h->min_ns, 123456789);
    ck_assert(histogram_mean_ns(h) == 123456789.0);
}
END_TEST

/* Goal: percentiles of 1 to 10,000 us are these numbers, to three digits; the ends are exact. */
START_TEST(percentiles)
{
    static const double shares[] = {0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999};
    for (uint64_t us = 10000; us >= 1; us--)
        histogram_add(h, us * 1000);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double right = shares[i] * 1e7, got = (double)histogram_at(h, shares[i]);
        ck_assert_msg(got >= right && got <= right * 1.001 + HISTOGRAM_UNIT_NS, "%g: %g, not %g",
                      shares[i], got, right);
    }
    ck_assert_uint_eq(histogram_at(h, 1), 10000000);
    ck_assert_uint_eq(h->min_ns, 1000);
    ck_assert(histogram_mean_ns(h) == 5000500.0);
}
END_TEST

/* Goal: of ten, 0.9 is the ninth and anything above it the tenth. */
START_TEST(ranks)
{
    for (uint64_t i = 1; i <= 10; i++)
        histogram_add(h, i * 1000);
    ck_assert_uint_eq(histogram_at(h, 0.9) / 1000, 9);
    ck_assert_uint_eq(histogram_at(h, 0.91), 10000);
    ck_assert_uint_eq(histogram_at(h, 0.1) / 1000, 1);
    ck_assert_uint_eq(histogram_at(h, 0.11) / 1000, 2);
}
END_TEST

/* Goal: what is longer than the longest bucket is counted there, and still said exactly. */
START_TEST(longer_than_a_minute)
{
    histogram_add(h, 1000);
    histogram_add(h, 3 * HISTOGRAM_MAX_NS);
    ck_assert_uint_eq(histogram_at(h, 1), 3 * HISTOGRAM_MAX_NS);
    ck_assert_uint_le(histogram_at(h, 0.5), 1000 + HISTOGRAM_UNIT_NS);
}
END_TEST

/* Goal: two halves make the whole. */
START_TEST(merging)
{
    struct histogram *other = malloc(sizeof *other);
    ck_assert_ptr_nonnull(other);
    histogram_clear(other);
    histogram_merge(h, other);
    ck_assert_uint_eq(h->n, 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(i % 2 == 0 ? h : other, i * 1000);
    histogram_merge(h, other);
    ck_assert_uint_eq(h->n, 1000);
    ck_assert_uint_eq(h->min_ns, 1000);
    ck_assert_uint_eq(h->max_ns, 1000000);
    ck_assert_uint_eq(histogram_at(h, 0.5) / 1000, 500);
    free(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tc = tcase_create("histogram");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, buckets_are_seamless);
    tcase_add_test(tc, empty);
    tcase_add_test(tc, one);
    tcase_add_test(tc, percentiles);
    tcase_add_test(tc, ranks);
    tcase_add_test(tc, longer_than_a_minute);
    tcase_add_test(tc, merging);
    suite_add_tcase(suite, tc);
    return tkv_check_main(suite);
}
