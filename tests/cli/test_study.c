/* SPDX-License-Identifier: MIT
 *
 * ttt study: two tiny models from nothing to a report; killed at random moments and with one process or two it comes to
 * the same bits; what a file may say wrongly; runs that diverge.
 */
#include "cli.h"

#define SIZE                                                                                                           \
    "\"set\": {\"hidden_size\": 32, \"num_attention_heads\": 2, \"intermediate_size\": 48, \"num_hidden_layers\": 2}"
#define DATA                                                                                                           \
    "\"data\": {\"train\": \"train.txt\", \"held_out\": 0.01, \"tokenizer\": \"byte\", "                               \
    "\"documents\": {\"test\": \"docs\"}}"
#define MODELS                                                                                                         \
    "\"models\": {\"TTT-Linear\": {\"layer\": \"ttt_linear\", " SIZE                                                   \
    ", \"paper\": 11.09}, \"Transformer <&>\": {\"layer\": \"attention\", " SIZE "}}"

static const char study[] =
    "{\"title\": \"Two models\", " DATA ", " MODELS ", \"unit_flops\": 1e9, \"evaluations\": {"
    "\"test\": {\"documents\": \"test\", \"tokens\": 1024, \"frozen\": true, \"inner\": true}, "
    "\"long\": {\"documents\": \"test\", \"tokens\": 1024, \"contexts\": [64, 512, 0]}, "
    "\"anew\": {\"documents\": \"test\", \"tokens\": 1024, \"contexts\": 0, "
    "\"set\": {\"ttt_keep\": 0, \"ttt_keep_every\": 64}}, "
    "\"speed\": {\"documents\": \"test\", \"contexts\": [32, 256], \"speed\": true}}, \"runs\": {"
    "\"sweep\": {\"models\": [\"Transformer <&>\", \"TTT-Linear\"], \"contexts\": 32, \"batch\": 256, \"tokens\": "
    "2560, \"rates\": [1e-3, 4e-3], \"seeds\": 1, "
    "\"evaluate\": \"test\"}, "
    "\"main\": {\"contexts\": 32, \"batch\": 256, \"tokens\": 7680, \"flops_of\": \"Transformer <&>\", "
    "\"rates\": {\"best_of\": \"sweep\", \"by\": \"test\"}, \"seeds\": [1, 2], "
    "\"evaluate\": [\"test\", \"long\", \"speed\"]}, "
    "\"tuned\": {\"models\": \"TTT-Linear\", \"contexts\": [64, 128], \"batch\": 256, \"tokens\": 2560, \"init_from\": "
    "\"main\", \"seeds\": 1, "
    "\"evaluate\": [\"test\", \"long\", \"anew\"]}}, "
    "\"claims\": [{\"claim\": \"one is better\", \"better\": \"TTT-Linear\", \"worse\": \"Transformer <&>\", "
    "\"runs\": \"main\", \"first\": 9}, {\"claim\": \"read as one, and begun anew\", \"better\": \"TTT-Linear\", "
    "\"evaluation\": \"anew\", \"than\": {\"evaluation\": \"long\", \"context\": 64}, \"runs\": \"tuned\", "
    "\"or_equal\": true}, {\"claim\": \"frozen is worse\", \"better\": \"TTT-Linear\", \"runs\": \"main\", "
    "\"evaluation\": \"test\", \"than\": {\"frozen\": true}}], \"headline\": {\"runs\": \"main\"}, "
    "\"scales\": {\"short\": {\"runs\": {\"main\": {\"seeds\": [1]}, \"tuned\": null}, \"claims\": []}}}";

static void write_study(const char *path, const char *text) { cli_write(path, text, strlen(text)); }

/* ---- from nothing to a report ---- */

