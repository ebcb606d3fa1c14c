#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kernels/scene.h"
#include "tests/support/check_main.h"

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static bool all_bytes(struct tkv_device *dev, const void *ptr, size_t n, unsigned char byte)
{
    unsigned char *host = malloc(n);
    ck_assert_ptr_nonnull(host);
    memset(host, ~byte, n);
    ck_assert_int_eq(tkv_device_copy(dev, host, ptr, n), TKV_OK);
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all = all && host[i] == byte;
    free(host);
    return all;
}

/* Goal: the backend under test opens and says what it is; the CPU always opens; AUTO opens one of
 * the two, and says what is missing where it is the CPU. */
START_TEST(opening)
{
    struct tkv_device *dev = test_device_open();
    struct tkv_device_info info;
    const char *why = NULL;
    ck_assert_int_eq(tkv_device_backend(dev), test_backend());
    ck_assert_int_eq(tkv_device_info(dev, &info), TKV_OK);
    ck_assert_int_eq(info.backend, test_backend());
    ck_assert_int_eq(info.ordinal, 0);
    ck_assert_uint_gt(strlen(info.name), 0);
    ck_assert_uint_gt(info.memory_total, 1 << 20);
    ck_assert_uint_le(info.memory_used, info.memory_total);
    tkv_device_close(dev);

    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_AUTO, 0, &why), TKV_OK);
    ck_assert(tkv_device_backend(dev) == TKV_BACKEND_CUDA ? why == NULL : why != NULL);
    ck_assert(test_backend() == TKV_BACKEND_CPU || tkv_device_backend(dev) == TKV_BACKEND_CUDA);
    tkv_device_close(dev);
    tkv_device_close(NULL);

    why = NULL; /* a GPU that no machine has */
    struct tkv_device *none = NULL;
    ck_assert_int_eq(tkv_device_open(&none, TKV_BACKEND_CUDA, 4711, &why), TKV_ENOTSUP);
    ck_assert(none == NULL && why != NULL);
    ck_assert_int_eq(tkv_device_open(&none, TKV_BACKEND_CUDA, -1, NULL), TKV_ENOTSUP);
    ck_assert_str_eq(tkv_backend_word(TKV_BACKEND_CUDA), "cuda");
    ck_assert_str_eq(tkv_backend_word(TKV_BACKEND_AUTO), "auto");
}
END_TEST

/* Goal: fresh cache memory is zero, also where freed memory was not. */
START_TEST(memory_is_zeroed)
{
    struct tkv_device *dev = test_device_open();
    static const size_t sizes[] = {1, 4096, 4097, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int round = 0; round < 3; round++) {
            struct tkv_memory mem;
            size_t mapped;
            ck_assert_int_eq(tkv_memory_alloc(dev, sizes[i], &mem), TKV_OK);
            ck_assert(tkv_memory_mapped(dev, sizes[i], &mapped) && mapped == mem.bytes);
            ck_assert_uint_ge(mem.bytes, sizes[i]);
            ck_assert(all_bytes(dev, mem.ptr, mem.bytes, 0));
            ck_assert_int_eq(tkv_device_fill(dev, mem.ptr, 0xee, mem.bytes), TKV_OK);
            ck_assert(all_bytes(dev, mem.ptr, mem.bytes, 0xee));
            tkv_memory_free(dev, &mem);
            tkv_memory_free(dev, &mem); /* once is enough, twice does no harm */
        }
    }
    tkv_device_close(dev);
}
END_TEST

