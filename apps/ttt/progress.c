/* SPDX-License-Identifier: MIT
 * The progress line: drawn at most ten times a second on a terminal, every 15 seconds elsewhere, and at the end. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common.h"

enum { BAR = 30, DEFAULT_COLUMNS = 80, LINE = 1024 };

static const double terminal_pause = 0.1, log_pause = 15, pass_pause = 10; /* seconds between two drawings */

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
                               .started = ttt_app_seconds(),
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

/* A line that stands for as long as nothing is new. */
static void draw(ttt_progress *progress, const char *line)
{
    fprintf(progress->stream, progress->terminal ? "\r%s\033[K" : "%s\n", line);
    progress->drawn = progress->terminal;
    fflush(progress->stream);
}

/* A short one, cut to the window. */
static void draw_short(ttt_progress *progress, char *line)
{
    const int width = columns(progress->stream);
    if (progress->terminal && (int)strlen(line) >= width) line[width > 1 ? width - 1 : 0] = '\0';
    draw(progress, line);
}

ttt_status ttt_progress_note(void *context, double part, const char *doing)
{
    ttt_progress *progress = context;
    const double time = ttt_app_seconds(), pause = progress->terminal ? terminal_pause : log_pause;
    if (ttt_app_signal()) return TTT_ERR_INTERRUPTED;
    if (strcmp(progress->doing, doing) != 0) {
        snprintf(progress->doing, sizeof progress->doing, "%s", doing);
        progress->started = progress->shown = time;
    }
    const double passed = time - progress->started;
    if (passed < 1 || time - progress->shown < pause) return TTT_OK;
    progress->shown = time;
    char line[LINE], left[32];
    print_time(left, sizeof left, part > 0 ? passed / part * (1 - part) : passed);
    if (part > 0)
        snprintf(line, sizeof line, "%s: %.0f %%, %s left", doing, 100 * part, left);
    else
        snprintf(line, sizeof line, "%s: %s", doing, left);
    draw_short(progress, line);
    return TTT_OK;
}

void ttt_progress_line(ttt_progress *progress, const char *text)
{
    const double time = ttt_app_seconds();
    if (time - progress->shown < (progress->terminal ? terminal_pause : log_pause)) return;
    progress->shown = time;
    char line[LINE];
    snprintf(line, sizeof line, "%s", text);
    draw_short(progress, line);
}

void ttt_progress_pass(void *context, int64_t step, int64_t done, int64_t passes)
{
    ttt_progress *progress = context;
    const double time = ttt_app_seconds(), since = fmax(progress->shown, progress->started);
    if (done == passes || time - since < pass_pause) return;
    progress->shown = time;
    char line[LINE];
    snprintf(line, sizeof line, "update %lld: %lld of %lld passes", (long long)step, (long long)done,
             (long long)passes);
    draw_short(progress, line);
}

void ttt_progress_show(ttt_progress *progress, ttt_progress_figures figures)
{
    const double time = ttt_app_seconds();
    const bool last = figures.step >= figures.steps;
    if (!last && time - progress->shown < (progress->terminal ? terminal_pause : log_pause)) return;
    progress->shown = time;
    const int64_t done = figures.step - progress->first;
    figures.left = done > 0 ? (time - progress->started) / (double)done * (double)(figures.steps - figures.step) : -1;
    char line[LINE];
    if (progress->terminal)
        ttt_progress_render(line, sizeof line, &figures, columns(progress->stream), progress->colour);
    else
        print_figures(line, sizeof line, &figures);
    draw(progress, line);
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

void ttt_progress_warn(void *progress, const char *sentence)
{
    ttt_progress_say(progress, "ttt: warning: %s", sentence);
}

void ttt_progress_end(ttt_progress *progress, bool clear)
{
    if (progress->drawn) fputs(clear ? "\r\033[K" : "\n", progress->stream);
    progress->drawn = false;
    fflush(progress->stream);
}
