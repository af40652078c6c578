# SPDX-License-Identifier: MIT
"""POST /v1/completions and what stands beside it: the forms of prompts and answers, streams, tokens."""
import math

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
    prompt, first, ask = list(range(1, 200)), {"max_tokens": 1}, {"repetition_penalty": 5, "max_tokens": 30}
    assert texts(server.complete(prompt, **first)) != texts(server.complete(prompt, **{**ask, **first}))
    assert texts(server.complete(prompt, **ask, n=3)) == texts(server.complete(prompt, **ask)) * 3


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


def test_slots_are_free_once_the_answer_has_come(server):
    last = -1
    for count in (9, 1, 1, 1, 1, 1, 1, 1):
        server.complete(PROMPT, max_tokens=count)
        slots = server.get("/slots").json
        assert len(slots) == 64 and not any(slot["is_processing"] for slot in slots)
        assert server.metric("requests_processing") == 0
        slot = max(slots, key=lambda slot: slot["id_task"])
        assert slot["id_task"] > last and slot["n_prompt_tokens"] == len(PROMPT) and slot["n_decoded"] == count
        last = slot["id_task"]


def logprobs(answer, choice=0):
    return answer["choices"][choice]["logprobs"]


def test_log_probabilities_as_the_harness_reads_them(server):
    """echo, one token, top of one: all prompt tokens and the new one; the first has none; the best is the largest."""
    prompts = [[98, 99, 100, 101], [1, 2], "in the beginning"]
    answer = server.complete(prompts, max_tokens=1, logprobs=1, echo=True, seed=1234)
    for choice, prompt in zip(answer["choices"], prompts):
        got = choice["logprobs"]
        assert len(got["token_logprobs"]) == len(got["top_logprobs"]) == len(got["tokens"]) == len(prompt) + 1
        assert len(got["text_offset"]) == len(prompt) + 1
        assert got["token_logprobs"][0] is None and got["top_logprobs"][0] is None
        for one, top in list(zip(got["token_logprobs"], got["top_logprobs"]))[1:]:
            assert one <= max(top.values()) <= 0 and one in top.values()
        assert got["token_logprobs"][-1] == max(got["top_logprobs"][-1].values())  # temperature 0 is the best
    alone = server.complete(prompts[0], max_tokens=1, logprobs=1, echo=True)
    assert logprobs(alone) == logprobs(answer)


def test_log_probabilities_are_those_of_the_model(server):
    got = logprobs(server.complete("in the", max_tokens=3, logprobs=5))
    for top in got["top_logprobs"]:
        assert len(top) == 5 and sum(math.exp(value) for value in top.values()) < 1.000001
    every = logprobs(server.complete("in the", max_tokens=1, logprobs=20))["top_logprobs"][0]
    assert sorted(every.values(), reverse=True)[0] == got["token_logprobs"][0] and len(every) == 20
    text, hot = server.complete("in the", max_tokens=3, logprobs=0), None
    assert [len(top) for top in logprobs(text)["top_logprobs"]] == [1, 1, 1]
    for seed in range(20):  # the chosen one is among them although it is not the best, and is not changed by penalties
        hot = logprobs(server.complete("in the", max_tokens=5, logprobs=1, temperature=2, seed=seed,
                                       repetition_penalty=1.3))
        assert all(len(top) in (1, 2) and one in top.values()
                   for one, top in zip(hot["token_logprobs"], hot["top_logprobs"]))
    assert any(len(top) == 2 for top in hot["top_logprobs"])


def test_ids_of_the_same_text_do_not_collapse(server):
    got = logprobs(server.complete([0xc3 + 1] * 5, max_tokens=4, logprobs=20, echo=True, temperature=2, seed=1))
    assert got["tokens"][0] == f"token_id:{0xc3 + 1}"
    assert all(len(top) in (20, 21) for top in got["top_logprobs"][1:])


