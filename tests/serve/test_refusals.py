# SPDX-License-Identifier: MIT
"""Bad input: each is answered with a sentence that names what is wrong, and the server goes on."""
import json
import socket

from serving import Server, run_tests, scratch

KEYS = ["one key", "another-key-of-more-letters"]
OPTIONS = ["--api-key", KEYS[0], "--api-key-file", "KEYFILE", "--max-body", "64k", "--cors", "https://page.example"]
AUTHORIZED = {"Authorization": f"Bearer {KEYS[0]}"}


def post(server, path, body, **headers):
    return server.post(path, body, headers={**AUTHORIZED, **headers})


def refused(server, body, param, status=400, path="/v1/completions"):
    answer = post(server, path, body)
    assert answer.status == status, (body, answer.status, answer.body)
    error = answer.error
    assert set(error) == {"message", "type", "param", "code"} and error["param"] == param, (body, error)
    return error["message"]


def test_fields_of_wrong_types_and_out_of_range(server):
    fields = {
        "max_tokens": ["7", 1.5, True, -1, 10**12, [1], {}],
        "n": [0, 1000, "1", -1], "best_of": [0, 1000], "temperature": [-1, "hot", 1000, [], True], "top_p": [-0.1, 1.5, "x"],
        "top_k": [-2, 1.5, "x", 2**40], "min_p": [-1, 2], "repetition_penalty": [0, -1, "x"],
        "presence_penalty": [-3, 3, "x"], "frequency_penalty": [2.1], "seed": ["x", 1.5], "echo": [1, "true"],
        "stream": [1, "yes"], "ignore_eos": ["no"], "logprobs": [-1, 21, "5", True, 1.5], "stream_options": [1, "x"],
        "suffix": ["x", ""], "model": [5, []], "stop": [5, [5], [["a"]], {}, "", [""], ["a", ""], ["a"] * 5, ["a"] * 100],
        "logit_bias": [5, [1], {"x": 1}, {"257": 1}, {"-1": 1}, {"1": "a"}, {"1": 101}, {"1": -101}, {"1.5": 1},
                       {"99999999999999999999": 1}],
    }
    for name, values in fields.items():
        for value in values:
            refused(server, {"prompt": "a", name: value}, name)
    refused(server, {"prompt": "a", "n": 3, "best_of": 2}, "best_of")
    refused(server, {"prompt": "a", "best_of": 2, "stream": True}, "best_of")


def test_what_is_null_or_unknown_is_passed_over(server):
    names = "max_tokens n best_of temperature top_p stop logit_bias suffix logprobs stream_options seed user echo".split()
    answer = post(server, "/v1/completions", {"prompt": "a", "unheard_of": {"x": 1}, **dict.fromkeys(names)})
    assert answer.status == 200 and len(answer.json["choices"]) == 1


def test_prompts(server):
    for prompt in (None, [], 5, True, {}, [[]], [5, "a"], ["a", 5], [257], [-1], [1.5], [True], [None], [[257]], [[1], [-1]],
                   [[1, "a"]], [[[1]]], [2**31], [2**40], ["a"] * 2049):
        refused(server, {"prompt": prompt}, "prompt")
    refused(server, {}, "prompt")


def test_bodies_that_are_no_json_object(server):
    deep = "[" * 100000
    for body in ("", "{", "nonsense", "[]", '"text"', "5", "null", '{"prompt": NaN}', '{"prompt": 1e999}', '{"a": 01}',
                 '{"prompt": "a", "prompt": "b"}', '{"prompt": "\\ud800"}', '{"prompt": "a\\u0000b"}',
                 '{"prompt": ' + deep[:5000] + "}", deep[:60000], '{"a": 99999999999999999999}', '{"prompt": "a"} x'):
        refused(server, body, None)
    for body in (b'{"prompt": "\xff"}', b"\x00" * 100, bytes(range(256))):
        refused(server, body, None)


def test_keys(server):
    for key in KEYS:
        assert server.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status == 200
    assert server.get("/v1/models", headers={"Authorization": f"bearer {KEYS[0]}"}).status == 200
    wrong = [None, "", "Bearer", "Bearer ", "Bearer x", f"Bearer {KEYS[0]}x", f"Bearer {KEYS[0][:-1]}", f"Basic {KEYS[0]}",
             KEYS[0], "Bearer " + "x" * 255, "Bearer " + "x" * 256, "Bearer " + "x" * 5000]
    for value in wrong:
        for path in ("/v1/models", "/metrics", "/slots", "/nothing/here"):
            answer = server.get(path, headers={"Authorization": value} if value is not None else {})
            assert answer.status == 401 and answer.error["type"] == "authentication_error", (value, path)
            assert "Bearer" in answer.headers.get_all("WWW-Authenticate")
        answer = server.post("/v1/completions", {"prompt": "a"}, headers={"Authorization": value or ""})
        assert answer.status == 401
    for path in ("/health", "/v1/health"):
        assert server.get(path).status == 200


