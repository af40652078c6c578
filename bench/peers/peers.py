# SPDX-License-Identifier: MIT
"""Times ttt and its peers in turn, every measurement in a process of its own, and prints one Markdown table: medians
over all rounds, tokens per second, and how many times as fast ttt is with the same layer in the same format. Every second
round goes through the list backwards. Work and sizes: models.py; 125m, one sequence, a context of 1,024 tokens.

    --only '(llama|mamba).* f32$'    Llama and Mamba of ttt, Hugging Face and llama.cpp, in f32
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from models import CONTEXT, LAYERS, MAMBA_LAYERS

HERE = Path(__file__).resolve().parent
TTT_DECODED = 64
TESTS = ("prefill", "decode", "train")
TTT = {"ttt-linear": ("ttt_linear", LAYERS), "ttt-mlp": ("ttt_mlp", LAYERS), "ttt-llama": ("attention", LAYERS),
       "ttt-mamba": ("mamba", MAMBA_LAYERS)}  # what each block is, and how many there are

# name, title, the ttt that it is held against, formats of inference, formats of training
PEERS = [
    ("ttt-linear", "**ttt, TTT-Linear**", None, ("f32", "bf16", "q8", "q4"), ("f32", "bf16")),
    ("ttt-torch-linear", "PyTorch, TTT-Linear", "ttt-linear", ("f32", "bf16"), ("f32", "bf16")),
    ("ttt-mlp", "**ttt, TTT-MLP**", None, ("f32", "bf16", "q8", "q4"), ("f32", "bf16")),
    ("ttt-torch-mlp", "PyTorch, TTT-MLP", "ttt-mlp", ("f32", "bf16"), ("f32", "bf16")),
    ("ttt-llama", "**ttt, Llama**", None, ("f32", "bf16", "q8", "q4"), ("f32", "bf16")),
    ("hf-llama", "Hugging Face, Llama", "ttt-llama", ("f32", "bf16"), ("f32", "bf16")),
    ("llamacpp-llama", "llama.cpp, Llama", "ttt-llama", ("f32", "bf16", "q8_0", "q4_0"), ()),
    ("ttt-mamba", "**ttt, Mamba**", None, ("f32", "bf16", "q8", "q4"), ("f32", "bf16")),
    ("hf-mamba", "Hugging Face, Mamba", "ttt-mamba", ("f32",), ("f32",)),
    ("llamacpp-mamba", "llama.cpp, Mamba", "ttt-mamba", ("f32", "bf16", "q8_0", "q4_0"), ()),
]


def jobs(wanted):
    """(peer, test, format) of everything that matches."""
    for name, _, _, inference, training in PEERS:
        for test in TESTS:
            for precision in training if test == "train" else inference:
                if re.search(wanted, f"{name} {test} {precision}"):
                    yield name, test, precision


def command(job, options):
    name, test, precision = job
    if name not in TTT:
        return [sys.executable, HERE / "measure.py", name, test, precision, options.threads, options.repetitions]
    what = {"prefill": ["-p", CONTEXT, "-n", 0], "decode": ["-p", 0, "-n", TTT_DECODED, "-d", CONTEXT],
            "train": ["--train", CONTEXT]}[test]
    layer, count = TTT[name]
    return [options.ttt, "bench", "--config", "125m", "--set", f"num_hidden_layers={count}", "--layer", layer,
            "--precision", precision, "-o", "json", "-t", options.threads, "-r", options.repetitions, *what]


def measure(job, options):
    """Tokens per second of every repetition, and peak memory; or a sentence that says why there are none."""
    line = [str(word) for word in command(job, options)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), PYTHONPATH=str(HERE))
    try:
        done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=options.limit)
    except subprocess.TimeoutExpired:
        return f"took more than {options.limit} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if job[0] in TTT:
        record = json.loads(done.stdout)[0]
        return record["samples"], record["peak_rss_bytes"]
    record = json.loads(done.stdout.strip().splitlines()[-1])
    return [record["tokens"] / seconds for seconds in record["seconds"]], record["peak_rss_bytes"]


def run(options):
    samples, memory, failures = {}, {}, {}
    todo = list(jobs(options.only))
    for round_number in range(options.rounds):
        for job in todo if round_number % 2 == 0 else reversed(todo):
            result = failures.get(job) or measure(job, options)
            if isinstance(result, str):
                failures[job] = result
            else:
                samples.setdefault(job, []).extend(result[0])
                memory[job] = max(memory.get(job, 0), result[1])
            said = result if isinstance(result, str) else " ".join(f"{rate:.1f}" for rate in result[0])
            print(f"round {round_number + 1}, {' '.join(job)}: {said}", file=sys.stderr, flush=True)
    return samples, memory, failures


def figure(samples, job):
    return statistics.median(samples[job]) if job in samples else None


def cell(samples, memory, name, against, test, precision):
    """Tokens per second, the memory, and the ratio to ttt."""
    job = (name, test, precision)
    rate = figure(samples, job)
    if rate is None:
        return ""
    text = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    if test != "decode":
        text += f", {memory[job] / 1e9:.2f} GB"
    ours = against and figure(samples, (against, test, precision.removesuffix("_0")))
    return text + (f" (ttt {ours / rate:.2f}x)" if ours else "")


def table(samples, memory):
    print("| tokens/s | format | prefill | decode | training step |\n|---|---|---|---|---|")
    for name, title, against, inference, _ in PEERS:
        for precision in inference:
            cells = [cell(samples, memory, name, against, test, precision) for test in TESTS]
            if any(cells):
                print(f"| {title} | {precision} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3, help="of every measurement in every round")
    parser.add_argument("--only", default="", metavar="REGEX", help='of "PEER TEST FORMAT", such as "ttt|llama decode"')
    parser.add_argument("--limit", type=int, default=300, help="seconds that one measurement may take")
    parser.add_argument("--ttt", type=Path, default=Path("build/release/bin/ttt"), help="the program")
    parser.add_argument("--samples", type=Path, help="write every sample to this file, as JSON")
    options = parser.parse_args()
    samples, memory, failures = run(options)
    if options.samples:
        options.samples.write_text(json.dumps([dict(peer=job[0], test=job[1], format=job[2], tokens_per_s=rates,
                                                    peak_rss_bytes=memory[job]) for job, rates in samples.items()]))
    table(samples, memory)
    print(f"\n{options.threads} threads, medians of {options.rounds} rounds of {options.repetitions}")
    for job, why in failures.items():
        print(f"not measured: {' '.join(job)}: {why}")


main()
