/* Any text as a configuration file: it is taken, or refused with a message that says the file; what
 * was taken can be compared with the defaults, and nothing is left behind. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/options.h"
#include "tests/fuzz/target.h"

/* libconfig 1.5 forgets the text of a string that a syntax error follows: some bytes for each bad
 * file that a reload finds, and nothing that we could free. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}

static int fd = -1;
static char path[64];

static void write_file(const uint8_t *data, size_t size)
{
    if (fd < 0) fd = memfd_create("config", MFD_CLOEXEC);
    MUST(fd >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
}

static void use(struct tkv_config *config)
{
    char message[512];
    struct tkv_options options = {.backend = "cpu"};
    struct tkv_config other;
    struct tkv_reload report;
    MUST(config->n_models > 0 && config->batch_max_items >= 1);
    enum tkv_status st = tkv_options_apply(&options, config, message, sizeof message);
    MUST(st == TKV_OK || (st == TKV_EINVAL && message[0] != '\0')); /* tcp without a token */
    if (st != TKV_OK) return;
    MUST(config->n_listen > 0);
    tkv_config_init(&other);
    tkv_config_reload(&other, config, &report);
    MUST(report.n_waiting > 0); /* it has models, at least */
    tkv_config_reload(&other, config, &report);
    MUST(report.n_changed == 0);
    tkv_config_close(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[512] = "";
    struct tkv_config config;
    write_file(data, size);
    tkv_config_init(&config);
    enum tkv_status st = tkv_config_load(&config, path, message, sizeof message);
    MUST(st == TKV_OK || (st == TKV_EINVAL && strncmp(message, path, strlen(path)) == 0));
    if (st == TKV_OK) use(&config);
    tkv_config_close(&config);
    return 0;
}
