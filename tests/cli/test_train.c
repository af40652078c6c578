/* SPDX-License-Identifier: MIT
 *
 * ttt train as a user meets it: the folder it makes, resuming (bit for bit, after kills, with what contradicts), bad
 * input, signals, fine-tuning.
 */
#include <sys/resource.h>

#include "cli.h"

/* A model so small that an update takes a few milliseconds. */
#define SMALL                                                                                                          \
    "--set hidden_size=32 --set num_attention_heads=4 --set intermediate_size=48 "                                     \
    "--context 32 --tokenizer byte --eval-every 10 "
#define WIDTH SMALL "--batch 128 "
#define SIZE  WIDTH "--set num_hidden_layers=2 "
#define OPEN  SMALL "--set num_hidden_layers=2 "
#define TRAIN "$TTT train text.txt " SIZE
#define FLAGS                                                                                                          \
    "--set mini_batch_size=1 --set ttt_norm=false --set ttt_bias=false --set ttt_target=v --set ttt_rate=0.02 "

/* Without what depends on the clock, the two files of metrics are equal. */
static bool same_metrics(const char *a, const char *b)
{
    return cli_run("sed 's/, \"tokens_per_s\".*//' %s/metrics.jsonl >a.metrics && "
                   "sed 's/, \"tokens_per_s\".*//' %s/metrics.jsonl >b.metrics && cmp a.metrics b.metrics",
                   a, b) == 0;
}

static bool same_model(const char *a, const char *b)
{
    return cli_run("cmp %s/model.safetensors %s/model.safetensors && cmp %s/config.json %s/config.json", a, b, a, b) ==
           0;
}

