/* SPDX-License-Identifier: MIT
 *
 * ttt bench as a user and a script meet it: every format holds every measurement, wrong lists are one sentence, what a
 * build does not have is said and stops nothing. Times are whatever they are.
 */
#include <jansson.h>

#include "cli.h"

#define BENCH                                                                                                          \
    "$TTT bench --config tiny --set hidden_size=32 --set num_attention_heads=2 --set num_hidden_layers=1 "             \
    "--set vocab_size=64 --set intermediate_size=32 -r 2 -t 1 "

/* The command fails with `code` and says one sentence, which contains `part`, on stderr. */
static void check_failure(int line, int code, const char *part, const char *command)
{
    const int got = cli_run("{ %s; } 2>&1 >stdout", command);
    const char *end = strchr(cli_output, '\n');
    const bool right = got == code && strstr(cli_output, part) && end && !end[1];
    if (!right)
        fprintf(stderr, "line %d: exit code %d, expected %d and one line with \"%s\":\n%s\n", line, got, code, part,
                cli_output);
    CHECK(right);
}
#define FAILS(code, part, command) check_failure(__LINE__, code, part, command)

static void check_record(const json_t *record, const char *test, const char *layer, int64_t tokens, int64_t depth)
{
    static const char *const positive[] = {"tokens_per_s",   "gflops",         "gb_per_s",        "fraction_of_limit",
                                           "peak_rss_bytes", "limit_gb_per_s", "limit_fma_gflops"};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++) {
        const double value = json_number_value(json_object_get(record, positive[i]));
        if (!(value > 0)) fprintf(stderr, "%s is %g\n", positive[i], value);
        CHECK(value > 0 && isfinite(value));
    }
    CHECK_STR(json_string_value(json_object_get(record, "test")), test);
    CHECK_STR(json_string_value(json_object_get(record, "layer")), layer);
    CHECK_STR(json_string_value(json_object_get(record, "weights")), "f32");
    CHECK_STR(json_string_value(json_object_get(record, "precision")), "f32");
    CHECK_EQ(json_integer_value(json_object_get(record, "threads")), 1);
    CHECK_EQ(json_integer_value(json_object_get(record, "tokens")), tokens);
    CHECK_EQ(json_integer_value(json_object_get(record, "depth")), depth);
    CHECK(json_is_real(json_object_get(record, "stddev")));
    CHECK(json_is_null(json_object_get(record, "error")));
    /* the mean is that of the samples */
    const json_t *samples = json_object_get(record, "samples");
    CHECK_EQ(json_array_size(samples), 2);
    const double a = json_real_value(json_array_get(samples, 0)), b = json_real_value(json_array_get(samples, 1));
    const double mean = json_real_value(json_object_get(record, "tokens_per_s"));
    CHECK_NEAR(mean, (a + b) / 2, 1e-5 * mean);
}

static void json(void)
{
    CHECK_EQ(cli_run("%s", BENCH "-o json --precision f32 --layer ttt_linear,ttt_mlp -p 8,20 -n 3 -d 0,5 --train 16 "
                                 ">list.json"),
             0);
    json_error_t error;
    json_t *list = json_load_file("list.json", 0, &error);
    CHECK(json_is_array(list));
    CHECK_EQ(json_array_size(list), 2 * (4 + 2 + 1));
    static const struct {
        const char *test;
        int64_t tokens, depth;
    } expected[] = {{"prefill", 8, 0}, {"prefill", 20, 0}, {"prefill", 8, 5}, {"prefill", 20, 5},
                    {"decode", 3, 0},  {"decode", 3, 5},   {"train", 16, 0}};
    for (size_t i = 0; i < json_array_size(list); i++)
        check_record(json_array_get(list, i), expected[i % 7].test, i < 7 ? "ttt_linear" : "ttt_mlp",
                     expected[i % 7].tokens, expected[i % 7].depth);
    json_decref(list);
}

