/* SPDX-License-Identifier: MIT
 *
 * ttt study: the options of studies (apps/study), and their progress on stderr.
 */
#include <stdio.h>
#include <string.h>
#include <ttt/comm.h>

#include "common.h"
#include "progress.h"
#include "study/study.h"
#include "usage.h"

enum { KEY_JOBS = 0x100, KEY_SHARD, KEY_SCALE, KEY_DRY, KEY_CSV };

typedef struct options {
    const char *action;
    ttt_study_options study;
    ttt_progress progress;
} options;

static const struct argp_option option_list[] = {
    {"directory", 'd', "DIR", 0, "where results, timings and runs are; default: the folder of FILE", 0},
    {"scale", KEY_SCALE, "NAME", 0, "as large as the file says under this name", 0},
    {"jobs", KEY_JOBS, "N", 0, "run: processes that work at a time, one thread each; default 1", 1},
    {"shard", KEY_SHARD, "I/N", 0, "run: only part I, from 1, of N, for machines without a folder in common", 1},
    {"dry-run", KEY_DRY, NULL, 0, "run: say what there is to do, and do nothing", 1},
    {"output", 'o', "REPORT.html", 0, "report: the page", 2},
    {"csv", KEY_CSV, "FOLDER", 0, "report: its figures as tables, a file each", 2},
    {0}};

static void read_shard(const struct argp_state *state, const char *argument, ttt_study_options *study)
{
    char first[32];
    const char *slash = strchr(argument, '/');
    if (!slash || (size_t)(slash - argument) >= sizeof first)
        ttt_app_usage(state, "--shard is \"%s\": give I/N, such as 1/4", argument);
    snprintf(first, sizeof first, "%.*s", (int)(slash - argument), argument);
    study->shards = ttt_app_integer(state, "--shard", slash + 1, 1, 1 << 20);
    study->shard = ttt_app_integer(state, "--shard", first, 1, study->shards);
}

static void read_argument(const struct argp_state *state, char *argument, options *o)
{
    if (!o->action) {
        if (strcmp(argument, "run") != 0 && strcmp(argument, "report") != 0)
            ttt_app_usage(state, "there is no action \"%s\"; there are run and report", argument);
        o->action = argument;
    } else if (!o->study.file) {
        o->study.file = argument;
    } else {
        ttt_app_usage(state, "one study at a time: %s is too much", argument);
    }
}

static void check(const struct argp_state *state, const options *o)
{
    const ttt_study_options *s = &o->study;
    if (!o->action || !s->file) ttt_app_usage(state, "give an action, run or report, and the file of the study");
    const bool run = strcmp(o->action, "run") == 0;
    if (run && (s->output || s->csv)) ttt_app_usage(state, "-o and --csv are for ttt study report");
    if (!run && !s->output) ttt_app_usage(state, "give the page to write: -o REPORT.html");
    if (!run && (s->jobs || s->shards || s->dry))
        ttt_app_usage(state, "--jobs, --shard and --dry-run are for ttt study run");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case 'd': o->study.folder = argument; return 0;
    case 'o': o->study.output = argument; return 0;
    case KEY_SCALE: o->study.scale = argument; return 0;
    case KEY_JOBS: o->study.jobs = ttt_app_integer(state, "--jobs", argument, 1, 1024); return 0;
    case KEY_SHARD: read_shard(state, argument, &o->study); return 0;
    case KEY_DRY: o->study.dry = true; return 0;
    case KEY_CSV: o->study.csv = argument; return 0;
    case ARGP_KEY_ARG: read_argument(state, argument, o); return 0;
    case ARGP_KEY_END: check(state, o); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void show(void *context, const char *line) { ttt_progress_line(context, line); }
static void say(void *context, const char *line) { ttt_progress_say(context, "%s", line); }

int ttt_cmd_study(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse,
        .args_doc = "run FILE\nreport FILE -o REPORT.html",
        .doc =
            "Does what a study asks, many training runs and their evaluations, and reports what they show. It can be "
            "stopped or killed at any time; the same command goes on, and does nothing twice.\vExamples:\n"
            "  ttt study run study.json --jobs 4\n"
            "  ttt study report study.json -o report.html --csv tables",
    };
    options o = {.study = {.signal = ttt_app_signal}};
    int rank, ranks;
    ttt_app_parse(&argp, argc, argv, &o);
    ttt_comm_place(&rank, &ranks);
    if (rank == 0) { /* ranks work as any processes do that have the folder in common; one speaks */
        o.study.show = show;
        o.study.say = say;
    }
    ttt_progress_init(&o.progress, stderr, 0);
    o.study.context = &o.progress;
    if (o.study.jobs == 0) o.study.jobs = 1;
    ttt_app_catch_signals(ttt_app_stopping, false);
    const bool run = strcmp(o.action, "run") == 0;
    if (!run && rank > 0) return 0;
    const int code = run ? ttt_study_run(&o.study) : ttt_study_report(&o.study);
    ttt_progress_end(&o.progress, true);
    return code;
}