def test_paths_and_methods(server):
    for path in ("/", "/v1", "/v1/completions/", "/v1/models/x", "/../etc/passwd", "/v1/%2e%2e/x", "//", "/" + "x" * 5000):
        if path != "/":
            answer = server.get(path, headers=AUTHORIZED)
            assert answer.status == 404 and answer.error["code"] == "not_found", path
    for method, path, allowed in (("GET", "/v1/completions", "POST"), ("DELETE", "/v1/completions", "POST"),
                                  ("POST", "/v1/models", "GET, HEAD"), ("PUT", "/health", "GET, HEAD"),
                                  ("PATCH", "/tokenize", "POST")):
        answer = server.ask(method, path, headers=AUTHORIZED)
        assert answer.status == 405 and answer.headers["Allow"] == allowed, (method, path, answer.status)
    assert server.ask("HEAD", "/health").status == 200


def test_tokens(server):
    for body, param in (({}, "content"), ({"content": 5}, "content"), ({"content": "a", "with_pieces": 1}, "with_pieces")):
        refused(server, body, param, path="/tokenize")
    for body in ({}, {"tokens": "abc"}, {"tokens": [257]}, {"tokens": [-1]}, {"tokens": ["a"]}, {"tokens": 5}):
        refused(server, body, "tokens", path="/detokenize")
    assert post(server, "/detokenize", {"tokens": []}).json["content"] == ""


def test_bodies_that_are_too_large(server):
    """By the length that is said before; and as it comes, in chunks."""
    large = json.dumps({"prompt": "a" * 70000})
    answer = post(server, "/v1/completions", large)
    assert answer.status == 413 and answer.error["code"] == "too_large"
    connection = server.connect()
    connection.request("POST", "/v1/completions", body=(b"x" * 1000 for _ in range(100)), headers=AUTHORIZED,
                       encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    with socket.create_connection(("127.0.0.1", server.port)) as sent:  # one who says a length and sends nothing of it
        sent.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer one key\r\n"
                     b"Content-Length: 99999999999\r\n\r\n")
        assert sent.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_origins(server):
    def ask(method, path, origin, **headers):
        return server.ask(method, path, headers={**AUTHORIZED, "Origin": origin, **headers})
    assert ask("GET", "/v1/models", "https://evil.example").status == 403
    assert ask("POST", "/v1/completions", "null").status == 403
    allowed = ask("GET", "/v1/models", "https://page.example")
    assert allowed.status == 200 and allowed.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert ask("GET", "/v1/models", f"http://127.0.0.1:{server.port}").status == 200
    flight = server.ask("OPTIONS", "/v1/completions", headers={"Origin": "https://page.example"})
    assert flight.status == 204 and "POST" in flight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in flight.headers["Access-Control-Allow-Headers"]
    assert server.ask("OPTIONS", "/v1/completions", headers={"Origin": "https://evil.example"}).status == 403


def test_garbage_on_the_line(server):
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"GET\r\n\r\n", b"\r\n" * 100, b"A" * 100000,
                    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10000 + b"\r\n", b"POST /tokenize HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: -5\r\n\r\n", b"GET /v1/models HTTP/9.9\r\n\r\n",
                    b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as sent:
            try:
                sent.sendall(garbage)
                sent.shutdown(socket.SHUT_WR)
                while sent.recv(4096):
                    pass
            except OSError:
                pass
    assert server.get("/health").status == 200


def test_an_open_door_is_said(server):
    for host, options, said in (("0.0.0.0", [], True), ("0.0.0.0", ["--api-key", "k"], False), ("127.0.0.1", [], False)):
        other = Server(scratch("model"), "--host", host, *options)
        assert other.get("/health").status == 200
        assert other.stop() == 0 and ("whoever reaches this address" in other.log()) == said


def test_options_that_cannot_be(server):
    for options, said in ((["--port", str(server.port)], "cannot listen"), (["--host", "no.such.host.invalid"], "no address"),
                          (["--parallel", "0"], "--parallel"), (["--api-key", ""], "--api-key"),
                          (["--api-key-file", "/dev/null"], "/dev/null"), (["--chat-template", "nowhere"], "nowhere")):
        try:
            other = Server(scratch("model"), *options)
            other.stop()
        except RuntimeError as fault:
            assert said in str(fault), fault
        else:
            raise AssertionError(options)
    try:
        Server(scratch("nothing"))
    except RuntimeError as fault:
        assert "nothing" in str(fault)


run_tests(globals(), *OPTIONS, files={"KEYFILE": f"{KEYS[1]}\n"})
