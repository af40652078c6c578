#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does the official openai package get from `ttt serve` what its documentation promises?

usage: scripts/clients.py TTT MODEL

TTT is the program, MODEL a model folder. A server with a key is started on a free port; completions, chat, responses,
their streams, the list of models and errors are asked for through the package, and held against each other and against
`ttt generate`. Exit status: 0 all as promised, 1 something is not, 77 the package (pip install openai) is absent.
"""
import math
import re
import subprocess
import sys
import tempfile
import threading
import time

try:
    import openai
except ImportError as error:
    print(f"skipped  the openai package: {error}")
    sys.exit(77)

KEY = "a key for the test"
PROMPT = "Once upon a time"
failed = 0


def check(ok, what):
    global failed
    failed += not ok
    print(("as promised  " if ok else "NOT SO       ") + what, flush=True)


def start(ttt, model, log):
    with open(log, "w") as file:
        process = subprocess.Popen([ttt, "serve", "-m", model, "--port", "0", "--alias", "it", "--api-key", KEY],
                                   stderr=file)
    while process.poll() is None:
        with open(log) as file:
            found = re.search(r"is served at (http://\S+:\d+)$", file.read(), re.M)
        if found:
            return process, found[1]
        time.sleep(0.05)
    sys.exit("the server did not start: " + open(log).read())


def completions(client, ttt, model):
    plain = client.completions.create(model="it", prompt=PROMPT, max_tokens=24, temperature=0)
    choice = plain.choices[0]
    written = subprocess.run([ttt, "generate", "-m", model, "-p", PROMPT, "-n", "24", "--temp", "0"], check=True,
                             capture_output=True).stdout.decode(errors="replace")
    check(choice.text == written, "completions: the text of ttt generate at temperature 0")
    check(plain.object == "text_completion" and plain.model == "it" and plain.id.startswith("cmpl-"),
          "completions: object, model, id")
    usage = plain.usage
    check(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.completion_tokens <= 24,
          "completions: usage")
    check(choice.finish_reason in ("length", "stop"), "completions: finish_reason")
    events = list(client.completions.create(model="it", prompt=PROMPT, max_tokens=24, temperature=0, stream=True,
                                            stream_options={"include_usage": True}))
    check("".join(event.choices[0].text for event in events if event.choices) == choice.text,
          "completions: the stream is the text")
    check(not events[-1].choices and events[-1].usage.total_tokens == usage.total_tokens,
          "completions: the last event of the stream has the usage")
    several = client.completions.create(model="it", prompt=[PROMPT, "The end"], max_tokens=8, n=2, seed=5)
    check(sorted(c.index for c in several.choices) == [0, 1, 2, 3], "completions: two prompts, two texts of each")
    again = client.completions.create(model="it", prompt=[PROMPT, "The end"], max_tokens=8, n=2, seed=5)
    check([c.text for c in again.choices] == [c.text for c in several.choices], "completions: a seed repeats its texts")
    first = choice.text.strip().split(" ")[0]
    stopped = client.completions.create(model="it", prompt=PROMPT, max_tokens=24, temperature=0, stop=[first])
    check(first not in stopped.choices[0].text and stopped.choices[0].finish_reason == "stop", "completions: stop")


def logprobs(client):
    echoed = client.completions.create(model="it", prompt=PROMPT, max_tokens=4, temperature=0, logprobs=3, echo=True)
    values = echoed.choices[0].logprobs
    check(values.token_logprobs[0] is None and all(v <= 0 for v in values.token_logprobs[1:]),
          "logprobs: none of the first token, none above 0")
    check(len(values.tokens) == len(values.token_logprobs) == len(values.top_logprobs) == len(values.text_offset),
          "logprobs: four lists of one length")
    check(echoed.choices[0].text.startswith(PROMPT), "logprobs: echo")
    chosen = list(zip(values.token_logprobs, values.top_logprobs))[-4:]
    check(all(value == max(top.values()) for value, top in chosen), "logprobs: at temperature 0 the most likely is chosen")
    token = client.completions.create(model="it", prompt=PROMPT, max_tokens=1, temperature=0, logit_bias={"5": 100},
                                      logprobs=0)
    other = client.completions.create(model="it", prompt=PROMPT, max_tokens=1, temperature=0, logit_bias={"6": 100},
                                      logprobs=0)
    check(token.choices[0].logprobs.token_logprobs != other.choices[0].logprobs.token_logprobs, "logit_bias: chooses")


def chat(client):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    answer = client.chat.completions.create(model="it", messages=messages, max_completion_tokens=12, temperature=0,
                                            logprobs=True, top_logprobs=2)
    choice = answer.choices[0]
    check(answer.object == "chat.completion" and choice.message.role == "assistant", "chat: object and role")
    check(0 < len(choice.logprobs.content) <= 12 and all(len(t.top_logprobs) == 2 and math.isfinite(t.logprob)
                                                         for t in choice.logprobs.content), "chat: logprobs")
    events = list(client.chat.completions.create(model="it", messages=messages, max_completion_tokens=12, temperature=0,
                                                 stream=True))
    check(events[0].choices[0].delta.role == "assistant", "chat: the role comes first")
    check("".join(e.choices[0].delta.content or "" for e in events if e.choices) == choice.message.content,
          "chat: the stream is the text")
    check(events[-1].choices[0].finish_reason == choice.finish_reason, "chat: the last event says why it ended")


def responses(client):
    first = client.responses.create(model="it", input=PROMPT, max_output_tokens=12, temperature=0)
    check(first.object == "response" and first.id.startswith("resp") and len(first.output_text) > 0,
          "responses: object, id, text")
    check(client.responses.retrieve(first.id).output_text == first.output_text, "responses: retrieve")
    forks = [client.responses.create(model="it", input=" and", previous_response_id=first.id, max_output_tokens=8,
                                     temperature=0) for _ in range(2)]
    check(forks[0].output_text == forks[1].output_text and forks[0].id != forks[1].id,
          "responses: two that go on from one are forks of it")
    names = []
    text = ""
    for event in client.responses.create(model="it", input=PROMPT, max_output_tokens=12, temperature=0, stream=True):
        names.append(event.type)
        text += event.delta if event.type == "response.output_text.delta" else ""
    check(names[0] == "response.created" and names[-1] in ("response.completed", "response.incomplete"),
          "responses: the stream begins and ends as documented")
    check(text == first.output_text, "responses: the stream is the text")
    client.responses.delete(first.id)
    refused(lambda: client.responses.retrieve(first.id), openai.NotFoundError, "responses: gone after delete")
    unstored = client.responses.create(model="it", input=PROMPT, max_output_tokens=2, store=False)
    refused(lambda: client.responses.retrieve(unstored.id), openai.NotFoundError, "responses: store=False leaves nothing")


def refused(call, kind, what):
    try:
        call()
    except kind as error:
        body = error.body if isinstance(error.body, dict) else {}
        check(bool(body.get("message")), f"{what}: {kind.__name__} with a message")
    except openai.OpenAIError as error:
        check(False, f"{what}: {type(error).__name__} instead of {kind.__name__}")
    else:
        check(False, f"{what}: not refused")


def errors(client, url):
    create = client.completions.create
    refused(lambda: create(model="it", prompt=PROMPT, temperature=-1), openai.BadRequestError, "temperature -1")
    refused(lambda: create(model="it", prompt=PROMPT, max_tokens=-5), openai.BadRequestError, "max_tokens -5")
    refused(lambda: create(model="it", prompt=[2**40], max_tokens=1), openai.BadRequestError, "an id out of range")
    refused(lambda: create(model="it", prompt=PROMPT, suffix="x"), openai.BadRequestError, "suffix")
    refused(lambda: create(model="it", prompt=PROMPT, logit_bias={"99999999": 1}), openai.BadRequestError,
            "logit_bias of an unknown id")
    refused(lambda: client.chat.completions.create(model="it", messages=[]), openai.BadRequestError, "no messages")
    refused(lambda: client.responses.retrieve("resp_nothing"), openai.NotFoundError, "an unknown response")
    stranger = openai.OpenAI(base_url=url + "/v1", api_key="another", max_retries=0)
    refused(lambda: stranger.models.list(), openai.AuthenticationError, "another key")


def together(client):
    """Many at once give what each gives alone."""
    prompts = [f"{PROMPT} {i}" for i in range(16)]
    alone = [client.completions.create(model="it", prompt=p, max_tokens=8, seed=3).choices[0].text for p in prompts]
    texts = [None] * len(prompts)

    def ask(i):
        texts[i] = client.completions.create(model="it", prompt=prompts[i], max_tokens=8, seed=3).choices[0].text

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(texts == alone, "16 at once: what each gives alone")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ttt, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        drive(ttt, model, folder + "/log")
    sys.exit(1 if failed else 0)


def drive(ttt, model, log):
    process, url = start(ttt, model, log)
    try:
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        check([m.id for m in client.models.list()] == ["it"], "models: one, by its alias")
        for part in (lambda: completions(client, ttt, model), lambda: logprobs(client), lambda: chat(client),
                     lambda: responses(client), lambda: errors(client, url), lambda: together(client)):
            try:
                part()
            except openai.OpenAIError as error:
                check(False, str(error))
    finally:
        process.terminate()
        check(process.wait() == 0, "the server ends with 0")


main()
