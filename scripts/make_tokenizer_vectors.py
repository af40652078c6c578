#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/unit/tokenizers: tiny tokenizers of every supported form, and what the originals make of texts and ids.

The tests then need neither Hugging Face nor SentencePiece. Made with tokenizers 0.19.1, sentencepiece 0.2.1 or newer
and protobuf. Each .jsonl line has a text with its ids (special tokens parsed, or not: "plain"), or ids with their text
(special tokens kept, or not: "skipped").
"""
import base64
import json
import os
import random
import tempfile
import unicodedata
import zlib

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "unit", "tokenizers")
SPACE = "\u2581"
PARTS = ["a", "b", "c", "the ", "boat", " ", "  ", "\n", "\n\n", "\t", "'", "'s", "don't", "é", "e\u0301", "\u0323",
         "\u0301", "ß", "海", "바", "\u1107\u1161", "🐚", "\u200d", "½", "27", "٣", ".", "!?", "_", SPACE, "\u00a0",
         "\u3000", "<s>", "</s>", "<sep>", "[m]", "[l]", "[r]", "word", "ﬁ", "Ａ", "x", "<unk>", "<0x41>", "\u1dfa",
         "<|endoftext|>", "ababab", "aaaaa", "\0", "\ufffd", "\u180e", "\u2003", "ō", "o\u0304"]


def added(number, content, **flags):
    token = {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    return {**token, **flags}


def file(model, tokens=(), normalizer=None, pre_tokenizer=None, decoder=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder,
            "model": {"type": "BPE", "dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **model}}


def random_bpe(first, alphabet, count):
    """Tokens `first` and `alphabet`, and random merges; several may give the same token."""
    tokens, merges = first + alphabet, []
    while len(merges) < count:
        left, right = random.choice(tokens[len(first):]), random.choice(tokens[len(first):])
        if len(left + right) > 6 or f"{left} {right}" in merges:
            continue
        merges.append(f"{left} {right}")
        if left + right not in tokens:
            tokens.append(left + right)
    return {"vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}


def trained():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    with open(os.path.join(FOLDER, "train.txt"), encoding="utf-8", newline="") as text:
        tokenizer.train_from_iterator([text.read()], trainer)
    return json.loads(tokenizer.to_str())


def hugging_face():
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    llama = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]}
    steps = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    base = trained()
    number = len(base["model"]["vocab"])
    yield "trained", base
    yield "nfc", {**base, "normalizer": {"type": "NFC"}, "added_tokens": base["added_tokens"] + [
        added(number, "  ", special=False, normalized=True), added(number + 1, "ō", special=False, normalized=True),
        added(number + 2, "word", special=False, single_word=True), added(number + 3, "[m]", lstrip=True, rstrip=True),
        added(number + 4, "[l]", lstrip=True, normalized=True), added(number + 5, "[r]", rstrip=True)]}
    yield "prefix", {**base, "pre_tokenizer": {**byte_level, "add_prefix_space": True, "use_regex": False}}
    specials = [added(i, token) for i, token in enumerate(["<unk>", "<s>", "</s>"])]
    names = [token["content"] for token in specials]
    whole = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    yield "llama", file({**random_bpe(names + byte_tokens, ["a", "b", "c", SPACE, "é"], 40), **whole}, specials, llama,
                        None, steps)
    model = random_bpe(names + byte_tokens, ["a", "b", "c", "o", SPACE, "海"], 40)
    model["vocab"]["boat"] = len(model["vocab"])
    yield "first", file({**model, **whole, "ignore_merges": True}, specials, None, metaspace, steps)
    model = random_bpe(names, ["a", "b", "c", SPACE], 30)
    always = {**metaspace, "prepend_scheme": "always", "split": True}
    yield "unknown", file({**model, "unk_token": "<unk>", "fuse_unk": True}, specials, None, always, always)
    yield "single", file({**model, "unk_token": "<unk>"}, specials, None, {**always, "prepend_scheme": "never"},
                         {**always, "prepend_scheme": "never"})
    yield "dropped", file(model, specials, None, None, None)


def unigram_model():
    """A SentencePiece model of type Unigram, with pieces of every type."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        sentencepiece.SentencePieceTrainer.train(
            input=os.path.join(FOLDER, "train.txt"), model_prefix=path, model_type="unigram", minloglevel=2,
            normalization_rule_name="identity", vocab_size=460, byte_fallback=True, hard_vocab_limit=False,
            character_coverage=0.98, num_threads=1, user_defined_symbols=["<sep>", "the", "a b"], control_symbols=["[l]"])
        model = sentencepiece_model_pb2.ModelProto()
        with open(path + ".model", "rb") as stream:
            model.ParseFromString(stream.read())
    model.trainer_spec.ClearField("input")
    model.trainer_spec.ClearField("model_prefix")
    for piece in model.pieces:
        if piece.type == 1 and random.random() < 0.1:
            piece.type = 5
        elif piece.type == 1 and random.random() < 0.3:
            piece.score = round(piece.score)
    return model.SerializeToString(deterministic=True)


