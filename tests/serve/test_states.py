# SPDX-License-Identifier: MIT
"""Sessions and /v1/states: going on, positions, forks, rollback, files that are fetched and sent, and what is refused."""
import http.client
import os
import threading

from serving import Server, make_model, run_tests, scratch, together

TEXT = "In the beginning was the word, and the word was with the people who read it. "
STATES = scratch("states")


def ids_of(server, text):
    return server.post("/tokenize", {"content": text}).json["tokens"]


def write(server, name, prompt, **fields):
    """The text that a session goes on with, and its position then."""
    answer = server.complete(prompt, session=name, **{"max_tokens": 5, **fields})
    return answer["choices"][0]["text"], server.get(f"/v1/states/{name}/tokens").json["position"]


def alone(server, prompt, **fields):
    """The same text with nothing read before."""
    return server.complete(prompt, cache_prompt=False, **{"max_tokens": 5, **fields})["choices"][0]["text"]


def test_a_session_goes_on_with_the_same_bits(server):
    first = server.complete(TEXT, session="on", max_tokens=9)
    tokens = server.get("/v1/states/on/tokens").json["tokens"]
    assert len(tokens) == len(TEXT) + 9 and tokens[:len(TEXT)] == ids_of(server, TEXT)
    second = server.complete("And then", session="on", max_tokens=9)
    assert second["choices"][0]["text"] == alone(server, tokens + ids_of(server, "And then"), max_tokens=9)
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == len(tokens)
    assert second["usage"]["prompt_tokens"] == len(tokens) + 8
    whole = server.get("/v1/states/on/tokens").json
    third = server.complete("", session="on", max_tokens=9)["choices"][0]["text"]  # nothing new to read
    assert third == alone(server, whole["tokens"], max_tokens=9)
    assert server.get("/v1/states/on/tokens").json["position"] == whole["position"] + 9


def test_penalties_count_what_the_session_read(server):
    write(server, "penalty", TEXT, max_tokens=0)
    fields = {"repetition_penalty": 1.5, "temperature": 1, "seed": 3, "max_tokens": 20}
    assert write(server, "penalty", "So", **fields)[0] == alone(server, TEXT + "So", **fields)


def test_pieces_are_the_text(server):
    write(server, "pieces", "caf\u00e9 \u20ac \U0001f600!", max_tokens=0)
    answer = server.get("/v1/states/pieces/tokens").json
    assert "".join(answer["pieces"]) == "caf\u00e9 \u20ac \U0001f600!" and len(answer["pieces"]) == len(answer["tokens"])
    part = server.get("/v1/states/pieces/tokens?from=3&count=2").json
    assert part["from"] == 3 and part["pieces"] == ["", "\u00e9"] and part["tokens"] == answer["tokens"][3:5]
    assert server.get("/v1/states/pieces/tokens?last=1").json["pieces"] == ["!"]
    assert server.get("/v1/states/pieces/tokens?from=x").status == 400


def test_position(server):
    _, position = write(server, "moved", TEXT)
    body = {"prompt": "x", "session": "moved", "position": position - 1, "max_tokens": 1}
    refused = server.post("/v1/completions", body)
    assert refused.status == 409 and refused.error["param"] == "position"
    assert server.post("/v1/completions", {**body, "position": position}).status == 200
    assert server.post("/v1/completions", {**body, "session": "none-yet", "position": 1}).status == 409
    assert server.get("/v1/states/none-yet").status == 404
    assert server.post("/v1/completions", {"prompt": "x", "position": 1}).status == 400
    for wrong in (-1, "1", 1.5, 2**70):
        assert server.post("/v1/completions", {**body, "position": wrong}).status == 400, wrong


def test_one_text_for_a_session(server):
    for fields in ({"n": 2}, {"prompt": ["a", "b"]}, {"session": 3}, {"session": ""}):
        answer = server.post("/v1/completions", {"prompt": "a", "session": "one", "max_tokens": 1, **fields})
        assert answer.status == 400, fields
    assert server.get("/v1/states/one").status == 404  # none of these made it
    assert server.post("/v1/completions", {"prompt": "", "session": "one"}).status == 200  # begins as a text does


