/* SPDX-License-Identifier: MIT
 *
 * Tokenizer files that are wrong, cut short or of a kind that is not supported: each is refused with a sentence that
 * says why, and nothing is leaked or read beyond its end.
 */
#include <ttt/tokenizer.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fault.h"
#include "test.h"
#include "text/tokenizer.h"

#define FOLDER TTT_SOURCE_DIR "/tests/unit/tokenizers/"

static ttt_status load(const char *bytes, size_t size)
{
    ttt_tokenizer *tokenizer;
    /* A copy of exactly this size, so that ASan sees what reads beyond it. */
    char *copy = malloc(size ? size : 1);
    if (!copy) return TTT_ERR_MEMORY;
    memcpy(copy, bytes, size);
    const ttt_status status = ttt_tokenizer_load(&tokenizer, copy, size);
    CHECK((status == TTT_OK) == (tokenizer != NULL));
    ttt_tokenizer_free(tokenizer);
    free(copy);
    return status;
}

static ttt_status load_text(const char *text) { return load(text, strlen(text)); }

#define VOCAB  "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3}"
#define BPE(x) "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]" x "}"

static void json_models(void)
{
    CHECK_OK(load_text("{" BPE("") "}"));
    CHECK_OK(load_text("\n {\"model\":{" VOCAB ",\"merges\":[[\"a\",\"b\"],[\"a\",\"b\"]]}}"));
    CHECK_FAILS(load_text(""), TTT_ERR_FORMAT, "empty");
    CHECK_FAILS(load_text("{\"model\":"), TTT_ERR_FORMAT, "line 1");
    CHECK_FAILS(load_text("{\"a\":1,\"a\":2}"), TTT_ERR_FORMAT, "duplicate");
    CHECK_FAILS(load_text("{}"), TTT_ERR_FORMAT, "no tokenizer.json");
    CHECK_FAILS(load_text("{\"model\":{\"type\":\"WordPiece\"}}"), TTT_ERR_UNSUPPORTED, "WordPiece");
    CHECK_FAILS(load_text("{\"model\":{\"type\":\"Unigram\"}}"), TTT_ERR_FORMAT, "no 'vocab'");
    CHECK_FAILS(load_text("{\"model\":{\"vocab\":{}}}"), TTT_ERR_FORMAT, "'type'");
    CHECK_FAILS(load_text("{" BPE(",\"dropout\":0.1") "}"), TTT_ERR_UNSUPPORTED, "dropout");
    CHECK_FAILS(load_text("{" BPE(",\"end_of_word_suffix\":\"</w>\"") "}"), TTT_ERR_UNSUPPORTED, "end_of_word_suffix");
    CHECK_FAILS(load_text("{" BPE(",\"continuing_subword_prefix\":\"##\"") "}"), TTT_ERR_UNSUPPORTED, "subword_prefix");
    CHECK_FAILS(load_text("{" BPE(",\"unk_token\":\"<unk>\"") "}"), TTT_ERR_FORMAT, "<unk>");
    CHECK_FAILS(load_text("{" BPE(",\"byte_fallback\":true") "}"), TTT_ERR_FORMAT, "<0x00>");
    CHECK_FAILS(load_text("{" BPE(",\"byte_fallback\":1") "}"), TTT_ERR_FORMAT, "'byte_fallback'");
    static const char *const models[][2] = {
        {"\"vocab\":{},\"merges\":[]", "'vocab'"},
        {"\"vocab\":[],\"merges\":[]", "'vocab'"},
        {"\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]", "id 0"},
        {"\"vocab\":{\"a\":-1},\"merges\":[]", "id of token 'a'"},
        {"\"vocab\":{\"a\":1000000000},\"merges\":[]", "id of token 'a'"},
        {"\"vocab\":{\"a\":0.5},\"merges\":[]", "id of token 'a'"},
        {VOCAB, "'merges'"},
        {VOCAB ",\"merges\":[\"ab\"]", "merge 0"},
        {VOCAB ",\"merges\":[\"a b c\"]", "merge 0"},
        {VOCAB ",\"merges\":[\"a b\",[\"a\"]]", "merge 1"},
        {VOCAB ",\"merges\":[[\"a\",7]]", "merge 0"},
        {VOCAB ",\"merges\":[\"a x\"]", "needs 'x'"},
        {VOCAB ",\"merges\":[\"b a\"]", "needs 'ba'"},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char json[512];
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"BPE\",%s}}", models[i][0]);
        CHECK_FAILS(load_text(json), TTT_ERR_FORMAT, models[i][1]);
    }
}