static void test_folder(void)
{
    CLI_SAYS(0, "bits per byte", TRAIN "-o whole --steps 40 --save-every 7");
    static const char *const files[] = {"config.json",
                                        "model.safetensors",
                                        "tokenizer.json",
                                        "generation_config.json",
                                        "metrics.jsonl",
                                        "loss.svg",
                                        "checkpoint/data/data.json",
                                        "checkpoint/step-000000035.safetensors",
                                        "checkpoint/step-000000040.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) CLI_OK("test -s whole/%s", files[i]);
    CLI_SAYS(0, "2\n", "ls whole/checkpoint | grep -c step-");
    CLI_SAYS(0, "40\n", "grep -c '\"loss\"' whole/metrics.jsonl");
    CLI_SAYS(0, "4\n", "grep -c valid_loss whole/metrics.jsonl");
    CLI_SAYS(0, "40 steps", "$TTT info -m whole");
    CLI_SAYS(0, "", "$TTT generate -m whole -p 'the sea' -n 5");
    CLI_SAYS(0, "finished", TRAIN "-o whole --steps 40");
    CLI_SAYS(0, "finished", "$TTT train -o whole");
    /* The loss falls: three of the ten words are known after that many updates. */
    CLI_SAYS(0, "",
             "head -1 whole/metrics.jsonl | grep -q '\"loss\": 5\\.' && "
             "tail -2 whole/metrics.jsonl | grep -q '\"loss\": [0-3]\\.'");
}

static void test_same_bits(void)
{
    CLI_OK(TRAIN "-o threads --steps 40 --threads 1");
    CHECK(same_model("whole", "threads"));
    CHECK(same_metrics("whole", "threads"));
    static const char *const ways[] = {"--accumulate 2",         "--segment 12",
                                       "--layer ttt_mlp",        FLAGS,
                                       "--backbone transformer", "--schedule linear --seed 5 --lr 1e-3",
                                       "--backend ref",          "--config tiny"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        CLI_OK("rm -rf one two && " TRAIN "-o one --steps 12 --save-every 5 %s", ways[i]);
        CLI_OK("mkdir two && cp -r one/checkpoint two && rm two/checkpoint/step-000000012.safetensors && "
               "cp one/metrics.jsonl one/config.json two");
        CLI_SAYS(0, "goes on from step 10", TRAIN "-o two --steps 12 --threads 1 %s", ways[i]);
        CHECK(same_model("one", "two"));
        CHECK(same_metrics("one", "two"));
    }
}

/* Layers with flags, as info describes them. */
static void test_flags(void)
{
    CLI_OK(TRAIN "-o flags --steps 2 " FLAGS);
    CLI_SAYS(0, "every rate 0.02, rope_theta 10000, without norm, without biases, fitted to v\n", "$TTT info -m flags");
    CLI_SAYS(0, "inner loop    mini-batches of 1, ", "$TTT info -m flags");
    CLI_SAYS(1, "ttt_w0 \"zero\" is not supported with ttt_mlp", TRAIN "-o bad --layer ttt_mlp --set ttt_w0=zero");
}

/* A list of blocks, and the same run without it. */
static void test_layers(void)
{
    CLI_OK("$TTT train text.txt -o listed " WIDTH "--steps 3 --layers ttt_linear,conv+ttt_linear+ffn");
    CLI_OK(TRAIN "-o plain --steps 3");
    CHECK(same_model("listed", "plain"));
    CLI_SAYS(0, "finished", "$TTT train -o listed --layers 2*ttt_linear");
    CLI_SAYS(1, "layers is 2*ttt_linear+ffn, but", "$TTT train -o listed --layers 2*ttt_linear+ffn");
#define MIXED "$TTT train text.txt " WIDTH "--steps 12 --save-every 5 --layers ttt_linear,conv+ffn,ttt_mlp "
    CLI_OK(MIXED "-o mixed && cp -r mixed cut && rm cut/checkpoint/step-000000012.safetensors");
    CLI_SAYS(0, "goes on from step 10", MIXED "-o cut --threads 1");
    CHECK(same_model("mixed", "cut"));
    CLI_SAYS(0, "blocks        conv+ttt_linear+ffn,conv+ffn,conv+ttt_mlp+ffn", "$TTT info -m mixed");
    CLI_OK("rm -rf mixed8 && $TTT convert mixed mixed8 --weights q8 && $TTT generate -m mixed8 -p the -n 5 && "
           "grep -q ttt_ext mixed8/config.json");
    CLI_OK("$TTT train text.txt " WIDTH
           "--steps 2 -o retrained --init-from mixed && cmp retrained/config.json mixed/config.json");
}

/* A run goes on in its precision; in another one only if told to, and says so. */
static void test_precision(void)
{
    CLI_OK(TRAIN "-o rounded --steps 12 --save-every 5 --precision bf16");
    CLI_OK("rm rounded/checkpoint/step-000000012.safetensors && cp -r rounded other");
    CLI_OK(TRAIN "-o rounded --steps 12");
    CHECK(!strstr(cli_output, "same bits"));
    CLI_SAYS(0, "in bf16 with own products so far and goes on", TRAIN "-o other --steps 12 --precision f32");
    CHECK(!same_model("rounded", "other"));
    CLI_OK(TRAIN "-o own --steps 12 --save-every 5 --precision f32");
    CLI_OK("rm own/checkpoint/step-000000012.safetensors && " TRAIN "-o own --steps 12");
    CHECK(!strstr(cli_output, "same bits"));
    CLI_OK(TRAIN "-o slow --steps 12 --save-every 5 --precision f32 && "
                 "rm slow/checkpoint/step-000000012.safetensors && TTT_ISA=scalar " TRAIN "-o slow --steps 12");
    CHECK(!strstr(cli_output, "same bits")); /* another instruction set, but those they are */
    CHECK(same_model("own", "slow"));
}

/* Leaves belong to the run; passes that divide them do not. */
static void test_leaves(void)
{
    CLI_OK(TRAIN "-o tree --steps 3 --leaves 4 --accumulate 2 && " TRAIN
                 "-o tree4 --steps 3 --leaves 4 --accumulate 4");
    CHECK(same_model("tree", "tree4"));
    CLI_SAYS(1, "leaves is 2, but the run in this folder was begun with 4", TRAIN "-o tree --leaves 2");
    CLI_SAYS(1, "power of two", TRAIN "-o three --steps 3 --batch 96 --leaves 3");
}

/* Killed whenever a checkpoint appears, each start anew; tests/fault/test_kill.c kills at every place. */
static void test_kills(void)
{
    static const char command[] = TRAIN "-o killed --steps 40 --save-every 3";
    int kills = 0;
    for (int step = 3; step < 40; step += 3) {
        char path[64];
        snprintf(path, sizeof path, "killed/checkpoint/step-%09d.safetensors", step);
        const pid_t child = cli_start(command);
        cli_await(child, path);
        kill(child, SIGKILL);
        const int code = cli_wait(child);
        CHECK(code == 0 || code == 128 + SIGKILL);
        kills += code != 0;
    }
    CHECK(kills > 0);
    CLI_OK("%s", command);
    CHECK(same_model("whole", "killed"));
    CHECK(same_metrics("whole", "killed"));
    CLI_SAYS(1, "", "ls -R killed | grep -e tmp- -e partial -e new");
}

static void test_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        CLI_OK("rm -rf stopped");
        const pid_t child = cli_start(TRAIN "-o stopped --steps 4000");
        CHECK(cli_await(child, "stopped/metrics.jsonl"));
        kill(child, signals[i]);
        CHECK_EQ(cli_wait(child), 128 + signals[i]);
        CHECK(strstr(cli_output, "stopping after this update; again: at once"));
        CHECK(strstr(cli_output, "to go on: ttt train -o stopped"));
        CLI_OK("test -s stopped/model.safetensors");
        CLI_SAYS(1, "steps is 40, but the run in this folder was begun with 4000", TRAIN "-o stopped --steps 40");
    }
    /* A reader of what is said who has gone; and what nohup said before. */
    CLI_OK("rm -rf stopped; { " TRAIN "-o stopped --steps 4000 --eval-every 1; echo $? >code; } 2>&1 | head -n 1");
    CLI_SAYS(0, "141", "cat code && test -s stopped/model.safetensors");
    CLI_OK("rm -rf stopped");
    const pid_t child = cli_start("nohup " TRAIN "-o stopped --steps 4000 --save-every 100");
    CHECK(cli_await(child, "stopped/metrics.jsonl"));
    kill(child, SIGHUP);
    CHECK(cli_await(child, "stopped/checkpoint/step-000000100.safetensors"));
    kill(child, SIGTERM);
    CHECK_EQ(cli_wait(child), 128 + SIGTERM);
}