static void test_report(void)
{
    CLI_SAYS(0, "units are done; to see them", "$TTT study run study.json -d one");
    CLI_SAYS(0, "page.html is written", "$TTT study report study.json -d one -o page.html --csv tables");
    static const char *const sections[] = {"What was claimed",      "The models",     "Perplexity and cost",
                                           "By position",           "Context length", "Read otherwise",
                                           "Learning at test time", "The inner loop", "Time and memory",
                                           "Learning rates",        "Every run"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) CLI_OK("grep -q '%s' page.html", sections[i]);
    CLI_SAYS(0, "Transformer &lt;&amp;&gt;", "grep -m 1 Transformer page.html"); /* no text breaks the page */
    CLI_SAYS(0, "0\n", "grep -v xmlns page.html | grep -cE '<script|https?:|<link|@import|url\\(' || true");
    CLI_SAYS(0, "0\n", "sed 's/xmlns=\"[^\"]*\"//g' page.html | grep -cE 'https?:|nan' || true");
    /* No chart of costs that are meant to be the same. */
    CLI_OK("grep -q 'Perplexity against parameters: main' page.html && ! grep -q 'against training: main' page.html");
    /* A model has one colour wherever it is one line: the sweep's chart, too, which has the second model first. */
    CLI_SAYS(0, "series1\n",
             "grep -B 1 '>Transformer &lt;&amp;></text>' page.html | grep -o 'series[0-9]' | sort -u | "
             "tee colours && test $(wc -l < colours) = 1");
    /* Begun anew where windows end, a layer reads as in windows, but for the tails of convolutions, which it has not.
     */
    CLI_SAYS(0, "holds", "grep -A 3 'read as one' page.html | grep -B 3 'not more than'");
    CLI_SAYS(0, "less than TTT-Linear, frozen", "grep -A 3 'frozen is worse' page.html");
    CLI_SAYS(0, "main: test", "grep -A 4 'frozen is worse' page.html");
    CLI_SAYS(0, "frozen is worse,main,", "cat tables/claims.csv");
    CLI_SAYS(0, "the whole document, ttt_keep=0, ttt_keep_every=64", "cat tables/windows.csv");
    CLI_SAYS(0, "10 ", "ls tables | wc -l | sed 's/$/ /'");
    /* A report needs results alone, no texts and no models. */
    CLI_OK("mkdir elsewhere && cp -r one/results one/timings study.json elsewhere && "
           "$TTT study report elsewhere/study.json -o other.html --csv others && cmp page.html other.html && "
           "diff -r tables others");
    CLI_SAYS(0, "all", "$TTT study run study.json -d one"); /* nothing is left to do */
    CLI_SAYS(0, "0 left", "$TTT study run study.json -d one --dry-run");
}

/* ---- the same bits ---- */

static void test_kills(void)
{
    enum { KILLS = 8 };
    unsigned seed = 7;
    int killed = 0;
    for (int i = 0; i < KILLS; i++) {
        seed = seed * 1103515245u + 12345u;
        const pid_t child = cli_start("ttt study run study.json -d killed --jobs 2");
        usleep(1000 * (50 + (seed >> 16) % 800));
        kill(child, SIGKILL);
        killed += cli_wait(child) == 128 + SIGKILL;
    }
    CHECK(killed > 0);
    CLI_OK("$TTT study run study.json -d killed && diff -r one/results killed/results");
    CLI_SAYS(0, "0\n", "ls killed/results | grep -vc json || true"); /* and nothing half-written */
}

static void test_jobs(void)
{
    /* Two machines with nothing in common do parts, which are put together. A part ends where it needs the other. */
    CLI_SAYS(0, "the same command goes on", "$TTT study run study.json -d half1 --shard 1/2");
    CLI_OK("$TTT study run study.json -d half2 --shard 2/2 --jobs 2");
    CLI_OK("mkdir both && cp -r half1/* both && cp -r half2/* both && $TTT study run study.json -d both && "
           "diff -r one/results both/results");
}

static void test_signal(void)
{
    const pid_t child = cli_start("ttt study run study.json -d stopped");
    usleep(400000);
    kill(child, SIGTERM);
    const int code = cli_wait(child);
    CHECK(code == 128 + SIGTERM || code == 0);
    CLI_OK("$TTT study run study.json -d stopped && diff -r one/results stopped/results");
}

/* What is gone is made again, whatever of it is left. */
static void test_losses(void)
{
    CLI_OK("cp -r one lost && rm -r lost/runs/[0-9a-f]* && rm $(ls lost/results/*.json | tail -n 5) && "
           "$TTT study run study.json -d lost && diff -r one/results lost/results");
    CLI_OK(
        "cp -r one bare && rm bare/results/* && $TTT study run study.json -d bare && diff -r one/results bare/results");
    CLI_SAYS(1, "is not what a study wrote",
             "cp -r one bad && echo '{' >bad/results/$(ls bad/results | head -n 1) && "
             "$TTT study run study.json -d bad");
    CLI_SAYS(1, "changed",
             "mkdir moved && cp -r study.json train.txt docs moved && cd moved && "
             "$TTT study run study.json --dry-run && echo more >>train.txt && $TTT study run study.json");
}

