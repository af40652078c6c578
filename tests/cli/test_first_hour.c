/* SPDX-License-Identifier: MIT
 *
 * What people do in their first hour: real files with odd bytes, streams that are closed, a command typed wrong.
 */
#include "cli.h"

/* A model of 257 ids in the folder "model", and a text "text.txt". */
static void make_model(void)
{
    CLI_OK("for i in 1 2 3 4 5 6 7 8 9; do echo \"line $i of a text that is only there to make a model of\"; done "
           ">text.txt");
    CLI_OK("\"$TTT\" train text.txt -o model --tokenizer byte --set hidden_size=16 --set num_hidden_layers=1 "
           "--set num_attention_heads=1 --set intermediate_size=16 --context 16 --batch 16 --steps 1");
}

static void texts(void)
{
    CLI_SAYS(0, "9 bytes",
             "printf '\\357\\273\\277one text\\n' >marked.txt && \"$TTT\" prepare marked.txt -o marked "
             "--tokenizer byte --valid 0");
    CLI_OK("printf 'a\\000b' >nul.txt && printf '\\211PNG\\r\\n\\032\\nxxxx' >picture.png");
    CLI_SAYS(1, "nul.txt is no text: byte 1 is NUL", "\"$TTT\" prepare nul.txt -o nul --tokenizer byte --valid 0");
    CLI_SAYS(1, "picture.png is no text but a PNG picture", "\"$TTT\" train picture.png -o bad --tokenizer byte");
    CLI_SAYS(1, "picture.png is no text but a PNG picture", "\"$TTT\" train picture.png -o bad --dry-run");
    CLI_SAYS(1, "picture.png is no text but a PNG picture", "\"$TTT\" eval -m model picture.png");
    CLI_SAYS(0, "3 bytes", "\"$TTT\" prepare nul.txt -o nul --binary --tokenizer byte --valid 0");
    CLI_SAYS(0, "loss", "\"$TTT\" eval -m model picture.png --binary");
    CLI_SAYS(0, "33 % of the text is not UTF-8", "printf 'a\\377b' >odd.txt && \"$TTT\" eval -m model odd.txt");
    CLI_SAYS(0, "99 98", "printf '\\357\\273\\277ba' >ba.txt && \"$TTT\" tokenize -t model ba.txt");
}

static void beginnings(void)
{
    CLI_SAYS(0, "a text        begins with itself", "\"$TTT\" info -m model");
    CLI_OK(
        "cp -r model bos && sed -i 's/\"post_processor\": null/\"post_processor\": {\"type\": \"TemplateProcessing\", "
        "\"single\": [{\"SpecialToken\": {\"id\": \"<|endoftext|>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
        "\"type_id\": 0}}], \"pair\": [], \"special_tokens\": {\"<|endoftext|>\": {\"id\": \"<|endoftext|>\", \"ids\": "
        "[0], "
        "\"tokens\": [\"<|endoftext|>\"]}}}/' bos/tokenizer.json && rm bos/tokenizer_config.json");
    CLI_SAYS(0, "a text        begins with the token 0, <|endoftext|>", "\"$TTT\" info -m bos");
    CLI_SAYS(0, "\"bos\":true", "\"$TTT\" eval -m bos text.txt --json");
    CLI_SAYS(0, "\"bos\":false", "\"$TTT\" eval -m model text.txt --json");
}

/* Nothing that is said may land in a file of ours, and nothing that is lost goes by in silence. */
static void streams(void)
{
    CLI_OK("\"$TTT\" train text.txt -o daemon --tokenizer byte --set hidden_size=16 --set num_hidden_layers=1 "
           "--set num_attention_heads=1 --set intermediate_size=16 --context 16 --batch 16 --steps 1 <&- >&- 2>&-");
    CLI_OK("cmp model/model.safetensors daemon/model.safetensors && cmp model/config.json daemon/config.json");
    CLI_SAYS(1, "cannot read standard input: Is a directory", "\"$TTT\" generate -i -m model -n 2 </");
    CLI_SAYS(1, "cannot read standard input: Bad file descriptor", "\"$TTT\" generate -i -m model -n 2 <&-");
    CLI_SAYS(0, "", "\"$TTT\" generate -i -m model -n 2 </dev/null");
    CLI_SAYS(1, "cannot read standard input: Is a directory", "\"$TTT\" eval -m model - </");
    CLI_SAYS(1, "cannot read standard input: Bad file descriptor", "\"$TTT\" prepare - -o x --tokenizer byte <&-");
    CLI_SAYS(1, "cannot write to standard output", "\"$TTT\" info -m model >&-");
}

