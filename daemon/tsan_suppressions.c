/* tsan_suppressions.c - what ThreadSanitizer gets wrong about truekvd. Linked into programs that
 * run the server; without ThreadSanitizer nobody calls it.
 *
 * libuv closes descriptors by a raw system call, which the sanitizer does not see. When the number
 * comes back as the memfd of a cache, on the engine thread, it takes that for a race with the
 * loop's accept() of the connection that had the number before; likewise when it comes back to
 * HTTP's threads, as a connection, as a pair of sockets to ask the loop by, or as a file of /proc.
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race_top:mmap\n"
           "race_top:close\n"
           "race_top:ftruncate\n"
           "race_top:fcntl\n"
           "race_top:accept4\n"
           "race_top:socketpair\n"
           "race_top:fopen\n";
}