def sentencepiece_lines(name, content, texts):
    with open(os.path.join(FOLDER, name + ".model"), "wb") as out:
        out.write(content)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    lines = [{"text": text, "plain": processor.encode(text)} for text in texts]
    for _ in range(60):
        ids = [random.randrange(processor.vocab_size()) for _ in range(random.randint(0, 12))]
        lines.append({"ids": ids, "decoded": processor.decode(ids), "skipped": processor.decode(ids)})
    write_lines(name, lines)


def sentencepiece_models():
    with tempfile.TemporaryDirectory() as folder:
        rules = os.path.join(folder, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as out:
            out.write("FB01\t66 69\nFF21\t41\n3000\t20\n9\t20\nA\t20\nE9\t65 301\n65 301\tE9\nAD\t\n")
        for name, options in {
                "plain": {"normalization_rule_name": "identity", "byte_fallback": True, "vocab_size": 400,
                          "remove_extra_whitespaces": False, "user_defined_symbols": ["<sep>", "the", "thex"]},
                "rules": {"normalization_rule_tsv": rules, "byte_fallback": False, "vocab_size": 140,
                          "user_defined_symbols": ["[m]", "a b"]},
                "suffix": {"normalization_rule_name": "identity", "treat_whitespace_as_suffix": True,
                           "vocab_size": 140, "unk_surface": "?"}}.items():
            path = os.path.join(folder, name)
            sentencepiece.SentencePieceTrainer.train(
                input=os.path.join(FOLDER, "train.txt"), model_prefix=path, model_type="bpe", minloglevel=2,
                character_coverage=0.98, hard_vocab_limit=False, control_symbols=["[l]"], **options)
            model = sentencepiece_model_pb2.ModelProto()
            with open(path + ".model", "rb") as stream:
                model.ParseFromString(stream.read())
            model.trainer_spec.ClearField("input")
            model.trainer_spec.ClearField("model_prefix")
            for piece in model.pieces:
                if name == "suffix" and piece.type == 1 and random.random() < 0.2:
                    piece.type = 5
                elif piece.type == 1 and random.random() < 0.3:
                    piece.score = round(piece.score, -1)
            yield name, model.SerializeToString(deterministic=True)


# How released tokenizers split text: Llama 3, Qwen 2, GPT-4o, DeepSeek and BLOOM.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"]
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
ODD = ["'S", "'Ll", "İstanbul", "ǅ", "Ⅷ", "①", "²", "\u180e", "\u0085", "\u2028", "\x0b", "\r\n", "\r", "\n \n", "   x", "\t\t", "12345",
       "٣٤٥", "𝟘", "\u200b", "\u200c", "\ufeff", "कि", "ไทย", "각", "がｶﾞ", "ﬃ", "Å", "ａｂｃ", "№", "…", "。", "¿", "«", "$+<=>^`|~", "_a_",
       "a.b,c!?", "don't", "DON'T", "ſ", "ẞ", "Σας", "ΑΣ", "é", "e\u0301\u0323", "\u0344", "\u1e9b\u0323", "㋿", "ꟲ", "🯰", "\U00011938",
       "\u0378", "\U0001f1e9\U0001f1ea", "👩\u200d🚀", "boat", "the boat", "  the  ", "word", "x", "ab", "abab", "<pad>", "</s>"]


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(kind, *parts):
    return {"type": "Sequence", {"pre_tokenizer": "pretokenizers", "normalizer": "normalizers"}[kind]: list(parts)}


def unigram(normalization, byte_fallback):
    """Pieces and scores of SentencePiece, and its map of characters."""
    with tempfile.TemporaryDirectory() as folder:
        rules, path = os.path.join(folder, "rules.tsv"), os.path.join(folder, "model")
        with open(rules, "w", encoding="utf-8") as out:
            out.write(normalization)
        sentencepiece.SentencePieceTrainer.train(
            input=os.path.join(FOLDER, "train.txt"), model_prefix=path, model_type="unigram", minloglevel=2,
            normalization_rule_tsv=rules, vocab_size=460 if byte_fallback else 200, byte_fallback=byte_fallback,
            hard_vocab_limit=False, character_coverage=0.98, num_threads=1)
        model = sentencepiece_model_pb2.ModelProto()
        with open(path + ".model", "rb") as stream:
            model.ParseFromString(stream.read())
    vocabulary = [[piece.piece, round(piece.score, 4)] for piece in model.pieces]
    return vocabulary, base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()


def released_forms():
    """The shapes of released and of home-made tokenizers, with small vocabularies."""
    base = trained()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    gpt2 = {**byte_level, "use_regex": True}
    bos = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                                                    {"Sequence": {"id": "A", "type_id": 0}}],
           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
           "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}

    def steps(*parts, **more):
        return {**base, "pre_tokenizer": sequence("pre_tokenizer", *parts), **more}

    yield "starcoder", steps({"type": "Digits", "individual_digits": True}, gpt2)
    yield "llama3", {**steps(split(LLAMA3), byte_level, post_processor=bos), "model": {**base["model"], "ignore_merges": True}}
    yield "qwen2", steps(split(QWEN2), byte_level, normalizer={"type": "NFC"})
    yield "gpt4o", steps(split(GPT4O, "Removed", True), byte_level)
    yield "deepseek", steps(*[split(part) for part in DEEPSEEK], byte_level)
    yield "bloom", steps(split(BLOOM), byte_level)
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
    rules = "FB01\t66 69\nFF21\t41\n3000\t20\n9\t20\nA\t20\nD\t20\nE9\t65 301\n65 301\tE9\nAD\t\n41\t61\n"
    vocabulary, charsmap = unigram(rules, False)
    specials = [added(i, vocabulary[i][0]) for i in range(3)]
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False}
    t5 = {**file({}, specials, {"type": "Precompiled", "precompiled_charsmap": charsmap},
                 sequence("pre_tokenizer", {"type": "WhitespaceSplit"}, metaspace), metaspace), "model": model}
    yield "t5", t5
    first = {**metaspace, "prepend_scheme": "first"}
    yield "words", {**t5, "normalizer": None, "pre_tokenizer": sequence(
        "pre_tokenizer", split("b", "MergedWithNext", kind="String"), first, {"type": "Punctuation", "behavior": "Contiguous"})}
    vocabulary, _ = unigram("AD\t\n", True)
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": True}
    yield "albert", {**t5, "model": model, "pre_tokenizer": {**metaspace, "split": False}, "normalizer": sequence(
        "normalizer", {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, {"type": "NFKD"},
        {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})}
    letters = random_bpe(["<unk>", "<pad>"], list("abcdehotwx12") + ["é", "."], 60)
    home = file({**letters, "unk_token": "<unk>"}, [added(0, "<unk>"), added(1, "<pad>")])
    yield "whitespace", {**home, "pre_tokenizer": {"type": "Whitespace"},
                         "normalizer": sequence("normalizer", {"type": "NFKC"}, {"type": "Lowercase"})}
    yield "punctuation", {**home, "normalizer": {"type": "NFD"}, "pre_tokenizer": sequence(
        "pre_tokenizer", {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "MergedWithPrevious"},
        {"type": "Digits", "individual_digits": False}, split("[ab]|x*", "MergedWithNext"))}
    yield "behaviors", {**home, "normalizer": {"type": "Strip", "strip_left": False, "strip_right": True}, "pre_tokenizer": sequence(
        "pre_tokenizer", split("\\w+", "Contiguous"), split("o|", "MergedWithPrevious"), split("a", "MergedWithNext", kind="String"),
        split("[\\s.]", "Removed"))}
    yield "falcon", steps({"type": "Punctuation", "behavior": "Contiguous"}, gpt2,
                          {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]"))


def write_lines(name, lines):
    with open(os.path.join(FOLDER, name + ".jsonl"), "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def unicode_lines():
    """What normalizers make of every character, and which ones are cut: the CRC-32 of it all. Python 3.11 says which
    characters Unicode 14 has; the others are left out where tokenizers' own Unicode is newer."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    text = "\n".join(every)
    for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]:
        result = getattr(normalizers, name)().normalize_str(text)
        yield {"normalizer": name, "crc": zlib.crc32(result.encode())}
    known = [character for character in every if unicodedata.category(character) != "Cn"]
    for name in ["Punctuation", "Digits", "WhitespaceSplit", "Whitespace"]:
        tokenizer = getattr(pre_tokenizers, name)()
        flags = bytes(len(tokenizer.pre_tokenize_str("a" + character + "a")) for character in known)
        yield {"pre_tokenizer": name, "crc": zlib.crc32(flags)}


def hugging_face_lines(name, content, texts, chance):
    path = os.path.join(FOLDER, name + ".json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(content, out, ensure_ascii=False, indent=0)
        out.write("\n")
    tokenizer, lines = Tokenizer.from_file(path), []
    for text in texts:
        lines.append({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids})
        tokenizer.encode_special_tokens = True
        lines[-1]["plain"] = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
    numbers = sorted(tokenizer.get_vocab().values())
    for _ in range(40):
        ids = [chance.choice(numbers) for _ in range(chance.randint(0, 12))]
        lines.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                      "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    write_lines(name, lines)


def main():
    random.seed(1)
    texts = ["", " ", "  ", SPACE, "a", "<s>", " a  b "] + [
        "".join(random.choice(PARTS) for _ in range(random.randint(1, 12))) for _ in range(60)]
    for name, content in hugging_face():
        hugging_face_lines(name, content, texts, random)
    for name, content in sentencepiece_models():
        sentencepiece_lines(name, content, texts)
    random.seed(3)
    texts += ODD + ["".join(random.choice(PARTS + ODD) for _ in range(random.randint(1, 12))) for _ in range(80)]
    for name, content in released_forms():
        hugging_face_lines(name, content, texts, random)
    sentencepiece_lines("unigram", unigram_model(), texts)
    write_lines("unicode", unicode_lines())


main()
