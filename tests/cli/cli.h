/* SPDX-License-Identifier: MIT
 *
 * Running the program as a user does: a command line, its exit code, what it wrote; and files to give it. Every test
 * program works in a folder of its own below the build folder.
 */
#ifndef TTT_TEST_CLI_H
#define TTT_TEST_CLI_H

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { CLI_TEXT = 1 << 16 };
/* stdout and stderr of the last command, as far as they fit; without the line that some processors add, which says that
 * bf16 is their default */
static char cli_output[CLI_TEXT];

/* Enters an empty folder for this test program. */
static inline void cli_begin(const char *name)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s/scratch/%s' && mkdir -p '%s/scratch/%s'", TTT_BINARY_DIR, name,
             TTT_BINARY_DIR, name);
    if (system(command) != 0) exit(1);
    snprintf(command, sizeof command, "%s/scratch/%s", TTT_BINARY_DIR, name);
    if (chdir(command) != 0) exit(1);
    /* By its name alone, so that $TTT needs no quotes whatever the folder is called. */
    const char *path = getenv("PATH");
    snprintf(command, sizeof command, "%s/bin:%s", TTT_BINARY_DIR, path ? path : "/usr/bin:/bin");
    setenv("PATH", command, 1);
    setenv("TTT", "ttt", 1);
}

static inline void cli_read_output(const char *path)
{
    FILE *file = fopen(path, "rb");
    const size_t size = file ? fread(cli_output, 1, CLI_TEXT - 1, file) : 0;
    cli_output[size] = '\0';
    if (file) fclose(file);
    char *line = strstr(cli_output, "computing in bf16, which"), *end = line ? strchr(line, '\n') : NULL;
    if (end && (line == cli_output || line[-1] == '\n')) memmove(line, end + 1, strlen(end));
}

/* Runs a shell command, in which $TTT is the program; returns its exit code, or 128 + the signal that ended it. */
static inline int cli_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int cli_run(const char *format, ...)
{
    char line[8000], command[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    snprintf(command, sizeof command, "{ %s\n} >output 2>&1", line);
    const int status = system(command);
    cli_read_output("output");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The command exits with `code` and says `part`. */
#define CLI_SAYS(code, part, ...)                                                                                      \
    do {                                                                                                               \
        const int cli_code = cli_run(__VA_ARGS__);                                                                     \
        test_checks++;                                                                                                 \
        if (cli_code != (code) || !strstr(cli_output, (part))) {                                                       \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: failed: exit code %d, expected %d and \"%s\":\n%s\n", __FILE__, __LINE__,          \
                    cli_code, (code), (part), cli_output);                                                             \
        }                                                                                                              \
    } while (0)

#define CLI_OK(...) CLI_SAYS(0, "", __VA_ARGS__)

/* Starts a shell command that is `exec`uted, so that signals reach the program itself. It writes into the file
 * "started", so that others may be run beside it. */
static inline pid_t cli_start(const char *command)
{
    const pid_t child = fork();
    if (child != 0) return child;
    const int output = open("started", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(output, 1);
    dup2(output, 2);
    char line[8192];
    snprintf(line, sizeof line, "exec %s", command);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

/* Waits until a file that a started command writes is there and not empty; false after a minute, or when the command
 * has ended without. */
static inline bool cli_await(pid_t child, const char *path)
{
    struct stat status;
    siginfo_t ended = {0};
    for (int i = 0; i < 60000; i++) {
        if (stat(path, &status) == 0 && status.st_size > 0) return true;
        if (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == child) break;
        usleep(1000);
    }
    return stat(path, &status) == 0 && status.st_size > 0;
}

/* Waits for it, as cli_run does. */
static inline int cli_wait(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child) return -1;
    cli_read_output("started");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline bool cli_same(const char *a, const char *b) { return cli_run("cmp '%s' '%s'", a, b) == 0; }

static inline void cli_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) exit(1);
}

/* A text of ten words at random, a pure function of size and seed. */
static inline void cli_write_words(const char *path, size_t size, unsigned seed)
{
    static const char words[][8] = {"the ", "sea ", "saw ", "a ", "ship ", "and ", "then ", "it ", "sank.\n", "over "};
    char *text = malloc(size + 8);
    size_t used = 0;
    while (used < size) {
        seed = seed * 1103515245u + 12345u;
        const char *word = words[(seed >> 16) % 10];
        memcpy(text + used, word, strlen(word));
        used += strlen(word);
    }
    cli_write(path, text, size);
    free(text);
}

#endif
