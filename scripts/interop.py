#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do other programs read a model folder of ttt, and compute the same with it? And does ttt read theirs?

usage: scripts/interop.py TTT MODEL TEXT CHECKOUT
       scripts/interop.py TTT --others

TTT is the program, MODEL a trained folder, TEXT a text in UTF-8, CHECKOUT a checkout of ttt-lm-pytorch, whose code is
the measure (it needs torch 2.4 and transformers 4.41.2). tokenizers must give the ids and texts that ttt gives; the
authors' model must load every parameter under its name and shape, give the same loss to 1e-4, logits and gradients
within the tolerances of ttt verify, and the same greedy text; its configuration must survive being read and written
there; and ttt must read and verify the folder that transformers writes.
With --others, transformers (4.41 or 5) makes folders of Llama, Mistral and Mamba with random weights: sharded or not,
in bf16 or f32, tied and untied. ttt must give their logits, gradients and greedy text, and what ttt convert writes of
them must load there again with the same logits.
What cannot be checked for want of a package, or of a version of it, is skipped and said so. Exit status: 0 all agree, 1
something does not, 77 nothing disagrees but a part was skipped.
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


def version_fits(what, module, wanted):
    """Whether a module's version begins so; else a line that says which it is."""
    if module.__version__.startswith(wanted):
        return True
    skip(f"{what}: it needs {module.__name__} {wanted}, and {module.__version__} is installed")
    return False


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


# ---- models of other projects ----

PROMPT = "In the beginning was the word, and"
SHARD = "100KB"


def letters_tokenizer(tokenizers, path):
    """Every printable character of ASCII a token, so that any tokens are a text."""
    alphabet = [chr(c) for c in range(33, 127)] + ["Ġ", "Ċ"]  # space and newline, as byte-level BPE writes them
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(str(path / "tokenizer.json"))
    return tokenizer


def kinds_of(transformers):
    """Name, class of the configuration, and its keys. No number is what its key means when it is absent."""
    sizes = {"vocab_size": 96, "hidden_size": 48, "num_hidden_layers": 3, "bos_token_id": None, "eos_token_id": None,
             "pad_token_id": None}
    # A window before transformers 5 let a token see one more than it says: there the text stays within it.
    window = 9 if int(transformers.__version__.split(".")[0]) >= 5 else 4096
    heads = {"num_attention_heads": 4, "intermediate_size": 80, "rms_norm_eps": 1e-5, "attn_implementation": "eager"}
    return [("llama", transformers.LlamaConfig, {**sizes, **heads, "num_key_value_heads": 4, "tie_word_embeddings": True}),
            ("llama, grouped queries, untied", transformers.LlamaConfig, {**sizes, **heads, "num_key_value_heads": 2}),
            ("mistral", transformers.MistralConfig, {**sizes, **heads, "num_key_value_heads": 2, "sliding_window": window}),
            ("mamba", transformers.MambaConfig, {**sizes, "state_size": 8, "conv_kernel": 3, "time_step_rank": 5}),
            ("mamba, untied", transformers.MambaConfig, {**sizes, "expand": 1, "tie_word_embeddings": False})]


def make_folder(torch, transformers, kind, settings, bf16, folder):
    """A model far from where training begins, saved as its project saves it."""
    torch.manual_seed(1)
    config = kind(**settings)
    if kind is transformers.LlamaConfig:  # the key has another place in transformers 5
        if hasattr(config, "rope_theta"):
            config.rope_theta = 500.0
        else:
            config.rope_parameters = {"rope_theta": 500.0, "rope_type": "default"}
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.12)
    model.to(torch.bfloat16 if bf16 else torch.float32).save_pretrained(folder, max_shard_size=SHARD if bf16 else "5GB")


