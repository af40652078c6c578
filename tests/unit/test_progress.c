/* SPDX-License-Identifier: MIT
 * apps/ttt/progress: the line fits any window, says what it should, and a log gets plain lines. */
#include "../../apps/ttt/progress.h"

#include "test.h"

static const ttt_progress_figures half = {
    .step = 50, .steps = 100, .loss = 2.5, .smoothed = 2.25, .tokens_per_s = 8123.4, .left = 3725};

static void widths(void)
{
    char line[1024];
    ttt_progress_render(line, sizeof line, &half, 200, false);
    CHECK_STR(line,
              "[###############...............] step 50/100  loss 2.5000  smoothed 2.2500  8123 tokens/s  1:02:05 "
              "left");
    ttt_progress_render(line, sizeof line, &half, 200, true);
    CHECK(strstr(line, "[\033[32m###############\033[0m....") != NULL);
    for (int width = 0; width < 200; width++) {
        ttt_progress_render(line, sizeof line, &half, width, false);
        CHECK(strlen(line) < (size_t)(width > 1 ? width : 1)); /* the last column stays free */
    }
    ttt_progress_figures end = half;
    end.step = end.steps;
    end.left = 0;
    ttt_progress_render(line, sizeof line, &end, 200, false);
    CHECK(strstr(line, "[##############################] step 100/100") && strstr(line, " 0:00 left"));
    end.left = -1;
    ttt_progress_render(line, sizeof line, &end, 200, false);
    CHECK(strstr(line, " -:-- left") != NULL);
}

static void plain_lines(void)
{
    FILE *log = tmpfile();
    CHECK(log != NULL);
    if (!log) return;
    ttt_progress progress;
    ttt_progress_init(&progress, log, 49);
    CHECK(!progress.terminal && !progress.colour);
    ttt_progress_show(&progress, half);
    for (int i = 0; i < 100; i++) ttt_progress_show(&progress, half); /* too soon for another line */
    ttt_progress_say(&progress, "held-out loss %.2f", 1.5);
    ttt_progress_figures end = half;
    end.step = end.steps;
    ttt_progress_show(&progress, end); /* the last is always shown */
    ttt_progress_end(&progress, false);
    progress.started = progress.shown -= 60;
    ttt_progress_pass(&progress, 7, 3, 16); /* a slow update */
    ttt_progress_pass(&progress, 7, 4, 16);
    ttt_progress_note(&progress, 0.5, "reading"); /* its first second */
    progress.started -= 60, progress.shown -= 60;
    ttt_progress_note(&progress, 0.75, "reading");
    ttt_progress_note(&progress, 0.8, "reading");
    progress.started -= 60, progress.shown -= 60;
    ttt_progress_note(&progress, -1, "reading");
    char text[4096];
    rewind(log);
    text[fread(text, 1, sizeof text - 1, log)] = '\0';
    fclose(log);
    int lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    CHECK_EQ(lines, 6);
    CHECK(strstr(text, "\nupdate 7: 3 of 16 passes\n") && strstr(text, "\nreading: 75 %, 0:20 left\n") &&
          strstr(text, "\nreading: 2:00\n"));
    CHECK(!strchr(text, '\r') && !strchr(text, '\033'));
    CHECK(strstr(text, "step 50/100  loss 2.5000") && strstr(text, "\nheld-out loss 1.50\n") &&
          strstr(text, "step 100/100"));
}

int main(void)
{
    widths();
    plain_lines();
    return test_end();
}
