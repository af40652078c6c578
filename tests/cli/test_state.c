/* SPDX-License-Identifier: MIT
 *
 * ttt state, and the states of generate and eval, as a user meets them: what one process has read another goes on from,
 * with other threads and in every precision, with the same bits; and every misuse has its sentence.
 */
#include <ttt/tokenizer.h>
#include <ttt/train.h>

#include "cli.h"
#include "cli_model.h"
#include "small_config.h"

/* A model folder with the byte tokenizer, and mini-batches of 16. */
static void make_model(const char *folder, const char *layers, uint64_t seed)
{
    ttt_config config = small_config(257, 32, 4, 1);
    config.initializer_range = 0.2;
    CHECK_OK(ttt_config_set(&config, "layers", layers));
    cli_save_model(folder, &config, seed);
}

static const char text[] =
    "What a model knows of what it has read is a few megabytes: keep it, send it, go on from it.";

/* text[0, cut) and the rest, as files. */
static void cut_text(size_t cut)
{
    cli_write("part", text, cut);
    cli_write("rest", text + cut, sizeof text - 1 - cut);
}

/* No number of the one differs from the other's. */
static void check_same_states(const char *a, const char *b)
{
    CLI_OK(
        "$TTT state diff %s %s >differences && tail -n +2 differences | grep -c ' 0.0000e+00  *0.0000e+00 ' >same && "
        "tail -n +2 differences | wc -l | cmp - same",
        a, b);
}

/* What is written behind the whole, and behind the rest by who goes on from a state of the part, made under another
 * instruction set (but for bf16, in which AMX has bits of its own). */
static void goes_on(const char *computing, size_t cut)
{
    static const char options[] = "-n 24 --ignore-eos --repetition-penalty 1.3 --seed 5";
    cut_text(cut);
    CLI_OK("$TTT generate -m model -f whole %s %s --threads 1 >expected 2>figures", options, computing);
    CLI_OK("%s $TTT state read -m model part -o a.ttt %s --threads 2",
           strstr(computing, "bf16") ? "" : "TTT_ISA=scalar", computing);
    CLI_OK("$TTT generate -m model --state a.ttt -f rest %s %s --threads 3 >found 2>figures", options, computing);
    CHECK(cli_same("expected", "found"));
}

static void test_goes_on(void)
{
    static const char *const computing[] = {"--precision f32",
                                            "--precision bf16",
                                            "--precision q8",
                                            "--precision q4",
                                            "--backend ref",
                                            "--backend ref --precision bf16",
                                            "--backend ref --precision q8"};
    static const size_t cuts[] = {1, 15, 16, 17, 40, 64};
    for (size_t i = 0; i < sizeof computing / sizeof *computing; i++)
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++)
            if (i == 0 || k % 3 == 1) goes_on(computing[i], cuts[k]);
}

/* A talk that is kept between two runs is one talk. */
static void test_kept(void)
{
    cut_text(30);
    CLI_OK("$TTT generate -m model -f part -n 12 --ignore-eos --temperature 0 --save-state talk.ttt >one");
    CLI_SAYS(0, "read          42 tokens, 10 of them", "$TTT state info talk.ttt");
    CLI_OK("$TTT state fork talk.ttt -o before.ttt --name talk.1");
    CLI_OK("$TTT generate -m model --state talk.ttt -f rest -n 5 --ignore-eos --temperature 0 --save-state talk.ttt "
           ">two");
    CLI_OK("$TTT state info talk.ttt --json >after && grep -q '\"position\":%zu' after", 42 + sizeof text - 31 + 5);
    CLI_OK("grep -q \"\\\"parent\\\":\\\"$($TTT state info before.ttt | sed -n 's/parent  *//p')\\\"\" after");
    CLI_OK("$TTT state rollback talk.ttt -m model --position 42 -o again.ttt");
    check_same_states("again.ttt", "before.ttt");
    /* Two prompts, the second behind the first's answer. */
    CLI_OK("{ cat part; echo; cat rest; echo; } | $TTT generate -m model -i -n 4 --ignore-eos --save-state lines.ttt "
           ">lines");
    CLI_OK("$TTT state info lines.ttt --json | grep -q '\"tokens\":true'");
    /* Interrupted, it is kept as far as it came. */
    const pid_t child = cli_start(
        "ttt generate -m model -f whole -n -1 --ignore-eos --precision f32 --save-state cut.ttt");
    CHECK(cli_await(child, "started"));
    kill(child, SIGINT);
    CHECK_EQ(cli_wait(child), 128 + SIGINT);
    CLI_SAYS(0, "kept: it can be rolled back", "$TTT state info cut.ttt");
}

