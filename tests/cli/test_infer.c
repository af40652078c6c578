/* SPDX-License-Identifier: MIT
 *
 * ttt info, generate and eval as a user meets them: what goes to stdout and what to stderr, exit codes, bad input. The
 * model is a small one with its first weights.
 */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <ttt/data.h>
#include <ttt/train.h>

#include "cli.h"
#include "cli_model.h"
#include "small_config.h"

/* A model folder with the byte tokenizer. */
static void make_model(const char *folder, int64_t vocabulary)
{
    ttt_config config = small_config(vocabulary, 32, 4, 2);
    config.initializer_range = 0.2; /* so that what it says differs from place to place */
    config.use_gate = config.share_qk = config.pre_conv = true;
    cli_save_model(folder, &config, 0);
}

/* The command fails with `code` and says one sentence, which contains `part`, on stderr. */
static void check_failure(int line, int code, const char *part, const char *command)
{
    const int got = cli_run("{ %s; } 2>&1 >stdout", command);
    const char *end = strchr(cli_output, '\n');
    if (got != code || !strstr(cli_output, part) || !end || end[1])
        fprintf(stderr, "line %d: exit code %d, expected %d and one line with \"%s\":\n%s\n", line, got, code, part,
                cli_output);
    CHECK(got == code && strstr(cli_output, part) && end && !end[1]);
}
#define FAILS(code, part, command) check_failure(__LINE__, code, part, command)

/* Five digests, the same for any number of threads; one of a precision; none together with a golden file. */
static void test_digest(void)
{
    CLI_OK("$TTT verify -m model --digest --threads 1 >one && $TTT verify -m model --digest --threads 3 >three && "
           "cmp one three && grep -Ecx '(inference|training)  *cpu  *(any|amx)  *[a-z0-9]*  *[0-9a-f]{64}' one | grep "
           "-qx 5");
    CLI_SAYS(0, "training   ref   any   f32", "$TTT verify -m model --digest --backend ref");
    CLI_OK("$TTT generate -m model -p a -n 1 2>told && grep -c 'computing in bf16' told >lines; "
           "$TTT info --machine | grep -cE '^instructions *(avx512bf16|amx)' | cmp - lines"); /* auto is bf16 there, and
                                                                                                 says so */
    CLI_OK("$TTT generate -m model -p a -n 1 --precision bf16 2>told && ! grep 'computing in bf16' told");
    CLI_OK("grep bf16 one >bf16 && $TTT verify -m model --digest --precision bf16 | cmp - bf16");
    CLI_SAYS(0, "\"digests\"", "$TTT verify -m model --digest --json");
    CLI_OK("grep -v bf16 one >most && TTT_ISA=scalar $TTT verify -m model --digest | grep -v bf16 | cmp - most");
    FAILS(64, "needs no golden file", "$TTT verify -m model --digest -g model/model.safetensors");
    FAILS(1, "nosuch is not a model folder", "$TTT verify -m nosuch --digest");
}

/* A quantised folder computes as it is quantised, unless asked otherwise, and is no beginning of a training run. */
static void test_quantised(void)
{
    CLI_SAYS(0, "is it right?", "$TTT convert model q8 --weights q8");
    CLI_SAYS(0, "is it right?", "$TTT convert q8 q4 --weights q4");
    CLI_SAYS(0, "products in q8", "$TTT info -m q8");
    CLI_SAYS(0, "products in q4", "$TTT info -m q4 --backend ref");
    CLI_SAYS(0, "products in f32", "$TTT info -m q8 --precision f32");
    CLI_SAYS(0, "within their tolerance", "$TTT verify -m q8");
    CLI_SAYS(0, "within their tolerance", "$TTT verify -m q4");
    CLI_SAYS(0, "", "$TTT verify -m q4 --digest | grep -c training | grep -qx 0"); /* no weights to begin from */
    FAILS(1, "golden values are of weights that were not quantised",
          "$TTT verify -m q4 -g model/model.safetensors --precision q4");
    CLI_SAYS(0, "", "$TTT generate -m q4 -n 4 -p text");
    CLI_SAYS(0, "is it right?", "$TTT convert q8 floating --weights f32");
    CLI_SAYS(0, "products in bf16", "$TTT info -m floating --precision bf16");
    CLI_SAYS(64, "--weights is \"q5\"", "$TTT convert model q5 --weights q5");
    FAILS(1, "q8 is quantised to q8, too coarse to be trained on",
          "$TTT train -o tuned --init-from q8 --context 48 --batch 48 --steps 1 text");
}

