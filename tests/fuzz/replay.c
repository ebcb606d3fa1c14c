/* replay.c - feeds files, or all files of folders, to a fuzz target; each one whole, then cut at
 * every byte, then with each of its bits flipped. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "tests/fuzz/target.h"

enum { INPUT_MAX = 64 * 1024, MUTATED_MAX = 1024 };

static uint8_t input[INPUT_MAX];

/* The input in memory of just its size, so that a sanitizer sees a read past its end. */
static void feed(size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    MUST(exact != NULL);
    memcpy(exact, input, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void play_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    MUST(file != NULL);
    size_t size = fread(input, 1, sizeof input, file);
    (void)fclose(file);
    feed(size);
    for (size_t cut = 0; cut < size && cut < MUTATED_MAX; cut++)
        feed(cut);
    for (size_t bit = 0; bit < 8 * size && bit < 8 * (size_t)MUTATED_MAX; bit++) {
        input[bit / 8] ^= (uint8_t)(1u << bit % 8);
        feed(size);
        input[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Plays a file, or the files of a folder; how many there were. */
static int play(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;
    if (folder == NULL) {
        MUST(errno == ENOTDIR);
        play_file(path);
        return 1;
    }
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.') continue;
        int length = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        MUST(length > 0 && (size_t)length < sizeof inside);
        play_file(inside);
        n++;
    }
    (void)closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++)
        n += play(argv[i]);
    printf("%d inputs\n", n);
    return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
