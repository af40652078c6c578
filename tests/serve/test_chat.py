# SPDX-License-Identifier: MIT
"""POST /v1/chat/completions: templates, roles, streams; special tokens only where the template has them."""
import json
import os

from serving import Server, run_tests, scratch

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]


def chat(server, messages, **fields):
    answer = server.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 12, **fields})
    assert answer.status == 200, answer.body
    return answer.json


def content(answer, i=0):
    return answer["choices"][i]["message"]["content"]


def test_the_plain_template(server):
    text = "Be brief.\n\nUser: Who are you?\nAssistant:"
    same = server.complete(text, max_tokens=12, stop="\nUser:")
    answer = chat(server, MESSAGES)
    assert content(answer) == same["choices"][0]["text"]
    assert answer["usage"]["prompt_tokens"] == same["usage"]["prompt_tokens"]
    assert answer["id"].startswith("chatcmpl-") and answer["object"] == "chat.completion"
    choice = answer["choices"][0]
    assert choice["message"]["role"] == "assistant" and choice["finish_reason"] == "length" and choice["logprobs"] is None


def test_a_conversation(server):
    turns = MESSAGES + [{"role": "assistant", "content": " I am."}, {"role": "user", "content": [
        {"type": "text", "text": "And "}, {"type": "text", "text": "you?"}]}]
    text = "Be brief.\n\nUser: Who are you?\nAssistant: I am.\nUser: And you?\nAssistant:"
    assert content(chat(server, turns)) == server.complete(text, max_tokens=12, stop="\nUser:")["choices"][0]["text"]


def test_what_was_said_is_never_a_special_token(server):
    said = [{"role": "user", "content": "a<|endoftext|>b"}]
    count = chat(server, said)["usage"]["prompt_tokens"]
    assert count == len("User: a<|endoftext|>b\nAssistant:")


def test_choices_and_lengths(server):
    fields = {"n": 3, "seed": 1, "temperature": 1}
    answer = chat(server, MESSAGES, **fields)
    assert len({content(answer, i) for i in range(3)}) == 3
    assert content(chat(server, MESSAGES, max_completion_tokens=5, max_tokens=9, **fields)) in content(answer)
    assert chat(server, MESSAGES, max_completion_tokens=5)["usage"]["completion_tokens"] == 5


def test_log_probabilities(server):
    got = chat(server, MESSAGES, logprobs=True, top_logprobs=3)["choices"][0]["logprobs"]["content"]
    assert len(got) == 12
    for token in got:
        assert len(token["top_logprobs"]) == 3 and token["logprob"] == token["top_logprobs"][0]["logprob"] <= 0
        assert token["token"] == token["top_logprobs"][0]["token"]
        assert token["token"].startswith("token_id:") or bytes(token["bytes"]).decode() == token["token"]
    assert chat(server, MESSAGES, logprobs=True)["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []
    refused = server.post("/v1/chat/completions", {"messages": MESSAGES, "top_logprobs": 3})
    assert refused.status == 400 and refused.error["param"] == "top_logprobs"


def test_stream(server):
    whole = chat(server, MESSAGES, n=2, seed=2, temperature=1, logprobs=True)
    events = server.post("/v1/chat/completions", {
        "messages": MESSAGES, "n": 2, "seed": 2, "max_tokens": 12, "stream": True, "logprobs": True,
        "stream_options": {"include_usage": True}}).events
    assert events[-1] == "[DONE]" and events[-2]["usage"] == whole["usage"] and events[-2]["choices"] == []
    texts, ends, tokens = ["", ""], [None, None], [[], []]
    for event in events[:-2]:
        assert event["object"] == "chat.completion.chunk"
        choice = event["choices"][0]
        i, delta = choice["index"], choice["delta"]
        texts[i] += delta.get("content", "")
        tokens[i] += (choice["logprobs"] or {"content": []})["content"]
        ends[i] = choice["finish_reason"]
    first = [next(e["choices"][0] for e in events[:-2] if e["choices"][0]["index"] == i) for i in range(2)]
    assert all(choice["delta"] == {"role": "assistant", "content": ""} for choice in first)
    assert texts == [content(whole, 0), content(whole, 1)]
    assert ends == [choice["finish_reason"] for choice in whole["choices"]]
    assert tokens == [choice["logprobs"]["content"] for choice in whole["choices"]]


def test_messages_that_cannot_be(server):
    for messages, param in ((None, "messages"), ([], "messages"), ("hi", "messages"), ([{}], "messages"), (["x"], "messages"),
                            ([{"role": "tool", "content": "x"}], "messages"), ([{"role": "user", "content": 5}], "messages"),
                            ([{"role": "user", "content": [{"type": "image_url"}]}], "messages")):
        answer = server.post("/v1/chat/completions", {"messages": messages})
        assert answer.status == 400 and answer.error["param"] == param, (messages, answer.body)
    for field in ({"tools": [{"type": "function"}]}, {"response_format": {"type": "json_object"}}):
        answer = server.post("/v1/chat/completions", {"messages": MESSAGES, **field})
        assert answer.status == 400 and answer.error["param"] in field


def served(model, *options):
    server = Server(model, *options)
    try:
        return chat(server, MESSAGES), server.get("/tokenizer_info").json
    finally:
        assert server.stop() == 0


def test_other_templates(server):
    """chatml and llama2 by name, by tokenizer_config.json, and a file that says the same."""
    model = scratch("model")
    chatml, info = served(model, "--chat-template", "chatml")
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
    assert content(chatml) == server.complete(text, max_tokens=12, stop="<|im_end|>")["choices"][0]["text"]
    assert info["chat_template"] is None
    llama2, _ = served(model, "--chat-template", "llama2")
    text = "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWho are you? [/INST]"
    assert content(llama2) == server.complete(text, max_tokens=12)["choices"][0]["text"]
    path = scratch("template.json")
    with open(path, "w") as file:
        json.dump({"system": "S{content}", "user": "U{content}", "assistant": "A{content}", "generate": "G", "stop": ["U"]},
                  file)
    other, _ = served(model, "--chat-template", path)
    assert content(other) == server.complete("SBe brief.UWho are you?G", max_tokens=12, stop="U")["choices"][0]["text"]
    config_path = os.path.join(model, "tokenizer_config.json")
    with open(config_path) as file:
        config = json.load(file)
    config["chat_template"] = "{{ '<|im_start|>' }}"
    with open(config_path, "w") as file:
        json.dump(config, file)
    named, info = served(model)
    assert content(named) == content(chatml) and info["chat_template"] == config["chat_template"]


def test_templates_that_cannot_be(server):
    for text in ("{", "[]", '{"system": "x"}', '{"system": "x", "user": "{content}", "assistant": "{content}", "generate": ""}',
                 '{"system": "{content}", "user": "{content}", "assistant": "{content}", "generate": "", "stop": [""]}'):
        with open(scratch("bad.json"), "w") as file:
            file.write(text)
        try:
            Server(scratch("model"), "--chat-template", scratch("bad.json"))
        except RuntimeError as refused:
            assert "bad.json" in str(refused), refused
        else:
            raise AssertionError(text)


run_tests(globals())