/* A run that is over goes on if its rate never came down; of another the sentence says what to do. */
static void test_longer(void)
{
    CLI_OK(TRAIN "-o flat --steps 4 --schedule constant --save-every 1000");
    CLI_SAYS(0, "ttt train -o flat --steps 8", "$TTT train -o flat");
    CLI_SAYS(0, "goes on from step 4", "$TTT train -o flat --steps 60");
    CLI_OK("grep '\"step\": 5, \"tokens\"' flat/metrics.jsonl | grep -q '\"lr\": 0.003,'"); /* not warmed up again */
    CLI_SAYS(0, "all 60 steps are taken", "$TTT train -o flat");
    CLI_SAYS(1, "it took 60 steps. To train its model further: ttt train TEXT -o NEW --init-from flat --steps 30",
             "$TTT train -o flat --steps 30");
    CLI_SAYS(0, "ttt train TEXT -o NEW --init-from whole", "$TTT train -o whole");
    CLI_SAYS(1,
             "it took 40 steps, and its rate has come down. To train its model further: ttt train TEXT -o NEW "
             "--init-from whole --steps 80",
             "$TTT train -o whole --steps 80");
    CLI_SAYS(1, "epochs is 3, but this run is finished", "$TTT train -o whole --epochs 3");
}

/* A text of which an epoch would teach nothing. */
static void test_short(void)
{
    CLI_SAYS(0,
             "the text of 160 tokens is gone through 4.8 times, in 6 updates of 128 tokens at a peak rate of 0.003 (",
             "head -c 200 text.txt >short.txt && $TTT train short.txt -o short " SIZE);
    CLI_SAYS(0, "--epochs and --minutes say otherwise)", "$TTT train short.txt -o short --force " SIZE);
    CLI_SAYS(0, "steps             1\n", "$TTT train short.txt --dry-run --epochs 1 " SIZE);
    /* Nobody says what an update is. */
    CLI_SAYS(0, "in 25 updates of 32 tokens at a peak rate of 0.00106: so short a run learns most from small updates",
             "$TTT train short.txt -o shorter --force " OPEN);
    CHECK(strstr(cli_output, "(--epochs, --batch and --lr say otherwise)") && strstr(cli_output, "step 25/25 "));
    CLI_SAYS(0, "step 1/1 ", "$TTT train short.txt -o shorter --force --steps 1 " OPEN);
    CHECK(strstr(cli_output, "updates of 2048 tokens") && !strstr(cli_output, "say otherwise"));
}

