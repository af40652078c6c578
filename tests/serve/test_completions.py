# SPDX-License-Identifier: MIT
"""POST /v1/completions and what stands beside it: the forms of prompts and answers, streams, tokens."""
from serving import run_tests

PROMPT = "In the beginning"


def texts(answer):
    return [choice["text"] for choice in answer["choices"]]


def test_health_and_model(server):
    for path in ("/health", "/v1/health"):
        assert server.get(path).json == {"status": "ok"}
    models = server.get("/v1/models").json
    assert models["object"] == "list" and len(models["data"]) == 1
    model = models["data"][0]
    assert model["id"] == "model" and model["object"] == "model" and model["owned_by"] == "ttt"
    assert model["meta"]["n_vocab"] == 257 and model["meta"]["n_params"] > 0 and model["meta"]["size"] > 0


def test_forms_of_a_prompt(server):
    ids = server.post("/tokenize", {"content": PROMPT}).json["tokens"]
    text = server.complete(PROMPT)["choices"][0]["text"]
    assert texts(server.complete(ids)) == [text]
    assert texts(server.complete([PROMPT, PROMPT])) == [text, text]
    assert texts(server.complete([ids, PROMPT])) == [text, text]
    assert server.complete(PROMPT)["usage"]["prompt_tokens"] == len(ids)
    assert len(server.complete("")["choices"]) == 1


def test_the_shape_of_an_answer(server):
    answer = server.complete(PROMPT, max_tokens=7)
    assert answer["id"].startswith("cmpl-") and answer["object"] == "text_completion" and answer["model"] == "model"
    choice = answer["choices"][0]
    assert choice["index"] == 0 and choice["logprobs"] is None and choice["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["completion_tokens"] == 7 and usage["total_tokens"] == usage["prompt_tokens"] + 7
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}
    assert answer["timings"]["predicted_n"] == 7 and answer["timings"]["prompt_ms"] >= 0


def test_choices_differ_and_are_repeatable(server):
    def ask(n):
        return texts(server.complete(PROMPT, n=n, seed=5, temperature=1, max_tokens=20))
    five = ask(5)
    assert len(set(five)) == 5 and ask(5) == five
    assert ask(1) == five[:1]
    assert ask(2) == five[:2]


def test_the_prompt_is_read_once_for_all_choices(server):
    before = server.metric("prompt_tokens_total")
    server.complete("x" * 500, n=10, max_tokens=1)
    assert server.metric("prompt_tokens_total") - before == 500 + 9  # the last token once for each further choice


def test_choices_of_several_prompts(server):
    one, other = texts(server.complete(PROMPT, n=2, seed=3, temperature=1)), texts(
        server.complete("a", n=2, seed=3, temperature=1))
    assert texts(server.complete([PROMPT, "a"], n=2, seed=3, temperature=1)) == one + other


def test_penalties_count_the_prompt_for_every_choice(server):
    alone = texts(server.complete(PROMPT, seed=1, repetition_penalty=1.5, max_tokens=30))
    assert texts(server.complete(PROMPT, seed=1, repetition_penalty=1.5, max_tokens=30, n=3)) == alone * 3


def test_echo(server):
    text = server.complete(PROMPT)["choices"][0]["text"]
    assert texts(server.complete(PROMPT, echo=True)) == [PROMPT + text]
    assert texts(server.complete([ord(c) + 1 for c in PROMPT], echo=True)) == [PROMPT + text]
    assert texts(server.complete(PROMPT, echo=True, max_tokens=0)) == [PROMPT]
    assert texts(server.complete(PROMPT, max_tokens=0)) == [""]


def test_stop(server):
    text = server.complete(PROMPT, max_tokens=60, seed=2, temperature=1)["choices"][0]["text"]
    stop = text[20:22]
    answer = server.complete(PROMPT, max_tokens=60, seed=2, temperature=1, stop=[stop, "nowhere"])["choices"][0]
    assert answer["text"] == text[:text.index(stop)] and answer["finish_reason"] == "stop"


def test_stream(server):
    whole = server.complete(PROMPT, n=2, seed=4, temperature=1, echo=True)
    answer = server.post("/v1/completions", {"prompt": PROMPT, "n": 2, "seed": 4, "echo": True, "stream": True,
                                             "stream_options": {"include_usage": True}})
    assert answer.headers["Content-Type"] == "text/event-stream" and answer.headers["Cache-Control"] == "no-cache"
    events = answer.events
    assert events[-1] == "[DONE]" and events[-2]["choices"] == [] and events[-2]["usage"] == whole["usage"]
    got, ends = ["", ""], [None, None]
    for event in events[:-2]:
        assert event["object"] == "text_completion" and event["id"] == events[0]["id"]
        choice = event["choices"][0]
        assert ends[choice["index"]] is None
        got[choice["index"]] += choice["text"]
        ends[choice["index"]] = choice["finish_reason"]
    assert got == texts(whole) and ends == ["length", "length"]


def test_tokens_in_both_dialects(server):
    llama = server.post("/tokenize", {"content": "aé", "with_pieces": True}).json
    assert [token["id"] for token in llama["tokens"]] == [98, 196, 170]
    assert llama["tokens"][0]["piece"] == "a"
    vllm = server.post("/tokenize", {"prompt": "aé"}).json
    assert vllm["tokens"] == [98, 196, 170] and vllm["count"] == 3
    for body in ({"tokens": [98, 196, 170]}, {"tokens": [98, 196, 170], "model": "x"}):
        answer = server.post("/detokenize", body).json
        assert answer["content"] == "aé" and answer["prompt"] == "aé"
    assert server.post("/tokenize", {"content": "<|endoftext|>"}).json["tokens"] == [0]
    assert len(server.post("/tokenize", {"content": "<|endoftext|>", "parse_special": False}).json["tokens"]) == 13
    info = server.get("/tokenizer_info").json
    assert info["eos_token"] == "<|endoftext|>"


def test_metrics_and_slots(server):
    before = server.metric("tokens_predicted_total")
    server.complete(PROMPT, max_tokens=9)
    assert server.metric("tokens_predicted_total") == before + 9
    text = server.get("/metrics").body.decode()
    for name in ("prompt_tokens_total prompt_seconds_total tokens_predicted_total tokens_predicted_seconds_total "
                 "requests_processing requests_deferred n_busy_slots_per_decode n_decode_total").split():
        assert f"\nllamacpp:{name} " in text and f"\nttt:{name} " in text, name
    slots = server.get("/slots").json
    assert len(slots) == 64 and not any(slot["is_processing"] for slot in slots)


run_tests(globals())