/* ---- runs that go wrong are results ---- */

static void test_divergence(void)
{
    write_study("wild.json",
                "{" DATA ", " MODELS ", \"evaluations\": {\"test\": {\"documents\": \"test\", \"tokens\": "
                "128}}, \"runs\": {\"main\": {\"models\": \"TTT-Linear\", \"contexts\": 32, \"batch\": 256, "
                "\"tokens\": 5120, \"rates\": [1e3, 1e-3], \"seeds\": 1}, \"then\": {\"models\": "
                "\"TTT-Linear\", \"contexts\": 32, \"batch\": 256, \"tokens\": 512, \"seeds\": 1, "
                "\"rates\": {\"best_of\": \"main\", \"by\": \"test\"}}}}");
    CLI_SAYS(0, "all", "$TTT study run wild.json -d wild");
    CLI_SAYS(0, "written", "$TTT study report wild.json -d wild -o wild.html");
    CLI_OK("! grep -q 'Context length' wild.html"); /* a section without results is not there */
}

/* ---- what a file says wrongly ---- */

#define RUNS "\"runs\": {\"main\": {\"contexts\": 32, \"batch\": 256, \"tokens\": 512, \"seeds\": 1}}"
#define EVAL "\"evaluations\": {\"test\": {\"documents\": \"test\"}}"

#define EVALS                                                                                                          \
    "\"evaluations\": {\"test\": {\"documents\": \"test\"}, \"short\": {\"documents\": \"test\", \"tokens\": 64}, "    \
    "\"speed\": {\"documents\": \"test\", \"contexts\": 32, \"speed\": true}}"

static void refuse(const char *text, const char *part)
{
    write_study("wrong.json", text);
    CLI_SAYS(1, part, "$TTT study run wrong.json -d wrong");
}

