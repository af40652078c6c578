# SPDX-License-Identifier: MIT
"""Measures a model twice, with lm-evaluation-harness over HTTP (local-completions, tokenizer_backend=remote) against
`ttt serve`, and with `ttt eval` and `ttt generate`, and prints both. Exit status 1 if they differ in a printed digit."""
import argparse
import json
import math
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import tasks

AS_IDS = ["--no-bos", "--parse-special"]  # how /tokenize reads a text for the harness
ROWS = "| {:<40} | {:>12} | {:>12} |"


class Server:
    """`ttt serve` on a port that the system chooses, which its log names."""

    def __init__(self, options, log):
        self.log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen([options.ttt, "serve", "-m", options.model, "--port", "0"], stderr=file)
        self.url = None
        while not self.url:
            found = re.search(r"is served at (http://\S+:\d+)$", log.read_text(), re.M)
            self.url = found and found[1]
            if self.process.poll() is not None:
                sys.exit(f"ttt serve did not start: see {log}")
            time.sleep(0.05)

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def behind_start(self, text):
        """The text behind what the harness puts before it, as one text that has the tokens of the two: some tokenizers put
        a blank before a text, and none behind a token."""
        def tokens(of):
            return self.ask("/tokenize", {"prompt": of, "add_special_tokens": False})["tokens"]
        info = self.ask("/tokenizer_info")
        start = info["bos_token"] if info["bos_token"] and tokens(info["bos_token"])[0] else info["eos_token"]
        for between in ("", " "):
            if tokens(start + between + text) == tokens(start) + tokens(text):
                return start + between + text
        sys.exit(f"this tokenizer does not let a text stand behind {start}: its perplexity cannot be compared")

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit(f"ttt serve ended with status {self.process.returncode}: see {self.log}")


def ttt(options, *words):
    line = [str(word) for word in (options.ttt, words[0], "-m", options.model, *words[1:])]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def run_harness(options, url):
    """All samples of each task, as the harness logs them, and its results."""
    out = options.work / "out"
    environment = dict(os.environ, HF_HOME=str(options.work / "cache"), HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1",
                       OPENAI_API_KEY="")
    model = f"model=ttt,base_url={url}/v1/completions,tokenizer_backend=remote,num_concurrent=4,max_length=1048576"
    with open(options.work / "lm_eval.log", "w") as log:
        status = subprocess.call([sys.executable, "-m", "lm_eval", "run", "--model", "local-completions", "--model_args",
                                  model, "--tasks", "ttt_choices,ttt_perplexity,ttt_written", "--include_path",
                                  str(options.work), "--output_path", str(out), "--log_samples"],
                                 env=environment, stdout=log, stderr=log)
    if status != 0:
        sys.exit(f"lm_eval ended with status {status}: see {log.name}")
    newest = max(out.rglob("results_*.json"))
    samples = {}
    for task in ("ttt_choices", "ttt_perplexity", "ttt_written"):
        lines = max(newest.parent.glob(f"samples_{task}_*.jsonl")).read_text().splitlines()
        samples[task] = sorted(map(json.loads, lines), key=lambda sample: sample["doc_id"])
    return json.loads(newest.read_text())["results"], samples


def texts_of(options, text):
    """Questions of the third task with what `ttt generate` writes behind them."""
    for sentences in list(tasks.paragraphs(text))[-options.written:]:
        written = ttt(options, "generate", "-p", sentences[0], "-n", 16, "--temp", 0, *AS_IDS, "--stop", "\n", "--stop",
                      " .")
        yield {"question": sentences[0], "written": written}


def measure_texts(options, texts):
    """Loss and tokens of each text."""
    for text in texts:
        path = options.work / "text.txt"
        path.write_text(text)
        result = json.loads(ttt(options, "eval", path, "--context", "all", *AS_IDS, "--json"))
        yield result["loss"] * result["tokens"], result["tokens"]


def compare(options, results, samples, texts):
    """Prints the table; whether all is the same."""
    rows = []
    mine = json.loads(ttt(options, "eval", "--choices", options.work / "ttt_choices.jsonl", *AS_IDS, "--json"))
    theirs = results["ttt_choices"]
    for title, metric, key in (("accuracy", "acc", "accuracy"), ("accuracy per byte", "acc_bytes", "accuracy_per_byte")):
        rows.append((f"{title}, {mine['questions']} questions", f"{theirs[metric + ',none']:.4f}", f"{mine[key]:.4f}"))
        rows.append(("+/-", f"{theirs[metric + '_stderr,none']:.4f}", f"{mine[key + '_error']:.4f}"))
    losses, counts = zip(*measure_texts(options, texts))
    total = -sum(float(sample["filtered_resps"][0]) for sample in samples["ttt_perplexity"])
    rows.append((f"loss, {sum(counts)} tokens", f"{total / sum(counts):.5f}", f"{sum(losses) / sum(counts):.5f}"))
    rows.append(("perplexity", f"{math.exp(total / sum(counts)):.4f}", f"{math.exp(sum(losses) / sum(counts)):.4f}"))
    same = sum(sample["filtered_resps"][0] == sample["doc"]["written"] for sample in samples["ttt_written"])
    rows.append(("texts written at temperature 0", str(same), str(len(samples["ttt_written"]))))
    print(ROWS.format("", "lm_eval", "ttt"))
    print("|---|---|---|")
    for row in rows:
        print(ROWS.format(*row))
    return all(theirs == ours for _, theirs, ours in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("text", type=Path, help="a text whose paragraphs the tasks are made of, such as WikiText's")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--texts", type=int, default=4, help="whose perplexity is measured")
    parser.add_argument("--written", type=int, default=8, help="texts that are written")
    parser.add_argument("--ttt", type=Path, default=Path("build/release/bin/ttt"), help="the program")
    parser.add_argument("--work", type=Path, default=Path("build/harness"), help="folder for tasks and results")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    text = options.text.read_text()
    tasks.write_lines(options.work / "ttt_choices.jsonl", tasks.make_choices(text, options.questions))
    tasks.write_lines(options.work / "ttt_perplexity.jsonl", tasks.make_texts(text, options.texts))
    tasks.write_lines(options.work / "ttt_written.jsonl", texts_of(options, text))
    tasks.write_task(options.work, tasks.CHOICES, ["acc", "acc_bytes"])
    tasks.write_task(options.work, tasks.PERPLEXITY, ["word_perplexity", "byte_perplexity", "bits_per_byte"])
    tasks.write_task(options.work, tasks.WRITTEN, ["exact_match"])
    server = Server(options, options.work / "serve.log")
    try:
        lines = (options.work / "ttt_perplexity.jsonl").read_text().splitlines()
        texts = [server.behind_start(json.loads(line)["text"]) for line in lines]
        results, samples = run_harness(options, server.url)
    finally:
        server.stop()
    if not compare(options, results, samples, texts):
        sys.exit("they differ")


main()