static void json_parts(void)
{
    static const struct {
        const char *part, *sentence;
        ttt_status status;
    } parts[] = {
        {"\"normalizer\":{\"type\":\"BertNormalizer\"}", "a normalizer of type BertNormalizer", TTT_ERR_UNSUPPORTED},
        {"\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}", "Nmt", TTT_ERR_UNSUPPORTED},
        {"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}", "missing closing",
         TTT_ERR_FORMAT},
        {"\"normalizer\":{\"type\":\"Strip\",\"strip_left\":1}", "'strip_left'", TTT_ERR_FORMAT},
        {"\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"A*\"}", "not base64 at character 1",
         TTT_ERR_FORMAT},
        {"\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}", "no pattern", TTT_ERR_FORMAT},
        {"\"normalizer\":7", "a normalizer is no object", TTT_ERR_FORMAT},
        {"\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}", "a pre_tokenizer of type UnicodeScripts",
         TTT_ERR_UNSUPPORTED},
        {"\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"Eaten\"}", "'behavior'", TTT_ERR_FORMAT},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\"}", "no pattern", TTT_ERR_FORMAT},
        {"\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}", "regular expression",
         TTT_ERR_UNSUPPORTED},
        {"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":\"Metaspace\"}"
         "]}",
         "behind one of type ByteLevel", TTT_ERR_UNSUPPORTED},
        {"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"sometimes\"}", "prepend_scheme",
         TTT_ERR_FORMAT},
        {"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "one character", TTT_ERR_FORMAT},
        {"\"post_processor\":{\"type\":\"BertProcessing\"}", "'cls'", TTT_ERR_FORMAT},
        {"\"post_processor\":{\"type\":\"Wrapping\"}", "a post_processor of type Wrapping", TTT_ERR_UNSUPPORTED},
        {"\"decoder\":{\"type\":\"WordPiece\"}", "a decoder of type WordPiece", TTT_ERR_UNSUPPORTED},
        {"\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Replace\","
         "\"pattern\":{\"String\":\"a\"},\"content\":\"\"}]}",
         "Replace is not supported at this place", TTT_ERR_UNSUPPORTED},
        {"\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"stop\":1}]}",
         "Strip at the end", TTT_ERR_UNSUPPORTED},
        {"\"truncation\":{\"max_length\":-1}", "max_length", TTT_ERR_FORMAT},
        {"\"added_tokens\":{}", "'added_tokens'", TTT_ERR_FORMAT},
        {"\"added_tokens\":[7]", "an added token", TTT_ERR_FORMAT},
        {"\"added_tokens\":[{\"id\":4,\"content\":\"x\",\"special\":\"yes\"}]", "'special'", TTT_ERR_FORMAT},
        {"\"added_tokens\":[{\"id\":9,\"content\":\"x\"}]", "the next free one is 4", TTT_ERR_FORMAT},
        {"\"added_tokens\":[{\"id\":4,\"content\":\"x\"},{\"id\":4,\"content\":\"y\"}]", "next free one is 5",
         TTT_ERR_FORMAT},
        {"\"added_tokens\":[{\"id\":3,\"content\":\"<s>\"},{\"id\":3,\"content\":\"<s>\"}]", "twice", TTT_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char json[1024];
        snprintf(json, sizeof json, "{%s," BPE("") "}", parts[i].part);
        CHECK_FAILS(load_text(json), parts[i].status, parts[i].sentence);
    }
}

static void configurations(void)
{
    static const char *const cases[][2] = {
        {"[]", "object"},
        {"{\"bos_token\":7}", "'bos_token'"},
        {"{\"eos_token\":\"<end>\"}", "<end>"},
        {"{\"add_bos_token\":\"true\"}", "'add_bos_token'"},
        {"{\"add_bos_token\":true}", "no BOS"},
    };
    ttt_tokenizer *tokenizer;
    static const char json[] = "{" BPE("") "}";
    CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(ttt_tokenizer_read_config(tokenizer, cases[i][0], strlen(cases[i][0])), TTT_ERR_FORMAT,
                    cases[i][1]);
    ttt_tokenizer_free(tokenizer);
}

/* Pieces of a tokenizer.model by hand: a message of `type` 3 bytes "x", and so on. */
#define PIECE(text, length, type) "\x0a" length "\x0a" text "\x18" type
#define UNKNOWN                   PIECE("\x01?", "\x05", "\x02")
#define PIECE_A                                                                                                        \
    PIECE("\x01"                                                                                                       \
          "a",                                                                                                         \
          "\x05", "\x01")
#define IS_BPE "\x12\x02\x18\x02"

#define LOAD(bytes) load(bytes, sizeof bytes - 1)

static void models(void)
{
    CHECK_OK(LOAD(UNKNOWN PIECE_A IS_BPE));
    CHECK_OK(LOAD(UNKNOWN PIECE_A IS_BPE "\xa2\x06\x01x")); /* an unknown field */
    CHECK_FAILS(LOAD(IS_BPE), TTT_ERR_FORMAT, "no pieces");
    CHECK_OK(LOAD(UNKNOWN PIECE_A)); /* Unigram, if it does not say */
    CHECK_FAILS(LOAD(UNKNOWN PIECE_A "\x12\x02\x18\x03"), TTT_ERR_UNSUPPORTED, "Word; BPE and Unigram");
    CHECK_FAILS(LOAD(UNKNOWN "\x12\x02\x18\x03"), TTT_ERR_UNSUPPORTED, "Word");
    CHECK_FAILS(LOAD(UNKNOWN "\x12\x02\x18\x63"), TTT_ERR_UNSUPPORTED, "unknown");
    CHECK_FAILS(LOAD(PIECE_A IS_BPE), TTT_ERR_FORMAT, "0 unknown pieces");
    CHECK_FAILS(LOAD(UNKNOWN PIECE_A PIECE_A IS_BPE), TTT_ERR_FORMAT, "'a' is listed twice");
    CHECK_FAILS(LOAD(UNKNOWN PIECE("\x01"
                                   "b",
                                   "\x05", "\x07") IS_BPE),
                TTT_ERR_FORMAT, "piece 1");
    CHECK_FAILS(LOAD(UNKNOWN "\x0a\x00" IS_BPE), TTT_ERR_FORMAT, "piece 1");
    CHECK_FAILS(LOAD(UNKNOWN PIECE("\x01\xff", "\x05", "\x01") IS_BPE), TTT_ERR_FORMAT, "UTF-8");
    CHECK_FAILS(LOAD(UNKNOWN "\x0a\x08\x0a\x01"
                             "b\x15\xff\xff\xff\x7f" IS_BPE),
                TTT_ERR_FORMAT, "no number");
    CHECK_FAILS(LOAD(UNKNOWN "\x12\x05\x18\x02\x98\x02\x01"), TTT_ERR_FORMAT, "byte_fallback on");
    CHECK_FAILS(LOAD(UNKNOWN PIECE("\x06<0x41>", "\x0a", "\x06") IS_BPE), TTT_ERR_FORMAT, "1 byte pieces");
    CHECK_FAILS(LOAD(UNKNOWN IS_BPE "\x2a\x03\x12\x01x"), TTT_ERR_UNSUPPORTED, "denormalizer");
    CHECK_FAILS(LOAD("\x0a\x7f"
                     "a"),
                TTT_ERR_FORMAT, "byte 2");
    CHECK_FAILS(LOAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                     "a"),
                TTT_ERR_FORMAT, "longer");
    CHECK_FAILS(LOAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), TTT_ERR_FORMAT, "without end");
    CHECK_FAILS(LOAD("\x0b"), TTT_ERR_FORMAT, "unknown type");
    CHECK_FAILS(LOAD("\x08\x01"), TTT_ERR_FORMAT, "message that is none");
    CHECK_FAILS(LOAD("plain text, no model"), TTT_ERR_FORMAT, "no tokenizer.model");
}

