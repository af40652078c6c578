/* SPDX-License-Identifier: MIT
 *
 * ttt bench: how fast a model is read, written with and trained on this machine, beside what the machine can do at
 * most. Options and output are llama-bench's where it has them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_list.h"
#include "bench_print.h"
#include "bench_sweep.h"
#include "common.h"
#include "usage.h"

enum {
    KEY_CONFIG = 256,
    KEY_SET,
    KEY_LAYER,
    KEY_TRAIN,
    KEY_BATCH,
    KEY_WEIGHTS,
    KEY_PRECISION,
    KEY_BACKEND,
    KEY_NO_WARMUP,
    KEY_OPS,
    KEY_SWEEP,
    KEY_PLOT
};

enum { GROUP_MODEL = 1, GROUP_TESTS, GROUP_HOW };

static const struct argp_option list[] = {
    {NULL, 0, NULL, 0, "Model:", GROUP_MODEL},
    {"model", 'm', "MODEL", 0, "a model folder", GROUP_MODEL},
    {"config", KEY_CONFIG, "NAME|FILE", 0,
     "random weights of this configuration: CONFIGS, or a config.json (default tiny)", GROUP_MODEL},
    {"layer", KEY_LAYER, "NAME,..", 0, "with a configuration: what each of its blocks is, such as ttt_linear",
     GROUP_MODEL},
    {"set", KEY_SET, "KEY=VALUE", 0, "with a configuration: set a key of config.json; may be repeated", GROUP_MODEL},
    {NULL, 0, NULL, 0, "Tests (lists such as 128,512 or 1k-8k*2; 0 leaves out):", GROUP_TESTS},
    {"n-prompt", 'p', "N,..", 0, "read N tokens at once (default 512)", GROUP_TESTS},
    {"n-gen", 'n', "N,..", 0, "read N tokens one by one, as generation does (default 128)", GROUP_TESTS},
    {"n-depth", 'd', "N,..", 0, "both after N tokens that were read before (default 0)", GROUP_TESTS},
    {"train", KEY_TRAIN, "N,..", 0, "training steps with sequences of N tokens; without -p and -n, these alone",
     GROUP_TESTS},
    {"batch", KEY_BATCH, "N", 0, "sequences of a training step (default 1)", GROUP_TESTS},
    {"ops", KEY_OPS, NULL, 0, "instead: every operation alone, at the shapes of the configuration", GROUP_TESTS},
    {"context-sweep", KEY_SWEEP, "A..B", 0,
     "instead: time per token and memory at the contexts A, 2A, ... B, such as 1k..64k", GROUP_TESTS},
    {"plot", KEY_PLOT, "FILE.svg", 0, "draw what --context-sweep finds", GROUP_TESTS},
    {NULL, 0, NULL, 0, "How:", GROUP_HOW},
    {"repetitions", 'r', "N", 0, "times that each test is measured (default 5)", GROUP_HOW},
    {"no-warmup", KEY_NO_WARMUP, NULL, 0, "no run before the first one measured", GROUP_HOW},
    {"threads", 't', "N,..", 0, "threads; default: TTT_THREADS, else one per processor", GROUP_HOW},
    {"precision", KEY_PRECISION, "NAME,..", 0, "auto (default), f32, bf16, q8, q4; training has f32 and bf16",
     GROUP_HOW},
    {"weights", KEY_WEIGHTS, "NAME,..", 0, "the same for -p and -n alone", GROUP_HOW},
    {"backend", KEY_BACKEND, "NAME", 0, "ref (plain loops in double) or cpu; default: the fastest", GROUP_HOW},
    {"output", 'o', "FORMAT", 0, "md (default), json, csv or jsonl", GROUP_HOW},
    {0}};

static const char *const precisions[] = {"auto", "f32", "bf16", "q8", "q4", NULL};
static const char *const formats[] = {"md", "json", "csv", "jsonl", NULL};

typedef struct options {
    const char *folder, *config, *backend, *plot;
    const char **settings; /* KEY=VALUE */
    int setting_count;
    const char *layers[TTT_LIST_MOST]; /* NULL: the configuration's own */
    int layer_count;
    ttt_list prompt, generated, depth, train, threads, precisions, weights, format, sweep;
    int repetitions;
    int64_t batch;
    bool no_warmup, ops;
} options;