/* Goal: too much memory is said, not survived by luck. */
START_TEST(memory_refusals)
{
    struct tkv_device *dev = test_device_open();
    struct tkv_memory mem = {.fd = -7};
    size_t mapped;
    ck_assert_int_eq(tkv_memory_alloc(dev, 0, &mem), TKV_EINVAL);
    ck_assert_int_eq(tkv_memory_alloc(dev, SIZE_MAX, &mem), TKV_ENOMEM);
    ck_assert_int_eq(tkv_memory_alloc(dev, SIZE_MAX / 2, &mem), TKV_ENOMEM);
    ck_assert_int_eq(mem.fd, -7);
    ck_assert(!tkv_memory_mapped(dev, SIZE_MAX - 1, &mapped));
    ck_assert_int_eq(tkv_memory_alloc(dev, 100, &mem), TKV_OK); /* out of memory does not stick */
    tkv_memory_free(dev, &mem);
    tkv_device_close(dev);
}
END_TEST

/* Goal: an exported descriptor shows the live bytes to a reader, who can neither write nor resize.
 * (What a GPU's handle shows takes a second process with the driver's API: only that there is one
 * is looked at.) */
START_TEST(export_shows_the_live_bytes)
{
    struct tkv_device *dev = test_device_open();
    struct tkv_memory mem;
    int fd = -1;
    ck_assert_int_eq(tkv_memory_alloc(dev, 10000, &mem), TKV_OK);
    ck_assert_int_eq(tkv_memory_export(dev, &mem, &fd), TKV_OK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ne(fd, mem.fd);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    if (test_backend() == TKV_BACKEND_CPU) {
        struct stat stat;
        ck_assert(fstat(fd, &stat) == 0 && (size_t)stat.st_size == mem.bytes);
        const char *view = mmap(NULL, mem.bytes, PROT_READ, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        ck_assert_int_eq(tkv_device_copy(dev, (char *)mem.ptr + 5000, "live", 4), TKV_OK);
        ck_assert_int_eq(memcmp(view + 5000, "live", 4), 0);
        munmap((void *)view, mem.bytes);
        ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        ck_assert_int_ne(ftruncate(mem.fd, 1), 0);
    }
    close(fd);
    tkv_memory_free(dev, &mem);
    tkv_device_close(dev);
}
END_TEST

/* Goal: copies arrive for every mix of scratch, cache, staging and plain memory, odd sizes too. */
START_TEST(copies_of_every_mix)
{
    enum { N = 70001 };
    struct tkv_device *dev = test_device_open();
    struct tkv_memory mem;
    void *scratch = NULL, *staging = NULL;
    unsigned char *plain = malloc(N), *back = malloc(N);
    ck_assert(plain != NULL && back != NULL);
    ck_assert_int_eq(tkv_memory_alloc(dev, N, &mem), TKV_OK);
    ck_assert_int_eq(tkv_scratch_alloc(dev, N, &scratch), TKV_OK);
    ck_assert_int_eq(tkv_staging_alloc(test_backend(), N, &staging), TKV_OK);
    for (size_t i = 0; i < N; i++)
        plain[i] = (unsigned char)(i * 7 + i / 256);
    ck_assert_int_eq(tkv_device_copy(dev, scratch, plain, N), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, mem.ptr, scratch, N), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, staging, mem.ptr, N), TKV_OK);
    ck_assert_int_eq(tkv_device_fill(dev, scratch, 0, N), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, scratch, staging, N), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, back, scratch, N), TKV_OK);
    ck_assert_int_eq(memcmp(back, plain, N), 0);
    ck_assert_int_eq(tkv_device_fill(dev, staging, 0x11, N), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    ck_assert_int_eq(((unsigned char *)staging)[N - 1], 0x11);
    ck_assert_int_eq(tkv_device_copy(dev, back, staging, 0), TKV_OK);
    tkv_staging_free(test_backend(), staging, N);
    tkv_staging_free(test_backend(), NULL, 0);
    tkv_scratch_free(dev, scratch);
    tkv_scratch_free(dev, NULL);
    tkv_memory_free(dev, &mem);
    free(back);
    free(plain);
    tkv_device_close(dev);
}
END_TEST

/* Goal: what stands before a mark is done when the mark has been reached, and what stands behind it
 * still gets done. Method: copies into host memory on both sides of it; twice, for a mark is set
 * again and again. */