def test_fork(server):
    _, position = write(server, "trunk", TEXT)
    made = server.post("/v1/states/trunk/fork", {"to": "branch"})
    assert made.status == 201 and made.json["parent"] == "trunk" and made.json["position"] == position
    assert server.post("/v1/states/trunk/fork", {"to": "branch"}).status == 409
    assert server.post("/v1/states/trunk/fork", {"to": "trunk"}).status == 409
    assert server.post("/v1/states/nothing/fork", {"to": "leaf"}).status == 404
    for body in ({}, {"to": 3}, {"to": "../x"}, {"to": ""}, {"to": "a\0b"}, []):
        assert server.post("/v1/states/trunk/fork", body).status == 400, body
    same = write(server, "trunk", "Then ")
    assert write(server, "branch", "Then ") == same
    assert write(server, "branch", "Other")[1] == same[1] + 10
    assert server.get("/v1/states/trunk/tokens").json["position"] == same[1]
    about = {one["name"]: one for one in server.get("/v1/states?limit=1000").json["data"]}
    assert about["branch"]["parent"] == "trunk" and about["trunk"]["parent"] is None


def test_list(server):
    for name in ("list.a", "list.b", "list.c"):
        write(server, name, "x", max_tokens=1)
    first = server.get("/v1/states?after=list&limit=2").json
    assert [one["name"] for one in first["data"]] == ["list.a", "list.b"] and first["has_more"]
    assert server.get("/v1/states?after=list.b&limit=1").json["data"][0]["name"] == "list.c"
    assert not server.get("/v1/states?after=zzzz").json["has_more"]
    for limit in ("0", "-1", "x", "", "99999999999999999999"):
        assert server.get("/v1/states?limit=" + limit).status == 400, limit


def test_rollback_to_every_position(server):
    text = (TEXT * 2)[:75]
    write(server, "back", text, max_tokens=0)
    for position in range(75, -1, -1):
        copy = f"back-{position}"
        server.post("/v1/states/back/fork", {"to": copy})
        answer = server.post(f"/v1/states/{copy}/rollback", {"position": position})
        assert answer.status == 200 and answer.json["position"] == position
        assert 0 <= answer.json["read_again"] <= 15 + max(16, 75 - position), (position, answer.json)
        went_on = write(server, copy, "!?")[0]
        assert went_on == alone(server, text[:position] + "!?"), position
        assert server.ask("DELETE", f"/v1/states/{copy}").status == 200
    for position in (76, -1, 1.5, "3", None, 10**15):
        answer = server.post("/v1/states/back/rollback", {"position": position})
        assert answer.status == 400 and answer.error["param"] == "position", position
    assert server.post("/v1/states/nothing/rollback", {"position": 0}).status == 404


def test_files(server):
    write(server, "file", TEXT)
    got = server.get("/v1/states/file")
    etag = got.headers["ETag"]
    assert got.status == 200 and got.headers["Content-Type"] == "application/octet-stream"
    assert 'filename="file.ttt"' in got.headers["Content-Disposition"]
    head = server.ask("HEAD", "/v1/states/file")
    assert head.status == 200 and head.headers["ETag"] == etag and not head.body
    put = server.ask("PUT", "/v1/states/sent", got.body)
    assert put.status == 201 and put.json["position"] == len(TEXT) + 5
    assert server.ask("PUT", "/v1/states/sent", got.body).status == 200
    assert write(server, "sent", "So") == write(server, "file", "So")
    other = Server(server.model, "--states", scratch("other"), environment={"TTT_THREADS": "1"})
    try:
        assert other.ask("PUT", "/v1/states/far", got.body).status == 201
        write(server, "here", TEXT)
        assert write(other, "far", "So")[0] == write(server, "here", "So")[0]
    finally:
        other.stop()


