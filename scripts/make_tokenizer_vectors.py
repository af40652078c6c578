#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/unit/tokenizers: tiny tokenizers of every supported form, and what the originals make of texts and ids.

The tests then need neither Hugging Face nor SentencePiece. Made with tokenizers 0.19.1, sentencepiece 0.2.1 or newer
and protobuf. Each .jsonl line has a text with its ids (special tokens parsed, or not: "plain"), or ids with their text
(special tokens kept, or not: "skipped").
"""
import json
import os
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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


def write_lines(name, lines):
    with open(os.path.join(FOLDER, name + ".jsonl"), "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def main():
    random.seed(1)
    texts = ["", " ", "  ", SPACE, "a", "<s>", " a  b "] + [
        "".join(random.choice(PARTS) for _ in range(random.randint(1, 12))) for _ in range(60)]
    for name, content in hugging_face():
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
            ids = [random.choice(numbers) for _ in range(random.randint(0, 12))]
            lines.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                          "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
        write_lines(name, lines)
    for name, content in sentencepiece_models():
        with open(os.path.join(FOLDER, name + ".model"), "wb") as out:
            out.write(content)
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        lines = [{"text": text, "plain": processor.encode(text)} for text in texts]
        for _ in range(60):
            ids = [random.randrange(processor.vocab_size()) for _ in range(random.randint(0, 12))]
            lines.append({"ids": ids, "decoded": processor.decode(ids), "skipped": processor.decode(ids)})
        write_lines(name, lines)


main()
