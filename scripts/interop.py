#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do other programs read a model folder of ttt, and compute the same with it?

usage: scripts/interop.py TTT MODEL TEXT CHECKOUT

TTT is the program, MODEL a trained folder, TEXT a text in UTF-8, CHECKOUT a checkout of ttt-lm-pytorch, whose code is
the measure (it needs torch 2.4 and transformers 4.41.2). tokenizers must give the ids and texts that ttt gives; the
authors' model must load every parameter under its name and shape, give the same loss to 1e-4, logits and gradients
within the tolerances of ttt verify, and the same greedy text; its configuration must survive being read and written
there; and ttt must read and verify the folder that transformers writes.
What cannot be checked for want of a package is skipped and said so. Exit status: 0 all agree, 1 something does not,
77 nothing disagrees but a part was skipped.
"""
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CHARACTERS = 2000  # of the text that the model reads
PROMPT_TOKENS, NEW_TOKENS = 100, 32  # the authors' code reads everything anew for each token
SURE = 1e-3  # logits nearer than this may change places by rounding
LOSS_TOLERANCE = 1e-4
# What transformers writes about itself.
NOT_OURS = {"transformers_version", "torch_dtype", "dtype", "_name_or_path"}

failed = skipped = 0


def check(ok, what):
    global failed
    failed += not ok
    print(("agrees   " if ok else "DIFFERS  ") + what)


def skip(what):
    global skipped
    skipped += 1
    print("skipped  " + what)


def need(what, *modules):
    """The modules, or None and a line that says which is absent."""
    try:
        return [importlib.import_module(name) for name in modules]
    except ImportError as error:
        skip(f"{what}: {error}")
        return None


class Ttt:
    def __init__(self, program, model):
        self.program, self.model = program, model

    def run(self, *arguments, text=None):
        done = subprocess.run([self.program, *map(str, arguments)], input=text, capture_output=True)
        if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout):
            sys.exit(f"{self.program} {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def through(self, key, value, result, *command):
        line = json.dumps({key: value}).encode()
        return json.loads(self.run(*command, "--tokenizer", self.model, "--jsonl", text=line))[result]

    def ids(self, text):
        return self.through("text", text, "ids", "tokenize", "--no-truncation")

    def text(self, ids):
        return self.through("ids", ids, "text", "detokenize")


def check_tokenizer(ttt, tokenizers, text):
    tokenizer = tokenizers.Tokenizer.from_file(str(ttt.model / "tokenizer.json"))
    tokenizer.no_truncation()
    theirs, ours = tokenizer.encode(text, add_special_tokens=False).ids, ttt.ids(text)
    check(theirs == ours, f"ids of {len(text)} characters: {len(theirs)} by tokenizers, {len(ours)} by ttt")
    check(tokenizer.decode(theirs, skip_special_tokens=False) == ttt.text(theirs), "the text of these ids")


def differences(one, two):
    return [key for key in one if key not in NOT_OURS and (key not in two or two[key] != one[key])]


def check_folder(ttt, model, loaded, written):
    """Names, shapes, configuration; and the way back through transformers."""
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        left = set(loaded[kind])
        if model.config.tie_word_embeddings:
            left.discard("lm_head.weight")
        check(not left, f"{kind.replace('_', ' ')}: {', '.join(sorted(left)) or 'none'}")
    ours = json.loads((ttt.model / "config.json").read_text())
    changed = differences(ours, model.config.to_dict())
    check(not changed, f"config.json as read there: {', '.join(changed) or 'every value'}")
    model.save_pretrained(written / "there")
    ttt.run("convert", written / "there", written / "back")
    changed = differences(ours, json.loads((written / "back" / "config.json").read_text()))
    check(not changed, f"config.json written there and read back: {', '.join(changed) or 'every value'}")


def authors_values(torch, model, ids):
    """Loss, logits and gradients as a golden file holds them."""
    tokens = torch.tensor([ids])
    model.train()
    result = model(input_ids=tokens, labels=tokens)
    result.loss.backward()
    values = {"tokens": tokens.int(), "loss": result.loss.detach().reshape(1), "logits": result.logits.detach()}
    values.update({"grad." + name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    return {name: value.contiguous().clone() for name, value in values.items()}


def greedy(torch, model, ids):
    """The likeliest continuation, up to where a second token is as likely."""
    model.eval()
    new = []
    with torch.no_grad():
        while len(new) < NEW_TOKENS:
            best = model(input_ids=torch.tensor([ids + new])).logits[0, -1].topk(2)
            if best.values[0] - best.values[1] < SURE:
                break
            new.append(int(best.indices[0]))
    return new


def check_numbers(ttt, torch, save_file, model, text, written):
    ids = ttt.ids(text)
    if len(ids) < 2:
        sys.exit("the text is too short: fewer than two tokens")
    values = authors_values(torch, model, ids)
    (written / "text.txt").write_text(text, newline="")
    ours = json.loads(ttt.run("eval", "-m", ttt.model, "--no-bos", "--parse-special", "--json", written / "text.txt"))
    theirs = values["loss"].item()
    check(ours["tokens"] == len(ids) - 1 and abs(ours["loss"] - theirs) <= LOSS_TOLERANCE,
          f"loss of {ours['tokens']} tokens: {theirs:.6f} there, {ours['loss']:.6f} by ttt eval")

    save_file(values, written / "values.safetensors", metadata={"format": "pt"})
    for folder, name in ((ttt.model, "the folder"), (written / "there", "the folder as transformers writes it")):
        report = json.loads(ttt.run("verify", "-m", folder, "--golden", written / "values.safetensors", "--json"))
        worst = max(report["quantities"], key=lambda q: (q["max_rel"] or 0) / (q["tolerance"] or 1))
        over = [q["name"] for q in report["quantities"] if not q["ok"]]
        check(not over, f"ttt verify, {name}: {len(report['quantities'])} quantities, the farthest {worst['name']} "
              f"at {worst['max_rel']:.1e} of {worst['tolerance']:.0e}{'; over: ' + ', '.join(over[:5]) if over else ''}")

    prompt = ids[:PROMPT_TOKENS]
    new = greedy(torch, model, prompt)
    (written / "prompt.txt").write_text(ttt.text(prompt) + "\n", newline="")  # the newline at the end is none of the prompt
    if not new or ttt.ids(ttt.text(prompt)) != prompt:
        return skip("greedy text: no clear first token, or the prompt has other tokens by itself")
    ours = ttt.run("generate", "-m", ttt.model, "-f", written / "prompt.txt", "-n", len(new), "--temp", 0,
                   "--repetition-penalty", 1, "--no-bos", "--parse-special", "--ignore-eos")
    theirs = ttt.text(prompt + new)[len(ttt.text(prompt)):]
    check(ours.decode(errors="replace") == theirs, f"greedy text of {len(new)} tokens: {theirs[:40]!r}...")


def main():
    if len(sys.argv) != 5:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 64
    ttt, checkout = Ttt(sys.argv[1], Path(sys.argv[2])), Path(sys.argv[4])
    text = Path(sys.argv[3]).read_bytes().decode()

    if not (ttt.model / "tokenizer.json").exists():
        skip("tokenizer: the folder has no tokenizer.json")
    elif modules := need("tokenizer", "tokenizers"):
        check_tokenizer(ttt, modules[0], text)

    sys.path.insert(0, str(checkout))
    modules = need("model", "torch", "transformers", "safetensors.torch")
    if modules and not (checkout / "ttt.py").exists():
        skip(f"model: {checkout} has no ttt.py; it should be a checkout of ttt-lm-pytorch")
    elif modules and (authors := need("model", "ttt")):
        torch, transformers, safetensors = modules
        print(f"         torch {torch.__version__}, transformers {transformers.__version__}")
        with tempfile.TemporaryDirectory() as folder:
            model, loaded = authors[0].TTTForCausalLM.from_pretrained(
                ttt.model, torch_dtype=torch.float32, output_loading_info=True)
            check_folder(ttt, model, loaded, Path(folder))
            check_numbers(ttt, torch, safetensors.save_file, model, text[:CHARACTERS], Path(folder))
    print(f"{failed} differ" if failed else "all that was checked agrees" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 77 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
