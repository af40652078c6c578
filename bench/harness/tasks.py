# SPDX-License-Identifier: MIT
"""Tasks of the harness in local files, made of the paragraphs of a text: how a paragraph goes on (one of four sentences),
the perplexity of some paragraphs, and what the model writes behind the beginning of others."""
import json
import random

# The harness reads these as YAML, of which JSON is a part.
COMMON = {"dataset_path": "json", "test_split": "test", "metadata": {"version": 1}}
CHOICES = {"task": "ttt_choices", "output_type": "multiple_choice", "doc_to_text": "question", "doc_to_choice": "choices",
           "doc_to_target": "answer"}
PERPLEXITY = {"task": "ttt_perplexity", "output_type": "loglikelihood_rolling", "doc_to_text": "",
              "doc_to_target": "text"}
WRITTEN = {"task": "ttt_written", "output_type": "generate_until", "doc_to_text": "question", "doc_to_target": "written",
           "generation_kwargs": {"until": ["\n", " ."], "max_gen_toks": 16, "temperature": 0}}


def paragraphs(text):
    """Each as its sentences, of which it has at least four."""
    for line in text.splitlines():
        sentences = [s.strip() + " ." for s in line.strip().split(" . ") if s.strip()]
        if len(sentences) >= 4 and len(line) > 400 and not line.strip().startswith("="):
            yield sentences


def shuffled(sentence, seed):
    words = sentence.split()[:-1]
    random.Random(seed).shuffle(words)
    return " ".join(words) + " ."


def make_choices(text, count):
    """The right sentence among its own words in two other orders and one that stands at the same place elsewhere."""
    chosen = list(paragraphs(text))[:count]
    for i, sentences in enumerate(chosen):
        right, answer = sentences[2], i * 7 % 4
        others = [shuffled(right, 2 * i), chosen[(i + 1) % len(chosen)][2], shuffled(right, 2 * i + 1)]
        yield {"question": " ".join(sentences[:2]), "choices": others[:answer] + [right] + others[answer:],
               "answer": answer}


def make_texts(text, count):
    """Neighbouring paragraphs together, about as long as an article."""
    chosen = list(paragraphs(text))
    for i in range(count):
        yield {"text": "\n".join(" ".join(sentences) for sentences in chosen[8 * i:8 * i + 8])}


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_task(folder, task, metrics):
    name = task["task"]
    task = dict(COMMON, **task, dataset_kwargs={"data_files": {"test": str(folder / f"{name}.jsonl")}},
                metric_list=[{"metric": metric} for metric in metrics])
    (folder / f"{name}.yaml").write_text(json.dumps(task, indent=1))
