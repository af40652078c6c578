/* SPDX-License-Identifier: MIT */
#include "base/kind.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

#define GGUF "a GGUF file, as llama.cpp uses; ttt reads the Hugging Face folder that it was made from"

static const struct kind {
    const char *name;
    unsigned char size, at; /* of what stands in the file, and where */
    const char *bytes;
} kinds[] = {
    {"a Git LFS pointer: the file itself was not downloaded (git lfs pull fetches it)", 39, 0,
     "version https://git-lfs.github.com/spec"},
    {"text in UTF-32; convert it to UTF-8, for example by iconv", 4, 0, "\xff\xfe\0\0"},
    {"text in UTF-32; convert it to UTF-8, for example by iconv", 4, 0, "\0\0\xfe\xff"},
    {"text in UTF-16; convert it to UTF-8, for example by iconv", 2, 0, "\xff\xfe"},
    {"text in UTF-16; convert it to UTF-8, for example by iconv", 2, 0, "\xfe\xff"},
    {"packed by xz; unpack it first, by xz -d", 6, 0,
     "\xfd"
     "7zXZ\0"},
    {"packed by bzip2; unpack it first, by bunzip2", 6, 4, "1AY&SY"},
    {"packed by lz4; unpack it first, by lz4 -d", 4, 0, "\x04\x22\x4d\x18"},
    {"a 7z archive; unpack it first", 6, 0, "7z\xbc\xaf\x27\x1c"},
    {"a RAR archive; unpack it first", 6, 0, "Rar!\x1a\x07"},
    {"a Debian package or an archive of object files", 8, 0, "!<arch>\n"},
    {"a PDF; extract its text first, for example by pdftotext", 5, 0, "%PDF-"},
    {"an old Word or Excel file; save it as text first", 8, 0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
    {"RTF; save it as text first", 6, 0, "{\\rtf1"},
    {"a PNG picture", 8, 0, "\x89PNG\r\n\x1a\n"},
    {"a JPEG picture", 3, 0, "\xff\xd8\xff"},
    {"a GIF picture", 6, 0, "GIF87a"},
    {"a GIF picture", 6, 0, "GIF89a"},
    {"a TIFF picture", 4, 0, "II*\0"},
    {"a TIFF picture", 4, 0, "MM\0*"},
    {"a sound file (Ogg)", 5, 0, "OggS\0"},
    {"a sound file (FLAC)", 5, 0, "fLaC\0"},
    {"a sound file (MP3)", 4, 0, "ID3\x03"},
    {"a sound file (MP3)", 4, 0, "ID3\x04"},
    {"a program or library (ELF)", 4, 0,
     "\x7f"
     "ELF"},
    {"a Java class", 4, 0, "\xca\xfe\xba\xbe"},
    {"a WebAssembly program", 4, 0, "\0asm"},
    {"a SQLite database", 16, 0, "SQLite format 3"},
    {"a Parquet table; export its text, for example as JSON lines", 5, 0, "PAR1\x15"},
    {"an Arrow table; export its text, for example as JSON lines", 8, 0, "ARROW1\0"},
    {"an HDF5 file", 8, 0, "\x89HDF\r\n\x1a\n"},
    {"a NumPy array", 6, 0, "\x93NUMPY"},
    {GGUF, 8, 0, "GGUF\x01\0\0"},
    {GGUF, 8, 0, "GGUF\x02\0\0"},
    {GGUF, 8, 0, "GGUF\x03\0\0"},
    {GGUF, 4, 0, "lmgg"},
    {"a file of tokens (train.tokens or valid.tokens); give its folder", 8, 0, "ttttoken"},
};

static int holds(const unsigned char *bytes, size_t size, const char *part, size_t length)
{
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, part, length) == 0) return 1;
    return 0;
}

/* A zip archive is also how PyTorch saves tensors and how offices save documents: names of what it holds tell. */
static const char *zip_name(const unsigned char *bytes, size_t size)
{
    const size_t seen = size < 512 ? size : 512;
    if (size < 4 || memcmp(bytes, "PK\x03\x04", 4) != 0) return NULL;
    if (holds(bytes, seen, "/data.pkl", 9) || holds(bytes, seen, "/byteorder", 10) || holds(bytes, seen, "/.format", 8))
        return "a PyTorch file (pytorch_model.bin, .pt, .pth); save the model as safetensors";
    if (holds(bytes, seen, ".npy", 4)) return "NumPy arrays (.npz)";
    return "a zip archive, as .docx, .xlsx and .epub are too; unpack it or save it as text first";
}

static const char *framed_name(const unsigned char *bytes, size_t size)
{
    uint64_t header = 0;
    if (size > 257 + 5 && memcmp(bytes + 257, "ustar", 5) == 0) return "a tar archive; unpack it first";
    if (size > 12 && memcmp(bytes, "RIFF", 4) == 0) {
        if (memcmp(bytes + 8, "WEBP", 4) == 0) return "a WebP picture";
        if (memcmp(bytes + 8, "WAVE", 4) == 0 || memcmp(bytes + 8, "AVI ", 4) == 0) return "sound or a film (WAV, AVI)";
    }
    if (size > 8 && bytes[0] == 0 && memcmp(bytes + 4, "ftyp", 4) == 0) return "a film or sound file (MP4)";
    for (int i = 7; i >= 0 && size > 10; i--) header = header << 8 | bytes[i];
    if (header > 0 && header < 1 << 28 && size > 10 && bytes[8] == '{' && bytes[9] == '"')
        return "a safetensors file, which holds numbers";
    /* Python's pickle: protocol 2 to 5, then what every saved object begins with. */
    if (size > 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5 && strchr("\x8a\x95}c(]", bytes[2]))
        return "a pickled Python object, as old PyTorch files are (pytorch_model.bin); save the model as safetensors";
    return NULL;
}