START_TEST(marks_are_reached)
{
    enum { N = 1 << 20 };
    struct tkv_device *dev = test_device_open();
    void *scratch, *staging;
    ck_assert_int_eq(tkv_scratch_alloc(dev, N, &scratch), TKV_OK);
    ck_assert_int_eq(tkv_staging_alloc(test_backend(), (size_t)2 * N, &staging), TKV_OK);
    ck_assert_int_eq(tkv_device_reach_mark(dev), TKV_OK);
    for (int round = 1; round <= 2; round++) {
        volatile unsigned char *seen = staging;
        ck_assert_int_eq(tkv_device_fill(dev, scratch, round, N), TKV_OK);
        ck_assert_int_eq(tkv_device_copy(dev, staging, scratch, N), TKV_OK);
        ck_assert_int_eq(tkv_device_mark(dev), TKV_OK);
        ck_assert_int_eq(tkv_device_copy(dev, (char *)staging + N, scratch, N), TKV_OK);
        ck_assert_int_eq(tkv_device_reach_mark(dev), TKV_OK);
        ck_assert_int_eq(seen[0], round);
        ck_assert_int_eq(seen[N - 1], round);
        ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
        ck_assert_int_eq(seen[2 * N - 1], round);
    }
    tkv_staging_free(test_backend(), staging, (size_t)2 * N);
    tkv_scratch_free(dev, scratch);
    tkv_device_close(dev);
}
END_TEST

/* Goal: rows with pitches arrive, and nothing between them is touched. */
START_TEST(copies_of_rows)
{
    enum { ROWS = 9, WIDTH = 13, SRC_PITCH = 40, DST_PITCH = 17 };
    struct tkv_device *dev = test_device_open();
    unsigned char src[ROWS * SRC_PITCH], got[ROWS * DST_PITCH];
    void *a = NULL, *b = NULL;
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (unsigned char)(i + 1);
    ck_assert_int_eq(tkv_scratch_alloc(dev, sizeof src, &a), TKV_OK);
    ck_assert_int_eq(tkv_scratch_alloc(dev, sizeof got, &b), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, a, src, sizeof src), TKV_OK);
    ck_assert_int_eq(tkv_device_fill(dev, b, 0, sizeof got), TKV_OK);
    ck_assert_int_eq(tkv_device_copy_rows(dev, b, DST_PITCH, a, SRC_PITCH, WIDTH, ROWS), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, got, b, sizeof got), TKV_OK);
    for (size_t i = 0; i < sizeof got; i++) {
        size_t row = i / DST_PITCH, column = i % DST_PITCH;
        ck_assert_uint_eq(got[i], column < WIDTH ? src[row * SRC_PITCH + column] : 0);
    }
    /* One row needs no pitch; overlapping rows are refused. */
    ck_assert_int_eq(tkv_device_copy_rows(dev, got, 0, a, 0, WIDTH, 1), TKV_OK);
    ck_assert_int_eq(memcmp(got, src, WIDTH), 0);
    ck_assert_int_eq(tkv_device_copy_rows(dev, b, WIDTH - 1, a, SRC_PITCH, WIDTH, 2), TKV_EINVAL);
    tkv_scratch_free(dev, b);
    tkv_scratch_free(dev, a);
    tkv_device_close(dev);
}
END_TEST

/* Goal: gathering is copying rows, for each of more places than one launch takes.
 * Method: places of growing width and pitch, whole vectors and odd ones; every byte of the target
 * is compared with a copy made on the host. */