def test_conditions(server):
    write(server, "cond", TEXT)
    got = server.get("/v1/states/cond")
    etag, wrong = got.headers["ETag"], '"' + "0" * 64 + '"'
    put = lambda **headers: server.ask("PUT", "/v1/states/cond", got.body, headers)
    assert put(**{"If-Match": wrong}).status == 409 and put(**{"If-None-Match": "*"}).status == 409
    assert put(**{"If-Match": "one, two"}).status == 400
    assert server.ask("PUT", "/v1/states/absent", got.body, {"If-Match": "*"}).status == 409
    assert server.ask("DELETE", "/v1/states/cond", headers={"If-Match": wrong}).status == 409
    assert server.get("/v1/states/cond").headers["ETag"] == etag
    assert put(**{"If-Match": etag}).status == 200 and put(**{"If-Match": "*"}).status == 200
    now = server.get("/v1/states/cond").headers["ETag"]
    assert server.ask("DELETE", "/v1/states/cond", headers={"If-Match": now}).status == 200
    assert server.get("/v1/states/cond").status == 404 and server.ask("DELETE", "/v1/states/cond").status == 404


def test_foreign_states(server):
    write(server, "foreign", TEXT)
    state = server.get("/v1/states/foreign").body
    for name, options in (("fingerprint", ["-m", make_model("second", steps=3)]), ("precision", ["--precision", "bf16"]),
                          ("type", ["--backend", "ref"])):
        other = Server(server.model, *options)
        try:
            answer = other.ask("PUT", "/v1/states/x", state)
            assert answer.status == 422 and answer.error["param"] == name, answer.body
            assert name in answer.error["message"] and other.get("/v1/states/x").status == 404
            assert other.metric('states_refused_total{reason="foreign"}') == 1
        finally:
            other.stop()