const char *ttt_kind_name(const void *start, size_t size)
{
    const unsigned char *bytes = start;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *kind = &kinds[i];
        if (size >= (size_t)kind->at + kind->size && memcmp(bytes + kind->at, kind->bytes, kind->size) == 0)
            return kind->name;
    }
    const char *zip = zip_name(bytes, size);
    return zip ? zip : framed_name(bytes, size);
}

static size_t skip_blank(const char *text, size_t size)
{
    size_t at = ttt_byte_order_mark(text, size);
    while (at < size && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))) at++;
    return at;
}

/* "BASE64 NUMBER" on the first line, as tiktoken's files have; number, quoted token and length in RWKV's. */
static const char *list_name(const char *text, size_t size)
{
    char line[256];
    const char *end = memchr(text, '\n', size);
    const size_t length = end ? (size_t)(end - text) : size;
    if (length == 0 || length >= sizeof line) return NULL;
    memcpy(line, text, length);
    line[length] = '\0';
    const size_t token = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
    const size_t digits = line[token] == ' ' ? strspn(line + token + 1, "0123456789") : 0;
    if (token >= 4 && token % 4 == 0 && digits > 0 &&
        strspn(line + token + 1 + digits, "\r") + token + 1 + digits == length)
        return "a tiktoken vocabulary, which does not say how text is split; take the tokenizer.json of the same model";
    char *rest;
    const long number = strtol(line, &rest, 10);
    if (rest > line && number >= 0 && *rest == ' ' && (rest[1] == '\'' || rest[1] == '"' || rest[1] == 'b'))
        return "an RWKV vocabulary, which is not supported";
    if (strncmp(line, "#version:", 9) == 0)
        return "a list of merges (merges.txt); take the tokenizer.json of the same model";
    return NULL;
}

const char *ttt_kind_name_not_tokenizer(const void *start, size_t size)
{
    const char *text = start, *name = ttt_kind_name(start, size);
    if (name || size == 0) return name;
    const size_t at = skip_blank(text, size);
    static const char *const pages[] = {"<!doctype", "<html", "<?xml", "<head", "<!--"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (size - at >= strlen(pages[i]) && strncasecmp(text + at, pages[i], strlen(pages[i])) == 0)
            return "a web page: a download that went wrong saves one in the place of the file";
    return list_name(text + at, size - at);
}

/* Names of files by how they begin and end. */
static const struct alias {
    const char *begins, *ends, *what;
    bool tokenizer;
} aliases[] = {
    {"spiece", ".model", "a SentencePiece model: give the file itself, or call it tokenizer.model", true},
    {"sentencepiece", ".model", "a SentencePiece model: give the file itself, or call it tokenizer.model", true},
    {"", ".tiktoken", "a tiktoken vocabulary; take the tokenizer.json of the same model", true},
    {"rwkv_vocab", ".txt", "an RWKV vocabulary, which is not supported", true},
    {"merges.txt", "merges.txt", "but a part of a tokenizer; take the tokenizer.json of the same model", true},
    {"vocab.txt", "vocab.txt", "a WordPiece vocabulary, which is not supported", true},
    {"", ".gguf", "a GGUF file; ttt reads the Hugging Face folder that it was made from", false},
    {"", ".bin", "a PyTorch file; save the model as safetensors", false},
    {"", ".bin.index.json", "a list of PyTorch files; save the model as safetensors", false},
    {"", ".pth", "a PyTorch file; save the model as safetensors", false},
    {"", ".pt", "a PyTorch file; save the model as safetensors", false},
    {"", ".h5", "a TensorFlow file; save the model as safetensors", false},
    {"", ".msgpack", "a Flax file; save the model as safetensors", false},
    {"model", ".safetensors", NULL, false}, /* weights, as they should be called */
    {"", ".safetensors", "none of the names that are looked for; call it model.safetensors", false},
};

static const char *alias_of(const char *name, bool tokenizer)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        const struct alias *alias = &aliases[i];
        const size_t length = strlen(name), end = strlen(alias->ends);
        if (alias->tokenizer == tokenizer && length >= end && strcmp(name + length - end, alias->ends) == 0 &&
            strncmp(name, alias->begins, strlen(alias->begins)) == 0)
            return alias->what;
    }
    return NULL;
}

const char *ttt_kind_of_folder(char *text, size_t size, const char *path, bool tokenizer)
{
    char first[256] = "";
    text[0] = '\0';
    DIR *folder = opendir(path);
    /* Which entry comes first is the file system's affair: the first by name is told. */
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        const char *what = alias_of(entry->d_name, tokenizer);
        if (!what || (first[0] && strcmp(entry->d_name, first) >= 0)) continue;
        snprintf(first, sizeof first, "%s", entry->d_name);
        snprintf(text, size, ", but %s, which is %s", first, what);
    }
    if (folder) closedir(folder);
    return text;
}