def load(torch, transformers, folder):
    """The model in float32, and whether every parameter was there and none too much."""
    model, loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32,
                                                                      output_loading_info=True)
    left = set(loaded["missing_keys"]) | set(loaded["unexpected_keys"]) | set(loaded["mismatched_keys"])
    return model, left - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())


def check_other(ttt, torch, transformers, safetensors, tokenizers, name, written):
    tokenizer = letters_tokenizer(tokenizers, ttt.model)
    ids = tokenizer.encode(PROMPT).ids
    model, _ = load(torch, transformers, ttt.model)
    values = authors_values(torch, model, ids)
    safetensors.save_file(values, written / "values.safetensors", metadata={"format": "pt"})
    report = json.loads(ttt.run("verify", "-m", ttt.model, "--golden", written / "values.safetensors", "--json",
                                "--precision", "f32"))
    over = [q["name"] for q in report["quantities"] if not q["ok"]]
    check(not over, f"{name}: {len(report['quantities'])} quantities by ttt verify"
          f"{'; over: ' + ', '.join(over[:5]) if over else ''}")

    new = greedy(torch, model, ids)
    ours = ttt.run("generate", "-m", ttt.model, "-p", PROMPT, "-n", len(new), "--temp", 0, "--repetition-penalty", 1,
                   "--no-bos", "--ignore-eos", "--precision", "f32") if new else b""
    check(len(new) > 3 and ours.decode().removesuffix("\n") == tokenizer.decode(new).removesuffix("\n"),
          f"{name}: greedy text of {len(new)} characters")

    ttt.run("convert", ttt.model, written / "back")
    again, left = load(torch, transformers, written / "back")
    check(not left, f"{name}: parameters of what ttt convert writes, read there: {', '.join(sorted(left)) or 'all'}")
    with torch.no_grad():
        tokens = torch.tensor([ids])
        same = torch.equal(again.eval()(input_ids=tokens).logits, model.eval()(input_ids=tokens).logits)
    check(same, f"{name}: its logits there, to the bit")


def others(program):
    modules = need("models of other projects", "torch", "transformers", "safetensors.torch", "tokenizers")
    if not modules:
        return
    torch, transformers, safetensors, tokenizers = modules
    print(f"         torch {torch.__version__}, transformers {transformers.__version__}")
    if not transformers.utils.is_torch_available():
        return skip(f"models of other projects: transformers {transformers.__version__} needs a newer torch than {torch.__version__}")
    if int(transformers.__version__.split(".")[0]) < 4:
        return skip(f"models of other projects: they need transformers 4.41 or later, and {transformers.__version__} is installed")
    transformers.utils.logging.disable_progress_bar()
    for name, kind, settings in kinds_of(transformers):
        for bf16 in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model"
                make_folder(torch, transformers, kind, settings, bf16, model)
                shards = len(list(model.glob("*.safetensors")))
                check_other(Ttt(program, model), torch, transformers, safetensors, tokenizers,
                            f"{name}, {'bf16' if bf16 else 'f32'}, {shards} file{'s' * (shards > 1)}", Path(folder))


def finish():
    print(f"{failed} differ" if failed else "all that was checked agrees" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 77 if skipped else 0


def main():
    if len(sys.argv) == 3 and sys.argv[2] == "--others":
        others(sys.argv[1])
        return finish()
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
    elif modules and version_fits("model: ttt-lm-pytorch's class", modules[1], "4.41") and (authors := need("model", "ttt")):
        torch, transformers, safetensors = modules
        print(f"         torch {torch.__version__}, transformers {transformers.__version__}")
        with tempfile.TemporaryDirectory() as folder:
            model, loaded = authors[0].TTTForCausalLM.from_pretrained(
                ttt.model, torch_dtype=torch.float32, output_loading_info=True)
            check_folder(ttt, model, loaded, Path(folder))
            check_numbers(ttt, torch, safetensors.save_file, model, text[:CHARACTERS], Path(folder))
    return finish()


if __name__ == "__main__":
    sys.exit(main())