/* Every beginning of a good file: refused, or (a tokenizer.model is a list) a smaller tokenizer. */
static void beginnings(void)
{
    static const char *const names[] = {"unknown.json", "suffix.model", "rules.model"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char path[4096];
        ttt_buffer file = {0};
        snprintf(path, sizeof path, FOLDER "%s", names[n]);
        CHECK_OK(ttt_file_read(&file, path, 1 << 20));
        size_t accepted = 0;
        for (size_t size = 0; size < file.size; size++) accepted += load(file.data, size) == TTT_OK;
        CHECK(n == 0 ? accepted <= 1 : accepted < file.size / 10); /* without its last newline, the first is whole */
        CHECK_OK(load(file.data, file.size));
        ttt_buffer_deinit(&file);
    }
}

/* Every allocation of loading, encoding, decoding and saving fails in turn. */
static ttt_status use(const char *path, const char *folder)
{
    ttt_tokenizer *tokenizer;
    ttt_ids ids = {0};
    ttt_text text = {0};
    ttt_status status = ttt_tokenizer_open(&tokenizer, path);
    if (status != TTT_OK) return status;
    status = ttt_tokenizer_encode(tokenizer, " a\xcc\x81  bcab", 10, true, &ids);
    if (status == TTT_OK) status = ttt_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text);
    if (status == TTT_OK) status = ttt_tokenizer_save(tokenizer, folder);
    ttt_ids_deinit(&ids);
    ttt_text_deinit(&text);
    ttt_tokenizer_free(tokenizer);
    return status;
}