/* What lies in the place of a model is said by its name. */
static void foreign(void)
{
    CLI_OK("mkdir nothing other && printf 'GGUF\\003\\000\\000\\000xxxxxxxxxxxxxxxx' >x.gguf && cp x.gguf other && "
           "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:0\\nsize 5\\n' >pointer && "
           "printf '<!DOCTYPE html>\\n<html>' >page");
    static const char *const commands[] = {"generate -m nothing -p x", "eval -m nothing text.txt",
                                           "info -m nothing",          "verify -m nothing",
                                           "bench -m nothing",         "train text.txt -o new --init-from nothing"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        CLI_SAYS(1, "nothing is no model folder, which holds config.json, model.safetensors and tokenizer.json",
                 "\"$TTT\" %s", commands[i]);
    CLI_SAYS(1, "there is no config.json, but x.gguf, which is a GGUF file", "\"$TTT\" info -m other");
    CLI_SAYS(1, "x.gguf is not a model folder but a GGUF file", "\"$TTT\" generate -m x.gguf");
    CLI_SAYS(1, "x.gguf: this is no stream of ttt-lm-jax but a GGUF file", "\"$TTT\" convert x.gguf new");
    CLI_OK("mkdir -p young/checkpoint/data && echo >young/checkpoint/data/data.json");
    CLI_SAYS(1, "young is a training run that has no checkpoint yet, 0 minutes in", "\"$TTT\" generate -m young");
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CLI_OK("rm -rf other && cp -r model other && cp pointer other/%s", files[i]);
        CLI_SAYS(1, "a Git LFS pointer: the file itself was not downloaded", "\"$TTT\" generate -m other -p x");
        CLI_OK("cp page other/%s", files[i]);
        CLI_SAYS(1, "but a web page", "\"$TTT\" generate -m other -p x");
    }
}

/* Over another model only on demand, and an interruption leaves nothing behind. */
static void conversions(void)
{
    CLI_OK("\"$TTT\" convert model smaller --weights q8");
    CLI_SAYS(1, "smaller holds a model: name another folder, or --force to write over it",
             "\"$TTT\" convert model smaller");
    CLI_OK("\"$TTT\" convert model smaller --force && cmp model/model.safetensors smaller/model.safetensors");
    static const char *const commands[] = {"$TTT prepare pipe -o half", "$TTT train pipe -o half"};
    for (int i = 0; i < 2; i++) {
        CLI_OK("rm -f pipe && mkfifo pipe");
        const pid_t child = cli_start(commands[i]);
        const int file = open("pipe", O_WRONLY);
        kill(child, SIGTERM);
        CHECK_EQ(write(file, "a text", 6), 6);
        close(file);
        CHECK_EQ(cli_wait(child), 143);
        CHECK(strstr(cli_output, "stopping; again: at once"));
        CLI_SAYS(0, "half: no\n", "for f in half*; do test -e $f || echo half: no; done");
    }
}

/* A command typed as elsewhere, or nearly right, is understood or answered. */
static void typed(void)
{
    CLI_SAYS(64, "  train        a model from texts", "\"$TTT\"");
    CLI_SAYS(0, "  train        a model from texts", "\"$TTT\" -h");
    CLI_SAYS(0, "  train        a model from texts", "\"$TTT\" help");
    CLI_SAYS(0, "Usage: ttt eval", "\"$TTT\" help eval");
    CLI_SAYS(0, "Usage: ttt eval", "\"$TTT\" eval -h");
    CLI_SAYS(0, "ttt 0.", "\"$TTT\" version");
    CLI_SAYS(64, "there is no command \"trian\"; did you mean train?", "\"$TTT\" trian");
    CLI_SAYS(64, "there is no command \"gen\"; did you mean generate?", "\"$TTT\" gen");
    CLI_SAYS(64, "there is no command \"compress\": see", "\"$TTT\" compress");
    CLI_SAYS(64, "there is no option --stpes; did you mean --steps?", "\"$TTT\" train text.txt -o x --stpes 5");
    CLI_SAYS(64, "there is no option --thread-count: see", "\"$TTT\" eval --thread-count=5");
    CLI_SAYS(64, "there is no option --frozn; did you mean --frozen?", "\"$TTT\" eval -m model text.txt --frozn");
    /* What looks like an option and is a value, or stands behind --, is none. */
    CLI_SAYS(0, "", "\"$TTT\" generate -m model -p --frozn -n 1 && \"$TTT\" generate -m model --prompt --frozn -n 1");
    CLI_SAYS(1, "cannot open --frozn", "\"$TTT\" eval -m model -- --frozn");
    CLI_SAYS(1, "a context of 2048 needs 2049", "\"$TTT\" eval -m model text.txt --context 2k");
    CLI_SAYS(64, "(4k is 4096, 1M 1048576) from 1 to", "\"$TTT\" eval -m model text.txt --context 2q");
    CLI_SAYS(64, "from 1 to", "\"$TTT\" eval -m model text.txt --context 9000M");
    CLI_SAYS(64, "give a whole number, 1 or more", "\"$TTT\" train text.txt -o x --save-every 2k");
    CLI_OK("for c in train convert eval generate info verify bench tokenize detokenize prepare; do "
           "test \"$(\"$TTT\" $c --help | grep -c '^  .*ttt '$c)\" -ge 3 || { echo $c; exit 1; }; done");
}

int main(void)
{
    cli_begin("first_hour");
    make_model();
    texts();
    beginnings();
    streams();
    foreign();
    conversions();
    typed();
    return test_end();
}
