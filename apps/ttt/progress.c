/* SPDX-License-Identifier: MIT
 * The progress line: drawn at most ten times a second on a terminal, every 15 seconds elsewhere, and at the end. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 30, DEFAULT_COLUMNS = 80, LINE = 1024 };

static const double terminal_pause = 0.1, log_pause = 15; /* seconds between two drawings */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int columns(FILE *stream)
{
    struct winsize size = {0};
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

void ttt_progress_init(ttt_progress *progress, FILE *stream, int64_t first)
{
    const char *kind = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    const bool terminal = isatty(fileno(stream)) && kind && strcmp(kind, "dumb") != 0;
    *progress = (ttt_progress){.stream = stream,
                               .terminal = terminal,
                               .colour = terminal && !(no_colour && *no_colour),
                               .first = first,
                               .started = now(),
                               .shown = -INFINITY};
}

static void print_time(char *text, size_t size, double seconds)
{
    const long long s = llround(seconds);
    if (!(seconds >= 0))
        snprintf(text, size, "-:--");
    else if (s >= 3600)
        snprintf(text, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%lld:%02lld", s / 60, s % 60);
}

static void print_figures(char *text, size_t size, const ttt_progress_figures *figures)
{
    char left[32];
    print_time(left, sizeof left, figures->left);
    snprintf(text, size, "step %lld/%lld  loss %.4f  smoothed %.4f  %.0f tokens/s  %s left", (long long)figures->step,
             (long long)figures->steps, figures->loss, figures->smoothed, figures->tokens_per_s, left);
}

void ttt_progress_render(char *line, size_t size, const ttt_progress_figures *figures, int width, bool colour)
{
    char text[LINE];
    print_figures(text, sizeof text, figures);
    const int room = width - (int)strlen(text) - 4; /* brackets, a blank, and the last column, where terminals wrap */
    const int bar = room > BAR ? BAR : room;
    if (bar < 4) {
        snprintf(line, size, "%.*s", width > 1 ? width - 1 : 0, text);
        return;
    }
    const double part = figures->steps > 0 ? (double)figures->step / (double)figures->steps : 0;
    const int full = part >= 1 ? bar : (int)(part * bar);
    char done[BAR + 1], open[BAR + 1];
    memset(done, '#', BAR);
    memset(open, '.', BAR);
    snprintf(line, size, "[%s%.*s%s%.*s] %s", colour ? "\033[32m" : "", full, done, colour ? "\033[0m" : "", bar - full,
             open, text);
}

void ttt_progress_show(ttt_progress *progress, ttt_progress_figures figures)
{
    const double time = now();
    const bool last = figures.step >= figures.steps;
    if (!last && time - progress->shown < (progress->terminal ? terminal_pause : log_pause)) return;
    progress->shown = time;
    const int64_t done = figures.step - progress->first;
    figures.left = done > 0 ? (time - progress->started) / (double)done * (double)(figures.steps - figures.step) : -1;
    char line[LINE];
    if (progress->terminal) {
        ttt_progress_render(line, sizeof line, &figures, columns(progress->stream), progress->colour);
        fprintf(progress->stream, "\r%s\033[K", line);
        progress->drawn = true;
    } else {
        print_figures(line, sizeof line, &figures);
        fprintf(progress->stream, "%s\n", line);
    }
    fflush(progress->stream);
}

void ttt_progress_say(ttt_progress *progress, const char *format, ...)
{
    if (progress->drawn) fputs("\r\033[K", progress->stream);
    progress->drawn = false;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(progress->stream, format, arguments);
    va_end(arguments);
    fputc('\n', progress->stream);
    fflush(progress->stream);
}

void ttt_progress_end(ttt_progress *progress)
{
    if (progress->drawn) fputc('\n', progress->stream);
    progress->drawn = false;
    fflush(progress->stream);
}