static void faults(void)
{
    static const char *const names[] = {"nfc.json",      "first.json",    "unknown.json", "rules.model",
                                        "suffix.model",  "llama3.json",   "albert.json",  "t5.json",
                                        "unigram.model", "behaviors.json"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char path[4096];
        snprintf(path, sizeof path, FOLDER "%s", names[n]);
        const char *folder = TTT_BINARY_DIR "/test_tokenizer_bad";
        const int64_t before = fault_count(TTT_CALL_ALLOC);
        CHECK_OK(use(path, folder));
        const int64_t count = fault_count(TTT_CALL_ALLOC) - before;
        CHECK(count > 10);
        for (int64_t nth = 1; nth <= count; nth++) {
            fault_at(TTT_CALL_ALLOC, nth, 0);
            const ttt_status status = use(path, folder);
            fault_at(TTT_CALL_ALLOC, 0, 0);
            CHECK(status == TTT_ERR_MEMORY || status == TTT_OK); /* syncing a folder may do without */
        }
        const int64_t writes = fault_count(TTT_CALL_WRITE);
        CHECK_OK(use(path, folder));
        for (int64_t nth = 1, written = fault_count(TTT_CALL_WRITE) - writes; nth <= written; nth++) {
            fault_at(TTT_CALL_WRITE, nth, 0);
            CHECK_FAILS(use(path, folder), TTT_ERR_IO, folder);
            fault_at(TTT_CALL_WRITE, 0, 0);
        }
    }
}

/* What is no tokenizer is named, not called a broken one. */
static void other_files(void)
{
    static const struct {
        const char *bytes, *part;
        size_t size;
    } files[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", "a Git LFS pointer", 64},
        {"\n<!DOCTYPE html><html>", "a web page", 22},
        {"<html lang=en>", "a web page", 14},
        {"IQ== 0\nIg== 1\nIw== 2\n", "a tiktoken vocabulary", 21},
        {"1 '\\x00' 1\n2 '\\x01' 1\n", "an RWKV vocabulary", 22},
        {"1 b'\\x00' 1\n", "an RWKV vocabulary", 12},
        {"#version: 0.2\nh e\n", "merges.txt", 18},
        {"GGUF\x03\0\0\0\0", "a GGUF file", 9},
        {"PK\x03\x04\0\0\0\0archive/data.pkl", "a PyTorch file", 24},
        {"\x18\0\0\0\0\0\0\0{\"a\":{\"dtype\":1}}", "a safetensors file", 25},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        CHECK_FAILS(load(files[i].bytes, files[i].size), TTT_ERR_FORMAT, files[i].part);
    CHECK_OK(load_text("\xef\xbb\xbf{\"model_max_length\":1000000000000000019884624838656," BPE("") "}"));
}

/* A folder without a tokenizer says what it holds instead. */
static void other_folders(void)
{
    static const char *const files[][2] = {{"vocab.txt", "vocab.txt, which is a WordPiece vocabulary"},
                                           {"spiece.model", "spiece.model, which is a SentencePiece model: give"},
                                           {"rwkv_vocab_v1.txt", "rwkv_vocab_v1.txt, which is an RWKV vocabulary"},
                                           {"merges.txt", "merges.txt, which is but a part of a tokenizer"},
                                           {"a.tiktoken", "nor tokenizer.model, but a.tiktoken, which is a tiktoken"}};
    static const char folder[] = TTT_BINARY_DIR "/test_tokenizer_bad_other";
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_folder_make(folder));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) ttt_folder_drop(folder, files[i][0]);
    CHECK_FAILS(ttt_tokenizer_open(&tokenizer, folder), TTT_ERR_IO, "nor tokenizer.model");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) { /* the first by name is told */
        char *path = ttt_path_join(folder, files[i][0]);
        CHECK_OK(ttt_file_write(path, "x", 1));
        ttt_free(path);
        CHECK_FAILS(ttt_tokenizer_open(&tokenizer, folder), TTT_ERR_IO, files[i][1]);
    }
}

