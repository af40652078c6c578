/* SPDX-License-Identifier: MIT
 *
 * Models of every form as a user meets them: trained, gone on with, described, converted, quantised, continued; as much
 * work as another run; and folders that cannot be read.
 */
#include "cli.h"

#define SIZE "--set hidden_size=32 --context 32 --batch 128 --tokenizer byte --steps 3 "

static void write_text(void)
{
    static char text[4000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "the sea saw a ship and then it sank.\n"[i % 37];
    cli_write("text.txt", text, sizeof text);
}

/* Trained, begun again with the same options, looked at, written anew in q8, and continued by both. */
static void test_form(const char *layers, const char *sizes, const char *form, const char *architecture)
{
    CLI_OK("rm -rf m q");
    CLI_SAYS(0, "m is trained", "$TTT train text.txt -o m " SIZE "%s --layers '%s'", sizes, layers);
    CLI_SAYS(0, "this run is finished", "$TTT train text.txt -o m " SIZE "%s --layers '%s'", sizes, layers);
    CLI_SAYS(0, form, "$TTT info -m m");
    CHECK(strstr(cli_output, "in training, "));
    CLI_SAYS(0, architecture, "cat m/config.json");
    CLI_OK("$TTT convert m q --weights q8");
    CLI_SAYS(0, "all 8 quantities", "$TTT verify -m q");
    CLI_SAYS(0, "bits.split", "$TTT verify -m m");
    CLI_OK("$TTT generate -m m -p 'the sea' -n 5 --temp 0");
    CLI_OK("$TTT generate -m q -p 'the sea' -n 5 --temp 0");
    CLI_OK("$TTT train text.txt -o tuned " SIZE "--init-from m --force");
    CLI_SAYS(0, form, "$TTT info -m tuned"); /* what was read keeps its form */
}

static void test_match(void)
{
    CLI_SAYS(0, "match_flops", "$TTT train --help | grep -o 'match.flops' | tr - _");
    CLI_SAYS(0, "steps             3\n",
             "$TTT train text.txt --context 32 --batch 128 --tokenizer byte --set hidden_size=32 --set state_size=4 "
             "--match-flops m "
             "--layers '2*mamba' --dry-run");
    CLI_SAYS(0, "step 3/3",
             "$TTT train text.txt -o as_much --context 32 --batch 128 --tokenizer byte --set hidden_size=32 --set "
             "state_size=4 "
             "--match-flops m --layers '2*mamba'");
    CLI_SAYS(0, "this run is finished", "$TTT train -o as_much --match-flops m");
    CLI_SAYS(1, "leave out epochs and minutes", "$TTT train text.txt -o x --match-flops m --epochs 2");
    CLI_SAYS(1, "nowhere/config.json", "$TTT train text.txt -o x --match-flops nowhere");
    CLI_SAYS(1, "state_size means nothing in a model of model_type ttt",
             "$TTT train text.txt -o x --tokenizer byte --set state_size=8");
}

static void test_refused(void)
{
    static const char *const cases[][2] = {
        {"\"model_type\": \"llama\", \"rope_scaling\": {\"factor\": 8.0}",
         "bad/config.json: rope_scaling {\"factor\":8.0}"},
        {"\"model_type\": \"qwen2\"", "bad/config.json: model_type \"qwen2\" is not supported"},
        {"\"d_model\": 768, \"n_layer\": 24", "mamba_ssm's own form"},
        {"\"model_type\": \"mistral\", \"quantization_config\": {\"quant_method\": \"awq\"}", "quant_method \"awq\""},
        {"\"model_type\": \"gated_deltanet\", \"attn\": {\"layers\": [0]}", "attn {\"layers\":[0]} is not supported"}};
    CLI_OK("mkdir bad && cp m/model.safetensors bad/");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        const int size = snprintf(text, sizeof text, "{%s}", cases[i][0]);
        cli_write("bad/config.json", text, (size_t)size);
        CLI_SAYS(1, cases[i][1], "$TTT info -m bad");
        CLI_SAYS(1, cases[i][1], "$TTT convert bad out");
        CHECK(strstr(cli_output, "\n") == strrchr(cli_output, '\n')); /* one sentence */
    }
}

int main(void)
{
    cli_begin("models");
    write_text();
    test_form("2*attention", "--set num_attention_heads=4 --set intermediate_size=48", "form          llama",
              "\"LlamaForCausalLM\"");
    test_form("2*attention", "--set num_attention_heads=4 --set num_key_value_heads=2 --set sliding_window=9",
              "form          mistral", "\"MistralForCausalLM\"");
    test_form("attention,ttt_linear,mamba", "--set num_attention_heads=4", "form          ttt_ext",
              "\"TTTExtForCausalLM\"");
    test_form("2*delta_net", "--set num_attention_heads=4 --set head_dim=6", "form          delta_net",
              "\"DeltaNetForCausalLM\"");
    test_form("2*gated_deltanet", "--set num_attention_heads=4 --set expand_v=1.5", "form          gated_deltanet",
              "\"GatedDeltaNetForCausalLM\"");
    test_form("2*linear_attention", "--set num_attention_heads=4", "form          ttt_ext", "\"linear_attention+ffn\"");
    test_form("2*mamba", "--set state_size=4", "form          mamba", "\"MambaForCausalLM\"");
    test_match();
    test_refused();
    return test_end();
}