static void gather_places(struct tkv_device *dev, size_t unit)
{
    enum { PLACES = 70, ROOM = 256 * 1024 };
    struct tkv_rows all[PLACES];
    unsigned char *src = malloc(ROOM), *want = calloc(ROOM, 1), *got = malloc(ROOM);
    void *a = NULL, *b = NULL;
    size_t from = 0, to = 0;
    for (size_t i = 0; i < ROOM; i++)
        src[i] = (unsigned char)(i * 131 + i / 251);
    ck_assert_int_eq(tkv_scratch_alloc(dev, ROOM, &a), TKV_OK);
    ck_assert_int_eq(tkv_scratch_alloc(dev, ROOM, &b), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, a, src, ROOM), TKV_OK);
    ck_assert_int_eq(tkv_device_fill(dev, b, 0, ROOM), TKV_OK);
    for (size_t i = 0; i < PLACES; i++) {
        size_t width = (i % 5 + 1) * unit, rows = i % 7, src_pitch = width + i % 3 * unit;
        size_t dst_pitch = width + i % 2 * unit;
        all[i] =
            (struct tkv_rows){(char *)b + to, (char *)a + from, dst_pitch, src_pitch, width, rows};
        for (size_t r = 0; r < rows; r++)
            memcpy(want + to + r * dst_pitch, src + from + r * src_pitch, width);
        from += rows * src_pitch;
        to += rows * dst_pitch + unit;
    }
    ck_assert_uint_lt(from, ROOM);
    ck_assert_uint_lt(to, ROOM);
    ck_assert_int_eq(tkv_device_gather(dev, all, PLACES), TKV_OK);
    ck_assert_int_eq(tkv_device_copy(dev, got, b, ROOM), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_OK);
    ck_assert_int_eq(memcmp(got, want, ROOM), 0);
    tkv_scratch_free(dev, b);
    tkv_scratch_free(dev, a);
    free(got);
    free(want);
    free(src);
}

START_TEST(rows_of_many_places)
{
    struct tkv_device *dev = test_device_open();
    struct tkv_rows overlapping = {NULL, NULL, 3, 4, 4, 2};
    gather_places(dev, 16);
    gather_places(dev, 96);
    gather_places(dev, 7);
    ck_assert_int_eq(tkv_device_gather(dev, &overlapping, 1), TKV_EINVAL);
    ck_assert_int_eq(tkv_device_gather(dev, NULL, 0), TKV_OK);
    tkv_device_close(dev);
}
END_TEST

/* Everything that a device does, once; the first failure ends it, and everything is given back. */
static enum tkv_status use_all(struct tkv_device *dev)
{
    static const struct tkv_geometry g = {1, 1, 8, TKV_F16};
    struct tkv_fault_plan flip = tkv_fault_plan_of(TKV_FAULT_BIT_FLIP);
    struct tkv_memory mem = {0};
    void *scratch = NULL, *staging = NULL;
    struct tkv_device_info info;
    uint64_t mismatched[4];
    int fd = -1;
    enum tkv_status st = tkv_device_info(dev, &info);
    if (st == TKV_OK) st = tkv_memory_alloc(dev, 4096, &mem);
    if (st == TKV_OK) st = tkv_scratch_alloc(dev, 4096, &scratch);
    if (st == TKV_OK) st = tkv_staging_alloc(test_backend(), 4096, &staging);
    if (st == TKV_OK) st = tkv_memory_export(dev, &mem, &fd);
    if (st == TKV_OK) st = tkv_device_fill(dev, scratch, 1, 4096);
    struct tkv_append_item item = {mem.ptr, scratch, 0, 1, 4, 0, 1, TKV_F16, staging};
    if (st == TKV_OK) st = tkv_append_one(dev, &g, &item, 0, 0);
    if (st == TKV_OK) st = tkv_append_batched(dev, &g, &item, 1);
    if (st == TKV_OK) st = tkv_append_faulty(dev, &g, &item, 1, &flip, NULL);
    struct tkv_checksum_range range = {mem.ptr, TKV_F16, 4, 0, 4, 1};
    if (st == TKV_OK) st = tkv_checksums(dev, &g, &range, staging, 2);
    if (st == TKV_OK) st = tkv_device_copy(dev, staging, scratch, 4096);
    if (st == TKV_OK) st = tkv_device_mark(dev);
    if (st == TKV_OK) st = tkv_device_reach_mark(dev);
    if (st == TKV_OK) st = tkv_device_copy_rows(dev, scratch, 64, mem.ptr, 64, 32, 4);
    struct tkv_rows place = {scratch, mem.ptr, 64, 64, 32, 4};
    if (st == TKV_OK) st = tkv_device_gather(dev, &place, 1);
    if (st == TKV_OK) st = tkv_append_each(dev, &g, &item);
    if (st == TKV_OK) st = tkv_compare_planes(dev, scratch, scratch, 16, 4, mismatched);
    if (st == TKV_OK) st = tkv_device_sync(dev);
    if (fd >= 0) close(fd);
    tkv_staging_free(test_backend(), staging, 4096);
    tkv_scratch_free(dev, scratch);
    tkv_memory_free(dev, &mem);
    return st;
}

