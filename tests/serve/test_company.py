# SPDX-License-Identifier: MIT
"""Many at a time: the same bits alone and in company, whoever leaves, waits or does not read; order and an end."""
import json
import random
import signal
import socket
import threading
import time

from serving import Server, run_tests, scratch, together

SLOTS = 8
OPTIONS = ["--parallel", str(SLOTS), "--queue", "100", "--slice", "16", "--max-tokens", "1M"]


def some_body(i, tokens=40):
    chance = random.Random(i)
    prompt = [chance.randrange(1, 257) for _ in range(1 + chance.randrange(200))]
    return {"prompt": prompt, "max_tokens": 1 + chance.randrange(tokens), "seed": i, "temperature": 1.2, "logprobs": 2,
            "top_p": 0.9, "echo": i % 3 == 0, "n": 1 + i % 2, "repetition_penalty": 1.1 if i % 4 else 1}


def answer_of(server, i):
    answer = server.post("/v1/completions", some_body(i))
    assert answer.status == 200, answer.body
    return json.dumps(answer.json["choices"])


def wait_until(what, seconds=60):
    for _ in range(seconds * 100):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("in vain")


def begin_stream(server, **fields):
    """A stream that goes on for long; its connection, from which only the head was read."""
    connection = server.connect()
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    connection.sock.settimeout(120)
    connection.sock.connect(("127.0.0.1", server.port))
    body = {"prompt": "a", "max_tokens": 1000000, "stream": True, "ignore_eos": True, "temperature": 0, **fields}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200
    return connection, response


def idle(server):
    return server.metric("requests_processing") == 0 and server.metric("requests_deferred") == 0


def test_the_same_bits_alone_and_in_company(server):
    alone = [answer_of(server, i) for i in range(64)]
    assert len(set(alone)) == 64
    for clients in (7, 64):
        for order in range(2):
            places = list(range(64))
            random.Random(order).shuffle(places)
            share = [places[i::clients] for i in range(clients)]
            got = together(clients, lambda i: {n: answer_of(server, n) for n in share[i]})
            for some in got:
                for n, answer in some.items():
                    assert answer == alone[n], n


def test_a_client_that_leaves_ends_its_text(server):
    for stream in (True, False):
        before = server.metric("requests_cancelled_total")
        if stream:
            connection, response = begin_stream(server)
            response.read(100)
        else:
            connection = server.connect()
            connection.request("POST", "/v1/completions", json.dumps({
                "prompt": "a", "max_tokens": 1000000, "ignore_eos": True}))
            wait_until(lambda: server.metric("requests_processing") == 1)
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        if stream:
            response.close()
        wait_until(lambda: server.metric("requests_cancelled_total") == before + 1 and idle(server))


def test_slow_readers_hold_up_nobody(server):
    """More of them than there are slots: what they do not take waits, in bounded memory, and the others go on."""
    slow = [begin_stream(server, logprobs=20) for _ in range(2 * SLOTS)]
    written = -1
    def stands():
        nonlocal written
        before, written = written, server.metric("n_decode_total")
        time.sleep(0.2)
        return written == before
    wait_until(stands, 120)
    assert server.metric("requests_processing") == 0
    assert [answer_of(server, i) for i in range(4)]
    connection, response = slow[0]
    for _ in range(100):  # one of them reads: its text goes on
        assert response.read(10000)
    for connection, response in slow:
        connection.sock.shutdown(socket.SHUT_RDWR)
        response.close()
        connection.close()
    wait_until(lambda: idle(server))


def test_a_long_prompt_lets_the_others_write(server):
    """Between two tokens of one who writes lies at most one slice of the prompt."""
    connection, response = begin_stream(server, max_tokens=400)
    response.readline()
    long = threading.Thread(target=lambda: server.post("/v1/completions", {"prompt": [5] * 10000, "max_tokens": 1}))
    before = server.metric("n_decode_total"), server.metric("prompt_tokens_total")
    long.start()
    text = response.read()
    assert b"[DONE]" in text
    connection.close()
    long.join()
    steps = server.metric("n_decode_total") - before[0]
    assert steps >= 10000 / 16