#define TEMPLATE(x) "\"post_processor\":{\"type\":\"TemplateProcessing\"," x "},"
#define BEGIN       "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\"}}]"

/* What a text begins with: what tokenizer.json says, unless tokenizer_config.json does. */
static void first_tokens(void)
{
    static const struct {
        const char *json, *config;
        int64_t bos;
        bool adds;
    } cases[] = {
        {"{" BPE("") "}", NULL, -1, false},
        {"{" TEMPLATE(BEGIN ",\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3]}}") BPE("") "}", NULL, 3, true},
        {"{" TEMPLATE(BEGIN ",\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3]}}") BPE("") "}",
         "{\"bos_token\":\"a\",\"model_max_length\":1e999}", 3, true},
        {"{" TEMPLATE(BEGIN ",\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3]}}") BPE("") "}",
         "{\"bos_token\":\"a\",\"add_bos_token\":false}", 0, false},
        {"{" TEMPLATE(BEGIN ",\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3]}}") BPE("") "}",
         "\xef\xbb\xbf{\"bos_token\":\"b\",\"add_bos_token\":true}", 1, true},
        {"{\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
         "\"TemplateProcessing\"," BEGIN ",\"special_tokens\":{\"<s>\":{\"ids\":[3]}}}]}," BPE("") "}",
         "{\"add_bos_token\":null}", 3, true},
        {"{" TEMPLATE("\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<s>\"}}]") BPE("") "}",
         "{}", -1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ttt_tokenizer *tokenizer;
        CHECK_OK(ttt_tokenizer_load(&tokenizer, cases[i].json, strlen(cases[i].json)));
        if (cases[i].config) CHECK_OK(ttt_tokenizer_read_config(tokenizer, cases[i].config, strlen(cases[i].config)));
        CHECK_EQ(ttt_tokenizer_adds_bos(tokenizer), cases[i].adds);
        CHECK_EQ(ttt_tokenizer_bos(tokenizer), cases[i].bos);
        ttt_tokenizer_free(tokenizer);
    }
    static const char roberta[] =
        "{\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"b\",1],\"cls\":[\"<s>\",3]}," BPE("") "}";
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_load(&tokenizer, roberta, strlen(roberta)));
    CHECK(ttt_tokenizer_adds_bos(tokenizer) && ttt_tokenizer_bos(tokenizer) == 3);
    ttt_tokenizer_free(tokenizer);
    /* A tokenizer.model says nothing of it; transformers' class for it adds it. */
    static const char *const classes[][2] = {{"{\"tokenizer_class\":\"LlamaTokenizer\"}", "yes"},
                                             {"{\"tokenizer_class\":\"T5Tokenizer\"}", ""},
                                             {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":false}", ""}};
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(ttt_tokenizer_open(&tokenizer, FOLDER "plain.model"));
        CHECK_OK(ttt_tokenizer_read_config(tokenizer, classes[i][0], strlen(classes[i][0])));
        CHECK_EQ(ttt_tokenizer_adds_bos(tokenizer), classes[i][1][0] != '\0');
        ttt_tokenizer_free(tokenizer);
    }
    CHECK_FAILS(load_text("{" TEMPLATE(BEGIN) BPE("") "}"), TTT_ERR_FORMAT, "without one id");
    CHECK_FAILS(load_text("{" TEMPLATE(BEGIN ",\"special_tokens\":{\"<s>\":{\"ids\":[7]}}") BPE("") "}"),
                TTT_ERR_FORMAT, "the id 7, which is no token");
    CHECK_FAILS(load_text("{" TEMPLATE("\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"SpecialToken\":{\"id\":"
                                       "\"<s>\"}}]") BPE("") "}"),
                TTT_ERR_UNSUPPORTED, "several tokens");
}

int main(void)
{
    json_models();
    json_parts();
    configurations();
    other_files();
    other_folders();
    CHECK_FAILS(load_text("{\"a\":\"\\u0000\"}"), TTT_ERR_FORMAT, "\\u0000 in a string is not supported");
    first_tokens();
    models();
    beginnings();
    faults();
    return test_end();
}
