/* Cache memory of the CPU backend: many small caches in few mappings, no descriptor before somebody
 * asks for one, nothing left of a cache that is gone. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/device.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_alloc.h"

enum { PAGE = 4096, PIECE_MAX = 1 << 20, MANY = 100000, FEW_FILES = 1024 };
enum { SOME_MAPPINGS = 200 }; /* a sanitizer has its own beside ours */

static struct tkv_device *dev;

static void setup(void)
{
    ck_assert_int_eq(tkv_device_open(&dev, TKV_BACKEND_CPU, 0, NULL), TKV_OK);
}

static void teardown(void)
{
    tkv_device_close(dev);
}

static struct tkv_memory fresh(size_t bytes)
{
    struct tkv_memory mem;
    ck_assert_int_eq(tkv_memory_alloc(dev, bytes, &mem), TKV_OK);
    ck_assert_int_eq(mem.fd, -1);
    return mem;
}

static bool is_zero(const struct tkv_memory *mem)
{
    const char *bytes = mem->ptr;
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, mem->bytes - 1) == 0;
}

/* Bytes that say where they stand, and in whose memory. */
static unsigned char byte_of(size_t i, unsigned salt)
{
    return (unsigned char)(1 + (i + i / 251 + salt) % 255);
}

static void write_pattern(struct tkv_memory *mem, unsigned salt)
{
    unsigned char *bytes = mem->ptr;
    for (size_t i = 0; i < mem->bytes; i++)
        bytes[i] = byte_of(i, salt);
}

static bool has_pattern(const void *ptr, size_t n, unsigned salt)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != byte_of(i, salt)) return false;
    }
    return true;
}

static int export(struct tkv_memory *mem)
{
    int fd = -1;
    ck_assert_int_eq(tkv_memory_export(dev, mem, &fd), TKV_OK);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Sets the soft limit; what it was. */
static rlim_t limit(__rlimit_resource_t which, rlim_t to)
{
    struct rlimit now;
    ck_assert_int_eq(getrlimit(which, &now), 0);
    rlim_t was = now.rlim_cur;
    now.rlim_cur = to < now.rlim_max ? to : now.rlim_max;
    ck_assert_int_eq(setrlimit(which, &now), 0);
    return was;
}

static size_t entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static size_t mappings(void)
{
    size_t lines = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(file);
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

/* Pages of the memory that the system has given to it. */
static size_t resident(const struct tkv_memory *mem)
{
    static unsigned char pages[4 * PIECE_MAX / PAGE];
    const size_t n = mem->bytes / PAGE;
    size_t in = 0;
    ck_assert_uint_le(n, sizeof pages);
    ck_assert_int_eq(mincore(mem->ptr, mem->bytes, pages), 0);
    for (size_t i = 0; i < n; i++)
        in += pages[i] & 1;
    return in;
}

static const size_t sizes[] = {
    PAGE, PAGE + PAGE, (size_t)31 * PAGE, PIECE_MAX - PAGE, PIECE_MAX, PIECE_MAX + PAGE,
};
enum { SIZES = sizeof sizes / sizeof sizes[0], EACH = 20 };

/* Goal: whatever memory held before, private, shared or locked, the next to have it finds zeros,
 * and no two caches overlap.
 * Method: caches of every size around the edges, more than one slab of the largest pieces; each is
 * filled, some are exported; every second one goes and comes again. */
START_TEST(reused_memory_is_zero)
{
    struct tkv_memory mems[EACH];
    const size_t bytes = sizes[_i];
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < EACH; i++) {
            if (round > 0 && i % 2 == round % 2) continue;
            mems[i] = fresh(bytes);
            ck_assert(mems[i].bytes == bytes && is_zero(&mems[i]));
            write_pattern(&mems[i], i);
            if (i % 5 == 0) close(export(&mems[i]));
            if (i % 7 == 0) ck_assert_int_eq(mlock(mems[i].ptr, PAGE), 0);
        }
        for (unsigned i = 0; i < EACH; i++) {
            ck_assert(has_pattern(mems[i].ptr, bytes, i));
            if (round < 3 && i % 2 != round % 2) continue;
            tkv_memory_free(dev, &mems[i]);
        }
    }
}
END_TEST

/* Goal: what is freed is the system's at once, also where the addresses are kept; a cache that is
 * written in one place takes one page, also next to others and after it has been exported. */