static void test_refusals(void)
{
    refuse("{", "it is not JSON at line 1");
    refuse("[]", "the study is a list: it must be an object");
    refuse("{\"format\": 2}", "the study is of format 2; this version knows 1");
    refuse("{" MODELS ", " RUNS ", " EVAL "}", "the study has no \"data\"");
    refuse("{" DATA ", " RUNS ", " EVAL "}", "the study has no models");
    refuse("{" DATA ", " MODELS ", " EVAL "}", "the study has no runs");
    refuse("{" DATA ", " MODELS ", " RUNS "}", "the study has no evaluations");
    refuse("{" DATA ", " MODELS ", " RUNS ", " EVAL ", \"rats\": 1}", "the key \"rats\", which means nothing there");
    refuse("{" DATA ", " MODELS ", " RUNS ", \"evaluations\": {\"test\": {\"documents\": \"tests\"}}}",
           "evaluations.test.documents is \"tests\", which is not in data.documents");
    refuse("{" DATA ", " MODELS ", " EVAL ", \"runs\": {\"main\": {\"contexts\": 0}}}",
           "runs.main.contexts is 0: give a whole number from 1");
    refuse("{" DATA ", " MODELS ", " EVAL ", \"runs\": {\"main\": {\"contexts\": \"a\"}}}",
           "runs.main.contexts is a string: it must be a whole number");
    refuse("{" DATA ", " MODELS ", " EVAL
           ", \"runs\": {\"main\": {\"contexts\": 96, \"batch\": 256, \"tokens\": 512, \"seeds\": 1}}}",
           "runs.main: batch 256 is not a multiple of the context 96");
    refuse("{" DATA ", " MODELS ", " EVAL ", \"runs\": {\"main\": {\"contexts\": 32, \"batch\": 256, \"seeds\": 1}}}",
           "runs.main: give tokens or flops");
    refuse("{" DATA ", " MODELS ", " EVAL
           ", \"runs\": {\"main\": {\"models\": \"GPT\", \"contexts\": 32, \"batch\": 256, "
           "\"tokens\": 512, \"seeds\": 1}}}",
           "runs.main.models names \"GPT\", but there is no such model");
    refuse("{" DATA ", " MODELS ", " EVAL ", \"runs\": {\"main\": {\"contexts\": 32, \"batch\": 256, \"tokens\": 512, "
           "\"seeds\": 1, \"rates\": {\"best_of\": \"main\", \"by\": \"test\"}}}}",
           "runs.main.rates.best_of names \"main\", but there is no such group of runs before it");
    refuse("{" DATA ", " RUNS ", " EVAL ", \"models\": {\"A\": {\"layer\": \"nosuch\"}}}",
           "A, context 32, seed 1 cannot be: ");
    refuse("{" DATA ", " RUNS ", " EVAL ", \"models\": {\"A\": {\"set\": {\"hidden_sise\": 32}}}}", "hidden_sise");
    refuse("{\"data\": {\"train\": \"nosuch.txt\"}, " MODELS ", " RUNS
           ", \"evaluations\": {\"test\": {\"documents\": \"test\"}}}",
           "not in data.documents");
    refuse("{\"data\": {\"train\": \"nosuch.txt\", \"documents\": {\"test\": \"docs\"}}, " MODELS ", " RUNS ", " EVAL
           "}",
           "nosuch.txt");
    refuse("{\"data\": {\"train\": \"train.txt\", \"documents\": {\"test\": \"nosuch\"}}, " MODELS ", " RUNS ", " EVAL
           "}",
           "cannot read the document ./nosuch");
#define CLAIM(text) "{" DATA ", " MODELS ", " EVALS ", " RUNS ", \"claims\": [{\"claim\": \"x\", " text "}]}"
    refuse(CLAIM("\"better\": \"TTT-Linear\""), "claims.0 needs better and worse, two models");
    refuse(CLAIM("\"better\": \"TTT-Linear\", \"than\": {\"evaluation\": \"speed\"}"),
           "claims.0 is about a loss, but speed measures speed");
    refuse(CLAIM("\"better\": \"TTT-Linear\", \"than\": {\"evaluation\": \"short\"}"),
           "claims.0: test and short are not of the same tokens, and cannot be paired");
    refuse(CLAIM("\"better\": \"TTT-Linear\", \"than\": {\"frozen\": true}"),
           "claims.0 is about a frozen learner, but test does not look at one");
    CLI_SAYS(1, "units: at most 1000000 are supported; raise unit_flops",
             "sed 's/\"tokens\": 7680/\"tokens\": 9e12/' study.json >many.json && $TTT study run many.json");
    CLI_SAYS(1, "there is no scale \"huge\"; there are short", "$TTT study run study.json --scale huge");
    CLI_SAYS(1, "cannot read it", "$TTT study run nosuch.json");
    CLI_SAYS(1, "has nothing of this study yet", "$TTT study report study.json -d empty -o none.html");
    CLI_SAYS(64, "there are run and report", "$TTT study walk study.json");
    CLI_SAYS(64, "give the page to write", "$TTT study report study.json");
    CLI_SAYS(64, "--shard is \"3\": give a whole number from 1 to 2", "$TTT study run study.json --shard 3/2");
    CLI_SAYS(64, "--shard is \"12\": give I/N", "$TTT study run study.json --shard 12");
}

/* The studies that come with the program are read, at each of their scales. */
static void test_own(void)
{
    CLI_OK("ls '%s'/studies/*.json >own && test -s own", TTT_SOURCE_DIR);
    CLI_SAYS(0, "good",
             "while read -r f; do for s in '' '--scale 125m'; do "
             "$TTT study report \"$f\" $s -d nowhere -o no.html 2>&1 | grep -q 'nothing of this study yet' || "
             "echo \"$f\" $s; done; done <own >unread; test ! -s unread && echo good; cat unread");
}

int main(void)
{
    cli_begin("study");
    test_own();
    cli_write_words("train.txt", 200000, 1);
    CLI_OK("mkdir docs");
    cli_write_words("docs/first.txt", 3000, 2);
    cli_write_words("docs/second.txt", 2600, 3);
    write_study("study.json", study);
    test_report();
    test_jobs();
    test_kills();
    test_signal();
    test_losses();
    test_divergence();
    test_refusals();
    CLI_OK("$TTT study run study.json --scale short -d short && $TTT study report study.json --scale short -d short -o "
           "s.html");
    return test_end();
}