/* ---- options ---- */

static void numbers(ttt_list *into, const char *name, const char *text, const struct argp_state *state)
{
    const char *wrong = ttt_list_add(into, text);
    if (wrong) ttt_app_usage(state, "%s is \"%s\": %s", name, text, wrong);
}

static void names(ttt_list *into, const char *name, const char *text, const char *const *known,
                  const struct argp_state *state)
{
    if (!ttt_list_add_names(into, text, known)) return;
    fprintf(stderr, "%s: %s is \"%s\": give", state->name, name, text);
    for (int i = 0; known[i]; i++) fprintf(stderr, "%s %s", i == 0 ? "" : known[i + 1] ? "," : " or", known[i]);
    fputc('\n', stderr);
    exit(64);
}

static void layers(options *o, char *text, const struct argp_state *state)
{
    for (char *name; (name = strsep(&text, ","));) {
        if (o->layer_count == TTT_LIST_MOST) ttt_app_usage(state, "--layer: give at most %d layers", TTT_LIST_MOST);
        o->layers[o->layer_count++] = name;
    }
}

/* What is not said. */
static void complete(options *o, const struct argp_state *state)
{
    if (o->folder && (o->config || o->setting_count || o->layer_count))
        ttt_app_usage(state, "-m MODEL has its own configuration: leave out --config, --layer and --set");
    const bool tests = o->prompt.count || o->generated.count || o->depth.count || o->train.count;
    if (o->ops + (o->sweep.count > 0) + tests > 1)
        ttt_app_usage(state, "the tests of -p, -n, -d and --train, --ops, and --context-sweep: give one of these");
    if (o->plot && !o->sweep.count) ttt_app_usage(state, "--plot draws what --context-sweep finds: give both");
    if (o->plot && (o->layer_count > 1 || o->threads.count > 1 || o->weights.count > 1))
        ttt_app_usage(state, "--plot draws one model: give one layer, precision and number of threads");
    const bool train_only = o->train.count && !o->prompt.count && !o->generated.count;
    if (!o->prompt.count && !train_only) o->prompt = (ttt_list){{512}, 1};
    if (!o->generated.count && !train_only) o->generated = (ttt_list){{128}, 1};
    if (!o->depth.count) o->depth = (ttt_list){{0}, 1};
    if (!o->threads.count) o->threads = (ttt_list){{0}, 1};
    if (!o->precisions.count) o->precisions = (ttt_list){{0}, 1};
    if (!o->weights.count) o->weights = o->precisions;
    if (!o->layer_count) o->layer_count = 1;
    for (int i = 0; i < o->threads.count; i++)
        if (o->threads.values[i] > 1024) ttt_app_usage(state, "--threads: give numbers from 1 to 1024");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case 'm': o->folder = text; return 0;
    case KEY_CONFIG: o->config = text; return 0;
    case KEY_LAYER: layers(o, text, state); return 0;
    case KEY_SET:
        if (!strchr(text, '=') || *text == '=') ttt_app_usage(state, "--set is \"%s\": give KEY=VALUE", text);
        o->settings[o->setting_count++] = text;
        return 0;
    case 'p': numbers(&o->prompt, "-p", text, state); return 0;
    case 'n': numbers(&o->generated, "-n", text, state); return 0;
    case 'd': numbers(&o->depth, "-d", text, state); return 0;
    case KEY_TRAIN: numbers(&o->train, "--train", text, state); return 0;
    case KEY_BATCH: o->batch = ttt_app_integer(state, "--batch", text, 1, INT32_MAX); return 0;
    case 'r': o->repetitions = (int)ttt_app_integer(state, "-r", text, 1, TTT_BENCH_SAMPLES); return 0;
    case KEY_NO_WARMUP: o->no_warmup = true; return 0;
    case 't': numbers(&o->threads, "-t", text, state); return 0;
    case KEY_PRECISION: names(&o->precisions, "--precision", text, precisions, state); return 0;
    case KEY_WEIGHTS: names(&o->weights, "--weights", text, precisions, state); return 0;
    case KEY_BACKEND: o->backend = text; return 0;
    case KEY_OPS: o->ops = true; return 0;
    case KEY_SWEEP: {
        const char *wrong = ttt_list_add_doubles(&o->sweep, text);
        if (wrong) ttt_app_usage(state, "--context-sweep is \"%s\": %s", text, wrong);
        return 0;
    }
    case KEY_PLOT: o->plot = ttt_app_chart(state, text); return 0;
    case 'o':
        o->format.count = 0;
        names(&o->format, "-o", text, formats, state);
        return 0;
    case ARGP_KEY_ARG: ttt_app_model(state, &o->folder, text); return 0;
    case ARGP_KEY_END: complete(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the model ---- */

/* With one of the layers asked for, or NULL for its own. */
static ttt_status make_config(const options *o, const char *layer, ttt_config *config)
{
    if (o->folder) return ttt_config_load(config, o->folder);
    const char *name = o->config ? o->config : "tiny";
    const bool file = strchr(name, '/') || access(name, F_OK) == 0;
    ttt_status status = file ? ttt_config_load(config, name) : ttt_config_standard(config, name);
    for (int i = 0; i < o->setting_count && status == TTT_OK; i++) status = ttt_app_set(config, o->settings[i]);
    if (status == TTT_OK && layer) {
        char blocks[TTT_APP_LAYER];
        snprintf(blocks, sizeof blocks, "%lld*%s", (long long)ttt_app_integer_of(config, "num_hidden_layers"), layer);
        status = ttt_config_set(config, "layers", blocks);
    }
    return status == TTT_OK ? ttt_config_check(config, name) : status;
}

/* ---- the measurements ---- */

typedef struct bench {
    const options *o;
    ttt_bench_table table;
    ttt_bench_bounds bounds[TTT_LIST_MOST]; /* for each number of threads */
    int limit_count;
    int refused; /* tests that this build or machine does not have */
    char sentence[TTT_BENCH_SENTENCE];
} bench;

/* Measures; what this build or machine does not have is no failure, and is in the result. */
static ttt_status measure(bench *b, const ttt_bench_case *c, ttt_bench_result *result)
{
    ttt_bench_run(c, result);
    if (result->status == TTT_OK) return TTT_OK;
    memcpy(b->sentence, result->sentence, sizeof b->sentence);
    if (result->status != TTT_ERR_UNSUPPORTED) return result->status;
    b->refused++;
    return TTT_OK;
}

static ttt_status run_case(bench *b, const ttt_bench_case *c, const ttt_limits *limits)
{
    ttt_bench_result result;
    const ttt_status status = measure(b, c, &result);
    if (status == TTT_OK) ttt_bench_print_case(&b->table, c, &result, limits);
    return status;
}

/* One test with each of its sizes, at each depth, in each precision. */
static ttt_status run_tests(bench *b, ttt_bench_case c, const ttt_list *sizes, const ttt_list *depths,
                            const ttt_list *formats_wanted, const ttt_limits *limits)
{
    ttt_status status = TTT_OK;
    for (int p = 0; p < formats_wanted->count; p++) {
        for (int i = 0; i < sizes->count * depths->count && status == TTT_OK; i++) {
            c.tokens = sizes->values[i % sizes->count];
            c.depth = depths->values[i / sizes->count];
            c.precision = precisions[formats_wanted->values[p]];
            if (c.tokens > 0) status = run_case(b, &c, limits);
        }
    }
    return status;
}

/* ---- contexts ---- */

/* Prefill and decode at one context; *point is left alone if they are not to be had. */
static ttt_status run_context(bench *b, ttt_bench_case c, int64_t context, const ttt_limits *limits,
                              ttt_sweep_point *points, int *count, char precision[TTT_BENCH_NAME])
{
    ttt_bench_result prefill, decode;
    ttt_bench_case first = c, second = c;
    first.tokens = second.depth = context;
    second.test = TTT_BENCH_DECODE;
    second.tokens = TTT_SWEEP_DECODED;
    ttt_status status = measure(b, &first, &prefill);
    if (status == TTT_OK) status = measure(b, &second, &decode);
    if (status != TTT_OK) return status;
    const bool md = b->table.format == TTT_BENCH_MD;
    if (prefill.status == TTT_OK && decode.status == TTT_OK) {
        memcpy(precision, prefill.precision, TTT_BENCH_NAME);
        points[*count] = ttt_sweep_point_of(&first, &prefill, &second, &decode);
        if (md) ttt_sweep_print(points, *count, precision, limits->threads);
        ++*count;
        if (md) b->table.rows++;
    } else if (md) {
        printf("%s: not available: %s\n", c.precision, b->sentence);
    }
    if (md) return TTT_OK;
    ttt_bench_print_case(&b->table, &first, &prefill, limits);
    ttt_bench_print_case(&b->table, &second, &decode, limits);
    return TTT_OK;
}

static ttt_status run_sweep(bench *b, ttt_bench_case c, const ttt_limits *limits)
{
    const options *o = b->o;
    ttt_status status = TTT_OK;
    for (int p = 0; p < o->weights.count && status == TTT_OK; p++) {
        ttt_sweep_point points[TTT_LIST_MOST];
        int count = 0;
        char title[256], layer[TTT_APP_LAYER], precision[TTT_BENCH_NAME] = "";
        c.precision = precisions[o->weights.values[p]];
        if (b->table.format == TTT_BENCH_MD && b->table.rows > 0) putchar('\n');
        for (int i = 0; i < o->sweep.count && status == TTT_OK; i++)
            status = run_context(b, c, o->sweep.values[i], limits, points, &count, precision);
        if (status != TTT_OK || !o->plot || count == 0) continue;
        snprintf(title, sizeof title, "%s, %s, %s, %d thread%s", b->table.model, ttt_app_title_of(c.config, layer),
                 precision, limits->threads, limits->threads == 1 ? "" : "s");
        status = ttt_sweep_plot(points, count, title, o->plot);
        if (status != TTT_OK) snprintf(b->sentence, sizeof b->sentence, "%s", ttt_error_detail());
    }
    return status;
}

/* ---- single operations ---- */

typedef struct op_printer {
    bench *b;
    const ttt_bench_case *c;
    const ttt_limits *limits;
} op_printer;

static void print_op(void *context, const ttt_bench_op *op)
{
    const op_printer *p = context;
    ttt_bench_print_op(&p->b->table, p->c, op, p->limits);
}

static ttt_status run_ops(bench *b, ttt_bench_case c, const ttt_limits *limits)
{
    enum { TOKENS = 1024 };
    c.tokens = TOKENS;
    op_printer printer = {b, &c, limits};
    return ttt_bench_ops(&c, print_op, &printer, b->sentence);
}

/* ---- all of them ---- */

static ttt_status run_config(bench *b, const ttt_config *config, const ttt_limits *limits)
{
    static const ttt_list no_depth = {{0}, 1};
    const options *o = b->o;
    ttt_bench_case c = {.folder = o->folder,
                        .config = config,
                        .backend = o->backend,
                        .threads = limits->threads,
                        .sequences = 1,
                        .repetitions = o->repetitions,
                        .warm_up = !o->no_warmup};
    if (o->ops) return run_ops(b, c, limits);
    if (o->sweep.count) return run_sweep(b, c, limits);
    ttt_status status = run_tests(b, c, &o->prompt, &o->depth, &o->weights, limits);
    c.test = TTT_BENCH_DECODE;
    if (status == TTT_OK) status = run_tests(b, c, &o->generated, &o->depth, &o->weights, limits);
    c.test = TTT_BENCH_TRAIN;
    c.sequences = o->batch;
    if (status == TTT_OK) status = run_tests(b, c, &o->train, &no_depth, &o->precisions, limits);
    return status;
}

static ttt_status run_model(bench *b, const char *layer, const ttt_limits *limits)
{
    ttt_config *config;
    ttt_status status = ttt_config_new(&config);
    if (status == TTT_OK) status = make_config(b->o, layer, config);
    if (status == TTT_OK)
        status = run_config(b, config, limits);
    else
        snprintf(b->sentence, sizeof b->sentence, "%s", ttt_error_detail());
    ttt_config_free(config);
    return status;
}

static int run_all(bench *b)
{
    const options *o = b->o;
    ttt_status status = TTT_OK;
    for (int t = 0; t < o->threads.count && status == TTT_OK; t++) {
        ttt_bench_bounds *bounds = &b->bounds[t];
        const int threads = (int)o->threads.values[t];
        status = ttt_bench_limits(&bounds->before, threads, b->sentence);
        for (int l = 0; l < o->layer_count && status == TTT_OK; l++)
            status = run_model(b, o->layers[l], &bounds->before);
        if (status != TTT_OK) break;
        char sentence[TTT_BENCH_SENTENCE]; /* another than that of a test that was refused */
        status = ttt_bench_limits(&bounds->after, threads, sentence);
        if (status != TTT_OK) memcpy(b->sentence, sentence, sizeof sentence);
        if (status == TTT_OK) b->limit_count++;
    }
    if (status == TTT_OK && b->refused > 0 && b->refused >= b->table.rows) status = TTT_ERR_UNSUPPORTED;
    if (status == TTT_OK || b->table.rows > 0) ttt_bench_print_end(&b->table, b->bounds, b->limit_count);
    if (status == TTT_OK) ttt_bench_warn(&b->table, b->bounds, b->limit_count);
    return status == TTT_OK ? 0 : ttt_app_fail("%s", b->sentence);
}

int ttt_cmd_bench(int argc, char **argv)
{
    static const struct argp argp = {
        .options = list,
        .parser = parse,
        .help_filter = ttt_app_help,
        .doc = "Measures tokens per second, arithmetic, memory traffic and peak memory, and holds them against what "
               "this machine can do at most, which it measures too. Every measurement is a process of its own."
               "\vExamples:\n"
               "  ttt bench -m model -p 512 -n 128\n"
               "  ttt bench --config 125m --train 1k --threads 1,2\n"
               "  ttt bench -m model --context-sweep 1k..64k --plot contexts.svg",
    };
    options o = {.repetitions = 5, .batch = 1, .settings = calloc((size_t)argc, sizeof *o.settings)};
    bench *b = calloc(1, sizeof *b);
    if (!o.settings || !b) {
        free(o.settings);
        free(b);
        return ttt_app_fail("out of memory");
    }
    ttt_app_parse(&argp, argc, argv, &o);
    b->o = &o;
    b->table = (ttt_bench_table){.format = o.format.count ? (ttt_bench_format)o.format.values[0] : TTT_BENCH_MD,
                                 .model = o.folder   ? o.folder
                                          : o.config ? o.config
                                                     : "tiny"};
    const int code = ttt_app_check_output(o.plot) ? TTT_APP_FAILED : run_all(b);
    free(b);
    free(o.settings);
    return code;
}