static void other_formats(void)
{
    CHECK_EQ(cli_run("%s", BENCH "-o jsonl -p 8 -n 2 --no-warmup >lines"), 0);
    FILE *file = fopen("lines", "r");
    int lines = 0;
    for (json_t *record; file && (record = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(record))
        lines++;
    if (file) fclose(file);
    CHECK_EQ(lines, 2);
    CLI_SAYS(0, "2\n", "%s", BENCH "-o csv -p 8 -n 2 >table.csv && grep -c ,.tiny., table.csv");
    CLI_SAYS(0, "test,model,parameters,layer,weights,precision", "head -n 1 table.csv");
    CLI_SAYS(0, "1\n", "awk -F, '{print NF}' table.csv | sort -u | wc -l"); /* as many fields in every line */
    CLI_SAYS(0, "| ttt_linear | f32 ", "%s", BENCH "-p 8 -n 2 -d 4 --precision f32");
    CHECK(strstr(cli_output, "pp8 @ d4") && strstr(cli_output, "tg2 @ d4") && strstr(cli_output, " ± "));
    CHECK(strstr(cli_output, "limits of this machine, 1 thread, before: "));
    CHECK(strstr(cli_output, "limits of this machine, 1 thread, after: "));
    CLI_SAYS(0, "train16 x 3", "%s", BENCH "--train 16 --batch 3"); /* alone: neither -p nor -n */
    CHECK(!strstr(cli_output, "pp512") && !strstr(cli_output, "tg128"));
}

static void operations(void)
{
    CHECK_EQ(cli_run("%s", BENCH "--ops -o json --layer ttt_mlp >ops.json"), 0);
    json_t *list = json_load_file("ops.json", 0, NULL), *record;
    size_t i, learners = 0, products = 0, primal = 0;
    CHECK(json_array_size(list) > 30);
    json_array_foreach(list, i, record)
    {
        const char *name = json_string_value(json_object_get(record, "operation"));
        CHECK(name && json_real_value(json_object_get(record, "seconds")) > 0);
        CHECK(json_real_value(json_object_get(record, "gb_per_s")) > 0);
        CHECK(json_real_value(json_object_get(record, "fraction_of_limit")) > 0);
        learners += name && strstr(name, "learner_mlp.") != NULL;
        primal += json_real_value(json_object_get(record, "times_the_dual_form")) > 0;
        products += name && strncmp(name, "linear", 6) == 0;
    }
    CHECK_EQ(learners, 5);
    CHECK_EQ(primal, 1);
    CHECK(products >= 4 * 5); /* each shape in f32 at least */
    json_decref(list);
    CLI_SAYS(0, "| adamw ", "%s", BENCH "--ops");
    CHECK(strstr(cli_output, "| learner_linear.forward, primal ") && strstr(cli_output, " x the dual |"));
}

static void contexts(void)
{
    CLI_SAYS(0, "|      64 | f32 ", "%s", BENCH "--context-sweep 16..70 --precision f32 --plot sweep.svg");
    CHECK(strstr(cli_output, "|      16 |") && strstr(cli_output, "|      32 |") && !strstr(cli_output, "|     128 |"));
    CLI_SAYS(0, "</svg>", "cat sweep.svg");
    CHECK(strstr(cli_output, "prefill, time per token") && strstr(cli_output, "peak memory"));
    CLI_SAYS(0, "4\n", "%s", BENCH "--context-sweep 16..32 -o jsonl >lines; wc -l <lines");
}

static void refusals(void)
{
    FAILS(64, "--context-sweep is \"1k\": give FIRST..LAST", BENCH "--context-sweep 1k");
    FAILS(64, "give one of these", BENCH "--ops -p 8");
    FAILS(64, "give both", BENCH "--plot a.svg");
    FAILS(1, "nowhere/a.svg", BENCH "--context-sweep 1..1 --plot nowhere/a.svg >stdout");
    FAILS(64, "-p is \"4-2\": a range goes upwards", BENCH "-p 4-2");
    FAILS(64, "-t is \"two\"", BENCH "-t two");
    FAILS(64, "--precision is \"f16\": give auto, f32, bf16, q8 or q4", BENCH "--precision f16");
    FAILS(1, "\"mlp\", which does not exist; there are conv, ffn, ttt_linear", BENCH "--layer mlp");
    FAILS(64, "--layer: give at most 64", BENCH "--layer $(printf ,%.0s $(seq 64))");
    FAILS(64, "-o is \"xml\"", BENCH "-o xml");
    FAILS(64, "leave out --config", "$TTT bench -m model --config tiny");
    FAILS(64, "\"more\" is too much: the model is model", "$TTT bench model more");
    FAILS(1, "there is no standard configuration huge", "$TTT bench --config huge -t 1");
    FAILS(1, "cannot open nothing", "$TTT bench -m nothing -t 1");
    FAILS(1, "backend \"gpu\"", BENCH "--backend gpu");
    /* what cannot be computed in is said in its row, and the others are measured */
    CLI_SAYS(0, "not available: ", "%s", BENCH "--train 8 --precision q4,f32");
    CHECK(strstr(cli_output, " ± ") != NULL);
    CHECK_EQ(cli_run("%s", BENCH "--train 8 --precision q4 >/dev/null"), 1); /* when nothing can */
}

int main(void)
{
    cli_begin("bench");
    json();
    other_formats();
    operations();
    contexts();
    refusals();
    return test_end();
}
