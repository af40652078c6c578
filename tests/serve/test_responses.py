# SPDX-License-Identifier: MIT
"""/v1/responses: ids are snapshots that never change; going on from one is a fork that reads nothing again."""
import json
import re

from serving import Server, run_tests, scratch, together

STATES = scratch("states")


def respond(server, text, **fields):
    return server.post("/v1/responses", {"input": text, "temperature": 0, "max_output_tokens": 8, **fields})


def text_of(answer):
    return answer["output"][0]["content"][0]["text"]


def events_of(answer):
    """[(the name in the event line, its data)]"""
    return [(name, json.loads(data)) for name, data in re.findall(r"^event: (.*)\ndata: (.*)\n$", answer.body.decode(), re.M)]


def test_the_shape_of_a_response(server):
    answer = respond(server, "Tell me.", instructions="Be brief.", metadata={"a": "b"})
    assert answer.status == 200
    r = answer.json
    assert r["id"].startswith("resp") and r["object"] == "response" and r["status"] == "incomplete"
    assert r["incomplete_details"] == {"reason": "max_output_tokens"} and r["error"] is None and r["store"] is True
    assert r["instructions"] == "Be brief." and r["metadata"] == {"a": "b"} and r["previous_response_id"] is None
    item = r["output"][0]
    assert item["type"] == "message" and item["role"] == "assistant" and item["content"][0]["type"] == "output_text"
    usage = r["usage"]
    assert usage["output_tokens"] == 8 and usage["total_tokens"] == usage["input_tokens"] + 8
    assert usage["input_tokens_details"]["cached_tokens"] >= 0 and usage["output_tokens_details"] == {"reasoning_tokens": 0}
    assert server.get("/v1/responses/" + r["id"]).json == r


def test_it_says_what_chat_says(server):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me."}]
    chat = server.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 8}).json
    for form in (dict(text="Tell me.", instructions="Be brief."), dict(text=messages),
                 dict(text=[messages[0], {"type": "message", "role": "user",
                                          "content": [{"type": "input_text", "text": "Tell me."}]}])):
        assert text_of(respond(server, **form).json) == chat["choices"][0]["message"]["content"]


def test_going_on(server):
    first = respond(server, "Tell me.").json
    read = first["usage"]["total_tokens"]
    second = respond(server, "And then?", previous_response_id=first["id"]).json
    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens_details"]["cached_tokens"] == read  # nothing was read again
    messages = [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": text_of(first)},
                {"role": "user", "content": "And then?"}]
    assert second["usage"]["input_tokens"] > read
    again = respond(server, "And then?", previous_response_id=first["id"]).json  # the first has not changed
    assert text_of(again) == text_of(second) and again["id"] != second["id"]
    other = respond(server, "Or else?", previous_response_id=first["id"]).json
    assert other["usage"]["input_tokens_details"]["cached_tokens"] == read
    assert server.get("/v1/responses/" + first["id"]).json == first
    if "\ufffd" not in text_of(first):
        chat = server.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 8}).json
        assert text_of(second) == chat["choices"][0]["message"]["content"]


