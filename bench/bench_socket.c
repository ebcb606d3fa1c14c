/* The floor under a stream of messages: one process writes them into a Unix stream socket as fast
 * as it can, another reads them into memory. Nothing else is done, and nothing is answered.
 *
 *   bench_socket [--bytes N] [--region N] [--seconds S]
 *
 * Two ways, one after the other: into one message's room again and again, which stays in the
 * processor's cache, and into a region that is rotated over, as a journal is. Every message is the
 * same; what lies in the region at the end is compared with it. One line comes out, for programs:
 * "hot B rotating B", bytes a second. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

struct floor {
    size_t bytes, region;
    double seconds;
    char *message, *memory;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_socket: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Until the reader has gone. */
static void write_all(int fd, const struct floor *f)
{
    for (size_t done = 0;; done %= f->bytes) {
        ssize_t n = send(fd, f->message + done, f->bytes - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) _exit(0);
        if (n > 0) done += (size_t)n;
    }
}

static pid_t start_writer(int fds[2], const struct floor *f)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) die("socketpair");
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) {
        close(fds[0]);
        write_all(fds[1], f);
    }
    close(fds[1]);
    return pid;
}

static void read_message(int fd, char *to, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = recv(fd, to + got, bytes - got, 0);
        if (n == 0 || (n < 0 && errno != EINTR)) die("recv");
        if (n > 0) got += (size_t)n;
    }
}

/* Bytes a second. region: how much of f->memory is rotated over. */
static double read_for(int fd, const struct floor *f, size_t region)
{
    uint64_t begin = tkv_now_ns(), now = begin, end = begin + (uint64_t)(f->seconds * 1e9);
    size_t at = 0, messages = 0;
    for (; now < end; messages++) {
        read_message(fd, f->memory + at, f->bytes);
        at += f->bytes;
        if (at + f->bytes > region) at = 0;
        now = tkv_now_ns();
    }
    return (double)messages * (double)f->bytes / ((double)(now - begin) / 1e9);
}

/* Room that no message has reached is as it was made: zeros. */
static void check(const struct floor *f, size_t region)
{
    for (size_t at = 0; at + f->bytes <= region; at += f->bytes) {
        if (f->memory[at] == 0) return;
        if (memcmp(f->memory + at, f->message, f->bytes) == 0) continue;
        fprintf(stderr, "bench_socket: wrong bytes at %zu\n", at);
        exit(1);
    }
}

static double measure(const struct floor *f, size_t region)
{
    int fds[2];
    pid_t pid = start_writer(fds, f);
    double rate = read_for(fds[0], f, region);
    close(fds[0]);
    if (waitpid(pid, NULL, 0) != pid) die("waitpid");
    check(f, region);
    return rate;
}

/* Page faults are not what is measured: the memory is touched, and the writer does not inherit it,
 * since each page would be copied at its first write then. */
static void make(struct floor *f)
{
    f->message = malloc(f->bytes);
    f->memory = mmap(NULL, f->region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->message == NULL || f->memory == MAP_FAILED) die("memory");
    if (madvise(f->memory, f->region, MADV_DONTFORK) != 0) die("madvise");
    for (size_t i = 0; i < f->bytes; i++)
        f->message[i] = (char)(1 + i % 251);
    memset(f->memory, 0, f->region);
}

static bool read_arguments(int argc, char **argv, struct floor *f)
{
    static const struct option options[] = {{"bytes", required_argument, NULL, 'b'},
                                            {"region", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'b')
            f->bytes = strtoull(optarg, NULL, 10);
        else if (o == 'r')
            f->region = strtoull(optarg, NULL, 10);
        else if (o == 's')
            f->seconds = strtod(optarg, NULL);
        else
            return false;
    }
    if (f->region < f->bytes) f->region = f->bytes;
    return optind == argc && f->bytes > 0 && f->seconds > 0;
}

int main(int argc, char **argv)
{
    struct floor f = {.bytes = 128 << 10, .region = 256 << 20, .seconds = 1};
    if (!read_arguments(argc, argv, &f)) {
        fprintf(stderr, "usage: bench_socket [--bytes N] [--region N] [--seconds S]\n");
        return 2;
    }
    make(&f);
    double hot = measure(&f, f.bytes);
    double rotating = measure(&f, f.region);
    printf("hot %.0f rotating %.0f\n", hot, rotating);
    free(f.message);
    munmap(f.memory, f.region);
    return 0;
}