def test_damaged_states(server):
    write(server, "damaged", TEXT)
    state = server.get("/v1/states/damaged").body
    etag = server.get("/v1/states/damaged").headers["ETag"]
    broken = [b"", b"x", state[:8], state[:-1], state[:len(state) // 2], state + b"x", b"\xff" * 100, b"\0" * 5000]
    for at in range(0, len(state), 997):
        broken.append(state[:at] + bytes([state[at] ^ 16]) + state[at + 1:])
    for body in broken:
        answer = server.ask("PUT", "/v1/states/damaged", body)
        assert answer.status == 400, (len(body), answer.body)
    assert server.get("/v1/states/damaged").headers["ETag"] == etag


def test_names(server):
    before = sorted(os.walk(scratch()))
    write(server, "ok", "x")
    state = server.get("/v1/states/ok").body
    server.ask("DELETE", "/v1/states/ok")
    paths = ["..", ".hidden", "%2e%2e", "a%2fb", "..%2f..%2fetc%2fpasswd", "a%00b", "%ff", "a%20b", "%c3%a9", "a" * 129,
             "%2F%2F", "a%5cb", "-%0a"]
    for path in paths:
        for method, rest, body in (("GET", "", None), ("PUT", "", state), ("DELETE", "", None), ("HEAD", "", None),
                                   ("GET", "/tokens", None), ("POST", "/fork", '{"to": "x"}'),
                                   ("POST", "/rollback", '{"position": 0}')):
            answer = server.ask(method, f"/v1/states/{path}{rest}", body)
            assert answer.status in (400, 404), (method, path, answer.status)
    for name in ("../x", "/etc/x", "a/b", ".x", "", "a\0b", "\u00e9", "x" * 129, "x" * (1 << 20), "a\nb", ".."):
        answer = server.post("/v1/completions", {"prompt": "x", "session": name, "max_tokens": 1})
        assert answer.status == 400, name[:20]
    try:
        assert server.get("/v1/states/" + "x" * (1 << 20)).status in (400, 404, 413, 414, 431)
    except (http.client.HTTPException, ConnectionError):
        pass  # a head of a megabyte is not read to its end
    assert sorted(os.walk(scratch())) == before
    longest = "A-z.0_" + "x" * 122
    assert write(server, longest, "x", max_tokens=1)[1] == 2


def test_two_writers(server):
    results = together(8, lambda i: server.complete(f"writer {i} ", session="both", max_tokens=3))
    assert server.get("/v1/states/both/tokens").json["position"] == 8 * 12
    seen = sorted(r["usage"]["prompt_tokens_details"]["cached_tokens"] for r in results)
    assert seen == [12 * i for i in range(8)]  # one after the other, each behind all that came before
    body = {"prompt": "x", "session": "both", "position": 96, "max_tokens": 3}
    answers = together(8, lambda i: server.post("/v1/completions", body).status)
    assert sorted(answers) == [200] + [409] * 7


def begin_stream(server, body):
    connection = server.connect()
    connection.request("POST", "/v1/completions", __import__("json").dumps({"stream": True, **body}))
    response = connection.getresponse()
    assert response.status == 200
    response.readline()
    return connection, response


def test_a_session_that_is_written_to(server):
    write(server, "busy", TEXT)
    state = server.get("/v1/states/busy").body
    connection, response = begin_stream(server, {"prompt": "x", "session": "busy", "max_tokens": 10000,
                                                    "ignore_eos": True})
    about = server.get("/v1/states/busy/tokens").json
    assert about["busy"] and about["position"] == len(TEXT) + 5  # as it was before
    assert server.post("/v1/states/busy/fork", {"to": "calm"}).status == 201
    waiting = threading.Thread(target=server.ask, args=("PUT", "/v1/states/busy", state))
    waiting.start()
    response.read()
    connection.close()
    waiting.join()
    assert server.get("/v1/states/busy/tokens").json["position"] == len(TEXT) + 5  # what was put came behind
    assert server.get("/v1/states/calm/tokens").json["position"] == len(TEXT) + 5


def settled(server, name):
    while True:
        about = server.get(f"/v1/states/{name}/tokens").json
        if not about.get("busy"):
            return about


def test_a_client_that_leaves(server):
    _, position = write(server, "left", TEXT)
    connection, response = begin_stream(server, {"prompt": "x", "session": "left", "max_tokens": 100000,
                                                    "ignore_eos": True})
    connection.close()  # while it is written: what was written stays
    about = settled(server, "left")
    assert position + 1 <= about["position"] < position + 100000  # what was chosen last need not have been read
    assert write(server, "left", "y")[0] == alone(server, about["tokens"] + ids_of(server, "y"))


def test_reuse(server):
    prompt = TEXT * 3
    first = server.complete(prompt, max_tokens=8)
    again = server.complete(prompt, max_tokens=8)
    assert first["choices"] == again["choices"]
    cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert len(prompt) - 17 <= cached < len(prompt)
    longer = server.complete(prompt + "so", max_tokens=8)
    assert longer["choices"][0]["text"] == alone(server, prompt + "so", max_tokens=8)
    assert longer["usage"]["prompt_tokens_details"]["cached_tokens"] >= cached
    other = server.complete(prompt[:200] + "Another end", max_tokens=8)
    assert other["choices"][0]["text"] == alone(server, prompt[:200] + "Another end", max_tokens=8)
    assert other["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    assert f"begins alike for 200 of 211 tokens" in server.log() and "nearest snapshot is at" in server.log()
    none = server.complete(prompt, cache_prompt=False, max_tokens=8)
    assert none["choices"] == first["choices"] and none["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert server.complete("?" + prompt)["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


def test_reuse_under_load(server):
    """Texts that begin alike, many at a time, with and without what was read before: the same bits."""
    prompts = [(TEXT * 4)[:20 * i + 7] + f" end {i}" for i in range(12)]
    expected = [alone(server, prompt, max_tokens=12) for prompt in prompts]
    answers = together(48, lambda i: server.complete(prompts[i % 12], max_tokens=12)["choices"][0]["text"])
    assert answers == [expected[i % 12] for i in range(48)]


if __name__ == "__main__":
    run_tests(globals(), "--states", STATES)