static void test_actions(void)
{
    cut_text(40);
    CLI_SAYS(0, "whole.ttt: a state that has read 91 tokens",
             "$TTT state read -m model whole -o whole.ttt --name the-whole");
    CLI_SAYS(0, "name          the-whole", "$TTT state info whole.ttt");
    CLI_OK("$TTT state read -m model part -o part.ttt");
    CLI_OK("$TTT state read -m model rest --state part.ttt -o joined.ttt");
    CLI_OK("for i in whole joined; do $TTT state info $i.ttt --json | grep -o '\"token_hash[^,]*' >$i.hash; done; "
           "cmp whole.hash joined.hash");
    check_same_states("whole.ttt", "joined.ttt");
    CLI_SAYS(0, "\"piece\":\"layers.0.W1\",\"largest\":0.0,", "$TTT state diff whole.ttt joined.ttt --json");
    CLI_SAYS(0, "40 tokens were read again", "$TTT state rollback whole.ttt -m model --position 40 -o back.ttt");
    CLI_SAYS(0, "name          the-whole", "$TTT state info back.ttt");
    check_same_states("back.ttt", "part.ttt");
    CLI_OK("$TTT state diff whole.ttt part.ttt | grep -q 'layers.0.W1  *[1-9]'");
    CLI_SAYS(0, "layers.1.k                other shape", "$TTT state diff whole.ttt part.ttt");
    CLI_OK("$TTT state fork whole.ttt -o private.ttt --no-tokens");
    CLI_SAYS(0, "not kept", "$TTT state info private.ttt");
    CLI_OK("$TTT state info private.ttt --json | grep -q '\"tokens\":false'");
    CLI_SAYS(1, "cannot go back, as it did not keep what it read",
             "$TTT state rollback private.ttt -m model --position 4 -o none.ttt");
    CLI_SAYS(1, "cannot go back to position 92", "$TTT state rollback whole.ttt -m model --position 92 -o none.ttt");
    CLI_OK("test ! -e none.ttt");
    CLI_OK("$TTT state rollback whole.ttt -m model --position 0 -o empty.ttt");
    CLI_SAYS(0, "read          0 tokens", "$TTT state info empty.ttt");
}

static void test_eval(void)
{
    cut_text(40);
    CLI_OK("$TTT state read -m model part -o part.ttt");
    CLI_SAYS(0, "behind the 40 tokens of part.ttt: 1 window, 50 tokens scored",
             "$TTT eval -m model --state part.ttt rest --context all");
    CLI_SAYS(0, "\"state_tokens\":40", "$TTT eval -m model --state part.ttt rest --context 20 --compare --json");
    CLI_OK("$TTT eval -m model --state part.ttt rest --context all --inner --positions");
    static const char questions[] = "{\"question\": \"Is it?\", \"choices\": [\"yes\", \"no\"], \"answer\": 0}\n";
    cli_write("questions.jsonl", questions, sizeof questions - 1);
    CLI_OK("$TTT eval -m model --state part.ttt --choices questions.jsonl");
    CLI_SAYS(1, "fingerprint: ", "$TTT eval -m other --state part.ttt rest");
}

/* The command fails with `code` and says one sentence, which contains `part`. */
static void fails(int code, const char *part, const char *command)
{
    CLI_SAYS(code, part, "%s", command);
    const char *end = strchr(cli_output, '\n');
    CHECK(end && !end[1]);
}

static void test_misuse(void)
{
    CLI_OK("$TTT state read -m model part -o a.ttt");
    fails(64, "give an action: info, read, fork, rollback or diff", "$TTT state");
    fails(64, "there is no action \"forks\"; did you mean fork?", "$TTT state forks a.ttt");
    fails(64, "info takes FILE", "$TTT state info");
    fails(64, "diff takes FILE FILE", "$TTT state diff a.ttt");
    fails(64, "read takes TEXT...", "$TTT state read -m model -o b.ttt");
    fails(64, "read needs -m MODEL", "$TTT state read part -o b.ttt");
    fails(64, "read needs -o FILE", "$TTT state read part -m model");
    fails(64, "rollback needs --position N", "$TTT state rollback a.ttt -m model -o b.ttt");
    fails(64, "fork does not take -m MODEL", "$TTT state fork a.ttt -m model -o b.ttt");
    fails(64, "fork does not take --json", "$TTT state fork a.ttt -o b.ttt --json");
    fails(64, "info computes nothing", "$TTT state info a.ttt --threads 2");
    fails(64, "--position is \"-1\"", "$TTT state rollback a.ttt -m model --position -1 -o b.ttt");
    fails(1, "name \"../x\": a name is at most 128", "$TTT state fork a.ttt -o b.ttt --name ../x");
    fails(1, "cannot write nowhere/b.ttt", "$TTT state fork a.ttt -o nowhere/b.ttt");
    fails(1, "nothing.ttt", "$TTT state info nothing.ttt");
    fails(1, "model/model.safetensors: this is no state file but a safetensors file",
          "$TTT state info model/model.safetensors");
    fails(1, "checksum: ", "head -c 3000 a.ttt >cut.ttt; $TTT state info cut.ttt");
    fails(1, "fingerprint: the state is of another model", "$TTT generate -m other --state a.ttt -p more");
    fails(1, "precision: the state was made in",
          "$TTT state read -m model part -o q.ttt --precision q8 2>q8; $TTT generate -m model --state q.ttt -p more "
          "--precision f32");
    fails(1, "type: the numbers of the state are F32",
          "$TTT state read -m model part -o f.ttt --precision f32 2>f32; $TTT generate -m model --state f.ttt -p more "
          "--backend ref --precision f32");
    fails(64, "--state needs something to read behind it", "$TTT generate -m model --state a.ttt");
    fails(1, "cannot write nowhere/x.ttt", "$TTT generate -m model -p a --save-state nowhere/x.ttt");
    CLI_OK("test ! -e b.ttt");
}

int main(void)
{
    cli_begin("cli_state");
    make_model("model", "ttt_linear+ffn,attention,mamba,ttt_mlp,gated_deltanet", 1);
    make_model("other", "ttt_linear+ffn,attention,mamba,ttt_mlp,gated_deltanet", 2);
    cli_write("whole", text, sizeof text - 1);
    test_goes_on();
    test_kept();
    test_actions();
    test_eval();
    test_misuse();
    return test_end();
}
