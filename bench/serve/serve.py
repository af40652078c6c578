# SPDX-License-Identifier: MIT
"""Times servers that write texts for several clients at once, in turn and each alone on the machine, and prints one
Markdown table: seconds to the first token (median of the clients), all tokens by all seconds, prompts included, and the
time between two tokens of a text. Models of 110 M parameters (125m) with random weights, texts at temperature 0, every
prompt another. Servers: ttt with TTT-Linear, ttt with a Llama, llama-cpp-python's with a Llama of the same size."""
import argparse
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench/peers"))
QUANTISED = {"q8": "q8_0", "q4": "q4_0"}  # what llama.cpp calls them


class Ttt:
    def __init__(self, options, layer):
        self.title = {"ttt_linear": "**ttt, TTT-Linear**", "attention": "**ttt, Llama**"}[layer]
        self.options, self.layer = options, layer

    def make(self):
        """A model folder: one update of training is the shortest way to it."""
        folder = self.options.work / f"125m-{self.layer}"
        if not folder.exists():
            text = self.options.work / "text.txt"
            text.write_text("what a model reads once " * 200)
            subprocess.run([self.options.ttt, "train", text, "-o", folder, "--config", "125m", "--layer", self.layer,
                            "--set", "vocab_size=32000", "-t", "byte", "--context", "64", "--batch", "64", "--steps",
                            "1"], check=True, capture_output=True)
            shutil.rmtree(folder / "checkpoint")
        return folder

    def start(self, precision):
        log = self.options.work / "serve.log"
        with open(log, "w") as file:
            self.process = subprocess.Popen([self.options.ttt, "serve", "-m", self.make(), "--port", "0", "--precision",
                                             precision, "--threads", str(self.options.threads)], stderr=file)
        while self.process.poll() is None:
            found = re.search(r"is served at http://.*:(\d+)$", log.read_text(), re.M)
            if found:
                return int(found[1])
            time.sleep(0.05)
        sys.exit(f"ttt serve did not start: see {log}")

    def body(self, chance):
        prompt = [chance.randrange(1, 257) for _ in range(self.options.prompt)]
        return {"prompt": prompt, "max_tokens": self.options.tokens, "temperature": 0, "ignore_eos": True, "stream": True}


class LlamaCpp:
    """llama.cpp in the server of its Python package, which writes one text at a time."""
    title = "llama-cpp-python, Llama"

    def __init__(self, options):
        self.options = options

    def command(self, path, port, context, threads):
        return [sys.executable, "-m", "llama_cpp.server", "--model", path, "--port", port, "--n_ctx", context, "--n_batch",
                "512", "--n_threads", threads, "--n_threads_batch", threads, "--interrupt_requests", "False"]

    def start(self, precision):
        import gguf_random
        path = gguf_random.make(self.options.work, "llama", QUANTISED.get(precision, precision))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = self.options.prompt + self.options.tokens + 64
        line = [str(word) for word in self.command(path, port, context, self.options.threads)]
        with open(self.options.work / "peer.log", "w") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log)
        for _ in range(600):
            if self.answers(port):
                return port
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"{self.title}: the server did not start, see {log.name}")

    def answers(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
                return answer.status == 200
        except OSError:
            return False

    def body(self, chance):
        # None of these characters is a token: each is read as a byte, which is one.
        prompt = "".join(chance.choice("!#$%&()*+,-./:;<=>?@[]^_{|}~") for _ in range(self.options.prompt - 2))
        return {"prompt": prompt, "max_tokens": self.options.tokens, "temperature": 0, "stream": True}


class LlamaServer(LlamaCpp):
    """llama.cpp's own server, which writes many together."""
    title = "llama-server, Llama"

    def command(self, path, port, context, threads):
        return [self.options.llama_server, "-m", path, "--port", port, "-c", 64 * context, "-np", 64, "-t", threads, "-tb",
                threads]

    def body(self, chance):
        return {**super().body(chance), "ignore_eos": True, "cache_prompt": False}


def measure(server, options, precision, width, chance):
    """What the load says, of a server that has answered once before."""
    port = server.start(precision)
    bodies = options.work / "bodies.jsonl"
    try:
        for sequences in (1, width):
            bodies.write_text("".join(json.dumps(server.body(chance)) + "\n" for _ in range(sequences)))
            done = subprocess.run([options.load, "-s", str(sequences), str(port), bodies], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{server.title}, {width} at a time: {done.stderr or done.stdout}")
        return json.loads(done.stdout)
    finally:
        server.process.terminate()
        server.process.wait()


def run(options):
    chance = random.Random(1)
    servers = [Ttt(options, "ttt_linear"), Ttt(options, "attention"), LlamaCpp(options)]
    servers += [LlamaServer(options)] if options.llama_server else []
    servers = [server for server in servers if re.search(options.only, server.title)]
    results = {}
    for number in range(options.rounds):
        for precision in options.formats.split(","):
            for width in map(int, options.widths.split(",")):
                for server in servers if number % 2 == 0 else reversed(servers):
                    result = measure(server, options, precision, width, chance)
                    results.setdefault((precision, width, server.title), []).append(result)
                    print(f"round {number + 1}, {precision}, {width}, {server.title}: {json.dumps(result)}",
                          file=sys.stderr, flush=True)
    return results


def table(options, results):
    print("| format | texts at a time | server | first token, s | tokens/s | against one | between tokens, ms: median, p99 |")
    print("|---|---|---|---|---|---|---|")
    rate, ones = {}, {}
    for key, list_of in results.items():
        rate[key] = statistics.median(options.tokens * r["requests"] / r["seconds"] for r in list_of)
        precision, width, title = key
        if width == min(w for _, w, _ in results):
            ones[precision, title] = rate[key]
    for (precision, width, title), list_of in results.items():
        def median(series, part):
            return statistics.median(r[series][part] for r in list_of)
        value = rate[precision, width, title]
        print(f"| {precision} | {width} | {title} | {median('first', 'median'):.2f} | {value:,.0f} | "
              f"{value / ones[precision, title]:.1f}x | {1e3 * median('between', 'median'):.1f}, "
              f"{1e3 * median('between', 'p99'):.1f} |")
    print(f"\n{options.threads} threads, prompts of {options.prompt} tokens, {options.tokens} written, medians of "
          f"{options.rounds} rounds")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", default="1,4,16,64", help="texts at a time")
    parser.add_argument("--formats", default="f32,q4", help="of the weights: f32, bf16, q8, q4")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens that are written behind it")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", metavar="REGEX", help="of servers, such as TTT-Linear")
    parser.add_argument("--ttt", type=Path, default=ROOT / "build/release/bin/ttt", help="the program")
    parser.add_argument("--llama-server", type=Path, help="llama.cpp's own server, if it is to be measured too")
    parser.add_argument("--load", type=Path, default=ROOT / "build/release/bin/serve_load", help="what asks the servers")
    parser.add_argument("--work", type=Path, default=ROOT / "build/serve", help="folder for models")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    table(options, run(options))


main()