def test_offsets_are_places_in_the_text(server):
    answer = server.complete("aé€b", max_tokens=0, logprobs=0, echo=True)["choices"][0]
    assert answer["text"] == "aé€b" and answer["logprobs"]["text_offset"] == [0, 1, 1, 2, 2, 2, 3]
    answer = server.complete("abc", max_tokens=3, logprobs=0, logit_bias={"98": 100})["choices"][0]
    assert answer["text"] == "aaa" and answer["logprobs"]["text_offset"] == [0, 1, 2]
    assert answer["logprobs"]["tokens"] == ["a", "a", "a"]


def test_log_probabilities_of_a_stream(server):
    body = {"prompt": "in the", "n": 2, "max_tokens": 6, "logprobs": 2, "echo": True, "seed": 3, "temperature": 0.7}
    whole, joined = server.complete(**body), [{}, {}]
    for event in server.post("/v1/completions", {**body, "stream": True}).events[:-1]:
        choice = event["choices"][0]
        for key, value in (choice["logprobs"] or {}).items():
            joined[choice["index"]].setdefault(key, []).extend(value)
    assert joined == [logprobs(whole, 0), logprobs(whole, 1)]


def test_the_best_of_several(server):
    fields = {"max_tokens": 12, "temperature": 1.5, "seed": 9, "logprobs": 0}
    every = server.complete("in the", n=8, **fields)["choices"]
    means = {choice["text"]: sum(choice["logprobs"]["token_logprobs"]) / 12 for choice in every}
    best = sorted(means, key=means.get, reverse=True)
    answer = server.complete("in the", n=2, best_of=8, **fields)
    assert texts(answer) == best[:2] and [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] == 8 * 12
    fields.pop("logprobs")
    answer = server.complete("in the", n=1, best_of=8, **fields)
    assert texts(answer) == best[:1] and logprobs(answer) is None


def test_biases_and_penalties(server):
    assert texts(server.complete("x", max_tokens=4, logit_bias={"98": 100})) == ["aaaa"]
    first, second = list(logprobs(server.complete("x", max_tokens=1, logprobs=2))["top_logprobs"][0])
    bias = {str(i): -100 for i in range(1, 257) if first == f"token_id:{i}" or first == chr(i - 1)}
    assert logprobs(server.complete("x", max_tokens=1, logprobs=0, logit_bias=bias))["tokens"] == [second]
    plain = server.complete("x", max_tokens=40)["choices"][0]["text"]
    for name in ("presence_penalty", "frequency_penalty"):
        assert len(set(server.complete("x", max_tokens=40, **{name: 2})["choices"][0]["text"])) > len(set(plain)), name


def test_a_slot_is_kept_and_had_again(server):
    server.complete("a slot that was", max_tokens=5)
    number = server.get("/slots").json
    slot = max(range(64), key=lambda i: number[i]["id_task"])
    saved = server.post(f"/slots/{slot}?action=save", {"filename": "kept"}).json
    assert saved["n_saved"] == len("a slot that was") + 5 and saved["n_written"] > 0 and saved["id_slot"] == slot
    erased = server.post(f"/slots/{slot}?action=erase", "").json
    assert erased == {"id_slot": slot, "n_erased": saved["n_saved"]}
    assert server.post(f"/slots/{slot}?action=save", {"filename": "kept"}).status == 400
    restored = server.post(f"/slots/{slot}?action=restore", {"filename": "kept"}).json
    assert restored["n_restored"] == saved["n_saved"] and restored["n_read"] == saved["n_written"]
    assert server.post(f"/slots/{slot}?action=save", {"filename": "again"}).json["n_saved"] == saved["n_saved"]
    for path, body, status in ((f"/slots/{slot}?action=restore", {"filename": "never"}, 404), ("/slots/0?action=x", {}, 400),
                               ("/slots/64?action=erase", "", 404), ("/slots/x?action=erase", "", 404), ("/slots/0", {}, 400),
                               ("/slots/0?action=save", {"filename": "../x"}, 400), ("/slots/0?action=save", {}, 400),
                               ("/slots/0?action=save", {"filename": 5}, 400)):
        answer = server.post(path, body)
        assert answer.status == status and "message" in answer.error, (path, answer.status, answer.body)


run_tests(globals())