static void test_program(void)
{
    CLI_SAYS(0, "generate", "$TTT --help");
    CLI_SAYS(0, "ttt ", "$TTT --version");
    CLI_SAYS(64, "Commands:", "$TTT");
    FAILS(64, "no command \"dance\"", "$TTT dance");
    CLI_SAYS(64, "there is no option --dance", "$TTT info --dance");
    static const char *const commands[] = {"info", "generate", "eval"};
    for (size_t i = 0; i < 3; i++) {
        char command[256];
        CLI_SAYS(0, "--model", "$TTT %s --help", commands[i]);
        snprintf(command, sizeof command, "$TTT %s", commands[i]);
        FAILS(64, "give -m MODEL", command);
        snprintf(command, sizeof command, "$TTT %s -m model --threads 0 text", commands[i]);
        FAILS(64, "--threads is \"0\"", command);
        /* A folder that is missing, a file where it belongs, an empty one. */
        snprintf(command, sizeof command, "$TTT %s -m nowhere %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "nowhere is not a model folder", command);
        snprintf(command, sizeof command, "$TTT %s -m text %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "text is not a model folder", command);
        snprintf(command, sizeof command, "$TTT %s -m empty %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "empty is no model folder, which holds config.json", command);
        snprintf(command, sizeof command, "$TTT %s -m model --backend abacus %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "backend \"abacus\"", command);
        snprintf(command, sizeof command, "$TTT %s -m model --precision f8 %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "precision \"f8\"", command);
        snprintf(command, sizeof command, "TTT_THREADS=x $TTT %s -m model %s", commands[i], i == 2 ? "text" : "");
        FAILS(1, "TTT_THREADS", command);
    }
    /* A model without its tokenizer, or with one that is too large, can be described but not used. */
    FAILS(1, "holds neither tokenizer.json", "$TTT generate -m bare");
    FAILS(1, "holds neither tokenizer.json", "$TTT eval -m bare text");
    FAILS(1, "257 ids, but the model's vocab_size is 100", "$TTT generate -m small");
    FAILS(1, "257 ids, but the model's vocab_size is 100", "$TTT eval -m small text");
    CLI_SAYS(0, "holds neither", "$TTT info -m bare");
    CLI_SAYS(0, "257 ids, but", "$TTT info -m small");
}

static void test_info(void)
{
    CLI_SAYS(0, "parameters    27944\n", "$TTT info -m model");
    CLI_SAYS(0, "state         12032 bytes a sequence, however long", "$TTT info -m model");
    CHECK(strstr(cli_output, "form          ttt\n") && strstr(cli_output, "FLOPs a token "));
    CLI_SAYS(0, "tokenizer     257 ids, any bytes, end-of-text is 0", "$TTT info -m model");
    CLI_SAYS(0, "backend       ref", "$TTT info -m model --backend ref");
    CLI_OK("printf '{\"step\":1,\"loss\":5}\\n{\"step\":2,\"loss\":4.25}\\n{\"step\":2,\"valid_loss\":4.5}\\n' "
           ">model/metrics.jsonl");
    CLI_SAYS(0, "2 steps, last loss 4.2500, held-out loss 4.5000", "$TTT info -m model");
    CLI_OK("rm model/metrics.jsonl");
    CLI_SAYS(0, "scalar: TTT_ISA says so", "TTT_ISA=scalar $TTT info --machine");
    CLI_SAYS(0, "the best this machine has", "env -u TTT_ISA $TTT info --machine");
    FAILS(1, "TTT_ISA=mmx: no such instruction set is known; unset it or choose from: scalar",
          "TTT_ISA=mmx $TTT info --machine");
    FAILS(1, "TTT_ISA=mmx", "TTT_ISA=mmx $TTT info -m model");
    FAILS(64, "too much", "$TTT info -m model text");
    FAILS(1, "cannot write to standard output", "$TTT info --machine >/dev/full");
}

static void test_generate(void)
{
    /* stdout is the text and nothing else; the same from every source, with any number of threads. */
    CLI_OK("$TTT generate -m model --precision f32 -p 'a prompt' -n 40 --verbose >one 2>figures"); /* 40 without an end
                                                                                                      of text */
    CLI_SAYS(0, "prompt eval time", "cat figures");
    CLI_SAYS(0, "/       8 tokens", "cat figures");
    CLI_SAYS(0, "/      40 runs", "cat figures");
    CLI_SAYS(0, "12032 bytes after 48 tokens", "cat figures");
    CLI_SAYS(0, "8 tokens read (", "$TTT generate -m model -p 'a prompt' -n 4 2>&1 >/dev/null | tee figures");
    CLI_SAYS(0, "4 written (", "cat figures");
    CLI_SAYS(0, "ended by the number of tokens asked for\n", "cat figures");
    if (cli_run("command -v script") == 0)
        CLI_OK("script -qec '\"$TTT\" generate -m model -p \"a prompt\" -n 0' /dev/null </dev/null | grep '^a prompt'");
    else
        SKIP("a prompt on a terminal: apt-get install bsdutils, for script");
    CLI_OK("test -s one");
    CLI_OK("printf 'a prompt' >prompt; $TTT generate -m model --precision f32 -f prompt -n 40 >two 2>/dev/null");
    CHECK(cli_same("one", "two"));
    CLI_OK("$TTT generate -m model --precision f32 - --max-new-tokens 40 --threads 1 <prompt >two 2>/dev/null");
    CHECK(cli_same("one", "two"));
    CLI_OK("echo 'a prompt' >prompt; $TTT generate -m model --precision f32 -f prompt -n 40 >two 2>/dev/null");
    CHECK(cli_same("one", "two")); /* the newline at the end is none of the prompt */
    CLI_OK("$TTT generate -m model --precision f32 - -n 40 <prompt >two 2>/dev/null");
    CHECK(cli_same("one", "two"));
    CLI_SAYS(0, "3 tokens read", "printf 'ab\\n\\n' | $TTT generate -m model - -n 1 2>&1 >/dev/null"); /* one */
    CLI_OK("$TTT generate -m model -p 'a prompt' -n 40 --seed 1 >two 2>/dev/null");
    CHECK(!cli_same("one", "two"));
    CLI_OK("$TTT generate -m model -p 'a prompt' -n 40 --temp 0 >one 2>/dev/null");
    CLI_OK("$TTT generate -m model -p 'a prompt' -n 40 --top-k 1 --seed 9 >two 2>/dev/null");
    CHECK(cli_same("one", "two"));
    CLI_OK("printf '{\"do_sample\": false, \"max_new_tokens\": 40}' >model/generation_config.json");
    CLI_OK("$TTT generate -m model -p 'a prompt' >two 2>/dev/null");
    CHECK(cli_same("one", "two"));
    FAILS(1, "generation_config.json: line 1",
          "printf '{' >model/generation_config.json; $TTT generate -m model; r=$?; rm model/generation_config.json; "
          "(exit $r)");

    CLI_OK("$TTT generate -m model >/dev/null"); /* no prompt: the beginning of a text */
    CLI_SAYS(0, "1 tokens read", "$TTT generate -m model -p '' -n 2 2>&1 >/dev/null");
    CLI_SAYS(0, "ended by a stop string",
             "for c in 0 1 2 3 4 5 6 7 8 9 a b c d e f g h i j k l m n o p q r s t u v w x y z; do set -- \"$@\" "
             "--stop $c; done; $TTT generate -m model -n -1 --temp 5 --top-p 1 \"$@\" 2>&1 >two");
    CLI_SAYS(1, "", "grep -q '[a-z0-9]' two");

    /* The prompt loop keeps the state: 4 + 3 + 5 + 3 tokens, the second prompt without its newline. */
    CLI_SAYS(0, "bytes after 15 tokens",
             "printf 'one\\nthree\\\\\\n' | $TTT generate -m model -i -n 3 --ignore-eos --verbose 2>&1 >/dev/null");
    CLI_SAYS(0, "0 tokens read", "$TTT generate -m model -i 2>&1 </dev/null");

    FAILS(64, "--seed is \"-1\"", "$TTT generate -m model --seed -1");
    FAILS(64, "--seed is \"18446744073709551616\"", "$TTT generate -m model --seed 18446744073709551616");
    CLI_OK("$TTT generate -m model -p 'a prompt' -n 40 --seed 18446744073709551615 >one 2>/dev/null");
    CLI_OK("$TTT generate -m model -p 'a prompt' -n 40 --seed 9223372036854775807 >two 2>/dev/null");
    CHECK(!cli_same("one", "two"));
    FAILS(64, "--top-p is \"0\"", "$TTT generate -m model --top-p 0");
    FAILS(64, "--temperature is \"-1\"", "$TTT generate -m model --temp -1");
    FAILS(64, "--temperature is \"nan\"", "$TTT generate -m model --temp nan");
    FAILS(64, "--top-k is \"many\"", "$TTT generate -m model --top-k many");
    FAILS(64, "--min-p is \"2\"", "$TTT generate -m model --min-p 2");
    FAILS(64, "--max-new-tokens is \"-2\"", "$TTT generate -m model -n -2");
    FAILS(64, "--repetition-penalty is \"0\"", "$TTT generate -m model --repetition-penalty 0");
    FAILS(64, "--presence-penalty is \"2.5\"", "$TTT generate -m model --presence-penalty 2.5");
    FAILS(64, "--frequency-penalty is \"-3\"", "$TTT generate -m model --frequency-penalty -3");
    FAILS(64, "--logit-bias is \"seven\"", "$TTT generate -m model --logit-bias seven");
    FAILS(64, "--logit-bias is \"7\"", "$TTT generate -m model -l 7");
    FAILS(64, "the number of --logit-bias is \"101\"", "$TTT generate -m model -l 7+101");
    FAILS(1, "logit_bias names id 1000000", "$TTT generate -m model -l 1000000-1");
    CLI_OK("$TTT generate -m model -p a -n 20 --temp 0 --ignore-eos -l 66+100 >one 2>/dev/null && "
           "printf AAAAAAAAAAAAAAAAAAAA | cmp - one");
    CLI_OK(
        "$TTT generate -m model -p a -n 20 --temp 0 --ignore-eos -l 66+90 -l 67+90 --presence-penalty 1 "
        "--frequency-penalty 1 >one 2>/dev/null && n=$(tr -cd A <one | wc -c) && [ $n -ge 5 ] && [ $n -le 15 ]"); /* without,
                                                                                                                     A
                                                                                                                     or
                                                                                                                     B
                                                                                                                     alone
                                                                                                                   */
    FAILS(64, "--stop is empty", "$TTT generate -m model --stop ''");
    FAILS(64, "one prompt", "$TTT generate -m model -p a -f prompt");
    FAILS(64, "\"prompt\" is too much", "$TTT generate -m model prompt");
    CLI_OK(
        "$TTT generate -m model -p a -n 5 >one 2>/dev/null && $TTT generate model -p a -n 5 2>/dev/null | cmp - one");
    CLI_SAYS(0, "bits per byte", "$TTT eval model text");
    CLI_OK("$TTT info -m model >one && $TTT info model | cmp - one && $TTT verify model >one");
    FAILS(64, "\"text\" is too much: the model is model", "$TTT info -m model text");
    FAILS(1, "cannot open nothing", "$TTT generate -m model -f nothing");
    FAILS(1, "Is a directory", "$TTT generate -m model -f empty");
    FAILS(1, "it is empty", "$TTT generate -m model -f /dev/null");
    FAILS(1, "standard input holds no text", "$TTT generate -m model - </dev/null");
    FAILS(1, "cannot write to standard output", "$TTT generate -m model -p a --ignore-eos >/dev/full");
}

/* Starts a command that writes on and on, waits for the first of it, and sends the signal. */
static int interrupted(const char *command, int signal)
{
    cli_write("started", "", 0);
    const pid_t child = cli_start(command);
    CHECK(cli_await(child, "started"));
    kill(child, signal);
    return cli_wait(child);
}

/* A signal ends a text also while it waits for a reader who does not read. */
static void test_slow_reader(void)
{
    CLI_OK("rm -f slow && mkfifo slow");
    const pid_t child = cli_start("$TTT generate -m model -n -1 --ignore-eos >slow");
    const int slow = open("slow", O_RDONLY);
    char text[4096];
    int waiting = 0, before = -1;
    (void)fcntl(slow, F_SETPIPE_SZ, sizeof text);
    for (int i = 0; i < 3000 && (waiting < 2048 || waiting != before); i++) { /* until no more comes */
        before = waiting;
        usleep(20000);
        if (ioctl(slow, FIONREAD, &waiting) != 0) break;
    }
    kill(child, SIGINT);
    siginfo_t ended = {0}; /* it ends by itself, or was just about to wait and does so now: then it is helped out */
    for (int i = 0; i < 200 && waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0; i++) {
        if (ended.si_pid == child) break;
        usleep(10000);
    }
    while (read(slow, text, sizeof text) > 0) continue;
    close(slow);
    CHECK_EQ(cli_wait(child), 130);
}

static void test_signals(void)
{
    test_slow_reader();
    CHECK_EQ(interrupted("$TTT generate -m model -p a -n -1 --ignore-eos", SIGINT), 130);
    CHECK_EQ(interrupted("$TTT generate -m model -p a -n -1 --ignore-eos", SIGTERM), 143);
    CHECK_EQ(interrupted("$TTT generate -m model -p a -n -1 --ignore-eos", SIGHUP), 129);

    /* An answer without end in a conversation: SIGINT ends the answer, and the next prompt is read, of which there is
     * none. SIGTERM ends the program. */
    CLI_OK("rm -f prompts && mkfifo prompts");
    for (int term = 0; term < 2; term++) {
        cli_write("started", "", 0);
        const pid_t child = cli_start("$TTT generate -m model -i -n -1 --ignore-eos --precision f32 <prompts");
        const int prompts = open("prompts", O_WRONLY);
        CHECK_EQ(write(prompts, "one\n", 4), 4);
        CHECK(cli_await(child, "started"));
        kill(child, term ? SIGTERM : SIGINT);
        if (!term) CHECK_EQ(close(prompts), 0);
        CHECK_EQ(cli_wait(child), term ? 143 : 0);
        if (term) close(prompts);
    }
}

/* Peak memory in KiB of a generation. */
static long memory_of(const char *tokens)
{
    char command[256];
    struct rusage usage;
    int status;
    snprintf(command, sizeof command,
             "env ASAN_OPTIONS=\"$ASAN_OPTIONS:quarantine_size_mb=0:thread_local_quarantine_size_kb=0\" $TTT generate "
             "-m model -p a --ignore-eos "
             "--repetition-penalty 1.1 -n %s",
             tokens);
    const pid_t child = cli_start(command);
    CHECK_EQ(wait4(child, &status, 0, &usage), child);
    CHECK_EQ(status, 0);
    return usage.ru_maxrss;
}

/* Memory does not grow with the text; what a sanitizer keeps of freed memory would, up to 256 MB. */
static void test_memory(void)
{
    const long few = memory_of("5000"), many = memory_of("20000");
    CHECK_NEAR(many, few, 1024);
}

static void test_eval(void)
{
    CLI_SAYS(0, "bits per byte", "$TTT eval -m model text");
    CLI_SAYS(0, "context 1999, stride 1999: 1 window, 1999 tokens scored", "$TTT eval -m model text");
    CLI_SAYS(0, "context 64, stride 16: 122 windows, 1951 tokens scored",
             "$TTT eval -m model text --context 64 --stride 16");
    CLI_SAYS(0, "\"context\":32,", "$TTT eval -m model text --context 32,64 --json >json && sed -n 1p json");
    CLI_SAYS(0, "\"context\":64,", "sed -n 2p json");
    CLI_SAYS(0, "\"tokens\":1999,\"bytes\":2000,\"bos\":false", "sed -n 2p json");
    CLI_SAYS(0, "\"learner\":\"frozen\"", "$TTT eval -m model text --frozen --json");
    CLI_SAYS(0, "gain", "$TTT eval -m model text --compare");
    /* What one wants to know is the last line, and positions are there for who asks. */
    CLI_SAYS(0, "bits per byte, perplexity ", "$TTT eval -m model text | tail -n 1");
    CLI_SAYS(0, ": learning at test time saves ", "$TTT eval -m model text --compare | tail -n 1");
    CLI_SAYS(0, "context 16: ", "$TTT eval -m model text --context 32,16 | tail -n 1");
    CLI_SAYS(1, "", "$TTT eval -m model text | grep position");
    CLI_SAYS(0, "                1         1    ", "$TTT eval -m model text --positions");
    /* Without --context the windows are those of training, or all of a text that is shorter. */
    CLI_OK("cp -r model short && sed -i 's/\"max_position_embeddings\": [0-9]*/\"max_position_embeddings\": 50/' "
           "short/config.json");
    CLI_SAYS(0, "in windows as in training", "$TTT eval -m short text");
    CHECK(strstr(cli_output, "context 50, stride 50: 40 windows"));
    CLI_SAYS(0, "context 1999, stride 1999: 1 window", "$TTT eval -m short text --context all");
    CLI_SAYS(0, "context 39, stride 39: 1 window", "head -c 40 text | $TTT eval -m short -");
    CLI_SAYS(0, "W_t-K", "$TTT eval -m model text --inner --compare --context 64 --csv c.csv --plot c.svg");
    CLI_OK("test -s c.svg && test -s c-inner.svg");
    CLI_SAYS(0, "64,gain,,1,1,32,", "grep gain c.csv");
    CLI_SAYS(0, "64,inner W_t,1,12,16,,", "grep inner c.csv");
    /* The same figures in both ways to name a text, from a folder, and on one thread. */
    CLI_OK("$TTT eval -m model text --json --context 50 | sed 's/,\"seconds\":[^,]*//' >one");
    CLI_OK("$TTT eval -m model - --json --context 50 --threads 1 <text | sed 's/,\"seconds\":[^,]*//' >two");
    CHECK(cli_same("one", "two"));
    CLI_OK("mkdir texts; cp text texts/only; $TTT eval -m model texts --json --context 50 | "
           "sed 's/,\"seconds\":[^,]*//' >two");
    CHECK(cli_same("one", "two"));

    /* Keys over those of config.json are as if they stood there, and of another model for states. */
    CLI_OK("$TTT eval -m model text --json --set ttt_keep=0.5 | sed 's/,\"seconds\":[^,]*//' >kept");
    CLI_OK("! $TTT eval -m model text --json | sed 's/,\"seconds\":[^,]*//' | cmp -s - kept");
    CLI_OK("rm -rf keep && cp -r model keep && sed 's/\"model_type\": \"ttt\"/\"model_type\": \"ttt_ext\", "
           "\"ttt_keep\": 0.5/' "
           "model/config.json >keep/config.json");
    CLI_OK("$TTT eval -m keep text --json | sed 's/,\"seconds\":[^,]*//;s/\"keep\"/\"model\"/' | cmp - kept");
    CLI_SAYS(0, "ttt_keep 0.5", "$TTT info keep");
    /* Begun anew every 64 tokens it reads as in windows, for whose first tokens it still has the convolutions' last. */
    CLI_OK("$TTT eval -m model text --json --set ttt_keep=0 --set ttt_keep_every=64 >anew");
    CLI_OK("$TTT state read -m model text -o kept.ttt --set ttt_keep=0.5 && $TTT state read -m model text -o all.ttt");
    CLI_OK("$TTT generate -m model --state kept.ttt -p a -n 3 --set ttt_keep=0.5");
    FAILS(1, "fingerprint", "$TTT generate -m model --state all.ttt -p a -n 3 --set ttt_keep=0.5");
    FAILS(1, "ttt_keep_every 24 is no multiple of mini_batch_size 16",
          "$TTT eval -m model text --set ttt_keep_every=24");
    FAILS(1, "ttt_keep is 2, but must be from 0 to 1", "$TTT eval -m model text --set ttt_keep=2");
    FAILS(1, "there is no key ttt_kept", "$TTT eval -m model text --set ttt_kept=1");
    FAILS(1, "tensor ", "$TTT eval -m model text --set intermediate_size=6");
    CLI_SAYS(64, "--set ttt_keep: not KEY=VALUE", "$TTT eval -m model text --set ttt_keep");
    FAILS(64, "give a text", "$TTT eval -m model");
    FAILS(64, "--context is \"0\"", "$TTT eval -m model text --context 0");
    FAILS(64, "--context is \"12x\"", "$TTT eval -m model text --context 64,12x");
    FAILS(64, "--stride needs --context", "$TTT eval -m model text --stride 5");
    FAILS(64, "--stride 65 is larger", "$TTT eval -m model text --stride 65 --context 64");
    FAILS(1, "shorter than the context", "$TTT eval -m model text --context 2000");
    FAILS(1, "it is empty", "$TTT eval -m model /dev/null");
    FAILS(1, "nothing", "$TTT eval -m model nothing");
    FAILS(1, "empty", "$TTT eval -m model empty");
    FAILS(1, "1 tokens, too few", "printf a >a; $TTT eval -m model a");
    /* That a file cannot be written is said before the work. */
    FAILS(1, "cannot write nowhere/c.csv: No such file", "$TTT eval -m model text --csv nowhere/c.csv");
    CLI_SAYS(0, "", "test ! -s stdout");
    FAILS(1, "cannot write nowhere/c.svg: No such file", "$TTT eval -m model text --plot nowhere/c.svg");
    FAILS(1, "cannot write texts: Is a directory", "$TTT eval -m model text --csv texts");
    FAILS(64, "--plot is \"c.png\": a chart is an SVG", "$TTT eval -m model text --plot c.png");
    FAILS(64, "--plot is \"c\": a chart is an SVG", "$TTT bench --context-sweep 1k..2k --plot c");
    CLI_SAYS(1, "", "test -e c.png");
    FAILS(1, "cannot write /dev/full", "$TTT eval -m model text --csv /dev/full");
}

/* Questions with several answers. Alone, 'ab' and its continuation have the loss that the whole text has. */
static void test_choices(void)
{
    CLI_OK(
        "printf '%%s\\n%%s\\n\\n%%s' '{\"question\": \"one two\", \"choices\": [\"three\", \"four five\"], \"answer\": "
        "1}' "
        "'{\"question\": \"\", \"choices\": [\"a\", \"b c d\", \"\\u00e4\"], \"answer\": \"a\"}' "
        "'{\"question\": \"end in a blank \", \"choices\": [\" both\", \"x\"], \"answer\": 0, \"more\": 1}' >q");
    CLI_SAYS(0, "3 questions with 7 choices, answered in ", "$TTT eval -m model --choices q");
    CHECK(strstr(cli_output, "; by chance 0.4444\n") && strstr(cli_output, "\nleast loss per byte "));
    CLI_SAYS(0, "\"questions\":3,\"choices\":7,\"chance\":0.44444444444444442,\"accuracy\":",
             "$TTT eval model --choices q --json --threads 1 | sed 's/,\"seconds\":[^}]*//' | tee one");
    CLI_OK("$TTT eval -m model --choices - --json <q | sed 's/,\"seconds\":[^}]*//' | cmp - one");
    CLI_SAYS(0, "\"frozen\":true", "$TTT eval -m model --choices q --json --frozen --no-bos --parse-special");
    /* Choices that are the same but for their length: the short one has the smaller loss, and which is right is the
     * only difference between two files. */
    CLI_OK("for right in 0 1; do printf '{\"question\": \"q\", \"choices\": [\"aaaaaaaaaaaaaaaaaaaa\", \"a\"], "
           "\"answer\": %%s}\\n' $right >q$right; done; cat q0 q1 q1 >q");
    CLI_SAYS(0, "least loss                0.0000    0.0000\n", "$TTT eval -m model --choices q0");
    CLI_SAYS(0, "least loss                1.0000    0.0000\n", "$TTT eval -m model --choices q1");
    CLI_SAYS(0, "least loss                0.6667    0.3333\n", "$TTT eval -m model --choices q");

    static const struct {
        const char *line, *says;
    } bad[] = {
        {"[]", "a JSON object is expected"},
        {"{", "line 2: "},
        {"{\"choices\": [\"a\", \"b\"], \"answer\": 0}", "\"question\" must be a string"},
        {"{\"question\": 1, \"choices\": [\"a\", \"b\"], \"answer\": 0}", "\"question\" must be a string"},
        {"{\"question\": \"a\", \"question\": \"b\"}", "duplicate object key"},
        {"{\"question\": \"q\", \"answer\": 0}", "a list of two or more strings"},
        {"{\"question\": \"q\", \"choices\": [\"a\"], \"answer\": 0}", "a list of two or more strings"},
        {"{\"question\": \"q\", \"choices\": [\"a\", 5], \"answer\": 0}", "must be strings, and none of them empty"},
        {"{\"question\": \"q\", \"choices\": [\"a\", \"\"], \"answer\": 0}", "must be strings, and none of them empty"},
        {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"]}", "\"answer\" must be the number"},
        {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"answer\": 2}", "\"answer\" is no number of a choice"},
        {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"answer\": -1}", "\"answer\" is no number of a choice"},
        {"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"answer\": \"c\"}", "\"answer\" is none of the choices"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char command[512];
        snprintf(command, sizeof command, "(cat q0; echo '%s') >bad; $TTT eval -m model --choices bad", bad[i].line);
        FAILS(1, bad[i].says, command);
        CHECK(strstr(cli_output, "bad, line 2: ") != NULL);
    }
    FAILS(1, "cannot open nothing", "$TTT eval -m model --choices nothing");
    FAILS(1, "blank holds no question", "printf '\\n  \\n' >blank; $TTT eval -m model --choices blank");
    FAILS(64, "--choices goes without a text", "$TTT eval -m model --choices q text");
    FAILS(64, "--choices goes without a text", "$TTT eval -m model --choices q --context 5");
    FAILS(64, "--choices goes without a text", "$TTT eval -m model --choices q --compare");
}

/* An evaluation that is interrupted says what it has: here the signal comes while the text does, whose windows are all
 * alike. */
static void test_eval_interrupted(void)
{
    char text[8000], whole[128] = "";
    memset(text, 'e', sizeof text);
    cli_write("alike", text, sizeof text);
    CLI_OK("$TTT eval -m model alike --context 16 | tail -n 1 | sed 's/, .*//'");
    snprintf(whole, sizeof whole, "interrupted; so far: %.*s, ", (int)strcspn(cli_output, "\n"), cli_output);
    CLI_OK("rm -f pipe && mkfifo pipe");
    const pid_t child = cli_start("$TTT eval -m model pipe --context 16");
    const int file = open("pipe", O_WRONLY);
    kill(child, SIGINT);
    CHECK_EQ(write(file, text, sizeof text), sizeof text);
    close(file);
    CHECK_EQ(cli_wait(child), 130);
    CHECK(strstr(cli_output, "stopping; again: at once"));
    CHECK(strstr(cli_output, whole));
}

/* A data folder stands for its held-out part; it must have been made with the model's tokenizer. */
static void test_data_folder(void)
{
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = (const char *const[]){"text"};
    options.text_count = 1;
    options.tokenizer = "byte";
    options.valid_fraction = 0.25;
    CHECK_OK(ttt_data_prepare("data", &options));
    CLI_SAYS(0, "\"tokens\":500,\"bytes\":500,", "$TTT eval -m model data --json"); /* end-of-text is the 501st token */
    options.tokenizer = "bpe:257";
    CHECK_OK(ttt_data_prepare("other", &options));
    FAILS(1, "another tokenizer", "$TTT eval -m model other");
}

int main(void)
{
    cli_begin("infer");
    static const char line[] = "Was it a car or a cat I saw? ";
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = line[i * i / 7 % (sizeof line - 1)];
    cli_write("text", text, sizeof text);
    make_model("model", 257);
    make_model("small", 100);
    make_model("bare", 257);
    CLI_OK("mkdir empty; rm bare/tokenizer.json");
    test_program();
    test_info();
    test_digest();
    test_quantised();
    test_generate();
    test_signals();
    test_memory();
    test_eval();
    test_choices();
    test_eval_interrupted();
    test_data_folder();
    return test_end();
}
