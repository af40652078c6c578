/* SPDX-License-Identifier: MIT
 *
 * ttt tokenize and detokenize: ids and text, JSON lines with their other keys, special tokens, truncation, bad input.
 */
#include <ttt/tokenizer.h>

#include "cli.h"

#define TINY TTT_SOURCE_DIR "/tests/unit/tokenizers/"

/* The command fails with `code` and says one sentence, which contains `part`, and nothing else. */
#define FAILS(code, part, command)                                                                                     \
    do {                                                                                                               \
        CLI_SAYS(code, part, "%s", command);                                                                           \
        CHECK(strchr(cli_output, '\n') == cli_output + strlen(cli_output) - 1);                                        \
    } while (0)

static void write_text(const char *path, const char *text) { cli_write(path, text, strlen(text)); }

/* The command succeeds and writes exactly this. */
static void writes(const char *expected, const char *command)
{
    CHECK_EQ(cli_run("%s", command), 0);
    CHECK_STR(cli_output, expected);
}

static void plain(void)
{
    writes("98 99 1 256\n", "printf 'ab\\0\\377' | $TTT tokenize --tokenizer bytes");
    writes("98\n100 100\n", "printf cc >two; printf a | $TTT tokenize -t bytes - two");
    writes("\n", "$TTT tokenize -t bytes /dev/null");
    writes("ab\xc3\xa9", "echo '98 99  196\n170' | $TTT detokenize --tokenizer bytes");
    writes("\xef\xbf\xbd", "echo 196 | $TTT detokenize -t bytes -");
    writes("", "$TTT detokenize -t bytes </dev/null");
    writes("0\n", "printf '<|endoftext|>' | $TTT tokenize -t bytes");
    writes("<|endoftext|>", "echo 0 | $TTT detokenize -t bytes");
    writes("", "echo 0 | $TTT detokenize --skip-special -t bytes");
    /* A book goes there and back. */
    CLI_OK("$TTT tokenize -t '" TINY "trained.json' '" TINY "train.txt' >ids && $TTT detokenize -t '" TINY
           "trained.json' ids | cmp - '" TINY "train.txt'");
}

static void lines(void)
{
    CLI_SAYS(0, "\"ids\":[98]",
             "echo '{\"text\":\"a\",\"n\":123456789012345678901234}' | $TTT tokenize -m bytes --jsonl");
    write_text("in.jsonl", "{\"id\": 7, \"text\": \"a\\u0000\\u00e9\", \"x\": [1.5, null]}\n\n{\"text\": \"\"}");
    writes(
        "{\"id\":7,\"text\":\"a\\u0000\\u00E9\",\"x\":[1.5,null],\"ids\":[98,1,196,170]}\n{\"text\":\"\",\"ids\":[]}\n",
        "$TTT tokenize -t bytes --jsonl in.jsonl");
    writes("{\"ids\":[98,1,196,170],\"k\":\"v\",\"text\":\"a\\u0000\\u00E9\"}\n",
           "echo '{\"ids\": [98, 1, 196, 170], \"k\": \"v\"}' | $TTT detokenize -t bytes --jsonl");
    FAILS(1, "in.jsonl, line 2: the object has no list \"ids\"",
          "sed -i '1,2c{\"ids\":[]}' in.jsonl; $TTT detokenize -t bytes --jsonl in.jsonl 2>&1 >out");
    FAILS(1, "line 1: the object has no string \"text\"", "echo '{\"text\": 1}' | $TTT tokenize -t bytes -j");
    FAILS(1, "line 1: a JSON object is expected", "echo '[]' | $TTT tokenize -t bytes -j");
    FAILS(1, "line 1: ", "echo '{\"text\":' | $TTT tokenize -t bytes -j");
    FAILS(1, "the token id 257", "echo '{\"ids\": [257]}' | $TTT detokenize -t bytes -j");
    FAILS(1, "no token id", "echo '{\"ids\": [1.5]}' | $TTT detokenize -t bytes -j");
}

/* Special tokens are found by default with a tokenizer.json, not with a tokenizer.model. */
static void special_tokens(void)
{
    writes("1\n", "printf '<s>' | $TTT tokenize -t '" TINY "unknown.json'");
    CLI_OK("printf '<s>' | $TTT tokenize --no-parse-special -t '" TINY "unknown.json'");
    CHECK(strcmp(cli_output, "1\n") != 0);
    writes("1\n", "printf '<s>' | $TTT tokenize --parse-special -t '" TINY "plain.model'");
    CLI_OK("printf '<s>' | $TTT tokenize -t '" TINY "plain.model'");
    CHECK(strcmp(cli_output, "1\n") != 0);
}

/* With --jsonl, what the file says of truncation holds, as it does in Hugging Face's encode, and is said once. */
static void truncation(void)
{
    write_text("short.json", "{\"truncation\":{\"max_length\":2,\"direction\":\"Right\"},\"model\":{\"type\":\"BPE\","
                             "\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}");
    write_text("in.jsonl", "{\"text\":\"abab\"}\n{\"text\":\"bbb\"}\n");
    writes("{\"text\":\"abab\",\"ids\":[0,1]}\n{\"text\":\"bbb\",\"ids\":[1,1]}\n",
           "$TTT tokenize -t short.json -j in.jsonl 2>note");
    CLI_SAYS(0, "cuts texts to 2 tokens", "cat note");
    writes("{\"text\":\"abab\",\"ids\":[0,1,0,1]}\n{\"text\":\"bbb\",\"ids\":[1,1,1]}\n",
           "$TTT tokenize -t short.json --no-truncation -j in.jsonl");
    writes("0 1 0 1\n", "printf abab | $TTT tokenize -t short.json");
}

static void failures(void)
{
    FAILS(64, "--tokenizer", "$TTT tokenize </dev/null");
    FAILS(64, "--tokenizer", "$TTT detokenize </dev/null");
    FAILS(1, "none.json", "$TTT tokenize -t none.json </dev/null");
    FAILS(1, "neither tokenizer.json nor tokenizer.model", "mkdir -p empty; $TTT tokenize -t empty </dev/null");
    FAILS(1, "none.txt", "$TTT tokenize -t bytes none.txt");
    FAILS(1, "empty: ", "$TTT tokenize -t bytes empty");
    FAILS(1, "standard input: the text is not UTF-8 at byte 1",
          "printf 'a\\377' | $TTT tokenize -t '" TINY "llama.json'");
    FAILS(1, "no token id", "echo 98 x | $TTT detokenize -t bytes 2>&1 >out");
    FAILS(1, "-5", "echo -5 | $TTT detokenize -t bytes");
    FAILS(1, "no token id", "echo 99999999999 | $TTT detokenize -t bytes");
    FAILS(1, "standard output", "$TTT tokenize -t bytes '" TINY "train.txt' >/dev/full");
}

int main(void)
{
    cli_begin("tokenize");
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    CHECK_OK(ttt_tokenizer_save(tokenizer, "bytes"));
    ttt_tokenizer_free(tokenizer);
    plain();
    lines();
    special_tokens();
    truncation();
    failures();
    return test_end();
}