/* Goal: whichever call fails, nothing leaks, and the device works on.
 * Method: let the 1st, 2nd, ... call fail until all succeed; descriptors are counted, memory is
 * left to the sanitizer. */
START_TEST(every_call_may_fail)
{
    struct tkv_device *dev = test_device_open();
    ck_assert_int_eq(use_all(dev), TKV_OK);
    unsigned descriptors = open_descriptors(), n = 1;
    for (;; n++) {
        tkv_device_fail_nth(n, TKV_ENOMEM);
        enum tkv_status st = use_all(dev);
        tkv_device_fail_nth(0, TKV_OK);
        ck_assert_uint_eq(open_descriptors(), descriptors);
        if (st == TKV_OK) break;
        ck_assert_int_eq(st, TKV_ENOMEM);
        ck_assert_int_eq(use_all(dev), TKV_OK);
    }
    ck_assert_uint_eq(n, 19); /* eighteen calls */
    tkv_device_close(dev);
}
END_TEST

/* Goal: a lost context latches: every later call says so, the frees still free, another handle
 * lives. */
START_TEST(lost_context_latches)
{
    struct tkv_device *dev = test_device_open(), *other = test_device_open();
    struct tkv_device_info info;
    void *scratch = NULL;
    ck_assert_int_eq(tkv_scratch_alloc(dev, 64, &scratch), TKV_OK);
    tkv_device_fail_nth(2, TKV_EDEVICE);
    ck_assert_int_eq(tkv_device_fill(dev, scratch, 0, 64), TKV_OK);
    ck_assert_int_eq(tkv_device_sync(dev), TKV_EDEVICE);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(tkv_device_sync(dev), TKV_EDEVICE);
        ck_assert_int_eq(tkv_device_info(dev, &info), TKV_EDEVICE);
        ck_assert_int_eq(use_all(dev), TKV_EDEVICE);
    }
    tkv_scratch_free(dev, scratch);
    tkv_device_close(dev);
    ck_assert_int_eq(use_all(other), TKV_OK);
    tkv_device_close(other);

    struct tkv_device *none = NULL;
    tkv_device_fail_nth(1, TKV_ENOMEM);
    ck_assert_int_eq(tkv_device_open(&none, test_backend(), 0, NULL), TKV_ENOMEM);
    ck_assert_ptr_null(none);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("device");
    TCase *tc = tcase_create("device");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, opening);
    tcase_add_test(tc, memory_is_zeroed);
    tcase_add_test(tc, memory_refusals);
    tcase_add_test(tc, export_shows_the_live_bytes);
    tcase_add_test(tc, copies_of_every_mix);
    tcase_add_test(tc, marks_are_reached);
    tcase_add_test(tc, copies_of_rows);
    tcase_add_test(tc, rows_of_many_places);
    tcase_add_test(tc, every_call_may_fail);
    tcase_add_test(tc, lost_context_latches);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