/* An evaluation on the way is a tenth of the time of the updates before it, also where these are single sequences. */
static void test_evaluations(void)
{
    CLI_OK("$TTT train text.txt -o watched " OPEN "--valid 0.2 --batch 32 --steps 51 --eval-every 50 && "
           "grep -q '\"step\": 50, \"valid_loss\".*\"valid_tokens\": 480[.}]' watched/metrics.jsonl || "
           "{ grep valid_tokens watched/metrics.jsonl; false; }");
}

static void test_contradictions(void)
{
    CLI_OK(TRAIN "-o run --steps 10 --save-every 4 && rm run/checkpoint/step-000000010.safetensors");
    static const struct {
        const char *options, *sentence;
    } cases[] = {{"--context 64", "context is 64, but"},
                 {"--batch 256", "batch is 256, but"},
                 {"--accumulate 2", "accumulate is 2, but"},
                 {"--segment 8", "segment is 8, but"},
                 {"--steps 11", "steps is 11, but"},
                 {"--epochs 2", "epochs is 2, but"},
                 {"--minutes 2", "minutes is 2, but"},
                 {"--lr 0.5", "lr is 0.5, but"},
                 {"--seed 7", "seed is 7, but"},
                 {"--schedule constant", "schedule is constant, but"},
                 {"--config small", "is 384, but"},
                 {"--layer ttt_mlp", "ttt_layer_type is mlp, but"},
                 {"--backbone transformer", "use_gate is false, but"},
                 {"--layers 3*ttt_linear", "layers is 3*conv+ttt_linear+ffn, but"},
                 {"--set hidden_size=64", "hidden_size is 64, but"},
                 {"--set vocab_size=300", "vocab_size is 300, but"},
                 {"--tokenizer bpe:300", "tokenizer is bpe:300, but"},
                 {"--valid 0.5", "valid is 0.5, but"},
                 {"--parse-special", "parse-special is true, but"},
                 {"--init-from whole", "init-from is whole, but"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CLI_SAYS(1, cases[i].sentence, "$TTT train -o run %s", cases[i].options);
    CLI_SAYS(1, "tokenizer", "$TTT train text.txt -o run --tokenizer bpe:300");
    CLI_SAYS(1, "valid", "$TTT train text.txt -o run --tokenizer byte --valid 0.5");
    CLI_SAYS(1, "other.txt", "$TTT train text.txt other.txt -o run");
    CLI_SAYS(1, "other.txt", "$TTT train other.txt -o run");
    CLI_OK("cp text.txt moved.txt && printf x >>text.txt");
    CLI_SAYS(1, "text.txt changed", "$TTT train text.txt -o run");
    CLI_OK("mv moved.txt text.txt");
    CLI_OK("$TTT train -o run --eval-every 3 --save-every 2 --backend ref --threads 1");
    CHECK(strstr(cli_output, "not promised"));
    CHECK(strstr(cli_output, "goes on from step 8"));
}

static void test_damage(void)
{
    CLI_OK("rm -rf damaged && cp -r whole damaged && truncate -s -5 damaged/checkpoint/step-000000040.safetensors");
    CLI_SAYS(0, "warning: damaged/checkpoint/step-000000040.safetensors", TRAIN "-o damaged");
    CHECK(strstr(cli_output, "goes on from step 35"));
    CHECK(same_model("whole", "damaged"));
    CHECK(same_metrics("whole", "damaged"));
    CLI_OK("rm -rf damaged && cp -r whole damaged && printf x | "
           "dd of=damaged/checkpoint/step-000000040.safetensors bs=1 seek=100000 conv=notrunc");
    CLI_SAYS(0, "its hash is not that of its content; going on", TRAIN "-o damaged");
    CHECK(same_model("whole", "damaged"));
    CLI_OK("rm -rf damaged && cp -r whole damaged && truncate -s 1000 damaged/checkpoint/step-*");
    CLI_SAYS(1, "damaged/checkpoint/step-000000035.safetensors", TRAIN "-o damaged");
    CLI_OK("rm -rf damaged && cp -r whole damaged && printf x | "
           "dd of=damaged/checkpoint/data/train.tokens bs=1 seek=1000 conv=notrunc");
    CLI_SAYS(1, "train.tokens", "$TTT train -o damaged");
}

static void test_foreign(void)
{
    CLI_OK("mkdir foreign && echo mine >foreign/notes.txt && echo '{}' >foreign/config.json");
    CLI_SAYS(1, "foreign holds notes.txt, but no checkpoint", TRAIN "-o foreign --steps 2");
    CLI_SAYS(0, "", "test ! -e foreign/checkpoint");
    CLI_OK(TRAIN "-o foreign --steps 2 --force");
    CLI_OK("grep -q mine foreign/notes.txt");
    CLI_OK("mkdir model && cp whole/*.* model");
    CLI_SAYS(1, "model holds model.safetensors, but no checkpoint", TRAIN "-o model --steps 2");
    CLI_SAYS(1, "missing.txt", "$TTT train missing.txt -o foreign --force " SIZE);
    CLI_SAYS(0, "finished", "$TTT train -o foreign"); /* what fails has not destroyed what was there */
    CLI_SAYS(0, "", TRAIN "-o foreign --steps 3 --force");
    CLI_SAYS(0, "1\n", "ls foreign/checkpoint | grep -c step-");
    CLI_SAYS(1, "holds no run to go on with", "$TTT train -o nothing");
    CLI_SAYS(0, "", "test ! -e nothing");
    /* Killed before the first checkpoint: begins anew. */
    CLI_OK("mkdir -p young/checkpoint/data && echo '{\"step\": 1}' >young/metrics.jsonl && "
           "echo half >young/checkpoint/step-000000001.safetensors.tmp-77");
    CLI_OK(TRAIN "-o young --steps 2");
    CLI_SAYS(0, "3\n", "cat young/metrics.jsonl | wc -l");
}

static void test_bad_input(void)
{
    static const struct {
        int code;
        const char *options, *sentence;
    } cases[] = {
        {64, "text.txt", "give the folder"},
        {64, "text.txt -o bad --context 0", "--context is \"0\""},
        {64, "text.txt -o bad --context x", "--context is \"x\""},
        {64, "text.txt -o bad --batch -1", "--batch is \"-1\""},
        {64, "text.txt -o bad --accumulate 0", "--accumulate is \"0\""},
        {64, "text.txt -o bad --segment -2", "--segment is \"-2\""},
        {64, "text.txt -o bad --steps 0", "--steps is \"0\""},
        {64, "text.txt -o bad --epochs 0", "--epochs is \"0\""},
        {64, "text.txt -o bad --minutes nan", "--minutes is \"nan\""},
        {64, "text.txt -o bad --lr -1", "--lr is \"-1\""},
        {64, "text.txt -o bad --seed 99999999999999999999", "--seed is"},
        {64, "text.txt -o bad --threads 0", "--threads is \"0\""},
        {64, "text.txt -o bad --steps 2 --epochs 2", "give one of them"},
        {64, "text.txt -o bad --set hidden_size", "give KEY=VALUE"},
        {1, "text.txt -o bad --set hidden_width=3", "hidden_width"},
        {1, "text.txt -o bad --set hidden_size=33", "hidden_size"},
        {1, "text.txt -o bad --config huge", "no standard configuration huge"},
        {1, "text.txt -o bad --layer lstm", "the part \"lstm\", which does not exist"},
        {1, "text.txt -o bad --layer ttt_mlp,ttt_linear", "is not one name"},
        {1, "text.txt -o bad --layers 2*ttt_mlp,lstm", "block 2 of layers has the part \"lstm\""},
        {1, "text.txt -o bad --layers 2*ttt_mlp,", "block 2 of layers is \"\""},
        {1, "text.txt -o bad --layers ttt_mlp --layer ttt_mlp", "leave out layer"},
        {1, "text.txt -o bad --layers ttt_mlp --set pre_conv=false", "leave out pre_conv"},
        {1, "text.txt -o bad --layers ttt_mlp --set num_hidden_layers=1", "leave out num_hidden_layers"},
        {1, "text.txt -o bad --backbone rnn", "no backbone \"rnn\""},
        {1, "text.txt -o bad --schedule step", "no schedule \"step\""},
        {1, "text.txt -o bad --precision f8", "precision \"f8\""},
        {1, "text.txt -o bad --backend cuda", "not part of this build"},
        {1, "text.txt -o bad --tokenizer bpe:100", "bpe:N needs a vocabulary N"},
        {1, "text.txt -o bad --tokenizer none.json", "none.json"},
        {1, "text.txt -o bad --tokenizer byte --set vocab_size=100", "the model's vocab_size is only 100"},
        {1, "text.txt -o bad --tokenizer byte --valid 1", "held-out fraction is 1"},
        {1, "text.txt -o bad --tokenizer byte --valid none.txt", "none.txt"},
        {1, "text.txt -o bad --batch 100", "is not a multiple of context 256"},
        {1, "text.txt -o bad --context 64 --batch 128 --accumulate 3", "is not a multiple of context 64 times "},
        {1, "text.txt -o bad --tokenizer byte --context 100000", "shorter than one sequence"},
        {1, "text.txt -o bad --init-from none", "cannot open none"},
        {1, "text.txt -o bad --init-from whole --config tiny", "give no other"},
        {1, "empty.txt -o bad --tokenizer byte", "empty.txt holds no text"},
        {1, "missing.txt -o bad", "missing.txt"},
        {1, "latin.txt -o bad --tokenizer '" TTT_SOURCE_DIR "/tests/unit/tokenizers/llama.json'",
         "latin.txt: invalid UTF-8 at byte 3"},
        {1, "text.txt -o text.txt", "a file has this name"},
        {1, "text.txt -o /proc/none --tokenizer byte", "/proc/none"}};
    cli_write("empty.txt", "", 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLI_SAYS(cases[i].code, cases[i].sentence, "$TTT train %s", cases[i].options);
        CHECK(access("bad", F_OK) != 0);
    }
}

static void test_nan(void)
{
    CLI_SAYS(1, "update", TRAIN "-o nan --steps 300 --lr 1e30 --save-every 1");
    CHECK(strstr(cli_output, "the checkpoint of step"));
    CHECK(strstr(cli_output, "is untouched"));
    CLI_OK("$TTT info -m nan");
}

static void test_full_disk(void)
{
    /* A file size limit is a disk that fills: the write of a checkpoint, some 350 kB, stops halfway. */
    CLI_OK(TRAIN "-o full --steps 12 --save-every 4 && "
                 "rm full/checkpoint/step-000000012.safetensors && cp full/checkpoint/step-000000008.safetensors kept");
    CLI_SAYS(1, "the checkpoint of step 8 is untouched",
             "(trap '' XFSZ; ulimit -f 500; " TRAIN "-o full --save-every 1)");
    CHECK(strstr(cli_output, "step-000000009.safetensors"));
    CHECK(cli_same("kept", "full/checkpoint/step-000000008.safetensors"));
    CLI_OK(TRAIN "-o full && rm -rf one && " TRAIN "-o one --steps 12");
    CHECK(same_model("full", "one"));
}

static void test_inputs(void)
{
    CLI_OK("mkdir texts && cp text.txt texts/a.txt && zstd -q text.txt -o texts/b.zst && "
           "echo '{\"text\": \"one document\"}' >texts/c.jsonl");
    CLI_OK("$TTT train texts -o folder --steps 3 " SIZE);
    CLI_OK("cat text.txt | $TTT train - -o stream --steps 40 " SIZE);
    CHECK(same_model("whole", "stream"));
    CLI_SAYS(0, "finished", "cat text.txt | $TTT train - -o stream --steps 40 " SIZE);
    CLI_OK("$TTT prepare text.txt -o data --tokenizer byte");
    CLI_SAYS(1, "is prepared data", "$TTT train data -o prepared --steps 40 " SIZE);
    CLI_OK("$TTT train data -o prepared --steps 40 --context 32 --batch 128 --set hidden_size=32 "
           "--set num_hidden_layers=2 --set num_attention_heads=4 --set intermediate_size=48");
    CHECK(same_model("whole", "prepared"));
    CLI_OK("$TTT train latin.txt -o raw --steps 1 " SIZE "--context 4 --batch 4 --valid 0"); /* bytes are bytes */
    CLI_OK("rm -r data && $TTT prepare other.txt -o data --tokenizer byte");
    CLI_SAYS(1, "data/train.tokens is not what the run was begun with", "$TTT train data -o prepared");
    CLI_OK("$TTT train text.txt -o bpe --steps 3 " SIZE "--tokenizer bpe:300 --valid other.txt && "
           "grep -q '\"vocab_size\": [23]' bpe/config.json");
}

static void test_fine_tuning(void)
{
    CLI_OK("$TTT train other.txt -o tuned --init-from whole --context 48 --batch 96 --steps 3");
    CLI_OK("grep -q '\"max_position_embeddings\": 48' tuned/config.json && cmp tuned/tokenizer.json "
           "whole/tokenizer.json");
    CLI_OK("head -1 tuned/metrics.jsonl | grep -q '\"loss\": [0-3]\\.'");
    CLI_SAYS(1, "", "$TTT train other.txt -o bad --init-from whole --set num_hidden_layers=3 --steps 3");
    CHECK(access("bad", F_OK) != 0);
    /* Over itself: what it begins with is read before it is replaced. */
    CLI_OK("$TTT train other.txt -o tuned --init-from tuned --force --steps 2");
    /* Keys that this version does not know come along from a file. */
    CLI_OK("sed 's/{/{ \"colour\": \"red\",/' whole/config.json >colour.json && $TTT train text.txt -o colour --config "
           "colour.json --tokenizer byte --steps 3 --batch 128 && grep -q red colour/config.json");
}

static void test_minutes(void)
{
    CLI_SAYS(0, "", TRAIN "-o timed --minutes 0.02 --save-every 1000000");
    CLI_SAYS(0, "finished", TRAIN "-o timed --minutes 0.02");
    CLI_SAYS(1, "minutes is 3, but", "$TTT train -o timed --minutes 3");
    CLI_SAYS(0, "0.01 minutes at ", "$TTT train text.txt -o clocked --minutes 0.01 " OPEN);
    CHECK(strstr(cli_output, " million tokens, read in updates of "));
    /* One update, however little time there is; and no update begins when there is none left. */
    CLI_SAYS(0, "step 1/1 ", TRAIN "-o brief --minutes 0.00001");
}

/* The memory that --dry-run tells is what a run then takes. */
static void test_dry_memory(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    SKIP("memory of a run: sanitizers have memory of their own");
    return;
#endif
    enum { BESIDE = 8192 }; /* KiB: the text, and what is read and written */
    struct rusage usage;
    int status;
    CLI_OK("$TTT train text.txt " SIZE "-o dry --steps 2 --dry-run");
    const char *told = strstr(cli_output, "\nmemory ");
    const double most = told ? 1e6 / 1024 * strtod(told + strlen("\nmemory "), NULL) : 0;
    const pid_t child = cli_start("$TTT train text.txt " SIZE "-o dry --steps 2");
    CHECK_EQ(wait4(child, &status, 0, &usage), child);
    CHECK_EQ(status, 0);
    CHECK((double)usage.ru_maxrss > most / 2 && (double)usage.ru_maxrss < most + BESIDE);
    CLI_OK("rm -r dry");
}

static void test_dry(void)
{
    if (!test_small()) test_dry_memory(); /* valgrind's is another */
    CLI_SAYS(0, "4304208", "$TTT train --dry-run text.txt --tokenizer bpe:4096 --steps 100");
    CHECK(strstr(cli_output, "memory"));
    CHECK(strstr(cli_output, "FLOPs per token   2.674e+07 in training, 8.913e+06 in decoding at 256 tokens, the same"));
    CHECK(strstr(cli_output, "time"));
    CLI_OK("$TTT train --dry-run text.txt --tokenizer byte -o dry");
    CHECK(access("dry", F_OK) != 0);
    static const char *const batches[] = {"400000000", "878921598", "2147418112"}; /* sums that wrap at 2^64 bytes */
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        CLI_SAYS(1, "more bytes than 64 bits count",
                 "$TTT train --dry-run text.txt -o dry -t byte --set hidden_size=2 --set num_attention_heads=1 "
                 "--set intermediate_size=16777216 --set num_hidden_layers=1024 --context 1 --accumulate 1 --batch %s",
                 batches[i]);
}

static void test_recompute(void)
{
    CLI_OK(TRAIN "-o recomputed --steps 40 --recompute --segment 10");
    CLI_OK(TRAIN "-o segmented --steps 40 --segment 10");
    CHECK(same_model("segmented", "recomputed"));
}

static void test_profile(void)
{
    CLI_SAYS(0, "linear_backward_weight", TRAIN "-o profiled --steps 40 --profile");
    CHECK(strstr(cli_output, "GFLOP/s") && strstr(cli_output, "between operations"));
    CHECK(same_model("whole", "profiled"));
    CLI_OK(TRAIN "-o plain --steps 3");
    CHECK(!strstr(cli_output, "GFLOP/s"));
}

static void test_lock(void)
{
    const pid_t child = cli_start(TRAIN "-o busy --steps 4000 >/dev/null 2>&1"); /* both would write to one file */
    CHECK(cli_await(child, "busy/metrics.jsonl"));
    kill(child, SIGSTOP); /* not done before it was asked for in vain */
    char holder[100];
    snprintf(holder, sizeof holder, "another training works in busy (process %ld on ", (long)child);
    CLI_SAYS(1, holder, TRAIN "-o busy --steps 4000");
    CHECK(strstr(cli_output, " since 20") && strstr(cli_output, " UTC): wait for its end"));
    CLI_SAYS(1, holder, TRAIN "-o busy --steps 4000 --force");
    cli_write("busy/checkpoint/lock", "\x1b[31mred\n", 9); /* words of whoever wrote them */
    CLI_SAYS(1, "works in busy (?[31mred): wait", TRAIN "-o busy --steps 4000");
    CLI_SAYS(1, "works in busy: wait", "rm busy/checkpoint/lock; " TRAIN "-o busy --steps 4000");
    kill(child, SIGKILL);
    CHECK_EQ(cli_wait(child), 128 + SIGKILL);
    CLI_OK("mkdir -p left/checkpoint && echo 'process 1' >left/checkpoint/lock"); /* who is dead holds nothing */
    CLI_OK(TRAIN "-o left --steps 4 && ! test -e left/checkpoint/lock");
    CLI_OK(TRAIN "-o lockless --steps 4 && ! test -e lockless/checkpoint/lock");
}

/* A reader that leaves early ends the program quietly: by its own choice or SIGPIPE, never by a crash. */
static void test_readers_that_leave(void)
{
    static const char *const commands[] = {
        "info -m whole", "info -m whole --machine",    "train --usage",
        "train --help",  "tokenize -t whole text.txt", "generate -m whole -p a -n 200 --ignore-eos"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        CLI_SAYS(0, "",
                 "{ $TTT %s 2>&1; echo $? >code; } | true; read code <code; "
                 "test $code = 0 -o $code = 1 -o $code = 64 -o $code = 141",
                 commands[i]);
}

int main(void)
{
    cli_begin("train");
    cli_write_words("text.txt", 6000, 1);
    cli_write_words("other.txt", 3000, 2);
    cli_write("latin.txt", "caf\xe9 caf\xe9", 9);
    test_folder();
    test_same_bits();
    test_flags();
    test_layers();
    test_precision();
    test_leaves();
    test_kills();
    test_signals();
    test_longer();
    test_short();
    test_evaluations();
    test_contradictions();
    test_damage();
    test_foreign();
    test_bad_input();
    test_nan();
    test_full_disk();
    test_inputs();
    test_fine_tuning();
    test_minutes();
    test_dry();
    test_recompute();
    test_profile();
    test_lock();
    test_readers_that_leave();
    return test_end();
}