def test_the_end_of_an_answer_is_not_read_twice(server):
    """An answer that a template's stop has ended: what follows is what the template makes of the whole talk."""
    def serve(stop):
        with open(scratch("template.json"), "w") as file:
            json.dump({"system": "{content}!", "user": "[{content}]", "assistant": "{content}" + stop + ";",
                       "generate": "", "stop": [stop]}, file)
        return Server(server.model, "--chat-template", scratch("template.json"))

    other = serve("nowhere")
    text = text_of(respond(other, "Tell me.", max_output_tokens=100).json)
    other.stop()
    stop = next(c for c in text[1:] if " " < c < "\x7f" and c != text[0])
    other = serve(stop)
    first = respond(other, "Tell me.", max_output_tokens=200).json
    assert first["status"] == "completed" and stop not in text_of(first)
    second = respond(other, "More.", previous_response_id=first["id"]).json
    messages = [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": text_of(first)},
                {"role": "user", "content": "More."}]
    if "\ufffd" not in text_of(first):  # else the text is not the bytes that were read
        chat = other.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 8}).json
        assert text_of(second) == chat["choices"][0]["message"]["content"]
        assert second["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]
    else:
        assert second["usage"]["input_tokens"] == first["usage"]["total_tokens"] + len(";[More.]")
    other.stop()


def test_many_go_on_from_one(server):
    first = respond(server, "Tell me.").json
    texts = together(16, lambda i: text_of(respond(server, f"{i % 4}?", previous_response_id=first["id"]).json))
    assert texts == [texts[i % 4] for i in range(16)]


def test_stream(server):
    whole = respond(server, "Stream.", max_output_tokens=30).json
    answer = respond(server, "Stream.", max_output_tokens=30, stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = events_of(answer)
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert all(name == data["type"] for name, data in events)
    names = [name for name, _ in events]
    deltas = names.count("response.output_text.delta")
    assert deltas > 0 and names == (
        ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
        + ["response.output_text.delta"] * deltas + ["response.output_text.done", "response.content_part.done",
                                                     "response.output_item.done", "response.incomplete"])
    text = "".join(data["delta"] for name, data in events if name.endswith("delta"))
    assert text == text_of(whole) == dict(events)["response.output_text.done"]["text"]
    final = events[-1][1]["response"]
    assert text_of(final) == text and final["usage"]["output_tokens"] == 30
    assert server.get("/v1/responses/" + final["id"]).json == final
    assert events[0][1]["response"]["id"] == final["id"] and events[0][1]["response"]["status"] == "in_progress"


def test_streams_that_end_as_they_begin(server):
    """The head of a stream is written while its end is made."""
    for _ in range(8):
        together(8, lambda i: events_of(respond(server, "x", max_output_tokens=1, stream=True, metadata={"a": "b"})))


def test_what_is_not_stored_is_nowhere(server):
    before = server.metric("states_memory_bytes"), server.metric("responses")
    r = respond(server, "A secret of its own.", store=False).json
    assert r["store"] is False and server.get("/v1/responses/" + r["id"]).status == 404
    assert respond(server, "x", previous_response_id=r["id"]).status == 404
    assert (server.metric("states_memory_bytes"), server.metric("responses")) == before
    assert respond(server, "A secret of its own.", store=False).json["usage"]["input_tokens_details"]["cached_tokens"] < 17


def test_any_character_is_kept(server):
    for id, text in ((1, "\0"), (11, "\n"), (35, '"'), (93, "\\"), (256, "\ufffd"), (0x7f + 1, "\x7f")):
        r = respond(server, "x", logit_bias={str(id): 100}, max_output_tokens=4).json
        assert text_of(r) == 4 * text, (id, text_of(r))
        assert server.get("/v1/responses/" + r["id"]).json == r
        assert respond(server, "y", previous_response_id=r["id"]).status == 200


def test_deleting(server):
    first = respond(server, "Tell me.").json
    second = respond(server, "More.", previous_response_id=first["id"]).json
    answer = server.ask("DELETE", "/v1/responses/" + first["id"])
    assert answer.status == 200 and answer.json == {"id": first["id"], "object": "response", "deleted": True}
    assert server.ask("DELETE", "/v1/responses/" + first["id"]).status == 404
    assert server.get("/v1/responses/" + first["id"]).status == 404
    assert respond(server, "x", previous_response_id=first["id"]).status == 404
    assert respond(server, "x", previous_response_id=second["id"]).status == 200  # it stands by itself


def test_bad_requests(server):
    for body in ({}, {"input": None}, {"input": []}, {"input": 3}, {"input": [{"role": "nobody", "content": "x"}]},
                 {"input": [{"type": "function_call_output", "output": "x"}]}, {"input": "x", "store": "yes"},
                 {"input": "x", "previous_response_id": 3}, {"input": "x", "instructions": 3},
                 {"input": "x", "max_output_tokens": -1}, {"input": "x", "temperature": "hot"}, []):
        answer = server.post("/v1/responses", body)
        assert answer.status == 400, (body, answer.body)
    for name in ("nothing", "..", "a%2fb", "x" * 200, "%00"):
        for method in ("GET", "DELETE"):
            assert server.ask(method, "/v1/responses/" + name).status in (400, 404), name
    for name in ("nothing", "../x", "", "x" * 5000):
        answer = respond(server, "x", previous_response_id=name)
        assert answer.status == 404 and answer.error["param"] in (None, "previous_response_id"), name


def test_a_response_is_no_session(server):
    r = respond(server, "Tell me.").json
    assert server.get("/v1/states/" + r["id"]).status == 404
    server.complete("x", session=r["id"], max_tokens=1)
    assert server.get("/v1/responses/" + r["id"]).json == r


def test_a_restart_keeps_them(server):
    other = Server(server.model, "--states", scratch("other"))
    first = respond(other, "Tell me.").json
    second = respond(other, "And then?", previous_response_id=first["id"]).json
    assert other.stop() == 0
    other = Server(server.model, "--states", scratch("other"))
    assert other.get("/v1/responses/" + first["id"]).json == first
    again = respond(other, "And then?", previous_response_id=first["id"]).json
    assert text_of(again) == text_of(second)
    assert again["usage"]["input_tokens_details"]["cached_tokens"] == first["usage"]["total_tokens"]
    assert other.stop() == 0


def test_a_full_disk(server):
    other = Server(server.model, "--states", scratch("full"), "--state-disk", "100")
    answer = respond(other, "Tell me.")
    assert answer.status == 507 and "--state-disk" in answer.error["message"]
    name, data = events_of(respond(other, "Tell me.", stream=True))[-1]
    assert name == "response.failed" and data["response"]["status"] == "failed"
    assert "--state-disk" in data["response"]["error"]["message"]
    assert respond(other, "Tell me.", store=False).status == 200
    assert other.stop() == 0


if __name__ == "__main__":
    run_tests(globals(), "--states", STATES)