def test_short_prompts_pass_long_ones(server):
    """Those who read share the slice: a short prompt that comes later is answered first."""
    done = []
    def ask(name, count):
        server.post("/v1/completions", {"prompt": [7] * count, "max_tokens": 1})
        done.append(name)
    long = threading.Thread(target=ask, args=("long", 60000))
    long.start()
    wait_until(lambda: server.metric("requests_processing") == 1 or not long.is_alive())
    ask("short", 20)
    long.join()
    assert done == ["short", "long"]


def test_works_take_turns(server):
    """A request of hundreds of texts leaves slots to others: one of one text, which comes later, is answered first."""
    done = []
    def ask(name, prompts):
        answer = server.post("/v1/completions", {"prompt": prompts, "max_tokens": 30, "ignore_eos": True})
        assert len(answer.json["choices"]) == len(prompts)
        done.append(name)
    many = threading.Thread(target=ask, args=("many", ["a" * 50] * 300))
    many.start()
    wait_until(lambda: server.metric("requests_processing") == SLOTS)
    ask("one", ["a"])
    many.join()
    assert done == ["one", "many"]


def test_large_bodies_hold_up_nobody(server):
    """They are read one after another, beside all else."""
    def count(size):
        return len(server.post("/tokenize", {"content": "a" * size}).json["tokens"])
    assert together(8, lambda i: count(1200000 if i % 2 else 100)) == [100, 1200000] * 4


def test_connections_that_do_nothing(server):
    """Open ones, half a head, half a body: they cost a file each, and hold up nobody."""
    heads = (b"", b"POST /v1/comp", b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"prompt\"")
    held = []
    for i in range(300):
        held.append(socket.create_connection(("127.0.0.1", server.port)))
        held[-1].sendall(heads[i % 3])
    assert answer_of(server, 1) == answer_of(server, 1)
    for one in held:
        one.close()


def test_a_connection_serves_many_requests(server):
    connection = server.connect()
    for i in range(50):
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 2, "stream": i % 2 == 0}))
        response = connection.getresponse()
        assert response.status == 200 and response.read()
    connection.close()


def test_a_full_queue_refuses(server):
    small = Server(scratch("model"), "--parallel", "1", "--queue", "2", "--max-tokens", "1M")
    held = [begin_stream(small)]
    waiting = []
    for _ in range(2):
        waiting.append(small.connect())
        waiting[-1].request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 1}))
    wait_until(lambda: small.metric("requests_deferred") == 2)
    answer = small.post("/v1/completions", {"prompt": "a"})
    assert answer.status == 429 and answer.headers["Retry-After"] and answer.error["type"] == "rate_limit_error"
    held[0][0].sock.shutdown(socket.SHUT_RDWR)
    for connection in waiting:
        assert connection.getresponse().status == 200
    held[0][1].close()
    assert small.stop() == 0


def test_stopping_lets_what_runs_end(server):
    for grace, ends in (("60", True), ("0", False)):
        other = Server(scratch("model"), "--grace", grace, "--max-tokens", "1M")
        tokens = 300 if ends else 1000000
        connection, response = begin_stream(other, max_tokens=tokens)
        whole = other.connect()
        whole.request("POST", "/v1/completions", json.dumps({"prompt": "b", "max_tokens": tokens, "ignore_eos": True}))
        wait_until(lambda: other.metric("requests_total") == 2)
        other.process.send_signal(signal.SIGTERM)
        text = response.read()
        status = whole.getresponse().status
        if ends:
            assert b"[DONE]" in text and status == 200
        else:
            assert b'"error"' in text and b"[DONE]" not in text and status == 503
        assert other.process.wait(60) == 0
        connection.close()
        whole.close()


def test_stopping_at_any_moment(server):
    for i in range(15):
        other = Server(scratch("model"))
        held = [other.connect() for _ in range(i)]
        for connection in held:
            connection.connect()
        other.get("/health")
        assert other.stop() == 0, other.log()
        for connection in held:
            connection.close()


run_tests(globals(), *OPTIONS)