START_TEST(only_written_pages_are_resident)
{
    const size_t bytes = sizes[_i];
    struct tkv_memory beside = fresh(bytes), mem = fresh(bytes);
    write_pattern(&beside, 1);
    ck_assert_uint_eq(resident(&mem), 0);
    ((char *)mem.ptr)[bytes - 1] = 1;
    ck_assert_uint_eq(resident(&mem), 1);
    int fd = export(&mem);
    struct stat stat;
    ck_assert_int_eq(fstat(fd, &stat), 0);
    ck_assert_int_eq(stat.st_blocks * 512, PAGE);
    close(fd);
    tkv_memory_free(dev, &mem);

    mem = beside;
    beside = fresh(bytes);
    struct tkv_memory gone = mem;
    ck_assert_uint_eq(resident(&gone), bytes / PAGE);
    tkv_memory_free(dev, &mem);
    if (bytes <= PIECE_MAX) ck_assert_uint_eq(resident(&gone), 0);
    tkv_memory_free(dev, &beside);
}
END_TEST

/* Goal: a reader sees what was there before the export and what is written later, in the same file
 * each time; it cannot write, and the neighbours are not in it. */
START_TEST(readers_see_what_is_written)
{
    const size_t bytes = sizes[_i];
    struct tkv_memory before = fresh(bytes), mem = fresh(bytes), after = fresh(bytes);
    struct tkv_memory *const all[] = {&before, &mem, &after};
    for (unsigned i = 0; i < 3; i++)
        write_pattern(all[i], i);
    void *ptr = mem.ptr;
    int fd = export(&mem), second = export(&mem);
    ck_assert_ptr_eq(mem.ptr, ptr);
    struct stat a, b;
    ck_assert(fstat(fd, &a) == 0 && fstat(second, &b) == 0);
    ck_assert(a.st_ino == b.st_ino && (size_t)a.st_size == bytes);
    const unsigned char *view = mmap(NULL, bytes, PROT_READ, MAP_SHARED, second, 0);
    ck_assert_ptr_ne(view, MAP_FAILED);
    ck_assert(has_pattern(view, bytes, 1));
    write_pattern(&mem, 77);
    ck_assert(has_pattern(view, bytes, 77));

    ck_assert_ptr_eq(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_ne(mprotect((void *)view, PAGE, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_lt(write(fd, "x", 1), 0);
    ck_assert_int_ne(ftruncate(fd, 0), 0);
    ck_assert_int_ne(ftruncate(mem.fd, 0), 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);

    tkv_memory_free(dev, &mem); /* the reader's view lives on */
    ck_assert(has_pattern(view, bytes, 77));
    mem = fresh(bytes);
    write_pattern(&mem, 5);
    ck_assert(has_pattern(view, bytes, 77));
    ck_assert(has_pattern(before.ptr, bytes, 0) && has_pattern(after.ptr, bytes, 2));
    munmap((void *)view, bytes);
    close(second);
    close(fd);
    for (unsigned i = 0; i < 3; i++)
        tkv_memory_free(dev, all[i]);
}
END_TEST

/* Goal: an export of which any step fails leaves the bytes, the memory private, and no descriptor
 * behind; the next one succeeds. So does one of which only the reader's descriptor could not be
 * had.
 * Method: limits of this process: open files for the descriptors, the size of files for sizing and
 * writing. */
START_TEST(exports_that_fail)
{
    struct tkv_memory mem = fresh((size_t)3 * PAGE);
    write_pattern(&mem, 9);
    size_t descriptors = entries("/proc/self/fd");
    int fd = -1, lowest = dup(0);
    close(lowest);
    signal(SIGXFSZ, SIG_IGN);
    for (int kind = 0; kind < 2; kind++) {
        const __rlimit_resource_t which = kind == 0 ? RLIMIT_NOFILE : RLIMIT_FSIZE;
        rlim_t was = limit(which, kind == 0 ? (rlim_t)lowest : PAGE);
        enum tkv_status st = tkv_memory_export(dev, &mem, &fd);
        limit(which, was);
        ck_assert_int_eq(st, TKV_ENOMEM);
        ck_assert(fd == -1 && mem.fd == -1 && has_pattern(mem.ptr, mem.bytes, 9));
        ck_assert_uint_eq(entries("/proc/self/fd"), descriptors);
    }
    rlim_t was = limit(RLIMIT_NOFILE, (rlim_t)lowest + 1);
    enum tkv_status st = tkv_memory_export(dev, &mem, &fd);
    limit(RLIMIT_NOFILE, was);
    ck_assert_int_eq(st, TKV_ENOMEM);
    ck_assert(fd == -1 && has_pattern(mem.ptr, mem.bytes, 9));
    close(export(&mem));
    ck_assert(has_pattern(mem.ptr, mem.bytes, 9));
    tkv_memory_free(dev, &mem);
    ck_assert_uint_eq(entries("/proc/self/fd"), descriptors);
}
END_TEST

/* Goal: mappings that cannot be had are out of memory; a piece in whose place the file could not be
 * taken away yet is not given to anybody.
 * Method: the limit of a process's data, which every private mapping counts to; AddressSanitizer's
 * own as well, which ends the process when it gets none. */
#ifndef __SANITIZE_ADDRESS__
START_TEST(mappings_that_run_out)
{
    struct tkv_memory mem = {.fd = -7};
    for (int i = 0; i < 2; i++) {
        rlim_t was = limit(RLIMIT_DATA, PAGE);
        enum tkv_status st = tkv_memory_alloc(dev, i == 0 ? PAGE : PIECE_MAX + PAGE, &mem);
        limit(RLIMIT_DATA, was);
        ck_assert_int_eq(st, TKV_ENOMEM);
        ck_assert_int_eq(mem.fd, -7);
    }
    mem = fresh(PAGE);
    write_pattern(&mem, 3);
    int fd = export(&mem);
    rlim_t was = limit(RLIMIT_DATA, PAGE);
    tkv_memory_free(dev, &mem);
    enum tkv_status st = tkv_memory_alloc(dev, PAGE, &mem);
    limit(RLIMIT_DATA, was);
    ck_assert_int_eq(st, TKV_ENOMEM);
    mem = fresh(PAGE);
    ck_assert(is_zero(&mem));
    unsigned char kept[PAGE];
    ck_assert(pread(fd, kept, PAGE, 0) == PAGE && has_pattern(kept, PAGE, 3));
    close(fd);
    tkv_memory_free(dev, &mem);
}
END_TEST
#endif

/* Goal: where there is no memory for what is known about a slab, no slab is left mapped. */
START_TEST(host_memory_that_runs_out)
{
    struct tkv_memory mem = {.fd = -7};
    failing_alloc_arm(1);
    ck_assert_int_eq(tkv_memory_alloc(dev, PAGE, &mem), TKV_ENOMEM);
    ck_assert(failing_alloc_disarm());
    ck_assert_int_eq(mem.fd, -7);
    mem = fresh(PAGE);
    tkv_memory_free(dev, &mem);
}
END_TEST

/* Goal: 100,000 sequences, and any pattern of those that go and come, within a process's usual
 * limits of descriptors and mappings; all memory goes back. */
START_TEST(a_hundred_thousand)
{
    struct tkv_memory *mems = malloc(MANY * sizeof *mems);
    ck_assert_ptr_nonnull(mems);
    rlim_t was = limit(RLIMIT_NOFILE, FEW_FILES);
    const size_t descriptors = entries("/proc/self/fd"), maps = mappings();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            if (round > 0 && i % 2 == 0) continue;
            mems[i] = fresh(round == 1 ? PAGE + PAGE : PAGE);
            ck_assert_int_eq(*(char *)mems[i].ptr, 0);
            memcpy(mems[i].ptr, &i, sizeof i);
        }
        ck_assert_uint_lt(mappings(), maps + SOME_MAPPINGS);
        ck_assert_uint_eq(entries("/proc/self/fd"), descriptors);
        for (unsigned i = 0; i < MANY; i++) {
            ck_assert_int_eq(memcmp(mems[i].ptr, &i, sizeof i), 0);
            if (round == 2 || i % 2 == 1) tkv_memory_free(dev, &mems[i]);
        }
    }
    ck_assert_uint_lt(mappings(), maps + SOME_MAPPINGS);
    limit(RLIMIT_NOFILE, was);
    free(mems);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu_memory");
    TCase *tc = tcase_create("cpu_memory");
    tcase_set_timeout(tc, 0);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, reused_memory_is_zero, 0, SIZES);
    tcase_add_loop_test(tc, only_written_pages_are_resident, 0, SIZES);
    tcase_add_loop_test(tc, readers_see_what_is_written, 0, SIZES);
    tcase_add_test(tc, exports_that_fail);
#ifndef __SANITIZE_ADDRESS__
    tcase_add_test(tc, mappings_that_run_out);
#endif
    tcase_add_test(tc, host_memory_that_runs_out);
    tcase_add_test(tc, a_hundred_thousand);
    suite_add_tcase(s, tc);
    return tkv_check_main(s);
}
